//! Checks whether a location is writable, without writing: access and free space.

use crate::platform;
use std::path::{Path, PathBuf};

/// Free space below which nothing can be captured safely: a transaction also writes a journal.
const SPACE_NEEDED: u64 = 1024 * 1024;

/// Free inodes below which no file can be created safely.
const INODES_NEEDED: u64 = 8;

/// Reason why a location is not writable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its file system is mounted read-only.
    ReadOnly {
        /// The place.
        path: PathBuf,
    },
    /// This user may not write there.
    NoPermission {
        /// The place.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Its file system has too little space.
    NoSpace {
        /// The place.
        path: PathBuf,
        /// Bytes that this user may still write.
        free: u64,
        /// Bytes of the whole file system.
        size: u64,
    },
    /// Its file system has too few inodes.
    NoInodes {
        /// The place.
        path: PathBuf,
        /// Inodes that are free.
        free: u64,
        /// Inodes of the whole file system.
        size: u64,
    },
}

impl Obstacle {
    /// Its description, with numbers.
    pub fn detail(&self) -> String {
        let shown = |path: &Path| contract::text::path(path);
        match self {
            Self::ReadOnly { path } => format!("the file system of {} is mounted read-only", shown(path)),
            Self::NoPermission { path, mode } => {
                format!("{} is not writable for this user (mode {mode:04o})", shown(path))
            }
            Self::NoSpace { path, free, size } => format!(
                "the file system of {} has {free} of {size} bytes free; at least {SPACE_NEEDED} are needed",
                shown(path)
            ),
            Self::NoInodes { path, free, size } => format!(
                "the file system of {} has {free} of {size} inodes free; at least {INODES_NEEDED} are needed",
                shown(path)
            ),
        }
    }

    /// Its remedy.
    pub fn advice(&self) -> String {
        match self {
            Self::ReadOnly { path } => {
                format!("mount the file system of {} writable", contract::text::path(path))
            }
            Self::NoPermission { path, .. } => {
                format!("make {} writable for this user", contract::text::path(path))
            }
            Self::NoSpace { path, .. } => {
                format!("free space on the file system of {}", contract::text::path(path))
            }
            Self::NoInodes { path, .. } => {
                format!("remove files from the file system of {}", contract::text::path(path))
            }
        }
    }
}

/// The obstacles to writing `places`, each file system once. For a location that does not exist its nearest
/// existing directory is checked.
pub fn observe_obstacles(places: &[PathBuf]) -> Vec<Obstacle> {
    let mut found: Vec<Obstacle> = Vec::new();
    let mut devices = Vec::new();
    for place in places {
        let Some(path) = place.ancestors().find(|path| path.symlink_metadata().is_ok()) else { continue };
        let device = platform::device(path);
        let known = devices.contains(&device);
        devices.push(device);
        match platform::observe_access(path) {
            platform::Access::Allowed => {}
            platform::Access::ReadOnly if known => {}
            platform::Access::ReadOnly => found.push(Obstacle::ReadOnly { path: path.to_path_buf() }),
            platform::Access::Denied { mode } => {
                let obstacle = Obstacle::NoPermission { path: path.to_path_buf(), mode };
                if !found.contains(&obstacle) {
                    found.push(obstacle);
                }
            }
        }
        if known {
            continue;
        }
        let Some(space) = platform::observe_space(path) else { continue };
        let path = path.to_path_buf();
        if space.free < SPACE_NEEDED {
            found.push(Obstacle::NoSpace { path, free: space.free, size: space.size });
        } else if space.inodes > 0 && space.free_inodes < INODES_NEEDED {
            found.push(Obstacle::NoInodes { path, free: space.free_inodes, size: space.inodes });
        }
    }
    found
}

/// Free bytes of the file system of `path`; none where they are not known.
pub fn free_bytes(path: &Path) -> Option<u64> {
    platform::observe_space(path).map(|space| space.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_place_with_space_has_no_obstacle() {
        let directory = tempfile::tempdir().expect("a directory");
        let places = [directory.path().to_path_buf(), directory.path().join("not/yet/there")];
        assert_eq!(observe_obstacles(&places), Vec::new());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn read_only_file_system_is_named_once() {
        let places = [PathBuf::from("/proc/sys/kernel"), PathBuf::from("/proc/sys/vm")];
        let found = observe_obstacles(&places);
        assert!(found.len() <= places.len(), "{found:?}");
    }
}
