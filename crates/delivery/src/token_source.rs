//! Access tokens of one account at one server.
//!
//! A [`TokenSource`] is bound to the account and the server of one permit. It returns a token only while that account
//! is logged in at that server, and checks that before every request. A change of account in the middle of a drain
//! stops it before its next byte (contract section 9, "Token"). A check reads two small files; the configuration is
//! parsed again, and the session decrypted, only when its file changed.
//!
//! Invariants. No token for another scope than the permit's. No token to a host that did not issue it, unless the
//! configuration names that host. Nothing is sent before both hold. No error or `Debug` shows a token.

use crate::auth::{OAuthFailure, RefreshError, Refreshed, is_valid, refresh};
use crate::context::DeliveryContext;
use crate::http::{BadToken, Bearer, HttpAnswer, HttpRequest, SendError};
use crate::server_address::{ServerAddress, ServerAddressError};
use contract::{ExitCode, Fault, Remedy, Scope, exit, server_url};
use gate::EgressPermit;
use identity::ci_token::read_ci_token;
use identity::{
    Config, ConfigReader, Login, LoginSource, Session, SessionError, judge_destination, read_login,
    refresh_session_cache,
};
use sha2::{Digest, Sha256};
use system::bounded_read::read_bounded;

/// Session files are a few kilobytes.
const MAX_SESSION_BYTES: u64 = 1 << 20;

/// Tokens of one account for one server.
#[derive(Debug)]
pub struct TokenSource<'a> {
    context: &'a DeliveryContext,
    scope: Scope,
    destination: ServerAddress,
    config: ConfigReader,
    held: Option<HeldSession>,
}

/// The session as it was decrypted, and the file it came from.
#[derive(Debug)]
struct HeldSession {
    digest: [u8; 32],
    session: Session,
}

/// Reason why there is no token. Nothing was sent when this is returned.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No server is configured.
    #[error("no sync server is configured; nothing is sent to a default one")]
    ServerUnset,
    /// The token was issued elsewhere, or by an unrecorded server.
    #[error(
        "the login was issued by {}, so its token is not sent to {host}{}",
        .issuer.as_deref().unwrap_or("an unrecorded server"),
        .way_back.as_deref().map(|remedy| format!("; if the address is wrong: `{remedy}`")).unwrap_or_default()
    )]
    TokenHost {
        /// The server of the request.
        host: String,
        /// The issuer of the token, if known.
        issuer: Option<String>,
        /// The command that configures the issuer again.
        way_back: Option<Box<Remedy>>,
    },
    /// Another account, server or team than the permit's, or none any more.
    #[error("{0}")]
    IdentityChanged(&'static str),
    /// The login has ended.
    #[error("the login has ended")]
    Ended,
    /// The server does not accept a CI token.
    #[error("{host} does not accept the CI token of {variable}")]
    CiToken {
        /// Host and port.
        host: String,
        /// The source of the token.
        variable: &'static str,
    },
    /// Something cannot be read.
    #[error("{}{}", .0.path.as_deref().map(|path| format!("{} ", contract::text::path(path))).unwrap_or_default(), .0.detail)]
    Fault(Box<Fault>),
    /// A URL cannot be used.
    #[error(transparent)]
    Destination(#[from] ServerAddressError),
    /// The token cannot be written into a header.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// The refresh failed; nothing was lost.
    #[error(transparent)]
    Refresh(RefreshError),
}

impl TokenError {
    /// The stable code of a refusal that lies outside the boundary.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::ServerUnset | Self::Destination(ServerAddressError::Packaged(_)) => {
                Some(exit::SYNC_SERVER_UNSET)
            }
            Self::TokenHost { .. } => Some(exit::SYNC_TOKEN_HOST),
            Self::Ended | Self::CiToken { .. } => Some(exit::SAAS_SYNC_UNAUTHENTICATED),
            _ => None,
        }
    }

    /// Exit code of a command that could not start because of it.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Refresh(RefreshError::Busy(_)) => ExitCode::Busy,
            Self::Refresh(_) | Self::BadToken(_) => ExitCode::Failed,
            _ => ExitCode::Refused,
        }
    }

    /// The remedy.
    pub fn remedy(&self, context: &DeliveryContext) -> Option<Remedy> {
        match self {
            Self::ServerUnset
            | Self::TokenHost { .. }
            | Self::Destination(_)
            | Self::Refresh(RefreshError::OAuth(OAuthFailure::NotOAuth { .. })) => {
                Some(context.login().server_remedy())
            }
            Self::Ended
            | Self::BadToken(_)
            | Self::CiToken { .. }
            | Self::Refresh(RefreshError::Ended | RefreshError::LoggedOut) => Some(context.login().remedy()),
            Self::Fault(fault) => Some(fault.remedy.clone()),
            Self::IdentityChanged(_) | Self::Refresh(_) => None,
        }
    }

    fn session(error: SessionError, context: &DeliveryContext) -> Self {
        Self::Fault(Box::new(error.into_fault(&context.home)))
    }
}

