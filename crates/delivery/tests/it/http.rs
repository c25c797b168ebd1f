//! The client against a server that misbehaves.

use delivery::http::{Bearer, Client, ClientSettings, HttpRequest, Payload, SendError};
use delivery::server_address::ServerAddress;
use serde_json::json;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;
use testkit::scripted::{Reply, ScriptedServer};

fn client() -> Client {
    Client::new(&ClientSettings::new("9.9.9")).unwrap()
}

fn at(stub: &ScriptedServer) -> ServerAddress {
    ServerAddress::parse(&stub.url()).unwrap()
}

#[test]
fn every_request_names_client_and_contract() {
    let stub = ScriptedServer::start(|_, _| Reply::json(200, json!({"ok": true})));
    let bearer = Bearer::new("acc-1").unwrap();
    let request = HttpRequest { bearer: Some(&bearer), team: Some("pt-1"), ..HttpRequest::get("/a") };
    client().send(&at(&stub), &request).unwrap();
    client().send(&at(&stub), &HttpRequest::post("/b", Payload::Form(b"x=1"))).unwrap();
    client().send(&at(&stub), &HttpRequest::post("/c", Payload::Json(b"{}"))).unwrap();
    let seen = stub.seen();
    assert_eq!(seen.len(), 3);
    for seen in &seen {
        assert_eq!(seen.header("user-agent"), Some("spec-kitty/9.9.9"));
        assert!(seen.header("x-spec-kitty-contract").is_some(), "{seen:?}");
    }
    assert_eq!(
        (seen[0].header("authorization"), seen[0].header("x-team-slug")),
        (Some("Bearer acc-1"), Some("pt-1"))
    );
    assert_eq!(seen[1].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!((seen[1].header("authorization"), seen[2].header("x-team-slug")), (None, None));
}

#[test]
fn any_status_is_an_answer() {
    let stub = ScriptedServer::start(|_, n| {
        Reply::json([200, 400, 404, 429, 500][n], json!({"n": n})).with("Retry-After", "7")
    });
    for status in [200, 400, 404, 429, 500] {
        let answer = client().send(&at(&stub), &HttpRequest::get("/")).unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.retry_after.unwrap().from_now(jiff::Timestamp::now()).as_secs(), 7);
        assert!(answer.object().is_some());
    }
}

