use super::failed;
use crate::report::{counted, rows};
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text;
use serde::Serialize;
use server::{BackupContents, back_up};
use std::path::PathBuf;

/// Back up a data directory into one file, also while the server runs
#[derive(Debug, Args)]
#[command(
    after_help = "The file is verified before it gets its name: every event has its bytes, every body its content. \
    A PostgreSQL database is backed up with its own tools.\n\nExample: spec-kitty server backup --data \
    /var/lib/spec-kitty --to /backup/spec-kitty.db"
)]
pub(crate) struct ServerBackupArgs {
    /// Directory of the server's database
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// New file of the backup
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Verb for ServerBackupArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let contents = back_up(&self.data, &self.to).map_err(failed)?;
        Ok(Report::of(&BackupView { result: "backed_up", file: text::path(&self.to), aside: None, contents }))
    }
}

/// A backup, or what was restored from one.
#[derive(Debug, Serialize)]
pub(super) struct BackupView {
    pub(super) result: &'static str,
    pub(super) file: String,
    /// The database that was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aside: Option<String>,
    #[serde(flatten)]
    pub(super) contents: BackupContents,
}

impl Render for BackupView {
    fn text(&self) -> String {
        let BackupContents { accounts, teams, events, bodies, bytes, .. } = self.contents;
        let held = format!(
            "{}, {}, {}; {bytes} bytes",
            rows(events, bodies),
            counted(accounts, "account", "accounts"),
            counted(teams, "team", "teams")
        );
        let mut out = match self.result {
            "restored" => format!("restored from {}: {held}\n", self.file),
            _ => format!("backed up to {}, and verified: {held}\n", self.file),
        };
        if let Some(aside) = &self.aside {
            out.push_str(&format!("the replaced database is {aside}\n"));
        }
        out
    }
}
