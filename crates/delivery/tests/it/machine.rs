//! A world of the client, its sessions, and a user who logs in.

use delivery::DeliveryContext;
use delivery::auth::{DeviceCode, Flow, Prompt};
use identity::{ConfigEdit, Secret, Session};
use jiff::{SignedDuration, Timestamp};
use std::path::PathBuf;
use std::time::Duration;
use testkit::World;
use testkit::tree::snapshot;
use testkit::world::team;

/// The version that requests of the tests name.
pub const VERSION: &str = "9.9.9";

/// A world with hosted sync on.
pub fn machine() -> World {
    let mut world = World::of_library();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "1");
    world
}

/// The same with more variables.
pub fn machine_with(variables: &[(&str, &str)]) -> World {
    let mut world = machine();
    for (name, value) in variables {
        world.set(name, value);
    }
    world
}

/// Operations of the delivery tests on a world.
pub trait Machine {
    fn context(&self) -> DeliveryContext;
    fn configure(&self, server: &str) -> &Self;
    fn store(&self, session: &Session) -> &Self;
    fn stored(&self) -> Option<Session>;
    /// Every file below the home but lock files, with the hash of its bytes.
    fn files(&self) -> Vec<(PathBuf, String)>;
}

impl Machine for World {
    fn context(&self) -> DeliveryContext {
        DeliveryContext::new(&self.home(), &self.environment(), VERSION).expect("a context")
    }

    fn configure(&self, server: &str) -> &Self {
        let mut edit = ConfigEdit::begin(&self.home()).expect("the configuration");
        edit.set_server_url(server);
        edit.commit().expect("written");
        self
    }

    fn store(&self, session: &Session) -> &Self {
        self.context().sessions().write(session).expect("stored");
        self
    }

    fn stored(&self) -> Option<Session> {
        self.context().sessions().read().expect("readable")
    }

    fn files(&self) -> Vec<(PathBuf, String)> {
        let entries = snapshot(self.user_home()).into_iter();
        let files = entries.filter(|(path, _)| path.extension().is_none_or(|extension| extension != "lock"));
        files
            .map(|(path, entry)| (path, entry.contents))
            .filter(|(_, contents)| !contents.is_empty())
            .collect()
    }
}

/// The session file keeps whole microseconds.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("a time")
}

/// A session at `issuer` with access token `acc-1` and refresh token `ref-1`, valid for an hour.
pub fn session(issuer: &str) -> Session {
    let now = now();
    Session {
        teams: vec![team("shared", false), team("PT-1", true), team("PT-2", true)],
        access_token: Secret::new("acc-1"),
        refresh_token: Secret::new("ref-1"),
        issued_at: now,
        access_token_expires_at: now + SignedDuration::from_hours(1),
        refresh_token_expires_at: Some(now + SignedDuration::from_hours(24)),
        last_used_at: now,
        ..testkit::world::session(issuer, "dev@example.com", "PT-1")
    }
}

/// `session` with an access token that has expired.
pub fn expired(issuer: &str) -> Session {
    Session { access_token_expires_at: now() - SignedDuration::from_secs(60), ..session(issuer) }
}

/// A visit to a page.
pub type Visit = Box<dyn FnMut(&str)>;

/// A user who follows each prompt at once.
#[derive(Default)]
pub struct User {
    /// Texts that were shown.
    pub shown: Vec<String>,
    /// The pauses asked for.
    pub pauses: Vec<Duration>,
    /// Gives up after this many pauses.
    pub patience: Option<usize>,
    /// Action when a browser is opened; without it there is no browser.
    pub browser: Option<Visit>,
    /// The user's action on the page of a shown code.
    pub page: Option<Visit>,
    /// Whether pauses really pass.
    pub sleeps: bool,
}

impl Prompt for User {
    fn show_code(&mut self, code: &DeviceCode<'_>) {
        self.shown.push(format!("{} {}", code.user_code, code.verification_uri));
        if let (Some(visit), Some(page)) = (&mut self.page, code.verification_uri_complete) {
            visit(page);
        }
    }

    fn open_browser(&mut self, url: &str) -> bool {
        self.shown.push(url.to_owned());
        self.browser.as_mut().map(|open| open(url)).is_some()
    }

    fn pause(&mut self, duration: Duration) -> Flow {
        self.pauses.push(duration);
        if self.sleeps {
            std::thread::sleep(duration);
        }
        if self.patience.is_some_and(|patience| self.pauses.len() > patience) {
            Flow::Cancel
        } else {
            Flow::Continue
        }
    }
}
