//! One snapshot of the environment variables.
//!
//! Taken once per process and passed to everything that depends on a variable; tests construct their own.
//! Values may be secrets: `Debug` shows names only.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

/// Names of the variables that this program reads.
pub mod names {
    /// Replaces `~/.spec-kitty` as a whole.
    pub const SPEC_KITTY_HOME: &str = "SPEC_KITTY_HOME";
    /// A CI token.
    pub const SPEC_KITTY_TOKEN: &str = "SPEC_KITTY_TOKEN";
    /// A file that holds a CI token.
    pub const SPEC_KITTY_TOKEN_FILE: &str = "SPEC_KITTY_TOKEN_FILE";
    /// The server that a CI token belongs to.
    pub const SPEC_KITTY_SERVER_URL: &str = "SPEC_KITTY_SERVER_URL";
    /// The auth server of the reference; the issuer of sessions that do not name theirs.
    pub const SPEC_KITTY_SAAS_URL: &str = "SPEC_KITTY_SAAS_URL";
    /// A file of certificates to trust, as for other programs.
    pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
    /// Directories of certificate authorities to trust, separated as in `PATH`.
    pub const SSL_CERT_DIR: &str = "SSL_CERT_DIR";
    /// Never spawn a daemon, only nudge one.
    pub const SPEC_KITTY_NO_DAEMON: &str = "SPEC_KITTY_NO_DAEMON";
    /// Depth of nested hand-overs to the Python CLI: set for its child by a command that hands over.
    pub const SPEC_KITTY_FRONT: &str = "SPEC_KITTY_FRONT";
    /// Set to `true` by CI systems.
    pub const CI: &str = "CI";
    /// Forces the project root, when it has a `.kittify` directory.
    pub const SPECIFY_REPO_ROOT: &str = "SPECIFY_REPO_ROOT";
}

/// The environment variables of a process, at one instant.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// The variables of this process. Relative paths in them are resolved now, against the current directory.
    pub fn of_process() -> Self {
        let environment = Self::from_pairs(std::env::vars_os());
        match std::env::current_dir() {
            Ok(directory) => environment.seen_from(&directory),
            Err(_) => environment,
        }
    }

    /// The same, with relative files made absolute.
    fn seen_from(mut self, directory: &Path) -> Self {
        for name in [names::SPEC_KITTY_TOKEN_FILE, names::SSL_CERT_FILE] {
            if let Some(file) = self.non_empty(name).map(|file| directory.join(file).into_os_string()) {
                self.variables.insert(key(name.into()), file);
            }
        }
        if let Some(list) = self.non_empty(names::SSL_CERT_DIR) {
            let absolute = std::env::split_paths(list)
                .filter(|path| !path.as_os_str().is_empty())
                .map(|path| directory.join(path));
            if let Ok(list) = std::env::join_paths(absolute) {
                self.variables.insert(key(names::SSL_CERT_DIR.into()), list);
            }
        }
        self
    }

    /// An environment with exactly these variables; of two with one name the last wins.
    pub fn from_pairs<K: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (key(name.into()), value.into())).collect() }
    }

    /// The raw value of `name`; on Windows names are compared without case.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        if cfg!(windows) {
            self.variables.get(&key(name.into())).map(OsString::as_os_str)
        } else {
            self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
        }
    }

    /// The raw value of `name`, an empty one counting as unset.
    pub fn non_empty(&self, name: &str) -> Option<&OsStr> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of `name` as text; invalid UTF-8 is replaced.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.to_string_lossy().into_owned())
    }
}

fn key(name: OsString) -> OsString {
    if cfg!(windows) { name.to_ascii_uppercase() } else { name }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")?;
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        let environment = Environment::from_pairs([("SPEC_KITTY_TOKEN", "skp_abc.hunter2")]);
        let shown = format!("{environment:?}");
        assert!(shown.contains("SPEC_KITTY_TOKEN") && !shown.contains("hunter2"), "{shown}");
    }

    #[cfg(unix)]
    #[test]
    fn relative_file_is_meant_from_the_directory_of_the_start() {
        let pairs =
            [("SPEC_KITTY_TOKEN_FILE", "run/token"), ("SSL_CERT_FILE", "/etc/ca.pem"), ("PATH", "bin")];
        let environment = Environment::from_pairs(pairs).seen_from(Path::new("/home/ada/project"));
        assert_eq!(environment.get("SPEC_KITTY_TOKEN_FILE"), Some(OsStr::new("/home/ada/project/run/token")));
        assert_eq!(environment.get("SSL_CERT_FILE"), Some(OsStr::new("/etc/ca.pem")));
        assert_eq!(environment.get("PATH"), Some(OsStr::new("bin")));
        let empty = Environment::from_pairs([("SPEC_KITTY_TOKEN_FILE", "")])
            .seen_from(Path::new("/home/ada/project"));
        assert_eq!(empty.get("SPEC_KITTY_TOKEN_FILE"), Some(OsStr::new("")));
    }

    #[test]
    fn empty_value_is_set_but_not_non_empty() {
        let environment = Environment::from_pairs([("A", "")]);
        assert_eq!(environment.get("A"), Some(OsStr::new("")));
        assert_eq!(environment.non_empty("A"), None);
    }
}
