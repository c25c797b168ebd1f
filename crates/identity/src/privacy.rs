//! Privacy of the state directory (contract section 1, "State directory").
//!
//! Write access to the state directory decides which server receives rows and which account sends them. So a
//! directory or deciding file that another user owns, or that every user may write, is the fault
//! `home_not_private`, and nothing in it is used. On file systems without modes or owners nothing is proven:
//! there the doctors report it.

use crate::home::Home;
use contract::{Fault, FaultCode, Remedy};
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Privacy of a state directory, from owners and modes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// This user's own, or absent.
    Private,
    /// Another user owns it, and this process is root: used, with a warning. Files that root creates there get
    /// the directory's owner.
    OfAnotherUser {
        /// The owner.
        uid: u32,
    },
    /// Its modes look open, on a file system without modes or owners.
    Unproven {
        /// The description.
        detail: String,
        /// The remedy.
        remedy: Remedy,
    },
    /// Not private: nothing in it is used.
    Open(Fault),
}

impl Privacy {
    /// The fault `home_not_private`, if there is one.
    pub fn fault(self) -> Option<Fault> {
        match self {
            Self::Open(fault) => Some(fault),
            Self::Private | Self::OfAnotherUser { .. } | Self::Unproven { .. } => None,
        }
    }
}

/// Reads owners and modes of the root directory and of the files that decide server, account and daemon. Nine
/// calls of stat.
pub fn observe_privacy(home: &Home) -> Privacy {
    let Ok(root) = fs::metadata(home.root()) else { return Privacy::Private };
    let user = system::machine::effective_uid();
    if let Some(problem) = Problem::of(home.root(), &root, user, true) {
        return problem.judge();
    }
    let files = [
        home.config_file(),
        home.session_file(),
        home.session_cache_file(),
        home.credentials_file(),
        home.control_file(),
        home.owner_record(),
        home.state_file(),
    ];
    for path in files {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if let Some(problem) = Problem::of(&path, &metadata, user, false) {
            return problem.judge();
        }
    }
    match system::file::owner(&root) {
        Some(uid) if user == Some(0) && uid != 0 => Privacy::OfAnotherUser { uid },
        _ => Privacy::Private,
    }
}

/// The fault `home_not_private`, if the state directory is not private.
pub fn privacy_fault(home: &Home) -> Option<Fault> {
    observe_privacy(home).fault()
}

/// Removes the permissions of group and others from this program's directories; nothing else in the home
/// changes. Called by commands that write. A home that is not private is left unchanged: its files may be
/// another user's, and narrower modes would hide that.
pub fn restrict_directories(home: &Home) {
    if privacy_fault(home).is_some() {
        return;
    }
    let mut directories = vec![home.root().to_path_buf(), home.auth_dir(), home.queues_dir()];
    let daemon = home.daemon_dir();
    directories.extend(daemon.parent().filter(|sync| sync.starts_with(home.root())).map(Path::to_path_buf));
    directories.push(daemon);
    for directory in directories {
        if let Ok(metadata) = directory.symlink_metadata()
            && metadata.is_dir()
        {
            // No command depends on the mode.
            let _ = system::private_file::restrict_directory(&directory, &metadata);
        }
    }
}

/// Something that another user could have written.
struct Problem {
    path: PathBuf,
    uid: Option<u32>,
    /// Whether the owner is the problem; otherwise every user may write.
    foreign: bool,
    /// Whether this user may change the mode.
    may_change: bool,
    is_root_directory: bool,
}

impl Problem {
    fn of(path: &Path, metadata: &Metadata, user: Option<u32>, is_root_directory: bool) -> Option<Self> {
        let uid = system::file::owner(metadata);
        let is_root = user == Some(0);
        let own = uid == user || is_root;
        let foreign = !own && uid != Some(0);
        let open = is_root_directory && system::file::is_world_writable(metadata);
        (foreign || open).then(|| Self {
            path: path.to_path_buf(),
            uid,
            foreign,
            may_change: own,
            is_root_directory,
        })
    }

