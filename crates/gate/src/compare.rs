//! The six-field comparison: canonical on both sides, one side unset is a mismatch.

use crate::facts::{LoginFacts, ResolvedPaths};
use contract::{Field, ForegroundIdentity, Mismatch, OwnerRecord, Remedy, server_url};
use std::path::Path;

/// Every field in which a live record differs from the foreground, in canonical order.
pub(crate) fn mismatches(
    foreground: &ForegroundIdentity,
    login: &LoginFacts,
    record: &OwnerRecord,
    resolved: &ResolvedPaths,
) -> Vec<Mismatch> {
    Field::ALL
        .into_iter()
        .filter_map(|field| {
            let (ours, theirs) = values(field, foreground, record, resolved);
            let equal = match (field, &ours, &theirs) {
                (Field::ServerUrl, Some(ours), Some(theirs)) => server_url::same(ours, theirs),
                _ => ours == theirs,
            };
            (!equal).then(|| Mismatch {
                field,
                foreground: ours.map(|ours| shown(field, ours)),
                daemon: theirs.map(|theirs| shown(field, theirs)),
                remedies: remedies(field, foreground, login, record),
            })
        })
        .collect()
}

fn values(
    field: Field,
    foreground: &ForegroundIdentity,
    record: &OwnerRecord,
    resolved: &ResolvedPaths,
) -> (Option<String>, Option<String>) {
    // An empty path is unknown: the session that decides it cannot be read.
    let path = |path: &Path| set(Some(path.to_string_lossy().into_owned()));
    match field {
        Field::PackageVersion => {
            (set(Some(foreground.package_version.clone())), set(Some(record.package_version.clone())))
        }
        Field::ExecutablePath => (path(&foreground.executable_path), path(&resolved.executable)),
        Field::SourcePath => (path(&foreground.source_path), path(&resolved.source)),
        Field::ServerUrl => (set(foreground.server_url.clone()), record.server().map(str::to_owned)),
        Field::TeamOrUser => (set(foreground.team_or_user.clone()), record.team_or_user()),
        Field::QueueDbPath => (path(&foreground.queue_db_path), path(&resolved.queue_db)),
    }
}

/// A value of `field` as a mismatch shows it.
fn shown(field: Field, value: String) -> String {
    if field == Field::ServerUrl { server_url::shown(&value).into_owned() } else { value }
}

/// An empty value counts as unset, in foreground and record.
fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

/// A daemon with the foreground's identity is the remedy of every mismatch. For teams of one principal,
/// switching to the daemon's team is a second one, if the session has that team.
fn remedies(
    field: Field,
    foreground: &ForegroundIdentity,
    login: &LoginFacts,
    record: &OwnerRecord,
) -> Vec<Remedy> {
    let mut remedies = vec![Remedy::RestartDaemon];
    let principal = login.scope.as_ref().map(contract::Scope::principal);
    if field == Field::TeamOrUser
        && foreground.team_or_user.is_some()
        && principal.is_some()
        && principal == record.auth_principal.as_deref()
        && let Some(theirs) = record.auth_team.as_deref()
        && let Some(team) = login.private_teams.iter().find(|team| team.to_lowercase() == theirs)
    {
        remedies.push(Remedy::SwitchTeam { team: team.clone() });
    }
    remedies
}
