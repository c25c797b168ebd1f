//! `agent mission create`: a new mission's directory, identity and first facts.

use super::{BranchContract, mission_fact, shown};
use crate::clock::Clock;
use crate::error::{MissionError, Result};
use crate::git::branch_commit::Tip;
use crate::git::branches::read_branches;
use crate::git::{StartBranch, check_may_commit};
use crate::log::{FactKind, FactRow, Row};
use crate::meta::{self, Meta, NewMeta, Topology, coordination_branch_of, is_branch_name};
use crate::mission_log::MissionLog;
use crate::outgoing::{CaptureReport, Outgoing};
use crate::project::{MISSIONS, MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::slug;
use crate::template::{read_spec_template, tasks_readme};
use crate::transaction::{Change, lock_mission};
use serde::Serialize;
use serde_json::json;
use std::io;
use std::path::{Path, PathBuf};

/// Actor of the facts that this command writes.
const ACTOR: &str = "spec-kitty mission create";

/// Arguments of `agent mission create`.
#[derive(Clone, Debug, Default)]
pub struct CreateRequest {
    /// The human slug, kebab-case.
    pub slug: String,
    /// `--mission-type`; `software-dev` without it.
    pub mission_type: Option<String>,
    /// `--target-branch`; the checked-out branch without it.
    pub target_branch: Option<String>,
    /// `--friendly-name`; the slug with spaces without it.
    pub friendly_name: Option<String>,
    /// `--purpose-tldr`; the friendly name without it.
    pub purpose_tldr: Option<String>,
    /// `--purpose-context`; a standard sentence without it.
    pub purpose_context: Option<String>,
    /// `--pr-bound`: the work lands by way of a pull request.
    pub pr_bound: bool,
    /// `--start-branch`: checked out before anything is written, and made when there is none.
    pub start_branch: Option<String>,
    /// `--retain-branches`: a merge keeps the branches.
    pub retain_branches: bool,
    /// `--retain-worktrees`: a merge keeps the worktrees.
    pub retain_worktrees: bool,
    /// `--topology`; a mission without one keeps everything in the checkout.
    pub topology: Option<Topology>,
}

/// Everything that will be written, validated.
#[derive(Debug)]
pub struct CreationPlan {
    change: Change,
    created: Created,
    /// On the branch that the mission begins on.
    project: Project,
}

/// Report on the new mission. JSON keys as the reference writes them, the branch contract and `capture{}`.
#[derive(Clone, Debug, Serialize)]
pub struct Created {
    /// `success`.
    pub result: &'static str,
    /// Directory name.
    pub mission_slug: String,
    /// Always null: numbers are given at merge.
    pub mission_number: Option<i64>,
    /// ULID.
    pub mission_id: String,
    /// Type.
    pub mission_type: String,
    /// Directory name once more.
    pub slug: String,
    /// Name for people.
    pub friendly_name: String,
    /// One line on what it is for.
    pub purpose_tldr: String,
    /// A paragraph on what it is for.
    pub purpose_context: String,
    /// The directory.
    pub feature_dir: String,
    /// `spec.md`.
    pub spec_file: String,
    /// `meta.json`.
    pub meta_file: String,
    /// Time of creation.
    pub created_at: String,
    /// Files to edit next.
    pub created_files: Vec<String>,
    /// Way of editing: existing files are edited, not recreated.
    pub write_mode: &'static str,
    /// Next step, in one sentence.
    pub next_step: &'static str,
    /// Always unattempted: this program binds no tickets.
    pub origin_binding: OriginBinding,
    /// The commit that holds `meta.json`.
    pub commit_hash: Option<String>,
    /// The branches.
    #[serde(flatten)]
    pub branches: BranchContract,
    /// What to know about the new mission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

/// Whether a ticket was bound to the mission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OriginBinding {
    /// Never.
    pub attempted: bool,
    /// Never.
    pub succeeded: bool,
    /// None.
    pub error: Option<String>,
}

impl CreateRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, problem: String| Err(MissionError::Argument { name, problem });
        let shown = contract::text::printable(&self.slug);
        if !slug::is_kebab(&self.slug) {
            return wrong(
                "SLUG",
                format!(
                    "`{shown}` is not kebab-case: use words of a-z and 0-9 joined by single hyphens, like user-auth or fix-bug-123"
                ),
            );
        }
        if slug::without_number(&self.slug).len() > 80 {
            return wrong("SLUG", "is longer than 80 characters".into());
        }
        for (name, value) in [
            ("--friendly-name", &self.friendly_name),
            ("--purpose-tldr", &self.purpose_tldr),
            ("--purpose-context", &self.purpose_context),
            ("--mission-type", &self.mission_type),
            ("--target-branch", &self.target_branch),
        ] {
            if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
                return wrong(name, "must not be blank".into());
            }
        }
        if let Some(start) = self.start_branch.as_deref() {
            if !is_branch_name(start) {
                return wrong("--start-branch", "cannot be the name of a branch".into());
            }
            if self.target_branch.as_deref().is_some_and(|target| target.trim() != start) {
                return wrong("--start-branch", "differs from --target-branch".into());
            }
        }
        if self.mission_type.as_deref().is_some_and(|kind| !slug::is_kebab(kind)) {
            return wrong("--mission-type", "is not kebab-case, like software-dev".into());
        }
        Ok(())
    }
}