impl<'a> TokenSource<'a> {
    /// A source for the account and the server of `permit`. Sends nothing.
    ///
    /// # Errors
    /// When no token of that account may be sent to that server now.
    pub(crate) fn for_permit(
        context: &'a DeliveryContext,
        permit: &EgressPermit,
    ) -> Result<Self, TokenError> {
        let config = ConfigReader::new(&context.home);
        Self::new(context, permit.scope(), permit.server_url(), config)
    }

    /// A source for the account that is logged in now, for requests that carry no row: the health document, the
    /// state of a session.
    ///
    /// # Errors
    /// When not logged in, or the token may not be sent to the configured server.
    pub fn for_login(context: &'a DeliveryContext) -> Result<Self, TokenError> {
        let mut config = ConfigReader::new(&context.home);
        let login = read_machine(context, &mut config)?;
        let scope = login.scope.clone().ok_or(TokenError::Ended)?;
        let url = judge(&login, config.last())?;
        Self::new(context, &scope, &url, config)
    }

    /// A source for the account that is logged in now, which must be that of `scope`; with the id of its team.
    ///
    /// # Errors
    /// When another account is logged in, or the token may not be sent to the configured server.
    pub(crate) fn for_scope(
        context: &'a DeliveryContext,
        scope: &Scope,
    ) -> Result<(Self, String), TokenError> {
        let mut config = ConfigReader::new(&context.home);
        let login = read_machine(context, &mut config)?;
        let url = judge(&login, config.last())?;
        let source = Self::new(context, scope, &url, config)?;
        Ok((source, login.team_id.unwrap_or_else(|| scope.team().to_owned())))
    }

    fn new(
        context: &'a DeliveryContext,
        scope: &Scope,
        server_url: &str,
        config: ConfigReader,
    ) -> Result<Self, TokenError> {
        let mut source = Self {
            context,
            scope: scope.clone(),
            destination: ServerAddress::parse(server_url)?,
            config,
            held: None,
        };
        source.read_login()?;
        Ok(source)
    }

    /// The server that the tokens of this source may be sent to.
    pub fn destination(&self) -> &ServerAddress {
        &self.destination
    }

    /// The configuration, as it was read for the last token.
    pub(crate) fn config(&self) -> &ConfigReader {
        &self.config
    }

