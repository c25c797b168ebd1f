//! Files of a mission.

use mission::decision::Ledger;
use mission::front_matter::{Scalar, WorkPackage, edit};
use mission::log::Log;
use mission::meta::Meta;
use mission::snapshot::reduce;
use mission::tasks::{self, Marked, SubtaskState};
use mission::{Dialect, evidence, placeholder_check, wps};
use std::path::Path;

/// A log is read whatever its bytes, and reduced in both dialects.
pub(crate) fn log(input: &[u8]) {
    let log = Log::parse(Path::new("status.events.jsonl"), input);
    let _ = log.warnings("tea-timer");
    for dialect in [Dialect::Rc11, Dialect::Current] {
        let once = reduce(&[&log], dialect);
        assert_eq!(reduce(&[&log, &log], dialect), once, "a row counts once");
    }
}

/// An edit changes the value and nothing else that can be read.
pub(crate) fn front_matter(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(package) = WorkPackage::parse(Path::new("WP01.md"), text.to_owned()) else { return };
    let _ = package.subtasks();
    let changes = [("assignee", Scalar::Text("ada: \"x\"\n#".to_owned()))];
    let Ok(edited) = edit(&package, &changes) else { return };
    let again = WorkPackage::parse(Path::new("WP01.md"), edited).expect("an edited file is read again");
    assert_eq!(again.body(), package.body(), "an edit of the front matter changed the body");
    assert_eq!(again.get("assignee").and_then(|value| value.as_str()), Some("ada: \"x\"\n#"));
}

/// `tasks.md`, `spec.md`, `plan.md`: any text is read, and a tick can be repeated.
pub(crate) fn tasks(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    tasks::dependency_graph(text);
    tasks::requirement_graph(text);
    tasks::spec_requirements(text);
    tasks::unchecked_subtasks(text, "WP01");
    placeholder_check::spec_is_substantive(text);
    placeholder_check::plan_is_substantive(text);
    if let Marked::Changed(done) = tasks::mark_subtask(text, "T001", SubtaskState::Done) {
        assert!(matches!(tasks::mark_subtask(&done, "T001", SubtaskState::Done), Marked::Already));
    }
}

/// `meta.json`, `wps.yaml`, the evidence plan and the ledger of decisions.
pub(crate) fn meta(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let path = Path::new("file");
    if let Ok(meta) = Meta::parse(path, text) {
        let _ = (meta.validate(), meta.coordination_branch().is_ok(), meta.mission_number().is_ok());
        assert!(Meta::parse(path, &meta.render()).is_ok(), "a written meta.json is not read again");
    }
    let _ = wps::parse(path, text);
    let _ = evidence::plan::parse(path, text);
    let _ = Ledger::parse(path, text);
}
