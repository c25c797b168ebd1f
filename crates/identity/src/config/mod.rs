//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::home::Home;
use contract::Fault;
use std::path::Path;

/// When a daemon may be spawned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackgroundDaemon {
    #[default]
    Auto,
    Manual,
}

/// What the configuration says about a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    OptedIn,
    OptedOut,
    Unset,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `sync.server_url` as written.
    pub server_url: Option<String>,
    pub max_queue_size: u64,
    pub background_daemon: BackgroundDaemon,
    pub token_host: Option<String>,
}
impl Config {
    pub fn read(home: &Home) -> Result<Self, Fault> {
        todo!()
    }
    /// stands in for a config that could not be read: no server, nobody opted in, everything opted out
    pub fn unreadable() -> Self {
        todo!()
    }
    pub fn is_readable(&self) -> bool {
        todo!()
    }
    pub fn consent(
        &self,
        project_uuid: Option<&str>,
        repo_slug: Option<&str>,
        checkout: Option<&Path>,
    ) -> Consent {
        todo!()
    }
}
#[derive(Debug, thiserror::Error)]
pub enum ConfigEditError {
    #[error("{}", .0.detail)]
    Unreadable(Fault),
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    #[error(transparent)]
    Write(#[from] crate::private_file::WriteError),
}
pub struct ConfigEdit {}
impl ConfigEdit {
    /// Locks and reads config.toml.
    pub fn begin(home: &Home) -> Result<Self, ConfigEditError> {
        todo!()
    }
    pub fn set_server_url(&mut self, url: &str) {
        todo!()
    }
    /// `None` = rows without a project.
    pub fn set_project_enabled(&mut self, project_uuid: Option<&str>, enabled: bool) {
        todo!()
    }
    /// Writes, atomically, 0600.
    pub fn commit(self) -> Result<(), ConfigEditError> {
        todo!()
    }
}
