//! Codes of errors, the remedy of each code, and the facts behind an error.

use contract::remedy::{option_words, shell_line};
use serde_json::{Map, Value};

/// A command of this program on a mission, as a line that a shell reads back whatever the names hold.
pub(crate) fn command_line(verb: &str, rest: &[&str], mission: &str) -> String {
    let mission = option_words("--mission", mission);
    let words = std::iter::once("spec-kitty").chain(verb.split(' ')).chain(rest.iter().copied());
    shell_line(words.chain(mission.iter().map(String::as_str)))
}

/// Code of a mission command's failure, for scripts. Each code has a remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum ErrorCode {
    InvalidArgument,
    MalformedFile,
    LogDamaged,
    IoError,
    ProjectNotFound,
    FeatureContextUnresolved,
    PlanContextUnresolved,
    NotAGitRepository,
    UntrustedRepository,
    GitUnavailable,
    GitUnreadable,
    DetachedHead,
    GitOperationInProgress,
    GitCommitFailed,
    MergeConflict,
    SnapshotConflict,
    CoordinationBranchMissing,
    CoordinationBranchDiverged,
    CoordinationBranchMoved,
    IllegalTransition,
    Busy,
    CaptureFailed,
    CapturePending,
    Interrupted,
    MissionFileMissing,
    MissionExists,
    MissionNotFound,
    SpecFileMissing,
    TasksCoverageIncomplete,
    DependencyCycle,
    InvalidDependencies,
    DependencyDisagreement,
    CanceledWpDependency,
    RequirementMappingInvalid,
    RequirementUndeclared,
    OwnershipInvalid,
    OwnershipContradictionCodeChangeEmptyOwnedFiles,
    InvalidWpOwnedFilesKittySpecs,
    LaneDependencyCycle,
    LaneWithoutOwner,
    LaneNotReached,
    LaneNotMerged,
    WorkPackageNotFound,
    WorkPackageNotFinal,
    WorkPackageFilesUnread,
    AgentMismatch,
    ReviewRejected,
    SubtasksUnchecked,
    SubtaskNotFound,
    NotASubtask,
    EvidenceDoesNotHold,
    DecisionNotFound,
    DecisionAlreadyClosed,
    DecisionTerminalConflict,
    DecisionMissingStepOrSlot,
    StatusEventPersistenceVerificationFailed,
    RowTimeExhausted,
}

