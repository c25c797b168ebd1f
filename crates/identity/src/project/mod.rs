//! The project: its root and its identity.
//!
//! A project is a directory with a `.kittify` directory. Its identity is in `.kittify/config.yaml`, which is
//! committed: every clone of the repository is the same project. Linked worktrees have the identity of the main
//! checkout.
//!
//! Invariants. A configuration that cannot be read is an error, never a reason for a new identity. Writing adds the
//! missing keys and changes nothing else in the file.

mod file;

pub use file::RecordedIdentity;

use crate::environment::{Environment, names};
use crate::git::{self, GitFacts};
use crate::paths;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::bounded_read::BoundedReadError;
use system::lock::{FileLock, LockError};
use system::machine::Machine;
use system::private_file::WriteError;

/// The directory that makes a project.
const MARKER: &str = ".kittify";

/// Longest wait of the first run for another first run.
const PATIENCE: Duration = Duration::from_secs(5);

/// A complete project identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectIdentity {
    /// The project's uuid, lower-case and hyphenated, however the file spells it.
    pub uuid: String,
    /// The project's name as a slug.
    pub slug: String,
    /// The id of the machine that first wrote the file.
    pub node_id: String,
    /// A random id, made with the file.
    pub build_id: String,
    /// `owner/repo`: the file's own, else that of the git origin.
    pub repo_slug: Option<String>,
}

/// Reason why a project identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The file cannot be read at all.
    #[error("{} {error}", contract::text::path(.path))]
    File {
        /// The file.
        path: PathBuf,
        /// Error of the read.
        #[source]
        error: BoundedReadError,
    },
    /// The content of the file is invalid.
    #[error("{} {problem}; correct it by hand", contract::text::path(.path))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The fault, with its position.
        problem: String,
    },
    /// The file is fine, but its layout leaves no safe place for what is missing.
    #[error("{} lacks {missing} under `project`; add it by hand", contract::text::path(.path))]
    ByHand {
        /// The file.
        path: PathBuf,
        /// The missing `key: value` pairs.
        missing: String,
    },
    /// Another process is writing the identity.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The root of the project that contains `start` (an absolute directory): `SPECIFY_REPO_ROOT` if it is one,
/// else the nearest one upwards; for a linked worktree its main checkout, if that is a project.
pub fn locate_project_root(start: &Path, environment: &Environment) -> Option<PathBuf> {
    if let Some(root) = environment.non_empty(names::SPECIFY_REPO_ROOT).map(Path::new)
        && is_project(root)
    {
        return Some(paths::canonical_or_clean(root));
    }
    let start = paths::canonical_or_clean(start);
    start.ancestors().find_map(|directory| {
        // A repository with an unreadable layout does not hide the project around it.
        let layout = git::read_layout(directory).ok().flatten();
        let main = layout.as_ref().and_then(git::Layout::main_of_linked).filter(|main| is_project(main));
        main.or_else(|| Some(directory).filter(|directory| is_project(directory))).map(Path::to_path_buf)
    })
}

fn is_project(directory: &Path) -> bool {
    directory.join(MARKER).is_dir()
}

/// The file that holds the identity of the project at `root`.
pub fn config_file(root: &Path) -> PathBuf {
    root.join(MARKER).join("config.yaml")
}

impl ProjectIdentity {
    /// The file of the project at `root`; keys that are absent, null or empty are none. Reads
    /// only.
    ///
    /// # Errors
    /// [`ProjectError`] when there is a file that does not parse or whose uuid is none.
    pub fn read(root: &Path) -> Result<RecordedIdentity, ProjectError> {
        let path = config_file(root);
        let text = file::read_text(&path)?;
        file::parse(text.as_deref().unwrap_or_default())
            .map_err(|problem| ProjectError::Malformed { path, problem })
    }

    /// The identity of the project at `root`; missing parts are generated and written.
    ///
    /// # Errors
    /// [`ProjectError`]; the file is then as it was.
    pub fn ensure(
        root: &Path,
        git: Option<&GitFacts>,
        machine: &Machine,
        environment: &Environment,
    ) -> Result<Self, ProjectError> {
        if let Some(identity) = Self::read(root)?.complete(git) {
            return Ok(identity);
        }
        let lock_file = git.map(|git| git.common_dir.join("spec-kitty-locks").join("project-identity.lock"));
        let _lock = lock_file
            .map(|path| FileLock::acquire_in_repository(&path, PATIENCE, "the project identity"))
            .transpose()?;
        let derived = GeneratedIdentity::new(root, git, machine, environment);
        file::fill_in(&config_file(root), &derived)?;
        Self::read(root)?.complete(git).ok_or_else(|| ProjectError::ByHand {
            path: config_file(root),
            missing: "uuid, slug, node_id or build_id".to_owned(),
        })
    }
}

