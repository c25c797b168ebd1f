//! `doctor repair`: restores owner access to unreadable state files, or moves them aside with a timestamp.
//!
//! A queue DB that is damaged is replaced by a new one with every row that can still be read. Damage
//! shows only where SQLite looks, so both queue DBs are read through, whatever faults were observed. Deletes
//! nothing, and never touches config.toml, which holds every opt-out.

mod mission;

use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use contract::{Fault, FaultCode, Remedy};
use identity::quarantine::{move_group_aside, replace_aside};
use identity::state_file::UNUSABLE;
use identity::{Home, StateFile, StateKind, observe_state_file};
use preflight::Boundary;
use preflight::observer::Observation;
use queue::{ObserveError, QueueFile, Salvaged, birth_record, observe_health, observe_owner};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use system::lock::probe;
use system::private_file::set_owner_only;
use system::private_file::{WriteError, make_writable};

/// Move unreadable files aside, with a timestamp; delete nothing
///
/// With --mission: repair the log of a mission. Every readable row stays; torn lines, conflict markers, NUL
/// bytes and lines with a bad byte move into a file beside the log.
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty doctor repair --mission user-auth")]
pub(crate) struct RepairArgs {
    /// Repair the log of this mission instead of this home
    #[arg(long, value_name = "MISSION")]
    mission: Option<String>,
}

impl Verb for RepairArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        if let Some(mission) = &self.mission {
            return mission::run(context, mission);
        }
        let boundary = context.boundary()?;
        let mut repair = HomeRepair { result: "nothing_to_repair", actions: Vec::new(), left: Vec::new() };
        let mut tried = Vec::new();
        while let Some(fault) = next(&boundary, &tried)? {
            tried.push(fault.code);
            repair.actions.extend(repair_fault(&boundary, context.home()?, &fault)?);
        }
        for file in unusable(context.home()?) {
            repair.actions.extend(repair_file(context.home()?, &file)?);
        }
        repair.left = boundary.status_document(false)?.faults.into_iter().map(LeftFault::of).collect();
        for file in context.home()?.state_files() {
            let named = repair.left.iter().any(|left| left.path.as_deref() == file.path.to_str());
            repair.left.extend(
                observe_state_file(&file).filter(|_| !named).map(|why| LeftFault::of_file(&file, why)),
            );
        }
        if !repair.actions.is_empty() {
            repair.result = "repaired";
        } else if !repair.left.is_empty() {
            repair.result = "nothing_repaired";
        }
        let exit = if repair.left.is_empty() { contract::ExitCode::Ok } else { contract::ExitCode::Failed };
        Ok(Report::exiting(exit, &repair))
    }
}

/// The state files that cannot be used and that a new file can replace.
fn unusable(home: &Home) -> Vec<StateFile> {
    let files = home.state_files().into_iter().filter(|file| file.kind != StateKind::Decisions);
    files.filter(|file| observe_state_file(file).is_some()).collect()
}

/// Restores owner access to an unusable state file, or moves it aside. Queue DBs are repaired by their fault.
fn repair_file(home: &Home, file: &StateFile) -> Result<Option<RepairAction>, CliError> {
    let path = &file.path;
    let restored = restore_access(home.root(), path);
    if !restored.is_empty() {
        return Ok(Some(RepairAction::of_file(path, "mode_restored", &[])));
    }
    // It may have moved with the file before it.
    if observe_state_file(file).is_none() {
        return Ok(None);
    }
    let moved_to = move_group_aside(path, &[""]).map_err(|error| not_moved(path, &error))?;
    moved_to.iter().for_each(|moved| keep_private(home.root(), moved));
    Ok((!moved_to.is_empty()).then(|| RepairAction::of_file(path, "moved_aside", &moved_to)))
}

fn not_moved(path: &Path, error: &WriteError) -> CliError {
    // Moving a file changes its directory.
    let first = make_writable(path.parent().unwrap_or(path), &error.source);
    CliError::failed("REPAIR_FAILED", error.to_string())
        .remedy(Remedy::Advice(format!("{first}, then run `spec-kitty doctor repair` again")))
}

/// A mode may hide what else is wrong with a file, so each fault is tried twice.
const TRIES: usize = 2;

