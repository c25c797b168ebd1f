use super::super::session::SessionView;
use super::super::token::TokenView;
use super::super::{AdminArgs, AdminLine as _, failed};
use super::AccountView;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use serde::Serialize;
use std::fmt::Write as _;

/// Show an account with its teams, running sessions and tokens
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server user show --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct UserShowArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserShowArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        let account = admin.account(&self.email).map_err(failed)?;
        let sessions = admin.sessions(Some(&self.email), false).map_err(failed)?;
        let tokens = admin.ci_tokens().map_err(failed)?;
        Ok(Report::of(&AccountDetails {
            account: AccountView::of(&account),
            sessions: sessions.iter().map(SessionView::of).collect(),
            tokens: tokens.iter().filter(|token| token.email == account.email).map(TokenView::of).collect(),
        }))
    }
}

#[derive(Debug, Serialize)]
struct AccountDetails {
    account: AccountView,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
}

impl Render for AccountDetails {
    fn text(&self) -> String {
        let mut out = format!("{}\n", self.account.line());
        for session in &self.sessions {
            let _ = writeln!(out, "session {}", session.line());
        }
        for token in &self.tokens {
            let _ = writeln!(out, "token {}", token.line());
        }
        out
    }
}
