//! `server team ...`.

mod add;
mod add_member;
mod list;
mod remove_member;
mod rename;

use super::AdminLine;
use crate::verb::Verb;
use clap::Subcommand;
use contract::text::printable;
use serde::Serialize;
use server::TeamRecord;

// `server team ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum TeamCommand {
    Add(add::TeamAddArgs),
    List(list::TeamListArgs),
    Rename(rename::TeamRenameArgs),
    AddMember(add_member::TeamAddMemberArgs),
    RemoveMember(remove_member::TeamRemoveMemberArgs),
}

impl TeamCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Add(args) => Box::new(args),
            Self::List(args) => Box::new(args),
            Self::Rename(args) => Box::new(args),
            Self::AddMember(args) => Box::new(args),
            Self::RemoveMember(args) => Box::new(args),
        }
    }
}

/// A team as it is shown.
#[derive(Debug, Serialize)]
struct TeamView {
    id: String,
    name: String,
    private: bool,
    created_at: String,
    members: Vec<MemberView>,
}

/// A member of a team.
#[derive(Debug, Serialize)]
struct MemberView {
    email: String,
    role: String,
}

impl TeamView {
    fn of(team: &TeamRecord) -> Self {
        let member =
            |(email, role): &(String, String)| MemberView { email: email.clone(), role: role.clone() };
        Self {
            id: team.team_id.clone(),
            name: team.name.clone(),
            private: team.is_private,
            created_at: team.created_at.iso(),
            members: team.members.iter().map(member).collect(),
        }
    }
}

impl AdminLine for TeamView {
    fn line(&self) -> String {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("{} ({})", printable(&member.email), member.role))
            .collect();
        let kind = if self.private { "private teamspace" } else { "team" };
        let members = if members.is_empty() { "none".to_owned() } else { members.join(", ") };
        format!("{}  {}  {kind}  members: {members}", printable(&self.id), printable(&self.name))
    }
}
