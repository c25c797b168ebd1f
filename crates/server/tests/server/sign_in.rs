//! Sign-in, sign-out, and the person's own account, as a browser shows them.

use super::browser::{ACCEPT, Browser, form_key, set_cookie};
use super::client::{post_form, send};
use super::world::{EMAIL, TEAM, World, hasty};
use contract::wire::endpoint;
use server::{Admin, Handle, Lifetimes, ServerConfig, ServerLimits};
use std::time::Duration;

const BEA: &str = "bea@example.com";

fn world() -> World {
    World::with(ServerLimits::default(), hasty())
}

#[test]
fn person_signs_in_and_out() {
    let world = world();
    let asked = send(world.address(), "GET", "/account?x=1&y=2", &[ACCEPT], &[]);
    let target = "/sign-in?next=%2Faccount%3Fx%3D1%26y%3D2";
    assert_eq!((asked.status, asked.header("location")), (303, Some(target)));
    let answer = Browser::try_sign_in(&world, EMAIL, &world.secret, "%2Faccount%3Fx%3D1%26y%3D2");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/account?x=1&y=2")));
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");

    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let page = browser.get("/account");
    assert_eq!(page.status, 200);
    for part in [EMAIL, TEAM, "<title>Account - Spec Kitty</title>", "<h1>Account</h1>", "this browser"] {
        assert!(page.text().contains(part), "{part} in {}", page.text());
    }
    assert_eq!(browser.get("/sign-in").status, 303, "who is signed in is not asked again");
    let out = browser.post(&page, "/sign-out", &[]);
    assert_eq!((out.status, out.header("location")), (303, Some("/sign-in")));
    assert!(out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(browser.get("/account").status, 303);
}

#[test]
fn sign_in_returns_to_own_paths_only() {
    let world = world();
    for next in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2Fsign-in"] {
        let answer = Browser::try_sign_in(&world, EMAIL, &world.secret, next);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/missions")), "{next}");
    }
}

#[test]
fn guesses_at_both_forms_are_counted_together() {
    let world = World::with(ServerLimits { wrong_secrets: 2, ..ServerLimits::default() }, hasty());
    let wrong = Browser::try_sign_in(&world, EMAIL, "wrong", "");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("role=\"alert\"") && wrong.text().contains(EMAIL), "{}", wrong.text());
    let device = world.start_device();
    assert_eq!(world.answer_device(&device, "wrong", "approve").status, 401);
    let slowed = Browser::try_sign_in(&world, EMAIL, &world.secret, "");
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").is_some());
}

#[test]
fn cookie_and_bearer_token_are_not_exchangeable() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let value = browser.cookie.split_once('=').expect("a cookie").1;
    assert_eq!(world.get(value, endpoint::ME).status, 401);
    let access = world.access(EMAIL, &world.secret);
    let cookie = format!("spec_kitty_session={access}");
    assert_eq!(send(world.address(), "GET", "/account", &[("Cookie", &cookie)], &[]).status, 401);
    assert_eq!(browser.get("/account").status, 200);
}

#[test]
fn approval_asks_for_the_secret_always() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let device = world.start_device();
    let code = device["user_code"].as_str().expect("a code");
    let page = browser.get(&format!("/device?user_code={code}"));
    assert!(page.text().contains("name=\"secret\""), "{}", page.text());
    let form = super::client::hidden_fields(&page.text());
    let mut fields: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.extend([("email", EMAIL), ("decision", "approve")]);
    let cookies = format!("{}; {}", browser.cookie, set_cookie(&page));
    let answer = post_form(world.address(), "/device", &[("Cookie", &cookies)], &fields);
    assert_eq!(answer.status, 401);
}

#[test]
fn approval_page_names_the_machine_that_asks() {
    let world = world();
    let fields = [("client_id", "cli_native"), ("machine", "laptop <7>")];
    let agent = [("User-Agent", "spec-kitty/3.3.0")];
    let device = post_form(world.address(), endpoint::OAUTH_DEVICE, &agent, &fields).json();
    let path = format!("/device?user_code={}", device["user_code"].as_str().expect("a code"));
    let page = send(world.address(), "GET", &path, &[], &[]).text();
    for part in ["laptop &#60;7&#62;, spec-kitty/3.3.0", "127.0.0.1", "Requested at"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 200);
    assert_eq!(world.poll(device["device_code"].as_str().expect("a code")).status, 200);
    let account = Browser::sign_in(&world, EMAIL, &world.secret).get("/account").text();
    assert!(account.contains("laptop &#60;7&#62;, spec-kitty/3.3.0"), "{account}");
}