/// Plans a new mission. `cwd` must not lie in one of the project's worktrees.
pub fn plan(project: &Project, request: &CreateRequest, cwd: &Path, clock: &Clock) -> Result<CreationPlan> {
    request.check()?;
    // A checkout that is named may be anywhere.
    let is_named = cwd == project.root();
    if !is_named && cwd.components().any(|part| part.as_os_str() == ".worktrees") {
        return Err(MissionError::Argument {
            name: "SLUG",
            problem: "a mission is created in the main checkout, not inside .worktrees/".into(),
        });
    }
    check_may_commit(project)?;
    let (project, start_branch) = start(project, request)?;
    let project = &project;
    let created = describe(project, request, clock)?;
    let directory = project.missions().join(&created.mission_slug);
    check_absent(&directory)?;
    let meta_file = directory.join(meta::FILE);
    let meta = Meta::create(
        meta_file.clone(),
        &NewMeta {
            mission_id: &created.mission_id,
            mission_slug: &created.mission_slug,
            friendly_name: &created.friendly_name,
            mission_type: &created.mission_type,
            target_branch: &created.branches.target,
            created_at: &created.created_at,
            purpose_tldr: &created.purpose_tldr,
            purpose_context: &created.purpose_context,
            pr_bound: request.pr_bound,
            retain_branches: request.retain_branches,
            retain_worktrees: request.retain_worktrees,
            topology: request.topology,
        },
    );
    meta.validate()?;
    let rendered = meta.render().into_bytes();
    let templates = [
        (directory.join("tasks").join(".gitkeep"), Vec::new()),
        (directory.join("tasks").join("README.md"), tasks_readme().as_bytes().to_vec()),
        (directory.join("spec.md"), read_spec_template(project.root())?.into_bytes()),
    ];
    let log = MissionLog::of_new_mission(&directory);
    let mission =
        MissionDirectory { slug: created.mission_slug.clone(), path: directory.clone(), meta: Some(meta) };
    let mut change = Change::of(mission, log);
    change.start_branch = start_branch;
    change.directories = ["checklists", "research", "tasks"].map(|name| directory.join(name)).to_vec();
    change.derived.extend(templates.iter().map(|(path, _)| path.clone()));
    change.files.extend(templates);
    change.files.insert(meta_file.clone(), rendered);
    change.append(facts(project, &created, clock))?;
    if request.topology.is_some_and(Topology::coordinates) {
        let tip = project.git().commit().ok_or_else(|| {
            let shown = contract::text::path(project.root());
            MissionError::rule(
                ErrorCode::GitCommitFailed,
                format!("{shown} has no commit yet, from which the coordination branch could start"),
            )
        })?;
        let branch = coordination_branch_of(&created.mission_slug);
        change.new_branch = Some(Tip { branch, commit: tip.to_owned(), upstream: None });
    }
    change.commit = Some((vec![meta_file], format!("Add meta for feature {}", created.mission_slug)));
    Ok(CreationPlan { change, created, project: project.clone() })
}

