//! Rows of other scopes, with the remedy of each.

use crate::project_stores::ProjectStoreStatus;
use contract::server_url::{self, ServerUrl};
use contract::{Fault, Remedy, Scope};
use identity::Login;
use queue::{OtherQueue, OtherReading, OtherRows};
use serde::Serialize;
use std::path::PathBuf;

/// Rows of this home that wait outside the active and the legacy queue DB. They never refuse anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// Queue DBs of other scopes that have rows.
    pub other_queues: Vec<OtherQueueStatus>,
    /// Stores of releases 3.2.0 to 3.2.7 with rows that were not delivered and not imported.
    pub project_stores: Vec<ProjectStoreStatus>,
}

/// The queue DB of another scope, with its rows (contract section 1 "Other queues").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherQueueStatus {
    /// The file.
    #[serde(serialize_with = "contract::foreground::raw_path")]
    pub path: PathBuf,
    /// `server|user|team`, or the first 16 digits of its hash where an earlier release wrote the file.
    pub scope: String,
    /// The user, if the file names it.
    pub account: Option<String>,
    /// The server, if the file names it.
    pub server: Option<String>,
    /// Waiting events, held ones included; null when the file was not read.
    pub events: Option<u64>,
    /// Waiting bodies, held ones included.
    pub bodies: Option<u64>,
    /// Rows that wait for a decision.
    pub held: Option<u64>,
    /// Rows that were refused and are kept.
    pub parked: Option<u64>,
    /// Rows of a command that did not finish.
    pub prepared: Option<u64>,
    /// `busy` or `unreadable`; absent when the file was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Reason why the scope of this login is unknown: the file may be the active queue DB. Absent when the scope is
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_unknown: Option<String>,
    /// The remedy: a command, where one helps.
    #[serde(rename = "remediation_hint", serialize_with = "crate::status::hint")]
    pub remedy: Remedy,
    /// The remedy in text, where it is more than the command.
    #[serde(skip)]
    advice: Option<String>,
}

/// The facts of a login that decide about the queue DBs of other scopes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnLogin<'a> {
    pub(crate) login: &'a Login,
    /// See [`identity::Destination::way_back`].
    pub(crate) way_back: Option<&'a Remedy>,
    /// The fault for which the scope of this login is unknown.
    pub(crate) unknown: Option<&'a Fault>,
}

impl OtherQueueStatus {
    pub(crate) fn of(queue: OtherQueue, own: OwnLogin<'_>) -> Self {
        let OtherQueue { path, hash, reading } = queue;
        let scope_unknown = own.unknown.map(|fault| {
            let place = fault.path.as_deref().map(contract::text::path);
            format!("{} cannot be used", place.as_deref().unwrap_or(fault.code.name()))
        });
        let unread = |state, remedy| Self {
            path: path.clone(),
            scope: hash.clone(),
            account: None,
            server: None,
            events: None,
            bodies: None,
            held: None,
            parked: None,
            prepared: None,
            state: Some(state),
            scope_unknown: scope_unknown.clone(),
            remedy,
            advice: None,
        };
        match reading {
            OtherReading::Busy => unread("busy", look_again()),
            OtherReading::Unreadable(_) if own.unknown.is_some() => unread("unreadable", Remedy::Repair),
            OtherReading::Unreadable(_) => {
                let advice = "log in to its account, then run `spec-kitty doctor repair`";
                unread("unreadable", Remedy::Advice(advice.to_owned()))
            }
            OtherReading::Read(rows) => {
                let scope = scope_of(&rows);
                let counts = &rows.counts;
                let held: u64 = counts.held.iter().map(|held| held.events + held.bodies).sum();
                let (remedy, advice) = match own.unknown {
                    Some(fault) => (fault.remedy.clone(), None),
                    None => remedy(&rows, scope.as_ref(), &hash, own),
                };
                Self {
                    scope: scope.as_ref().map_or_else(
                        || hash.clone(),
                        |scope| server_url::shown(&scope.to_string()).into_owned(),
                    ),
                    account: rows.principal.clone(),
                    server: rows.server.as_deref().map(|server| server_url::shown(server).into_owned()),
                    events: Some(counts.events),
                    bodies: Some(counts.bodies),
                    held: Some(held.min(counts.events + counts.bodies)),
                    parked: Some(counts.parked.total()),
                    prepared: Some(counts.prepared.total()),
                    state: None,
                    scope_unknown,
                    remedy,
                    advice,
                    path,
                }
            }
        }
    }

    /// The remedy in text.
    pub fn advice(&self) -> Remedy {
        self.advice.clone().map_or_else(|| self.remedy.clone(), Remedy::Advice)
    }

    /// One line: row counts and account.
    pub fn line(&self) -> String {
        let unknown = self.scope_unknown.as_deref();
        let unknown = unknown.map(|why| format!("; whether it is the active one is unknown: {why}"));
        format!("{}{}", self.owner_and_counts(), unknown.unwrap_or_default())
    }

