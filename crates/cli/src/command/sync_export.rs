//! `sync export`: every row of a queue DB, of any account and any age, as JSON lines.

use crate::args::{ExportArgs, LEGACY};
use crate::context::Context;
use crate::error::CliError;
use crate::render;
use crate::report::{Document, Report, counted};
use queue::{Export, ObserveError, QueueError};
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &ExportArgs) -> Result<Report, CliError> {
    let home = context.home()?;
    let (path, rows) = match args.scope.as_deref() {
        Some(LEGACY) => (home.legacy_queue(), Export::of_legacy(&home.legacy_queue())),
        Some(hash) => {
            let path = home.queues_dir().join(format!("queue-{hash}.db"));
            (path.clone(), Export::of(&path))
        }
        None => {
            let path = active_queue(context)?;
            (path.clone(), Export::of(&path))
        }
    };
    if args.scope.is_some() && !path.is_file() {
        let summary = format!("no queue DB {}", contract::text::path(&path));
        return Err(CliError::failed("SCOPE_UNKNOWN", summary));
    }
    write(rows, &path, args.output.as_deref())
}

/// The active queue; an error while the login that would name it cannot be read.
pub(crate) fn active_queue(context: &Context) -> Result<PathBuf, CliError> {
    let observation = context.boundary()?.observe()?;
    let path = observation.facts().active.path.clone();
    if path.as_os_str().is_empty() {
        let judged = observation.judge(gate::Policy { require_auth: false });
        return Err(CliError::boundary(judged.result().clone()));
    }
    Ok(path)
}

/// Writes the lines to stdout, or to a new file, and says how many.
pub(crate) fn write(
    rows: impl Iterator<Item = Result<String, ObserveError>>,
    from: &Path,
    output: Option<&Path>,
) -> Result<Report, CliError> {
    let Some(output) = output else {
        let mut count = 0;
        for row in rows {
            let row = row.map_err(QueueError::from)?;
            if !render::line(&row)? {
                break;
            }
            count += 1;
        }
        return Ok(Report::silent().note(format!(
            "exported {} of {}",
            counted(count, "row", "rows"),
            contract::text::path(from)
        )));
    };
    let failed = |error: std::io::Error| {
        CliError::failed("EXPORT_NOT_WRITTEN", format!("{}: {error}", contract::text::path(output)))
    };
    let file = crate::platform::create_private(output).map_err(failed)?;
    let mut file = std::io::BufWriter::new(file);
    let mut count = 0;
    for row in rows {
        let row = row.map_err(QueueError::from)?;
        writeln!(file, "{row}").map_err(failed)?;
        count += 1;
    }
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Report::of(&Exported { result: "exported", rows: count, from: text(from), to: text(output) }))
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    result: &'static str,
    rows: u64,
    from: String,
    to: String,
}

impl Document for Exported {
    fn text(&self) -> String {
        let printable = contract::text::printable;
        let rows = counted(self.rows, "row", "rows");
        format!("exported {rows} of {} to {}\n", printable(&self.from), printable(&self.to))
    }
}