#[test]
fn redirect_to_another_host_gets_no_request_and_no_token() {
    let other = ScriptedServer::start(|_, _| Reply::json(200, json!({})));
    let target = other.url();
    let stub = ScriptedServer::start(move |_, _| {
        Reply::text(307, "").with("Location", &format!("{target}/steal?secret=1"))
    });
    let bearer = Bearer::new("acc-1").unwrap();
    for payload in [Payload::Get, Payload::Json(b"{}")] {
        let request = HttpRequest { bearer: Some(&bearer), ..HttpRequest::post("/a", payload) };
        let error = client().send(&at(&stub), &request).unwrap_err();
        assert!(matches!(error, SendError::Redirected { .. }));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
    assert!(other.seen().is_empty());
}

#[test]
fn redirect_at_the_same_host_is_followed_when_nothing_is_lost() {
    let stub = ScriptedServer::start(|seen, _| match (seen.path.as_str(), seen.method.as_str()) {
        ("/a", _) => Reply::text(308, "").with("Location", "/a/"),
        ("/old", _) => Reply::text(302, "").with("Location", "/new"),
        ("/loop", _) => Reply::text(307, "").with("Location", "/loop"),
        _ => Reply::json(200, json!({"body": String::from_utf8_lossy(&seen.body)})),
    });
    let bearer = Bearer::new("acc-1").unwrap();
    let post = HttpRequest { bearer: Some(&bearer), ..HttpRequest::post("/a", Payload::Json(b"{\"x\":1}")) };
    assert_eq!(client().send(&at(&stub), &post).unwrap().status, 200);
    let arrived = stub.seen_at("/a/");
    assert_eq!((arrived[0].method.as_str(), arrived[0].body.as_slice()), ("POST", b"{\"x\":1}".as_slice()));
    assert_eq!(arrived[0].header("authorization"), Some("Bearer acc-1"));
    assert_eq!(client().send(&at(&stub), &HttpRequest::get("/old")).unwrap().status, 200);
    let refused = |request| match client().send(&at(&stub), &request) {
        Err(error @ SendError::Redirected { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let dropped = refused(HttpRequest::post("/old", Payload::Json(b"{}")));
    assert!(dropped.ends_with("would drop the request body: the redirect was not followed"), "{dropped}");
    let looped = refused(HttpRequest::get("/loop"));
    assert!(looped.ends_with("its own address more than 3 times: the redirect was not followed"), "{looped}");
}

#[test]
fn endless_answer_and_gzip_bomb_are_cut_at_the_bound() {
    let bomb = {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(&vec![b'a'; 8 << 20]).unwrap();
        gz.finish().unwrap()
    };
    let stub = ScriptedServer::start(move |_, n| match n {
        0 => Reply::Answer { status: 200, headers: vec![], body: vec![b'a'; 5000] },
        _ => Reply::Answer {
            status: 200,
            headers: vec![("Content-Encoding".into(), "gzip".into())],
            body: bomb.clone(),
        },
    });
    let request = HttpRequest { answer_limit: 4096, ..HttpRequest::get("/") };
    for _ in 0..2 {
        let error = client().send(&at(&stub), &request).unwrap_err();
        assert!(matches!(error, SendError::TooLarge { limit: 4096, .. }), "{error}");
    }
}

#[test]
fn silence_garbage_and_closed_connection_differ() {
    let stub = ScriptedServer::start(|_, n| match n {
        0 => Reply::Hang,
        1 => Reply::Raw(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec()),
        2 => Reply::Drop,
        _ => Reply::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec()),
    });
    let to = at(&stub);
    let quick = HttpRequest { timeout: Duration::from_millis(300), ..HttpRequest::get("/") };
    let error = client().send(&to, &quick).unwrap_err();
    assert!(matches!(error, SendError::TimedOut { .. }), "{error:?}");
    for _ in 0..3 {
        let error = client().send(&to, &HttpRequest::get("/")).unwrap_err();
        assert!(matches!(error, SendError::Interrupted { .. }), "{error:?}");
    }
}

#[test]
fn answer_that_drips_ends_with_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = ServerAddress::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        // Ends when the client closes, at the latest after a bounded number of drips.
        for _ in 0..200 {
            if stream.write_all(b"x").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let quick = HttpRequest { timeout: Duration::from_millis(300), ..HttpRequest::get("/") };
    let error = client().send(&to, &quick).unwrap_err();
    assert!(matches!(error, SendError::Interrupted { .. }), "{error:?}");
    server.join().unwrap();
}

#[test]
fn refused_connection_names_the_port() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let to = ServerAddress::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let error = client().send(&to, &HttpRequest::get("/")).unwrap_err();
    assert!(matches!(error, SendError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&port.to_string()));
}

#[test]
fn team_id_unfit_for_a_header_is_an_error_and_sends_nothing() {
    let stub = ScriptedServer::start(|_, _| Reply::json(200, json!({})));
    let request = HttpRequest { team: Some("a\r\nX-Evil: 1"), ..HttpRequest::get("/") };
    let error = client().send(&at(&stub), &request).unwrap_err();
    assert!(matches!(error, SendError::Unsendable { .. }), "{error:?}");
    assert!(stub.seen().is_empty());
}

#[test]
fn token_that_a_server_repeats_is_masked() {
    let stub = ScriptedServer::start(|seen, _| {
        Reply::text(401, &format!("{{\"error\":\"bad {}\"}}", seen.header("authorization").unwrap()))
    });
    let bearer = Bearer::new("acc-secret-1").unwrap();
    let answer =
        client().send(&at(&stub), &HttpRequest { bearer: Some(&bearer), ..HttpRequest::get("/") }).unwrap();
    let body = String::from_utf8_lossy(answer.body());
    assert_eq!(body, "{\"error\":\"bad Bearer <redacted>\"}");
}

#[test]
fn file_of_trusted_certificates_must_hold_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let settings = ClientSettings { trusted_certificates: Some(path.clone()), ..ClientSettings::new("1") };
    assert!(Client::new(&settings).unwrap_err().to_string().contains("SSL_CERT_FILE"));
    std::fs::write(&path, "not a certificate").unwrap();
    assert!(Client::new(&settings).unwrap_err().to_string().contains("ca.pem"));
    // A directory of the same: whatever else is in it does not count, and one certificate must be there.
    let directory =
        ClientSettings { trusted_directories: vec![dir.path().into()], ..ClientSettings::new("1") };
    let error = Client::new(&directory).unwrap_err().to_string();
    assert!(error.contains("SSL_CERT_DIR") && error.contains("no PEM certificate"), "{error}");
    let pem = include_str!("ca.pem");
    std::fs::write(dir.path().join("0a1b2c3d.0"), pem).unwrap();
    assert!(Client::new(&directory).is_ok());
    let absent = dir.path().join("absent");
    let directory = ClientSettings { trusted_directories: vec![absent], ..directory };
    assert!(Client::new(&directory).unwrap_err().to_string().contains("SSL_CERT_DIR"));
}

/// Issue 8, item 23: no text of the system's error kinds, and each has a remedy.
#[test]
fn transport_errors_are_sentences_that_name_a_way_out() {
    let unknown = ServerAddress::parse("https://no-such-host.invalid").unwrap();
    let error = client().send(&unknown, &HttpRequest::get("/")).unwrap_err().to_string();
    assert!(error.contains("no-such-host.invalid") && !error.contains("uncategorized"), "{error}");
    assert!(error.contains("check the server URL"), "{error}");
}
