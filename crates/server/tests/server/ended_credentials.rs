//! Tokens and codes that ended: on every route, and on PostgreSQL at two processes at once, they open nothing.

use super::client::{post_form, send};
use super::login::{CALLBACK, VERIFIER, authorize, code_of, redeem};
use super::scoping::{Login, ROWS, ask};
use super::world::{EMAIL, World, hasty};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Admin, Lifetimes, ServerLimits, SoleTeams, StoreLocation};
use std::time::Duration;

/// An account with its logins.
struct Holder {
    email: String,
    team: String,
    grant: Value,
    machine: String,
    machine_id: String,
}

impl Holder {
    fn new(world: &World, admin: &Admin, number: usize) -> Self {
        let (email, team) = (format!("e{number}@example.com"), format!("T{number}"));
        let created = admin.create_account(&email, None, Some(&team)).expect("a value");
        let grant = world.login_as(&email, created.approval_secret.expose());
        let issued = admin.issue_ci_token(&email, Some(&team), "test").expect("a value");
        let machine = issued.token.expose().to_owned();
        Self { email, team, grant, machine, machine_id: issued.record.id }
    }

    fn token(&self, key: &str) -> &str {
        self.grant[key].as_str().expect("a value")
    }
}

type Ending = fn(&World, &Admin, &Holder);

const ENDS_SESSION: bool = true;
const ENDS_MACHINE: bool = true;

/// Ways to end, and which logins end.
const ENDINGS: [(&str, Ending, bool, bool); 9] = [
    (
        "revoked by the client",
        |world, _, holder| revoke(world, holder.token("refresh_token")),
        ENDS_SESSION,
        false,
    ),
    (
        "revoked by the access token",
        |world, _, holder| revoke(world, holder.token("access_token")),
        ENDS_SESSION,
        false,
    ),
    (
        "session ended",
        |_, admin, holder| assert!(admin.end_session(holder.token("session_id")).expect("a value")),
        ENDS_SESSION,
        false,
    ),
    (
        "all sessions ended",
        |_, admin, holder| assert_eq!(admin.end_sessions_of(&holder.email).expect("a value"), 1),
        ENDS_SESSION,
        false,
    ),
    (
        "machine token revoked",
        |_, admin, holder| assert!(admin.revoke_ci_token(&holder.machine_id).expect("a value")),
        false,
        ENDS_MACHINE,
    ),
    (
        "account disabled",
        |_, admin, holder| drop(admin.disable_account(&holder.email).expect("a value")),
        ENDS_SESSION,
        ENDS_MACHINE,
    ),
    (
        "account disabled and enabled",
        |_, admin, holder| {
            admin.disable_account(&holder.email).expect("a value");
            admin.enable_account(&holder.email).expect("a value");
        },
        ENDS_SESSION,
        ENDS_MACHINE,
    ),
    (
        "new secret",
        |_, admin, holder| drop(admin.replace_secret(&holder.email).expect("a value")),
        ENDS_SESSION,
        ENDS_MACHINE,
    ),
    (
        "membership ended",
        |_, admin, holder| {
            admin.add_member(&holder.team, EMAIL, true).expect("a value");
            admin.remove_member(&holder.team, &holder.email).expect("a value");
        },
        false,
        ENDS_MACHINE,
    ),
];

fn revoke(world: &World, token: &str) {
    assert_eq!(post_form(world.address(), endpoint::OAUTH_REVOKE, &[], &[("token", token)]).status, 200);
}

/// This server and, where the database allows it, another one on it.
fn processes(world: &World) -> Vec<World> {
    match world.store {
        StoreLocation::Postgres(_) => vec![world.beside()],
        StoreLocation::Directory(_) => Vec::new(),
    }
}

/// Each route that needs a login, with each token, at all processes at once.
fn open_nothing(world: &World, tokens: &[(String, String)]) {
    let others = processes(world);
    std::thread::scope(|scope| {
        for world in others.iter().chain([world]) {
            scope.spawn(move || {
                for row in ROWS.iter().filter(|row| row.expected[0] == 401) {
                    for (what, token) in tokens {
                        let login = Login { token: token.clone(), cookie: String::new() };
                        let answer = ask(world, row, &login);
                        assert_eq!(answer.status, 401, "{} with {what}: {}", row.path, answer.text());
                    }
                }
            });
        }
    });
}

