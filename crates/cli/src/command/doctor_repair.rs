//! `doctor repair`: what cannot be read is given back to its owner, or moved aside with a timestamp.
//!
//! Deletes nothing, and never touches config.toml, which holds every opt-out.

use crate::context::Context;
use crate::error::CliError;
use crate::platform::make_private;
use crate::report::{Document, Report};
use contract::{Fault, FaultCode, Remedy};
use identity::Home;
use identity::aside::move_group_aside;
use identity::lock::probe;
use preflight::Boundary;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Runs the verb.
pub(crate) fn run(context: &Context) -> Result<Report, CliError> {
    let boundary = context.boundary()?;
    let mut repair = Repair { result: "nothing_to_repair", actions: Vec::new(), left: Vec::new() };
    let mut tried = Vec::new();
    while let Some(fault) = next(&boundary, &tried)? {
        tried.push(fault.code);
        repair.actions.extend(repair_fault(context.home()?, &fault)?);
        repair.result = "repaired";
    }
    for fault in boundary.status_document(false)?.faults {
        let advice = fault.remedy.hint();
        repair.left.push(Left { code: fault.code.name(), path: fault.path, detail: fault.detail, advice });
    }
    let exit = if repair.left.is_empty() { contract::ExitCode::Ok } else { contract::ExitCode::Failed };
    Ok(Report::exiting(exit, &repair))
}

/// A mode may hide what else is wrong with a file, so each fault is tried twice.
const TRIES: usize = 2;

/// The next fault that this command cures and has not tried often enough.
fn next(boundary: &Boundary<'_>, tried: &[FaultCode]) -> Result<Option<Fault>, CliError> {
    let faults = boundary.status_document(false)?.faults;
    Ok(faults.into_iter().find(|fault| {
        let tries = tried.iter().filter(|code| **code == fault.code).count();
        fault.remedy == Remedy::Repair && fault.path.is_some() && tries < TRIES
    }))
}

/// First the modes, if they are what keeps us out; then aside.
fn repair_fault(home: &Home, fault: &Fault) -> Result<Vec<Action>, CliError> {
    let path = subject(home, fault);
    let restored = give_back(home.root(), &path);
    if !restored.is_empty() {
        let action =
            |path| Action { code: fault.code.name(), path, action: "mode_restored", moved_to: Vec::new() };
        return Ok(restored.into_iter().map(action).collect());
    }
    let moved_to = move_group_aside(&path, companions(fault.code)).map_err(|error| {
        CliError::failed("REPAIR_FAILED", error.to_string()).remedy(Remedy::Advice(format!(
            "make the directory of {} writable for this user, then run `spec-kitty doctor repair` again",
            contract::text::path(&path)
        )))
    })?;
    let action = if moved_to.is_empty() { "nothing_there" } else { "moved_aside" };
    Ok(vec![Action { code: fault.code.name(), path, action, moved_to }])
}

/// What keeps the faulty file from being read: mostly the file itself; for the owner record perhaps the
/// lock beside it.
fn subject(home: &Home, fault: &Fault) -> PathBuf {
    if fault.code == FaultCode::OwnerRecordUnreadable && probe(&home.owner_lock()).is_err() {
        return home.owner_lock();
    }
    fault.path.clone().unwrap_or_default()
}

/// Gives the owner access to `path` and the directories between it and `root` where the mode is what
/// keeps us out. Says what was given back; nothing when that does not help.
fn give_back(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().take_while(|above| above.starts_with(root)).collect();
    way.reverse();
    let mut restored = Vec::new();
    for step in way {
        if is_denied(step) && make_private(step).is_ok() {
            restored.push(step.to_owned());
        }
    }
    if is_denied(path) { Vec::new() } else { restored }
}

fn is_denied(path: &Path) -> bool {
    let error = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => path.read_dir().err(),
        Ok(metadata) if metadata.is_file() => std::fs::File::open(path).err(),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
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
    code: &'static str,
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
            if action.action == "mode_restored" {
                let _ = writeln!(out, "gave {path} back to its owner");
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