    /// Whether the tokens are those of a session, and not a CI token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn is_session(&mut self) -> Result<bool, TokenError> {
        Ok(self.read_login()?.source == LoginSource::Session)
    }

    /// A token for the next request, refreshed when its end is near.
    ///
    /// # Errors
    /// See [`TokenError`]; after an error nothing more may be sent.
    pub fn bearer(&mut self) -> Result<Bearer, TokenError> {
        let login = self.read_login()?;
        match login.source {
            LoginSource::Token => self.ci_token(),
            LoginSource::Session => {
                let session = self.read_session()?;
                if is_valid(&session) {
                    return Ok(Bearer::new(session.access_token.expose())?);
                }
                self.renew_session(&login, &session)
            }
            LoginSource::Credentials | LoginSource::None => Err(LOGGED_OUT),
        }
    }

    /// The token as it is stored, if it is still valid: renews nothing, so that asking changes nothing
    /// on this machine.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn stored_bearer(&mut self) -> Result<Option<Bearer>, TokenError> {
        let login = self.read_login()?;
        match login.source {
            LoginSource::Token => Ok(Some(self.ci_token()?)),
            LoginSource::Session => {
                let session = self.read_session()?;
                let valid = is_valid(&session);
                Ok(valid.then(|| Bearer::new(session.access_token.expose())).transpose()?)
            }
            LoginSource::Credentials | LoginSource::None => Err(LOGGED_OUT),
        }
    }

    /// Another token, because the server did not accept the last one.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn renewed_bearer(&mut self) -> Result<Bearer, TokenError> {
        let login = self.read_login()?;
        match login.source {
            LoginSource::Token => {
                let host = self.destination.host().to_string();
                Err(TokenError::CiToken { host, variable: self.read_ci_token()?.variable })
            }
            LoginSource::Session => {
                // The session that was refused: what is stored now may be newer, and is then adopted.
                let refused = match self.held.take() {
                    Some(held) => held.session,
                    None => self.read_session()?,
                };
                self.renew_session(&login, &refused)
            }
            LoginSource::Credentials | LoginSource::None => Err(LOGGED_OUT),
        }
    }

    /// Sends a request with a token; once more with a renewed one when the server does not accept it. The
    /// inner error is one of the connection.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub(crate) fn send(
        &mut self,
        context: &DeliveryContext,
        request: &HttpRequest<'_>,
    ) -> Result<Result<HttpAnswer, SendError>, TokenError> {
        let bearer = self.bearer()?;
        let first =
            context.client.send(&self.destination, &HttpRequest { bearer: Some(&bearer), ..*request });
        if !matches!(&first, Ok(answer) if answer.status == 401) {
            return Ok(first);
        }
        let bearer = self.renewed_bearer()?;
        Ok(context.client.send(&self.destination, &HttpRequest { bearer: Some(&bearer), ..*request }))
    }

    /// The account that is logged in now; refuses any but the permit's account at the permit's server.
    fn read_login(&mut self) -> Result<Login, TokenError> {
        let login = read_machine(self.context, &mut self.config)?;
        match &login.scope {
            None => return Err(LOGGED_OUT),
            Some(scope) if *scope != self.scope => return Err(OTHER_ACCOUNT),
            Some(_) => {}
        }
        if !login.authenticated {
            return Err(TokenError::Ended);
        }
        if ServerAddress::parse(&judge(&login, self.config.last())?)?.base() != self.destination.base() {
            return Err(OTHER_SERVER);
        }
        Ok(login)
    }

    fn read_ci_token(&self) -> Result<identity::ci_token::EnvironmentToken, TokenError> {
        read_ci_token(&self.context.environment)
            .map_err(|fault| TokenError::Fault(Box::new(fault)))?
            .ok_or(LOGGED_OUT)
    }

    fn ci_token(&self) -> Result<Bearer, TokenError> {
        Ok(Bearer::new(self.read_ci_token()?.secret.expose())?)
    }

    /// The stored session, decrypted only when its file is another one than last time.
    fn read_session(&mut self) -> Result<Session, TokenError> {
        let file = read_bounded(&self.context.home.session_file(), MAX_SESSION_BYTES);
        let digest: Option<[u8; 32]> = match file {
            Ok(Some(file)) => Some(Sha256::digest(&file.bytes).into()),
            Ok(None) => return Err(LOGGED_OUT),
            // The store's own error is more precise.
            Err(_) => None,
        };
        if let (Some(held), Some(digest)) = (&self.held, digest)
            && held.digest == digest
        {
            return Ok(held.session.clone());
        }
        let session = self.context.sessions().read();
        let session = session.map_err(|error| TokenError::session(error, self.context))?.ok_or(LOGGED_OUT)?;
        if !belongs(&session, &self.scope) {
            return Err(OTHER_ACCOUNT);
        }
        self.held = digest.map(|digest| HeldSession { digest, session: session.clone() });
        Ok(session)
    }

    fn renew_session(&mut self, login: &Login, refused: &Session) -> Result<Bearer, TokenError> {
        // A refresh token is sent to its issuer. Without a recorded issuer the configuration has just named this
        // server as a host that may have the token.
        let issuer = match &login.issuer {
            Some(issuer) => ServerAddress::parse(issuer)?,
            None => self.destination.clone(),
        };
        let is_ours = |session: &Session| belongs(session, &self.scope) && session.issuer == refused.issuer;
        let renewed = refresh(self.context, &issuer, refused, &is_ours).map_err(|error| match error {
            RefreshError::LoggedOut => LOGGED_OUT,
            RefreshError::IdentityChanged => OTHER_ACCOUNT,
            RefreshError::Ended => TokenError::Ended,
            RefreshError::Unreadable(error) => TokenError::session(error, self.context),
            other => TokenError::Refresh(other),
        })?;
        if matches!(renewed, Refreshed::Renewed(_)) {
            // The cache names the file that was just replaced; without a new one commands only get slower.
            let login = read_machine(self.context, &mut self.config)?;
            let _ = refresh_session_cache(&self.context.home, &login);
        }
        self.read_login()?;
        let session = self.read_session()?;
        Ok(Bearer::new(session.access_token.expose())?)
    }
}

const LOGGED_OUT: TokenError = TokenError::IdentityChanged("you were logged out meanwhile");
const OTHER_ACCOUNT: TokenError = TokenError::IdentityChanged("another account or team is logged in now");
const OTHER_SERVER: TokenError = TokenError::IdentityChanged("another server is configured now");

fn read_machine(context: &DeliveryContext, config: &mut ConfigReader) -> Result<Login, TokenError> {
    let config = config.read().map_err(|fault| TokenError::Fault(Box::new(fault)))?;
    let mut login = read_login(&context.home, config, &context.environment);
    match login.faults.pop() {
        Some(fault) => Err(TokenError::Fault(Box::new(fault))),
        None => Ok(login),
    }
}

fn judge(login: &Login, config: &Config) -> Result<String, TokenError> {
    let destination = judge_destination(login, config);
    let way_back = destination.way_back().map(Box::new);
    match destination {
        identity::Destination::Ready { url } => Ok(url),
        identity::Destination::ServerUnset => Err(TokenError::ServerUnset),
        identity::Destination::TokenHost { url, issuer } => {
            let host =
                |url: &str| crate::server_address::ServerHost::of_url(url).map(|host| host.to_string());
            let issuer =
                issuer.map(|issuer| host(&issuer).unwrap_or_else(|| server_url::shown(&issuer).into_owned()));
            Err(TokenError::TokenHost { host: host(&url).unwrap_or(url), issuer, way_back })
        }
    }
}

/// Whether the session is one of the scope's user and team; its server is judged apart.
fn belongs(session: &Session, scope: &Scope) -> bool {
    session.private_team().is_some_and(|team| Scope::new(scope.server(), &session.email, &team.id) == *scope)
}
