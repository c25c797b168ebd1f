//! Routes and their authorisation, without a socket: a request in, a response out.
//!
//! Order of the checks, each before anything is done:
//! 1. `Host` is literally `127.0.0.1:<port>`, so a page that rebinds its name to loopback is refused;
//! 2. no `Origin` header: browsers are refused;
//! 3. the health route is open and returns only a proof for a nonce;
//! 4. everything else needs the bearer token;
//! 5. only then path and body are read.

use super::http::ControlRequest;
use super::proof::{ControlToken, Nonce};
use super::wire::{self, DrainRequest, HealthAnswer, PROTOCOL, ShutdownRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Requests of the control plane to the daemon. Called from several threads at once.
pub trait ControlHandler: Send + Sync {
    /// Status of the daemon.
    fn status(&self) -> wire::StatusReport;
    /// Rows were captured: drain soon.
    fn nudge(&self) -> wire::NudgeAnswer;
    /// Drain, and wait at most `wait` for the end.
    fn drain(&self, wait: Duration) -> wire::DrainAnswer;
    /// Ends after the current batch.
    fn shut_down(&self, cause: wire::ShutdownCause) -> wire::ShutdownAnswer;
}

/// Credentials that requests are checked against.
#[derive(Debug)]
pub struct Authenticator {
    /// The secret of this daemon run.
    pub token: ControlToken,
    /// The port it listens on.
    pub port: u16,
}

/// An answer: status and JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlAnswer {
    /// Status code.
    pub status: u16,
    /// JSON.
    pub body: Vec<u8>,
}

impl ControlAnswer {
    fn of(status: u16, document: &impl Serialize) -> Self {
        // Documents of strings, numbers and enums always serialise.
        Self { status, body: serde_json::to_vec(document).unwrap_or_default() }
    }

    /// An error answer with a fixed code; it repeats nothing of the request.
    pub fn error(status: u16, code: &'static str) -> Self {
        Self::of(status, &serde_json::json!({ "error": code }))
    }
}

impl Authenticator {
    /// Whether `request` carries the bearer token.
    pub(crate) fn is_authorised(&self, request: &ControlRequest) -> bool {
        request.bearer.as_deref().is_some_and(|bearer| self.token.matches(bearer))
    }

    /// Answers `request`.
    pub fn answer(&self, request: &ControlRequest, handler: &dyn ControlHandler) -> ControlAnswer {
        if request.host.as_deref() != Some(format!("127.0.0.1:{}", self.port).as_str()) {
            return ControlAnswer::error(403, "host_not_allowed");
        }
        if request.has_origin {
            return ControlAnswer::error(403, "origin_not_allowed");
        }
        if request.path == wire::HEALTH {
            return self.health(request);
        }
        if !self.is_authorised(request) {
            return ControlAnswer::error(401, "token_required");
        }
        match (request.path.as_str(), request.method.as_str()) {
            (wire::STATUS, "GET") => ControlAnswer::of(200, &handler.status()),
            (wire::NUDGE, "POST") => ControlAnswer::of(202, &handler.nudge()),
            (wire::DRAIN, "POST") => with_body(request, |ask: DrainRequest| {
                handler.drain(Duration::from_millis(ask.wait_ms.min(wire::MAX_DRAIN_WAIT_MS)))
            }),
            (wire::SHUTDOWN, "POST") => {
                with_body(request, |ask: ShutdownRequest| handler.shut_down(ask.cause))
            }
            (wire::STATUS | wire::NUDGE | wire::DRAIN | wire::SHUTDOWN, _) => {
                ControlAnswer::error(405, "method_not_allowed")
            }
            _ => ControlAnswer::error(404, "no_such_route"),
        }
    }

    fn health(&self, request: &ControlRequest) -> ControlAnswer {
        if request.method != "GET" {
            return ControlAnswer::error(405, "method_not_allowed");
        }
        let proof = match request.nonce.as_deref().map(Nonce::from_hex) {
            None => None,
            Some(Some(nonce)) => Some(self.token.prove(self.port, &nonce)),
            Some(None) => return ControlAnswer::error(400, "nonce_malformed"),
        };
        ControlAnswer::of(200, &HealthAnswer { status: "ok".to_owned(), protocol: PROTOCOL, proof })
    }
}

