//! Logging in, out, and from one team to another.

use crate::machine::{Machine, User, machine, machine_with, session};
use contract::ExitCode;
use delivery::auth::{LoginError, LoginMethod, Revoked, SwitchError, log_in, log_out, switch_team};
use identity::{Config, LoginSource, read_login};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

pub fn me() -> Value {
    json!({"user_id": "u1", "email": "Dev@Example.com", "name": "Dev", "teams": [
        {"id": "shared", "name": "Shared", "role": "member", "is_private_teamspace": false},
        {"id": "PT-1", "name": "Private", "role": "owner", "is_private_teamspace": true}]})
}

pub fn grant() -> Value {
    json!({"access_token": "acc-secret", "refresh_token": "ref-secret", "expires_in": 3600, "session_id": "s9",
        "token_type": "Bearer", "generation": 1})
}

fn device() -> Value {
    json!({"device_code": "dev-secret", "user_code": "ABCDEFGH", "verification_uri": "https://h.example/device",
        "expires_in": 900, "interval": 5})
}

/// A server whose device code is answered by `polls`, one after the other.
fn server(polls: Vec<Reply>) -> ScriptedServer {
    let polls = Mutex::new(polls.into_iter());
    ScriptedServer::start(move |seen, _| match seen.path.as_str() {
        "/oauth/device" => Reply::json(200, device()),
        "/oauth/token" => polls.lock().unwrap().next().unwrap_or(Reply::json(200, grant())),
        "/api/v1/me" if seen.header("authorization") == Some("Bearer acc-secret") => Reply::json(200, me()),
        "/oauth/revoke" => Reply::json(200, json!({"revoked": true})),
        _ => Reply::json(404, json!({})),
    })
}

fn oauth_error(status: u16, word: &str) -> Reply {
    Reply::json(status, json!({"error": word}))
}

#[test]
fn device_login_polls_at_the_given_interval_and_stores_identity() {
    let stub = server(vec![
        oauth_error(400, "authorization_pending"),
        oauth_error(400, "slow_down"),
        Reply::text(503, "busy"),
        Reply::Drop,
        oauth_error(400, "authorization_pending"),
    ]);
    let machine = machine();
    let mut user = User::default();
    let url = format!("{}/", stub.url());
    let report = log_in(&machine.context(), Some(&url), LoginMethod::Device, &mut user).unwrap();

    assert_eq!(user.shown, ["ABCD-EFGH https://h.example/device"]);
    let pauses: Vec<u64> = user.pauses.iter().map(std::time::Duration::as_secs).collect();
    assert_eq!(pauses, [5, 5, 10, 10, 10, 10], "five, then five more after slow_down, never above ten");
    assert_eq!((report.email.as_str(), report.wrote_server_url), ("Dev@Example.com", true));
    let stored = machine.stored().unwrap();
    assert_eq!(stored.issuer.as_deref(), Some(stub.url().as_str()));
    assert_eq!((stored.access_token.expose(), stored.auth_method.as_str()), ("acc-secret", "device_code"));
    let config = Config::read(&machine.home()).unwrap();
    assert_eq!(config.server_url.as_deref(), Some(stub.url().as_str()));
    let login = read_login(&machine.home(), &config, &machine.environment());
    assert!(login.authenticated && login.source == LoginSource::Session);
    assert_eq!(login.session_cache, identity::SessionCacheUse::Used, "the login left a valid session cache");
    assert_eq!(login.scope, report.scope);
    let first = &stub.seen()[0];
    assert_eq!(
        (first.field("client_id").as_deref(), first.field("scope").as_deref()),
        (Some("cli_native"), Some("offline_access"))
    );
    let host = system::machine::Machine::observe().hostname;
    assert_eq!(first.field("machine"), Some(host), "the approval page names the machine");
    let poll = &stub.seen_at("/oauth/token")[0];
    assert_eq!(poll.field("grant_type").as_deref(), Some("urn:ietf:params:oauth:grant-type:device_code"));
    assert_eq!(poll.field("device_code").as_deref(), Some("dev-secret"));
    let debug = format!("{report:?} {stored:?}");
    assert!(!debug.contains("secret"), "{debug}");
}

