//! Project and consent: what the working directory belongs to, and whether its rows may leave.

use super::machine::with_obstacles;
use super::{CheckName, DiagnosticCheck, Diagnostics};
use crate::error::{CliError, chain};
use crate::report::{PROJECTS_SHOWN, counted, more_projects, project_name, rows};
use contract::{Consent, Remedy};
use identity::git::read_git_facts;
use identity::project::{RecordedIdentity, config_file};
use identity::{ProjectIdentity, locate_project_root};
use mission::command::log_faults::{ReadLogs, read_logs};
use mission::outgoing::read_incomplete_captures;
use mission::{MissionError, Project};
use queue::HoldReason;
use std::path::PathBuf;

/// Most missions with a fault that are listed.
const MISSIONS_SHOWN: usize = 5;

impl Diagnostics<'_> {
    pub(super) fn project(&self) -> DiagnosticCheck {
        let Some(root) = self.project_root() else {
            let directory = self.context.directory();
            return DiagnosticCheck::not_checked(CheckName::Project, "not inside a project")
                .read_file("no .kittify in it or above it", directory);
        };
        let file = config_file(&root);
        let recorded = match ProjectIdentity::read(&root) {
            Ok(recorded) => recorded,
            Err(error) => {
                let advice = format!("correct {} by hand", file.to_string_lossy());
                return DiagnosticCheck::ok(CheckName::Project, "its identity cannot be read").finding(
                    "project_unreadable",
                    chain(&error),
                    [Remedy::Advice(advice)],
                );
            }
        };
        let summary = match &recorded.uuid {
            Some(uuid) => format!("{} ({uuid})", recorded.slug.as_deref().unwrap_or("unnamed")),
            None => "no identity yet; the first capture creates it".to_owned(),
        };
        let check = DiagnosticCheck::ok(CheckName::Project, summary);
        let check = match read_git_facts(&root) {
            Ok(Some(_)) => check,
            Ok(None) => check.finding(
                "not_a_git_repository",
                format!("{} is not in a git repository", root.to_string_lossy()),
                [Remedy::Advice("run `git init` in the project root".to_owned())],
            ),
            Err(error) => check.finding(
                "git_unreadable",
                chain(&error),
                [Remedy::Advice("run `git status` there; it prints the reason".to_owned())],
            ),
        };
        let what = if file.exists() { "the project's identity" } else { "does not exist" };
        // Commands of missions write there: files, commits and their locks.
        let mut places = vec![root.join("kitty-specs"), root.join(".kittify")];
        places.extend(read_git_facts(&root).ok().flatten().map(|git| git.common_dir));
        with_obstacles(check.read_file(what, &file), &places)
    }

    /// Whether a command could write to each mission of the project.
    pub(super) fn missions(&self) -> DiagnosticCheck {
        let not_checked = |why: &str| DiagnosticCheck::not_checked(CheckName::Missions, why);
        let Some(root) = self.project_root() else { return not_checked("not inside a project") };
        let read = Project::read(&root).and_then(|project| {
            Ok((read_logs(&project)?, self.incomplete_captures(&project)?, project.missions()))
        });
        let (ReadLogs { missions, faults }, incomplete, directory) = match read {
            Ok(read) => read,
            Err(error) => return not_checked(&format!("the missions cannot be listed: {}", chain(&error))),
        };
        let summary = match (counted(missions as u64, "log was", "logs were"), faults.len()) {
            _ if missions == 0 => "no missions yet".to_owned(),
            (read, 0) => format!("{read} read to the end"),
            (read, damaged) => format!("{read} read, {damaged} of them with a fault"),
        };
        let check = DiagnosticCheck::ok(CheckName::Missions, summary);
        let check = check.read_file(counted(missions as u64, "mission", "missions"), &directory);
        let check = with_incomplete_captures(check, incomplete);
        let check = faults.iter().take(MISSIONS_SHOWN).fold(check, |check, (mission, error)| {
            let detail = format!("{mission}: {}", chain(error));
            check.finding(error.code().name().to_lowercase(), detail, error.remedies())
        });
        match faults.len().saturating_sub(MISSIONS_SHOWN) {
            0 => check,
            more => check.finding(
                "more_missions",
                format!("{} with a fault", counted(more as u64, "more mission", "more missions")),
                [Remedy::Advice("`spec-kitty agent status show` warns of each".to_owned())],
            ),
        }
    }

    /// Missions that were captured into a queue DB that is missing or lost rows.
    fn incomplete_captures(&self, project: &Project) -> Result<Vec<String>, MissionError> {
        let is_captured = self.context.sync_enabled() && self.own_consent() != Some(Consent::OptedOut);
        match (&self.login.scope, &self.counts) {
            (Some(scope), Some(counts)) if is_captured => {
                read_incomplete_captures(project, scope, counts.capture_key.as_deref())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The decision about this project, and rows of any project that wait for one.
    pub(super) fn consent(&self) -> Result<DiagnosticCheck, CliError> {
        let config = self.context.home()?.config_file();
        let check = match self.own_consent() {
            None => DiagnosticCheck::ok(CheckName::Consent, "not inside a project"),
            Some(Consent::OptedIn(_)) => DiagnosticCheck::ok(CheckName::Consent, "this project is opted in"),
            Some(Consent::Unset) => DiagnosticCheck::ok(
                CheckName::Consent,
                "no decision: rows captured in this checkout may be sent",
            ),
            Some(Consent::OptedOut) if !self.config.is_readable() => DiagnosticCheck::not_checked(
                CheckName::Consent,
                "the configuration cannot be read: nothing is sent",
            ),
            Some(Consent::OptedOut) => DiagnosticCheck::off(
                CheckName::Consent,
                "this project is opted out: its rows stay on this machine",
            ),
        };
        let what = if config.exists() { "the decisions of this machine" } else { "does not exist" };
        let check = check.read_file(what, &config);
        // An opt-out, and rows sealed by an opt-in, are decisions; the others wait for one.
        let undecided = self
            .counts
            .iter()
            .flat_map(|counts| &counts.held)
            .filter(|held| held.reason == HoldReason::NeverOptedIn);
        let undecided: Vec<_> = undecided.collect();
        let check = undecided.iter().take(PROJECTS_SHOWN).fold(check, |check, held| {
            let name = project_name(held.repo_slug.as_deref(), held.project_uuid.as_deref());
            let waits = rows(held.events, held.bodies);
            let detail = format!("{waits} of {name} wait for a decision");
            let project = held.project_uuid.clone().unwrap_or_else(|| "none".to_owned());
            check.finding("rows_held", detail, [Remedy::OptIn { project }])
        });
        Ok(match more_projects(undecided.len(), "spec-kitty sync status --json") {
            Some(more) => check.finding("rows_held", more, [Remedy::OptInAllHeld]),
            None => check,
        })
    }

    fn own_consent(&self) -> Option<Consent> {
        let root = self.project_root()?;
        let recorded = ProjectIdentity::read(&root).ok()?;
        let RecordedIdentity { uuid, repo_slug, .. } = recorded;
        let repository = repo_slug.or_else(|| read_git_facts(&root).ok()??.repo_slug);
        Some(self.config.consent(uuid.as_deref(), repository.as_deref(), Some(&root)))
    }

    fn project_root(&self) -> Option<PathBuf> {
        locate_project_root(self.context.directory(), &self.context.environment)
    }
}

fn with_incomplete_captures(check: DiagnosticCheck, missions: Vec<String>) -> DiagnosticCheck {
    if missions.is_empty() {
        return check;
    }
    let detail = format!(
        "{} captured into a queue DB that is missing or lost rows",
        counted(missions.len() as u64, "mission was", "missions were")
    );
    let rest = missions.len().saturating_sub(MISSIONS_SHOWN) as u64;
    let rest = (rest > 0).then(|| {
        let more = counted(rest, "more mission", "more missions");
        Remedy::Advice(format!("and {more}: `spec-kitty sync doctor` names them once these are captured"))
    });
    let shown = missions.into_iter().take(MISSIONS_SHOWN).map(|mission| Remedy::CaptureHistory { mission });
    check.finding("capture_incomplete", detail, shown.chain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missions_beyond_the_shown_are_counted() {
        for (missions, rest) in
            [(5, None), (6, Some("and 1 more mission: ")), (8, Some("and 3 more missions: "))]
        {
            let names = (0..missions).map(|number| format!("mission-{number}")).collect();
            let check =
                with_incomplete_captures(DiagnosticCheck::ok(CheckName::Missions, String::new()), names);
            let check = serde_json::to_value(&check).expect("JSON");
            let hints = check["findings"][0]["remediation"].as_array().expect("hints");
            assert_eq!(hints.len(), MISSIONS_SHOWN + usize::from(rest.is_some()), "{check:#}");
            let last = hints.last().and_then(serde_json::Value::as_str).expect("a hint");
            assert!(last.starts_with(rest.unwrap_or("spec-kitty sync capture --history")), "{last}");
        }
    }
}
