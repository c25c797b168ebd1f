use super::{cases, report};
use mission::dossier::{BodyVerdict, Overlay, read_body_verdict, read_dossier};

#[test]
#[ignore = "needs the recorded data"]
fn index_parity_hash_and_bodies_are_those_of_the_reference() {
    let cases = cases("dossier");
    let (mut artifacts, mut missions, mut differing, mut parity) = (0, 0, Vec::new(), Vec::new());
    for case in &cases {
        let kind = case.expected["mission_type"].as_str().unwrap();
        let dossier = read_dossier(&case.directory, kind, &Overlay::new(), None).unwrap();
        let expected = case.expected["artifacts"].as_array().unwrap();
        let mut whole = true;
        for row in expected {
            let path = row[0].as_str().unwrap();
            let Some(found) = dossier.artifacts.iter().find(|artifact| artifact.path == path) else {
                // Not every file of these missions is part of the data.
                assert!(!case.directory.join(path).is_file(), "{} {path}", case.mission);
                whole = false;
                continue;
            };
            artifacts += 1;
            let (status, reason) = match read_body_verdict(&case.directory, found, &Overlay::new()) {
                BodyVerdict::Sent(text) => {
                    assert_eq!(text.len() as u64, found.size);
                    ("queued", "enqueued".to_owned())
                }
                BodyVerdict::Skipped(reason) => ("skipped", reason.to_string()),
            };
            let required = if found.required { "required" } else { "optional" };
            let same = found.class.name() == row[1]
                && found.key == row[2]
                && required == row[3]
                && u64::from(found.is_text) == row[4]
                && found.size == row[5]
                && (!found.is_text || found.sha256 == row[6].as_str().unwrap())
                && status == row[8]
                && reason == row[9].as_str().unwrap();
            if !same {
                differing.push(format!("{}: {row} but {found:?} {status} {reason}", case.mission));
            }
        }
        let known = |path: &str| expected.iter().any(|row| row[0] == path);
        assert!(dossier.artifacts.iter().all(|artifact| known(&artifact.path)), "{}", case.mission);
        missions += usize::from(whole);
        if whole && dossier.parity_hash() != case.expected["snapshot"]["parity_hash_sha256"] {
            parity.push(case.mission.clone());
        }
    }
    report("dossier artifacts", artifacts, &differing);
    report("parity hashes", missions, &parity);
}
