use super::{cases, report};
use mission::decision::{read_ledger, render_page, verify_markers};
use serde_json::json;

#[test]
#[ignore = "needs the recorded data"]
fn ledgers_and_pages_are_reproduced_byte_for_byte() {
    let cases = cases("decisions");
    let (mut indexes, mut pages, mut verdicts, mut total) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for case in &cases {
        let ledger = read_ledger(&case.directory, "").unwrap();
        if ledger.render() != std::fs::read_to_string(ledger.path()).unwrap_or_default() {
            indexes.push(case.mission.clone());
        }
        for entry in &ledger.entries {
            total += 1;
            let stored = std::fs::read_to_string(ledger.page_path(&entry.decision_id)).unwrap_or_default();
            if render_page(entry) != stored {
                pages.push(format!("{} {}", case.mission, entry.decision_id));
            }
        }
        let read = |name: &str| std::fs::read_to_string(case.directory.join(name)).unwrap_or_default();
        let verdict =
            verify_markers(&ledger, &[("spec.md", &read("spec.md")), ("plan.md", &read("plan.md"))]);
        if json!(verdict) != case.expected["verify"] {
            verdicts.push(case.mission.clone());
        }
    }
    report("decisions/index.json", cases.len(), &indexes);
    report("decision pages", total, &pages);
    report("decision verdicts", cases.len(), &verdicts);
}
