//! `server session ...`.

mod list;
mod revoke;

use super::AdminLine;
use crate::verb::Verb;
use clap::Subcommand;
use contract::text::printable;
use serde::Serialize;
use server::{SessionRecord, UnixMillis};

// `server session ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum SessionCommand {
    List(list::SessionListArgs),
    Revoke(revoke::SessionRevokeArgs),
}

impl SessionCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::List(args) => Box::new(args),
            Self::Revoke(args) => Box::new(args),
        }
    }
}

/// A session as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct SessionView {
    id: String,
    email: String,
    flow: String,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    ended_at: Option<String>,
}

impl SessionView {
    pub(super) fn of(session: &SessionRecord) -> Self {
        Self {
            id: session.session_id.clone(),
            email: session.email.clone(),
            flow: session.flow.clone(),
            created_at: session.created_at.iso(),
            last_used_at: session.last_used_at.map(UnixMillis::iso),
            expires_at: session.expires_at.map(UnixMillis::iso),
            ended_at: session.ended_at.map(UnixMillis::iso),
        }
    }
}

impl AdminLine for SessionView {
    fn line(&self) -> String {
        let at = |label: &str, time: &Option<String>| {
            time.as_ref().map_or_else(String::new, |time| format!("  {label} {time}"))
        };
        format!(
            "{}  {}  {}  since {}{}{}",
            self.id,
            printable(&self.email),
            self.flow,
            self.created_at,
            at("last used", &self.last_used_at),
            at("ended", &self.ended_at)
        )
    }
}
