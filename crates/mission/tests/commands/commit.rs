//! Commits beside concurrent ones: no other commit is reverted, and finished work stays.
#![cfg(unix)]

use super::tasks::{mark, ready};
use super::world::World;
use mission::Result;
use mission::command::mark_status;

/// Makes a concurrent commit, without touching index or worktree, when git has next written an index.
const THEIRS: &str = "#!/bin/sh
rm -f .git/hooks/post-index-change
blob=$(echo theirs | git hash-object -w --stdin)
export GIT_INDEX_FILE=.git/theirs.index
git read-tree HEAD
git update-index --add --cacheinfo 100644,$blob,theirs.txt
git update-ref HEAD $(git commit-tree $(git write-tree) -p HEAD -m theirs)
rm -f .git/theirs.index
";

fn hook(world: &World, name: &str, text: &str) {
    let path = format!(".git/hooks/{name}");
    world.write(&path, text);
    std::fs::set_permissions(world.root.join(path), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
}

fn tick(world: &World, slug: &str) -> Result<mark_status::Marking> {
    mark(world, slug, &["T001"], "done")
}

#[test]
fn concurrent_commit_becomes_the_parent() {
    let world = World::new();
    hook(&world, "post-index-change", THEIRS);
    let created = world.create("other");
    assert_eq!(world.git(["show", "HEAD:theirs.txt"]), "theirs\n");
    let meta = format!("HEAD:kitty-specs/{}/meta.json", created.mission_slug);
    assert!(!world.git(["show", &meta]).is_empty());
    let history = world.git(["log", "--format=%H %s"]);
    assert!(history.starts_with(&format!("{} Add meta", created.commit_hash.unwrap())), "{history}");
    assert!(history.contains(" theirs\n"), "{history}");

    let slug = ready(&world);
    world.git(["rm", "-q", "--cached", "--ignore-unmatch", "theirs.txt"]);
    world.git(["commit", "-q", "-m", "without"]);
    hook(&world, "post-index-change", THEIRS);
    tick(&world, &slug).unwrap();
    assert_eq!(world.git(["show", "HEAD:theirs.txt"]), "theirs\n");
    assert!(world.git(["show", &format!("HEAD:kitty-specs/{slug}/tasks.md")]).contains("[x] T001"));
}

#[test]
fn locked_index_is_waited_for_and_then_nothing_is_kept() {
    let world = World::new();
    let slug = ready(&world);
    let before = world.state();
    world.write(".git/index.lock", "");
    let error = tick(&world, &slug).unwrap_err();
    std::fs::remove_file(world.root.join(".git/index.lock")).unwrap();
    assert_eq!(error.code().name(), "GIT_COMMIT_FAILED");
    assert!(error.to_string().contains("index.lock"), "{error}");
    assert_eq!(world.state(), before);
    assert!(tick(&world, &slug).unwrap().commit_hash.is_some());
}

#[test]
fn index_write_failure_does_not_undo_the_commit() {
    let world = World::new();
    let slug = ready(&world);
    hook(&world, "reference-transaction", "#!/bin/sh\n[ \"$1\" != committed ] || rm -f .git/index.lock\n");
    let done = tick(&world, &slug).unwrap();
    let tasks = format!("kitty-specs/{slug}/tasks.md");
    assert_eq!(done.commit_hash.as_deref(), Some(world.git(["rev-parse", "HEAD"]).trim()));
    assert!(world.read(&tasks).contains("[x] T001"));
    assert_eq!(world.git(["show", &format!("HEAD:{tasks}")]), world.read(&tasks));
}

#[test]
fn refused_commit_of_new_files_leaves_the_index_without_them() {
    let world = World::new();
    world.write("staged.txt", "staged");
    world.git(["add", "staged.txt"]);
    hook(&world, "pre-commit", "#!/bin/sh\nexit 1\n");
    let project = world.project();
    let request = mission::command::create::CreateRequest { slug: "demo".into(), ..Default::default() };
    let plan = mission::command::create::plan(&project, &request, &world.root, &world.clock).unwrap();
    assert!(plan.apply(None, &world.clock).is_err());
    assert_eq!(world.git(["ls-files"]), ".kittify/.gitkeep\nREADME.md\nstaged.txt\n");
}