#[test]
fn form_without_the_key_changes_nothing() {
    let world = world();
    let (browser, other) =
        (Browser::sign_in(&world, EMAIL, &world.secret), Browser::sign_in(&world, EMAIL, &world.secret));
    let (key, own) = (form_key(&browser.get("/account")), format!("http://{}", world.address()));
    let attempts: [(&str, &str, &str); 4] = [
        ("", own.as_str(), browser.cookie.as_str()),
        (&key, "https://evil.example", &browser.cookie),
        (&key, "null", &browser.cookie),
        (&key, &own, &other.cookie),
    ];
    for (key, origin, cookie) in attempts {
        let headers = [ACCEPT, ("Cookie", cookie), ("Origin", origin)];
        let answer = post_form(world.address(), "/sign-out", &headers, &[("form_key", key)]);
        assert_eq!(answer.status, 403, "{key} {origin}");
        assert!(answer.text().contains("<h1>Not allowed</h1>"), "{}", answer.text());
    }
    assert_eq!((browser.get("/account").status, other.get("/account").status), (200, 200));
}

#[test]
fn session_ends_with_its_secret_and_account() {
    let world = world();
    let admin = world.admin();
    let secret = admin.create_account(BEA, Some("Bea"), None).expect("an account").approval_secret;
    let browser = Browser::sign_in(&world, BEA, secret.expose());
    assert_eq!(admin.sessions(Some(BEA), false).expect("sessions")[0].flow, "browser");
    let secret = admin.replace_secret(BEA).expect("a secret").approval_secret;
    assert_eq!(browser.get("/account").status, 303, "a new secret");
    let browser = Browser::sign_in(&world, BEA, secret.expose());
    admin.disable_account(BEA).expect("an account");
    assert_eq!(browser.get("/account").status, 303, "a disabled account");
    admin.enable_account(BEA).expect("an account");
    assert_eq!(browser.get("/account").status, 303, "enabling revives nothing");
    let browser = Browser::sign_in(&world, BEA, secret.expose());
    let session = admin.sessions(Some(BEA), false).expect("sessions").remove(0);
    assert!(admin.end_session(&session.session_id).expect("a store"));
    assert_eq!(browser.get("/account").status, 303, "an administrator");
}

#[test]
fn session_ends_when_idle_and_when_old() {
    let mut world = world();
    let ways: [fn(&mut Lifetimes); 2] =
        [|lives| lives.browser_idle = Duration::ZERO, |lives| lives.browser = Duration::ZERO];
    for shorten in ways {
        world.stop();
        world.change_lifetimes(|lives| {
            *lives = hasty();
            shorten(lives);
        });
        world.start();
        let browser = Browser::sign_in(&world, EMAIL, &world.secret);
        assert_eq!(browser.get("/account").status, 303);
    }
    world.stop();
    world.change_lifetimes(|lives| *lives = hasty());
    world.start();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let page = browser.get("/account").text();
    assert_eq!(page.matches("name=\"id\"").count(), 1, "ended sessions are deleted: {page}");
}

#[test]
fn cookie_of_a_server_with_tls_is_for_tls_only() {
    let data = tempfile::tempdir().expect("a directory");
    let admin = Admin::open(data.path()).expect("a store");
    let secret = admin.create_account(EMAIL, None, None).expect("an account").approval_secret;
    let mut config = ServerConfig::new(data.path());
    config.public_url = Some("HTTPS://sync.example.org".to_owned());
    let server = Handle::start(config).expect("a server");
    let page = send(server.address(), "GET", "/sign-in", &[], &[]);
    let cookie = page.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-spec_kitty_form=") && cookie.ends_with("; Secure"), "{cookie}");
    let (key, form_cookie) = (form_key(&page), set_cookie(&page));
    let headers = [("Cookie", form_cookie.as_str()), ("Origin", "https://sync.example.org")];
    let fields = [("form_key", key.as_str()), ("email", EMAIL), ("secret", secret.expose())];
    let answer = post_form(server.address(), "/sign-in", &headers, &fields);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-spec_kitty_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let cookie = set_cookie(&answer);
    let without_prefix = cookie.replace("__Host-", "");
    for (cookie, status) in [(cookie.as_str(), 200), (without_prefix.as_str(), 401)] {
        assert_eq!(send(server.address(), "GET", "/account", &[("Cookie", cookie)], &[]).status, status);
    }
    server.stop().expect("an orderly stop");
}

