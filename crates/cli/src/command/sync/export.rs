//! `sync export`: every row of a queue DB, of any account and any age, as JSON lines.

use crate::args::{ExportArgs, LEGACY};
use crate::context::Context;
use crate::error::CliError;
use crate::render;
use crate::report::{Document, Report, counted};
use contract::ExitCode;
use contract::text::printable;
use queue::{Export, ObserveError, QueueError};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
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
///
/// A damaged table does not keep the others from being taken along: it is named, and the exit code is 1. A
/// file appears whole, under its name, or not at all.
pub(crate) fn write(
    rows: impl Iterator<Item = Result<String, ObserveError>>,
    from: &Path,
    output: Option<&Path>,
) -> Result<Report, CliError> {
    let mut damage = Vec::new();
    let Some(output) = output else {
        let count = pass_on(rows, &mut damage, render::line)?;
        let rows = counted(count, "row", "rows");
        let mut report = Report::silent().note(format!("exported {rows} of {}", contract::text::path(from)));
        if !damage.is_empty() {
            report.exit = ExitCode::Failed;
        }
        report.notes.extend(damage.iter().map(|damage| format!("left out: {}", printable(damage))));
        return Ok(report);
    };
    let failed = |error: io::Error| {
        CliError::failed("EXPORT_NOT_WRITTEN", format!("{}: {error}", contract::text::path(output)))
    };
    if output.symlink_metadata().is_ok() {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it exists; name a new file")));
    }
    let directory = output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    // Of mode 0600, and gone again unless it gets its name.
    let named = tempfile::Builder::new().prefix(".spec-kitty-").suffix(".tmp").tempfile_in(directory);
    let mut file = io::BufWriter::new(named.map_err(|error| failed(plain(error)))?);
    let count = pass_on(rows, &mut damage, |row| {
        writeln!(file, "{row}").map_err(|error| failed(plain(error)))?;
        Ok(true)
    })?;
    let file = file.into_inner().map_err(|error| failed(plain(error.into_error())))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(output).map_err(|error| failed(plain(error.error)))?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let result = if damage.is_empty() { "exported" } else { "exported_in_part" };
    let exit = if damage.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
    let done = Exported { result, rows: count, from: text(from), to: text(output), damage };
    Ok(Report::exiting(exit, &done))
}

/// What the system said, without the name of the temporary file.
fn plain(error: io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Hands the rows on until `take` has enough; how many. Damage is put aside unless there is nothing else.
fn pass_on(
    rows: impl Iterator<Item = Result<String, ObserveError>>,
    damage: &mut Vec<String>,
    mut take: impl FnMut(&str) -> Result<bool, CliError>,
) -> Result<u64, CliError> {
    let mut count = 0;
    let mut first = None;
    for row in rows {
        match row {
            Ok(row) => {
                if !take(&row)? {
                    return Ok(count);
                }
                count += 1;
            }
            Err(ObserveError::Fault(fault)) => {
                damage.push(fault.detail.clone());
                first = first.or(Some(fault));
            }
            Err(busy @ ObserveError::Busy(_)) => return Err(QueueError::from(busy).into()),
        }
    }
    match first {
        Some(fault) if count == 0 => Err((*fault).into()),
        _ => Ok(count),
    }
}

/// What was written.
#[derive(Debug, Serialize)]
struct Exported {
    result: &'static str,
    rows: u64,
    from: String,
    to: String,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    damage: Vec<String>,
}

impl Document for Exported {
    fn text(&self) -> String {
        let rows = counted(self.rows, "row", "rows");
        let mut out = format!("exported {rows} of {} to {}\n", printable(&self.from), printable(&self.to));
        for damage in &self.damage {
            let _ = writeln!(out, "  left out: {}", printable(damage));
        }
        out
    }
}
