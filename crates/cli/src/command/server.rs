//! `server`: the ingest server as one process, and the administration of its accounts.

use crate::args::{ServerArgs, ServerCommand, TokenCommand, UserCommand};
use crate::build;
use crate::error::{CliError, chain};
use crate::render;
use crate::report::{Document, Report, Said};
use contract::ExitCode;
use contract::text::printable;
use serde::Serialize;
use serde_json::json;
use server::{
    Account, Admin, CiTokenRecord, ServerConfig, ServerError, Shutdown, TrustedProxies, UnixMillis,
};
use std::fmt::Write as _;

/// Runs the verb.
pub(crate) fn run(args: ServerArgs) -> Result<Report, CliError> {
    match args.command {
        Some(command) => administer(&command),
        None => serve(args),
    }
}

/// Serves until a signal. The first line on stdout says where.
fn serve(args: ServerArgs) -> Result<Report, CliError> {
    let mut config = ServerConfig::new(args.data.unwrap_or_default());
    config.listen = args.listen;
    config.allow_public_address = args.allow_public_address;
    config.public_url = args.public_url.map(|url| url.trim_end_matches('/').to_owned());
    config.trusted_proxies = TrustedProxies::new(args.trusted_proxy);
    config.version = build::VERSION.to_owned();
    config.stop_on_signals = true;
    config.access_log = (!args.quiet).then(render::log);
    config.on_ready = Some(Box::new(|address| render::say(&format!("listening on http://{address}\n"))));
    render::tell_failures();
    server::serve(config, Shutdown::new()).map_err(failed)?;
    Ok(Report::silent())
}

fn administer(command: &ServerCommand) -> Result<Report, CliError> {
    let data = &command.admin().data;
    let admin = match command {
        ServerCommand::User(UserCommand::Add { .. }) => Admin::open(data),
        ServerCommand::User(_) | ServerCommand::Token(_) => Admin::open_existing(data),
    };
    let admin = admin.map_err(failed)?;
    match command {
        ServerCommand::User(UserCommand::Add { email, name, team, .. }) => {
            let created = admin.create_account(email, name.as_deref(), team.as_deref()).map_err(failed)?;
            let view = AccountView::of(&created.account);
            let secret = created.approval_secret.expose();
            let line = format!("{}\n{SECRET_NOTE}: {secret}", view.line());
            Ok(Report::of(&Said {
                result: "created",
                facts: json!({ "account": view, "approval_secret": secret }),
                line,
            }))
        }
        ServerCommand::User(UserCommand::Secret { email, .. }) => {
            let secret = admin.replace_secret(email).map_err(failed)?;
            let facts = json!({ "email": email, "approval_secret": secret.expose() });
            let line = format!("{SECRET_NOTE}: {}", secret.expose());
            Ok(Report::of(&Said { result: "replaced", facts, line }))
        }
        ServerCommand::User(UserCommand::List(_)) => {
            let accounts = admin.accounts().map_err(failed)?;
            Ok(Report::of(&Listing { results: accounts.iter().map(AccountView::of).collect() }))
        }
        ServerCommand::Token(TokenCommand::Add { email, team, label, .. }) => {
            let issued = admin.issue_ci_token(email, team.as_deref(), label).map_err(failed)?;
            let view = TokenView::of(&issued.record);
            let facts = json!({ "token_record": view, "token": issued.token.expose() });
            let line = format!("{}\ntoken, shown this once: {}", view.line(), issued.token.expose());
            Ok(Report::of(&Said { result: "issued", facts, line }))
        }
        ServerCommand::Token(TokenCommand::Revoke { id, .. }) => {
            if !admin.revoke_ci_token(id).map_err(failed)? {
                let summary = format!("no token has the id `{}`", printable(id));
                return Err(CliError::failed("UNKNOWN_TOKEN", summary));
            }
            Ok(Report::of(&Said {
                result: "revoked",
                facts: json!({ "id": id }),
                line: format!("revoked {id}"),
            }))
        }
        ServerCommand::Token(TokenCommand::List(_)) => {
            let tokens = admin.ci_tokens().map_err(failed)?;
            Ok(Report::of(&Listing { results: tokens.iter().map(TokenView::of).collect() }))
        }
    }
}

const SECRET_NOTE: &str = "approval secret, shown this once; its owner types it to approve a login";

fn failed(error: ServerError) -> CliError {
    CliError::new("SERVER_FAILED", exit_of(&error), chain(&error)).remedy(error.remedy())
}

fn exit_of(error: &ServerError) -> ExitCode {
    match error {
        ServerError::InUse(_) => ExitCode::Busy,
        ServerError::Argument(..) | ServerError::NotLoopback(_) => ExitCode::Refused,
        _ => ExitCode::Failed,
    }
}

/// An account as it is shown.
#[derive(Debug, Serialize)]
struct AccountView {
    user_id: String,
    email: String,
    name: String,
    teams: Vec<TeamView>,
    created_at: String,
}

/// A team of an account.
#[derive(Debug, Serialize)]
struct TeamView {
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
                .map(|team| TeamView {
                    id: team.team_id.clone(),
                    name: team.name.clone(),
                    role: team.role.clone(),
                    private: team.is_private,
                })
                .collect(),
            created_at: account.created_at.iso(),
        }
    }
}

/// A token as it is shown.
#[derive(Debug, Serialize)]
struct TokenView {
    id: String,
    email: String,
    team: String,
    label: String,
    created_at: String,
    revoked_at: Option<String>,
}

impl TokenView {
    fn of(record: &CiTokenRecord) -> Self {
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

/// One line of a listing.
trait Line {
    fn line(&self) -> String;
}

impl Line for AccountView {
    fn line(&self) -> String {
        let teams: Vec<_> = self.teams.iter().map(|team| printable(&team.id).into_owned()).collect();
        format!("{}  {}  teams: {}", printable(&self.email), self.user_id, teams.join(", "))
    }
}

impl Line for TokenView {
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

/// A listing.
#[derive(Debug, Serialize)]
struct Listing<T: Serialize> {
    results: Vec<T>,
}

impl<T: Line + Serialize> Document for Listing<T> {
    fn text(&self) -> String {
        let mut out = String::new();
        for result in &self.results {
            let _ = writeln!(out, "{}", result.line());
        }
        if self.results.is_empty() {
            out.push_str("none\n");
        }
        out
    }
}
