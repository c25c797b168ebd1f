use super::world::World;
use mission::clock::Clock;
use mission::command::create::{CreateRequest, plan};
use mission::log::read_log;
use mission::meta::read_meta;
use serde_json::json;

#[test]
fn new_mission_has_identity_log_templates_and_committed_meta() {
    let world = World::new();
    let created = world.create("demo-thing");
    let slug = &created.mission_slug;
    let dir = world.root.join("kitty-specs").join(slug);
    let meta = read_meta(&dir).unwrap().unwrap();
    meta.validate().unwrap();
    assert_eq!(meta.mission_id(), Some(created.mission_id.as_str()));
    assert_eq!(*slug, format!("demo-thing-{}", &created.mission_id[..8]));
    assert_eq!(created.friendly_name, "demo thing");
    let names: Vec<_> = world.log(slug).iter().map(|row| row["event_type"].clone()).collect();
    assert_eq!(names, ["MissionCreated", "SpecifyStarted"]);
    assert_eq!(read_log(&dir).unwrap().facts().count(), 2);
    for file in ["spec.md", "tasks/README.md", "tasks/.gitkeep"] {
        assert!(dir.join(file).is_file(), "{file}");
    }
    assert_eq!(world.git(["log", "-1", "--format=%s"]).trim(), format!("Add meta for feature {slug}"));
    let committed = world.git(["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(committed.trim(), format!("kitty-specs/{slug}/meta.json"));
    assert_eq!(created.commit_hash.as_deref(), Some(world.git(["rev-parse", "HEAD"]).trim()));
}

#[test]
fn mission_of_the_same_name_and_instant_is_refused() {
    let world = World::new();
    let (project, clock) = (world.project(), Clock::fixed_at("2026-11-30T12:00:00.1Z".parse().unwrap()));
    let planned = |slug: &str| {
        let request = CreateRequest { slug: slug.into(), ..Default::default() };
        plan(&project, &request, &world.root, &clock)
    };
    // The second is planned before the first is written, the third after it.
    let (first, second) = (planned("demo").unwrap(), planned("demo").unwrap());
    let created = first.apply(None, &clock).unwrap();
    let meta = std::fs::read(&created.meta_file).unwrap();
    let errors = [second.apply(None, &clock).err(), planned("demo").err()];
    for error in errors {
        let error = error.expect("the directory exists");
        assert_eq!(error.code().name(), "MISSION_EXISTS");
        assert!(error.to_string().contains(&created.feature_dir), "{error}");
    }
    assert_eq!(std::fs::read(&created.meta_file).unwrap(), meta);
    planned("other").unwrap().apply(None, &clock).unwrap();
}

#[test]
fn mission_of_a_known_name_is_created_with_a_warning() {
    let world = World::new();
    let project = world.project();
    let create = |slug: &str, at: &str| {
        let clock = Clock::fixed_at(at.parse().unwrap());
        let request = CreateRequest { slug: slug.into(), ..Default::default() };
        plan(&project, &request, &world.root, &clock).unwrap().apply(None, &clock).unwrap()
    };
    let first = create("demo", "2026-11-30T12:00:00Z");
    assert!(first.warnings.is_empty(), "{:?}", first.warnings);
    assert!(create("demo-two", "2026-11-30T12:00:02Z").warnings.is_empty());
    let second = create("demo", "2026-11-30T12:00:04Z");
    assert!(matches!(&second.warnings[..], [warning] if warning.contains(&first.mission_slug)), "{second:?}");
}

#[test]
fn json_document_has_the_keys_that_callers_read() {
    let world = World::new();
    let document = serde_json::to_value(world.create("demo")).unwrap();
    for key in [
        "result",
        "mission_slug",
        "mission_id",
        "feature_dir",
        "spec_file",
        "meta_file",
        "created_files",
        "write_mode",
        "origin_binding",
        "CURRENT_BRANCH",
        "target_branch",
        "runtime_vars",
        "branch_context",
        "NOW_UTC_ISO",
    ] {
        assert!(document.get(key).is_some(), "{key}");
    }
    assert_eq!(document["mission_number"], json!(null));
    assert_eq!(document["branch_context"]["matches_target"], json!(true));
    assert_eq!(document["capture"], json!({ "state": "local" }));
}

#[test]
fn topology_is_written_and_a_coordination_branch_is_made() {
    let world = World::new();
    let create = |slug: &str, shape: &str| {
        let request = CreateRequest { slug: slug.into(), topology: shape.parse().ok(), ..Default::default() };
        assert!(request.topology.is_some(), "{shape}");
        plan(&world.project(), &request, &world.root, &world.clock)?.apply(None, &world.clock)
    };
    let meta = |slug: &str| read_meta(&world.root.join("kitty-specs").join(slug)).unwrap().unwrap();
    let flat = create("flat", "single_branch").unwrap().mission_slug;
    assert!(meta(&flat).is_current() && meta(&flat).coordination_branch().unwrap().is_none());
    let head = world.git(["rev-parse", "HEAD"]);
    let coord = create("coord", "coord").unwrap().mission_slug;
    let branch = format!("kitty/mission-{coord}");
    assert_eq!(meta(&coord).coordination_branch().unwrap(), Some(branch.as_str()));
    // It starts before the mission.
    assert_eq!(world.git(["rev-parse", &branch]), head);
    assert_eq!(world.log(&coord).len(), 2);
    let board = mission::command::status::show(&world.project(), Some(&coord)).unwrap().missions.remove(0);
    assert_eq!(board.warnings, Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn coordination_branch_of_a_mission_that_fails_is_taken_away() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let hook = world.root.join(".git/hooks/pre-commit");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let request = CreateRequest { slug: "demo".into(), topology: "coord".parse().ok(), ..Default::default() };
    let before = (world.state(), world.git(["for-each-ref"]));
    let planned = plan(&world.project(), &request, &world.root, &world.clock).unwrap();
    assert!(planned.apply(None, &world.clock).is_err());
    assert!(before == (world.state(), world.git(["for-each-ref"])));
}

#[test]
fn start_branch_is_made_and_a_failed_mission_leaves_none() {
    let world = World::new();
    let create = |slug: &str, branch: &str| {
        let request = CreateRequest {
            slug: slug.into(),
            start_branch: Some(branch.into()),
            retain_branches: true,
            ..Default::default()
        };
        plan(&world.project(), &request, &world.root, &world.clock)?.apply(None, &world.clock)
    };
    world.git(["branch", "known"]);
    let made = create("one", "topic/one").unwrap();
    assert_eq!(world.git(["branch", "--show-current"]).trim(), "topic/one");
    assert_eq!((made.branches.current.as_str(), made.branches.target.as_str()), ("topic/one", "topic/one"));
    let meta = read_meta(&world.root.join("kitty-specs").join(&made.mission_slug)).unwrap().unwrap();
    assert_eq!((meta.get("retain_branches"), meta.get("retain_worktrees")), (Some(&true.into()), None));
    assert_eq!(
        world.git(["log", "-1", "--format=%s"]).trim(),
        format!("Add meta for feature {}", made.mission_slug)
    );
    assert_eq!(create("two", "known").unwrap().branches.current, "known");
    let request = CreateRequest {
        slug: "three".into(),
        start_branch: Some("topic/three".into()),
        target_branch: Some("main".into()),
        ..Default::default()
    };
    assert!(request.check().unwrap_err().to_string().contains("--target-branch"));
    // The hook refuses the commit, after the branch was checked out.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let hook = world.root.join(".git/hooks/pre-commit");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        let before = (world.state(), world.git(["for-each-ref"]));
        create("four", "topic/four").unwrap_err();
        assert!(before == (world.state(), world.git(["for-each-ref"])));
        assert_eq!(world.git(["branch", "--show-current"]).trim(), "known");
    }
}

#[test]
fn staged_files_of_the_user_stay_staged_and_uncommitted() {
    let world = World::new();
    world.write("staged.txt", "staged");
    world.write("README.md", "staged change");
    world.git(["add", "staged.txt", "README.md"]);
    world.write("README.md", "and a later change");
    world.create("demo");
    assert_eq!(world.git(["diff", "--cached", "--name-only"]).trim(), "README.md\nstaged.txt");
    assert_eq!(world.git(["show", ":README.md"]), "staged change");
    assert_eq!(
        world.git(["status", "--porcelain", "README.md", "staged.txt"]),
        "MM README.md\nA  staged.txt\n"
    );
}

#[test]
fn commit_on_an_unborn_branch_is_its_first() {
    let world = World::new();
    std::fs::remove_dir_all(world.root.join(".git")).unwrap();
    world.git(["init", "-q", "-b", "trunk"]);
    world.git(["config", "user.name", "Dev"]);
    world.git(["config", "user.email", "dev@example.com"]);
    world.git(["add", "README.md"]);
    let created = world.create("demo");
    assert_eq!(created.branches.current, "trunk");
    assert_eq!(world.git(["rev-list", "--count", "HEAD"]).trim(), "1");
    assert_eq!(world.git(["diff", "--cached", "--name-only"]).trim(), "README.md");
}

#[test]
fn hook_that_refuses_leaves_everything_as_it_was() {
    let world = World::new();
    world.write("staged.txt", "staged");
    world.git(["add", "staged.txt"]);
    world.write(".git/hooks/pre-commit", "#!/bin/sh\necho 'house rule 7' >&2\nexit 1\n");
    #[cfg(unix)]
    std::fs::set_permissions(
        world.root.join(".git/hooks/pre-commit"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let before = world.state();
    let project = world.project();
    let request = CreateRequest { slug: "demo".into(), ..Default::default() };
    let plan = plan(&project, &request, &world.root, &world.clock).unwrap();
    let error = plan.apply(None, &world.clock).unwrap_err();
    assert!(error.to_string().contains("house rule 7"), "{error}");
    assert_eq!(error.code().name(), "GIT_COMMIT_FAILED");
    assert_eq!(world.state(), before);
    // Not even the lock of the mission that never was.
    assert_eq!(std::fs::read_dir(world.root.join(".git/spec-kitty-locks")).unwrap().count(), 0);
}

#[test]
fn merge_under_way_is_never_concluded_by_us() {
    let world = World::new();
    world.git(["switch", "-q", "-c", "other"]);
    world.write("README.md", "other");
    world.git(["commit", "-q", "-am", "other"]);
    world.git(["switch", "-q", "main"]);
    world.git(["merge", "-q", "--no-ff", "--no-commit", "other"]);
    let before = world.state();
    let project = world.project();
    let request = CreateRequest { slug: "demo".into(), ..Default::default() };
    let error = plan(&project, &request, &world.root, &world.clock)
        .and_then(|plan| plan.apply(None, &world.clock))
        .unwrap_err();
    assert_eq!(error.code().name(), "GIT_OPERATION_IN_PROGRESS");
    assert_eq!(world.state(), before);
    assert!(!world.root.join(".git/spec-kitty-locks").exists());
}

#[test]
fn create_rejects_wrong_arguments_before_writing() {
    let world = World::new();
    let before = world.state();
    let project = world.project();
    let ask = |request: &CreateRequest, cwd: &std::path::Path| {
        plan(&project, request, cwd, &world.clock).unwrap_err()
    };
    let bad = CreateRequest { slug: "Bad_Slug".into(), ..Default::default() };
    assert!(ask(&bad, &world.root).to_string().contains("kebab-case"));
    let blank = CreateRequest { slug: "a".into(), friendly_name: Some("  ".into()), ..Default::default() };
    assert!(ask(&blank, &world.root).to_string().starts_with("--friendly-name"));
    let fine = CreateRequest { slug: "a".into(), ..Default::default() };
    assert!(ask(&fine, &world.root.join(".worktrees/x")).to_string().contains(".worktrees"));
    world.git(["checkout", "-q", "--detach"]);
    let error = plan(&world.project(), &fine, &world.root, &world.clock).unwrap_err();
    assert_eq!(error.code().name(), "DETACHED_HEAD");
    assert_eq!(world.state(), before);
}
