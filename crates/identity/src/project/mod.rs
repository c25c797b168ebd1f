//! stub
#![allow(missing_docs, unused_variables, clippy::todo)]
use crate::{environment::Environment, git::GitFacts, machine::Machine};
use std::path::{Path, PathBuf};
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedIdentity {
    pub uuid: Option<String>,
    pub slug: Option<String>,
    pub node_id: Option<String>,
    pub build_id: Option<String>,
    pub repo_slug: Option<String>,
}
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectIdentity {
    pub uuid: String,
    pub slug: String,
    pub node_id: String,
    pub build_id: String,
    pub repo_slug: Option<String>,
}
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("todo")]
    Todo,
}
pub fn locate_project_root(cwd: &Path, environment: &Environment) -> Option<PathBuf> {
    todo!()
}
impl ProjectIdentity {
    /// What .kittify/config.yaml says; missing keys are none. Read-only.
    pub fn read(root: &Path) -> Result<RecordedIdentity, ProjectError> {
        todo!()
    }
    /// Fills in what is missing (writes), returns the complete identity. repo_slug: override or git's.
    pub fn ensure(
        root: &Path,
        git: Option<&GitFacts>,
        machine: &Machine,
        environment: &Environment,
    ) -> Result<Self, ProjectError> {
        todo!()
    }
}
/// First 12 hex of SHA-256 of `<hostname>:<username>`.
pub fn node_id(machine: &Machine, environment: &Environment) -> String {
    todo!()
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
