//! Probes: whether a server is reachable and accepts this login. They carry no row.
//!
//! For doctors and status pages, only when a person asks. Never refreshes a token, so that asking changes
//! nothing on this machine.

use crate::classify::{ErrorText, ServerStopReason, judge_send_error};
use crate::context::DeliveryContext;
use crate::http::documents::HealthDocument;
use crate::http::{Bearer, HttpAnswer, HttpRequest};
use crate::plan::read_health_limits;
use crate::server_address::ServerAddress;
use crate::token_source::{TokenError, TokenSource};
use contract::Remedy;
use contract::wire::IngressLimits;
use contract::wire::endpoint::{SESSION_STATUS, SYNC_HEALTH};
use contract::wire::me::SessionStatus;
use identity::Login;
use serde::Serialize;
use std::time::Duration;

/// A person waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Answer of a server to a health request.
#[derive(Clone, Debug, PartialEq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reachability {
    /// It is a sync server and takes this login.
    Connected {
        /// The version of its limits document.
        contract_version: Option<String>,
        /// Limits of one batch.
        limits: IngressLimits,
    },
    /// 401: it is there, and requires a login, or another one.
    LoginNeeded,
    /// 403: it is there, and this account may not.
    Forbidden(String),
    /// 412, 426: it has another contract.
    ContractSkew(String),
    /// 429, 5xx: it is there, and has no time or is broken.
    Troubled(String),
    /// It answers, and not like a sync server.
    NotASyncServer(String),
    /// No answer.
    Unreachable(String),
}

impl Reachability {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// The server's text, or ours; empty when all is well.
    pub fn detail(&self) -> &str {
        match self {
            Self::Connected { .. } => "",
            Self::LoginNeeded => "the server asks for a valid login",
            Self::Forbidden(text)
            | Self::ContractSkew(text)
            | Self::Troubled(text)
            | Self::NotASyncServer(text)
            | Self::Unreachable(text) => text,
        }
    }

    /// The remedy, where there is one.
    pub fn remedy(&self, login: &Login) -> Option<Remedy> {
        match self {
            Self::LoginNeeded => Some(login.remedy()),
            Self::NotASyncServer(_) => Some(login.server_remedy()),
            Self::ContractSkew(_) => ServerStopReason::ContractSkew.remedy(|| login.clone()),
            _ => None,
        }
    }
}

impl Serialize for Reachability {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (contract_version, limits) = match self {
            Self::Connected { contract_version, limits } => (contract_version.as_deref(), Some(limits)),
            _ => (None, None),
        };
        serde_json::json!({
            "state": self.name(),
            "detail": self.detail(),
            "contract_version": contract_version,
            "limits": limits,
        })
        .serialize(serializer)
    }
}

/// Asks `server` for its health and limits, with a token when there is one to show.
pub fn fetch_sync_health(
    context: &DeliveryContext,
    server: &ServerAddress,
    bearer: Option<&Bearer>,
) -> Reachability {
    ask_health(context, server, bearer).1
}

/// The same, with the HTTP status when there was an answer.
pub(crate) fn ask_health(
    context: &DeliveryContext,
    server: &ServerAddress,
    bearer: Option<&Bearer>,
) -> (Option<u16>, Reachability) {
    let request = HttpRequest { bearer, timeout: TIMEOUT, ..HttpRequest::get(SYNC_HEALTH) };
    match context.client.send(server, &request) {
        Ok(answer) => (Some(answer.status), judge_health(&answer)),
        Err(error) => (None, Reachability::Unreachable(judge_send_error(&error).detail)),
    }
}

fn judge_health(answer: &HttpAnswer) -> Reachability {
    let error_text = || ErrorText::of(answer).sentence(answer.status);
    match answer.status {
        200 => match answer.document::<HealthDocument>() {
            Ok(HealthDocument(document)) => {
                let document = serde_json::Value::from(document);
                Reachability::Connected {
                    contract_version: document
                        .pointer("/sync_ingress/contract_version")
                        .and_then(|version| version.as_str())
                        .map(crate::classify::bounded),
                    limits: read_health_limits(&document),
                }
            }
            Err(_) => Reachability::NotASyncServer("HTTP 200 without a health document".to_owned()),
        },
        // The page of a portal or a proxy is not about the server or the login.
        401 | 403 if answer.is_foreign() => Reachability::NotASyncServer(error_text()),
        401 => Reachability::LoginNeeded,
        403 => Reachability::Forbidden(error_text()),
        412 | 426 => Reachability::ContractSkew(error_text()),
        408 | 429 | 500..=599 => Reachability::Troubled(error_text()),
        _ => Reachability::NotASyncServer(error_text()),
    }
}

/// Answers of the login's server: the network part of the doctors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoginProbe {
    /// Base URL of the server that was asked.
    pub server_url: String,
    /// Whether it was shown a token: an expired one is not sent, and not renewed just to ask.
    pub token_shown: bool,
    /// Its health.
    #[serde(flatten)]
    pub health: Reachability,
    /// Its answer about the session; none without a token to show, and for CI tokens, which have
    /// no session.
    pub session: Option<SessionState>,
}