/// The next fault that this command repairs and has not tried often enough.
fn next(boundary: &Boundary<'_>, tried: &[FaultCode]) -> Result<Option<Fault>, CliError> {
    let observation = boundary.observe_counted()?;
    let mut faults = observation.status_document(boundary, false)?.faults;
    faults.extend(damage(&observation, &faults)?);
    Ok(faults.into_iter().find(|fault| {
        let tries = tried.iter().filter(|code| **code == fault.code).count();
        fault.remedy == Remedy::Repair && fault.path.is_some() && tries < TRIES
    }))
}

/// Damage of a queue DB that no other check has reported.
fn damage(observation: &Observation, known: &[Fault]) -> Result<Vec<Fault>, CliError> {
    let (active, legacy) = (&observation.facts().active.path, &observation.facts().legacy.path);
    let mut found = Vec::new();
    for (path, which) in [(active, QueueFile::Active), (legacy, QueueFile::Legacy)] {
        let seen = known.iter().chain(&found).any(|fault| fault.path.as_ref() == Some(path));
        if seen || path.as_os_str().is_empty() {
            continue;
        }
        let code = match which {
            QueueFile::Active => FaultCode::ActiveQueueUnreadable,
            QueueFile::Legacy => FaultCode::LegacyQueueUnreadable,
        };
        match observe_health(path, which) {
            Ok(None) => {}
            Ok(Some(finding)) => {
                let repair = identity::file_remedy::repair(path);
                found.push(Fault::new(code, path, format!("is damaged: {finding}"), repair));
            }
            Err(ObserveError::Fault(fault)) => found.push(identity::file_remedy::with_file_remedy(*fault)),
            Err(ObserveError::Busy(busy)) => return Err(busy.into()),
        }
    }
    Ok(found)
}

/// Whether a scoped queue DB stores another scope than the one in its name: a copied file.
/// A file without a readable owner belongs to the owner in its name.
fn belongs_to_another_account(observation: &Observation, path: &Path) -> bool {
    let owner = observe_owner(path).ok().and_then(|owner| owner.scope_hash);
    let ours = observation.facts().login.scope.as_ref().map(contract::Scope::hash);
    owner.is_some() && ours.is_some() && owner != ours
}

/// First the modes, if they are what keeps us out; then aside: what is in the place of a directory,
/// else the file itself.
fn repair_fault(boundary: &Boundary<'_>, home: &Home, fault: &Fault) -> Result<Vec<RepairAction>, CliError> {
    let path = subject(home, fault);
    let restored = restore_access(home.root(), &path);
    if !restored.is_empty() {
        return Ok(restored.iter().map(|path| RepairAction::of(fault, path, "mode_restored", &[])).collect());
    }
    let (path, which) = match obstacle(home.root(), &path) {
        Some(obstacle) => (obstacle, None),
        None => (path, queue_file(fault.code)),
    };
    let salvaged = match which {
        // The rows of another scope must not be included.
        Some(QueueFile::Active) if belongs_to_another_account(&boundary.observe()?, &path) => None,
        Some(which) if path.is_file() => queue::salvage(&path, which)?,
        _ => None,
    };
    let moved_to = match (&salvaged, which) {
        (Some(salvaged), _) => replace_aside(&path, &SIDE_FILES, &salvaged.path),
        (None, Some(_)) => move_group_aside(&path, &[SIDE_FILES[0], SIDE_FILES[1], SIDE_FILES[2], ""]),
        (None, None) => move_group_aside(&path, &[""]),
    };
    let mut moved_to = moved_to.map_err(|error| not_moved(&path, &error))?;
    // A queue DB without this program's tables is a new one: nothing remembers another.
    if which == Some(QueueFile::Active)
        && !salvaged.as_ref().is_some_and(|salvaged| salvaged.ours)
        && let Some(record) = birth_record(&path)
    {
        moved_to.extend(move_group_aside(&record, &[""]).map_err(|error| not_moved(&record, &error))?);
    }
    moved_to.iter().for_each(|moved| keep_private(home.root(), moved));
    let name = if salvaged.is_some() { "salvaged" } else { "moved_aside" };
    let sent_lost = match (&salvaged, which) {
        (Some(salvaged), _) => SentLost::of(salvaged.sent_lost),
        (None, Some(QueueFile::Active)) => SentLost::of(None),
        (None, _) => None,
    };
    let action = RepairAction { salvaged, sent_lost, ..RepairAction::of(fault, &path, name, &moved_to) };
    Ok(Some(action).filter(|_| !moved_to.is_empty()).into_iter().collect())
}

