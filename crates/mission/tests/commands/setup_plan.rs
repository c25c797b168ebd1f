use super::world::{PLAN, SPEC, World};

fn kinds(world: &World, slug: &str) -> Vec<String> {
    world.log(slug).iter().map(|row| row["event_type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn mission_is_planned_step_by_step_and_again_without_effect() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let dir = format!("kitty-specs/{slug}");

    let before = world.state();
    let blocked = world.setup_plan(&slug, None).unwrap();
    assert_eq!(
        (blocked.result, blocked.error_code),
        ("blocked", Some("SPEC_NOT_SUBSTANTIVE_OR_UNCOMMITTED"))
    );
    assert_eq!((blocked.spec_committed, blocked.spec_substantive), (Some(false), Some(false)));
    assert_eq!(world.state(), before);

    world.write(format!("{dir}/spec.md"), SPEC);
    world.git(["add", &format!("{dir}/spec.md")]);
    let staged = world.setup_plan(&slug, None).unwrap();
    assert_eq!((staged.spec_committed, staged.spec_substantive), (Some(false), Some(true)));

    world.git(["commit", "-q", "-m", "spec"]);
    let scaffold = world.setup_plan(&slug, None).unwrap();
    assert_eq!((scaffold.result, scaffold.plan_substantive), ("blocked", Some(false)));
    assert!(world.read(format!("{dir}/plan.md")).contains("Technical Context"));
    assert_eq!(kinds(&world, &slug)[2..], ["SpecifyCompleted", "PlanStarted"]);
    let after_scaffold = world.state();
    world.setup_plan(&slug, None).unwrap();
    assert_eq!(world.state(), after_scaffold);

    world.write(format!("{dir}/plan.md"), PLAN);
    let done = world.setup_plan(&slug[slug.len() - 8..], None).unwrap();
    assert_eq!((done.result, done.phase_complete), ("success", true));
    assert!(done.commit_hash.is_some());
    assert_eq!(world.git(["log", "-1", "--format=%s"]).trim(), format!("Add plan for feature {slug}"));
    assert_eq!(kinds(&world, &slug)[4..], ["PlanCompleted"]);

    let finished = world.state();
    let again = world.setup_plan(&slug, None).unwrap();
    assert_eq!((again.result, again.commit_hash), ("success", None));
    assert_eq!(world.state(), finished);
}

#[test]
fn missing_mission_differs_from_one_without_spec() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let unknown = world.setup_plan("other", None).unwrap_err();
    assert_eq!(unknown.code().name(), "PLAN_CONTEXT_UNRESOLVED");
    assert_eq!(unknown.facts()["available_missions"][0], slug.as_str());
    std::fs::remove_file(world.root.join(format!("kitty-specs/{slug}/spec.md"))).unwrap();
    assert_eq!(world.setup_plan(&slug, None).unwrap_err().code().name(), "SPEC_FILE_MISSING");
    assert!(world.setup_plan("../..", None).is_err());
}

#[test]
fn commit_takes_the_plan_and_nothing_else_that_was_staged() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    world.write(format!("kitty-specs/{slug}/spec.md"), SPEC);
    world.git(["add", "kitty-specs"]);
    world.git(["commit", "-q", "-m", "spec"]);
    world.write(format!("kitty-specs/{slug}/plan.md"), PLAN);
    world.write("mine.txt", "mine");
    world.git(["add", "mine.txt"]);
    world.setup_plan(&slug, None).unwrap();
    let committed = world.git(["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(committed.trim(), format!("kitty-specs/{slug}/plan.md"));
    assert_eq!(world.git(["diff", "--cached", "--name-only"]).trim(), "mine.txt");
}