/// The name has the first eight characters of the id, which are the same for about a second: a command that is given twice
/// at once may have the same name twice.
fn check_absent(directory: &Path) -> Result<()> {
    match directory.symlink_metadata() {
        Ok(_) => {
            let problem = format!("{} exists already", contract::text::path(directory));
            Err(MissionError::rule(ErrorCode::MissionExists, problem))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(MissionError::io("read", directory)(error)),
    }
}

/// The project as it is on the branch of the request, and how to get there.
fn start(project: &Project, request: &CreateRequest) -> Result<(Project, Option<StartBranch>)> {
    let from = project.branch()?;
    let Some(name) = request.start_branch.as_deref().filter(|name| *name != from) else {
        return Ok((project.clone(), None));
    };
    let known = read_branches(project)?.local(name).map(|branch| branch.commit.clone());
    let start = StartBranch { name: name.to_owned(), is_new: known.is_none(), from: from.to_owned() };
    let commit = known.or_else(|| project.git().commit().map(str::to_owned));
    Ok((project.on_branch(name, commit), Some(start)))
}

/// The new mission in words: what was asked for, and the defaults for the rest.
fn describe(project: &Project, request: &CreateRequest, clock: &Clock) -> Result<Created> {
    let branch = project.branch()?;
    let now = clock.now();
    let mission_id = clock.ulid();
    let mission_slug = slug::directory_name(&request.slug, &mission_id);
    let target = request.target_branch.as_deref().map_or(branch, str::trim);
    let friendly = match &request.friendly_name {
        Some(name) => name.trim().to_owned(),
        None => slug::without_number(&request.slug).replace('-', " "),
    };
    let directory = project.missions().join(&mission_slug);
    let file = |name: &str| shown(&name.split('/').fold(directory.clone(), |path, part| path.join(part)));
    Ok(Created {
        result: "success",
        mission_slug: mission_slug.clone(),
        mission_number: None,
        mission_id,
        mission_type: request.mission_type.clone().unwrap_or_else(|| meta::DEFAULT_TYPE.to_owned()),
        slug: mission_slug,
        purpose_tldr: request.purpose_tldr.clone().unwrap_or_else(|| friendly.clone()),
        purpose_context: request
            .purpose_context
            .clone()
            .unwrap_or_else(|| format!("Work on {friendly}, to land on {target}.")),
        friendly_name: friendly,
        feature_dir: shown(&directory),
        spec_file: file("spec.md"),
        meta_file: file(meta::FILE),
        created_at: now.iso(),
        created_files: ["spec.md", meta::FILE, "tasks/README.md"].map(file).to_vec(),
        write_mode: "update_existing_files",
        next_step: "Read, then edit spec_file and meta_file; do not recreate them.",
        origin_binding: OriginBinding::default(),
        commit_hash: None,
        branches: BranchContract::new(branch, target, now),
        warnings: same_name_warning(project, &request.slug)?,
        capture: CaptureReport::default(),
    })
}

/// A warning if the name alone does not choose the new mission.
fn same_name_warning(project: &Project, name: &str) -> Result<Vec<String>> {
    let name = slug::without_number(name);
    let others: Vec<_> =
        project.mission_names()?.into_iter().filter(|other| slug::human(other) == name).collect();
    Ok(others
        .first()
        .map(|first| format!("{first} has this name too: choose by the directory name with --mission"))
        .into_iter()
        .collect())
}

fn facts(project: &Project, created: &Created, clock: &Clock) -> Vec<Row> {
    let at = created.created_at.as_str();
    let identity = identity::ProjectIdentity::read(project.root()).unwrap_or_default();
    let payload = json!({
        "mission_slug": created.mission_slug,
        "mission_number": null,
        "target_branch": created.branches.target,
        "actor": ACTOR,
        "created_at": at,
        "mission_id": created.mission_id,
        "friendly_name": created.friendly_name,
        "purpose_tldr": created.purpose_tldr,
        "purpose_context": created.purpose_context,
    });
    let started = json!({
        "mission_slug": created.mission_slug,
        "actor": ACTOR,
        "at": at,
        "artifact_path": format!("{MISSIONS}/{}/spec.md", created.mission_slug),
    });
    let mission_created = FactRow {
        event_id: clock.ulid(),
        kind: FactKind::MissionCreated,
        aggregate_id: created.mission_id.clone(),
        timestamp: at.to_owned(),
        payload: payload.as_object().cloned().unwrap_or_default(),
        project: identity.uuid.zip(identity.slug),
    };
    vec![
        Row::Fact(mission_created),
        mission_fact(FactKind::SpecifyStarted, &created.mission_slug, clock.ulid(), at, started),
    ]
}

impl CreationPlan {
    /// The directory that will be created.
    pub fn directory(&self) -> PathBuf {
        self.change.mission.path.clone()
    }

    /// Writes everything.
    pub fn apply(self, outgoing: Option<&Outgoing<'_>>, clock: &Clock) -> Result<Created> {
        let Self { change, mut created, project } = self;
        let project = &project;
        change.check_git(project)?;
        let mut lock = lock_mission(project, &change.mission.slug)?;
        // Another process may have created it meanwhile.
        check_absent(&change.mission.path)?;
        let carried = change.carry_out(&lock, project, outgoing, clock);
        if carried.is_err() {
            // No process waits for the lock of a mission that does not exist.
            lock.unlink_on_release();
        }
        let done = carried?;
        created.commit_hash = done.commit;
        created.capture = done.capture;
        created.warnings.extend(done.notes);
        Ok(created)
    }
}