/// Takes wider modes away from what was moved aside, which nothing opens again, and from the directories
/// above it. A link may lead to files of another user, whose mode cannot be narrowed.
fn keep_private(root: &Path, moved: &Path) {
    for path in moved.ancestors().take_while(|above| above.starts_with(root)) {
        let ours = path.symlink_metadata().is_ok_and(|metadata| !metadata.is_symlink());
        if ours {
            let _ = set_owner_only(path);
        }
    }
}

/// Path that is no directory although the way from `root` to `path` needs one there. Above `root` nothing is
/// ours to move.
fn obstacle(root: &Path, path: &Path) -> Option<PathBuf> {
    let way = path.ancestors().skip(1).take_while(|above| above.starts_with(root));
    way.filter(|step| step.metadata().is_ok_and(|metadata| !metadata.is_dir())).last().map(Path::to_path_buf)
}

/// File that keeps the faulty one from being read: mostly the file itself; for the owner record perhaps the
/// lock beside it.
fn subject(home: &Home, fault: &Fault) -> PathBuf {
    if fault.code == FaultCode::OwnerRecordUnreadable && probe(&home.owner_lock()).is_err() {
        return home.owner_lock();
    }
    fault.path.clone().unwrap_or_default()
}

/// Restores owner access to `path` and the directories between it and `root` where their mode denies it.
/// Returns the changed paths; none when `path` stays inaccessible.
fn restore_access(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().take_while(|above| above.starts_with(root)).collect();
    way.reverse();
    let mut restored = Vec::new();
    for step in way {
        if is_denied(step) && set_owner_only(step).is_ok() {
            restored.push(step.to_owned());
        }
    }
    if is_denied(path) { Vec::new() } else { restored }
}

