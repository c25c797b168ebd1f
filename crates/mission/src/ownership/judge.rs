//! What is wrong with what the work packages of a mission claim.

use super::pattern::{overlap, quoted};
use super::{Ownership, WorkKind};
use std::collections::BTreeMap;

/// The judgement on the claims of a mission's work packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// What has to be corrected before lanes can be computed.
    pub errors: Vec<String>,
    /// What looks odd.
    pub warnings: Vec<String>,
}

/// Judges the claims: no two overlap, each speaks for a directory it owns files in.
pub fn judge_ownership(owners: &BTreeMap<String, Ownership>) -> Claims {
    let mut claims = Claims::default();
    let all: Vec<(&String, &Ownership)> = owners.iter().collect();
    for (index, (a, owner_a)) in all.iter().enumerate() {
        for (b, owner_b) in &all[index + 1..] {
            for x in &owner_a.owned_files {
                for y in owner_b.owned_files.iter().filter(|y| overlap(x, y)) {
                    claims.errors.push(format!(
                        "Overlap: {a} ({}) and {b} ({}) claim overlapping paths.",
                        quoted(x),
                        quoted(y)
                    ));
                }
            }
        }
    }
    for (id, owner) in &all {
        claims.errors.extend(surface_problem(id, owner));
        claims.warnings.extend(odd_kind(id, owner));
    }
    claims
}

fn surface_problem(id: &str, owner: &Ownership) -> Option<String> {
    let surface = &owner.authoritative_surface;
    if surface.is_empty() {
        return Some(format!("{id}: authoritative_surface is empty."));
    }
    let owned = owner.owned_files.iter().any(|file| file.starts_with(surface.as_str()));
    (!owned).then(|| {
        format!(
            "{id}: authoritative_surface {} is not a prefix of any owned_files entry: {}",
            quoted(surface),
            listed(&owner.owned_files)
        )
    })
}

fn odd_kind(id: &str, owner: &Ownership) -> Option<String> {
    let within = |roots: &[&str], file: &String| roots.iter().any(|root| file.starts_with(root));
    match owner.execution_mode {
        WorkKind::PlanningArtifact => {
            let outside: Vec<String> = owner
                .owned_files
                .iter()
                .filter(|file| !within(&["kitty-specs/", "docs/"], file))
                .cloned()
                .collect();
            (!outside.is_empty()).then(|| {
                format!(
                    "{id}: planning_artifact WP owns files outside planning paths (kitty-specs/, docs/): {}",
                    listed(&outside)
                )
            })
        }
        WorkKind::CodeChange => {
            let any = owner.owned_files.iter().any(|file| within(&["src/", "tests/"], file));
            (!any).then(|| {
                format!(
                    "{id}: code_change WP does not own any files under src/ or tests/. owned_files: {}",
                    listed(&owner.owned_files)
                )
            })
        }
    }
}

/// `['a', 'b']`.
fn listed(items: &[String]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
}
