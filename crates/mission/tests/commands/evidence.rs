use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::command::evidence::{Capturing, EvidenceProblem, EvidenceRequest, capture, draft, verify};

const CAPTURING: Capturing<'static> =
    Capturing { tool_version: "3.3.0", interrupted: &|| false, begins: &|_| {} };

fn prepared(world: &World, checks: &str) -> (String, EvidenceRequest) {
    let slug = with_tasks(world);
    finalize(world, &slug).unwrap();
    world.write("src/a.rs", "fn a() {}\n");
    world.write(format!("kitty-specs/{slug}/evidence.yaml"), &format!("checks:\n{checks}"));
    let request = EvidenceRequest { mission: Some(slug.clone()), ..Default::default() };
    (slug, request)
}

const TWO: &str = "- {id: greets, issue: 12, work_package: WP01, command: 'echo hello; echo oops >&2', contains: [hello], sources: ['src/**']}\n- {id: counts, issue: 12, work_package: WP02, command: 'exit 3', exit: 3, sources: ['src/**']}\n";

fn problems(world: &World, request: &EvidenceRequest) -> Vec<(String, EvidenceProblem)> {
    let verdict = verify(&world.project(), request).unwrap();
    verdict.findings.into_iter().map(|finding| (finding.check, finding.problem)).collect()
}

#[test]
fn evidence_is_captured_verified_and_drafted() {
    let world = World::new();
    let (slug, request) = prepared(&world, TWO);
    let project = world.project();
    assert_eq!(problems(&world, &request).len(), 2);
    assert_eq!(draft(&project, &request).unwrap_err().code().name(), "EVIDENCE_DOES_NOT_HOLD");
    let captured = capture(&project, &request, &CAPTURING, &world.clock).unwrap();
    assert_eq!((captured.result, captured.checks.len(), captured.reopen), ("success", 2, None));
    let dir = format!("kitty-specs/{slug}/evidence");
    assert_eq!(world.read(format!("{dir}/test-transcripts/greets.stdout.txt")), "hello\n");
    assert_eq!(world.read(format!("{dir}/test-transcripts/greets.stderr.txt")), "oops\n");
    assert_eq!(problems(&world, &request), []);
    let drafted = draft(&project, &request).unwrap();
    assert_eq!(drafted.files.len(), 3);
    let comment = world.read(format!("{dir}/close-12.md"));
    assert!(comment.contains("echo hello; echo oops >&2") && comment.contains("hello\n```"), "{comment}");
    assert!(world.read(format!("{dir}/definition-of-done.md")).contains("- [ ] WP01 First: planned"));
    assert!(world.read(format!("{dir}/pr-body.md")).contains("Closes #12"));
    // Drafts are evidence, and evidence is no source.
    assert_eq!(problems(&world, &request), []);
}

#[test]
fn failing_check_is_kept_and_stops_the_rest() {
    let world = World::new();
    let checks = TWO.replace("contains: [hello]", "contains: [goodbye]");
    let (slug, request) = prepared(&world, &checks);
    let captured = capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    assert_eq!((captured.result, captured.checks.len()), ("failed", 1));
    assert_eq!(captured.reopen.as_deref(), Some("WP01"));
    assert_eq!(captured.checks[0].missing, ["goodbye"]);
    assert!(world.root.join(format!("kitty-specs/{slug}/evidence/test-transcripts/greets.json")).is_file());
    let found = problems(&world, &request);
    assert_eq!(
        found,
        [("greets".to_owned(), EvidenceProblem::Failed), ("counts".to_owned(), EvidenceProblem::Missing)]
    );
}

#[test]
fn stale_edited_and_unexplained_evidence_is_found() {
    let world = World::new();
    let (slug, request) = prepared(&world, TWO);
    capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    let transcripts = format!("kitty-specs/{slug}/evidence/test-transcripts");
    let only = |check: &str| EvidenceRequest { only: vec![check.into()], ..request.clone() };

    let stdout = format!("{transcripts}/greets.stdout.txt");
    world.write(&stdout, "hello!\n");
    assert_eq!(problems(&world, &only("greets")), [("greets".to_owned(), EvidenceProblem::Edited)]);
    world.write(&stdout, "hello\n");
    let record = format!("{transcripts}/greets.json");
    let original = world.read(&record);
    world.write(&record, &original.replace("\"passed\": true", "\"passed\": false"));
    assert_eq!(problems(&world, &only("greets")), [("greets".to_owned(), EvidenceProblem::Edited)]);
    world.write(&record, "{");
    assert_eq!(problems(&world, &only("greets")), [("greets".to_owned(), EvidenceProblem::Unreadable)]);
    world.write(&record, &original);
    world.write("README.md", "not a source");
    assert_eq!(problems(&world, &request), []);
    world.write("src/new.rs", "x");
    assert_eq!(problems(&world, &request).len(), 2);
    assert_eq!(problems(&world, &EvidenceRequest { integrity_only: true, ..request.clone() }), []);
    std::fs::remove_file(world.root.join("src/new.rs")).unwrap();
    world.write(format!("{transcripts}/old.json"), "{}");
    assert_eq!(problems(&world, &request), [("old".to_owned(), EvidenceProblem::Unknown)]);
    // The named remedy helps.
    world.write(format!("{transcripts}/old.stderr.txt"), "");
    let error = draft(&world.project(), &request).unwrap_err();
    assert!(!error.remedies().is_empty());
    let named: Vec<_> = error.to_string().split([' ', ',']).map(std::path::PathBuf::from).collect();
    let named: Vec<_> = named.iter().filter(|path| path.is_file()).collect();
    assert_eq!(named.len(), 2, "{error}");
    named.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    draft(&world.project(), &request).unwrap();
}

