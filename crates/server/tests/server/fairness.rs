//! One client that takes all it can get does not keep a second one out. These tests ask for answers,
//! not for times; `cargo bench -p spec-kitty-server --bench fairness` measures times.

use super::browser::Browser;
use super::client::{Answer, connect_from, exchange, request, send};
use super::world::{EMAIL, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Lifetimes, ServerLimits};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// So patient that only shares, never deadlines, can free a place.
fn patient() -> ServerLimits {
    let hour = Duration::from_secs(3600);
    ServerLimits { head_timeout: hour, body_timeout: hour, progress_grace: hour, ..ServerLimits::default() }
}

/// Events of the second account name its own team.
fn neighbours_event(n: u64) -> Value {
    let mut event = event(n);
    event["team_slug"] = "Team-2".into();
    event
}

/// Begins an upload and returns once the server reads its body: it asks for it with 100 Continue.
fn begin_upload(token: &str, mut stream: TcpStream) -> TcpStream {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nX-Team-Slug: {TEAM}\r\n\
         Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        endpoint::EVENTS_BATCH
    );
    stream.write_all(head.as_bytes()).expect("a connection");
    let mut answer = [0; 25];
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a connection");
    stream.read_exact(&mut answer).expect("a connection");
    assert!(answer.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&answer));
    stream.write_all(b"{").expect("a connection");
    stream
}

fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.address()).expect("a connection")
}

