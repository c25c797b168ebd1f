//! `server user ...`.

mod add;
mod disable;
mod enable;
mod list;
mod remove;
mod secret;
mod show;

use super::AdminLine;
use crate::report::counted;
use crate::verb::Verb;
use clap::Subcommand;
use contract::text::printable;
use serde::Serialize;
use serde_json::json;
use server::{Account, EndedLogins, UnixMillis};

// `server user ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum UserCommand {
    Add(add::UserAddArgs),
    Secret(secret::UserSecretArgs),
    List(list::UserListArgs),
    Show(show::UserShowArgs),
    Disable(disable::UserDisableArgs),
    Enable(enable::UserEnableArgs),
    Remove(remove::UserRemoveArgs),
}

impl UserCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Add(args) => Box::new(args),
            Self::Secret(args) => Box::new(args),
            Self::List(args) => Box::new(args),
            Self::Show(args) => Box::new(args),
            Self::Disable(args) => Box::new(args),
            Self::Enable(args) => Box::new(args),
            Self::Remove(args) => Box::new(args),
        }
    }
}

const SECRET_NOTE: &str = "approval secret, shown this once; its owner types it to approve a login";

fn ended_facts(ended: EndedLogins) -> serde_json::Value {
    json!({ "sessions": ended.sessions, "tokens": ended.tokens })
}

fn ended_line(ended: EndedLogins) -> String {
    let (sessions, tokens) =
        (counted(ended.sessions, "session", "sessions"), counted(ended.tokens, "token", "tokens"));
    format!("ended: {sessions}, {tokens}")
}

/// An account as it is shown.
#[derive(Debug, Serialize)]
struct AccountView {
    user_id: String,
    email: String,
    name: String,
    teams: Vec<MembershipView>,
    created_at: String,
    disabled_at: Option<String>,
}

/// A team of an account.
#[derive(Debug, Serialize)]
struct MembershipView {
    id: String,
    name: String,
    role: String,
    private: bool,
}

impl AccountView {
    fn of(account: &Account) -> Self {
        Self {
            user_id: account.user_id.clone(),
            email: account.email.clone(),
            name: account.name.clone(),
            teams: account
                .teams
                .iter()
                .map(|team| MembershipView {
                    id: team.team_id.clone(),
                    name: team.name.clone(),
                    role: team.role.clone(),
                    private: team.is_private,
                })
                .collect(),
            created_at: account.created_at.iso(),
            disabled_at: account.disabled_at.map(UnixMillis::iso),
        }
    }
}

impl AdminLine for AccountView {
    fn line(&self) -> String {
        let teams: Vec<_> = self.teams.iter().map(|team| printable(&team.id).into_owned()).collect();
        let state = self.disabled_at.as_ref().map_or_else(String::new, |at| format!("  disabled {at}"));
        format!("{}  {}  teams: {}{state}", printable(&self.email), self.user_id, teams.join(", "))
    }
}
