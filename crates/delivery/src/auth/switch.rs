//! `auth switch`: another private teamspace of the same session.
//!
//! Every reader of the session takes the first private teamspace in `teams`, so switching means storing
//! the chosen one first. No request is sent and no row moves: rows stay with the scope they were captured
//! for.

use super::me::default_team;
use crate::context::DeliveryContext;
use contract::{ExitCode, Remedy, Scope};
use identity::session::{SessionWriteError, Team};
use identity::{Config, LoginSource, SessionError, read_login, refresh_session_cache};
use std::path::PathBuf;

/// The result of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The team before.
    pub from: Option<Team>,
    /// The team now.
    pub to: Team,
    /// False when it was the chosen one already and nothing was written.
    pub changed: bool,
    /// The scope before, whose waiting rows stay.
    pub previous_scope: Option<Scope>,
    /// The scope now.
    pub scope: Option<Scope>,
}

/// Reason why the team was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// Not logged in.
    #[error("not logged in")]
    LoggedOut,
    /// A CI token names its own team.
    #[error("the team is named by a CI token in the environment; a login cannot change it")]
    CiToken,
    /// No private teamspace of that id or name.
    #[error("`{}` is not one of your private teamspaces: {}", contract::text::printable(.wanted), listed(.available))]
    Unknown {
        /// Id or name that was asked for.
        wanted: String,
        /// Private teamspaces of the account.
        available: Vec<Team>,
    },
    /// Several have that name.
    #[error("`{}` is the name of several private teamspaces; use an id: {}", contract::text::printable(.wanted), listed(.available))]
    Ambiguous {
        /// Name that was asked for.
        wanted: String,
        /// Those of that name.
        available: Vec<Team>,
    },
    /// The session changed while the team was being stored.
    #[error("the login changed meanwhile; run the command again")]
    Changed,
    /// The session cannot be read.
    #[error("{} {source}", contract::text::path(.path))]
    Unreadable {
        /// The session file.
        path: PathBuf,
        /// Error of the read.
        source: SessionError,
    },
    /// The session cannot be stored.
    #[error(transparent)]
    Store(#[from] SessionWriteError),
}

impl SwitchError {
    /// Its exit code.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::LoggedOut | Self::Unreadable { .. } => ExitCode::Refused,
            Self::Store(SessionWriteError::Lock(system::LockError::Busy { .. })) => ExitCode::Busy,
            _ => ExitCode::Failed,
        }
    }

    /// Its remedy.
    pub fn remedy(&self, context: &DeliveryContext) -> Option<Remedy> {
        match self {
            Self::LoggedOut | Self::Unreadable { .. } => Some(context.login().remedy()),
            Self::Store(error) => error.remedy(),
            Self::CiToken | Self::Unknown { .. } | Self::Ambiguous { .. } | Self::Changed => None,
        }
    }
}

fn listed(teams: &[Team]) -> String {
    if teams.is_empty() {
        return "this account has none".to_owned();
    }
    let shown = teams.iter().map(|team| format!("{} ({})", team.id, team.name));
    contract::text::printable(&shown.collect::<Vec<_>>().join(", ")).into_owned()
}

/// Makes `wanted`, the id or the unambiguous name of a private teamspace, the team of this session.
///
/// # Errors
/// See [`SwitchError`].
pub fn switch_team(context: &DeliveryContext, wanted: &str) -> Result<Switched, SwitchError> {
    let config = Config::read(&context.home).unwrap_or_else(|_| Config::unreadable());
    let before = read_login(&context.home, &config, &context.environment);
    if before.source == LoginSource::Token {
        return Err(SwitchError::CiToken);
    }
    let store = context.sessions();
    let unreadable = |source| SwitchError::Unreadable { path: context.home.session_file(), source };
    let stored = store.read().map_err(unreadable)?.ok_or(SwitchError::LoggedOut)?;
    let position = plan_choice(&stored.teams, wanted)?;
    let from = stored.private_team().cloned();
    let mut session = stored.clone();
    let to = session.teams.remove(position);
    let changed = from.as_ref() != Some(&to);
    session.teams.insert(0, to.clone());
    session.default_team_id = default_team(&session.teams);
    if changed && !store.replace_if(&session, |now| now == Some(&stored))? {
        return Err(SwitchError::Changed);
    }
    let after = read_login(&context.home, &config, &context.environment);
    // Without a session cache every command derives the key again: slow, but correct.
    let _ = refresh_session_cache(&context.home, &after);
    Ok(Switched { from, to, changed, previous_scope: before.scope, scope: after.scope })
}

/// Position of the wanted team: its exact id, its id in another case, its name. Pure.
fn plan_choice(teams: &[Team], wanted: &str) -> Result<usize, SwitchError> {
    let wanted = contract::scope::trim(wanted);
    let private = || teams.iter().enumerate().filter(|(_, team)| team.private);
    let matching = |test: &dyn Fn(&Team) -> bool| -> Vec<usize> {
        private().filter(|(_, team)| test(team)).map(|(at, _)| at).collect()
    };
    let same = |left: &str| left.to_lowercase() == wanted.to_lowercase();
    for found in [
        matching(&|team| team.id == wanted),
        matching(&|team| same(&team.id)),
        matching(&|team| same(&team.name)),
    ] {
        match found.as_slice() {
            [] => {}
            [one] => return Ok(*one),
            several => {
                let available = several.iter().filter_map(|at| teams.get(*at).cloned()).collect();
                return Err(SwitchError::Ambiguous { wanted: wanted.to_owned(), available });
            }
        }
    }
    let available = private().map(|(_, team)| team.clone()).collect();
    Err(SwitchError::Unknown { wanted: wanted.to_owned(), available })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(id: &str, name: &str, private: bool) -> Team {
        Team { id: id.into(), name: name.into(), role: "member".into(), private }
    }

    #[test]
    fn team_is_chosen_by_id_before_name_and_only_among_private_ones() {
        let teams = [team("shared", "Alpha", false), team("pt-1", "Alpha", true), team("PT-2", "pt-1", true)];
        assert_eq!(plan_choice(&teams, "pt-1").unwrap(), 1, "an id beats a name");
        assert_eq!(plan_choice(&teams, " pt-2 ").unwrap(), 2);
        assert_eq!(plan_choice(&teams, "alpha").unwrap(), 1);
        let error = plan_choice(&teams, "shared").unwrap_err();
        assert!(matches!(&error, SwitchError::Unknown { available, .. } if available.len() == 2), "{error}");
    }

    #[test]
    fn name_that_two_teams_have_is_ambiguous() {
        let teams = [team("a", "Team", true), team("b", "team", true)];
        let error = plan_choice(&teams, "TEAM").unwrap_err();
        assert!(matches!(error, SwitchError::Ambiguous { .. }));
        assert!(error.to_string().contains("a (Team), b (team)"));
    }

    #[test]
    fn team_name_cannot_move_the_cursor() {
        let error = plan_choice(&[team("a", "\u{1b}[2J", true)], "\u{7}x").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && !error.contains('\u{7}'), "{error:?}");
    }
}
