//! `.kittify/config.yaml` as the reference was recorded to read and complete it, and what we do on
//! purpose otherwise (docs/compatibility.md, Identity).

use crate::world::{recorded_json, recorded_machine};
use identity::git::{GitFacts, Head};
use identity::{Environment, ProjectIdentity};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Variants that we refuse and for which the reference makes up a value.
const REFUSED: [&str; 1] = ["09-project-not-dict"];

/// Variants in which we read text and the reference a number: variant, recorded, ours.
const NODE_IDS: [(&str, &str); 2] =
    [("12-node-id-looks-numeric", "036097135000"), ("13-node-id-exponent", "12345678e901")];

/// Variants in which the reference makes an empty slug of a trailing slash: variant, ours.
const SLUGS: [(&str, &str); 1] = [("14-trailing-slash-remote", "repo")];

fn repository(variant: &str) -> GitFacts {
    let origin = if variant == "14-trailing-slash-remote" {
        "https://github.com/acme/repo/"
    } else {
        "git@github.com:acme/Widget_Shop.git"
    };
    GitFacts {
        worktree: PathBuf::from("/nowhere"),
        git_dir: PathBuf::from("/nowhere"),
        common_dir: tempfile::tempdir().expect("a directory").keep(),
        head: Head::Unreadable(String::new()),
        origin_url: Some(origin.to_owned()),
        repo_slug: identity::git::repo_slug(origin),
    }
}

fn ensure(variant: &str, root: &Path) -> Result<ProjectIdentity, identity::ProjectError> {
    let git = repository(variant);
    let environment = Environment::from_pairs([("LOGNAME", "dev")]);
    let result = ProjectIdentity::ensure(root, Some(&git), &recorded_machine(), &environment);
    fs::remove_dir_all(&git.common_dir).expect("removed");
    result
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_projects_give_recorded_identity_or_differences() {
    let document = recorded_json("project-identity/expected.json");
    let variants = document.as_object().expect("variants");
    assert_eq!(variants.len(), 14);
    for (variant, recorded) in variants {
        let root = tempfile::tempdir().expect("a directory");
        let path = identity::project::config_file(root.path());
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let before = recorded["config_before"].as_str();
        if let Some(before) = before {
            fs::write(&path, before).expect("a config");
        }
        let result = ensure(variant, root.path());
        let after = fs::read_to_string(&path).ok();
        let raised = recorded["ensure_identity"].as_str().is_some_and(|text| text.starts_with("raises"));
        if raised || REFUSED.contains(&variant.as_str()) {
            assert_ne!(raised, REFUSED.contains(&variant.as_str()), "{variant}: listed, but no difference");
            let message = result.expect_err(variant).to_string();
            assert!(message.contains("config.yaml"), "{variant}: {message}");
            assert_eq!(after.as_deref(), before, "{variant}: refused and changed");
            continue;
        }
        let found = result.unwrap_or_else(|error| panic!("{variant}: {error}"));
        compare(variant, &found, &recorded["ensure_identity"], before.unwrap_or_default());
        let after = after.expect("a config");
        if recorded["changed"] == false {
            assert_eq!(Some(after.as_str()), before, "{variant}: complete, and changed");
        }
        assert_kept(variant, before.unwrap_or_default(), &after);
        // The second time there is nothing to do.
        assert_eq!(ensure(variant, root.path()).expect("complete"), found, "{variant}");
        assert_eq!(fs::read_to_string(&path).expect("a config"), after, "{variant}");
    }
}

fn compare(variant: &str, found: &ProjectIdentity, recorded: &Value, before: &str) {
    // Random values are compared by their form alone.
    let was_there = |value: &Value| value.as_str().is_some_and(|value| before.to_lowercase().contains(value));
    if was_there(&recorded["project_uuid"]) {
        assert_eq!(recorded["project_uuid"], found.uuid, "{variant}");
    } else {
        assert_eq!(identity::project::canonical_uuid(&found.uuid).as_ref(), Some(&found.uuid), "{variant}");
    }
    if was_there(&recorded["build_id"]) {
        assert_eq!(recorded["build_id"], found.build_id, "{variant}");
    } else {
        assert_eq!(
            identity::project::canonical_uuid(&found.build_id).as_ref(),
            Some(&found.build_id),
            "{variant}"
        );
    }
    match NODE_IDS.iter().find(|(name, _)| *name == variant) {
        Some((_, ours)) => {
            assert!(!recorded["node_id"].is_string(), "{variant}: listed, but no difference");
            assert_eq!(found.node_id, *ours, "{variant}");
        }
        None => assert_eq!(recorded["node_id"], found.node_id, "{variant}"),
    }
    match SLUGS.iter().find(|(name, _)| *name == variant) {
        Some((_, ours)) => {
            assert_eq!(recorded["project_slug"], "", "{variant}: listed, but no difference");
            assert_eq!(found.slug, *ours, "{variant}");
        }
        None => assert_eq!(recorded["project_slug"], found.slug, "{variant}"),
    }
    let own = recorded["repo_slug"].as_str();
    let git = if variant == "14-trailing-slash-remote" { "acme/repo" } else { "acme/Widget_Shop" };
    assert_eq!(found.repo_slug.as_deref(), own.or(Some(git)), "{variant}");
}

/// Every line that was there is there, in order.
fn assert_kept(variant: &str, before: &str, after: &str) {
    let mut lines = after.lines();
    for line in before.lines() {
        assert!(lines.any(|candidate| candidate == line), "{variant}: lost `{line}` in\n{after}");
    }
}
