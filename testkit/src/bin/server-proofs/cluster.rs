//! A private PostgreSQL cluster, through `.ci/postgres`.

use crate::Outcome;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A running cluster; stopped and removed when dropped.
pub(crate) struct Cluster {
    directory: TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Outcome<Self> {
        let cluster = Self { directory: readable_directory()? };
        cluster.control("start", &[])?;
        Ok(cluster)
    }

    /// A standby of this cluster. From now on each commit here waits until the standby has it.
    pub(crate) fn standby(&self) -> Outcome<Self> {
        let standby = Self { directory: readable_directory()? };
        self.control("standby", &[standby.path().as_os_str()])?;
        Ok(standby)
    }

    /// Restarts the database in a mode of `pg_ctl`.
    pub(crate) fn restart(&self, mode: &str) -> Outcome<()> {
        self.control("restart", &[mode.as_ref()])
    }

    /// Ends all processes of the database with SIGKILL.
    pub(crate) fn kill(&self) -> Outcome<()> {
        self.control("kill", &[])
    }

    pub(crate) fn promote(&self) -> Outcome<()> {
        self.control("promote", &[])
    }

    pub(crate) fn dump(&self, database: &str, to: &Path) -> Outcome<()> {
        self.control("dump", &[database.as_ref(), to.as_os_str()])
    }

    pub(crate) fn restore(&self, database: &str, from: &Path) -> Outcome<()> {
        self.control("restore", &[database.as_ref(), from.as_os_str()])
    }

    /// `127.0.0.1` and the port.
    pub(crate) fn address(&self) -> Outcome<String> {
        let env = std::fs::read_to_string(self.path().join("env"))?;
        let port = env.split_once("@localhost:").and_then(|(_, rest)| rest.split_once('/'));
        let (port, _) = port.ok_or("the address of the cluster is not in its env file")?;
        Ok(format!("127.0.0.1:{port}"))
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn control(&self, command: &str, more: &[&OsStr]) -> Outcome<()> {
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", ".ci", "postgres"].iter().collect();
        let output =
            Command::new(script).arg(command).arg(self.path()).args(more).env("FSYNC", "on").output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("postgres {command}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One that was killed has nothing to stop.
        let _ = self.control("stop", &[]);
    }
}

/// The database runs under an account of its own.
fn readable_directory() -> Outcome<TempDir> {
    let directory = tempfile::Builder::new().prefix("spec-kitty-pg-").tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}
