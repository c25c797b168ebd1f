//! Canonical and lexically cleaned paths: how two paths are made comparable (contract section 2).

use std::path::{Component, Path, PathBuf};

/// `path` canonical as far as it exists, and lexically cleaned beyond: symbolic links of the longest
/// existing part are resolved, so that a file that does not exist yet and the same file later compare
/// equal. Never fails.
pub fn canonical_or_clean(path: &Path) -> PathBuf {
    if let Ok(canonical) = path.canonicalize() {
        return canonical;
    }
    let cleaned = clean(path);
    let mut existing = cleaned.as_path();
    while let Some(parent) = existing.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        existing = parent;
        if let (Ok(canonical), Ok(rest)) = (existing.canonicalize(), cleaned.strip_prefix(existing)) {
            return canonical.join(rest);
        }
    }
    cleaned
}

/// `path` without repeated separators, `.` segments and trailing separators. `..` stays, because
/// without the disk nobody knows what it leads to; an empty path stays empty.
pub fn clean(path: &Path) -> PathBuf {
    path.components().filter(|component| *component != Component::CurDir).collect()
}

/// A path as a file spells it: any bytes on Unix, UTF-8 elsewhere.
pub(crate) fn from_bytes(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
    }
    #[cfg(not(unix))]
    {
        PathBuf::from(String::from_utf8_lossy(bytes).into_owned())
    }
}
