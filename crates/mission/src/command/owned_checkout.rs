//! `--owned-checkout`: a command on a mission in another checkout of the repository than the main one.

use crate::document::check_directory;
use crate::error::{MissionError, Result};
use crate::project::Project;
use std::path::Path;

/// The option.
const OPTION: &str = "--owned-checkout";

/// The project in `directory`, which has to be the top of a checkout of the same repository as `project`.
///
/// # Errors
/// When it is not a checkout, or not a project.
pub fn owned_checkout(project: &Project, directory: &Path) -> Result<Project> {
    let shown = contract::text::path(directory);
    let wrong =
        |problem: &str| MissionError::Argument { name: OPTION, problem: format!("{shown} {problem}") };
    let directory =
        std::fs::canonicalize(directory).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let checkout = Project::read(&directory)?;
    let is_same = |a: &Path, b: &Path| std::fs::canonicalize(a).ok() == std::fs::canonicalize(b).ok();
    if !is_same(&checkout.git().worktree, &directory) {
        return Err(wrong("is not the top directory of a checkout"));
    }
    if !is_same(&checkout.git().common_dir, &project.git().common_dir) {
        return Err(wrong("is a checkout of another repository"));
    }
    check_directory(&directory.join(".kittify"))?;
    if !directory.join(".kittify").is_dir() {
        return Err(wrong("is not a project: it has no `.kittify/`"));
    }
    Ok(checkout)
}

/// Refuses a mission that does not live in this checkout alone: everything of it has to be on the branch that is
/// checked out.
///
/// # Errors
/// As said; also without the name of a mission.
pub fn check_owned_mission(checkout: &Project, mission: Option<&str>) -> Result<()> {
    let wrong = |problem: String| MissionError::Argument { name: OPTION, problem };
    let handle = mission.ok_or_else(|| wrong("needs --mission".to_owned()))?;
    let (mission, _) = checkout.view_mission(Some(handle))?;
    let coordination =
        mission.meta.as_ref().map(crate::meta::Meta::coordination_branch).transpose()?.flatten();
    if coordination.is_some() {
        let slug = &mission.slug;
        return Err(wrong(format!("is for missions of one branch: {slug} has a coordination branch")));
    }
    let (branch, target) = (checkout.branch()?, mission.target_branch(checkout));
    if branch != target {
        let (branch, target) = (contract::text::printable(branch), contract::text::printable(target));
        return Err(wrong(format!("has {branch} checked out, and {} lands on {target}", mission.slug)));
    }
    Ok(())
}
