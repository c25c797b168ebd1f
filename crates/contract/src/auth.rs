//! Missing authentication: its reason and its remedy.

use crate::remedy::Remedy;
use crate::server_url;
use jiff::civil::Date;

/// Reason why a login is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthAbsence {
    /// There is no login.
    LoggedOut,
    /// The refresh token has expired.
    Expired {
        /// The day, in UTC.
        on: Date,
    },
    /// The session has no private teamspace, the only kind that rows are sent to.
    NoPrivateTeam,
    /// Only credentials of an earlier release are present.
    CredentialsOnly,
    /// A CI token is set and cannot be read.
    TokenUnreadable,
    /// The session or the credentials cannot be read.
    Unreadable,
}

impl AuthAbsence {
    /// The text of `auth_absent_reason`.
    pub fn reason(self) -> String {
        match self {
            Self::LoggedOut => "not logged in".to_owned(),
            Self::Expired { on } => format!("login expired on {on}"),
            Self::NoPrivateTeam => "no private teamspace".to_owned(),
            Self::CredentialsOnly => "credentials of an earlier release are no login".to_owned(),
            Self::TokenUnreadable => "token unreadable".to_owned(),
            Self::Unreadable => "session unreadable".to_owned(),
        }
    }
}

/// Facts that decide the remedy of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginState {
    /// Reason why the login is not authenticated; none for one that the server no longer accepts.
    pub absence: Option<AuthAbsence>,
    /// The variable of the CI token that decides, if one is set.
    pub token_variable: Option<&'static str>,
    /// Whether a valid server is configured, so that `auth login` needs no argument.
    pub server_known: bool,
}

impl LoginState {
    /// The remedy that leads to an accepted login. No other code chooses it.
    pub fn remedy(self) -> Remedy {
        match self {
            // No session is used while a token is set.
            Self { token_variable: Some(variable), .. } => {
                Remedy::Advice(format!("set {variable} to a valid token, or unset it"))
            }
            // The same account would have no teamspace after another login either.
            Self { absence: Some(AuthAbsence::NoPrivateTeam), .. } => {
                Remedy::Advice("ask the server's administrator for a private teamspace".to_owned())
            }
            Self { server_known: true, .. } => Remedy::Login,
            Self { server_known: false, .. } => Remedy::LoginServer,
        }
    }
}

impl LoginState {
    /// The remedy that changes the server: a login, or the variable of a CI token, which a login does not
    /// change.
    pub fn server_remedy(self, variable: &str) -> Remedy {
        match self.token_variable {
            Some(_) => server_url::correct_by_hand(variable),
            None => Remedy::LoginServer,
        }
    }
}

/// A missing authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthAbsent {
    /// Its reason.
    pub why: AuthAbsence,
    /// Its remedy, chosen by [`LoginState::remedy`].
    pub remedy: Remedy,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [AuthAbsence; 6] = [
        AuthAbsence::LoggedOut,
        AuthAbsence::Expired { on: Date::constant(2026, 1, 31) },
        AuthAbsence::NoPrivateTeam,
        AuthAbsence::CredentialsOnly,
        AuthAbsence::TokenUnreadable,
        AuthAbsence::Unreadable,
    ];

    #[test]
    fn reasons_differ_and_fit_one_line() {
        let reasons: std::collections::BTreeSet<_> = ALL.into_iter().map(AuthAbsence::reason).collect();
        assert_eq!(reasons.len(), ALL.len());
        assert!(reasons.iter().all(|reason| format!("  auth_absent {reason}").len() <= 80));
        assert!(reasons.contains("login expired on 2026-01-31"));
    }

    #[test]
    fn login_command_is_chosen_only_where_it_helps() {
        for absence in ALL.map(Some).into_iter().chain([None]) {
            for server_known in [true, false] {
                let state = LoginState { absence, token_variable: None, server_known };
                let command = if server_known { Remedy::Login } else { Remedy::LoginServer };
                match absence {
                    Some(AuthAbsence::NoPrivateTeam) => {
                        assert!(state.remedy().hint().contains("administrator"))
                    }
                    _ => assert_eq!(state.remedy(), command),
                }
                let token = LoginState { token_variable: Some("SPEC_KITTY_TOKEN"), ..state };
                assert!(matches!(token.remedy(), Remedy::Advice(text) if text.contains("SPEC_KITTY_TOKEN")));
            }
        }
    }
}
