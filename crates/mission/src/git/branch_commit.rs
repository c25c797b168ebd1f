//! A commit on a branch that no worktree has checked out.
//!
//! Objects are written with git's plumbing (`hash-object`, `mktree`, `commit-tree`). Then the ref moves from the
//! commit that was read to the new one, or not at all (`update-ref` with the old value). No index and no worktree is
//! touched, no hook runs, nothing is signed, nothing is pushed.

use super::objects::{GitTreeEntry, ObjectReader};
use super::{Answer, Git, failure};
use crate::document::{Undo, Writing};
use crate::error::{MissionError, Result};
use crate::project::Project;
use crate::remedies::ErrorCode;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// No hook of the user runs, not even for the move of the ref.
const NO_HOOKS: [&str; 2] = ["-c", "core.hooksPath=/dev/null"];

/// The commit of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The commit that was read.
    pub commit: String,
    /// The remote-tracking branch that the local one will be made from; none when it exists.
    pub upstream: Option<String>,
}

/// Files to write, by path from the top of the repository, with `/`.
pub type BranchFiles = BTreeMap<String, Vec<u8>>;

/// A branch that a commit of ours moved, until everything else is done.
#[derive(Debug)]
struct MovedBranch {
    worktree: PathBuf,
    tip: Tip,
    commit: String,
    /// Whether the branch was made, so that undoing takes it away.
    is_new: bool,
}

