//! Quarantine: renames unusable files to a name beside the old one that contains the time. Nothing is deleted
//! or overwritten.

use jiff::Timestamp;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use system::private_file::WriteError;

/// Most files of one name that are moved aside in one second.
const MOST: u32 = 1000;

/// Moves `path` (a file, a link, a directory) to `<path>.aside-<time>`; returns the new path, none for an
/// absent file.
///
/// # Errors
/// [`WriteError`]; it is then unchanged.
pub fn move_aside(path: &Path) -> Result<Option<PathBuf>, WriteError> {
    Ok(move_group_aside(path, &[""])?.pop())
}

/// Moves the files `<path><suffix>` aside together, in the order of `suffixes`, all to the same new name with
/// their suffix at its end, so that a database keeps its journal.
/// Returns the new paths of the earlier files.
///
/// # Errors
/// [`WriteError`] with the file that could not be moved; those before it were moved.
pub fn move_group_aside(path: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>, WriteError> {
    let group: Vec<(PathBuf, &str)> = suffixes
        .iter()
        .map(|suffix| (with_suffix(path, suffix), *suffix))
        .filter(|(source, _)| source.symlink_metadata().is_ok())
        .collect();
    if group.is_empty() {
        return Ok(Vec::new());
    }
    let aside =
        free_name(path, suffixes, system::clock::now()).map_err(WriteError::new("move aside", path))?;
    let mut moved = Vec::new();
    for (source, suffix) in group {
        let target = with_suffix(&aside, suffix);
        fs::rename(&source, &target).map_err(WriteError::new("move aside", &source))?;
        moved.push(target);
    }
    if let Some(directory) = path.parent() {
        system::file::sync_directory(directory).map_err(WriteError::new("move aside", path))?;
    }
    Ok(moved)
}

/// Moves the files `<path><suffix>` aside like [`move_group_aside`] and puts `replacement` at `path`:
/// there is no instant at which the path is empty. Returns the new paths of the old files.
///
/// # Errors
/// [`WriteError`]; `path` then holds the old file or the new one, and the old one is kept in any case.
pub fn replace_aside(
    path: &Path,
    side_suffixes: &[&str],
    replacement: &Path,
) -> Result<Vec<PathBuf>, WriteError> {
    let fail = || WriteError::new("replace", path);
    let group: Vec<&str> = side_suffixes.iter().copied().chain([""]).collect();
    let aside = free_name(path, &group, system::clock::now()).map_err(fail())?;
    let mut moved = Vec::new();
    // The side files first: beside the new file SQLite would use them.
    for suffix in side_suffixes {
        let (source, target) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        if source.symlink_metadata().is_ok() {
            fs::rename(&source, &target).map_err(WriteError::new("move aside", &source))?;
            moved.push(target);
        }
    }
    // A hard link first, so that `path` always exists; without hard links there is an instant without a file.
    if fs::hard_link(path, &aside).is_err() {
        fs::rename(path, &aside).map_err(WriteError::new("move aside", path))?;
    }
    moved.push(aside);
    fs::rename(replacement, path).map_err(fail())?;
    if let Some(directory) = path.parent() {
        system::file::sync_directory(directory).map_err(fail())?;
    }
    Ok(moved)
}

/// A name beside `path` under which none of the group exists.
fn free_name(path: &Path, suffixes: &[&str], now: Timestamp) -> io::Result<PathBuf> {
    let stamped = with_suffix(path, &now.strftime(".aside-%Y%m%dT%H%M%SZ").to_string());
    let is_free =
        |name: &Path| suffixes.iter().all(|suffix| with_suffix(name, suffix).symlink_metadata().is_err());
    let numbered = (1..MOST).map(|number| with_suffix(&stamped, &format!("-{number}")));
    std::iter::once(stamped.clone())
        .chain(numbered)
        .find(|name| is_free(name))
        .ok_or_else(|| io::ErrorKind::AlreadyExists.into())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("entries").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_quarantined_in_one_second_get_distinct_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("owner.json");
        let mut asides = Vec::new();
        for content in ["one", "two", "three"] {
            fs::write(&path, content).expect("written");
            let aside = move_aside(&path).expect("moved").expect("there was one");
            assert_eq!(fs::read_to_string(&aside).expect("kept"), content);
            asides.push(aside);
        }
        assert_eq!(names(directory.path()).len(), 3);
        assert!(names(directory.path()).iter().all(|name| name.starts_with("owner.json.aside-2")));
        assert_eq!(move_aside(&path).expect("nothing to move"), None);
    }

    #[test]
    fn database_and_its_journal_stay_together() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue.db");
        fs::write(&path, "db").expect("written");
        fs::write(directory.path().join("queue.db-journal"), "journal").expect("written");
        let moved = move_group_aside(&path, &["-journal", "-wal", ""]).expect("moved");
        let (journal, db) = (&moved[0], &moved[1]);
        assert_eq!(*journal, with_suffix(db, "-journal"));
        assert_eq!(fs::read_to_string(journal).expect("kept"), "journal");
        assert_eq!(names(directory.path()).len(), 2);
    }

    #[test]
    fn replaced_database_is_kept_with_its_journal() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue.db");
        let new = directory.path().join("queue.db.salvaged");
        for (file, content) in [(&path, "old"), (&with_suffix(&path, "-journal"), "journal"), (&new, "new")] {
            fs::write(file, content).expect("written");
        }
        let moved = replace_aside(&path, &["-journal", "-wal"], &new).expect("replaced");
        let kept: Vec<_> = moved.iter().map(|path| fs::read_to_string(path).expect("kept")).collect();
        assert_eq!(kept, ["journal", "old"]);
        assert_eq!(moved[0], with_suffix(&moved[1], "-journal"));
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(names(directory.path()).len(), 3);
    }

    #[test]
    fn name_is_free_only_when_the_whole_group_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("queue.db");
        let now = Timestamp::from_second(0).expect("a moment");
        let first = free_name(&path, &["-journal", ""], now).expect("a name");
        fs::write(with_suffix(&first, "-journal"), "").expect("written");
        let second = free_name(&path, &["-journal", ""], now).expect("a name");
        assert_eq!(second, with_suffix(&first, "-1"));
    }

    #[cfg(unix)]
    #[test]
    fn dangling_link_and_a_directory_are_moved_like_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let (link, folder) = (directory.path().join("link"), directory.path().join("folder"));
        std::os::unix::fs::symlink("/no/such/file", &link).expect("a link");
        fs::create_dir_all(folder.join("inside")).expect("a directory");
        let link = move_aside(&link).expect("moved").expect("there was one");
        assert!(link.symlink_metadata().expect("kept").is_symlink());
        assert!(move_aside(&folder).expect("moved").expect("there was one").join("inside").is_dir());
    }
}
