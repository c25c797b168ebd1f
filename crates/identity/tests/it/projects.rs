//! Search for the project, and parts of its file that writing the identity preserves.

use identity::git::read_git_facts;
use identity::{Environment, ProjectIdentity, locate_project_root};
use std::fs;
use std::path::{Path, PathBuf};
use system::Machine;

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("a path");
    (directory, path)
}

fn make(path: &Path) -> PathBuf {
    fs::create_dir_all(path).expect("a directory");
    path.to_path_buf()
}

fn locate(start: &Path) -> Option<PathBuf> {
    locate_project_root(start, &Environment::default())
}

fn machine() -> Machine {
    Machine { hostname: "host".to_owned(), uid: 1 }
}

fn ensure(root: &Path) -> Result<ProjectIdentity, identity::ProjectError> {
    let git = read_git_facts(root).expect("git facts");
    ProjectIdentity::ensure(root, git.as_ref(), &machine(), &Environment::from_pairs([("USER", "u")]))
}

/// A repository's skeleton, without running git.
fn make_git(root: &Path) {
    make(&root.join(".git").join("refs"));
    fs::write(root.join(".git").join("HEAD"), "ref: refs/heads/main\n").expect("HEAD");
}

/// A linked worktree of `main` at `linked`.
fn link_worktree(main: &Path, linked: &Path) {
    let private = make(&main.join(".git").join("worktrees").join("w"));
    fs::write(private.join("HEAD"), "ref: refs/heads/side\n").expect("HEAD");
    fs::write(private.join("commondir"), "../..\n").expect("commondir");
    make(linked);
    fs::write(linked.join(".git"), format!("gitdir: {}\n", private.display())).expect(".git");
}

#[test]
fn nearest_marker_upwards_is_the_root() {
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    let deep = make(&root.join("a").join("b"));
    assert_eq!(locate(&deep), Some(root.clone()));
    make(&root.join("a").join(".kittify"));
    assert_eq!(locate(&deep), Some(root.join("a")));
}

#[test]
fn outside_of_projects_there_is_none() {
    let (_keep, root) = directory();
    assert_eq!(locate(&root), None);
    fs::write(root.join(".kittify"), "a file").expect("a file");
    assert_eq!(locate(&root), None);
}

#[test]
fn linked_worktree_resolves_to_its_main_checkout() {
    let (_keep, root) = directory();
    let (main, linked) = (root.join("main"), root.join("linked"));
    make_git(&main);
    link_worktree(&main, &linked);
    make(&linked.join(".kittify"));
    assert_eq!(locate(&linked), Some(linked.clone()), "the main checkout is no project");
    make(&main.join(".kittify"));
    assert_eq!(locate(&linked), Some(main.clone()));
    assert_eq!(locate(&make(&linked.join("src"))), Some(main));
}

#[test]
fn variable_wins_when_it_names_a_project() {
    let (_keep, root) = directory();
    make(&root.join("here").join(".kittify"));
    make(&root.join("there").join(".kittify"));
    let start = root.join("here");
    let with =
        |value: &Path| locate_project_root(&start, &Environment::from_pairs([("SPECIFY_REPO_ROOT", value)]));
    assert_eq!(with(&root.join("there")), Some(root.join("there")));
    assert_eq!(with(&root.join("nowhere")), Some(start.clone()));
}

#[test]
fn broken_git_pointer_does_not_hide_the_project() {
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    for content in ["", "gitdir:", "gitdir: /nowhere\n", "\u{0}\u{1}"] {
        fs::write(root.join(".git"), content).expect(".git");
        assert_eq!(locate(&root), Some(root.clone()), "{content:?}");
    }
}

#[cfg(unix)]
#[test]
fn marker_that_leads_nowhere_is_passed_over() {
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    let inner = make(&root.join("inner"));
    std::os::unix::fs::symlink("/nowhere", inner.join(".kittify")).expect("a link");
    assert_eq!(locate(&inner), Some(root));
}

#[test]
fn first_run_writes_an_identity_and_later_runs_nothing() {
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    make_git(&root);
    let first = ensure(&root).expect("an identity");
    let before = testkit::tree::snapshot(&root);
    assert_eq!(ensure(&root).expect("the same"), first);
    assert_eq!(ProjectIdentity::read(&root).expect("readable").uuid, Some(first.uuid));
    assert_eq!(testkit::tree::snapshot(&root), before);
}

#[test]
fn without_git_the_directory_names_the_project() {
    let (_keep, root) = directory();
    let root = make(&root.join("My_Dir Name"));
    let identity = ensure(&root).expect("an identity");
    assert_eq!((identity.slug.as_str(), identity.repo_slug), ("my-dir-name", None));
}

#[test]
fn first_runs_at_the_same_time_agree() {
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    make_git(&root);
    let identities: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| ensure(&root).expect("an identity"))).collect();
        runs.into_iter().map(|run| run.join().expect("a thread")).collect()
    });
    assert!(identities.iter().all(|identity| *identity == identities[0]), "{identities:#?}");
}

#[cfg(unix)]
#[test]
fn mode_and_link_of_the_file_stay() {
    use std::os::unix::fs::PermissionsExt;
    let (_keep, root) = directory();
    make(&root.join(".kittify"));
    let target = root.join("shared.yaml");
    fs::write(&target, "vcs: git\n").expect("a file");
    crate::world::set_mode(&target, 0o664);
    let link = identity::project::config_file(&root);
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    ensure(&root).expect("an identity");
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&target).expect("metadata").permissions().mode() & 0o777, 0o664);
    assert!(fs::read_to_string(&target).expect("text").starts_with("vcs: git\nproject:\n"));
}

#[test]
fn hostile_files_are_errors_that_name_the_file() {
    let deep = format!("project: {}", "[".repeat(100_000));
    let bomb = "a: &a [x,x]\nb: &b [*a,*a]\nproject: {uuid: *b}\n";
    let cases: [&[u8]; 6] = [
        b"\xff\xfe",
        deep.as_bytes(),
        bomb.as_bytes(),
        b"- a\n",
        b"project: [1]\n",
        b"project:\n  uuid: nope\n",
    ];
    for case in cases {
        let (_keep, root) = directory();
        let path = identity::project::config_file(&root);
        make(path.parent().expect("a parent"));
        fs::write(&path, case).expect("a file");
        let message = ensure(&root).expect_err("an error").to_string();
        assert!(message.contains("config.yaml"), "{message}");
        assert_eq!(fs::read(&path).expect("untouched"), case);
    }
    let (_keep, root) = directory();
    make(&identity::project::config_file(&root));
    assert!(ensure(&root).expect_err("an error").to_string().contains("is a directory"));
}