impl Undo for MovedBranch {
    /// Moves the branch back, unless it has moved on.
    fn undo(&self) -> Result<(), String> {
        let git = Git { worktree: &self.worktree };
        let reference = format!("refs/heads/{}", self.tip.branch);
        let arguments = match self.is_new {
            true => vec!["update-ref", "-d", &reference, &self.commit],
            false => vec!["update-ref", &reference, &self.tip.commit, &self.commit],
        };
        match git.run(&without_hooks(&arguments), None) {
            Ok(answer) if answer.success => {
                if self.tip.upstream.is_some() {
                    unset_upstream(&git, &self.tip.branch);
                }
                Ok(())
            }
            Ok(answer) => Err(answer.err.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Commits `files` on top of `tip`, and notes in `writing` how to take the commit back. Returns the commit, or
/// nothing when the branch has these files already.
///
/// # Errors
/// [`ErrorCode::CoordinationBranchMoved`] when the branch is no longer where it was read; nothing was changed
/// then, and the command can be planned again.
pub(crate) fn commit_on_branch(
    project: &Project,
    tip: &Tip,
    files: &BranchFiles,
    message: &str,
    writing: &mut Writing,
) -> Result<Option<String>> {
    let git = Git { worktree: &project.git().worktree };
    let mut objects = ObjectReader::start(project)?;
    let mut written = BTreeMap::new();
    for (path, bytes) in files {
        let object = git.must(&["hash-object", "-w", "--stdin"], Some(bytes))?;
        written.insert(path.as_str(), object.trim().to_owned());
    }
    let written: Vec<(Vec<&str>, &str)> =
        written.iter().map(|(path, object)| (path.split('/').collect(), object.as_str())).collect();
    let before = git.must(&["rev-parse", "--verify", &format!("{}^{{tree}}", tip.commit)], None)?;
    let tree = write_tree(&git, &mut objects, Some(before.trim()), &written)?;
    if tree == before.trim() {
        return Ok(None);
    }
    let commit = git.must(&["commit-tree", &tree, "-p", &tip.commit, "-m", message], None)?;
    let commit = commit.trim().to_owned();
    move_branch(&git, tip, &commit, message)?;
    let worktree = project.git().worktree.clone();
    let is_new = tip.upstream.is_some();
    let undo = MovedBranch { worktree, tip: tip.clone(), commit: commit.clone(), is_new };
    writing.note(format!("commit {commit} on {}", tip.branch), undo);
    Ok(Some(commit))
}

/// Makes the branch of `tip` at its commit, and notes in `writing` how to take it away.
///
/// # Errors
/// When there is one, or git cannot write it.
pub(crate) fn create_branch(project: &Project, tip: &Tip, writing: &mut Writing) -> Result<()> {
    let git = Git { worktree: &project.git().worktree };
    let zeros = "0".repeat(tip.commit.len());
    let reference = format!("refs/heads/{}", tip.branch);
    let arguments = ["update-ref", &reference, &tip.commit, &zeros];
    let answer = git.run(&without_hooks(&arguments), None)?;
    if !answer.success {
        return Err(failure(&arguments, &answer));
    }
    let worktree = project.git().worktree.clone();
    let undo = MovedBranch { worktree, tip: tip.clone(), commit: tip.commit.clone(), is_new: true };
    writing.note(format!("branch {}", tip.branch), undo);
    Ok(())
}

/// Writes the tree that holds `files` beside what `tree` holds, and gives its name.
fn write_tree(
    git: &Git<'_>,
    objects: &mut ObjectReader,
    tree: Option<&str>,
    files: &[(Vec<&str>, &str)],
) -> Result<String> {
    let mut entries: BTreeMap<Vec<u8>, GitTreeEntry> = match tree {
        Some(tree) => objects
            .tree(tree)?
            .ok_or_else(|| {
                MissionError::rule(ErrorCode::GitUnreadable, format!("tree {tree} is not in the repository"))
            })?
            .into_iter()
            .map(|entry| (entry.name.clone(), entry))
            .collect(),
        None => BTreeMap::new(),
    };
    let mut below: BTreeMap<&str, Vec<(Vec<&str>, &str)>> = BTreeMap::new();
    for (path, object) in files {
        let Some((name, rest)) = path.split_first() else { continue };
        let known = entries.get(name.as_bytes());
        if rest.is_empty() {
            let mode = match known {
                Some(entry) if entry.is_file() => entry.mode.clone(),
                None => "100644".to_owned(),
                Some(_) => return Err(in_the_way(name)),
            };
            let entry = GitTreeEntry { mode, name: name.as_bytes().to_vec(), object: (*object).to_owned() };
            entries.insert(entry.name.clone(), entry);
        } else {
            below.entry(name).or_default().push((rest.to_vec(), object));
        }
    }
    for (name, files) in below {
        let known = entries.get(name.as_bytes());
        if known.is_some_and(|entry| !entry.is_tree()) {
            return Err(in_the_way(name));
        }
        let object = write_tree(git, objects, known.map(|entry| entry.object.clone()).as_deref(), &files)?;
        let entry = GitTreeEntry { mode: "40000".to_owned(), name: name.as_bytes().to_vec(), object };
        entries.insert(entry.name.clone(), entry);
    }
    let mut listing = Vec::new();
    for entry in entries.values() {
        let kind = match entry.mode.as_str() {
            "40000" => "tree",
            "160000" => "commit",
            _ => "blob",
        };
        listing.extend_from_slice(format!("{} {kind} {}\t", entry.mode, entry.object).as_bytes());
        listing.extend_from_slice(&entry.name);
        listing.push(0);
    }
    // Of a partial clone not every object is here, and none of the others changes.
    Ok(git.must(&["mktree", "-z", "--missing"], Some(&listing))?.trim().to_owned())
}

fn in_the_way(name: &str) -> MissionError {
    let name = contract::text::printable(name);
    MissionError::rule(
        ErrorCode::GitCommitFailed,
        format!(
            "`{name}` on the coordination branch is a symbolic link, a submodule or of another kind than it should be"
        ),
    )
}

/// Moves the ref from the commit that was read, or makes the local branch, as `git switch` makes it.
fn move_branch(git: &Git<'_>, tip: &Tip, commit: &str, message: &str) -> Result<()> {
    let reference = format!("refs/heads/{}", tip.branch);
    // Zeros: it must not exist.
    let zeros = "0".repeat(tip.commit.len());
    let old = if tip.upstream.is_some() { &zeros } else { &tip.commit };
    let log = format!("commit: {message}");
    let arguments = ["update-ref", "-m", &log, &reference, commit, old];
    let answer = git.run(&without_hooks(&arguments), None)?;
    if !answer.success {
        return Err(lost(tip, &arguments, &answer));
    }
    if let Some(upstream) = &tip.upstream {
        let upstream = format!("--set-upstream-to={upstream}");
        let answer = git.run(&["branch", "--quiet", &upstream, &tip.branch], None)?;
        if !answer.success {
            tracing::warn!("{} has no upstream: {}", tip.branch, answer.err.trim());
        }
    }
    Ok(())
}

/// The error of a ref that did not move: another process moved or holds it, or git cannot write it.
fn lost(tip: &Tip, arguments: &[&str], answer: &Answer) -> MissionError {
    let raced = ["but expected", "reference already exists", "File exists", "unable to resolve reference"];
    if raced.iter().any(|sign| answer.err.contains(sign)) {
        return MissionError::rule(
            ErrorCode::CoordinationBranchMoved,
            format!("branch `{}` moved while this command ran", tip.branch),
        );
    }
    failure(arguments, answer)
}

fn unset_upstream(git: &Git<'_>, branch: &str) {
    let answer = git.run(&["config", "--remove-section", &format!("branch.{branch}")], None);
    if !answer.is_ok_and(|answer| answer.success) {
        tracing::warn!("the upstream of {branch} is still configured");
    }
}

fn without_hooks<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    NO_HOOKS.into_iter().chain(arguments.iter().copied()).collect()
}