impl LoginProbe {
    /// Whether server, login and contract fit: the only good answer.
    pub fn is_good(&self) -> bool {
        let session_fits = !matches!(self.session, Some(SessionState::NotAccepted));
        self.token_shown && session_fits && matches!(self.health, Reachability::Connected { .. })
    }

    /// Whether the server is reachable and only the expired token, which the next delivery renews, prevents a full
    /// answer.
    pub fn awaits_renewal(&self) -> bool {
        let there = matches!(self.health, Reachability::Connected { .. } | Reachability::LoginNeeded);
        !self.token_shown && there
    }
}

/// Probes the server of the account that is logged in. Refreshes nothing and changes nothing on this machine.
///
/// # Errors
/// Nothing was sent: not logged in, no server is configured, or the token may not be sent there.
pub fn fetch_login_probe(context: &DeliveryContext) -> Result<LoginProbe, TokenError> {
    let mut source = TokenSource::for_login(context)?;
    let bearer = source.stored_bearer()?;
    let is_session = source.is_session()?;
    let server = source.destination();
    let health = fetch_sync_health(context, server, bearer.as_ref());
    let session = match &bearer {
        Some(bearer) if is_session && !matches!(health, Reachability::Unreachable(_)) => {
            Some(fetch_session_state(context, server, bearer))
        }
        Some(_) | None => None,
    };
    Ok(LoginProbe { server_url: server.base().to_owned(), token_shown: bearer.is_some(), health, session })
}

/// State of a session at the server.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum SessionState {
    /// It is known and active.
    Active {
        /// Number of rotations of its refresh token, if the server reports it.
        generation: Option<u64>,
    },
    /// The token is not accepted: log in again, unless a refresh helps.
    NotAccepted,
    /// No usable answer.
    Unknown(String),
}

impl SessionState {
    /// The stable name.
    pub fn name(&self) -> &'static str {
        self.into()
    }
}

impl Serialize for SessionState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (generation, detail) = match self {
            Self::Active { generation } => (*generation, None),
            Self::NotAccepted => (None, None),
            Self::Unknown(detail) => (None, Some(detail)),
        };
        serde_json::json!({ "state": self.name(), "generation": generation, "detail": detail })
            .serialize(serializer)
    }
}

/// Asks `server` for the state of the session of `bearer`.
pub fn fetch_session_state(
    context: &DeliveryContext,
    server: &ServerAddress,
    bearer: &Bearer,
) -> SessionState {
    let request = HttpRequest { bearer: Some(bearer), timeout: TIMEOUT, ..HttpRequest::get(SESSION_STATUS) };
    let answer = match context.client.send(server, &request) {
        Ok(answer) => answer,
        Err(error) => return SessionState::Unknown(error.to_string()),
    };
    match (answer.status, answer.document::<SessionStatus>()) {
        (200, Ok(status)) if status.status == "active" => {
            SessionState::Active { generation: status.current_generation }
        }
        (200, Ok(status)) => {
            SessionState::Unknown(format!("the session is `{}`", crate::classify::bounded(&status.status)))
        }
        (401, _) if !answer.is_foreign() => SessionState::NotAccepted,
        (status, _) => SessionState::Unknown(ErrorText::of(&answer).sentence(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> &'static str {
        judge_health(&HttpAnswer::from_parts(status, None, body.as_bytes().to_vec())).name()
    }

    #[test]
    fn every_http_status_has_one_classification() {
        assert_eq!(judged(200, r#"{"sync_ingress":{"limits":{}}}"#), "connected");
        assert_eq!(judged(200, r#"{"status":"ok"}"#), "connected");
        for other in ["{}", r#"{"ok":true}"#, r#"["ok",{}]"#, "", "null", "<html>"] {
            assert_eq!(judged(200, other), "not_a_sync_server", "{other}");
        }
        assert_eq!(judged(204, ""), "not_a_sync_server");
        assert_eq!(judged(401, "<html>"), "not_a_sync_server");
        assert_eq!(judged(403, "<html>"), "not_a_sync_server");
        assert_eq!(judged(200, "<html>"), "not_a_sync_server");
        assert_eq!(judged(200, "[]"), "not_a_sync_server");
        assert_eq!(judged(401, ""), "login_needed");
        assert_eq!(judged(403, "{}"), "forbidden");
        assert_eq!(judged(426, "{}"), "contract_skew");
        assert_eq!(judged(429, "{}"), "troubled");
        assert_eq!(judged(503, ""), "troubled");
        assert_eq!(judged(404, ""), "not_a_sync_server");
        assert_eq!(judged(302, ""), "not_a_sync_server");
    }

    #[test]
    fn limits_are_shown_as_the_server_advertises_them() {
        let body = r#"{"sync_ingress":{"contract_version":"v1","limits":{"max_events_per_batch":7}}}"#;
        let health = judge_health(&HttpAnswer::from_parts(200, None, body.as_bytes().to_vec()));
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(
            (json["state"].as_str(), json["limits"]["max_events_per_batch"].as_u64()),
            (Some("connected"), Some(7))
        );
    }
}