#[test]
fn without_a_server_nothing_is_sent_and_nothing_is_written() {
    let machine = machine();
    let before = machine.files();
    let error = log_in(&machine.context(), None, LoginMethod::Device, &mut User::default()).unwrap_err();
    assert_eq!((error.code(), error.exit()), (Some("SYNC_SERVER_UNSET"), ExitCode::Refused));
    assert!(error.remedy().is_some());
    let packaged = Some("https://spec-kitty-dev.fly.dev");
    let error = log_in(&machine.context(), packaged, LoginMethod::Device, &mut User::default()).unwrap_err();
    assert_eq!(error.code(), Some("SYNC_SERVER_UNSET"));
    assert_eq!(machine.files(), before);
}

#[test]
fn login_that_fails_changes_no_file() {
    type Check = fn(&LoginError) -> bool;
    let cases: Vec<(Vec<Reply>, Check)> = vec![
        (vec![oauth_error(400, "access_denied")], |e| matches!(e, LoginError::Denied { .. })),
        (vec![oauth_error(400, "expired_token")], |e| matches!(e, LoginError::Expired { .. })),
        (vec![oauth_error(400, "invalid_client")], |e| matches!(e, LoginError::OAuth(_))),
        (vec![Reply::text(404, "<html>")], |e| matches!(e, LoginError::OAuth(_))),
        (vec![Reply::json(200, json!({"token": 1}))], |e| matches!(e, LoginError::OAuth(_))),
        (vec![Reply::json(200, json!({"access_token": "acc-secret"}))], |e| {
            matches!(e, LoginError::Grant { .. })
        }),
        (
            vec![Reply::json(200, json!({"access_token": "other", "refresh_token": "r", "session_id": "s"}))],
            |e| matches!(e, LoginError::Account { .. }),
        ),
        (
            vec![Reply::json(200, json!({"access_token": "a\nb", "refresh_token": "r", "session_id": "s"}))],
            |e| matches!(e, LoginError::OAuth(_)),
        ),
    ];
    for (polls, check) in cases {
        let stub = server(polls);
        let machine = machine();
        let before = machine.files();
        let error = log_in(&machine.context(), Some(&stub.url()), LoginMethod::Device, &mut User::default())
            .unwrap_err();
        assert!(check(&error), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        assert_eq!(machine.files(), before, "{error}");
    }
}

#[test]
fn unapproved_device_code_expires() {
    let stub = ScriptedServer::start(|seen, _| match seen.path.as_str() {
        "/oauth/device" => Reply::json(200, device()),
        _ => oauth_error(400, "authorization_pending"),
    });
    let machine = machine();
    let mut user = User::default();
    let error = log_in(&machine.context(), Some(&stub.url()), LoginMethod::Device, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::Expired { .. }), "{error:?}");
    assert_eq!(user.pauses.len(), 900 / 5);
    let mut user = User { patience: Some(2), ..User::default() };
    let error = log_in(&machine.context(), Some(&stub.url()), LoginMethod::Device, &mut user).unwrap_err();
    assert_eq!(error.exit(), ExitCode::Interrupted);
}

#[test]
fn page_that_is_no_web_page_is_never_shown() {
    let stub = ScriptedServer::start(|_, _| {
        let mut start = device();
        start["verification_uri"] = json!("file:///etc/passwd");
        Reply::json(200, start)
    });
    let mut user = User::default();
    let error = log_in(&machine().context(), Some(&stub.url()), LoginMethod::Device, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::Grant { .. }) && user.shown.is_empty(), "{error:?}");
}

#[test]
fn second_login_keeps_server_and_names_the_old_scope() {
    let stub = server(vec![]);
    let machine = machine();
    machine.configure("https://old.example").store(&session("https://old.example"));
    let before =
        read_login(&machine.home(), &Config::read(&machine.home()).unwrap(), &machine.environment()).scope;
    let report =
        log_in(&machine.context(), Some(&stub.url()), LoginMethod::Device, &mut User::default()).unwrap();
    assert_eq!(report.previous_scope, before);
    assert!(report.scope.is_some() && report.scope != before);
    let again = log_in(&machine.context(), None, LoginMethod::Device, &mut User::default()).unwrap();
    assert!(!again.wrote_server_url && again.previous_scope == report.scope);
}

