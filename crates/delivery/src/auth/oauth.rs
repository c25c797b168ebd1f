//! The OAuth routes, one function each: forms out, typed answers in.

use crate::classify::bounded;
use crate::http::{Client, HttpAnswer, HttpRequest, Payload, ProtocolDocument, SendError};
use crate::server_address::ServerAddress;
use contract::wire::endpoint::{OAUTH_DEVICE, OAUTH_REVOKE, OAUTH_TOKEN};
use contract::wire::oauth::{
    CLIENT_ID, DeviceAuthorization, GRANT_AUTHORIZATION_CODE, GRANT_DEVICE_CODE, GRANT_REFRESH_TOKEN,
    HINT_REFRESH_TOKEN, MACHINE_FIELD, OAuthError, Revocation, SCOPE, TokenGrant,
};
use system::machine::Machine;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

/// Failure of an OAuth request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OAuthFailure {
    /// No answer.
    #[error(transparent)]
    Silence(#[from] SendError),
    /// The server refused with an error of the protocol.
    #[error("{host} refused: {code}{}", .description.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Refused {
        /// Host and port.
        host: String,
        /// The HTTP status.
        status: u16,
        /// The `error` value.
        code: String,
        /// The server's sentence.
        description: Option<String>,
        /// Seconds to wait, when it names them.
        retry_after: Option<u64>,
    },
    /// An answer that is not of this protocol.
    #[error("{host} answered HTTP {status} without an OAuth answer; is it a Spec Kitty server?")]
    NotOAuth {
        /// Host and port.
        host: String,
        /// The HTTP status.
        status: u16,
    },
}

impl OAuthFailure {
    /// The `error` value, when there is one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same request may well succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Silence(
                SendError::Redirected { .. } | SendError::Unsendable { .. } | SendError::Tls { .. },
            ) => false,
            Self::Silence(_) => true,
            Self::Refused { status, .. } | Self::NotOAuth { status, .. } => {
                matches!(status, 408 | 429 | 500..=599)
            }
        }
    }
}

/// The OAuth routes of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct OAuth<'a> {
    pub(super) client: &'a Client,
    pub(super) server: &'a ServerAddress,
}

impl OAuth<'_> {
    pub(super) fn send_device_start(&self) -> Result<DeviceAuthorization, OAuthFailure> {
        // The approval page names it, so that a person recognises the machine.
        let machine = Machine::observe().hostname;
        self.send(OAUTH_DEVICE, &[("client_id", CLIENT_ID), ("scope", SCOPE), (MACHINE_FIELD, &machine)])
    }

    pub(super) fn send_device_poll(&self, device_code: &str) -> Result<TokenGrant, OAuthFailure> {
        self.send(
            OAUTH_TOKEN,
            &[("grant_type", GRANT_DEVICE_CODE), ("device_code", device_code), ("client_id", CLIENT_ID)],
        )
    }

    pub(super) fn send_code(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
    ) -> Result<TokenGrant, OAuthFailure> {
        self.send(
            OAUTH_TOKEN,
            &[
                ("grant_type", GRANT_AUTHORIZATION_CODE),
                ("code", code),
                ("redirect_uri", redirect_uri),
                ("client_id", CLIENT_ID),
                ("code_verifier", verifier),
            ],
        )
    }

    pub(super) fn send_refresh(&self, refresh_token: &str) -> Result<TokenGrant, OAuthFailure> {
        self.send(
            OAUTH_TOKEN,
            &[
                ("grant_type", GRANT_REFRESH_TOKEN),
                ("refresh_token", refresh_token),
                ("client_id", CLIENT_ID),
            ],
        )
    }

    /// True only when the server answers that the session is revoked.
    pub(super) fn send_revoke(&self, refresh_token: &str) -> Result<bool, OAuthFailure> {
        let revocation: Revocation =
            self.send(OAUTH_REVOKE, &[("token", refresh_token), ("token_type_hint", HINT_REFRESH_TOKEN)])?;
        Ok(revocation.revoked)
    }

    fn send<T: for<'a> ProtocolDocument<'a>>(
        &self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<T, OAuthFailure> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(fields);
        let form = Zeroizing::new(form.finish());
        let answer =
            self.client.send(self.server, &HttpRequest::post(path, Payload::Form(form.as_bytes())))?;
        if answer.status == 200 {
            return answer.document().map_err(|_| self.not_oauth(&answer));
        }
        Err(self.failure(&answer))
    }

    fn failure(&self, answer: &HttpAnswer) -> OAuthFailure {
        match answer.document::<OAuthError>() {
            Ok(error) => OAuthFailure::Refused {
                host: self.server.host().to_string(),
                status: answer.status,
                code: bounded(&error.error),
                description: error.error_description.as_deref().map(bounded),
                retry_after: error.retry_after,
            },
            Err(_) => self.not_oauth(answer),
        }
    }

    fn not_oauth(&self, answer: &HttpAnswer) -> OAuthFailure {
        OAuthFailure::NotOAuth { host: self.server.host().to_string(), status: answer.status }
    }
}