#[test]
fn slow_account_leaves_room_for_another() {
    let limits = ServerLimits { uploads_at_once: 8, uploads_per_account: 4, ..patient() };
    let world =
        World::with(ServerLimits { upload_wait: Duration::from_millis(300), ..limits }, Lifetimes::default());
    let (slow, (quick, _)) = (world.token(), world.neighbour());
    let _held: Vec<_> = (0..4).map(|_| begin_upload(&slow, connect(&world))).collect();
    let fifth = world.batch(&slow, TEAM, &[event(1)]);
    assert_eq!(fifth.status, 429, "its share is taken");
    assert!(fifth.header("retry-after").is_some());
    for n in 10..20 {
        assert_eq!(statuses(&world.batch(&quick, "Team-2", &[neighbours_event(n)])), ["success"]);
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs several loopback addresses, which only Linux has")]
fn slow_address_leaves_room_for_another() {
    let limits =
        ServerLimits { uploads_at_once: 4, uploads_per_account: 2, uploads_per_address: 3, ..patient() };
    let world = World::with(limits, Lifetimes::default());
    let (first, (second, _)) = (world.token(), world.neighbour());
    let uploads = [&first, &first, &second];
    let _held: Vec<_> =
        uploads.iter().map(|token| begin_upload(token, connect_from(world.address(), 2))).collect();
    let headers = [("Authorization", format!("Bearer {second}")), ("X-Team-Slug", "Team-2".to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = json!({"events": [neighbours_event(1)]}).to_string();
    let bytes = request(world.address(), "POST", endpoint::EVENTS_BATCH, &headers, body.as_bytes());
    let answer = exchange(connect_from(world.address(), 3), &bytes).expect("an answer");
    assert_eq!(statuses(&answer), ["success"]);
}

#[test]
fn upload_below_the_minimum_rate_times_out() {
    let limits = ServerLimits { progress_grace: Duration::from_millis(300), ..patient() };
    let world = World::with(limits, Lifetimes::default());
    let mut stream = begin_upload(&world.token(), connect(&world));
    let mut writer = stream.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        // Never silent, never done.
        while writer.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(stream);
    trickle.join().unwrap();
}

#[test]
fn idle_connections_are_closed_for_a_request() {
    let world =
        World::with(ServerLimits { connections: 16, connections_per_address: 16, ..patient() }, hasty());
    let token = world.token();
    let _idle: Vec<_> = (0..64).map(|_| connect(&world)).collect();
    // Some that began a head and never end it.
    let mut half: Vec<_> = (0..64).map(|_| connect(&world)).collect();
    for stream in &mut half {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nX: ");
    }
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    assert!(world.counter("connections_shed_total") >= 112);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs several loopback addresses, which only Linux has")]
fn idle_connections_of_many_addresses_are_closed() {
    let world =
        World::with(ServerLimits { connections: 16, connections_per_address: 4, ..patient() }, hasty());
    let token = world.token();
    let _idle: Vec<_> = (0..40).map(|at| connect_from(world.address(), 2 + at % 20)).collect();
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "needs several loopback addresses, which only Linux has")]
fn half_sent_forms_leave_connections_to_others() {
    let world =
        World::with(ServerLimits { connections: 8, connections_per_address: 4, ..patient() }, hasty());
    let half = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99\r\n\r\n",
        "/device"
    );
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = connect_from(world.address(), 2);
        stream.write_all(half.as_bytes()).unwrap();
        // The server reads the form: the connection serves a request and cannot give way.
        stream.read_exact(&mut [0; 25]).unwrap();
        held.push(stream);
    }
    let refused = exchange(connect_from(world.address(), 2), b"").expect("an answer");
    assert_eq!(refused.status, 429);
    let grant = world.login();
    assert!(grant["access_token"].is_string(), "another address logs in");
}

#[test]
fn account_over_its_share_gets_retry_after() {
    let limits = ServerLimits { requests_per_account: 3, uploads_per_account: 3, ..patient() };
    let world = World::with(limits, Lifetimes::default());
    let (slow, (quick, _)) = (world.token(), world.neighbour());
    let held: Vec<_> = (0..3).map(|_| begin_upload(&slow, connect(&world))).collect();
    assert_eq!(world.get(&slow, endpoint::ME).status, 429);
    assert_eq!(world.get(&quick, endpoint::ME).status, 200);
    drop(held);
    let again = until(|| (world.get(&slow, endpoint::ME).status == 200).then_some(()));
    assert!(again.is_some(), "a request that ended frees its place");
}

/// Tries for as long as a busy machine may need.
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    (0..600).find_map(|_| {
        let found = attempt();
        if found.is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        found
    })
}

#[test]
fn unread_answers_use_their_account_s_share() {
    let limits = ServerLimits { large_answers_per_account: 2, ..patient() };
    let mut world = World::with(limits, Lifetimes::default());
    let (slow, (quick, _)) = (world.token(), world.neighbour());
    // More than the buffers of a connection take.
    for n in 0..20 {
        let (path, content) = (format!("tasks/WP{n:02}.md"), format!("{n:02}").repeat(250_000));
        assert_eq!(statuses(&world.batch(&slow, TEAM, &[indexed(n, &path, &content)])), ["success"]);
        let pushed = world.push(&slow, &body_of(&path, &content));
        assert_eq!(pushed.status, 201, "{}", pushed.text());
    }
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let path = format!("{}?content=1", endpoint::INSPECT_BODIES);
    let authorization = format!("Bearer {slow}");
    // Two answers of which only the beginning is read.
    let unread = |world: &World| -> Vec<_> {
        let bytes = request(world.address(), "GET", &path, &[("Authorization", &authorization)], &[]);
        let answers = (0..2).map(|_| {
            let mut stream = connect(world);
            stream.write_all(&bytes).unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        });
        answers.collect()
    };
    let held = unread(&world);
    assert_eq!(world.get(&slow, &path).status, 429);
    assert_eq!(world.get(&quick, &path).status, 200);
    let missions = browser.get("/missions").text();
    let (_, mission) = missions.split_once("href=\"/missions/").expect("a mission");
    let mission = format!("/missions/{}", mission.split('"').next().unwrap());
    for page in [mission.clone(), format!("{mission}/events"), format!("{mission}/work-package?id=WP01")] {
        let refused = browser.get(&page);
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{page}");
        assert!(refused.text().contains("<h1>Too many requests</h1>"), "{}", refused.text());
    }
    drop(held);
    assert!(until(|| (browser.get(&mission).status == 200).then_some(())).is_some());
    assert!(until(|| (world.get(&slow, &path).status == 200).then_some(())).is_some());

    // A client that reads nothing is disconnected, and its place is free again.
    world.stop();
    world.change_limits(|limits| limits.progress_grace = Duration::from_millis(300));
    world.start();
    let _held = unread(&world);
    assert!(until(|| (world.get(&slow, &path).status == 200).then_some(())).is_some());
}

fn forwarded(address: &str) -> [(&str, &str); 1] {
    [("X-Forwarded-For", address)]
}

#[test]
fn device_requests_leave_logins_to_others() {
    let limits = ServerLimits { open_devices: 20, open_devices_per_address: 15, ..ServerLimits::default() };
    let world = World::behind_proxy(limits, hasty());
    let ask = |from: &str| world.ask_device(&forwarded(from));
    let other = ask("2001:db8:0:7::1").json();
    for n in 0..100 {
        // One machine has a whole /64.
        assert_eq!(ask(&format!("2001:db8:0:1::{n:x}")).status, 200, "its own oldest gives way");
    }
    for n in 0..10 {
        assert_eq!(ask(&format!("198.51.100.{n}")).status, 200);
    }
    let waiting = world.poll(other["device_code"].as_str().unwrap());
    assert_eq!(waiting.json()["error"], "authorization_pending", "{}", waiting.text());
    let approved = world.answer_device(&other, &world.secret, "approve");
    assert_eq!(approved.status, 200);
    assert_eq!(world.poll(other["device_code"].as_str().unwrap()).status, 200);
}

#[test]
fn open_requests_use_their_address_s_share() {
    let limits = ServerLimits { open_devices: 8, open_devices_per_address: 3, ..ServerLimits::default() };
    let world = World::behind_proxy(limits, hasty());
    let ask = |from: &str| world.ask_device(&forwarded(from));
    for _ in 0..3 {
        let code = ask("198.51.100.1").json()["user_code"].as_str().unwrap().to_owned();
        let page = send(world.address(), "GET", &format!("/device?user_code={code}"), &[], &[]);
        assert!(page.text().contains("Requested at"), "the page is open");
    }
    let fourth = ask("198.51.100.1");
    assert_eq!((fourth.status, &fourth.json()["error"]), (429, &json!("rate_limited")));
    assert_eq!(ask("198.51.100.2").status, 200);
}

#[test]
fn forwarded_address_counts_from_a_trusted_proxy() {
    let limits = ServerLimits { open_devices_per_address: 2, ..ServerLimits::default() };
    let opened = |world: &World, n: u8| {
        let answer = world.ask_device(&forwarded(&format!("198.51.100.{n}")));
        let code = answer.json()["user_code"].as_str().map(str::to_owned);
        if let Some(code) = code {
            send(world.address(), "GET", &format!("/device?user_code={code}"), &[], &[]);
        }
        answer.status
    };
    let trusting = World::behind_proxy(limits, hasty());
    assert_eq!((0..4).map(|n| opened(&trusting, n)).collect::<Vec<_>>(), [200, 200, 200, 200]);
    assert!(trusting.log.text().contains("\"peer\":\"198.51.100.3\""), "{}", trusting.log.text());
    let plain = World::with(limits, hasty());
    assert_eq!((0..4).map(|n| opened(&plain, n)).collect::<Vec<_>>(), [200, 200, 429, 429]);
    assert!(!plain.log.text().contains("198.51.100"), "{}", plain.log.text());
}

#[test]
fn parallel_guesses_have_the_same_limit() {
    let world = World::behind_proxy(ServerLimits { wrong_secrets: 5, ..ServerLimits::default() }, hasty());
    let device = world.start_device();
    let path = format!("/device?user_code={}", device["user_code"].as_str().unwrap());
    let page = send(world.address(), "GET", &path, &[], &[]);
    let guess = |secret: &str, from: &str| {
        world.answer_page_from(&page, endpoint::DEVICE_APPROVAL, [EMAIL, secret, "approve"], &forwarded(from))
    };
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..100)
            .map(|n| scope.spawn(move || guess(&format!("wrong-{n}"), "198.51.100.1").status))
            .collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(401), count(429)), (5, 95), "{statuses:?}");
    assert_eq!(guess(&world.secret, "198.51.100.1").status, 429, "the right one waits, too");
    assert_eq!(guess(&world.secret, "198.51.100.2").status, 200, "its owner elsewhere does not");
}

