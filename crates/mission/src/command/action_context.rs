//! `agent context resolve`: mission, work package, branch and place of one action, in one document. Reads only.

use super::dependents::list_dependents;
use super::shown;
use super::status::{BoardView, Card, WorkLane, view};
use super::task_board::place_of;
use crate::error::{MissionError, Result, chain};
use crate::front_matter::read_work_package;
use crate::lane::Lane;
use crate::mission_log::LogReader;
use crate::project::Project;
use crate::remedies::{ErrorCode, command_line};
use contract::remedy::option_words;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The actions of a mission, in their order.
pub const ACTIONS: [&str; 11] = [
    "specify",
    "plan",
    "analyze",
    "tasks",
    "tasks_outline",
    "tasks_packages",
    "tasks_finalize",
    IMPLEMENT,
    REVIEW,
    "accept",
    "status",
];
const IMPLEMENT: &str = "implement";
const REVIEW: &str = "review";

/// Arguments of `agent context resolve`.
#[derive(Clone, Debug, Default)]
pub struct ContextRequest {
    /// `--action`: one of [`ACTIONS`].
    pub action: String,
    /// `--mission`.
    pub mission: Option<String>,
    /// `--wp-id`: for `implement` and `review`; else the first one that waits for it.
    pub wp_id: Option<String>,
    /// `--agent`: who acts, in the commands.
    pub agent: Option<String>,
}

/// Everything about the action. `resolved_base` and `auto_merge` have one value each; callers require the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionContext {
    /// True: a failure is another document.
    pub success: bool,
    /// The action.
    pub action: String,
    /// The mission's directory name.
    pub mission_slug: String,
    /// The mission's directory, with its documents.
    pub feature_dir: String,
    /// The branch that the work lands on.
    pub target_branch: String,
    /// Way in which the mission was found: always by its name.
    pub detection_method: &'static str,
    /// The work package, of an action on one. The keys up to the last but two are about it.
    pub wp_id: Option<String>,
    /// Its file.
    pub wp_file: Option<String>,
    /// Its lane.
    pub lane: Option<&'static str>,
    /// The lane of work it belongs to.
    pub lane_id: Option<String>,
    /// The branch of that.
    pub branch_name: Option<String>,
    /// `code_change` or `planning_artifact`.
    pub execution_mode: Option<String>,
    /// `lane_workspace`, `repo_root`, or `unknown` without a lane.
    pub resolution_kind: Option<&'static str>,
    /// Its direct dependencies.
    pub dependencies: Vec<String>,
    /// Always absent: a lane starts from the lanes that it depends on, not from a single base.
    pub resolved_base: Option<String>,
    /// Always false: no command merges a lane by itself.
    pub auto_merge: bool,
    /// Directory of the work; it need not exist yet.
    pub workspace_path: Option<String>,
    /// The next commands, by what they do.
    pub commands: Map<String, Value>,
    /// Warnings about the mission.
    pub warnings: Vec<String>,
}

/// Finds the mission, and for `implement` and `review` the work package, its branch and its place.
///
/// # Errors
/// When there is no such mission, or no work package for the action.
pub fn resolve(project: &Project, request: &ContextRequest) -> Result<ActionContext> {
    let handle = request.mission.as_deref();
    let BoardView { mission, mut board, .. } = view(project, &mut LogReader::new(project), handle)?;
    let slug = &board.mission_slug;
    let mut found = ActionContext {
        success: true,
        action: request.action.clone(),
        mission_slug: slug.clone(),
        feature_dir: shown(&mission.path),
        target_branch: mission.target_branch(project).to_owned(),
        detection_method: "explicit",
        wp_id: None,
        wp_file: None,
        lane: None,
        lane_id: None,
        branch_name: None,
        execution_mode: None,
        resolution_kind: None,
        dependencies: Vec::new(),
        resolved_base: None,
        auto_merge: false,
        workspace_path: None,
        commands: Map::new(),
        warnings: std::mem::take(&mut board.warnings),
    };
    if ![IMPLEMENT, REVIEW].contains(&request.action.as_str()) {
        let paths = &["--json", "--paths-only", "--include-tasks"];
        found.command("check_prerequisites", "agent mission check-prerequisites", paths);
        found.command("finalize_tasks", "agent mission finalize-tasks", &["--json"]);
        return Ok(found);
    }
    let card = choose(&board.work_packages, request, slug, &found.warnings)?;
    let lane = board.lanes.iter().find(|lane| Some(&lane.lane_id) == card.lane_id.as_ref());
    found.describe(project, card, lane);
    match list_dependents(project, Some(slug), &card.work_package_id) {
        Ok(neighbours) => found.dependencies = neighbours.depends_on,
        Err(error) => found.warnings.push(chain(&error)),
    }
    found.name_commands(&card.work_package_id, request);
    Ok(found)
}

