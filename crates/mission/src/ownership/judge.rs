//! Judgement on the ownership that the work packages of a mission claim.

use super::pattern::{overlap, quoted};
use super::{Ownership, WorkKind};
use crate::graph::{Graph, ancestors};
use std::collections::{BTreeMap, BTreeSet};

/// The judgement on the claims of a mission's work packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Errors: lanes cannot be computed before they are corrected.
    pub errors: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// Work packages that share files and are done one after the other.
    pub sequential: Vec<String>,
}

/// Judges the claims: of work packages that can run side by side no two overlap, and each covers a
/// directory it owns files in. Work packages of which one depends on the other, directly or not, may share
/// files. A code base wide one is not judged, nor is one that owns nothing.
pub fn judge_ownership(owners: &BTreeMap<String, Ownership>, dependencies: &Graph) -> Claims {
    let mut claims = Claims::default();
    let all: Vec<(&String, &Ownership)> =
        owners.iter().filter(|(_, owner)| !owner.codebase_wide && !owner.owned_files.is_empty()).collect();
    let before: BTreeMap<&str, BTreeSet<&str>> =
        all.iter().map(|(id, _)| (id.as_str(), ancestors(dependencies, id))).collect();
    for (index, (a, owner_a)) in all.iter().enumerate() {
        for (b, owner_b) in &all[index + 1..] {
            let overlaps = owner_a
                .owned_files
                .iter()
                .flat_map(|x| owner_b.owned_files.iter().filter(|y| overlap(x, y)).map(move |y| (x, y)));
            if before[a.as_str()].contains(b.as_str()) || before[b.as_str()].contains(a.as_str()) {
                claims.sequential.extend(overlaps.take(1).map(|(x, y)| {
                    format!(
                        "{a} ({}) and {b} ({}) share files; they run one after the other",
                        quoted(x),
                        quoted(y)
                    )
                }));
            } else {
                claims.errors.extend(overlaps.map(|(x, y)| {
                    format!("Overlap: {a} ({}) and {b} ({}) claim overlapping paths.", quoted(x), quoted(y))
                }));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(owned: &[&str]) -> Ownership {
        Ownership {
            execution_mode: WorkKind::CodeChange,
            owned_files: owned.iter().map(|&pattern| pattern.to_owned()).collect(),
            authoritative_surface: "src/".into(),
            codebase_wide: false,
        }
    }

    #[test]
    fn only_work_packages_that_run_side_by_side_must_not_overlap() {
        let owners: BTreeMap<String, Ownership> =
            ["WP01", "WP02", "WP03"].map(|id| (id.to_owned(), owner(&["src/a/**"]))).into();
        let chain = |edges: &[(&str, &str)]| -> Graph {
            edges.iter().map(|(id, on)| ((*id).to_owned(), vec![(*on).to_owned()])).collect()
        };
        let found = judge_ownership(&owners, &chain(&[("WP03", "WP02"), ("WP02", "WP01")]));
        assert_eq!((found.errors.len(), found.sequential.len()), (0, 3), "{found:?}");
        let found = judge_ownership(&owners, &chain(&[("WP02", "WP01")]));
        assert_eq!((found.errors.len(), found.sequential.len()), (2, 1), "{found:?}");
        assert_eq!(judge_ownership(&owners, &Graph::new()).errors.len(), 3);
    }

    #[test]
    fn code_base_wide_work_package_is_not_judged() {
        let wide = Ownership { codebase_wide: true, authoritative_surface: "/".into(), ..owner(&["**"]) };
        let owners = BTreeMap::from([("WP01".to_owned(), wide), ("WP02".to_owned(), owner(&["src/a"]))]);
        assert_eq!(judge_ownership(&owners, &Graph::new()), Claims::default());
    }
}
