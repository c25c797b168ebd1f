//! The logs that a repository holds: in every worktree, and on every local and remote-tracking branch.
//!
//! Reads only. A branch is read through git's objects, each of them once, whatever number of branches share it.

use crate::error::{MissionError, Result};
use crate::git::branches::{list_worktrees, read_branches};
use crate::git::objects::{GitTreeEntry, ObjectReader};
use crate::log;
use crate::project::{MISSIONS, Project};
use crate::remedies::ErrorCode;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// Kind of branches to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BranchKind {
    Local,
    RemoteTracking,
}

/// The mission directories with a log in every worktree of the repository, the checkout first.
pub(super) fn worktree_logs(project: &Project) -> Result<Vec<PathBuf>> {
    let below = project.root().strip_prefix(&project.git().worktree).unwrap_or(Path::new(""));
    let mut roots = vec![project.root().to_owned()];
    roots.extend(list_worktrees(project)?.into_iter().map(|worktree| worktree.join(below)));
    let mut seen = HashSet::new();
    let mut directories = Vec::new();
    for root in roots {
        let canonical = std::fs::canonicalize(&root);
        // A worktree whose directory is gone has no log.
        let Ok(canonical) = canonical else { continue };
        if !seen.insert(canonical) {
            continue;
        }
        let missions = root.join(MISSIONS);
        for name in crate::document::read_names(&missions)? {
            let directory = missions.join(name);
            if directory.join(log::FILE).is_file() {
                directories.push(directory);
            }
        }
    }
    Ok(directories)
}

/// Reads every log on these branches, with the name of its mission.
pub(super) fn each_branch_log(
    project: &Project,
    which: BranchKind,
    mut each: impl FnMut(&str, &[u8]),
) -> Result<()> {
    let below = project.root().strip_prefix(&project.git().worktree).unwrap_or(Path::new(""));
    let path = below.join(MISSIONS).to_string_lossy().replace('\\', "/");
    let branches = read_branches(project)?;
    let commits: BTreeSet<&str> = match which {
        BranchKind::Local => branches.local_commits().collect(),
        BranchKind::RemoteTracking => branches.remote_commits().collect(),
    };
    if commits.is_empty() {
        return Ok(());
    }
    let mut objects = ObjectReader::start(project)?;
    let (mut missions, mut directories, mut logs) = (HashSet::new(), HashSet::new(), HashSet::new());
    for commit in commits {
        // A branch without missions is not an error.
        let Some(entry) = objects.entry(commit, &path)?.filter(GitTreeEntry::is_tree) else { continue };
        if !missions.insert(entry.object.clone()) {
            continue;
        }
        for directory in tree(&mut objects, &entry.object)?.into_iter().filter(GitTreeEntry::is_tree) {
            if !directories.insert(directory.object.clone()) {
                continue;
            }
            let slug = String::from_utf8_lossy(&directory.name).into_owned();
            let files = tree(&mut objects, &directory.object)?;
            let log = files.into_iter().find(|file| file.is_file() && file.name == log::FILE.as_bytes());
            if let Some(log) = log.filter(|log| logs.insert(log.object.clone())) {
                each(&slug, &objects.blob(&log.object, log::MAX_BYTES)?);
            }
        }
    }
    Ok(())
}

/// A tree that a commit names; a partial clone may lack it.
fn tree(objects: &mut ObjectReader, object: &str) -> Result<Vec<GitTreeEntry>> {
    objects.tree(object)?.ok_or_else(|| {
        let problem = format!("object {object} is not in the repository: the clone is partial or damaged");
        MissionError::rule(ErrorCode::GitUnreadable, problem)
    })
}

/// The id of a row and nothing else.
#[derive(Deserialize)]
struct IdOnly<'a> {
    #[serde(borrow)]
    event_id: Cow<'a, str>,
}

/// The event ids of a log. A line that is not a row has none.
pub(super) fn event_ids(bytes: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    log::lines(bytes).filter_map(|(_, line)| Some(serde_json::from_slice::<IdOnly<'_>>(line).ok()?.event_id))
}