/// The work package that is named, else the first that waits for the action. When there is none, `warnings` of the
/// mission may be the reason.
fn choose<'a>(
    cards: &'a [Card],
    request: &ContextRequest,
    slug: &str,
    warnings: &[String],
) -> Result<&'a Card> {
    let unknown = |problem: String, wp_id: Option<&str>| {
        MissionError::invalid(
            ErrorCode::WorkPackageNotFound,
            problem,
            &json!({ "action": request.action, "mission_slug": slug, "unknown_wps": wp_id }),
        )
    };
    let cards = || cards.iter().filter(|card| card.path.is_some());
    if let Some(typed) = request.wp_id.as_deref() {
        // The name of its file is as good as the id.
        let id = typed.trim().to_uppercase().split('-').next().unwrap_or_default().to_owned();
        let found = cards().find(|card| card.work_package_id == id);
        let shown = contract::text::printable(&id).into_owned();
        return found.ok_or_else(|| unknown(format!("no work package {shown} in {slug}"), Some(&id)));
    }
    let waiting = match request.action.as_str() {
        IMPLEMENT => [Lane::Planned, Lane::InProgress],
        _ => [Lane::ForReview, Lane::InReview],
    };
    let found = waiting.into_iter().find_map(|lane| cards().find(|card| card.lane == lane));
    let [first, second] = waiting.map(Lane::name);
    let none = format!("no work package of {slug} is in {first} or {second}");
    let problem = std::iter::once(&none).chain(warnings).map(String::as_str).collect::<Vec<_>>().join("; ");
    found.ok_or_else(|| unknown(problem, None))
}

impl ActionContext {
    fn command(&mut self, name: &str, verb: &str, rest: &[&str]) {
        self.commands.insert(name.to_owned(), command_line(verb, rest, &self.mission_slug).into());
    }

    fn describe(&mut self, project: &Project, card: &Card, lane: Option<&WorkLane>) {
        let file = card.path.as_deref().map(Path::new);
        let wp = file.and_then(|path| read_work_package(path).ok().flatten());
        let (mode, kind) = place_of(card, wp.as_ref());
        let root = project.root();
        self.workspace_path = match lane.and_then(|lane| lane.worktree.as_deref()) {
            _ if kind == "repo_root" => Some(shown(root)),
            worktree => worktree.map(|worktree| shown(&root.join(worktree))),
        };
        if kind == "unknown" {
            let id = &card.work_package_id;
            let finalize = command_line("agent mission finalize-tasks", &[], &self.mission_slug);
            self.warnings.push(format!("{id} has no lane yet: `{finalize}` gives it one"));
        }
        self.wp_id = Some(card.work_package_id.clone());
        self.wp_file = card.path.clone();
        self.lane = Some(card.lane.name());
        self.lane_id = card.lane_id.clone();
        self.branch_name = lane.filter(|_| kind != "repo_root").map(|lane| lane.branch.clone());
        self.execution_mode = Some(mode);
        self.resolution_kind = Some(kind);
    }

    fn name_commands(&mut self, id: &str, request: &ContextRequest) {
        let agent = request.agent.as_deref().map(|agent| option_words("--agent", agent)).unwrap_or_default();
        let words: Vec<&str> =
            [request.action.as_str(), id].into_iter().chain(agent.iter().map(String::as_str)).collect();
        self.command("workflow", "agent action", &words);
        if request.action == REVIEW {
            let move_task = "agent tasks move-task";
            self.command("approve", move_task, &[id, "--to", "approved", "--note", "Review passed: SUMMARY"]);
            self.command("reject", move_task, &[id, "--to", "planned", "--review-feedback-file", "FILE"]);
        }
    }
}
