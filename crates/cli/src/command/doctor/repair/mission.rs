//! `doctor repair --mission`: the damaged lines of a mission's log move aside, every readable row stays.

use crate::context::CommandContext;
use crate::error::CliError;
use crate::report::{Render, Report, counted};
use contract::ExitCode;
use contract::text::printable;
use mission::Clock;
use mission::command::repair_log::{LogRepair, repair_log};
use mission::log::Damage;
use serde::Serialize;
use std::fmt::Write as _;

/// Most lines of each kind that are listed.
const SHOWN: usize = 12;

/// Runs the verb.
pub(crate) fn run(context: &CommandContext, mission: &str) -> Result<Report, CliError> {
    let repair = LogRepairView(repair_log(&context.project()?, Some(mission), &Clock::system())?);
    let logs = std::iter::once(&repair.0).chain(repair.0.coordination.as_deref());
    let is_whole = logs.into_iter().all(|log| log.left.is_empty() && log.problems.is_empty());
    let exit = if is_whole { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Report::exiting(exit, &repair))
}

#[derive(Serialize)]
#[serde(transparent)]
struct LogRepairView(LogRepair);

impl Render for LogRepairView {
    fn text(&self) -> String {
        let coordination = self.0.coordination.as_deref().map(text).unwrap_or_default();
        text(&self.0) + &coordination + &rest(&self.0)
    }
}

fn text(repair: &LogRepair) -> String {
    let LogRepair { path, kept, saved, moved, moved_to, left, problems, .. } = repair;
    let path = printable(path);
    let mut out = match moved_to {
        Some(target) => {
            let lines = counted(moved.len() as u64, "damaged line", "damaged lines");
            format!("moved {lines} of {path} aside: {}\n", printable(target))
        }
        None if left.is_empty() && problems.is_empty() => format!("{path}: nothing to repair\n"),
        None => format!("{path}: nothing was repaired\n"),
    };
    list(&mut out, moved);
    if moved_to.is_some() {
        let rows = counted(*kept as u64, "row", "rows");
        let _ = writeln!(out, "  the log holds {rows}; {saved} saved from damaged lines");
    }
    if !left.is_empty() {
        let lines = counted(left.len() as u64, "line", "lines");
        let _ = writeln!(out, "left {lines} of an unknown type:");
        list(&mut out, left);
        out.push_str("  a newer release may have written it: use that release, or correct it by hand\n");
    }
    out
}

/// What the repair leaves to the user.
fn rest(repair: &LogRepair) -> String {
    let mut out = String::new();
    for problem in &repair.problems {
        let _ = writeln!(out, "{}", printable(problem));
    }
    for rows in &repair.in_git {
        let (count, commit) = (counted(rows.lines.len() as u64, "row", "rows"), &rows.commit);
        let _ = writeln!(out, "commit {commit} has {count} that the log lacks:");
        let _ = writeln!(out, "  show: {}", printable(&rows.show));
        let _ = writeln!(out, "  restore: {}", printable(&rows.restore));
    }
    if let Some(next) = &repair.next_step {
        let then = if repair.in_git.is_empty() { "" } else { "then, " };
        let _ = writeln!(out, "{then}as status.json differs from the log: {}", printable(next));
    }
    out
}

fn list(out: &mut String, lines: &[Damage]) {
    for damage in lines.iter().take(SHOWN) {
        let _ = writeln!(out, "  line {}: {}", damage.line, printable(&damage.problem));
    }
    if lines.len() > SHOWN {
        let _ = writeln!(out, "  ... and {} more", lines.len() - SHOWN);
    }
}
