//! Branches that are read: clones, remotes, missing branches and worktrees.

use super::*;

#[test]
fn fresh_clone_shows_the_board_and_writing_makes_the_branch() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let clone = mission.clone_to("clone");
    let shown = board(&clone, &mission.slug);
    assert_eq!((lanes(&shown).as_str(), shown.warnings.as_slice()), ("claimed planned", &[][..]));
    assert_eq!(git(&clone, &["branch", "--list", &mission.branch]), "");
    emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap();
    assert_eq!(lanes(&board(&clone, &mission.slug)), "in_progress planned");
    let upstream = git(&clone, &["rev-parse", "--abbrev-ref", &format!("{}@{{upstream}}", mission.branch)]);
    assert_eq!(upstream.trim(), format!("origin/{}", mission.branch));
    assert_eq!(
        git(&clone, &["rev-list", "--count", &format!("origin/{0}..{0}", mission.branch)]).trim(),
        "1"
    );
    // Nothing is pushed.
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn shallow_clone_of_all_branches_is_read_of_one_is_reported() {
    let mission = Coordinated::new();
    let source = format!("file://{}", mission.world.root.display());
    for (name, all) in [("all", true), ("one", false)] {
        let path = mission.world.root.with_file_name(name);
        let mut arguments = vec!["clone", "--quiet", "--depth", "1", &source, path.to_str().unwrap()];
        arguments.extend(all.then_some("--no-single-branch"));
        git(&mission.world.root, &arguments);
        let shown = board(&path, &mission.slug);
        let expected = if all { "planned planned" } else { "unknown unknown" };
        assert_eq!((lanes(&shown).as_str(), shown.warnings.is_empty()), (expected, all));
    }
}

/// A clone with two remotes whose coordination branches differ, and no local one.
fn diverged() -> (Coordinated, PathBuf) {
    let mission = Coordinated::new();
    let (clone, fork) = (mission.clone_to("clone"), mission.clone_to("fork"));
    emit_in(&mission.world, &fork, &mission.slug, "claimed").unwrap();
    let wp2 = mission::command::emit::EmitRequest { wp_id: "WP02".into(), ..to(&mission.slug, "blocked") };
    mission.world.emit(&wp2, None).unwrap();
    git(&clone, &["remote", "add", "fork", fork.to_str().unwrap()]);
    git(&clone, &["fetch", "--quiet", "--all"]);
    (mission, clone)
}

#[test]
fn differing_remotes_are_read_and_not_written_until_chosen() {
    let (mission, clone) = diverged();
    let shown = board(&clone, &mission.slug);
    assert_eq!(lanes(&shown), "claimed blocked");
    assert!(shown.warnings[0].contains("differ: fork/kitty/mission-"), "{:?}", shown.warnings);
    let error = emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap_err();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchDiverged);
    // The remedy, followed.
    let remedy = error.remedies()[0].to_string();
    let command = remedy.split('`').nth(1).unwrap();
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    git(&clone, &arguments);
    emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap();
}

#[test]
fn remotes_that_agree_are_one() {
    let mission = Coordinated::new();
    let clone = mission.clone_to("clone");
    git(&clone, &["remote", "add", "team/ada", mission.world.root.to_str().unwrap()]);
    git(&clone, &["fetch", "--quiet", "--all"]);
    emit_in(&mission.world, &clone, &mission.slug, "claimed").unwrap();
    assert_eq!(lanes(&board(&clone, &mission.slug)), "claimed planned");
}

/// A mission whose branch is lost; one package moved in the checkout's log.
fn lost() -> (Coordinated, MissionError) {
    let mission = Coordinated::new();
    let rows = mission.on_branch("status.events.jsonl");
    let log = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    let facts = mission.world.read(&log);
    mission.world.write(&log, &format!("{facts}{}\n", rows.lines().next().unwrap()));
    mission.world.git(["branch", "-D", &mission.branch]);
    let error = mission.refused();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchMissing);
    (mission, error)
}

#[test]
fn missing_branch_is_reported_and_its_packages_are_unknown() {
    let (mission, error) = lost();
    let shown = board(&mission.world.root, &mission.slug);
    assert_eq!((lanes(&shown).as_str(), &shown.summary["unknown"]), ("planned unknown", &json!(1)));
    let warning = &shown.warnings[0];
    assert!(
        warning.starts_with("lane rows may be missing: ") && warning.contains(&error.to_string()),
        "{warning}"
    );
    for remedy in error.remedies() {
        assert!(warning.contains(&remedy.to_string()), "{warning}");
    }
    let listed = list(&mission.world.project(), Some(&mission.slug), None).unwrap();
    assert_eq!((listed.tasks[1].lane.name(), listed.warnings[0].as_str()), ("unknown", warning.as_str()));
    let review = mission::command::action_context::ContextRequest {
        action: "review".to_owned(),
        mission: Some(mission.slug.clone()),
        wp_id: None,
        agent: None,
    };
    let none = mission::command::action_context::resolve(&mission.world.project(), &review).unwrap_err();
    assert!(none.to_string().contains(warning), "{none}");
    // Every command that writes on top of the log.
    let (project, clock) = (mission.world.project(), &mission.world.clock);
    assert!(materialize(&project, Some(&mission.slug), clock).is_err());
    assert!(finalize(&mission.world, &mission.slug).is_err());
    let ticked = mark_status::MarkStatusRequest {
        mission: Some(mission.slug.clone()),
        ids: vec!["T001".into()],
        status: "done".into(),
        commit: None,
    };
    assert!(mark_status::plan(&project, &ticked, clock).is_err());
}

