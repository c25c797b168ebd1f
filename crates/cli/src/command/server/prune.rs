use super::{AdminArgs, confirmed, failed};
use crate::report::events_and_bodies;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use clap::ArgGroup;
use contract::text::printable;
use serde::Serialize;
use server::{PrunePlan, Retention, StoredRows};
use std::time::Duration;

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// Delete the oldest events and bodies, also while the server runs
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("kept").required(true).args(["older_than", "keep_size"])),
    after_help = "A hash of each row's key is kept: an event that is sent again is a duplicate, and no client \
    takes it for lost. The space is used again; the file does not shrink.\n\nExample: spec-kitty server prune \
    --older-than 180 --data /var/lib/spec-kitty --dry-run"
)]
pub(crate) struct ServerPruneArgs {
    /// Delete what arrived more than this number of days ago
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
    /// Delete the oldest rows until the rest needs this much: 500MiB, 20GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep_size: Option<u64>,
    /// Only those of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Skip the confirmation
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for ServerPruneArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        let days = u64::from(self.older_than.unwrap_or_default());
        let age = Retention::Age(Duration::from_secs(days * SECONDS_PER_DAY));
        let retention = self.keep_size.map_or(age, Retention::Size);
        let plan = admin.plan_pruning(retention, self.team.as_deref()).map_err(failed)?;
        let mut pruning = Pruning::of(&plan, self.team);
        if self.dry_run || plan.deleted == StoredRows::default() {
            return Ok(Report::of(&pruning));
        }
        if let Some(unchanged) = confirmed(context, self.yes, "Delete them?", &pruning) {
            return Ok(unchanged);
        }
        pruning.result = "pruned";
        pruning.deleted = RowsView::of(&admin.prune(&plan).map_err(failed)?);
        Ok(Report::of(&pruning))
    }
}

/// Bytes of a size with a unit.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let parsed = units.into_iter().find_map(|(unit, bits)| {
        let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(1 << bits)
    });
    parsed.ok_or_else(|| "not a size, as in 500MiB or 20GiB".to_owned())
}

/// Rows that are deleted, or would be.
#[derive(Debug, Serialize)]
struct Pruning {
    /// `preview` or `pruned`.
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    /// Rows that arrived earlier are deleted.
    before: String,
    deleted: RowsView,
    kept: RowsView,
}

#[derive(Debug, Serialize)]
struct RowsView {
    events: u64,
    bodies: u64,
    /// An estimate.
    bytes: u64,
}

impl RowsView {
    fn of(rows: &StoredRows) -> Self {
        Self { events: rows.events, bodies: rows.bodies, bytes: rows.bytes }
    }

    fn text(&self) -> String {
        let mebibytes = self.bytes as f64 / f64::from(1 << 20);
        format!("{}, about {mebibytes:.1} MiB", events_and_bodies(self.events, self.bodies))
    }
}

impl Pruning {
    fn of(plan: &PrunePlan, team: Option<String>) -> Self {
        Self {
            result: "preview",
            team,
            before: plan.before.iso(),
            deleted: RowsView::of(&plan.deleted),
            kept: RowsView::of(&plan.kept),
        }
    }
}

impl Render for Pruning {
    fn text(&self) -> String {
        if self.deleted.events == 0 && self.deleted.bodies == 0 {
            return format!("nothing to delete\nstored: {}\n", self.kept.text());
        }
        let deleted = if self.result == "pruned" { "deleted" } else { "would delete" };
        let of_team = self.team.as_deref().map(|team| format!(" of team {}", printable(team)));
        format!(
            "{deleted} what arrived before {}{}: {}\nthe rest: {}\n",
            self.before,
            of_team.unwrap_or_default(),
            self.deleted.text(),
            self.kept.text()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn size_needs_a_number_and_a_unit() {
        assert_eq!(size("20GiB"), Ok(20 << 30));
        assert_eq!(size("500 MiB"), Ok(500 << 20));
        for bad in ["", "20", "GiB", "-1GiB", "20GB", "99999999999TiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
