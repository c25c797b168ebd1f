//! HEAD and the commits that branches point to: loose refs first, packed refs after, as git does.

use super::Head;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use system::bounded_read::{BoundedReadError, read_bounded};

/// The largest loose ref or HEAD that is read.
const REF_LIMIT: u64 = 4096;

/// The largest `packed-refs` that is searched.
const PACKED_LIMIT: u64 = 256 * 1024 * 1024;

/// A line of `packed-refs` is a commit and a name of at most this many bytes.
const LINE_LIMIT: u64 = 4096;

/// Most symbolic refs that are followed.
const DEPTH: usize = 5;

const REFTABLE_PLACEHOLDER: &str = "refs/heads/.invalid";

/// HEAD of a worktree: `git_dir` is its own directory, `common_dir` the repository's.
pub(super) fn read_head(git_dir: &Path, common_dir: &Path) -> Head {
    let text = match read_ref_file(&git_dir.join("HEAD")) {
        Ok(Some(text)) => text,
        Ok(None) => return Head::Unreadable("HEAD is missing".to_owned()),
        Err(problem) => return Head::Unreadable(format!("HEAD {problem}")),
    };
    match target(&text) {
        Some(Target::Commit(commit)) => Head::Detached { commit },
        Some(Target::Ref(name)) if name == REFTABLE_PLACEHOLDER => {
            Head::Unreadable("the repository keeps its refs in a reftable".to_owned())
        }
        Some(Target::Ref(name)) => match resolve(&name, git_dir, common_dir) {
            Ok(commit) => {
                Head::Branch { name: name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned(), commit }
            }
            Err(problem) => Head::Unreadable(problem),
        },
        None => Head::Unreadable("HEAD is neither a branch nor a commit".to_owned()),
    }
}

/// The commit of a ref; nothing when the branch has none yet.
fn resolve(name: &str, git_dir: &Path, common_dir: &Path) -> Result<Option<String>, String> {
    let mut name = name.to_owned();
    for _ in 0..DEPTH {
        let directory = if is_per_worktree(&name) { git_dir } else { common_dir };
        let path = name.split('/').fold(directory.to_path_buf(), |path, part| path.join(part));
        let text = match read_ref_file(&path) {
            Ok(Some(text)) => text,
            // A directory: branches below this name exist, a loose one of this name does not.
            Ok(None) | Err(BoundedReadError::NotAFile(_)) => {
                return read_packed(&common_dir.join("packed-refs"), &name);
            }
            Err(problem) => return Err(format!("{name} {problem}")),
        };
        match target(&text) {
            Some(Target::Commit(commit)) => return Ok(Some(commit)),
            Some(Target::Ref(next)) => name = next,
            None => return Err(format!("{name} holds no commit")),
        }
    }
    Err(format!("{name} leads through too many symbolic refs"))
}

fn is_per_worktree(name: &str) -> bool {
    ["refs/bisect/", "refs/worktree/", "refs/rewritten/"].iter().any(|prefix| name.starts_with(prefix))
        || !name.starts_with("refs/")
}

fn read_ref_file(path: &Path) -> Result<Option<String>, BoundedReadError> {
    let file = read_bounded(path, REF_LIMIT)?;
    Ok(file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()))
}

enum Target {
    Commit(String),
    Ref(String),
}

