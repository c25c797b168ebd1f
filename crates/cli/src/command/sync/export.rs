//! `sync export`: every row of a queue DB, of any account and any age, as JSON lines.

use crate::command::sync::migrate::from_scope::ELSEWHERE;
use crate::render;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb};
use contract::text::printable;
use contract::{Fault, Remedy};
use queue::{Export, ObserveError, QueueError};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Write every row of a queue DB, of any account, as JSON lines
#[derive(Debug, Args)]
#[command(
    after_help = "Each line is an object with `table` and the columns of one row as stored; bytes are {\"hex\": \
    ...}, text that is not UTF-8 is {\"text_hex\": ...}. Nothing is locked while a line is \
    written, and nothing is changed. --json needs --output.\n\nExample: spec-kitty sync export \
    --scope legacy --output rows.jsonl"
)]
pub(crate) struct ExportArgs {
    /// Queue DB to read: the 16 hex digits in the name of a scoped one, or `legacy` for the legacy queue
    /// DB [default: the active queue]
    #[arg(long, value_name = "HASH", value_parser = scope_hash_or_legacy)]
    scope: Option<String>,
    /// Write the lines to this new file, readable by this user only, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Verb for ExportArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        needs_output(asked, self.output.as_ref())
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let home = context.home()?;
        let (path, rows) = match self.scope.as_deref() {
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
        if self.scope.is_some() && !path.is_file() {
            let summary = format!("no such queue DB: {}", contract::text::path(&path));
            let error = CliError::failed("SCOPE_UNKNOWN", summary);
            return Err(error.remedy(Remedy::Advice(ELSEWHERE.to_owned())));
        }
        write(rows, &path, self.output.as_deref())
    }
}

/// The active queue; an error while the login that would name it cannot be read.
pub(crate) fn active_queue(context: &CommandContext) -> Result<PathBuf, CliError> {
    let observation = context.boundary()?.observe()?;
    let path = observation.facts().active.path.clone();
    if path.as_os_str().is_empty() {
        let judged = observation.judge(gate::Policy { require_auth: false });
        return Err(CliError::boundary(judged.result().clone()));
    }
    Ok(path)
}

/// Writes the lines to stdout or to a new file; reports their number.
///
/// A damaged table does not keep the others from being taken along: it is named, and the exit code is 1. A
/// file appears whole, under its name, or not at all.
pub(crate) fn write(
    rows: impl Iterator<Item = Result<String, ObserveError>>,
    from: &Path,
    output: Option<&Path>,
) -> Result<Report, CliError> {
    let mut damage = UnreadParts::default();
    let Some(output) = output else {
        let count = pass_on(rows, &mut damage, |row| render::line(&row))?;
        let rows = counted(count, "row", "rows");
        let mut report = Report::silent().note(format!("exported {rows} of {}", contract::text::path(from)));
        report.exit = damage.exit();
        report.notes.extend(damage.lines());
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
    let result = if damage.is_none() { "exported" } else { "exported_in_part" };
    let exit = damage.exit();
    let done = Exported { result, rows: count, from: text(from), to: text(output), damage };
    Ok(Report::exiting(exit, &done))
}

/// The system's error, without the name of the temporary file.
fn plain(error: io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// The parts of a queue DB that could not be read.
#[derive(Debug, Default, Serialize)]
pub(super) struct UnreadParts {
    /// Each with the reason.
    #[serde(rename = "damage", skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remediation: Vec<String>,
}

impl UnreadParts {
    fn add(&mut self, fault: &Fault) {
        self.parts.push(fault.detail.clone());
        let hint = fault.remedy.hint();
        if !self.remediation.contains(&hint) {
            self.remediation.push(hint);
        }
    }

    pub(super) const fn is_none(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) const fn exit(&self) -> ExitCode {
        if self.is_none() { ExitCode::Ok } else { ExitCode::Failed }
    }

    /// The parts, then the remedies.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let parts = self.parts.iter().map(|part| format!("left out: {}", printable(part)));
        parts.chain(self.remediation.iter().map(|hint| format!("hint: {}", printable(hint))))
    }
}

/// Hands the rows on until `take` has enough; how many. Damage is put aside unless there is nothing else.
pub(super) fn pass_on<T>(
    rows: impl Iterator<Item = Result<T, ObserveError>>,
    damage: &mut UnreadParts,
    mut take: impl FnMut(T) -> Result<bool, CliError>,
) -> Result<u64, CliError> {
    let mut count = 0;
    let mut first = None;
    for row in rows {
        match row {
            Ok(row) => {
                if !take(row)? {
                    return Ok(count);
                }
                count += 1;
            }
            Err(ObserveError::Fault(fault)) => {
                damage.add(&fault);
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

/// Report of the export.
#[derive(Debug, Serialize)]
struct Exported {
    result: &'static str,
    rows: u64,
    from: String,
    to: String,
    #[serde(flatten)]
    damage: UnreadParts,
}

impl Render for Exported {
    fn text(&self) -> String {
        let rows = counted(self.rows, "row", "rows");
        let mut out = format!("exported {rows} of {} to {}\n", printable(&self.from), printable(&self.to));
        for line in self.damage.lines() {
            let _ = writeln!(out, "  {line}");
        }
        out
    }
}

/// Hash that names a scoped queue DB: the first 16 hex digits of its scope's hash, or all 64.
pub(super) fn scope_hash(text: &str) -> Result<String, &'static str> {
    let hash = contract::scope::trim(text).to_lowercase();
    let hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match hash.len() {
        16 | 64 if hex => Ok(hash.chars().take(16).collect()),
        _ => Err("16 hex digits are expected, as in the name queue-<16 hex digits>.db"),
    }
}

fn scope_hash_or_legacy(text: &str) -> Result<String, &'static str> {
    if text == LEGACY { Ok(text.to_owned()) } else { scope_hash(text) }
}

/// The name of the legacy queue DB.
const LEGACY: &str = "legacy";

/// `--json` describes what was written, so it needs a file for the lines.
pub(super) fn needs_output(asked: bool, output: Option<&PathBuf>) -> Result<bool, &'static str> {
    if asked && output.is_none() {
        Err("--json needs --output FILE: stdout has the lines")
    } else {
        Ok(asked)
    }
}