/// Sends one request line to the login's loopback end and reads what it answers.
fn knock(redirect_uri: &str, target: &str) -> String {
    let url = url::Url::parse(redirect_uri).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// A browser that visits the login's loopback end with what `visits` makes of the state. It runs beside
/// the login, as a browser does; it keeps an idle connection open meanwhile, as browsers do too.
fn browser(visits: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> (User, Arc<Mutex<Vec<String>>>) {
    let answers = Arc::new(Mutex::new(Vec::new()));
    let visits = Arc::new(visits);
    let log = answers.clone();
    let open = move |url: &str| {
        let url = url::Url::parse(url).unwrap();
        let field = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let (redirect_uri, state) = (field("redirect_uri"), field("state"));
        let (visits, log) = (visits.clone(), log.clone());
        std::thread::spawn(move || {
            let port = url::Url::parse(&redirect_uri).unwrap().port().unwrap();
            let _idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for target in visits(&state) {
                let answer = knock(&redirect_uri, &target);
                log.lock().unwrap().push(answer);
            }
        });
    };
    (User { browser: Some(Box::new(open)), sleeps: true, ..User::default() }, answers)
}

#[test]
fn browser_login_survives_invalid_callbacks() {
    let stub = server(vec![]);
    let machine = machine();
    let (mut user, answers) = browser(|state| {
        vec![
            "/favicon.ico".to_owned(),
            "/callback?code=stolen&state=guess".to_owned(),
            "/callback?error=access_denied".to_owned(),
            format!("/callback?state={state}"),
            format!("/callback?code=c%20ode&state={state}"),
        ]
    });
    log_in(&machine.context(), Some(&stub.url()), LoginMethod::Browser, &mut user).unwrap();
    let exchange = &stub.seen_at("/oauth/token")[0];
    assert_eq!(exchange.field("code").as_deref(), Some("c ode"));
    let shown = url::Url::parse(&user.shown[0]).unwrap();
    let asked = |name: &str| shown.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let verifier = exchange.field("code_verifier").unwrap();
    assert_eq!(contract::wire::oauth::challenge(&verifier), asked("code_challenge"));
    assert_eq!(
        (verifier.len(), asked("state").len(), asked("code_challenge_method").as_str()),
        (43, 43, "S256")
    );
    assert_eq!(exchange.field("redirect_uri").as_deref(), Some(asked("redirect_uri").as_str()));
    assert!(contract::wire::oauth::is_loopback_callback(&asked("redirect_uri")));
    assert_eq!(machine.stored().unwrap().auth_method, "authorization_code");
    let answers = answers.lock().unwrap();
    assert!(
        answers[0].contains(" 404 ") && answers[1].contains(" 400 ") && answers[3].contains(" 400 "),
        "{answers:?}"
    );
}

#[test]
fn refusal_in_the_browser_counts_only_with_the_state() {
    let stub = server(vec![]);
    let (mut user, _) = browser(|state| vec![format!("/callback?error=access_denied&state={state}")]);
    let error = log_in(&machine().context(), Some(&stub.url()), LoginMethod::Browser, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::Denied { .. }), "{error:?}");
    assert!(stub.seen_at("/oauth/token").is_empty());
}

/// Issue 8, item 23.
#[test]
fn browser_login_probes_its_server_before_the_browser_opens() {
    let stub = server(vec![]);
    let url = stub.url();
    drop(stub);
    let mut user = User { browser: Some(Box::new(|_| panic!("opened"))), ..User::default() };
    let error = log_in(&machine().context(), Some(&url), LoginMethod::Browser, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::NoServer { .. }), "{error:?}");
    assert!(user.shown.is_empty() && error.to_string().contains("no server answers"), "{error}");

    let page = ScriptedServer::start(|_, _| Reply::text(200, "<html>Please log in</html>"));
    let error = log_in(&machine().context(), Some(&page.url()), LoginMethod::Browser, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::NotAServer { .. }), "{error:?}");
    assert!(user.shown.is_empty() && error.to_string().contains("is not a Spec Kitty server"), "{error}");
}

