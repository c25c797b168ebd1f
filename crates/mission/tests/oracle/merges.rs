use mission::merge::{Driver, Sides, merge};
use serde_json::Value;

/// Every recorded merge of logs gives the same log, or is a conflict here as well.
#[test]
#[ignore = "needs the recorded data"]
fn merged_logs_equal_those_of_the_reference() {
    let recorded = testkit::shared().join("current/oracle/cases/merge-cases.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() >= 7, "{} cases", cases.len());
    for case in cases {
        let world = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = world.path().join(name);
            std::fs::write(&path, case[name].as_str().unwrap()).unwrap();
            path
        };
        let (base, ours, theirs) = (file("base"), file("ours"), file("theirs"));
        let outcome = merge(Driver::EventLog, Sides { base: &*base, ours: &*ours, theirs: &*theirs });
        assert_eq!(outcome.is_err(), case["error"].is_string(), "{}: {outcome:?}", case["name"]);
        if let Some(merged) = case["merged"].as_str() {
            assert_eq!(std::fs::read_to_string(&ours).unwrap(), merged, "{}", case["name"]);
        }
    }
}