#[test]
fn recreated_branch_is_written_again() {
    let (mission, error) = lost();
    mission.world.git(git_branch(&error, false));
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert!(mission.on_branch("status.events.jsonl").contains("\"claimed\""));
}

/// The arguments of `git branch` in the remedy of a missing branch, with or without a commit.
fn git_branch(error: &MissionError, with_commit: bool) -> Vec<String> {
    let remedy = error.remedies()[0].to_string();
    let is_asked = |part: &&str| part.starts_with("git branch ") && part.ends_with(" COMMIT") == with_commit;
    let command = remedy.split('`').find(is_asked).unwrap();
    command.split(' ').skip(1).map(str::to_owned).collect()
}

#[test]
fn deleted_branch_is_restored_from_the_commit_that_git_still_has() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let rows = mission.on_branch("status.events.jsonl");
    mission.world.git(["branch", "-D", &mission.branch]);
    let found = git(&mission.world.root, &["fsck", "--no-reflogs"]);
    let commit = found.lines().find_map(|line| line.strip_prefix("dangling commit ")).unwrap();
    let arguments = git_branch(&mission.refused(), true);
    mission.world.git(arguments.iter().map(|word| if word == "COMMIT" { commit } else { word }));
    assert_eq!(mission.on_branch("status.events.jsonl"), rows);
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn branch_that_a_remote_has_is_fetched_again() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let clone = mission.world.root.with_file_name("one");
    let source = format!("file://{}", mission.world.root.display());
    git(&mission.world.root, &["clone", "--quiet", "--single-branch", &source, clone.to_str().unwrap()]);
    configure(&clone);
    let error = emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap_err();
    let remedy = error.remedies()[0].to_string();
    let command =
        remedy.split('`').find(|part| part.starts_with("git fetch ")).unwrap().replace("REMOTE", "origin");
    git(&clone, &command.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(
        emit_in(&mission.world, &clone, &mission.slug, "in_progress").unwrap().from_lane.name(),
        "claimed"
    );
}

#[test]
fn mission_without_the_key_is_written_in_the_checkout() {
    let (mission, error) = lost();
    let remedy = error.remedies()[1].to_string();
    assert!(
        remedy.contains("remove the key `coordination_branch` from ") && remedy.contains("meta.json"),
        "{remedy}"
    );
    mission.set_meta("coordination_branch", Value::Null);
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn leftover_worktree_of_a_flattened_mission_is_ignored() {
    for (key, value) in
        [("flattened", json!(true)), ("topology", json!("lanes")), ("topology", json!("single_branch"))]
    {
        let mission = Coordinated::new();
        mission.worktree();
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
        let tip = mission.tip();
        mission.set_meta(key, value);
        assert_eq!(mission.lanes(), "planned planned");
        finalize(&mission.world, &mission.slug).unwrap();
        mission.world.emit(&to(&mission.slug, "blocked"), None).unwrap();
        assert_eq!((mission.lanes().as_str(), mission.tip()), ("blocked planned", tip));
    }
}

#[test]
fn worktree_of_another_mission_in_the_usual_place_is_not_used() {
    let mission = Coordinated::new();
    mission.world.git(["branch", "kitty/mission-other", "main"]);
    let path = mission.world.root.join(format!(".worktrees/{}-coord", mission.slug));
    mission.world.git(["worktree", "add", "--quiet", path.to_str().unwrap(), "kitty/mission-other"]);
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    assert_eq!(git(&path, &["status", "--porcelain"]), "");
    assert_eq!(mission.subjects()[0], "chore(spec-kitty): status transition WP01");
    assert_eq!(mission.lanes(), "claimed planned");
}

#[test]
fn name_that_is_no_branch_is_reported_and_refused() {
    let mission = Coordinated::new();
    mission.set_meta("coordination_branch", json!("--output=x"));
    let error = mission.refused().to_string();
    assert!(error.contains("meta.json: key `coordination_branch` is not the name of a branch"), "{error}");
    let shown = board(&mission.world.root, &mission.slug);
    assert!(shown.warnings[0].contains("coordination_branch"), "{:?}", shown.warnings);
    assert_eq!(lanes(&shown), "unknown unknown");
}

#[test]
fn remedies_quote_the_name_of_the_branch() {
    let mission = Coordinated::new();
    mission.set_meta("coordination_branch", json!("x;touch${IFS}p"));
    let remedy = mission.refused().remedies()[0].to_string();
    for command in ["`git branch 'x;touch${IFS}p'`", "`git fetch REMOTE 'x;touch${IFS}p:x;touch${IFS}p'`"] {
        assert!(remedy.contains(command), "{remedy}");
    }
}

#[test]
fn status_of_the_branch_is_judged_where_it_is() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
        let judge = || validate(&mission.world.project(), Some(&mission.slug)).unwrap();
        assert!(judge().passed, "{:?}", judge());
        let worktree = mission.worktree();
        std::fs::write(worktree.join(format!("kitty-specs/{}/status.json", mission.slug)), "{}").unwrap();
        git(&worktree, &["commit", "--quiet", "--all", "-m", "stale"]);
        if !checked_out {
            mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
        }
        assert!(judge().errors.join(" ").contains("WP01 is missing in status.json"), "{:?}", judge());
    }
    let (mission, _) = lost();
    let judged = validate(&mission.world.project(), Some(&mission.slug)).unwrap();
    assert!(!judged.passed && judged.warnings.is_empty(), "{judged:?}");
    assert!(judged.errors[0].contains("lane rows may be missing"), "{judged:?}");
}
