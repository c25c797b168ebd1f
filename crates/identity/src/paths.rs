//! Canonical and lexically cleaned paths: how two paths are made comparable (contract section 2).

use contract::path::lexically_clean;
use std::path::{Path, PathBuf};

/// `path` with the symbolic links of its longest existing part resolved, and the rest cleaned lexically. So a file
/// that does not exist yet and the same file later compare equal. Never fails.
pub fn canonical_or_clean(path: &Path) -> PathBuf {
    if let Ok(canonical) = path.canonicalize() {
        return system::file::plain_path(canonical);
    }
    let cleaned = lexically_clean(path);
    let mut existing = cleaned.as_path();
    while let Some(parent) = existing.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        existing = parent;
        if let (Ok(canonical), Ok(rest)) = (existing.canonicalize(), cleaned.strip_prefix(existing)) {
            return system::file::plain_path(canonical).join(rest);
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn existing_part_is_canonical_and_the_rest_is_cleaned() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().canonicalize().expect("a path");
        fs::write(real.join("file"), "").expect("a file");
        assert_eq!(canonical_or_clean(&real.join(".").join("file")), real.join("file"));
        assert_eq!(
            canonical_or_clean(&real.join("absent").join(".").join("x")),
            real.join("absent").join("x")
        );
        assert_eq!(canonical_or_clean(&real.join("absent").join("..").join("x")), real.join("absent/../x"));
    }

    #[cfg(unix)]
    #[test]
    fn file_compares_equal_before_and_after_it_exists() {
        let directory = tempfile::tempdir().expect("a directory");
        let real = directory.path().canonicalize().expect("a path").join("real");
        let link = real.with_file_name("link");
        fs::create_dir(&real).expect("a directory");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let path = link.join("queues").join("queue.db");
        let before = canonical_or_clean(&path);
        fs::create_dir(real.join("queues")).expect("a directory");
        fs::write(&path, "").expect("a file");
        assert_eq!(before, canonical_or_clean(&path));
        assert_eq!(before, real.join("queues").join("queue.db"));
    }

    #[test]
    fn relative_and_empty_paths_do_not_fail() {
        assert_eq!(canonical_or_clean(Path::new("no/such//thing/.")), Path::new("no/such/thing"));
        assert_eq!(canonical_or_clean(Path::new("")), Path::new("."));
    }
}
