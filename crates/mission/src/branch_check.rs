//! Whether the checkout is on a branch, and the branch that a mission lands on exists. A command that commits
//! refuses a detached head by itself.

use crate::git::branches::read_branches;
use crate::meta::{FILE, Meta};
use crate::project::{MissionDirectory, Project};
use contract::remedy::shell_line;
use contract::text::printable;
use identity::git::Head;

/// Warnings of every command that writes into a mission.
pub(crate) fn branch_warnings(project: &Project, mission: &MissionDirectory) -> Vec<String> {
    let head = &project.git().head;
    let target = mission.meta.as_ref().and_then(Meta::target_branch);
    let is_current = |target: &str| matches!(head, Head::Branch { name, .. } if name == target);
    // Without an answer of git nothing is known to be missing.
    let exists = |target: &str| {
        read_branches(project)
            .map_or(true, |branches| branches.local(target).is_some() || !branches.remote(target).is_empty())
    };
    let missing = target.filter(|target| !is_current(target) && !exists(target));
    let mut found = Vec::new();
    if matches!(head, Head::Detached { .. }) {
        let branch = target.filter(|_| missing.is_none()).unwrap_or("BRANCH");
        found.push(format!(
            "no branch is checked out (detached HEAD): a commit made now is on no branch; `{}` first, which keeps \
             what was written",
            shell_line(["git", "switch", branch])
        ));
    }
    if let Some(target) = missing {
        let meta = contract::text::path(&mission.path.join(FILE));
        found.push(format!(
            "target branch `{}` does not exist: if it was renamed, give `target_branch` in {meta} its new name; else \
             create it: `{}`",
            printable(target),
            shell_line(["git", "branch", target])
        ));
    }
    found
}