#[test]
fn scheme_counts_only_from_a_trusted_proxy() {
    let cookie = |world: &World, scheme: &str| {
        let headers = [ACCEPT, ("X-Forwarded-Proto", scheme)];
        let page = send(world.address(), "GET", "/sign-in", &headers, &[]);
        page.header("set-cookie").expect("a cookie").to_owned()
    };
    let trusting = World::behind_proxy(ServerLimits::default(), hasty());
    for scheme in ["https", "HTTPS", "http, https"] {
        let cookie = cookie(&trusting, scheme);
        assert!(cookie.starts_with("__Host-spec_kitty_form=") && cookie.ends_with("; Secure"), "{cookie}");
    }
    for (world, scheme) in [(&trusting, "http"), (&trusting, "https, http"), (&world(), "https")] {
        let cookie = cookie(world, scheme);
        assert!(cookie.starts_with("spec_kitty_form=") && !cookie.contains("Secure"), "{cookie}");
    }
    let device = trusting.ask_device(&[("X-Forwarded-Proto", "https")]).json();
    let page = device["verification_uri"].as_str().expect("an address");
    assert!(page.starts_with("https://"), "{page}");
}

#[test]
fn person_ends_own_sessions_and_tokens_only() {
    let world = world();
    let access = world.access(EMAIL, &world.secret);
    let token = world.token();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let (admin, (_, secret)) = (world.admin(), world.neighbour());
    let other = Browser::sign_in(&world, "other@example.com", &secret);
    let sessions = admin.sessions(Some(EMAIL), false).expect("sessions");
    let login = sessions.iter().find(|session| session.flow == "device_code").expect("a login");
    let of_client = login.session_id.as_str();
    let issued = admin.ci_tokens().expect("tokens").into_iter().find(|token| token.email == EMAIL);
    let token_id = issued.expect("a token").id;
    let own = [("/account/sessions/end", of_client), ("/account/tokens/revoke", token_id.as_str())];
    for (path, id) in own {
        let page = other.get("/account");
        assert!(!page.text().contains(id), "{}", page.text());
        assert_eq!(other.post(&page, path, &[("id", id)]).status, 404);
    }
    assert_eq!((world.get(&access, endpoint::ME).status, world.get(&token, endpoint::ME).status), (200, 200));
    for (path, id) in own {
        let page = browser.get("/account");
        assert!(page.text().contains(id), "{}", page.text());
        let done = browser.post(&page, path, &[("id", id)]);
        assert_eq!((done.status, done.header("location")), (303, Some("/account")));
        assert!(!browser.get("/account").text().contains(id));
    }
    assert_eq!((world.get(&access, endpoint::ME).status, world.get(&token, endpoint::ME).status), (401, 401));
}

#[test]
fn refusals_are_pages_for_browsers_only() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let cases = [
        ("GET", "/nowhere", 404, "Page not found"),
        ("GET", "/sign-out", 405, "Not possible here"),
        ("GET", "/api/v1/me", 401, "Not signed in"),
        ("POST", "/sign-out", 403, "Not allowed"),
    ];
    for (method, path, status, title) in cases {
        let cookie = ("Cookie", browser.cookie.as_str());
        let page = send(world.address(), method, path, &[ACCEPT, cookie], &[]);
        assert_eq!(page.status, status, "{path}");
        let id = page.header("x-request-id").expect("an id").to_owned();
        for part in [&format!("<h1>{title}</h1>"), &format!("<title>{title} - Spec Kitty</title>"), &id] {
            assert!(page.text().contains(part), "{part} in {}", page.text());
        }
        assert!(page.header("content-security-policy").is_some());
        assert_eq!(page.text().contains(">Sign in</a>"), status == 401, "{}", page.text());
        let json = send(world.address(), method, path, &[cookie], &[]);
        assert_eq!(json.status, status);
        assert!(json.json()["error_code"].is_string(), "{}", json.text());
    }
    let allowed = send(world.address(), "GET", "/sign-out", &[ACCEPT], &[]);
    assert!(allowed.text().contains(">Sign in</a>"), "without a session");
    assert_eq!(allowed.header("allow"), Some("POST"));
}

#[test]
fn stylesheet_is_cached_and_allowed() {
    let world = world();
    let page = send(world.address(), "GET", "/sign-in", &[ACCEPT], &[]);
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("style-src 'self'")));
    let text = page.text();
    let link = text.split("rel=\"stylesheet\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let style = send(world.address(), "GET", link.expect("a stylesheet"), &[], &[]);
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(style.header("cache-control").is_some_and(|kept| kept.contains("immutable")));
    let other = send(world.address(), "GET", "/assets/style.css?of-another-release", &[], &[]);
    assert_eq!(other.header("cache-control"), Some("no-cache"));
}

#[test]
fn access_log_has_no_cookie_and_no_form() {
    let mut world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let page = browser.get("/account?s3cret=1");
    let key = form_key(&page);
    let cookie = browser.cookie.clone();
    drop(browser);
    assert!(world.counter("requests_total{route=\"pages\"}") >= 3);
    let secret = world.secret.clone();
    world.stop();
    let log = world.log.text();
    let value = cookie.split_once('=').expect("a cookie").1;
    for hidden in [value, &key, &secret, "s3cret"] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
    assert!(log.contains("\"path\":\"/account\""), "{log}");
}
