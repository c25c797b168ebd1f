//! Snapshot of a directory tree: names, kinds, modes, link targets, content hashes and change times of
//! all entries. Equal snapshots prove that nothing was written, side files included.

use contract::wire::body::hash;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One entry of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Kind and mode.
    pub kind: String,
    /// SHA-256 of the contents, or the target of a link.
    pub contents: String,
    /// Modification time in nanoseconds.
    pub modified: i128,
    /// Inode, where the system has one.
    pub inode: u64,
}

/// Every entry below a directory, by relative path.
pub type Tree = BTreeMap<PathBuf, TreeEntry>;

/// Takes the snapshot. A directory that cannot be listed is an entry without children.
pub fn snapshot(root: &Path) -> Tree {
    let mut tree = Tree::new();
    visit(root, root, &mut tree);
    tree
}

/// The differences between two snapshots, for a message.
pub fn difference(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in after {
        match before.get(path) {
            None => lines.push(format!("created {}", path.display())),
            Some(old) if old != entry => {
                lines.push(format!("changed {}: {old:?} -> {entry:?}", path.display()))
            }
            Some(_) => {}
        }
    }
    lines.extend(
        before
            .keys()
            .filter(|path| !after.contains_key(*path))
            .map(|path| format!("removed {}", path.display())),
    );
    lines
}

fn visit(root: &Path, path: &Path, tree: &mut Tree) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    let relative = path.strip_prefix(root).unwrap_or(path).to_owned();
    let contents = if metadata.is_symlink() {
        std::fs::read_link(path).map(|target| target.to_string_lossy().into_owned()).unwrap_or_default()
    } else if metadata.is_file() {
        std::fs::read(path).map_or_else(|error| error.to_string(), |bytes| hash(&bytes))
    } else {
        String::new()
    };
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or_default());
    #[cfg(unix)]
    let (mode, inode) = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.mode(), metadata.ino())
    };
    #[cfg(not(unix))]
    let (mode, inode) = (u32::from(metadata.permissions().readonly()), 0);
    tree.insert(
        relative,
        TreeEntry { kind: format!("{:?} {mode:o}", metadata.file_type()), contents, modified, inode },
    );
    if metadata.is_dir()
        && let Ok(entries) = std::fs::read_dir(path)
    {
        for entry in entries.flatten() {
            visit(root, &entry.path(), tree);
        }
    }
}

/// Copies the entries of a directory and their modes. A copy of a read-only entry, as recorded data are, is writable.
///
/// # Errors
/// When an entry cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::write(&target, std::fs::read(entry.path())?)?;
        }
        let permissions = entry.metadata()?.permissions();
        if !permissions.readonly() {
            std::fs::set_permissions(&target, permissions)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_a_chmod_and_a_new_file_all_show() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a");
        std::fs::write(&file, "1").expect("a file");
        let before = snapshot(directory.path());
        assert_eq!(difference(&before, &snapshot(directory.path())), Vec::<String>::new());
        std::fs::write(&file, "2").expect("a file");
        std::fs::write(directory.path().join("b"), "").expect("a file");
        let lines = difference(&before, &snapshot(directory.path()));
        assert!(lines.iter().any(|line| line.starts_with("created b")), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("changed a")), "{lines:?}");
    }
}
