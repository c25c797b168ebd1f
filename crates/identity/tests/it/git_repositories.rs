//! Git facts against repositories that git itself made: our reader agrees with git.

use identity::git::{GitFacts, Head, read_git_facts};
use std::path::{Path, PathBuf};
use std::process::Command;

struct Repository {
    _directory: tempfile::TempDir,
    root: PathBuf,
}

/// Runs git away from the user's configuration; its output, or `None` when it failed.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A new repository on branch `main`.
fn repository() -> Repository {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().canonicalize().expect("a path").join("my repo");
    std::fs::create_dir(&root).expect("a directory");
    git(&root, &["init", "-q", "-b", "main"]).expect("git");
    Repository { _directory: directory, root }
}

fn commit(root: &Path) {
    git(root, &["commit", "-q", "--allow-empty", "-m", "x"]).expect("a commit");
}

fn facts(root: &Path) -> GitFacts {
    read_git_facts(root).expect("readable").expect("a repository")
}

/// Branch, commit, origin and common directory equal git's own answers.
fn assert_agrees(root: &Path) -> GitFacts {
    let facts = facts(root);
    assert_eq!(facts.commit(), git(root, &["rev-parse", "-q", "--verify", "HEAD"]).as_deref());
    if facts.commit().is_some() {
        assert_eq!(facts.branch(), git(root, &["rev-parse", "--abbrev-ref", "HEAD"]).as_deref());
    }
    assert_eq!(facts.origin_url, git(root, &["remote", "get-url", "origin"]));
    let common = git(root, &["rev-parse", "--git-common-dir"]).expect("a directory");
    let canonical = |path: &Path| path.canonicalize().expect("a path");
    assert_eq!(canonical(&facts.common_dir), canonical(&root.join(common)));
    facts
}

#[test]
fn unborn_branch_has_a_name_and_no_commit() {
    let repository = repository();
    let facts = assert_agrees(&repository.root);
    assert_eq!(facts.head, Head::Branch { name: "main".to_owned(), commit: None });
    assert_eq!((facts.branch(), facts.commit()), (None, None));
}

#[test]
fn loose_packed_and_detached_heads_and_branches_with_slashes() {
    let Repository { root, _directory } = repository();
    commit(&root);
    assert_agrees(&root);
    git(&root, &["checkout", "-q", "-b", "feature/deep/er"]).expect("a branch");
    commit(&root);
    assert_eq!(assert_agrees(&root).branch(), Some("feature/deep/er"));
    git(&root, &["tag", "-a", "v1", "-m", "annotated"]).expect("a tag");
    git(&root, &["pack-refs", "--all"]).expect("packed");
    assert_agrees(&root);
    commit(&root);
    assert_agrees(&root);
    git(&root, &["checkout", "-q", "--detach"]).expect("detached");
    assert_eq!(assert_agrees(&root).branch(), Some("HEAD"));
}

#[test]
fn origin_as_people_write_it() {
    let Repository { root, _directory } = repository();
    for url in
        ["git@github.com:acme/Widget_Shop.git", "https://h/a b#c;d/e\"f.git", "C:\\srv\\x", "../sibling"]
    {
        let _ = git(&root, &["remote", "remove", "origin"]);
        git(&root, &["remote", "add", "origin", url]).expect("a remote");
        assert_agrees(&root);
    }
    git(&root, &["config", "--add", "remote.origin.url", "second"]).expect("a second url");
    assert_eq!(facts(&root).origin_url.as_deref(), Some("../sibling"));
}

#[test]
fn linked_worktree_has_its_own_head_and_the_common_directory() {
    let Repository { root, _directory } = repository();
    commit(&root);
    let linked = root.parent().expect("a parent").join("linked");
    git(&root, &["worktree", "add", "-q", "-b", "side", &linked.to_string_lossy()]).expect("a worktree");
    commit(&linked);
    let facts = assert_agrees(&linked);
    assert_eq!(facts.branch(), Some("side"));
    assert_eq!(facts.common_dir, root.join(".git"));
    assert_ne!(facts.git_dir, facts.common_dir);
    let inside = linked.join("a").join("b");
    std::fs::create_dir_all(&inside).expect("a directory");
    assert_eq!(read_git_facts(&inside).expect("readable"), Some(facts));
}

#[test]
fn relative_pointers_resolve_as_in_git() {
    let Repository { root, _directory } = repository();
    commit(&root);
    let separate = root.parent().expect("a parent").join("separate");
    std::fs::create_dir(&separate).expect("a directory");
    std::fs::write(separate.join(".git"), "gitdir: ../my repo/.git\n").expect("a pointer");
    assert_agrees(&separate);
}

#[test]
fn sha256_repository_has_long_commits() {
    let Repository { root, _directory } = repository();
    let long = root.join("long");
    git(&root, &["init", "-q", "-b", "main", "--object-format=sha256", "long"]).expect("git 2.29 or later");
    commit(&long);
    assert_eq!(assert_agrees(&long).commit().map(str::len), Some(64));
}

/// The files that git 2.45 and later write for `--ref-format=reftable`.
#[test]
fn reftable_is_recognised() {
    let Repository { root, _directory } = repository();
    let git = root.join(".git");
    let config = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n";
    std::fs::write(git.join("config"), config).expect("a configuration");
    std::fs::write(git.join("HEAD"), "ref: refs/heads/.invalid\n").expect("a head");
    std::fs::create_dir(git.join("reftable")).expect("a directory");
    let facts = facts(&root);
    assert!(matches!(&facts.head, Head::Unreadable(reason) if reason.contains("reftable")), "{facts:?}");
}

#[test]
fn outside_of_repositories_there_are_no_facts() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join(".git")).expect("a directory that is no repository");
    assert_eq!(read_git_facts(directory.path()).expect("readable"), None);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_paths_like_others() {
    use std::os::unix::ffi::OsStrExt;
    let Repository { root, _directory } = repository();
    commit(&root);
    let strange = root.parent().expect("a parent").join(std::ffi::OsStr::from_bytes(b"w\xff\n'\"x"));
    std::fs::rename(&root, &strange).expect("renamed");
    let facts = facts(&strange);
    assert_eq!((facts.branch(), facts.worktree.as_path()), (Some("main"), strange.as_path()));
}
