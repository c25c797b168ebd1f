//! Git facts, read from the repository's files: no subprocess, no lock, nothing written.
//!
//! Finds the repository, HEAD, the origin and the names derived from it. A HEAD that cannot be read (a
//! reftable, a broken ref) is [`Head::Unreadable`]; callers then have no branch and commit, as outside a
//! repository.

mod config;
mod refs;
mod remote;

pub use remote::{project_slug, repo_slug, slug};

use std::path::{Path, PathBuf};
use system::bounded_read::{BoundedReadError, read_bounded};

/// The largest repository configuration that is read.
const CONFIG_LIMIT: u64 = 4 * 1024 * 1024;

/// The largest `.git` or `commondir` file that is read.
const POINTER_LIMIT: u64 = 64 * 1024;

/// HEAD of a worktree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// On a branch; without a commit while the branch has none.
    Branch {
        /// The short name, without `refs/heads/`.
        name: String,
        /// The commit, 40 or 64 lower-case hex digits.
        commit: Option<String>,
    },
    /// On a commit.
    Detached {
        /// The commit, 40 or 64 lower-case hex digits.
        commit: String,
    },
    /// Unknown, with the reason.
    Unreadable(String),
}

/// The identity of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitFacts {
    /// The directory that holds `.git`.
    pub worktree: PathBuf,
    /// The git directory of this worktree.
    pub git_dir: PathBuf,
    /// The git directory that all worktrees share.
    pub common_dir: PathBuf,
    /// HEAD of the worktree.
    pub head: Head,
    /// `remote.origin.url`.
    pub origin_url: Option<String>,
    /// `owner/repo` of the origin.
    pub repo_slug: Option<String>,
}

impl GitFacts {
    /// The output of `git rev-parse --abbrev-ref HEAD`: the branch, `HEAD` when detached; none while the
    /// branch has no commit.
    pub fn branch(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { name, commit: Some(_) } => Some(name),
            Head::Detached { .. } => Some("HEAD"),
            Head::Branch { commit: None, .. } | Head::Unreadable(_) => None,
        }
    }

    /// The commit that is checked out.
    pub fn commit(&self) -> Option<&str> {
        match &self.head {
            Head::Branch { commit, .. } => commit.as_deref(),
            Head::Detached { commit } => Some(commit),
            Head::Unreadable(_) => None,
        }
    }
}

/// Reason why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// A file of it cannot be read.
    #[error("{} {error}", contract::text::path(.path))]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the read.
        #[source]
        error: BoundedReadError,
    },
    /// A `.git` file that does not name a git directory.
    #[error("{} does not name a git directory", contract::text::path(.0))]
    Pointer(PathBuf),
}

/// The repository that `start` lies in, searched upwards; `Ok(None)` outside of any.
///
/// # Errors
/// [`GitError`] when there is one and its layout cannot be read.
pub fn read_git_facts(start: &Path) -> Result<Option<GitFacts>, GitError> {
    for worktree in start.ancestors() {
        if let Some(layout) = read_layout(worktree)? {
            return read_facts(worktree, layout).map(Some);
        }
    }
    Ok(None)
}

fn read_facts(worktree: &Path, layout: Layout) -> Result<GitFacts, GitError> {
    let Layout { git_dir, common_dir } = layout;
    let path = common_dir.join("config");
    let config = match read_bounded(&path, CONFIG_LIMIT) {
        Ok(file) => file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default(),
        Err(error) => return Err(GitError::File { path, error }),
    };
    let origin_url = config::value_of(&config, "remote", "origin", "url").filter(|url| !url.is_empty());
    Ok(GitFacts {
        worktree: worktree.to_path_buf(),
        head: refs::read_head(&git_dir, &common_dir),
        repo_slug: origin_url.as_deref().and_then(repo_slug),
        origin_url,
        git_dir,
        common_dir,
    })
}

