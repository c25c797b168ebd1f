//! Documents of successful answers, and the faults that make one invalid.

use super::answer::ProtocolDocument;
use contract::wire::me::SessionStatus;
use contract::wire::receipts::ReceiptsAnswer;
use contract::wire::sharing::{ProjectForgotten, ShareCreated, ShareLeft, ShareList};
use contract::wire::{DeviceAuthorization, Me, OAuthError, Revocation, TokenGrant};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The answer to a batch of events. Each result is read alone, so that an invalid one affects no other.
#[derive(Debug, Deserialize)]
pub struct BatchResults<'a> {
    /// One for each event.
    #[serde(borrow)]
    pub results: Vec<&'a RawValue>,
}

/// The answer to an artifact body that was taken.
#[derive(Debug, Deserialize)]
pub struct BodyStored {
    /// Result of the upload; see [`contract::wire::body`].
    pub status: String,
    /// The hash of what the server holds, where the answer names it.
    #[serde(default)]
    pub content_hash: Option<String>,
}

/// The health document: limits, and other facts about the server.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct HealthDocument(pub Map<String, Value>);

impl<'a> ProtocolDocument<'a> for BatchResults<'a> {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for BodyStored {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for HealthDocument {
    fn fault(&self) -> Option<&'static str> {
        let ingress = self.0.get("sync_ingress").is_some_and(Value::is_object);
        let status = self.0.get("status").is_some_and(Value::is_string);
        (!ingress && !status).then_some("a health document has `sync_ingress` or `status`")
    }
}

impl ProtocolDocument<'_> for ShareList {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for ShareCreated {
    fn fault(&self) -> Option<&'static str> {
        self.share.state.is_empty().then_some("`share.state` is empty")
    }
}

impl ProtocolDocument<'_> for ShareLeft {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for ProjectForgotten {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for TokenGrant {
    fn fault(&self) -> Option<&'static str> {
        let token_type = self.token_type.trim();
        if self.access_token.is_empty() {
            Some("`access_token` is empty")
        } else if !self.access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Some("`access_token` holds characters that no header can carry")
        } else if !token_type.is_empty() && !token_type.eq_ignore_ascii_case("bearer") {
            Some("`token_type` is not `Bearer`")
        } else {
            None
        }
    }
}

impl ProtocolDocument<'_> for DeviceAuthorization {
    fn fault(&self) -> Option<&'static str> {
        let blank = |text: &str| text.trim().is_empty();
        let fields = [
            (&self.device_code, "`device_code` is empty"),
            (&self.user_code, "`user_code` is empty"),
            (&self.verification_uri, "`verification_uri` is empty"),
        ];
        fields.into_iter().find(|(value, _)| blank(value)).map(|(_, fault)| fault)
    }
}

impl ProtocolDocument<'_> for Revocation {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

/// The caller compares the number of states with the number of rows: [`crate::receipts`].
impl ProtocolDocument<'_> for ReceiptsAnswer {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

/// A refusal of the OAuth routes, read like a document because its `error` decides about a login.
impl ProtocolDocument<'_> for OAuthError {
    fn fault(&self) -> Option<&'static str> {
        self.error.is_empty().then_some("`error` is empty")
    }
}

/// The login checks the parts of an account itself, because its error names the server.
impl ProtocolDocument<'_> for Me {
    fn fault(&self) -> Option<&'static str> {
        None
    }
}

impl ProtocolDocument<'_> for SessionStatus {
    fn fault(&self) -> Option<&'static str> {
        self.session_id.is_empty().then_some("`session_id` is empty")
    }
}
