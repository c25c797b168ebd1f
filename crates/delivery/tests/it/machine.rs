//! A machine of one's own: a home in a temporary directory, and a context that sees nothing else.

use delivery::DeliveryContext;
use delivery::auth::{DeviceCode, Flow, Prompt};
use identity::session::{Team, UnknownKeys};
use identity::{ConfigEdit, Environment, Home, Secret, Session};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tempfile::TempDir;

/// The version that requests of the tests name.
pub const VERSION: &str = "9.9.9";

pub struct Machine {
    pub dir: TempDir,
    pub environment: Environment,
    pub home: Home,
}

impl Machine {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let user_home = dir.path().canonicalize().expect("its path");
        let mut pairs: Vec<(String, String)> = vec![
            ("HOME".into(), user_home.to_string_lossy().into_owned()),
            ("USERPROFILE".into(), user_home.to_string_lossy().into_owned()),
            ("SPEC_KITTY_ENABLE_SAAS_SYNC".into(), "1".into()),
        ];
        pairs.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let environment = Environment::from_pairs(pairs);
        let home = Home::resolve(&environment).expect("a home");
        Self { dir, environment, home }
    }

    pub fn context(&self) -> DeliveryContext {
        DeliveryContext::new(&self.home, &self.environment, VERSION).expect("a context")
    }

    pub fn configure(&self, server: &str) -> &Self {
        let mut edit = ConfigEdit::begin(&self.home).expect("the configuration");
        edit.set_server_url(server);
        edit.commit().expect("written");
        self
    }

    pub fn store(&self, session: &Session) -> &Self {
        self.context().sessions().write(session).expect("stored");
        self
    }

    pub fn stored(&self) -> Option<Session> {
        self.context().sessions().read().expect("readable")
    }

    /// Every file below the home, with its bytes, but for lock files.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut directories = vec![self.dir.path().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for entry in
                std::fs::read_dir(directory).expect("readable").map(|entry| entry.expect("an entry").path())
            {
                if entry.is_dir() {
                    directories.push(entry);
                } else if entry.extension().is_none_or(|extension| extension != "lock") {
                    found.push((entry.to_string_lossy().into_owned(), std::fs::read(&entry).expect("bytes")));
                }
            }
        }
        found.sort();
        found
    }
}

pub fn team(id: &str, private: bool) -> Team {
    Team { id: id.into(), name: format!("Team {id}"), role: "owner".into(), private }
}

/// The session file keeps whole microseconds.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("a time")
}

/// A session at `issuer` with access token `acc-1` and refresh token `ref-1`, valid for an hour.
pub fn session(issuer: &str) -> Session {
    let now = now();
    Session {
        user_id: "u1".into(),
        email: "dev@example.com".into(),
        name: "Dev".into(),
        teams: vec![team("shared", false), team("PT-1", true), team("PT-2", true)],
        default_team_id: "PT-1".into(),
        access_token: Secret::new("acc-1"),
        refresh_token: Secret::new("ref-1"),
        session_id: "s1".into(),
        issued_at: now,
        access_token_expires_at: now + SignedDuration::from_hours(1),
        refresh_token_expires_at: Some(now + SignedDuration::from_hours(24)),
        scope: "offline_access".into(),
        last_used_at: now,
        auth_method: "device_code".into(),
        generation: Some(1),
        issuer: Some(issuer.to_owned()),
        unknown: UnknownKeys::default(),
    }
}

/// `session` with an access token that has expired.
pub fn expired(issuer: &str) -> Session {
    Session { access_token_expires_at: now() - SignedDuration::from_secs(60), ..session(issuer) }
}

/// A visit to a page.
pub type Visit = Box<dyn FnMut(&str)>;

/// A user who does as told and never waits.
#[derive(Default)]
pub struct User {
    /// What was shown.
    pub shown: Vec<String>,
    /// The pauses asked for.
    pub pauses: Vec<Duration>,
    /// Gives up after this many pauses.
    pub patience: Option<usize>,
    /// What happens when a browser is opened; without it there is no browser.
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
