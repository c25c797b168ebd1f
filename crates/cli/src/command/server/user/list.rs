//! `server user list`.

use super::super::{AdminArgs, AdminList, failed};
use super::AccountView;
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;
use crate::verb::{Class, Verb};
use clap::Args;

/// List the accounts
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server user list --data /var/lib/spec-kitty")]
pub(crate) struct UserListArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &Context) -> Result<Report, CliError> {
        let accounts = self.admin.open()?.accounts().map_err(failed)?;
        Ok(Report::of(&AdminList { results: accounts.iter().map(AccountView::of).collect() }))
    }
}
