//! Local and remote-tracking branches, and the worktrees that have them checked out: one process for all of them.

use super::{Git, failure};
use crate::error::Result;
use crate::project::Project;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// Each record begins with a NUL, so that a path may contain a newline.
const FORMAT: &str = "--format=%00%(refname)%00%(objectname)%00%(worktreepath)";
const LOCAL: &str = "refs/heads/";
const REMOTE: &str = "refs/remotes/";

/// The branches of a repository at one moment.
#[derive(Clone, Debug, Default)]
pub struct Branches {
    local: HashMap<String, LocalBranch>,
    /// Names without `refs/remotes/`, in the order of git.
    remote: Vec<(String, String)>,
    remotes: Vec<String>,
}

/// A local branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalBranch {
    /// Its commit.
    pub commit: String,
    /// The worktree that has it checked out.
    pub worktree: Option<PathBuf>,
}

/// A remote-tracking branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteBranch {
    /// The remote.
    pub remote: String,
    /// Its name for git commands: `<remote>/<branch>`.
    pub name: String,
    /// Its commit.
    pub commit: String,
}

/// Reads all branches of the repository.
///
/// # Errors
/// When git cannot be run or cannot read the repository.
pub(crate) fn read_branches(project: &Project) -> Result<Branches> {
    let git = Git { worktree: &project.git().worktree };
    let arguments = ["for-each-ref", FORMAT, LOCAL, REMOTE];
    let answer = git.run_raw(&arguments, None)?;
    if !answer.success {
        return Err(failure(&arguments, &answer.into()));
    }
    let mut branches = parse(&answer.out);
    // A name of three parts or more leaves open where the remote's name ends.
    if branches.remote.iter().any(|(name, _)| name.matches('/').count() > 1) {
        branches.remotes = git.must(&["remote"], None)?.lines().map(str::to_owned).collect();
    }
    Ok(branches)
}

fn parse(out: &[u8]) -> Branches {
    let mut branches = Branches::default();
    let mut fields = out.split(|byte| *byte == 0).skip(1);
    while let (Some(name), Some(commit), Some(path)) = (fields.next(), fields.next(), fields.next()) {
        // Names that are not UTF-8 are not names of this program.
        let (Ok(name), Ok(commit)) = (std::str::from_utf8(name), std::str::from_utf8(commit)) else {
            continue;
        };
        let path = path.strip_suffix(b"\n").unwrap_or(path);
        if let Some(name) = name.strip_prefix(LOCAL) {
            let worktree = (!path.is_empty()).then(|| system::file::path_from_bytes(path.to_vec()));
            branches.local.insert(name.to_owned(), LocalBranch { commit: commit.to_owned(), worktree });
        } else if let Some(name) = name.strip_prefix(REMOTE) {
            branches.remote.push((name.to_owned(), commit.to_owned()));
        }
    }
    branches
}

/// The worktrees of the repository, the main one first, also those without a branch.
///
/// # Errors
/// When git cannot be run or cannot read the repository.
pub(crate) fn list_worktrees(project: &Project) -> Result<Vec<PathBuf>> {
    let git = Git { worktree: &project.git().worktree };
    let listed = git.must(&["worktree", "list", "--porcelain"], None)?;
    Ok(listed.lines().filter_map(|line| line.strip_prefix("worktree ")).map(PathBuf::from).collect())
}

impl Branches {
    /// The commits of all local branches.
    pub(crate) fn local_commits(&self) -> impl Iterator<Item = &str> {
        self.local.values().map(|branch| branch.commit.as_str())
    }

    /// The commits of all remote-tracking branches.
    pub(crate) fn remote_commits(&self) -> impl Iterator<Item = &str> {
        self.remote.iter().map(|(_, commit)| commit.as_str())
    }

    /// The local branch of this name.
    pub fn local(&self, name: &str) -> Option<&LocalBranch> {
        self.local.get(name)
    }

    /// The remote-tracking branches of this name, one for each commit that they point to. `origin` decides for
    /// remotes of the same commit.
    pub fn remote(&self, branch: &str) -> Vec<RemoteBranch> {
        let mut found: BTreeMap<&str, RemoteBranch> = BTreeMap::new();
        for (name, commit) in &self.remote {
            let remote = name.strip_suffix(branch).and_then(|head| head.strip_suffix('/'));
            let Some(remote) = remote.filter(|remote| self.is_remote(remote)) else { continue };
            let here = RemoteBranch { remote: remote.to_owned(), name: name.clone(), commit: commit.clone() };
            if remote == "origin" || !found.contains_key(commit.as_str()) {
                found.insert(commit, here);
            }
        }
        let mut found: Vec<_> = found.into_values().collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// A name without a slash needs no look at the configuration.
    fn is_remote(&self, name: &str) -> bool {
        !name.is_empty() && (!name.contains('/') || self.remotes.iter().any(|remote| remote == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_whatever_is_in_a_path() {
        let out = b"\0refs/heads/a/b\0c1\0/tmp/x\ny\n\0refs/heads/c\0c2\0\n\0refs/remotes/origin/a/b\0c3\0\n";
        let branches = parse(out);
        assert_eq!(branches.local("a/b").unwrap().worktree.as_deref(), Some("/tmp/x\ny".as_ref()));
        assert_eq!(branches.local("c"), Some(&LocalBranch { commit: "c2".into(), worktree: None }));
        assert_eq!(branches.remote("a/b")[0].name, "origin/a/b");
        assert!(branches.remote("b").is_empty() && branches.local("b").is_none());
    }

    #[test]
    fn remote_branches_of_one_commit_are_one() {
        let of = |remotes: &[(&str, &str)]| Branches {
            remote: remotes.iter().map(|(name, commit)| (format!("{name}/k/m"), (*commit).into())).collect(),
            remotes: vec!["team/ada".into()],
            ..Branches::default()
        };
        let names = |remotes: &[(&str, &str)]| -> Vec<String> {
            of(remotes).remote("k/m").into_iter().map(|branch| branch.remote).collect()
        };
        assert_eq!(names(&[("fork", "1"), ("origin", "1"), ("zoo", "1")]), ["origin"]);
        assert_eq!(names(&[("fork", "1"), ("origin", "2")]), ["fork", "origin"]);
        // `backup/k/m` is a branch of `origin`, `team/ada` a remote.
        assert_eq!(names(&[("origin/backup", "1"), ("team/ada", "2")]), ["team/ada"]);
    }
}