impl RecordedIdentity {
    /// The identity, if nothing is missing.
    fn complete(self, git: Option<&GitFacts>) -> Option<ProjectIdentity> {
        let own = self.repo_slug.filter(|slug| is_repo_slug(slug));
        Some(ProjectIdentity {
            uuid: self.uuid?,
            slug: self.slug?,
            node_id: self.node_id?,
            build_id: self.build_id?,
            repo_slug: own.or_else(|| git?.repo_slug.clone()),
        })
    }
}

fn is_repo_slug(text: &str) -> bool {
    text.contains('/') && text.split('/').all(|part| !contract::scope::trim(part).is_empty())
}

/// Generated values for a file without an identity.
struct GeneratedIdentity {
    uuid: String,
    slug: String,
    node_id: String,
    build_id: String,
}

impl GeneratedIdentity {
    fn new(root: &Path, git: Option<&GitFacts>, machine: &Machine, environment: &Environment) -> Self {
        let origin = git.and_then(|git| git.origin_url.as_deref()).map(git::project_slug);
        let directory = || root.file_name().map(|name| git::slug(&name.to_string_lossy()));
        Self {
            uuid: uuid::Uuid::new_v4().to_string(),
            slug: origin
                .filter(|slug| !slug.is_empty())
                .or_else(directory)
                .filter(|slug| !slug.is_empty())
                .unwrap_or_else(|| "project".to_owned()),
            node_id: node_id(machine, environment),
            build_id: uuid::Uuid::new_v4().to_string(),
        }
    }
}

/// The id of this machine and user in clock and project files: the first 12 hex digits of the SHA-256 of
/// `<host name>:<user name>`.
pub fn node_id(machine: &Machine, environment: &Environment) -> String {
    let user = ["LOGNAME", "USER", "LNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| environment.text(name).filter(|user| !user.is_empty()))
        .or_else(system::machine::user_name)
        .unwrap_or_else(|| machine.uid.to_string());
    let mut digits = HEXLOWER.encode(&Sha256::digest(format!("{}:{user}", machine.hostname)));
    digits.truncate(12);
    digits
}

/// `text` as a lower-case hyphenated uuid, when it is one in any of the spellings that the reference
/// took: upper case, braces, `urn:uuid:`, hyphens anywhere or nowhere.
pub fn canonical_uuid(text: &str) -> Option<String> {
    let text = text.replace("urn:", "").replace("uuid:", "");
    let digits = text.trim_matches(['{', '}']).replace('-', "");
    let hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(&digits, 16).ok().filter(|_| hex)?;
    Some(uuid::Uuid::from_u128(number).hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_uuid_is_one_uuid() {
        let canonical = "8a4a7da6-a97c-4bb4-893a-b31664abfee4";
        for text in [
            canonical,
            "{8A4A7DA6-A97C-4BB4-893A-B31664ABFEE4}",
            "urn:uuid:8a4a7da6-a97c-4bb4-893a-b31664abfee4",
            "8a4a7da6a97c4bb4893ab31664abfee4",
        ] {
            assert_eq!(canonical_uuid(text).as_deref(), Some(canonical), "{text}");
        }
        for text in
            ["", "not-a-uuid", "8a4a7da6-a97c-4bb4-893a-b31664abfee", "+a4a7da6a97c4bb4893ab31664abfee4"]
        {
            assert_eq!(canonical_uuid(text), None, "{text}");
        }
    }

    #[test]
    fn node_id_is_that_of_host_and_user() {
        let machine = Machine { hostname: "fixture-host".to_owned(), uid: 1000 };
        let environment = Environment::from_pairs([("LOGNAME", ""), ("USER", "dev")]);
        assert_eq!(node_id(&machine, &environment), "a68cb90bc34b");
        assert_eq!(node_id(&machine, &Environment::default()).len(), 12);
    }

    #[test]
    fn repo_slug_override_needs_two_parts() {
        for (text, valid) in [("a/b", true), ("a/b/c", true), ("a", false), ("a/ ", false), ("/b", false)] {
            assert_eq!(is_repo_slug(text), valid, "{text}");
        }
    }
}