fn is_denied(path: &Path) -> bool {
    let error = match path.metadata() {
        Ok(metadata) if metadata.is_dir() => path.read_dir().err(),
        Ok(metadata) if metadata.is_file() => system::regular::open(path).err(),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// Suffixes of the files beside a database. They move together: alone, either would be read wrongly.
const SIDE_FILES: [&str; 3] = ["-journal", "-wal", "-shm"];

/// The queue DB that a fault is about, if any.
fn queue_file(code: FaultCode) -> Option<QueueFile> {
    match code {
        FaultCode::LegacyQueueUnreadable => Some(QueueFile::Legacy),
        FaultCode::ActiveQueueUnreadable => Some(QueueFile::Active),
        _ => None,
    }
}

/// Report of the repair.
#[derive(Debug, Serialize)]
struct HomeRepair {
    result: &'static str,
    actions: Vec<RepairAction>,
    left: Vec<LeftFault>,
}

/// One file. Paths in JSON are text: what is no UTF-8 in them is replaced.
#[derive(Debug, Serialize)]
struct RepairAction {
    code: &'static str,
    path: String,
    action: &'static str,
    moved_to: Vec<String>,
    /// Rows in the new file, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    salvaged: Option<Salvaged>,
    /// Kept bytes of delivered rows that are only in the old file now.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_lost: Option<SentLost>,
    /// Whether it is a queue DB, whose rows may be missing now.
    #[serde(skip)]
    queue: bool,
}

impl RepairAction {
    fn of(fault: &Fault, path: &Path, action: &'static str, moved_to: &[PathBuf]) -> Self {
        let queue = queue_file(fault.code).is_some();
        Self { code: fault.code.name(), queue, ..Self::of_file(path, action, moved_to) }
    }

    fn of_file(path: &Path, action: &'static str, moved_to: &[PathBuf]) -> Self {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let moved_to = moved_to.iter().map(|path| text(path)).collect();
        Self {
            code: UNUSABLE,
            path: text(path),
            action,
            moved_to,
            salvaged: None,
            sent_lost: None,
            queue: false,
        }
    }

    /// Whether rows of a queue DB may be only in the old file now.
    fn may_lack_rows(&self) -> bool {
        match &self.salvaged {
            Some(salvaged) => salvaged.may_lack_rows(),
            None => self.queue && self.action == "moved_aside",
        }
    }
}

/// Lost bytes of delivered rows.
#[derive(Debug, Serialize)]
struct SentLost {
    /// Packed bytes; none when their number is unknown.
    bytes: Option<u64>,
    text: String,
}

impl SentLost {
    fn of(bytes: Option<u64>) -> Option<Self> {
        let lost = match bytes {
            Some(0) => return None,
            Some(bytes) => {
                format!("{} of delivered rows are lost", counted(bytes, "kept byte", "kept bytes"))
            }
            None => "it is not known how many kept bytes of delivered rows are lost".to_owned(),
        };
        let text =
            format!("{lost}: these rows cannot be sent again to a server that is restored from a backup");
        Some(Self { bytes, text })
    }
}

/// A fault that needs something else.
#[derive(Debug, Serialize)]
struct LeftFault {
    code: &'static str,
    path: Option<String>,
    detail: String,
    #[serde(rename = "remediation_hint")]
    advice: String,
}

impl LeftFault {
    fn of_file(file: &StateFile, detail: String) -> Self {
        let path = contract::text::path(&file.path);
        let advice = match file.kind {
            StateKind::Decisions => format!("make {path} a readable file again, with the decisions it had"),
            StateKind::File | StateKind::Directory => {
                format!("make {path} readable and writable for this user")
            }
        };
        Self { code: UNUSABLE, path: Some(file.path.to_string_lossy().into_owned()), detail, advice }
    }

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

/// A salvage walks the page tree: rows below an unreadable page are not found.
const GAPS: &str = "  \
  some pages could not be read: rows on them, or reached only through them, are only in the old file
  (`sqlite3 OLD-FILE .recover` reads every page, including free pages)
";

/// The missions still hold most of what a queue DB held.
const BRING_BACK: &str = "\
to capture again what the missions of a project still hold, run in that project (it shows a preview):
  spec-kitty sync capture --history MISSION
`spec-kitty sync doctor` names missions of a checkout that were captured there by commands of this program
";

/// `<saved> of <held>`, for events and for bodies.
fn saved(salvaged: &Salvaged) -> String {
    let of = |saved: u64, held: Option<u64>, one: &str, many: &str| match held {
        Some(held) => format!("{saved} of {}", counted(held, one, many)),
        None => format!("{} of an unknown number", counted(saved, one, many)),
    };
    let events = of(salvaged.events, salvaged.events_held, "event", "events");
    format!("{events} and {}", of(salvaged.bodies, salvaged.bodies_held, "body", "bodies"))
}

/// The name that a file had before it was moved aside to `target`: a journal and a birth record follow
/// with their queue DB.
fn moved_from(target: &str) -> Option<String> {
    let (name, rest) = target.rsplit_once(".aside-")?;
    let (_, rest) = rest.split_once('Z')?;
    // A number keeps two of the same second apart.
    let numbered = rest.strip_prefix('-').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let suffix = match numbered {
        Some(after) if after.len() + 1 < rest.len() => after,
        _ => rest,
    };
    Some(format!("{name}{suffix}"))
}

impl Render for HomeRepair {
    fn text(&self) -> String {
        let mut out = String::new();
        for action in &self.actions {
            let path = printable(&action.path);
            if action.action == "mode_restored" {
                let _ = writeln!(out, "restored owner access to {path}");
            }
            for target in &action.moved_to {
                let from = moved_from(target).unwrap_or_else(|| action.path.clone());
                let _ = writeln!(out, "moved {} aside: {}", printable(&from), printable(target));
            }
            if action.queue && action.action == "moved_aside" {
                out.push_str("  saved 0 rows; the number of its rows is unknown\n");
            }
            if let Some(salvaged) = &action.salvaged {
                let Salvaged { others, left, gaps, .. } = salvaged;
                let others = counted(*others, "other row", "other rows");
                let _ = writeln!(out, "  saved {}, and {others}, in a new file", saved(salvaged));
                if *left > 0 {
                    let left = counted(*left, "row", "rows");
                    let _ = writeln!(out, "  {left} rejected by the new tables: only in the old file");
                }
                if *gaps {
                    out.push_str(GAPS);
                }
            }
            if let Some(SentLost { text, .. }) = &action.sent_lost {
                let _ = writeln!(out, "  {text}");
            }
        }
        if self.actions.iter().any(RepairAction::may_lack_rows) {
            out.push_str(BRING_BACK);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moved_file_is_named_as_it_was_called() {
        for (target, from) in [
            ("/h/q.db.aside-20261129T021712Z", "/h/q.db"),
            ("/h/q.db.aside-20261129T021712Z-1", "/h/q.db"),
            ("/h/q.db.aside-20261129T021712Z-journal", "/h/q.db-journal"),
            ("/h/q.db.aside-20261129T021712Z-1-journal", "/h/q.db-journal"),
            ("/h/q.id.aside-20261129T021712Z", "/h/q.id"),
        ] {
            assert_eq!(moved_from(target).as_deref(), Some(from));
        }
        assert_eq!(moved_from("/h/q.db"), None);
    }
}
