//! `agent evidence capture|draft|verify`: local commands.

use super::shown;
use super::status::{Card, show};
use crate::branch_check::branch_warnings;
use crate::clock::Clock;
use crate::command::decision;
use crate::document::{Writing, read_bytes};
use crate::error::{MissionError, Result};
use crate::evidence::draft::{Quoted, close_issue, definition_of_done, pull_request};
use crate::evidence::plan::{Check, FILE, read_checks};
use crate::evidence::run::{MAX_OUTPUT, run};
use crate::evidence::sources::Sources;
use crate::evidence::transcript::{Files, RunCircumstances, Transcript, files};
use crate::evidence::{ATTRIBUTES, DIRECTORY, TRANSCRIPTS};
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::work_package::find_wp_file;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `agent evidence`.
#[derive(Clone, Debug, Default)]
pub struct EvidenceRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--check`: only these, all without it.
    pub only: Vec<String>,
    /// `--transcripts`: they lie here instead of in the mission.
    pub transcripts: Option<PathBuf>,
    /// `--integrity-only`: whether the evidence is what was captured; not whether its sources moved on.
    pub integrity_only: bool,
}

/// One check that was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckResult {
    /// The check.
    pub id: String,
    /// The issue it proves.
    pub issue: u64,
    /// The work package it belongs to.
    pub work_package: String,
    /// Whether it passed.
    pub passed: bool,
    /// End of the process: its exit code, a signal or a timeout.
    pub ending: String,
    /// Required texts that its output lacks.
    pub missing: Vec<String>,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// Its record.
    pub transcript: String,
}

/// Report of `capture`. When `reopen` names a work package, a check failed and the later ones were not run; the
/// command then ends with exit 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CapturedEvidence {
    /// `success` or `failed`.
    pub result: &'static str,
    /// Directory name of the mission.
    pub mission_slug: String,
    /// The checks that were run.
    pub checks: Vec<CheckResult>,
    /// The work package to reopen.
    pub reopen: Option<String>,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Problem with the evidence of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceProblem {
    /// It was never captured.
    Missing,
    /// One of its sources changed since.
    Stale,
    /// `evidence.yaml` has changed since.
    CheckChanged,
    /// The transcript was edited.
    Edited,
    /// It failed.
    Failed,
    /// The record cannot be read.
    Unreadable,
    /// There is a transcript of a check that `evidence.yaml` does not name.
    Unknown,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvidenceFinding {
    /// The check.
    pub check: String,
    /// The problem.
    pub problem: EvidenceProblem,
    /// In one sentence.
    pub detail: String,
}

/// Whether the evidence holds; findings end the command with exit 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedEvidence {
    /// `clean` or `drift`.
    pub status: &'static str,
    /// Directory name of the mission.
    pub mission_slug: String,
    /// Number of checks.
    pub checks: usize,
    /// Whether the check for changed sources was skipped.
    pub integrity_only: bool,
    /// Problems found.
    pub findings: Vec<EvidenceFinding>,
}

/// Report of `draft`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drafted {
    /// `success`.
    pub result: &'static str,
    /// Directory name of the mission.
    pub mission_slug: String,
    /// The documents, relative to the project.
    pub files: Vec<String>,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The mission, its checks and where their transcripts lie.
fn open(project: &Project, request: &EvidenceRequest) -> Result<(MissionDirectory, Vec<Check>, PathBuf)> {
    let mission = project.mission(request.mission.as_deref())?;
    let mut checks = read_checks(&mission.path)?;
    if let Some(unknown) = request.only.iter().find(|id| !checks.iter().any(|check| check.id == **id)) {
        let shown = contract::text::printable(unknown);
        return Err(MissionError::Argument {
            name: "--check",
            problem: format!("evidence.yaml has no check `{shown}`"),
        });
    }
    check_packages(&mission, &checks)?;
    checks.retain(|check| request.only.is_empty() || request.only.contains(&check.id));
    let directory =
        request.transcripts.clone().unwrap_or_else(|| mission.path.join(DIRECTORY).join(TRANSCRIPTS));
    Ok((mission, checks, directory))
}

/// A work package that is to be reopened has to exist.
fn check_packages(mission: &MissionDirectory, checks: &[Check]) -> Result<()> {
    for check in checks {
        if find_wp_file(&mission.path, &check.work_package)?.is_none() {
            let (id, wp) = (&check.id, &check.work_package);
            let problem = format!("check `{id}`: the mission has no {wp}: no file tasks/{wp}-*.md");
            return Err(MissionError::malformed(&mission.path.join(FILE), problem));
        }
    }
    Ok(())
}

/// Refuses a source that matches no file: such a check would never get stale.
fn check_sources(project: &Project, mission: &MissionDirectory, checks: &[Check]) -> Result<()> {
    let sources = Sources::list(project, &mission.path)?;
    for check in checks {
        if let Some(pattern) = sources.idle(&check.sources) {
            let shown = contract::text::printable(pattern);
            let problem =
                format!("check `{}`: source `{shown}` matches no file that git knows or would add", check.id);
            return Err(MissionError::malformed(&mission.path.join(FILE), problem));
        }
    }
    Ok(())
}

/// Surroundings of a capture, beside the mission.
#[derive(Clone, Copy)]
pub struct Capturing<'a> {
    /// The version of this program.
    pub tool_version: &'a str,
    /// Whether the user has interrupted it.
    pub interrupted: &'a dyn Fn() -> bool,
    /// Called with each check before it is run.
    pub begins: &'a dyn Fn(&Check),
}

/// Runs the checks, one after the other, and keeps the output of each as soon as it has ended. Stops at the
/// first that fails.
pub fn capture(
    project: &Project,
    request: &EvidenceRequest,
    with: &Capturing<'_>,
    clock: &Clock,
) -> Result<CapturedEvidence> {
    let (mission, checks, directory) = open(project, request)?;
    check_sources(project, &mission, &checks)?;
    let mut done = CapturedEvidence {
        result: "success",
        mission_slug: mission.slug.clone(),
        checks: Vec::new(),
        reopen: None,
        warnings: branch_warnings(project, &mission),
    };
    for check in &checks {
        let files = files(&directory, &check.id);
        (with.begins)(check);
        let transcript = run_check(project, &mission, check, &files, with, clock)?;
        done.checks.push(CheckResult {
            id: check.id.clone(),
            issue: check.issue,
            work_package: check.work_package.clone(),
            passed: transcript.passed,
            ending: transcript.ending.clone(),
            missing: transcript.missing.clone(),
            duration_ms: transcript.duration_ms,
            transcript: shown(&files.record),
        });
        if !transcript.passed {
            done.result = "failed";
            done.reopen = Some(check.work_package.clone());
            break;
        }
    }
    Ok(done)
}

/// Runs one check and keeps its record and its outputs together: a later check, or an
/// interruption, takes nothing of them back. A failed check is evidence, too.
fn run_check(
    project: &Project,
    mission: &MissionDirectory,
    check: &Check,
    files: &Files,
    capturing: &Capturing<'_>,
    clock: &Clock,
) -> Result<Transcript> {
    let started_at = clock.now().seconds_z();
    let mut writing = Writing::new();
    if let Some(directory) = files.record.parent() {
        writing.create_directory(directory)?;
    }
    let run = run(check, project.root(), (&files.stdout, &files.stderr), capturing.interrupted)?;
    let with = RunCircumstances {
        started_at,
        duration_ms: u64::try_from(run.took.as_millis()).unwrap_or(u64::MAX),
        commit: project.git().commit().map(str::to_owned),
        tool_version: capturing.tool_version.to_owned(),
        // After the run: a check that writes what it depends on would otherwise be stale at once.
        sources_sha256: Sources::list(project, &mission.path)?.hash(&check.sources)?,
    };
    let transcript = Transcript::judge(check, run.ending, with, run.outputs())?;
    transcript.write(&mut writing, files)?;
    keep_line_endings(mission, files, &mut writing)?;
    run.keep()?;
    writing.keep()?;
    Ok(transcript)
}

/// Tells git to leave the transcripts of the mission as they are; other settings of the file stay.
fn keep_line_endings(mission: &MissionDirectory, files: &Files, writing: &mut Writing) -> Result<()> {
    let directory = mission.path.join(DIRECTORY).join(TRANSCRIPTS);
    let (name, text) = ATTRIBUTES;
    let path = directory.join(name);
    if files.record.parent() != Some(&directory) || path.symlink_metadata().is_ok() {
        return Ok(());
    }
    writing.write(&path, text.as_bytes()).map(|_| ())
}

/// Tells whether the evidence holds. Reads only.
pub fn verify(project: &Project, request: &EvidenceRequest) -> Result<VerifiedEvidence> {
    let (mission, checks, directory) = open(project, request)?;
    let sources = if request.integrity_only { None } else { Some(Sources::list(project, &mission.path)?) };
    let mut findings = Vec::new();
    for check in &checks {
        let found = judge_check(check, &files(&directory, &check.id), sources.as_ref())?;
        findings.extend(found.map(|(problem, detail)| EvidenceFinding {
            check: check.id.clone(),
            problem,
            detail,
        }));
    }
    if request.only.is_empty() {
        findings.extend(unexpected_transcripts(&directory, &checks)?);
    }
    Ok(VerifiedEvidence {
        status: if findings.is_empty() { "clean" } else { "drift" },
        mission_slug: mission.slug,
        checks: checks.len(),
        integrity_only: request.integrity_only,
        findings,
    })
}

fn judge_check(
    check: &Check,
    files: &Files,
    sources: Option<&Sources<'_>>,
) -> Result<Option<(EvidenceProblem, String)>> {
    let transcript = match Transcript::read(files) {
        Ok(Some(transcript)) => transcript,
        Ok(None) => return Ok(Some((EvidenceProblem::Missing, "it was never captured".into()))),
        Err(error) => return Ok(Some((EvidenceProblem::Unreadable, error.to_string()))),
    };
    if let Some(part) = transcript.touched(files)? {
        return Ok(Some((EvidenceProblem::Edited, format!("{part} is not as it was captured"))));
    }
    if transcript.check != *check {
        return Ok(Some((EvidenceProblem::CheckChanged, "evidence.yaml differs from what was run".into())));
    }
    if !transcript.passed {
        return Ok(Some((
            EvidenceProblem::Failed,
            format!("{}; reopen {}", transcript.ending, check.work_package),
        )));
    }
    let stale = match sources {
        Some(sources) => transcript.sources_sha256 != sources.hash(&check.sources)?,
        None => false,
    };
    Ok(stale.then(|| (EvidenceProblem::Stale, "what it depends on changed since it was captured".into())))
}

/// Whether a file of the transcripts is of this check.
fn of_check(name: &str, id: &str) -> bool {
    let end = name.strip_prefix(id).unwrap_or_default();
    [".json", ".stdout.txt", ".stderr.txt"].contains(&end)
}

/// Transcripts that no check explains.
fn unexpected_transcripts(directory: &Path, checks: &[Check]) -> Result<Vec<EvidenceFinding>> {
    let names = crate::document::read_names(directory)?;
    let records = names.iter().filter_map(|name| name.strip_suffix(".json"));
    let unknown = records.filter(|id| !checks.iter().any(|check| check.id == **id));
    Ok(unknown
        .map(|id| EvidenceFinding {
            check: id.to_owned(),
            problem: EvidenceProblem::Unknown,
            detail: format!(
                "evidence.yaml names no such check; name it again, or delete {}",
                names
                    .iter()
                    .filter(|name| of_check(name, id))
                    .map(|name| shown(&directory.join(name)))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })
        .collect())
}

/// Writes `close-<issue>.md`, `pr-body.md` and `definition-of-done.md` from evidence that holds.
pub fn draft(project: &Project, request: &EvidenceRequest) -> Result<Drafted> {
    let verified = verify(project, request)?;
    if !verified.findings.is_empty() {
        let first: Vec<_> = verified
            .findings
            .iter()
            .map(|finding| format!("{}: {}", finding.check, finding.detail))
            .collect();
        return Err(MissionError::invalid(
            ErrorCode::EvidenceDoesNotHold,
            format!("nothing is drafted from evidence that does not hold: {}", first.join("; ")),
            &verified,
        ));
    }
    let (mission, checks, directory) = open(project, request)?;
    let quoted: Vec<Quoted> =
        checks.iter().map(|check| quote(project, check, &directory)).collect::<Result<_>>()?;
    let mut by_issue: BTreeMap<u64, Vec<&Quoted>> = BTreeMap::new();
    for check in &quoted {
        by_issue.entry(check.transcript.check.issue).or_default().push(check);
    }
    let mut documents: Vec<(String, String)> = by_issue
        .iter()
        .map(|(issue, checks)| (format!("close-{issue}.md"), close_issue(*issue, checks)))
        .collect();
    let name = mission.meta.as_ref().and_then(crate::meta::Meta::friendly_name).unwrap_or(&mission.slug);
    documents.push(("pr-body.md".into(), pull_request(name, &by_issue)));
    let packages: Vec<_> = show(project, Some(&mission.slug))?
        .missions
        .into_iter()
        .flat_map(|board| board.work_packages)
        .map(|Card { work_package_id, title, lane, .. }| (work_package_id, title, lane))
        .collect();
    let decisions = decision::verify(project, Some(&mission.slug))?;
    documents
        .push(("definition-of-done.md".into(), definition_of_done(name, &packages, &decisions, &quoted)));
    let mut writing = Writing::new();
    let mut files = Vec::new();
    for (name, text) in documents {
        let path = mission.path.join(DIRECTORY).join(name);
        writing.write(&path, text.as_bytes())?;
        files.push(project.relative(&path));
    }
    writing.keep()?;
    let warnings = branch_warnings(project, &mission);
    Ok(Drafted { result: "success", mission_slug: mission.slug, files, warnings })
}

fn quote(project: &Project, check: &Check, directory: &Path) -> Result<Quoted> {
    let files = files(directory, &check.id);
    let transcript = Transcript::read(&files)?
        .ok_or_else(|| MissionError::malformed(&files.record, "went away while the drafts were written"))?;
    let read = |path: &Path| -> Result<String> {
        let bytes = read_bytes(path, MAX_OUTPUT * 2)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Quoted {
        stdout: read(&files.stdout)?,
        stderr: read(&files.stderr)?,
        path: project.relative(&files.record),
        transcript,
    })
}