    fn judge(self) -> Privacy {
        let shown = contract::text::path(&self.path);
        let detail = match (self.foreign, self.uid) {
            (true, Some(uid)) => format!("belongs to another user (uid {uid})"),
            _ => "may be written by every user of this machine".to_owned(),
        };
        let elsewhere = format!("set {} to a private directory", crate::environment::names::SPEC_KITTY_HOME);
        if self.foreign && self.uid.is_some_and(system::file::is_unmapped_owner) {
            let detail =
                format!("{shown} has an owner unknown to this system: its privacy cannot be verified");
            return Privacy::Unproven { detail, remedy: Remedy::Advice(elsewhere) };
        }
        if system::file::has_fixed_modes(&self.path) {
            let detail = format!("{shown} {detail}, on a file system that does not keep owners or modes");
            return Privacy::Unproven { detail, remedy: Remedy::Advice(elsewhere) };
        }
        let remedy = if !self.foreign && self.may_change {
            format!("chmod 700 {}", contract::remedy::shell_word(&self.path.to_string_lossy()))
        } else if self.is_root_directory {
            elsewhere
        } else {
            // The directory is this user's own, or root's.
            let name = contract::remedy::shell_word(&self.path.to_string_lossy());
            format!("remove {name}, or {elsewhere}")
        };
        Privacy::Open(Fault::new(FaultCode::HomeNotPrivate, self.path, detail, Remedy::Advice(remedy)))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn home() -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::resolve(&Environment::from_pairs([("SPEC_KITTY_HOME", directory.path())]));
        (directory, home.expect("a home"))
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
    }

    #[test]
    fn world_writable_root_is_open_also_with_the_sticky_bit() {
        let (directory, home) = home();
        for (bits, open) in [(0o700, false), (0o755, false), (0o775, false), (0o777, true), (0o1777, true)] {
            set_mode(directory.path(), bits);
            let fault = privacy_fault(&home);
            assert_eq!(fault.is_some(), open, "{bits:o}");
            if let Some(fault) = fault {
                assert_eq!(fault.code, FaultCode::HomeNotPrivate);
                assert!(fault.remedy.hint().starts_with("chmod 700 /"), "{}", fault.remedy.hint());
            }
        }
        set_mode(directory.path(), 0o700);
    }

    #[test]
    fn absent_home_is_private() {
        let environment = Environment::from_pairs([("SPEC_KITTY_HOME", "/nonexistent/place")]);
        assert_eq!(observe_privacy(&Home::resolve(&environment).expect("a home")), Privacy::Private);
    }

    #[test]
    fn root_uses_another_users_home_and_knows_its_owner() {
        let (directory, home) = home();
        if chown(directory.path(), Some(4711), Some(4711)).is_err() {
            return;
        }
        assert_eq!(observe_privacy(&home), Privacy::OfAnotherUser { uid: 4711 });
    }

    #[test]
    fn narrowing_touches_our_own_directories_alone() {
        let (directory, home) = home();
        let projects = directory.path().join("projects");
        let elsewhere = directory.path().join("elsewhere");
        for path in [&home.auth_dir(), &home.daemon_dir(), &projects, &elsewhere] {
            fs::create_dir_all(path).expect("a directory");
            set_mode(path, 0o755);
        }
        symlink(&elsewhere, home.queues_dir()).expect("a link");
        set_mode(directory.path(), 0o2775);
        restrict_directories(&home);
        assert_eq!((mode(&home.auth_dir()), mode(&home.daemon_dir())), (0o700, 0o700));
        assert_eq!(mode(directory.path()) & 0o777, 0o700);
        set_mode(directory.path(), 0o777);
        restrict_directories(&home);
        assert_eq!(mode(directory.path()) & 0o777, 0o777, "every user may have written there: a fault");
        assert_eq!((mode(&projects), mode(&elsewhere)), (0o755, 0o755));
    }
}
