//! Lexical normalisation of paths, for comparisons of files that do not exist.

use std::path::{Component, Path, PathBuf};

/// `path` without repeated separators, `.` segments and a trailing separator; `..` stays, because
/// without the file the target of a link is unknown. Empty becomes `.`.
pub fn lexically_clean(path: &Path) -> PathBuf {
    let cleaned: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_redundant_path_parts_are_removed() {
        let clean = |text: &str| lexically_clean(Path::new(text)).to_string_lossy().into_owned();
        assert_eq!(clean("/a//b/./c/"), "/a/b/c");
        assert_eq!(clean("./a/../b"), "a/../b");
        assert_eq!(clean(""), ".");
        assert_eq!(clean("/"), "/");
    }
}
