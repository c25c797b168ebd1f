use super::{cases, report};
use mission::Dialect;
use mission::log::read_log;
use mission::meta::read_meta;
use mission::snapshot::{reduce, render_status, status_document};

#[test]
#[ignore = "needs the recorded data"]
fn status_json_is_reproduced_byte_for_byte() {
    let cases = cases("status");
    let mut differing = Vec::new();
    for case in &cases {
        let log = read_log(&case.directory).unwrap();
        let meta = read_meta(&case.directory).unwrap();
        let board = reduce(&[&log], Dialect::of(meta.as_ref(), &log));
        let ours = render_status(&status_document(&board, meta.as_ref()).unwrap());
        let stored = std::fs::read_to_string(case.directory.join("status.json")).unwrap_or_default();
        if ours != stored {
            differing.push(case.mission.clone());
        }
    }
    report("status.json", cases.len(), &differing);
}
