//! Missions in a linked worktree that a command names.

use super::world::World;
use mission::Project;
use mission::command::owned_checkout::{check_owned_mission, owned_checkout};
use std::path::Path;

#[test]
fn checkout_is_the_top_of_one_of_the_same_repository_with_the_branch_of_the_mission() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    world.git(["add", "--all"]);
    world.git(["commit", "--quiet", "-m", "mission"]);
    let linked = world.root.with_file_name("linked");
    world.git(["worktree", "add", "--quiet", "-b", "topic", linked.to_str().unwrap()]);
    let refused = |path: &Path| owned_checkout(&world.project(), path).unwrap_err().to_string();
    assert!(refused(&linked.join("kitty-specs")).contains("is not the top directory of a checkout"));
    assert!(refused(&world.root.with_file_name("gone")).contains("cannot be read"));
    let other = World::new();
    assert!(refused(&other.root).contains("is a checkout of another repository"));
    let checkout = owned_checkout(&world.project(), &linked).unwrap();
    assert_eq!(checkout.root(), linked);
    let problem =
        |checkout: &Project, mission| check_owned_mission(checkout, mission).unwrap_err().to_string();
    assert!(problem(&checkout, None).contains("needs --mission"));
    assert!(problem(&checkout, Some(&slug)).contains("has topic checked out, and"));
    let meta = format!("kitty-specs/{slug}/meta.json");
    let text = world.read(&meta).replace("\"main\"", "\"topic\"");
    std::fs::write(linked.join(&meta), &text).unwrap();
    check_owned_mission(&checkout, Some(&slug)).unwrap();
    let text = text.replacen('{', "{\"coordination_branch\": \"kitty/x\",", 1);
    std::fs::write(linked.join(&meta), text).unwrap();
    assert!(problem(&checkout, Some(&slug)).contains("has a coordination branch"));
}
