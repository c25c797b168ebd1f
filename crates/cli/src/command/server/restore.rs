use super::backup::BackupView;
use super::failed;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text;
use server::restore;
use std::path::PathBuf;

/// Put a backup into a data directory
#[derive(Debug, Args)]
#[command(
    after_help = "The server must be stopped. Afterwards each account repairs what the backup lacks with \
    `spec-kitty sync resend --missing --yes`.\n\nExample: spec-kitty server restore --data /var/lib/spec-kitty \
    --from /backup/spec-kitty.db"
)]
pub(crate) struct ServerRestoreArgs {
    /// Directory of the server's database
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// File of the backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Replace the database that is there; it is kept beside the restored one
    #[arg(long)]
    replace: bool,
}

impl Verb for ServerRestoreArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let (contents, aside) = restore(&self.data, &self.from, self.replace).map_err(failed)?;
        let aside = aside.as_deref().map(text::path);
        Ok(Report::of(&BackupView { result: "restored", file: text::path(&self.from), aside, contents }))
    }
}