fn target(text: &str) -> Option<Target> {
    if let Some(name) = text.strip_prefix("ref:") {
        let name = name.trim();
        // Names are read from a file: none may lead out of the git directory.
        let safe = !name.is_empty()
            && !name.contains('\0')
            && !name.starts_with('/')
            && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        return safe.then(|| Target::Ref(name.to_owned()));
    }
    let first = text.split_whitespace().next()?;
    is_commit(first).then(|| Target::Commit(first.to_ascii_lowercase()))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Searches the lines `<commit> <name>` of `packed-refs`. Lines of refs that are not names (comments,
/// peeled tags) never match.
fn read_packed(path: &Path, name: &str) -> Result<Option<String>, String> {
    let failed = |error: std::io::Error| match system::regular::is_not_regular(&error) {
        true => format!("packed-refs {error}"),
        false => format!("packed-refs cannot be read: {error}"),
    };
    let file = match system::regular::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::with_capacity(32 * 1024, file.take(PACKED_LIMIT));
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        let length = (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(failed)?;
        if length == 0 {
            return Ok(None);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let Some(separator) = text.iter().position(|byte| *byte == b' ') else { continue };
        if text.get(separator + 1..) != Some(name.as_bytes()) {
            continue;
        }
        let commit = text.get(..separator).and_then(|commit| std::str::from_utf8(commit).ok());
        if let Some(commit) = commit.filter(|commit| is_commit(commit)) {
            return Ok(Some(commit.to_ascii_lowercase()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        directory
    }

    fn head(files: &[(&str, &[u8])]) -> Head {
        let directory = repository(files);
        read_head(directory.path(), directory.path())
    }

    fn branch(name: &str, commit: Option<&str>) -> Head {
        Head::Branch { name: name.to_owned(), commit: commit.map(str::to_owned) }
    }

    #[test]
    fn loose_ref_wins_over_a_packed_one() {
        let packed =
            format!("# pack-refs with: peeled fully-peeled sorted \n{} refs/heads/main\n", "f".repeat(40));
        let loose = format!("{COMMIT}\n");
        let files: [(&str, &[u8]); 3] = [
            ("HEAD", b"ref: refs/heads/main\n"),
            ("refs/heads/main", loose.as_bytes()),
            ("packed-refs", packed.as_bytes()),
        ];
        assert_eq!(head(&files), branch("main", Some(COMMIT)));
        assert_eq!(head(&[files[0], files[2]]), branch("main", Some(&"f".repeat(40))));
        assert_eq!(head(&[files[0]]), branch("main", None));
    }

    #[test]
    fn packed_ref_must_match_to_the_end() {
        let packed =
            format!("{COMMIT} refs/heads/main2\n^{COMMIT}\n{COMMIT} refs/heads/xrefs/heads/main\nrubbish\n");
        assert_eq!(
            head(&[("HEAD", b"ref: refs/heads/main\n"), ("packed-refs", packed.as_bytes())]),
            branch("main", None)
        );
    }

    #[test]
    fn branches_with_slashes_beside_directories_of_the_same_name() {
        let packed = format!("{COMMIT} refs/heads/feature\n");
        let files: [(&str, &[u8]); 3] = [
            ("HEAD", b"ref: refs/heads/feature\n"),
            ("refs/heads/feature/x", b""),
            ("packed-refs", packed.as_bytes()),
        ];
        assert_eq!(head(&files), branch("feature", Some(COMMIT)));
    }

    #[test]
    fn detached_and_sha256_heads() {
        assert_eq!(head(&[("HEAD", COMMIT.as_bytes())]), Head::Detached { commit: COMMIT.to_owned() });
        let long = "a".repeat(64);
        assert_eq!(head(&[("HEAD", long.to_uppercase().as_bytes())]), Head::Detached { commit: long });
    }

    #[test]
    fn malformed_head_is_unreadable_and_names_its_fault() {
        let cases: [&[u8]; 7] = [
            b"",
            b"ref: \n",
            b"ref: ../../etc/passwd\n",
            b"ref: /etc/passwd\n",
            b"ref: refs/heads/.invalid\n",
            b"\xff\xfe\x00",
            b"0123\n",
        ];
        for case in cases {
            assert!(matches!(head(&[("HEAD", case)]), Head::Unreadable(_)), "{case:?}");
        }
        assert!(matches!(head(&[]), Head::Unreadable(_)));
        let huge = vec![b'a'; 1 << 20];
        assert!(matches!(head(&[("HEAD", &huge)]), Head::Unreadable(_)));
    }

    #[test]
    fn circle_of_symbolic_refs_ends() {
        let files: [(&str, &[u8]); 2] =
            [("HEAD", b"ref: refs/heads/a\n"), ("refs/heads/a", b"ref: refs/heads/a\n")];
        assert!(matches!(head(&files), Head::Unreadable(_)));
    }
}