#[test]
fn guesses_at_many_accounts_slow_the_address() {
    let limits = ServerLimits { wrong_secrets_per_address: 4, ..ServerLimits::default() };
    let world = World::behind_proxy(limits, hasty());
    let device = world.start_device();
    let path = format!("/device?user_code={}", device["user_code"].as_str().unwrap());
    let page = send(world.address(), "GET", &path, &[], &[]);
    let guess = |email: &str, from: &str| {
        let typed = [email, "wrong", "approve"];
        world.answer_page_from(&page, endpoint::DEVICE_APPROVAL, typed, &forwarded(from)).status
    };
    let tried: Vec<u16> = (0..6).map(|n| guess(&format!("{n}@example.com"), "198.51.100.1")).collect();
    assert_eq!(tried, [401, 401, 401, 401, 429, 429]);
    assert_eq!(guess(EMAIL, "198.51.100.2"), 401);
}

#[test]
fn count_of_wrong_secrets_survives_a_restart() {
    let mut world = World::with(ServerLimits { wrong_secrets: 2, ..ServerLimits::default() }, hasty());
    let device = world.start_device();
    for _ in 0..2 {
        assert_eq!(world.answer_device(&device, "wrong", "approve").status, 401);
    }
    world.stop();
    world.start();
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 429);
}

#[test]
fn guessed_user_codes_slow_their_address() {
    let world = World::behind_proxy(ServerLimits { wrong_user_codes: 3, ..ServerLimits::default() }, hasty());
    let device = world.start_device();
    let look = |code: &str, from: &str| -> Answer {
        let path = format!("/device?user_code={code}");
        send(world.address(), "GET", &path, &forwarded(from), &[])
    };
    let known = device["user_code"].as_str().unwrap();
    for code in ["BBBBBBBB", "CCCCCCCC"] {
        assert_eq!(look(code, "198.51.100.1").status, 200);
        // A code that is known does not end the row.
        assert!(look(known, "198.51.100.1").text().contains("Requested at"));
    }
    assert_eq!(look("DDDDDDDD", "198.51.100.1").status, 200);
    let slowed = look(known, "198.51.100.1");
    assert_eq!(slowed.status, 429);
    assert!(slowed.header("retry-after").is_some() && !slowed.text().contains("Requested at"));
    assert!(look(known, "198.51.100.2").text().contains("Requested at"));
    let page = look(known, "198.51.100.2");
    let typed = [EMAIL, world.secret.as_str(), "approve"];
    let blocked = world.answer_page_from(&page, endpoint::DEVICE_APPROVAL, typed, &forwarded("198.51.100.1"));
    assert_eq!(blocked.status, 429, "the form is a guess, too");
}