fn with_body<Ask: DeserializeOwned, Out: Serialize>(
    request: &ControlRequest,
    answer: impl FnOnce(Ask) -> Out,
) -> ControlAnswer {
    match serde_json::from_slice(&request.body) {
        Ok(ask) => ControlAnswer::of(200, &answer(ask)),
        Err(_) => ControlAnswer::error(400, "body_malformed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use wire::{DrainAnswer, NudgeAnswer, Phase, ShutdownAnswer, ShutdownCause, StatusReport};
    use zeroize::Zeroizing;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl ControlHandler for Counting {
        fn status(&self) -> StatusReport {
            self.0.fetch_add(1, Ordering::SeqCst);
            StatusReport {
                instance_id: "01K".into(),
                pid: 1,
                package_version: "3.3.0".into(),
                started_at: String::new(),
                uptime_seconds: 0,
                phase: Phase::Idle,
                drains: 0,
                last_drain: None,
                quiet_seconds: 0,
                lock: None,
            }
        }
        fn nudge(&self) -> NudgeAnswer {
            self.0.fetch_add(1, Ordering::SeqCst);
            NudgeAnswer { accepted: true, instance_id: String::new(), package_version: String::new() }
        }
        fn drain(&self, _: Duration) -> DrainAnswer {
            self.0.fetch_add(1, Ordering::SeqCst);
            DrainAnswer { finished: false, outcome: None }
        }
        fn shut_down(&self, _: ShutdownCause) -> ShutdownAnswer {
            self.0.fetch_add(1, Ordering::SeqCst);
            ShutdownAnswer { instance_id: String::new(), pid: 1, lock: None }
        }
    }

    fn authenticator() -> Authenticator {
        Authenticator { token: ControlToken::generate().expect("random"), port: 50_000 }
    }

    fn request(method: &str, path: &str, bearer: Option<&str>, body: &str) -> ControlRequest {
        ControlRequest {
            method: method.into(),
            path: path.into(),
            host: Some("127.0.0.1:50000".into()),
            has_origin: false,
            bearer: bearer.map(|bearer| Zeroizing::new(bearer.to_owned())),
            nonce: None,
            keep_alive: true,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn health_is_open_and_answers_only_a_proof() {
        let (authenticator, handler) = (authenticator(), Counting::default());
        let mut ask = request("GET", wire::HEALTH, None, "");
        assert_eq!(authenticator.answer(&ask, &handler).body, br#"{"status":"ok","protocol":1}"#);
        let nonce = Nonce::generate().expect("random");
        ask.nonce = Some(nonce.hex());
        let answer: HealthAnswer =
            serde_json::from_slice(&authenticator.answer(&ask, &handler).body).expect("json");
        assert!(authenticator.token.is_proof(authenticator.port, &nonce, &answer.proof.expect("a proof")));
        ask.nonce = Some("not hex".into());
        assert_eq!(authenticator.answer(&ask, &handler).status, 400);
        assert_eq!(handler.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn nothing_happens_without_the_token_the_host_or_with_an_origin() {
        let (authenticator, handler) = (authenticator(), Counting::default());
        let hex = authenticator.token.hex();
        for (method, path) in
            [("GET", wire::STATUS), ("POST", wire::NUDGE), ("POST", wire::DRAIN), ("POST", wire::SHUTDOWN)]
        {
            let body = r#"{"reason":"stop"}"#;
            assert_eq!(authenticator.answer(&request(method, path, None, body), &handler).status, 401);
            assert_eq!(
                authenticator.answer(&request(method, path, Some("wrong"), body), &handler).status,
                401
            );
            for host in [None, Some("127.0.0.1"), Some("localhost:50000"), Some("evil.example:50000")] {
                let ask = ControlRequest {
                    host: host.map(str::to_owned),
                    ..request(method, path, Some(&hex), body)
                };
                assert_eq!(authenticator.answer(&ask, &handler).status, 403, "{host:?}");
            }
            let from_a_page = ControlRequest { has_origin: true, ..request(method, path, Some(&hex), body) };
            assert_eq!(authenticator.answer(&from_a_page, &handler).status, 403);
        }
        assert_eq!(handler.0.load(Ordering::SeqCst), 0, "no refused request reached the handler");
    }

    #[test]
    fn each_route_takes_its_method_and_its_body_only() {
        let (authenticator, handler) = (authenticator(), Counting::default());
        let hex = authenticator.token.hex();
        let deep = "[".repeat(10_000);
        let status = |method, path, body| {
            authenticator.answer(&request(method, path, Some(&hex), body), &handler).status
        };
        assert_eq!(status("GET", wire::STATUS, ""), 200);
        assert_eq!(status("POST", wire::NUDGE, ""), 202);
        assert_eq!(status("POST", wire::DRAIN, "{}"), 200);
        assert_eq!(status("POST", wire::SHUTDOWN, r#"{"reason":"newer_version","version":"9"}"#), 200);
        assert_eq!(status("GET", wire::SHUTDOWN, r#"{"reason":"stop"}"#), 405);
        assert_eq!(status("POST", wire::SHUTDOWN, ""), 400);
        assert_eq!(status("POST", wire::SHUTDOWN, r#"{"reason":"whim"}"#), 400);
        assert_eq!(status("POST", wire::DRAIN, &deep), 400);
        assert_eq!(status("GET", "/", ""), 404);
        assert_eq!(status("GET", "/v1/status?token=x", ""), 404);
        assert_eq!(handler.0.load(Ordering::SeqCst), 4);
    }
}
