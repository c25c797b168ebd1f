use super::world::World;
use mission::command::decision::{CloseRequest, Closing, OpenRequest, close, open, verify};
use mission::command::prerequisites;

fn ask(slug: &str, key: &str) -> OpenRequest {
    OpenRequest {
        mission: Some(slug.into()),
        flow: "plan".into(),
        slot_key: Some("p.k".into()),
        input_key: key.into(),
        question: "q?".into(),
        options: Some(r#"["a", "b"]"#.into()),
        ..Default::default()
    }
}

fn end(slug: &str, id: &str, closing: Closing) -> CloseRequest {
    CloseRequest {
        mission: Some(slug.into()),
        decision_id: id.into(),
        closing,
        rationale: Some("why".into()),
        resolved_by: None,
        actor: None,
        dry_run: false,
    }
}

fn answer(text: &str) -> Closing {
    Closing::Resolve { final_answer: text.into(), other_answer: false }
}

#[test]
fn decision_is_asked_put_off_and_answered() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let project = world.project();
    let opened = open(&project, &ask(&slug, "k"), &world.clock).unwrap();
    assert_eq!((opened.event_lamport, opened.idempotent), (Some(3), false));
    let again = open(&project, &ask(&slug, "k"), &world.clock).unwrap();
    assert_eq!((again.decision_id.as_str(), again.idempotent), (opened.decision_id.as_str(), true));

    let id = opened.decision_id;
    close(&project, &end(&slug, &id, Closing::Defer), &world.clock).unwrap();
    assert_eq!(verify(&project, Some(&slug)).unwrap().status, "drift");
    world.write(
        format!("kitty-specs/{slug}/plan.md"),
        &format!("[NEEDS CLARIFICATION: q] <!-- decision_id: {id} -->\n"),
    );
    assert_eq!(verify(&project, Some(&slug)).unwrap().status, "clean");

    let resolved = close(&project, &end(&slug, &id, answer("a")), &world.clock).unwrap();
    assert_eq!((resolved.status, resolved.idempotent), ("resolved", false));
    assert!(close(&project, &end(&slug, &id, answer("a")), &world.clock).unwrap().idempotent);
    assert_eq!(
        close(&project, &end(&slug, &id, answer("b")), &world.clock).unwrap_err().code().name(),
        "DECISION_TERMINAL_CONFLICT"
    );
    assert_eq!(
        open(&project, &ask(&slug, "k"), &world.clock).unwrap_err().code().name(),
        "DECISION_ALREADY_CLOSED"
    );
    let page = world.read(format!("kitty-specs/{slug}/decisions/DM-{id}.md"));
    assert!(page.contains("resolved (final_answer=\"a\")"), "{page}");
    let kinds: Vec<_> =
        world.log(&slug)[2..].iter().map(|row| row["event_type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["DecisionPointOpened", "DecisionPointResolved", "DecisionPointResolved"]);
}

#[test]
fn invalid_decision_request_changes_nothing() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let project = world.project();
    let id = open(&project, &ask(&slug, "k"), &world.clock).unwrap().decision_id;
    let before = world.state();
    for wrong in [
        OpenRequest { flow: "x".into(), ..ask(&slug, "j") },
        OpenRequest { slot_key: None, ..ask(&slug, "j") },
        OpenRequest { options: Some("{}".into()), ..ask(&slug, "j") },
        OpenRequest { question: " ".into(), ..ask(&slug, "j") },
        OpenRequest { mission: Some("../x".into()), ..ask(&slug, "j") },
    ] {
        open(&project, &wrong, &world.clock).unwrap_err();
    }
    close(&project, &end(&slug, &id, answer("")), &world.clock).unwrap_err();
    close(&project, &CloseRequest { rationale: None, ..end(&slug, &id, Closing::Cancel) }, &world.clock)
        .unwrap_err();
    close(&project, &end(&slug, "01KRX11MABCDEFGHJKMNPQRSTV", answer("a")), &world.clock).unwrap_err();
    let dry = open(&project, &OpenRequest { dry_run: true, ..ask(&slug, "j") }, &world.clock).unwrap();
    assert_eq!(dry.decision_id, "DRY_RUN");
    assert_eq!(world.state(), before);
}

#[test]
fn prerequisites_are_looked_up_and_never_made() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let before = world.state();
    let look = |include_tasks, paths_only| {
        let request =
            prerequisites::PrerequisitesRequest { mission: Some(slug.clone()), include_tasks, paths_only };
        serde_json::to_value(prerequisites::look(&world.project(), &request, &world.clock).unwrap()).unwrap()
    };
    let report = look(true, false);
    assert_eq!(report["valid"], false);
    assert_eq!(report["errors"][0], "Missing required file: tasks.md");
    assert_eq!(report["available_docs"], serde_json::json!(["spec.md"]));
    let paths = look(false, true);
    assert!(paths["SPEC_FILE"].as_str().unwrap().ends_with("/spec.md"));
    assert_eq!((paths["TASKS"].as_str(), paths.get("valid")), (Some(""), None));
    assert_eq!(world.state(), before);
}

#[test]
fn lost_ledger_beside_its_pages_is_named_and_no_new_one_is_begun() {
    let world = World::new();
    let slug = world.create("demo").mission_slug;
    let decisions = world.root.join(format!("kitty-specs/{slug}/decisions"));
    std::fs::create_dir_all(&decisions).unwrap();
    std::fs::write(decisions.join("DM-01KRX1A0000000000000000001.md"), "# D\n").unwrap();
    let before = world.state();
    let error = open(&world.project(), &ask(&slug, "k"), &world.clock).unwrap_err();
    assert!(error.to_string().contains("index.json: is gone"), "{error}");
    assert_eq!(world.state(), before);
}