    fn owner_and_counts(&self) -> String {
        let whose = match (&self.account, &self.server) {
            (Some(account), Some(server)) => format!("{account} at {server}"),
            (Some(account), None) => format!("{account} (scope {})", self.scope),
            _ => format!("scope {}", self.scope),
        };
        let (Some(events), Some(bodies)) = (self.events, self.bodies) else {
            return format!("{whose}: {}", self.state.unwrap_or_default());
        };
        let mut parts = Vec::new();
        for (count, one, many) in [
            (Some(events), "event", "events"),
            (Some(bodies), "body", "bodies"),
            (self.held, "held", "held"),
            (self.parked, "parked", "parked"),
            (self.prepared, "unfinished", "unfinished"),
        ] {
            let count = count.unwrap_or_default();
            if count > 0 {
                parts.push(format!("{count} {}", if count == 1 { one } else { many }));
            }
        }
        format!("{whose}: {}", parts.join(", "))
    }
}

/// Advice where another process holds a file.
pub(crate) fn look_again() -> Remedy {
    Remedy::Advice("run `spec-kitty sync status` again when the process that holds it has ended".to_owned())
}

/// The scope, where the file names all of its parts.
fn scope_of(rows: &OtherRows) -> Option<Scope> {
    Some(Scope::new(rows.server.as_deref()?, rows.principal.as_deref()?, rows.team.as_deref()?))
}

/// The remedy, and its text where that is more than the command: another team of this session, the server that issued
/// its token, a copy of the same user's rows, or a login.
fn remedy(
    rows: &OtherRows,
    scope: Option<&Scope>,
    hash: &str,
    own: OwnLogin<'_>,
) -> (Remedy, Option<String>) {
    let login = own.login;
    let waiting = rows.counts.events + rows.counts.bodies > 0;
    let from_scope = Remedy::FromScope { hash: hash.to_owned() };
    let export = Remedy::ExportScope { hash: hash.to_owned() };
    let then = if waiting { from_scope.hint() } else { export.hint() };
    let text = || log_in_as(rows.principal.as_deref(), rows.server.as_deref(), &then, login);
    let log_in = || (login_at(rows.server.as_deref(), login), Some(text()));
    let Some(ours) = &login.scope else { return log_in() };
    match &rows.principal {
        Some(principal) if principal == ours.principal() => {
            let issuer = own.way_back.filter(|way_back| {
                let server = rows.server.as_deref().and_then(|server| ServerUrl::parse(server).ok());
                let same_team = rows.team.as_deref() == Some(ours.team());
                let issuer = server.map(|server| Remedy::SetServer { server: server.normal().to_owned() });
                same_team && issuer.as_ref() == Some(*way_back)
            });
            if let Some(issuer) = issuer {
                let server = server_url::shown(ours.server()).into_owned();
                let text = format!(
                    "if {server} is the wrong address: `{issuer}`; if it is the right one: `{}`",
                    Remedy::LoginAt { server: server.clone(), again: false }
                );
                return (issuer.clone(), Some(text));
            }
            let same_server = scope.is_some_and(|scope| scope.server() == ours.server());
            let team = login.private_teams.iter().find(|team| {
                same_server && Scope::new("", "", team).team() == rows.team.as_deref().unwrap_or_default()
            });
            match team {
                Some(team) => (Remedy::SwitchTeam { team: team.clone() }, None),
                None if waiting => (from_scope, None),
                None if rows.server.as_deref().is_some_and(server_url::is_packaged_default) => {
                    let text = format!("`{export}` keeps a copy");
                    (export, Some(text))
                }
                None => (
                    login_at(rows.server.as_deref(), login),
                    Some(format!("{}; `{export}` keeps a copy", text())),
                ),
            }
        }
        None if waiting => (
            login_at(rows.server.as_deref(), login),
            Some(format!("{}; if it is yours: `{from_scope}`", text())),
        ),
        Some(_) | None => log_in(),
    }
}

/// The login at the server of a queue DB, as far as it is known.
fn login_at(server: Option<&str>, login: &Login) -> Remedy {
    match server {
        Some(server) if server_url::is_packaged_default(server) => Remedy::LoginServer,
        Some(server) => {
            let normal = ServerUrl::parse(server).ok().map(|server| server.normal().to_owned());
            let again = login.authenticated && normal.is_some() && normal == login.destination;
            Remedy::LoginAt { server: server_url::shown(server).into_owned(), again }
        }
        None => Remedy::Login,
    }
}

/// The login that would send the rows of `account` at `server`, as far as they are known. No login reaches the
/// server that earlier releases had built in: its rows move to the account's own server by the command `then`.
pub(crate) fn log_in_as(account: Option<&str>, server: Option<&str>, then: &str, login: &Login) -> String {
    let who = account.unwrap_or("its account");
    // A CI token wins over every login.
    let unset = login.token_variable.map(|name| format!("unset {name}, then ")).unwrap_or_default();
    match server {
        Some(server) if server_url::is_packaged_default(server) => {
            format!("{unset}log in as {who} at your own server, then `{then}`")
        }
        Some(server) => format!("{unset}log in as {who}: `{}`", login_at(Some(server), login)),
        None => format!("{unset}log in as {who} again: `spec-kitty auth login`"),
    }
}
