use super::super::{AdminArgs, confirmed, failed};
use crate::report::events_and_bodies;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use serde::Serialize;
use server::{Forgotten, SoleTeams};
use std::fmt::Write as _;

/// Erase an account; keep the events of its teams
#[derive(Debug, Args)]
#[command(
    after_help = "A private teamspace whose only member is this account is handed over with --to-team or \
    deleted with --delete-data; without one of them such an account is not removed.\n\nExample: spec-kitty \
    server user remove --email ada@example.com --to-team editors --data /var/lib/spec-kitty"
)]
pub(crate) struct UserRemoveArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    /// Make the members of this team members of the teamspaces that would be left without members
    #[arg(long, value_name = "TEAM", conflicts_with = "delete_data")]
    to_team: Option<String>,
    /// Delete the teamspaces that would be left without members, with their events and bodies
    #[arg(long)]
    delete_data: bool,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserRemoveArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        let account = admin.account(&self.email).map_err(failed)?;
        let mut removal = Removal {
            result: "preview",
            email: account.email,
            user_id: account.user_id,
            deleted_teams: Vec::new(),
            handed_over_teams: Vec::new(),
            deleted_events: 0,
            deleted_bodies: 0,
            deletes_data: self.delete_data,
        };
        if let Some(unchanged) = confirmed(context, self.yes, "Remove it?", &removal) {
            return Ok(unchanged);
        }
        let sole_teams = match self.to_team {
            Some(team) => SoleTeams::HandOver(team),
            None if self.delete_data => SoleTeams::Delete,
            None => SoleTeams::Refuse,
        };
        let removed = admin.remove_account(&self.email, &sole_teams).map_err(failed)?;
        let Forgotten { events, bodies, .. } = removed.forgotten;
        removal.result = "removed";
        removal.deleted_teams = removed.deleted_teams;
        removal.handed_over_teams = removed.handed_over_teams;
        (removal.deleted_events, removal.deleted_bodies) = (events, bodies);
        Ok(Report::of(&removal))
    }
}

/// Account and rows that are removed, or would be.
#[derive(Debug, Serialize)]
struct Removal {
    /// `preview` or `removed`.
    result: &'static str,
    email: String,
    user_id: String,
    deleted_teams: Vec<String>,
    handed_over_teams: Vec<String>,
    deleted_events: u64,
    deleted_bodies: u64,
    #[serde(skip)]
    deletes_data: bool,
}

impl Render for Removal {
    fn text(&self) -> String {
        let email = printable(&self.email);
        if self.result == "preview" {
            let data = if self.deletes_data { ", and teamspaces of it alone with their events" } else { "" };
            return format!("would remove {email}  {}{data}\n", self.user_id);
        }
        let mut out = format!("removed {email}  {}\n", self.user_id);
        let list = |teams: &[String]| -> String {
            teams.iter().map(|team| printable(team).into_owned()).collect::<Vec<_>>().join(", ")
        };
        if !self.handed_over_teams.is_empty() {
            let _ = writeln!(out, "handed over: {}", list(&self.handed_over_teams));
        }
        if !self.deleted_teams.is_empty() {
            let rows = events_and_bodies(self.deleted_events, self.deleted_bodies);
            let _ = writeln!(out, "deleted: {}, with {rows}", list(&self.deleted_teams));
        }
        out
    }
}