#[test]
fn ended_tokens_open_no_route() {
    let world = World::with(ServerLimits::default(), hasty());
    let admin = world.admin();
    let (mut ended, mut refreshes) = (Vec::new(), Vec::new());
    for (number, (name, end, ends_session, ends_machine)) in ENDINGS.into_iter().enumerate() {
        let holder = Holder::new(&world, &admin, number);
        let status = |token: &str| world.get(token, endpoint::ME).status;
        let access = holder.token("access_token");
        assert_eq!((status(access), status(&holder.machine)), (200, 200), "{name}");
        end(&world, &admin, &holder);
        // What the ending is not about goes on.
        assert_eq!(status(access), if ends_session { 401 } else { 200 }, "{name}");
        assert_eq!(status(&holder.machine), if ends_machine { 401 } else { 200 }, "{name}");
        if ends_session {
            ended.push((format!("{name}: access token"), access.to_owned()));
            refreshes.push((name, holder.token("refresh_token").to_owned()));
        }
        if ends_machine {
            ended.push((format!("{name}: machine token"), holder.machine.clone()));
        }
        // A refresh token is no access token, ended or not.
        ended.push((format!("{name}: refresh token"), holder.token("refresh_token").to_owned()));
    }
    let holder = Holder::new(&world, &admin, ENDINGS.len());
    admin.remove_account(&holder.email, &SoleTeams::Delete).expect("a value");
    for key in ["access_token", "refresh_token"] {
        ended.push((format!("account removed: {key}"), holder.token(key).to_owned()));
    }
    ended.push(("account removed: machine token".to_owned(), holder.machine.clone()));
    refreshes.push(("account removed", holder.token("refresh_token").to_owned()));
    open_nothing(&world, &ended);
    for (name, token) in refreshes {
        let answer = world.refresh(&token);
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    assert_eq!(admin.projects(None).expect("a value"), [], "nothing was stored");
}

#[test]
fn expired_tokens_open_no_route() {
    let lifetimes = Lifetimes { access_token: Duration::ZERO, refresh_token: Duration::ZERO, ..hasty() };
    let world = World::with(ServerLimits::default(), lifetimes);
    let grant = world.login();
    let token = |key: &str| grant[key].as_str().expect("a value").to_owned();
    open_nothing(&world, &[("an expired token".to_owned(), token("access_token"))]);
    let refreshed = world.refresh(&token("refresh_token"));
    assert_eq!((refreshed.status, &refreshed.json()["error"]), (400, &json!("invalid_grant")));
}

/// Approves a device login and a browser login: the codes that wait for their first use.
fn approved(world: &World) -> [String; 2] {
    let device = world.start_device();
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 200);
    let page = authorize(world, &[]);
    let code = code_of(&world.answer_page(&page, "/oauth/authorize", EMAIL, &world.secret, "approve"));
    [device["device_code"].as_str().expect("a value").to_owned(), code]
}

#[test]
fn ended_codes_give_no_session() {
    let world = World::with(ServerLimits::default(), hasty());
    let admin = world.admin();
    let refused = |[device, code]: &[String; 2], what: &str| {
        for world in processes(&world).iter().chain([&world]) {
            for answer in [world.poll(device), redeem(world, code, VERIFIER, CALLBACK)] {
                assert_eq!(answer.status, 400, "{what}: {}", answer.text());
            }
        }
    };
    let used = approved(&world);
    assert_eq!(world.poll(&used[0]).status, 200);
    assert_eq!(redeem(&world, &used[1], VERIFIER, CALLBACK).status, 200);
    refused(&used, "used");
    let waiting = approved(&world);
    admin.end_sessions_of(EMAIL).expect("a value");
    refused(&waiting, "sessions ended before the first use");
    let waiting = approved(&world);
    admin.disable_account(EMAIL).expect("a value");
    refused(&waiting, "account disabled before the first use");
    admin.enable_account(EMAIL).expect("a value");
    refused(&waiting, "account enabled again");
    let waiting = approved(&world);
    admin.replace_secret(EMAIL).expect("a value");
    refused(&waiting, "new secret before the first use");
    assert_eq!(admin.sessions(None, false).expect("a value"), [], "no session runs");

    let brief = Lifetimes { device: Duration::from_millis(1500), code: Duration::ZERO, ..hasty() };
    let world = World::with(ServerLimits::default(), brief);
    let [device, code] = approved(&world);
    assert_eq!(redeem(&world, &code, VERIFIER, CALLBACK).status, 400, "expired");
    std::thread::sleep(Duration::from_millis(1600));
    assert_eq!(world.poll(&device).status, 400, "expired");
}

#[test]
fn code_used_by_many_at_once_gives_one_session() {
    let world = World::with(ServerLimits::default(), hasty());
    let others = processes(&world);
    for _ in 0..3 {
        let [device, code] = approved(&world);
        let at_once = |ask: &(dyn Fn(&World) -> u16 + Sync)| -> usize {
            std::thread::scope(|scope| {
                let askers: Vec<_> = others
                    .iter()
                    .chain([&world])
                    .cycle()
                    .take(8)
                    .map(|world| scope.spawn(move || ask(world)))
                    .collect();
                let statuses = askers.into_iter().map(|asker| asker.join().expect("an asker"));
                statuses.filter(|status| *status == 200).count()
            })
        };
        assert_eq!(at_once(&|world| world.poll(&device).status), 1);
        assert_eq!(at_once(&|world| redeem(world, &code, VERIFIER, CALLBACK).status), 1);
    }
    // The device logins run; a browser code that was used twice ended its session.
    assert_eq!(world.admin().sessions(None, false).expect("a value").len(), 3);
    assert_eq!(send(world.address(), "GET", endpoint::HEALTHZ, &[], &[]).status, 200);
}
