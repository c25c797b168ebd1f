//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::{card::CardUse, config::Config, environment::Environment, home::Home, machine::Machine};
use contract::{Fault, Scope};
use jiff::Timestamp;
use std::path::PathBuf;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginSource {
    Token,
    Session,
    Credentials,
    None,
}
/// Why a login is not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthAbsence {
    LoggedOut,
    Expired,
    NoPrivateTeam,
    CredentialsOnly,
    Unreadable,
}
#[derive(Clone, Debug)]
pub struct Login {
    pub scope: Option<Scope>,
    pub authenticated: bool,
    /// none iff authenticated
    pub absence: Option<AuthAbsence>,
    pub source: LoginSource,
    /// The server of the scope, as written where it came from; shown, never sent to.
    pub server_url: Option<String>,
    pub principal: Option<String>,
    /// original case
    pub team_id: Option<String>,
    pub private_teams: Vec<String>,
    pub access_expires_at: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    pub issuer: Option<String>,
    pub card: CardUse,
    pub faults: Vec<Fault>,
    /// files that were ignored, and why (malformed legacy credentials)
    pub ignored: Vec<(PathBuf, String)>,
}
impl Login {
    /// scoped queue; legacy queue when there is no scope and nothing is unreadable; else none
    pub fn active_queue(&self, home: &Home) -> Option<PathBuf> {
        todo!()
    }
}
/// Contract 1 and 11: CI token, session, legacy credentials, none. Writes nothing. Give
/// `Config::unreadable()` when the config gave a fault.
pub fn read_login(home: &Home, config: &Config, environment: &Environment) -> Login {
    todo!()
}
/// The same with a stated machine and time.
pub fn read_login_at(
    home: &Home,
    config: &Config,
    environment: &Environment,
    machine: &Machine,
    now: Timestamp,
) -> Login {
    todo!()
}
/// Where rows of this login may go (contract 1 "no default destination", 9 "token").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Requests may go to this base URL (no trailing slash).
    Ready { url: String },
    /// SYNC_SERVER_UNSET
    ServerUnset,
    /// SYNC_TOKEN_HOST: issuer unknown (none) or another host
    TokenHost { url: String, issuer: Option<String> },
}
pub fn judge_destination(login: &Login, config: &Config) -> Destination {
    todo!()
}