impl ErrorCode {
    /// The name in JSON documents.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Remedy of the code.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::InvalidArgument => "correct that argument; `--help` of the command shows its form",
            Self::MalformedFile => {
                "correct the file by hand; `git log -p -- FILE` shows what it held at each commit"
            }
            Self::LogDamaged => "`spec-kitty doctor repair --mission MISSION` keeps every readable row",
            Self::IoError => {
                "give this user access to the file that the message names, and free space if its disk is full"
            }
            Self::ProjectNotFound => {
                "run the command inside a project, or create `.kittify/` beside `.git` to make one"
            }
            Self::FeatureContextUnresolved | Self::PlanContextUnresolved => {
                "pass --mission with one of the available missions"
            }
            Self::NotAGitRepository => "run `git init` in the project root",
            Self::UntrustedRepository => {
                "if you trust the repository, run the `git config` line of the message, then repeat the command"
            }
            Self::GitUnavailable => "install git and put it on the PATH",
            Self::GitUnreadable => "run `git status` there: it names what is wrong",
            Self::DetachedHead => "check out a branch: `git switch <branch>`",
            Self::GitOperationInProgress => {
                "finish the operation (`git status` names the next step), then repeat the command"
            }
            Self::GitCommitFailed => {
                "correct what the message of git names, then repeat the command; nothing of it was kept"
            }
            Self::MergeConflict => {
                "edit the file until it holds what is right of both sides, without the markers; then `git add` it"
            }
            Self::SnapshotConflict => {
                "run `spec-kitty agent status materialize --mission MISSION`, then `git add` the `status.json` it wrote"
            }
            Self::CoordinationBranchMissing => {
                "recreate the branch with `git branch`, or remove the key `coordination_branch` from meta.json"
            }
            Self::CoordinationBranchDiverged => {
                "choose one of them: `git branch --track BRANCH REMOTE/BRANCH`"
            }
            Self::CoordinationBranchMoved => {
                "end the program that moves the branch (`git log -g BRANCH` names its commits), then repeat the command"
            }
            Self::IllegalTransition => "pass --force and a --note that gives the reason",
            Self::Busy => "wait for the other command to end, then repeat this one",
            Self::CaptureFailed => "`spec-kitty sync doctor` names what keeps the queue from taking rows",
            Self::CapturePending => {
                "repeat the command, or any other on this mission: it settles what is left first"
            }
            Self::Interrupted => "repeat the command; `--check ID` runs only the checks that are left",
            Self::MissionFileMissing => {
                "write the file; `spec-kitty agent mission check-prerequisites --mission MISSION` shows what is there"
            }
            Self::MissionExists => {
                "work in that mission, or repeat `spec-kitty agent mission create` after a second for another one"
            }
            Self::MissionNotFound => {
                "write meta.json with the mission's `mission_id`; `git log -p -- FILE` shows what it held at each commit"
            }
            Self::SpecFileMissing => {
                "write spec.md and commit it, then run `spec-kitty agent mission setup-plan --mission MISSION` again"
            }
            Self::TasksCoverageIncomplete => {
                "write one heading such as `## WP01 - Title` in tasks.md for each file in tasks/"
            }
            Self::DependencyCycle => {
                "remove one dependency of the circle from the file that the message names"
            }
            Self::InvalidDependencies => {
                "correct the dependencies in tasks.md, wps.yaml or the front matter, whichever the message names"
            }
            Self::DependencyDisagreement => {
                "give the same `dependencies` in the front matter and in wps.yaml"
            }
            Self::CanceledWpDependency => {
                "remove the canceled work package from the `dependencies` of the front matter, of tasks.md or of wps.yaml"
            }
            Self::RequirementMappingInvalid => {
                "name the requirements each work package covers in the `requirement_refs` of its front matter"
            }
            Self::RequirementUndeclared => {
                "declare it in spec.md by a table row, a heading or a list item that begins with it, or name another"
            }
            Self::OwnershipInvalid => "correct `owned_files` and `authoritative_surface` in the front matter",
            Self::OwnershipContradictionCodeChangeEmptyOwnedFiles => {
                "name the files in `owned_files`, or remove the line to have them inferred"
            }
            Self::InvalidWpOwnedFilesKittySpecs => {
                "remove the path from `owned_files`, or set `execution_mode: planning_artifact` for work on documents alone"
            }
            Self::LaneDependencyCycle => {
                "remove a dependency between the lanes from the front matter or from tasks.md, or share fewer `owned_files`"
            }
            Self::LaneWithoutOwner => "write the work package's file in tasks/",
            Self::LaneNotReached => {
                "another program writes the same log: look at `spec-kitty agent status show --mission MISSION`, then repeat"
            }
            Self::LaneNotMerged => "merge that branch, or give the reason with --done-override-reason",
            Self::WorkPackageNotFound => {
                "`spec-kitty agent tasks status --mission MISSION` shows the work packages of a mission"
            }
            Self::WorkPackageNotFinal => {
                "run `spec-kitty agent mission finalize-tasks --mission MISSION` first"
            }
            Self::WorkPackageFilesUnread => {
                "name each file like WP01-title.md and give it the same id as its `work_package_id`, or move it out of tasks/"
            }
            Self::AgentMismatch => "repeat as the assigned agent, or take the work package over with --force",
            Self::ReviewRejected => {
                "review it again first, or pass --skip-review-artifact-check with a --note"
            }
            Self::SubtasksUnchecked => {
                "check them with `spec-kitty agent tasks mark-status`, or pass --force"
            }
            Self::SubtaskNotFound => {
                "write a row such as `- [ ] T001 ...` into the work package's section of tasks.md"
            }
            Self::NotASubtask => "move a work package with `spec-kitty agent tasks move-task`",
            Self::EvidenceDoesNotHold => {
                "`spec-kitty agent evidence capture --mission MISSION` runs the checks again; files of checks that are gone are deleted by hand"
            }
            Self::DecisionNotFound => "decisions/index.json of the mission lists its decisions",
            Self::DecisionAlreadyClosed => "ask under another --input-key, --step-id or --slot-key",
            Self::DecisionTerminalConflict => {
                "open a new decision with `spec-kitty agent decision open`: what is resolved or canceled stays so"
            }
            Self::DecisionMissingStepOrSlot => {
                "name the place the question came up in with --step-id or --slot-key"
            }
            Self::StatusEventPersistenceVerificationFailed => {
                "free space where the mission's log is, end the other program that writes it, then repeat the command"
            }
            Self::RowTimeExhausted => "correct the `at` of that row by hand, then repeat the command",
        }
    }
}

