//! Rows of releases 3.2.0 to 3.2.7, imported from their project stores.

use crate::context::CommandContext;
use crate::elsewhere;
use crate::error::CliError;
use crate::report::rows;
use contract::text::printable;
use contract::{Consent, ExitCode, Remedy, Start};
use gate::CurePermit;
use identity::ConfigEdit;
use jiff::Timestamp;
use queue::{Cure, ImportedRows, RowCounts, StoreDecision, StoreImport, StoreResult, StoreSelection};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Result for one project store.
#[derive(Debug, Serialize)]
pub(super) struct ImportedStore {
    #[serde(serialize_with = "contract::foreground::raw_path")]
    path: PathBuf,
    project_uuid: String,
    /// `planned`, `imported`, `other_account`, `other_team`, `other_server`, `no_account`,
    /// `busy` or `unreadable`.
    result: &'static str,
    #[serde(flatten)]
    rows: ImportedRows,
    /// Reason why nothing was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Remedy for that.
    #[serde(rename = "remediation_hint", skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// Imports the stores that `selection` names, or plans it. A decision that the user made about a project there is
/// taken over where there is none here.
pub(super) fn import(
    context: &CommandContext,
    permit: &CurePermit,
    selection: &StoreSelection,
    dry_run: bool,
) -> Result<Vec<ImportedStore>, CliError> {
    let projects = context.home()?.projects_dir();
    if !projects.is_dir() {
        return Ok(Vec::new());
    }
    let planned = Cure::plan_store_import(permit, &projects, selection)?;
    if dry_run || planned.is_empty() {
        return Ok(planned.into_iter().map(|store| ImportedStore::of(store, "planned")).collect());
    }
    take_decisions_over(context, &planned)?;
    let imported = Cure::open(permit)?.import_stores(&projects, selection)?;
    Ok(imported.into_iter().map(|store| ImportedStore::of(store, "imported")).collect())
}

/// The stores with rows that wait, none of which is imported: there is no account to import them for.
pub(super) fn without_account(context: &CommandContext) -> Vec<ImportedStore> {
    let waiting = elsewhere::observe(context).project_stores.into_iter();
    let named = waiting.map(|store| ImportedStore {
        path: store.path,
        project_uuid: store.project_uuid,
        result: "no_account",
        rows: ImportedRows::default(),
        detail: Some("not logged in: there is no account to import its rows for".to_owned()),
        remedy: Some(store.remedy.hint()),
    });
    named.collect()
}

fn take_decisions_over(context: &CommandContext, stores: &[StoreImport]) -> Result<(), CliError> {
    let decided = stores.iter().filter(|store| store.result == StoreResult::Imported);
    let mut decided = decided.filter(|store| store.decision != StoreDecision::Unset).peekable();
    if decided.peek().is_none() {
        return Ok(());
    }
    let mut edit = ConfigEdit::begin(context.home()?)?;
    for store in decided {
        let project = Some(store.project_uuid.as_str());
        if edit.config().consent(project, None, None) != Consent::Unset {
            continue;
        }
        match store.decision {
            StoreDecision::OptedOut => edit.opt_out(project),
            // Rows captured here may leave as before; rows of other programs, from that instant on.
            StoreDecision::OptedIn(seconds) => {
                let foreign = Timestamp::from_second(seconds).unwrap_or_default();
                edit.opt_in(project, Start { foreign, ..Start::ALWAYS });
            }
            StoreDecision::Unset => {}
        }
    }
    Ok(edit.commit()?)
}

impl ImportedStore {
    fn of(store: StoreImport, done: &'static str) -> Self {
        let StoreImport { path, project_uuid, result, rows, .. } = store;
        let (result, detail, remedy) = match result {
            StoreResult::Imported => (done, None, None),
            StoreResult::OtherAccount { account, login } => (
                "other_account",
                Some(format!("its rows are {account}'s, and this login is {login}'s")),
                Some(Remedy::Advice(format!(
                    "log in as {account}, then run `spec-kitty sync migrate` again"
                ))),
            ),
            StoreResult::OtherTeam { team } => (
                "other_team",
                Some(format!("its rows were admitted for the team {team}")),
                Some(Remedy::SwitchTeam { team }),
            ),
            StoreResult::OtherServer { server } => (
                "other_server",
                Some(format!("its rows were admitted for {server}")),
                Some(Remedy::FromServer { server, project: project_uuid.clone() }),
            ),
            StoreResult::Busy { detail } => (
                "busy",
                Some(detail),
                Some(Remedy::Advice("run the command again when the other program has ended".to_owned())),
            ),
            StoreResult::Unreadable { detail } => (
                "unreadable",
                Some(detail),
                // The logs of its missions recorded the same facts.
                Some(Remedy::CaptureHistory { mission: "MISSION".to_owned() }),
            ),
        };
        let remedy = remedy.map(|remedy| remedy.hint());
        Self { path, project_uuid, result, rows, detail, remedy }
    }

    /// Whether rows were found that were not known here.
    pub(super) fn found_rows(&self) -> bool {
        self.rows.new_rows() > 0
    }

    /// Exit code for this store.
    pub(super) fn exit(&self) -> ExitCode {
        match self.result {
            "planned" | "imported" => ExitCode::Ok,
            "busy" => ExitCode::Busy,
            _ => ExitCode::Refused,
        }
    }

    pub(super) fn describe(&self) -> String {
        let mut out = String::new();
        let project = printable(&self.project_uuid);
        if let Some(detail) = &self.detail {
            let path = contract::text::path(&self.path);
            let _ = writeln!(out, "project {project}: not imported from {path}: {}", printable(detail));
            if let Some(remedy) = &self.remedy {
                let _ = writeln!(out, "  {}", printable(remedy));
            }
            return out;
        }
        let verb = if self.result == "planned" { "would import" } else { "imported" };
        let _ = writeln!(out, "{verb} from project store {project}");
        let ImportedRows { ready, held, parked, delivered, duplicates, conflicts, unreadable, others } =
            &self.rows;
        for (label, counts) in [
            ("ready to send", ready),
            ("held until `sync opt-in --include-held`", held),
            ("parked, refused before", parked),
            ("already at the server, receipts only", delivered),
            ("already there", duplicates),
            ("kept beside other content (conflicts)", conflicts),
            ("parked as unreadable", unreadable),
            ("of other accounts, untouched", others),
        ] {
            let RowCounts { events, bodies } = *counts;
            if events + bodies > 0 {
                let _ = writeln!(out, "  {label}: {}", rows(events, bodies));
            }
        }
        out
    }
}
