//! `doctor repair`: what cannot be read is given back to its owner, or moved aside with a timestamp.
//!
//! Deletes nothing, and never touches config.toml, which holds every opt-out.

use crate::context::Context;
use crate::error::CliError;
use crate::platform::make_private;
use crate::report::{Document, Report};
use contract::text::printable;
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
    }
    repair.left = boundary.status_document(false)?.faults.into_iter().map(Left::of).collect();
    if !repair.actions.is_empty() {
        repair.result = "repaired";
    } else if !repair.left.is_empty() {
        repair.result = "nothing_repaired";
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

/// First the modes, if they are what keeps us out; then aside: what stands where a directory should be,
/// else the file itself.
fn repair_fault(home: &Home, fault: &Fault) -> Result<Vec<Action>, CliError> {
    let path = subject(home, fault);
    let restored = give_back(home.root(), &path);
    if !restored.is_empty() {
        return Ok(restored.iter().map(|path| Action::of(fault, path, "mode_restored", &[])).collect());
    }
    let (path, suffixes) = match obstacle(home.root(), &path) {
        Some(obstacle) => (obstacle, &[""][..]),
        None => (path, companions(fault.code)),
    };
    let moved_to = move_group_aside(&path, suffixes).map_err(|error| {
        CliError::failed("REPAIR_FAILED", error.to_string()).remedy(Remedy::Advice(format!(
            "make the directory of {} writable for this user, then run `spec-kitty doctor repair` again",
            contract::text::path(&path)
        )))
    })?;
    let action = Action::of(fault, &path, "moved_aside", &moved_to);
    Ok(Some(action).filter(|_| !moved_to.is_empty()).into_iter().collect())
}

/// What is no directory and stands where the way from `root` to `path` needs one. Above `root` nothing is
/// ours to move.
fn obstacle(root: &Path, path: &Path) -> Option<PathBuf> {
    let way = path.ancestors().skip(1).take_while(|above| above.starts_with(root));
    way.filter(|step| step.metadata().is_ok_and(|metadata| !metadata.is_dir())).last().map(Path::to_path_buf)
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

/// One file. Paths in JSON are text: what is no UTF-8 in them is replaced.
#[derive(Debug, Serialize)]
struct Action {
    code: &'static str,
    path: String,
    action: &'static str,
    moved_to: Vec<String>,
}

impl Action {
    fn of(fault: &Fault, path: &Path, action: &'static str, moved_to: &[PathBuf]) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let moved_to = moved_to.iter().map(|path| text(path)).collect();
        Self { code: fault.code.name(), path: text(path), action, moved_to }
    }
}

/// A fault that needs something else.
#[derive(Debug, Serialize)]
struct Left {
    code: &'static str,
    path: Option<String>,
    detail: String,
    #[serde(rename = "remediation_hint")]
    advice: String,
}

impl Left {
    fn of(fault: Fault) -> Self {
        let path = fault.path.as_deref().map(|path| path.to_string_lossy().into_owned());
        let advice = match (&fault.remedy, &fault.path) {
            // This command has done what it can.
            (Remedy::Repair, Some(path)) => {
                format!("make {} readable and writable for this user", contract::text::path(path))
            }
            (remedy, _) => remedy.hint(),
        };
        Self { code: fault.code.name(), path, detail: fault.detail, advice }
    }
}

impl Document for Repair {
    fn text(&self) -> String {
        let mut out = String::new();
        for action in &self.actions {
            let path = printable(&action.path);
            if action.action == "mode_restored" {
                let _ = writeln!(out, "gave {path} back to its owner");
            }
            for target in &action.moved_to {
                let _ = writeln!(out, "moved {path} aside: {}", printable(target));
            }
        }
        if self.actions.is_empty() {
            out.push_str(if self.left.is_empty() { "nothing to repair\n" } else { "nothing was repaired\n" });
        }
        for left in &self.left {
            let path = left.path.as_deref().map(|path| format!("{path}: ")).unwrap_or_default();
            let line = format!("left: {} {path}{}", left.code, left.detail);
            let _ = writeln!(out, "{}\n  {}", printable(&line), printable(&left.advice));
        }
        out
    }
}
