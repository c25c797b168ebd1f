use super::failed;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use serde::Serialize;
use server::{CopiedTable, ServerError, StoreLocation, StoreOptions, copy_store};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Copy a data directory into an empty PostgreSQL database
#[derive(Debug, Args)]
#[command(
    after_help = "Each table is read back and compared by its number of rows and its digest. The directory stays as it is.\n\n\
                  Example: spec-kitty server copy --from /var/lib/spec-kitty --to postgres://kitty@db.example.org/kitty"
)]
pub(crate) struct ServerCopyArgs {
    /// Directory of the database to copy; no server may use it meanwhile
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Address of the empty database, without a password
    #[arg(long, value_name = "URL", alias = "database-url", conflicts_with = "to_file")]
    to: Option<String>,
    /// File with the address, which may have a password [default: SPEC_KITTY_DATABASE_URL]
    #[arg(long, value_name = "FILE", alias = "database-url-file")]
    to_file: Option<PathBuf>,
}

impl Verb for ServerCopyArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let options = StoreOptions { directory: None, url: self.to, url_file: self.to_file };
        let target = match options.location().map_err(failed)? {
            StoreLocation::Postgres(url) => url,
            StoreLocation::Directory(_) => return Err(failed(ServerError::NoStore)),
        };
        let tables = copy_store(&self.from, &target).map_err(failed)?;
        let tables: Vec<TableView> = tables.into_iter().map(TableView::from).collect();
        Ok(Report::of(&Copy { database: target.to_string(), tables }))
    }
}

/// A verified copy.
#[derive(Debug, Serialize)]
struct Copy {
    database: String,
    tables: Vec<TableView>,
}

#[derive(Debug, Serialize)]
struct TableView {
    name: String,
    rows: u64,
    sha256: String,
}

impl From<CopiedTable> for TableView {
    fn from(table: CopiedTable) -> Self {
        Self { name: table.name, rows: table.rows, sha256: table.digest }
    }
}

impl Render for Copy {
    fn text(&self) -> String {
        let mut out = format!("copied to {}; each table was read back and is equal\n", self.database);
        for TableView { name, rows, sha256 } in &self.tables {
            let _ = writeln!(out, "  {name}: {rows} rows, sha256 {sha256}");
        }
        out
    }
}
