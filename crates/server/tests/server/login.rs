//! Logins end to end: device flow, PKCE, refresh, revocation, and the pages a person sees.

use super::client::{Answer, hidden_fields, post_form, send};
use super::world::{EMAIL, TEAM, World, event, form_body, hasty, statuses};
use contract::wire::{endpoint, oauth};
use serde_json::{Value, json};
use server::{Lifetimes, ServerLimits};
use std::time::Duration;

fn word(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap_or_default().to_owned()
}

fn token(grant: &Value, key: &str) -> String {
    grant[key].as_str().unwrap_or_else(|| panic!("{key} in {grant}")).to_owned()
}

#[test]
fn device_login_creates_a_session_that_can_send() {
    let world = World::with(ServerLimits::default(), hasty());
    let device = world.start_device();
    assert_eq!(device["expires_in"], 900);
    let page = device["verification_uri"].as_str().unwrap();
    assert_eq!(page, format!("http://{}/device", world.address()));
    assert!(device["verification_uri_complete"].as_str().unwrap().contains("user_code="));
    let code = token(&device, "device_code");
    let waiting = world.poll(&code);
    assert_eq!((waiting.status, word(&waiting)), (400, "authorization_pending".into()));
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 200);
    let grant = world.poll(&code).json();
    assert_eq!((&grant["token_type"], &grant["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert!(grant["refresh_token_expires_at"].is_string() && grant["generation"] == 1);
    let again = world.poll(&code);
    assert_eq!((again.status, word(&again)), (400, "expired_token".into()), "a code is used once");

    let access = token(&grant, "access_token");
    let me = world.get(&access, endpoint::ME).json();
    assert_eq!((&me["email"], &me["auth_flow"]), (&json!(EMAIL), &json!("device_code")));
    assert_eq!(
        me["teams"],
        json!([{"id": TEAM, "name": TEAM, "role": "owner", "is_private_teamspace": true}])
    );
    assert_eq!(me["session_id"], grant["session_id"]);
    let status = world.get(&access, endpoint::SESSION_STATUS).json();
    assert_eq!(
        status,
        json!({"session_id": grant["session_id"], "status": "active", "current_generation": 1})
    );
    assert_eq!(statuses(&world.batch(&access, TEAM, &[event(1)])), ["success"]);
}

#[test]
fn unapproved_devices_get_their_error() {
    let world = World::with(ServerLimits::default(), hasty());
    let device = world.start_device();
    assert_eq!(world.answer_device(&device, &world.secret, "deny").status, 200);
    assert_eq!(word(&world.poll(&token(&device, "device_code"))), "access_denied");
    let again = world.answer_device(&device, &world.secret, "approve");
    assert!([404, 409].contains(&again.status), "a decision stays");
    assert_eq!(word(&world.poll("skd_never-issued")), "invalid_grant");

    let brief = Lifetimes { device: Duration::from_millis(300), ..hasty() };
    let world = World::with(ServerLimits::default(), brief);
    let forgotten = world.start_device();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(word(&world.poll(&token(&forgotten, "device_code"))), "expired_token");
    assert_eq!(world.answer_device(&forgotten, &world.secret, "approve").status, 404);
}

#[test]
fn fast_poll_gets_slow_down() {
    let world = World::with(
        ServerLimits::default(),
        Lifetimes { device_interval: Duration::from_secs(60), ..hasty() },
    );
    let device = world.start_device();
    let code = token(&device, "device_code");
    assert_eq!(word(&world.poll(&code)), "authorization_pending");
    assert_eq!(word(&world.poll(&code)), "slow_down");
}

#[test]
fn approval_needs_the_secret_and_slows_guesses() {
    let world = World::with(ServerLimits { wrong_secrets: 2, ..ServerLimits::default() }, hasty());
    let device = world.start_device();
    for _ in 0..2 {
        assert_eq!(world.answer_device(&device, "wrong", "approve").status, 401);
    }
    let slowed = world.answer_device(&device, &world.secret, "approve");
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").is_some());
    assert_eq!(word(&world.poll(&token(&device, "device_code"))), "authorization_pending");
}

#[test]
fn new_secret_replaces_the_old_one() {
    let world = World::with(ServerLimits::default(), hasty());
    let replaced = world.admin().replace_secret(" DEV@example.com").unwrap().approval_secret;
    let device = world.start_device();
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 401);
    assert_eq!(world.answer_device(&device, replaced.expose(), "approve").status, 200);
}

#[test]
fn form_of_another_site_or_browser_is_refused() {
    let world = World::with(ServerLimits::default(), hasty());
    let device = world.start_device();
    let path = format!("/device?user_code={}", token(&device, "user_code"));
    let page = send(world.address(), "GET", &path, &[], &[]);
    let hidden = hidden_fields(&page.text());
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.extend([("email", EMAIL), ("secret", world.secret.as_str()), ("decision", "approve")]);
    let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let own = format!("http://{}", world.address());
    let attempts: [&[(&str, &str)]; 4] = [
        &[],
        &[("Cookie", "spec_kitty_form=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        &[("Cookie", &cookie), ("Origin", "https://evil.example")],
        &[("Cookie", &cookie), ("Origin", "null")],
    ];
    for headers in attempts {
        assert_eq!(post_form(world.address(), "/device", headers, &fields).status, 403, "{headers:?}");
    }
    let good = [("Cookie", cookie.as_str()), ("Origin", own.as_str())];
    assert_eq!(post_form(world.address(), "/device", &good, &fields).status, 200);
}

#[test]
fn pages_show_the_code_and_escape_input() {
    let world = World::with(ServerLimits::default(), hasty());
    let device = world.start_device();
    let code = token(&device, "user_code");
    let page = send(world.address(), "GET", &format!("/device?user_code={code}"), &[], &[]);
    assert!(page.text().contains(&oauth::shown_user_code(&code)), "{}", page.text());
    for (name, value) in
        [("x-frame-options", "DENY"), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
    {
        assert_eq!(page.header(name), Some(value));
    }
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let nasty = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [format!("/device?user_code={nasty}"), format!("/oauth/authorize?client_id={nasty}")] {
        let page = send(world.address(), "GET", &path, &[], &[]);
        assert!(!page.text().contains("<script"), "{}", page.text());
    }
    let hidden = hidden_fields(&page.text());
    assert!(hidden.iter().any(|(name, value)| name == "user_code" && *value == code));
}

pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CALLBACK: &str = "http://127.0.0.1:28891/callback";

pub(super) fn authorize(world: &World, changes: &[(&str, &str)]) -> Answer {
    let challenge = oauth::challenge(VERIFIER);
    let mut fields = vec![
        ("client_id", oauth::CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", oauth::SCOPE),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("state", "st4te"),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    let query = String::from_utf8(form_body(&fields)).expect("ASCII");
    send(world.address(), "GET", &format!("/oauth/authorize?{query}"), &[], &[])
}

pub(super) fn redeem(world: &World, code: &str, verifier: &str, callback: &str) -> Answer {
    let fields = [
        ("grant_type", oauth::GRANT_AUTHORIZATION_CODE),
        ("code", code),
        ("redirect_uri", callback),
        ("client_id", oauth::CLIENT_ID),
        ("code_verifier", verifier),
    ];
    post_form(world.address(), endpoint::OAUTH_TOKEN, &[], &fields)
}

pub(super) fn code_of(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let target = answer.header("location").expect("a redirect");
    assert!(target.starts_with(CALLBACK) && target.contains("state=st4te"), "{target}");
    target.split("code=").nth(1).and_then(|rest| rest.split('&').next()).unwrap_or_default().to_owned()
}

#[test]
fn browser_login_has_a_one_time_code() {
    let world = World::with(ServerLimits::default(), hasty());
    let page = authorize(&world, &[]);
    assert_eq!(page.status, 200);
    let redirect = world.answer_page(&page, "/oauth/authorize", EMAIL, &world.secret, "approve");
    let code = code_of(&redirect);
    let grant = redeem(&world, &code, VERIFIER, CALLBACK).json();
    let access = token(&grant, "access_token");
    assert_eq!(world.get(&access, endpoint::ME).json()["auth_flow"], "authorization_code");
    assert_eq!(word(&redeem(&world, &code, VERIFIER, CALLBACK)), "invalid_grant");
    assert_eq!(world.get(&access, endpoint::ME).status, 401, "a code seen twice ends its session");
}

#[test]
fn code_ends_with_a_wrong_verifier_or_callback() {
    let world = World::with(ServerLimits::default(), hasty());
    for (verifier, callback) in [("another-verifier", CALLBACK), (VERIFIER, "http://127.0.0.1:1/callback")] {
        let page = authorize(&world, &[]);
        let code = code_of(&world.answer_page(&page, "/oauth/authorize", EMAIL, &world.secret, "approve"));
        assert_eq!(word(&redeem(&world, &code, verifier, callback)), "invalid_grant");
        let right = redeem(&world, &code, VERIFIER, CALLBACK);
        assert_eq!((right.status, word(&right)), (400, "invalid_grant".into()), "{verifier} {callback}");
    }
}

#[test]
fn refused_browser_login_redirects_nowhere_else() {
    let world = World::with(ServerLimits::default(), hasty());
    let page = authorize(&world, &[]);
    let denied = world.answer_page(&page, "/oauth/authorize", EMAIL, "", "deny");
    assert_eq!(denied.status, 303);
    assert!(denied.header("location").unwrap().contains("error=access_denied"));
    for target in ["https://evil.example/callback", "http://127.0.0.1:1/elsewhere", ""] {
        let answer = authorize(&world, &[("redirect_uri", target)]);
        assert_eq!((answer.status, answer.header("location")), (400, None), "{target}");
    }
    assert_eq!(authorize(&world, &[("client_id", "other")]).header("location"), None);
    for change in
        [("response_type", "token"), ("code_challenge_method", "plain"), ("code_challenge", "short")]
    {
        let answer = authorize(&world, &[change]);
        assert!(answer.header("location").is_some_and(|target| target.starts_with(CALLBACK)), "{change:?}");
    }
    let wrong = world.answer_page(&page, "/oauth/authorize", EMAIL, "wrong", "approve");
    assert_eq!((wrong.status, wrong.header("location")), (401, None));
}

#[test]
fn early_replay_of_a_refresh_is_harmless() {
    let world = World::with(ServerLimits::default(), hasty());
    let first = world.login();
    let second = world.refresh(&token(&first, "refresh_token"));
    assert_eq!(second.status, 200);
    let second = second.json();
    assert_eq!((&second["session_id"], &second["generation"]), (&first["session_id"], &json!(2)));
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    let replay = world.refresh(&token(&first, "refresh_token"));
    assert_eq!((replay.status, word(&replay)), (409, "refresh_replay_benign_retry".into()));
    assert_eq!(replay.json()["retry_after"], 1);
    assert_eq!(world.refresh(&token(&second, "refresh_token")).status, 200, "the session lives on");
}

#[test]
fn lost_refresh_repeats_and_theft_ends_it() {
    let patient = Lifetimes { replay_grace: Duration::ZERO, ..hasty() };
    let world = World::with(ServerLimits::default(), patient);
    let first = world.login();
    let old = token(&first, "refresh_token");
    let lost = world.refresh(&old).json();
    let recovered = world.refresh(&old);
    assert_eq!(recovered.status, 200, "the successor never arrived: {}", recovered.text());
    let access = token(&recovered.json(), "access_token");
    assert_eq!(world.get(&access, endpoint::ME).status, 200);
    assert_eq!(world.get(&token(&lost, "access_token"), endpoint::ME).status, 401);

    // The first use of an access token is noted beside the request, so give it its moment.
    let mut stolen = world.refresh(&old);
    for _ in 0..100 {
        if stolen.status != 200 {
            break;
        }
        let next = token(&stolen.json(), "access_token");
        world.get(&next, endpoint::ME);
        std::thread::sleep(Duration::from_millis(20));
        stolen = world.refresh(&old);
    }
    assert_eq!((stolen.status, word(&stolen)), (400, "session_invalid".into()));
    assert_eq!(world.refresh(&token(&recovered.json(), "refresh_token")).status, 400);
    assert_eq!(world.get(&access, endpoint::ME).status, 401);
}

#[test]
fn revocation_ends_the_session_and_reports_it() {
    let world = World::with(ServerLimits::default(), hasty());
    let grant = world.login();
    let refresh = token(&grant, "refresh_token");
    let revoke = |token: &str| {
        let fields = [("token", token), ("token_type_hint", "refresh_token")];
        post_form(world.address(), endpoint::OAUTH_REVOKE, &[], &fields)
    };
    assert_eq!(revoke("skr_never-issued").json(), json!({"revoked": false}));
    assert_eq!(revoke(&refresh).json(), json!({"revoked": true}));
    assert_eq!(world.get(&token(&grant, "access_token"), endpoint::SESSION_STATUS).status, 401);
    let refused = world.refresh(&refresh);
    assert_eq!((refused.status, word(&refused)), (400, "session_invalid".into()));
    assert_eq!(revoke(&refresh).json(), json!({"revoked": true}), "still gone");
}

#[test]
fn tokens_expire_at_the_announced_time() {
    let short = Lifetimes {
        access_token: Duration::from_millis(200),
        refresh_token: Duration::from_millis(600),
        ..hasty()
    };
    let world = World::with(ServerLimits::default(), short);
    let grant = world.login();
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(world.get(&token(&grant, "access_token"), endpoint::ME).status, 401);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(word(&world.refresh(&token(&grant, "refresh_token"))), "invalid_grant");
}

#[test]
fn malformed_token_requests_get_an_oauth_error() {
    let world = World::with(ServerLimits::default(), hasty());
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "invalid_client"),
        (&[("client_id", "cli_native")], "unsupported_grant_type"),
        (&[("client_id", "cli_native"), ("grant_type", "password")], "unsupported_grant_type"),
        (&[("client_id", "cli_native"), ("grant_type", "refresh_token")], "invalid_request"),
        (
            &[("client_id", "cli_native"), ("grant_type", "authorization_code"), ("code", "x")],
            "invalid_request",
        ),
        (&[("client_id", "cli_native"), ("client_id", "cli_native")], "invalid_request"),
    ];
    for (fields, expected) in cases {
        let answer = post_form(world.address(), endpoint::OAUTH_TOKEN, &[], fields);
        assert_eq!((answer.status, word(&answer).as_str()), (400, expected), "{fields:?}");
    }
    let huge = "x".repeat(100_000);
    let answer = post_form(world.address(), endpoint::OAUTH_TOKEN, &[], &[("client_id", huge.as_str())]);
    assert_eq!(answer.status, 400);
}
