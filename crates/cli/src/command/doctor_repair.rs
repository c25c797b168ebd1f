//! `doctor repair`: what cannot be read is given back to its owner, or moved aside with a timestamp.
//!
//! Deletes nothing, and never touches config.toml, which holds every opt-out.

use crate::context::Context;
use crate::error::{CliError, chain};
use crate::platform::make_private;
use crate::report::{Document, Report};
use contract::{Fault, FaultCode, Remedy};
use preflight::Boundary;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(crate) fn run(context: &Context) -> Result<Report, CliError> {
    let boundary = context.boundary()?;
    let mut repair = Repair { result: "nothing_to_repair", actions: Vec::new(), left: Vec::new() };
    // A second fault of a file may hide behind the first; the bound ends a file that will not be cured.
    for _ in 0..ROUNDS {
        let Some(fault) = next(&boundary, &repair)? else { break };
        let path = fault.path.clone().unwrap_or_default();
        repair.actions.push(repair_file(&path, &fault)?);
        repair.result = "repaired";
    }
    for fault in boundary.status_document(false)?.faults {
        let advice = fault.remedy.hint();
        repair.left.push(Left { code: fault.code.name(), path: fault.path, detail: fault.detail, advice });
    }
    let exit = if repair.left.is_empty() { contract::ExitCode::Ok } else { contract::ExitCode::Failed };
    Ok(Report::exiting(exit, &repair))
}

const ROUNDS: usize = 8;

/// The next fault that this command cures and has not tried twice.
fn next(boundary: &Boundary<'_>, repair: &Repair) -> Result<Option<Fault>, CliError> {
    let faults = boundary.status_document(false)?.faults;
    Ok(faults.into_iter().find(|fault| {
        let tried = repair.actions.iter().filter(|action| Some(&action.path) == fault.path.as_ref()).count();
        fault.remedy == Remedy::Repair && fault.path.is_some() && tried < 2
    }))
}

/// First the mode, if that is what keeps us out; then aside.
fn repair_file(path: &Path, fault: &Fault) -> Result<Action, CliError> {
    let failed = |error: std::io::Error| {
        CliError::failed(
            "REPAIR_FAILED",
            format!("could not repair {}: {}", contract::text::path(path), chain(&error)),
        )
    };
    let unreadable = path.is_file() && std::fs::File::open(path).is_err();
    if unreadable && make_private(path).is_ok() && std::fs::File::open(path).is_ok() {
        return Ok(Action { path: path.to_owned(), action: "mode_restored", moved_to: Vec::new() });
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut moved_to = Vec::new();
    for suffix in companions(fault.code) {
        let source = with_suffix(path, suffix);
        if source.symlink_metadata().is_ok() {
            let target = free_name(&source, &stamp);
            fs_err::rename(&source, &target).map_err(failed)?;
            moved_to.push(target);
        }
    }
    Ok(Action { path: path.to_owned(), action: "moved_aside", moved_to })
}

/// A database moves together with its journal: alone, either would be read wrongly.
fn companions(code: FaultCode) -> &'static [&'static str] {
    match code {
        FaultCode::LegacyQueueUnreadable | FaultCode::ActiveQueueUnreadable => {
            &["-journal", "-wal", "-shm", ""]
        }
        _ => &[""],
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// `path` with the timestamp, and a number when that name is taken.
fn free_name(path: &Path, stamp: &str) -> PathBuf {
    let first = with_suffix(path, &format!(".unreadable-{stamp}"));
    let mut name = first.clone();
    let mut number = 1;
    while name.symlink_metadata().is_ok() {
        name = with_suffix(&first, &format!("-{number}"));
        number += 1;
    }
    name
}

/// What was done.
#[derive(Debug, Serialize)]
struct Repair {
    result: &'static str,
    actions: Vec<Action>,
    left: Vec<Left>,
}

/// One file.
#[derive(Debug, Serialize)]
struct Action {
    path: PathBuf,
    action: &'static str,
    moved_to: Vec<PathBuf>,
}

/// A fault that needs something else.
#[derive(Debug, Serialize)]
struct Left {
    code: &'static str,
    path: Option<PathBuf>,
    detail: String,
    #[serde(rename = "remediation_hint")]
    advice: String,
}

impl Document for Repair {
    fn text(&self) -> String {
        let mut out = String::new();
        for action in &self.actions {
            let path = contract::text::path(&action.path);
            if action.moved_to.is_empty() {
                let _ = writeln!(out, "gave {path} back to its owner (mode 0600)");
            }
            for target in &action.moved_to {
                let _ = writeln!(out, "moved {path} aside: {}", contract::text::path(target));
            }
        }
        if self.actions.is_empty() {
            out.push_str("nothing to repair\n");
        }
        for left in &self.left {
            let path = left.path.as_deref().map(contract::text::path).unwrap_or_default();
            let _ = writeln!(out, "left: {} {path}: {}\n  {}", left.code, left.detail, left.advice);
        }
        out
    }
}