#[test]
fn check_that_hangs_is_ended_with_all_it_started() {
    let world = World::new();
    let marker = world.root.join("still-alive");
    let command = format!("(sleep 2; touch {}) & sleep 60", marker.display());
    let checks = format!(
        "- {{id: hangs, issue: 1, work_package: WP01, timeout: 1, command: '{command}', sources: ['src/**']}}\n"
    );
    let (_, request) = prepared(&world, &checks);
    let captured = capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    assert!(captured.checks[0].ending.contains("timeout"), "{captured:?}");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(!marker.exists());
}

#[test]
fn transcripts_can_lie_elsewhere_and_the_token_is_never_seen() {
    let world = World::new();
    let checks = "- {id: env, issue: 1, work_package: WP01, command: 'echo \"[$SPEC_KITTY_TOKEN]\"', contains: ['[]'], sources: ['src/**']}\n";
    let (slug, request) = prepared(&world, checks);
    let elsewhere = tempfile::tempdir().unwrap();
    let request = EvidenceRequest { transcripts: Some(elsewhere.path().to_owned()), ..request };
    assert_eq!(capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap().result, "success");
    assert_eq!(problems(&world, &request), []);
    assert!(!world.root.join(format!("kitty-specs/{slug}/evidence")).exists());
}

#[test]
fn proof_of_a_check_survives_an_interrupted_later_check() {
    let world = World::new();
    let (slug, request) =
        prepared(&world, &TWO.replace("echo hello;", "echo hello $(cat src/a.rs | wc -c);"));
    capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    let transcripts = world.root.join(format!("kitty-specs/{slug}/evidence/test-transcripts"));
    let before = std::fs::read(transcripts.join("counts.json")).unwrap();
    world.write("src/a.rs", "fn a() { b() }\n");

    // The user gives up while the second check runs.
    let begun = std::cell::Cell::new(0);
    let interrupted = || begun.get() == 2;
    let begins = |_: &mission::evidence::Check| begun.set(begun.get() + 1);
    let with = Capturing { interrupted: &interrupted, begins: &begins, ..CAPTURING };
    let error = capture(&world.project(), &request, &with, &world.clock).unwrap_err();
    assert_eq!(error.code().name(), "INTERRUPTED");

    let only = |check: &str| EvidenceRequest { only: vec![check.into()], ..request.clone() };
    assert_eq!(problems(&world, &only("greets")), [], "record and outputs are of one run, the last");
    assert!(std::fs::read_to_string(transcripts.join("greets.stdout.txt")).unwrap().starts_with("hello 15"));
    assert_eq!(std::fs::read(transcripts.join("counts.json")).unwrap(), before);
    assert_eq!(std::fs::read_dir(&transcripts).unwrap().count(), 7, "nothing half-written is left");
}

#[test]
fn checks_that_prove_nothing_are_refused_before_they_are_run() {
    let world = World::new();
    let (slug, request) = prepared(&world, TWO);
    let path = format!("kitty-specs/{slug}/evidence.yaml");
    let before = |text: String| {
        world.write(&path, &text);
        let state = world.state();
        let error = capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap_err();
        assert_eq!(world.state(), state);
        assert_eq!(error.code().name(), "MALFORMED_FILE");
        error.to_string()
    };
    let elsewhere = before(format!("checks:\n{}", TWO.replace("WP02", "WP77")));
    assert!(elsewhere.contains("check `counts`: the mission has no WP77"), "{elsewhere}");
    let idle = before(format!("checks:\n{}", TWO.replacen("src/**", "scr/**", 1)));
    assert!(idle.contains("check `greets`: source `scr/**` matches no file"), "{idle}");
    // Its own evidence is no source either.
    let own = before(format!("checks:\n{}", TWO.replacen("src/**", "kitty-specs/*/evidence/**", 1)));
    assert!(own.contains("matches no file"), "{own}");
}

#[test]
fn unexpected_check_exit_names_the_expected_one() {
    let world = World::new();
    let (_, request) = prepared(&world, &TWO.replace("'exit 3'", "'exit 0'"));
    let captured = capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    assert_eq!(captured.checks[1].ending, "exit 0, expected 3");
}

#[test]
fn record_with_a_key_too_many_or_in_another_form_was_edited() {
    let world = World::new();
    let (slug, request) = prepared(&world, TWO);
    capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    let record = format!("kitty-specs/{slug}/evidence/test-transcripts/greets.json");
    let original = world.read(&record);
    for (from, to) in [("{\n  \"check\"", "{\n  \"by\": \"hand\",\n  \"check\""), ("\n", "\r\n"), ("  ", "")]
    {
        let edited = original.replace(from, to);
        assert_ne!(edited, original);
        world.write(&record, &edited);
        assert_eq!(problems(&world, &request), [("greets".to_owned(), EvidenceProblem::Edited)], "{from:?}");
    }
}

#[test]
fn evidence_holds_after_a_checkout_that_changes_line_endings() {
    let world = World::new();
    let (slug, request) = prepared(&world, TWO);
    capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    let evidence = format!("kitty-specs/{slug}/evidence");
    world.git(["add", "-A"]);
    world.git(["commit", "-q", "-m", "evidence"]);
    world.git(["config", "core.autocrlf", "true"]);
    std::fs::remove_dir_all(world.root.join(&evidence)).unwrap();
    world.git(["checkout", "--", evidence.as_str()]);
    assert_eq!(problems(&world, &EvidenceRequest { integrity_only: true, ..request.clone() }), []);
    // Entries of other programs in the index stay.
    let attributes = format!("{evidence}/test-transcripts/.gitattributes");
    world.write(&attributes, "* binary\n");
    capture(&world.project(), &request, &CAPTURING, &world.clock).unwrap();
    assert_eq!(world.read(&attributes), "* binary\n");
}