#[test]
fn absent_browser_fails_at_once_and_silent_one_in_time() {
    let stub = server(vec![]);
    let mut user = User { browser: Some(Box::new(|_| {})), ..User::default() };
    let error = log_in(&machine().context(), Some(&stub.url()), LoginMethod::Browser, &mut user).unwrap_err();
    assert!(matches!(error, LoginError::Expired { .. }), "{error:?}");
    let error = log_in(&machine().context(), Some(&stub.url()), LoginMethod::Browser, &mut User::default())
        .unwrap_err();
    assert!(error.to_string().contains("--headless"), "{error}");
}

#[test]
fn logout_deletes_first_and_tells_the_issuer() {
    let stub = server(vec![]);
    let machine = machine();
    machine.configure(&stub.url()).store(&session(&stub.url()));
    let report = log_out(&machine.context(), true).unwrap();
    assert_eq!((report.had_session, report.revoked), (true, Revoked::Yes));
    assert_eq!(machine.stored(), None);
    let seen: Vec<ScriptedRequest> = stub.seen();
    assert_eq!((seen[0].path.as_str(), seen[0].field("token").as_deref()), ("/oauth/revoke", Some("ref-1")));
    assert_eq!(seen[0].header("authorization"), None);
}

#[test]
fn logout_works_without_a_server_and_with_a_broken_session() {
    let machine = machine();
    assert!(!log_out(&machine.context(), true).unwrap().had_session);
    machine.store(&session("http://127.0.0.1:9"));
    assert!(matches!(log_out(&machine.context(), true).unwrap().revoked, Revoked::No(_)));
    machine.store(&session("http://127.0.0.1:9"));
    assert!(matches!(log_out(&machine.context(), false).unwrap().revoked, Revoked::NotAsked(_)));
    machine.store(&session("http://127.0.0.1:9"));
    std::fs::write(machine.home().session_file(), b"not a session").unwrap();
    let report = log_out(&machine.context(), true).unwrap();
    assert!(report.had_session && !machine.home().session_file().exists());
}

#[test]
fn switching_stores_the_chosen_team_first_and_sends_nothing() {
    let machine = machine();
    machine.configure("http://127.0.0.1:9").store(&session("http://127.0.0.1:9"));
    let switched = switch_team(&machine.context(), "pt-2").unwrap();
    assert_eq!(
        (switched.from.unwrap().id.as_str(), switched.to.id.as_str(), switched.changed),
        ("PT-1", "PT-2", true)
    );
    assert_ne!(switched.previous_scope, switched.scope);
    let stored = machine.stored().unwrap();
    let ids: Vec<&str> = stored.teams.iter().map(|team| team.id.as_str()).collect();
    assert_eq!((ids, stored.default_team_id.as_str()), (vec!["PT-2", "shared", "PT-1"], "PT-2"));
    let before = machine.files();
    assert!(!switch_team(&machine.context(), "Team PT-2").unwrap().changed);
    assert!(matches!(switch_team(&machine.context(), "shared"), Err(SwitchError::Unknown { .. })));
    assert_eq!(machine.files(), before);
}

#[test]
fn ci_token_and_no_login_cannot_switch_teams() {
    let logged_out = switch_team(&machine().context(), "PT-1").unwrap_err();
    assert_eq!(logged_out.exit(), ExitCode::Refused);
    let token = contract::wire::CiToken::new("ci@example.com", "PT-9", "s3cret").expose();
    let machine =
        machine_with(&[("SPEC_KITTY_TOKEN", &token), ("SPEC_KITTY_SERVER_URL", "http://127.0.0.1:9")]);
    assert!(matches!(switch_team(&machine.context(), "PT-1"), Err(SwitchError::CiToken)));
}

#[test]
fn switch_in_a_session_that_cannot_be_read_names_the_file() {
    let stub = ScriptedServer::start(|_, _| Reply::json(200, json!({})));
    let machine = machine();
    machine.configure(&stub.url()).store(&session(&stub.url()));
    let file = machine.context().home.session_file();
    std::fs::write(&file, "{").unwrap();
    let error = switch_team(&machine.context(), "PT-1").unwrap_err();
    assert_eq!(error.exit(), ExitCode::Refused);
    assert!(error.to_string().starts_with(&*file.to_string_lossy()), "{error}");
}