/// The facts that are worth a line each, with their words. What else a document holds is for scripts.
const LINES: [(&str, &str); 10] = [
    ("unread_files", "not read"),
    ("missing_wp_sections", "without a section in tasks.md"),
    ("extra_wp_sections", "without a file in tasks/"),
    ("missing_requirement_refs_wps", "without requirement_refs"),
    ("unknown_requirement_refs", "unknown to spec.md"),
    ("unmapped_functional_requirements", "covered by no work package"),
    ("parsed_spec_ids", "declared"),
    ("ownership_errors", "conflict"),
    ("ownership_contradiction_wp_ids", "own nothing"),
    ("available_missions", "missions"),
];

/// Most entries of a list that are shown.
const SHOWN: usize = 12;

/// The lines behind an error, for people.
pub(crate) fn evidence(facts: &Map<String, Value>) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, words) in LINES {
        match facts.get(key) {
            // Sentences get a line each, names share one.
            Some(Value::Array(entries)) if entries.iter().any(is_sentence) => {
                lines.extend(
                    entries.iter().take(SHOWN).map(|entry| format!("{words}: {}", entry_text(entry))),
                );
                lines.extend(more(entries.len()));
            }
            Some(Value::Array(entries)) if !entries.is_empty() => {
                let names: Vec<_> =
                    entries.iter().take(SHOWN).map(entry_text).chain(more(entries.len())).collect();
                lines.push(format!("{words}: {}", names.join(", ")));
            }
            Some(Value::Object(map)) => lines.extend(map.iter().take(SHOWN).map(|(id, names)| {
                let names: Vec<_> = names.as_array().into_iter().flatten().map(entry_text).collect();
                format!("{words}: {id}: {}", names.join(", "))
            })),
            _ => {}
        }
    }
    lines
}

fn more(count: usize) -> Option<String> {
    (count > SHOWN).then(|| format!("... and {} more", count - SHOWN))
}

fn is_sentence(entry: &Value) -> bool {
    entry.as_str().is_some_and(|text| text.contains(' '))
}

fn entry_text(entry: &Value) -> String {
    entry.as_str().map_or_else(|| entry.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use strum::IntoEnumIterator;

    #[test]
    fn names_share_a_line_and_sentences_get_their_own() {
        let facts = json!({
            "unmapped_functional_requirements": ["FR-001", "FR-002"],
            "unknown_requirement_refs": { "WP01": ["FR-9"] },
            "ownership_errors": ["WP01 and WP02 overlap", "WP03 owns nothing"],
            "missing_wp_sections": [],
            "requirement_refs_parsed": { "WP01": ["FR-9"] },
        });
        assert_eq!(
            evidence(facts.as_object().unwrap()),
            [
                "unknown to spec.md: WP01: FR-9",
                "covered by no work package: FR-001, FR-002",
                "conflict: WP01 and WP02 overlap",
                "conflict: WP03 owns nothing",
            ]
        );
        let many: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
        let lines = evidence(json!({ "available_missions": many }).as_object().unwrap());
        assert!(lines[0].ends_with("m11, ... and 8 more"), "{lines:?}");
    }

    #[test]
    fn every_code_has_a_remedy_that_names_an_act() {
        for code in ErrorCode::iter() {
            let remedy = code.remedy();
            let named =
                ["`", "--", "tasks/", ".json", "repeat", "PATH", "tasks.md", "spec.md", "circle", "the file"];
            assert!(named.iter().any(|name| remedy.contains(name)), "{}: {remedy}", code.name());
            assert!(!remedy.ends_with('.') && !remedy.starts_with(char::is_uppercase), "{}", code.name());
        }
    }
}
