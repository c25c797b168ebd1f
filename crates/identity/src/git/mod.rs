//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use std::path::{Path, PathBuf};
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    Branch { name: String, commit: Option<String> },
    Detached { commit: String },
    Unreadable(String),
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitFacts {
    pub worktree: PathBuf,
    pub git_dir: PathBuf,
    pub common_dir: PathBuf,
    pub head: Head,
    pub origin_url: Option<String>,
    pub repo_slug: Option<String>,
}
impl GitFacts {
    /// as `git rev-parse --abbrev-ref HEAD`: detached = "HEAD", unborn = none
    pub fn branch(&self) -> Option<&str> {
        todo!()
    }
    pub fn commit(&self) -> Option<&str> {
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("todo")]
    Todo,
}
/// Walks up from `start`; Ok(None) = not in a repository.
pub fn read_git_facts(start: &Path) -> Result<Option<GitFacts>, GitError> {
    todo!()
}
/// owner/repo of a remote url
pub fn repo_slug(url: &str) -> Option<String> {
    todo!()
}
