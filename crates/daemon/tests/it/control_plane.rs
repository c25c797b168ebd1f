//! The control plane of a real daemon, and requests that it must refuse.
#![cfg(unix)]

use crate::common::{Bench, contains, eventually, is_alive};
use daemon::control::client::{ControlClient, ControlError};
use daemon::control::file::ControlFile;
use daemon::control::proof::ControlToken;
use daemon::control::server;
use proptest::prelude::*;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Sends raw bytes and reads to the end of the connection.
fn raw(port: u16, bytes: &[u8]) -> String {
    let mut stream = connect(port);
    // A daemon that has seen enough closes before everything is written.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_line(port: u16, bytes: &[u8]) -> String {
    raw(port, bytes).lines().next().unwrap_or_default().to_owned()
}

fn control(bench: &Bench) -> ControlFile {
    ControlFile::read(&bench.world.home().control_file()).expect("readable").expect("present")
}

#[test]
fn hundreds_of_idle_and_slow_connections_delay_no_answer() {
    let bench = Bench::logged_in();
    bench.start();
    let control = control(&bench);
    let mut idle = Vec::new();
    for turn in 0..300 {
        let mut stream = connect(control.port);
        if turn % 2 == 0 {
            let _ = stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: 127");
        }
        idle.push(stream);
        if turn % 50 == 49 {
            let mut client = ControlClient::connect(&control, PATIENCE).expect("it proves itself");
            client.status().expect("and answers");
        }
    }
    assert_eq!(bench.ok(&["status"])["state"], "running");
    drop(idle);
    let threads = || {
        let pid = bench.record()["pid"].as_u64().unwrap();
        std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
    };
    eventually("every connection's thread is gone", || threads() <= 4);
    bench.ok(&["stop"]);
}

#[test]
fn control_plane_refuses_wrong_token_host_or_origin() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    let ControlFile { port, token, .. } = control(&bench);
    let bearer = token.hex();
    let shutdown = |headers: &str| {
        let body = r#"{"reason":"stop"}"#;
        let request = format!(
            "POST /v1/shutdown HTTP/1.1\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        status_line(port, request.as_bytes())
    };
    let (host, auth) =
        (format!("Host: 127.0.0.1:{port}\r\n"), format!("Authorization: Bearer {}\r\n", *bearer));
    let wrong = ControlToken::generate().unwrap().hex();
    for (headers, expected) in [
        (host.clone(), "HTTP/1.1 401 Unauthorized"),
        (format!("{host}Authorization: Bearer {}\r\n", *wrong), "HTTP/1.1 401 Unauthorized"),
        (format!("{host}Authorization: Basic {}\r\n", *bearer), "HTTP/1.1 400 Bad Request"),
        (auth.clone(), "HTTP/1.1 403 Forbidden"),
        (format!("Host: evil.example:{port}\r\n{auth}"), "HTTP/1.1 403 Forbidden"),
        (format!("Host: localhost:{port}\r\n{auth}"), "HTTP/1.1 403 Forbidden"),
        (format!("{host}{auth}Origin: http://127.0.0.1:{port}\r\n"), "HTTP/1.1 403 Forbidden"),
        (format!("{host}{auth}Transfer-Encoding: chunked\r\n"), "HTTP/1.1 501 Not Implemented"),
    ] {
        assert_eq!(shutdown(&headers), expected, "{headers}");
    }
    assert!(is_alive(pid));
    assert_eq!(bench.ok(&["status"])["report"]["phase"], "idle");
    assert_eq!(shutdown(&format!("{host}{auth}")), "HTTP/1.1 200 OK");
    eventually("it has gone", || !is_alive(pid));
}

#[test]
fn health_is_open_and_leaks_nothing() {
    let bench = Bench::logged_in();
    bench.start();
    let ControlFile { port, token, instance_id, pid, lock: _ } = control(&bench);
    let answer = raw(port, format!("GET /v1/health HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes());
    assert!(answer.ends_with("\r\n\r\n{\"status\":\"ok\",\"protocol\":1}"), "{answer}");
    for secret in [token.hex().as_str(), &instance_id, &pid.to_string(), "package_version", "spec-kitty"] {
        assert!(!answer.contains(secret), "{secret}");
    }
    assert!(!server::RESERVED_PORTS.contains(&port));
}

#[test]
fn ninth_request_of_a_connection_is_not_answered() {
    let bench = Bench::logged_in();
    bench.start();
    let port = control(&bench).port;
    let request = format!("GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    for (sent, answered) in [(7, 7), (9, 8)] {
        let mut stream = connect(port);
        stream.write_all(request.repeat(sent).as_bytes()).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), answered, "{answers}");
        assert_eq!(answers.to_ascii_lowercase().matches("connection: close").count(), usize::from(sent == 9));
    }
}

#[test]
fn garbage_requests_do_not_stop_the_daemon() {
    let bench = Bench::logged_in();
    bench.start();
    let port = control(&bench).port;
    let huge = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 1024 * 1024]].concat();
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"POST /v1/drain HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
        &huge,
    ] {
        let line = status_line(port, garbage);
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{line}");
    }
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let word = proptest::sample::select(vec![
        "GET",
        "POST",
        " ",
        "/v1/shutdown",
        "/v1/health",
        "HTTP/1.1",
        "\r\n",
        "\r\n\r\n",
        "Host: 127.0.0.1",
        ":",
        "Content-Length: 5",
        "Authorization: Bearer ",
        "{\"reason\":\"stop\"}",
        "\0",
        "\u{fffd}",
    ]);
    runner
        .run(&proptest::collection::vec(word, 1..20), |words| {
            let mut stream = connect(port);
            let _ = stream.write_all(words.concat().as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            prop_assert!(!contains(&answer, b"\"instance_id\""));
            Ok(())
        })
        .expect("an answer to garbage discloses nothing");
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

#[test]
fn impostor_at_the_port_never_gets_the_token() {
    let token = ControlToken::generate().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let control = ControlFile { instance_id: "01K".into(), pid: 1, port, token: token.clone(), lock: None };
    let impostor = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n{\"status\":\"ok\",\"protocol\":1}",
            "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
            "",
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut chunk = [0; 4096];
            let length = stream.read(&mut chunk).unwrap();
            heard.extend_from_slice(&chunk[..length]);
            stream.write_all(answer.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream.read_to_end(&mut heard).unwrap_or(0);
        }
        heard
    });
    let mut errors = Vec::new();
    for _ in 0..4 {
        errors.push(ControlClient::connect(&control, PATIENCE).map(|_| ()).expect_err("an impostor"));
    }
    assert!(matches!(errors[0], ControlError::Impostor { .. }), "{errors:?}");
    assert!(matches!(errors[3], ControlError::Unresponsive { .. }), "{errors:?}");
    assert!(!contains(&impostor.join().unwrap(), token.hex().as_bytes()));
    assert!(matches!(
        ControlClient::connect(&control, PATIENCE).map(|_| ()).expect_err("no daemon"),
        ControlError::Refused { .. }
    ));
}
