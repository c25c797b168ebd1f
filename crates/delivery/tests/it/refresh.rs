//! The token of a request: refreshed once for the whole machine, and only for its account.

use crate::machine::{Machine, User, expired, machine, machine_with, session};
use delivery::auth::{LoginMethod, RefreshError, log_in, switch_team};
use delivery::http::{Bearer, Client, ClientSettings, HttpRequest};
use delivery::{TokenError, TokenSource};
use identity::{Config, Environment, Home, Secret, Session, SessionCacheUse, read_login};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use testkit::World;
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

fn renewed() -> Value {
    json!({"access_token": "acc-2", "refresh_token": "ref-2", "expires_in": 3600, "generation": 2})
}

/// A server that rotates the refresh token once and refuses the old one afterwards.
fn rotating() -> ScriptedServer {
    let rotated = Mutex::new(false);
    ScriptedServer::start(move |seen, _| {
        let mut rotated = rotated.lock().unwrap();
        match (seen.path.as_str(), seen.field("refresh_token").as_deref()) {
            ("/oauth/token", Some("ref-1")) if !*rotated => {
                *rotated = true;
                Reply::json(200, renewed())
            }
            ("/oauth/token", _) => Reply::json(400, json!({"error": "invalid_grant"})),
            _ => Reply::json(200, json!({})),
        }
    })
}

/// Value of the `Authorization` header for a bearer.
fn shown(bearer: &Bearer) -> String {
    let stub = ScriptedServer::start(|_, _| Reply::json(200, json!({})));
    let client = Client::new(&ClientSettings::new("1")).unwrap();
    let to = delivery::server_address::ServerAddress::parse(&stub.url()).unwrap();
    client.send(&to, &HttpRequest { bearer: Some(bearer), ..HttpRequest::get("/") }).unwrap();
    stub.seen()[0].header("authorization").unwrap().to_owned()
}

fn ready(stub: &ScriptedServer, session: &Session) -> World {
    let machine = machine();
    machine.configure(&stub.url()).store(session);
    machine
}

#[test]
fn valid_token_is_used_without_a_request() {
    let stub = rotating();
    let machine = ready(&stub, &session(&stub.url()));
    let context = machine.context();
    let mut source = TokenSource::for_login(&context).unwrap();
    assert_eq!(shown(&source.bearer().unwrap()), "Bearer acc-1");
    assert!(stub.seen().is_empty());
    assert!(!format!("{source:?}").contains("acc-1"));
}

#[test]
fn expiring_token_is_refreshed_at_its_issuer_and_stored() {
    let stub = rotating();
    let almost = Session {
        access_token_expires_at: Timestamp::now() + SignedDuration::from_secs(4),
        ..session(&stub.url())
    };
    let machine = ready(&stub, &almost);
    let context = machine.context();
    assert_eq!(shown(&TokenSource::for_login(&context).unwrap().bearer().unwrap()), "Bearer acc-2");
    let seen: Vec<ScriptedRequest> = stub.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].field("grant_type").as_deref(), Some("refresh_token"));
    assert_eq!(
        (seen[0].field("client_id").as_deref(), seen[0].header("authorization")),
        (Some("cli_native"), None)
    );
    let stored = machine.stored().unwrap();
    assert_eq!((stored.refresh_token.expose(), stored.generation, stored.teams.len()), ("ref-2", Some(2), 3));
    let login = read_login(&machine.home(), &Config::read(&machine.home()).unwrap(), &machine.environment());
    assert_eq!(login.session_cache, SessionCacheUse::Used, "the refresh left a valid session cache");
}

#[test]
fn threads_that_race_refresh_once() {
    let stub = rotating();
    let machine = Arc::new(ready(&stub, &expired(&stub.url())));
    let barrier = Arc::new(Barrier::new(6));
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let (machine, barrier) = (machine.clone(), barrier.clone());
            thread::spawn(move || {
                let context = machine.context();
                let mut source = TokenSource::for_login(&context).unwrap();
                barrier.wait();
                shown(&source.bearer().unwrap())
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), "Bearer acc-2");
    }
    assert_eq!(stub.seen().len(), 1, "one refresh for all");
}

const CHILD_HOME: &str = "DELIVERY_TEST_CHILD_HOME";

