//! `server token ...`.

mod add;
mod list;
mod revoke;

use super::AdminLine;
use crate::verb::Verb;
use clap::Subcommand;
use contract::text::printable;
use serde::Serialize;
use server::{CiTokenRecord, UnixMillis};

// `server token ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TokenCommand {
    Add(add::TokenAddArgs),
    Revoke(revoke::TokenRevokeArgs),
    List(list::TokenListArgs),
}

impl TokenCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Add(args) => Box::new(args),
            Self::Revoke(args) => Box::new(args),
            Self::List(args) => Box::new(args),
        }
    }
}

/// A token as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct TokenView {
    id: String,
    email: String,
    team: String,
    label: String,
    created_at: String,
    revoked_at: Option<String>,
}

impl TokenView {
    pub(super) fn of(record: &CiTokenRecord) -> Self {
        Self {
            id: record.id.clone(),
            email: record.email.clone(),
            team: record.team_id.clone(),
            label: record.label.clone(),
            created_at: record.created_at.iso(),
            revoked_at: record.revoked_at.map(UnixMillis::iso),
        }
    }
}

impl AdminLine for TokenView {
    fn line(&self) -> String {
        let state = self.revoked_at.as_ref().map_or_else(String::new, |at| format!("  revoked {at}"));
        format!(
            "{}  {}  {}  {}{state}",
            self.id,
            printable(&self.email),
            printable(&self.team),
            printable(&self.label)
        )
    }
}
