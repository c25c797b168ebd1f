//! Checks of the login and the teamspace.

use super::{CheckName, DiagnosticCheck, Diagnostics};
use crate::error::CliError;
use identity::environment::names;
use identity::{AuthAbsence, Home, Login, LoginSource, SessionCacheUse};
use preflight::status::LOGIN_REFUSED;

impl Diagnostics<'_> {
    pub(super) fn login_check(&self) -> Result<DiagnosticCheck, CliError> {
        let login = &self.login;
        let check = match (&login.principal, login.absence) {
            (Some(principal), None) => {
                DiagnosticCheck::ok(CheckName::Login, format!("{principal}{}", until(login)))
            }
            (_, Some(AuthAbsence::Unreadable | AuthAbsence::TokenUnreadable)) => {
                DiagnosticCheck::ok(CheckName::Login, "unreadable")
            }
            (_, Some(why)) if self.status.auth_required => {
                DiagnosticCheck::ok(CheckName::Login, why.reason())
            }
            (_, why) => {
                let why = why.unwrap_or(AuthAbsence::LoggedOut).reason();
                DiagnosticCheck::not_checked(
                    CheckName::Login,
                    format!("{why}; not needed while hosted sync is off"),
                )
            }
        };
        let (what, from) = source(login, self.context.home()?);
        let check = check.read(what, from);
        let refused = self.status.warnings.iter().find(|warning| warning.code == LOGIN_REFUSED);
        let check = refused.into_iter().fold(check, |check, warning| {
            check.finding(warning.code, warning.text.clone(), [warning.remedy.clone()])
        });
        Ok(login
            .ignored
            .iter()
            .fold(check, |check, (path, why)| check.read_file(format!("ignored: {why}"), path)))
    }

    pub(super) fn teamspace(&self) -> DiagnosticCheck {
        let login = &self.login;
        let private = login.private_teams.len();
        match (&login.team_id, login.absence) {
            (_, Some(AuthAbsence::NoPrivateTeam)) => DiagnosticCheck::ok(CheckName::Teamspace, "none")
                .finding(
                    "no_private_teamspace",
                    "the account has no private teamspace, the only kind that rows are sent to",
                    [login.remedy()],
                ),
            (Some(team), _) => {
                let others = private.saturating_sub(1);
                let choice = if others > 0 { format!(", {others} more to switch to") } else { String::new() };
                DiagnosticCheck::ok(CheckName::Teamspace, format!("{team}{choice}"))
            }
            (None, _) => DiagnosticCheck::not_checked(CheckName::Teamspace, "not logged in"),
        }
    }
}

fn until(login: &Login) -> String {
    login.refresh_expires_at.map(|at| format!(", until {at}")).unwrap_or_default()
}

/// Source of the login, and the file or variable of it.
fn source(login: &Login, home: &Home) -> (String, String) {
    let file = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    match login.source {
        LoginSource::Token => (
            "a CI token, which takes precedence over a session".to_owned(),
            login.token_variable.unwrap_or(names::SPEC_KITTY_TOKEN).to_owned(),
        ),
        LoginSource::Session if login.session_cache == SessionCacheUse::Used => {
            ("the session, by its session cache".to_owned(), file(home.session_cache_file()))
        }
        LoginSource::Session => ("the session".to_owned(), file(home.session_file())),
        LoginSource::Credentials => {
            ("credentials of an earlier release".to_owned(), file(home.credentials_file()))
        }
        LoginSource::None => ("no session".to_owned(), file(home.session_file())),
    }
}