/// The directories of a worktree.
pub(crate) struct Layout {
    pub(crate) git_dir: PathBuf,
    pub(crate) common_dir: PathBuf,
}

impl Layout {
    /// The main worktree, when this is the layout of a linked one.
    pub(crate) fn main_of_linked(&self) -> Option<&Path> {
        let is_linked = self.git_dir != self.common_dir && self.common_dir.ends_with(".git");
        if is_linked { self.common_dir.parent() } else { None }
    }
}

/// A path that git reads in this worktree and that is not a regular file; git would wait for a pipe for ever.
pub fn find_irregular(worktree: &Path) -> Option<PathBuf> {
    let layout = read_layout(worktree).ok().flatten();
    let in_git = layout.into_iter().flat_map(|layout| {
        let own = ["HEAD", "index", "config.worktree", "commondir", "COMMIT_EDITMSG", "logs/HEAD"]
            .map(|name| layout.git_dir.join(name));
        let common = ["config", "packed-refs", "shallow", "info/exclude", "info/attributes", "info/grafts"]
            .map(|name| layout.common_dir.join(name));
        let branch = branch_files(&layout);
        own.into_iter().chain(common).chain(branch)
    });
    let in_worktree = [".git", ".gitignore", ".gitattributes", ".gitmodules"].map(|name| worktree.join(name));
    let is_irregular =
        |path: &PathBuf| std::fs::metadata(path).is_ok_and(|facts| !facts.is_file() && !facts.is_dir());
    in_git.chain(in_worktree).find(is_irregular)
}

/// The loose ref and the log of the current branch.
fn branch_files(layout: &Layout) -> Vec<PathBuf> {
    let head = read_bounded(&layout.git_dir.join("HEAD"), POINTER_LIMIT).ok().flatten();
    let branch = head.as_ref().and_then(|head| path_in(&head.bytes, b"ref:"));
    branch.map_or_else(Vec::new, |branch| {
        vec![layout.common_dir.join(&branch), layout.common_dir.join("logs").join(&branch)]
    })
}

/// The git directories of `worktree`, when it holds a `.git` that leads to one.
pub(crate) fn read_layout(worktree: &Path) -> Result<Option<Layout>, GitError> {
    let dot_git = worktree.join(".git");
    let git_dir = match read_bounded(&dot_git, POINTER_LIMIT) {
        Ok(None) => return Ok(None),
        Err(BoundedReadError::NotAFile(_)) => dot_git,
        // As in git, a path below a file and a dangling link are no repository.
        Err(BoundedReadError::Dangling) => return Ok(None),
        Err(BoundedReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Ok(None);
        }
        Err(error) => return Err(GitError::File { path: dot_git, error }),
        Ok(Some(file)) => match path_in(&file.bytes, b"gitdir:") {
            Some(target) => worktree.join(target),
            None => return Err(GitError::Pointer(dot_git)),
        },
    };
    // As in git, a directory of that name that is no repository is skipped.
    if !git_dir.join("HEAD").is_file() {
        return Ok(None);
    }
    let pointer = git_dir.join("commondir");
    let common_dir = match read_bounded(&pointer, POINTER_LIMIT) {
        Ok(None) => git_dir.clone(),
        Ok(Some(file)) => match path_in(&file.bytes, b"") {
            Some(target) => crate::paths::canonical_or_clean(&git_dir.join(target)),
            None => return Err(GitError::Pointer(pointer)),
        },
        Err(error) => return Err(GitError::File { path: pointer, error }),
    };
    Ok(Some(Layout { git_dir, common_dir }))
}

/// The path in a pointer file: one line after `prefix`. Bytes, because paths need not be UTF-8.
fn path_in(content: &[u8], prefix: &[u8]) -> Option<PathBuf> {
    let rest = content.strip_prefix(prefix)?.trim_ascii_start();
    let end = rest.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    let path = rest.get(..end).filter(|path| !path.is_empty() && !path.contains(&0))?;
    Some(system::file::path_from_bytes(path.to_vec()))
}