/// Processes that each need the login of `machine` at the same moment.
fn race(machine: &World, processes: usize) {
    let program = std::env::current_exe().unwrap();
    let children: Vec<_> = (0..processes)
        .map(|_| {
            Command::new(&program)
                .args(["--exact", "refresh::child_that_refreshes", "--ignored", "--quiet"])
                .env(CHILD_HOME, machine.user_home())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn eight_processes_that_race_refresh_once() {
    let stub = rotating();
    let machine = ready(&stub, &expired(&stub.url()));
    race(&machine, 8);
    assert_eq!(stub.seen().len(), 1, "one refresh for all");
    assert_eq!(machine.stored().unwrap().refresh_token.expose(), "ref-2");
}

/// A program that does not know the lock was faster: its refresh makes ours a replay.
#[test]
fn eight_processes_adopt_what_made_their_one_refresh_a_replay() {
    let replayed = || Reply::json(409, json!({"error": "refresh_replay_benign_retry", "retry_after": 0}));
    let (stub, change) = interrupted(replayed);
    let machine = Arc::new(ready(&stub, &expired(&stub.url())));
    let newer = Session {
        access_token: Secret::new("acc-2"),
        refresh_token: Secret::new("ref-2"),
        ..session(&stub.url())
    };
    let (writer, written) = (machine.clone(), newer.clone());
    let _ = change.set(Box::new(move || {
        writer.store(&written);
    }));
    race(&machine, 8);
    assert_eq!(stub.seen().len(), 1, "one replayed refresh, and no second one");
    assert_eq!(machine.stored(), Some(newer));
}

#[test]
#[ignore = "no test: the body of the second process that the test above starts"]
fn child_that_refreshes() {
    let Ok(home) = std::env::var(CHILD_HOME) else { return };
    let environment = Environment::from_pairs([("HOME", home.clone()), ("USERPROFILE", home)]);
    let home = Home::resolve(&environment).unwrap();
    let context = delivery::DeliveryContext::new(&home, &environment, "1").unwrap();
    assert_eq!(shown(&TokenSource::for_login(&context).unwrap().bearer().unwrap()), "Bearer acc-2");
}

#[test]
fn refused_token_is_renewed_before_its_expiry() {
    let stub = rotating();
    let machine = ready(&stub, &session(&stub.url()));
    let context = machine.context();
    let mut source = TokenSource::for_login(&context).unwrap();
    source.bearer().unwrap();
    assert_eq!(shown(&source.renewed_bearer().unwrap()), "Bearer acc-2");
    assert_eq!(stub.seen().len(), 1);
}

#[test]
fn session_refreshed_elsewhere_is_adopted_without_a_request() {
    let stub = rotating();
    let machine = ready(&stub, &session(&stub.url()));
    let context = machine.context();
    let mut source = TokenSource::for_login(&context).unwrap();
    source.bearer().unwrap();
    machine.store(&Session {
        access_token: Secret::new("acc-7"),
        refresh_token: Secret::new("ref-7"),
        ..session(&stub.url())
    });
    assert_eq!(shown(&source.renewed_bearer().unwrap()), "Bearer acc-7");
    assert!(stub.seen().is_empty());
}

#[test]
fn session_the_server_has_ended_is_deleted() {
    for (status, word) in [(400, "invalid_grant"), (401, "session_invalid")] {
        let stub = ScriptedServer::start(move |_, _| Reply::json(status, json!({"error": word})));
        let machine = ready(&stub, &expired(&stub.url()));
        let context = machine.context();
        let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
        assert!(matches!(error, TokenError::Ended), "{error:?}");
        assert_eq!(machine.stored(), None);
    }
}

#[test]
fn failures_that_pass_delete_nothing() {
    let cases: Vec<fn() -> Reply> = vec![
        || Reply::Drop,
        || Reply::text(500, "oops"),
        || Reply::json(429, json!({"error": "rate_limited"})),
        || Reply::json(409, json!({"error": "refresh_replay_benign_retry", "retry_after": 0})),
        || Reply::json(400, json!({"error": "invalid_request"})),
        || Reply::json(200, json!({"access_token": ""})),
        || Reply::json(200, json!({})),
        || Reply::text(200, "<html>"),
    ];
    for case in cases {
        let stub = ScriptedServer::start(move |_, _| case());
        let before = expired(&stub.url());
        let machine = ready(&stub, &before);
        let context = machine.context();
        let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
        assert!(matches!(error, TokenError::Refresh(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("ref-1"), "{error:?}");
        assert_eq!(machine.stored(), Some(before));
    }
}

/// A server that lets another process change the stored session while it answers a refresh.
fn interrupted(
    answer: impl Fn() -> Reply + Send + Sync + 'static,
) -> (ScriptedServer, Arc<OnceLock<Change>>) {
    let change: Arc<OnceLock<Change>> = Arc::default();
    let script = change.clone();
    let stub = ScriptedServer::start(move |_, _| {
        if let Some(change) = script.get() {
            change();
        }
        answer()
    });
    (stub, change)
}

type Change = Box<dyn Fn() + Send + Sync>;

#[test]
fn session_changed_during_refresh_is_kept() {
    let answers: [fn() -> Reply; 3] = [
        || Reply::json(200, renewed()),
        || Reply::json(400, json!({"error": "invalid_grant"})),
        || Reply::json(409, json!({"error": "refresh_replay_benign_retry"})),
    ];
    for answer in answers {
        // Refreshed by another process: adopted.
        let (stub, change) = interrupted(answer);
        let machine = Arc::new(ready(&stub, &expired(&stub.url())));
        let newer = Session {
            access_token: Secret::new("acc-7"),
            refresh_token: Secret::new("ref-7"),
            ..session(&stub.url())
        };
        let (writer, written) = (machine.clone(), newer.clone());
        let _ = change.set(Box::new(move || {
            writer.store(&written);
        }));
        let context = machine.context();
        assert_eq!(shown(&TokenSource::for_login(&context).unwrap().bearer().unwrap()), "Bearer acc-7");
        assert_eq!(machine.stored(), Some(newer));

        // Logged out: stays logged out.
        let (stub, change) = interrupted(answer);
        let machine = Arc::new(ready(&stub, &expired(&stub.url())));
        let writer = machine.clone();
        let _ = change.set(Box::new(move || writer.context().sessions().delete().unwrap()));
        let context = machine.context();
        let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
        assert!(matches!(error, TokenError::IdentityChanged(_)), "{error:?}");
        assert_eq!(machine.stored(), None);

        // Another account: left alone, and not used.
        let (stub, change) = interrupted(answer);
        let machine = Arc::new(ready(&stub, &expired(&stub.url())));
        let other =
            Session { email: "other@example.com".into(), session_id: "s2".into(), ..session(&stub.url()) };
        let (writer, written) = (machine.clone(), other.clone());
        let _ = change.set(Box::new(move || {
            writer.store(&written);
        }));
        let context = machine.context();
        let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
        assert!(matches!(error, TokenError::IdentityChanged(_)), "{error:?}");
        assert_eq!(machine.stored(), Some(other));
    }
}

#[test]
fn token_of_an_unknown_or_other_issuer_is_not_sent() {
    let stub = rotating();
    for issuer in [None, Some("https://elsewhere.example".to_owned())] {
        let machine = ready(&stub, &Session { issuer, ..session(&stub.url()) });
        let context = machine.context();
        let error = TokenSource::for_login(&context).map(|_| ()).unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            (Some("SYNC_TOKEN_HOST"), contract::ExitCode::Refused),
            "{error:?}"
        );
    }
    let machine = machine();
    machine.store(&session("https://elsewhere.example"));
    let context = machine.context();
    let error = TokenSource::for_login(&context).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Some("SYNC_SERVER_UNSET"), "{error:?}");
    assert!(stub.seen().is_empty());
}

#[test]
fn refresh_token_is_sent_to_its_issuer_only() {
    let issuer = rotating();
    let other = ScriptedServer::start(|_, _| Reply::json(200, json!({})));
    let machine = machine();
    let port = other.url().rsplit(':').next().unwrap().to_owned();
    std::fs::create_dir_all(machine.home().root()).unwrap();
    std::fs::write(
        machine.home().config_file(),
        format!("[sync]\nserver_url = \"{}\"\ntoken_host = \"127.0.0.1:{port}\"\n", other.url()),
    )
    .unwrap();
    machine.store(&expired(&issuer.url()));
    let context = machine.context();
    assert_eq!(shown(&TokenSource::for_login(&context).unwrap().bearer().unwrap()), "Bearer acc-2");
    assert_eq!((issuer.seen().len(), other.seen().len()), (1, 0));
}

#[test]
fn changed_account_gets_no_second_token() {
    let stub = rotating();
    let machine = ready(&stub, &session(&stub.url()));
    let context = machine.context();
    let other_user = || Session { email: "x@example.com".into(), ..session(&stub.url()) };
    let changes: [(&str, &dyn Fn()); 4] = [
        ("user", &|| {
            machine.store(&other_user());
        }),
        ("team", &|| {
            delivery::auth::switch_team(&machine.context(), "PT-2").unwrap();
        }),
        ("server", &|| {
            machine.configure("http://127.0.0.1:9");
        }),
        ("logged out", &|| machine.context().sessions().delete().unwrap()),
    ];
    for (what, change) in changes {
        machine.configure(&stub.url()).store(&session(&stub.url()));
        let mut source = TokenSource::for_login(&context).unwrap();
        source.bearer().unwrap();
        change();
        for error in [source.bearer().unwrap_err(), source.renewed_bearer().unwrap_err()] {
            assert!(
                matches!(error, TokenError::IdentityChanged(_) | TokenError::TokenHost { .. }),
                "{what}: {error:?}"
            );
        }
    }
    assert!(stub.seen().is_empty());
}

#[test]
fn server_may_be_written_in_any_of_its_spellings() {
    for url in [
        "https://Example.invalid:443/",
        "HTTPS://example.invalid//",
        "https://example.invalid/a/../b",
        "https://b\u{fc}cher.invalid",
    ] {
        let machine = machine();
        machine.configure(url).store(&session(url));
        let context = machine.context();
        let mut source = TokenSource::for_login(&context).unwrap();
        assert_eq!(shown(&source.bearer().unwrap()), "Bearer acc-1", "{url}");
    }
}

#[test]
fn ci_token_is_sent_as_it_is_and_never_refreshed() {
    let stub = rotating();
    let token = contract::wire::CiToken::new("ci@example.com", "PT-9", "s3cret").expose();
    let machine = machine_with(&[("SPEC_KITTY_TOKEN", &token), ("SPEC_KITTY_SERVER_URL", &stub.url())]);
    let context = machine.context();
    let mut source = TokenSource::for_login(&context).unwrap();
    assert_eq!(shown(&source.bearer().unwrap()), format!("Bearer {token}"));
    let error = source.renewed_bearer().unwrap_err();
    assert!(matches!(error, TokenError::CiToken { variable: "SPEC_KITTY_TOKEN", .. }), "{error:?}");
    assert!(!format!("{error} {error:?} {source:?}").contains("s3cret"));
    assert!(stub.seen().is_empty());
}

#[test]
fn login_while_another_process_refreshes_wins() {
    let (stub, change) = interrupted(|| Reply::json(200, renewed()));
    let machine = Arc::new(ready(&stub, &expired(&stub.url())));
    let fresh = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/oauth/device" => Reply::json(
            200,
            json!({"device_code": "d", "user_code": "ABCD", "verification_uri": "https://h.example"}),
        ),
        "/oauth/token" => {
            Reply::json(200, json!({"access_token": "new", "refresh_token": "new-r", "session_id": "s5"}))
        }
        _ => Reply::json(
            200,
            json!({"user_id": "u", "email": "dev@example.com", "teams": [{"id": "PT-1", "is_private_teamspace": true}]}),
        ),
    });
    let (writer, url) = (machine.clone(), fresh.url());
    let _ = change.set(Box::new(move || {
        log_in(&writer.context(), Some(&url), LoginMethod::Device, &mut User::default()).unwrap();
    }));
    let context = machine.context();
    let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
    assert!(
        matches!(error, TokenError::IdentityChanged(_) | TokenError::Refresh(RefreshError::Later(_))),
        "{error:?}"
    );
    assert_eq!(machine.stored().unwrap().refresh_token.expose(), "new-r");
}

#[test]
fn team_chosen_during_refresh_is_kept_with_new_tokens() {
    let (stub, change) = interrupted(|| Reply::json(200, renewed()));
    let machine = Arc::new(ready(&stub, &expired(&stub.url())));
    let chooser = machine.clone();
    let _ = change.set(Box::new(move || {
        switch_team(&chooser.context(), "PT-2").unwrap();
    }));
    let context = machine.context();
    let error = TokenSource::for_login(&context).unwrap().bearer().unwrap_err();
    assert!(matches!(error, TokenError::IdentityChanged(_)), "no token for another team: {error:?}");
    let stored = machine.stored().unwrap();
    assert_eq!(stored.private_team().unwrap().id, "PT-2");
    let ids: Vec<&str> = stored.teams.iter().map(|team| team.id.as_str()).collect();
    assert_eq!(ids, ["PT-2", "shared", "PT-1"]);
    assert_eq!((stored.access_token.expose(), stored.refresh_token.expose()), ("acc-2", "ref-2"));
    // The rotated token was not lost: the new team is used without another request.
    assert_eq!(shown(&TokenSource::for_login(&context).unwrap().bearer().unwrap()), "Bearer acc-2");
    assert_eq!(stub.seen_at("/oauth/token").len(), 1);
}
