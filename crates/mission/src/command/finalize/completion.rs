//! What the front matter of the work packages lacks, and what they own together.

use super::packages::{Packages, check_graph};
use crate::error::{MissionError, Result};
use crate::front_matter::{Scalar, WorkPackage, edit};
use crate::git::list_files;
use crate::ownership::infer::{infer_files, infer_kind, infer_surface};
use crate::ownership::{Ownership, WorkKind, judge_ownership, pattern};
use crate::project::Project;
use crate::remedies::ErrorCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The work packages as they will be.
#[derive(Debug)]
pub(crate) struct Completion {
    /// In the order of the files.
    pub(crate) packages: Vec<Completed>,
    /// Who owns what.
    pub(crate) owners: BTreeMap<String, Ownership>,
    /// What was guessed, and why that may be wrong.
    pub(crate) guesses: Vec<String>,
}

/// One work package as it will be.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) id: String,
    path: PathBuf,
    dependencies: Vec<String>,
    /// Whether its front matter decides, because `tasks.md` says nothing.
    pub(crate) preserved: bool,
    /// What is set anew.
    pub(crate) changes: Map<String, Value>,
    /// The file, when anything is.
    text: Option<String>,
}

impl Completion {
    /// The files that change, with their text.
    pub(crate) fn rewritten(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.packages.iter().filter_map(|wp| Some((wp.path.as_path(), wp.text.as_deref()?)))
    }

    /// What a work package depends on, in the end.
    pub(crate) fn dependencies(&self, wp_id: &str) -> &[String] {
        self.packages
            .iter()
            .find(|wp| wp.id == wp_id)
            .map(|wp| wp.dependencies.as_slice())
            .unwrap_or_default()
    }
}

/// How many patterns the work packages of a mission may own together, and how long one may be: every
/// pair of them is compared.
const MAX_PATTERNS: usize = 5000;
const MAX_PATTERN: usize = 1024;

/// Completes every work package.
pub(crate) fn complete(packages: &Packages, mission_slug: &str, target: &str) -> Result<Completion> {
    let mut out = Completion { packages: Vec::new(), owners: BTreeMap::new(), guesses: Vec::new() };
    let mut patterns = 0;
    for wp in &packages.files {
        let parsed = packages.graph.get(&wp.id).cloned().unwrap_or_default();
        let preserved = parsed.is_empty() && !packages.by_manifest && !wp.dependencies.is_empty();
        let dependencies = if preserved { wp.dependencies.clone() } else { parsed };
        let (owner, guess) = owner_of(wp, mission_slug)?;
        out.guesses.extend(guess.map(|guess| format!("{}: {guess}", wp.id)));
        let changes = changes(wp, packages, &dependencies, &owner, target);
        let text = if changes.is_empty() { None } else { Some(edit(wp, &changes)?) };
        let changes = changes
            .into_iter()
            .map(|(key, value)| {
                let value = match value {
                    Scalar::Text(text) => text.into(),
                    Scalar::List(items) => items.into(),
                };
                (key.to_owned(), value)
            })
            .collect();
        patterns += owner.owned_files.len();
        if patterns > MAX_PATTERNS {
            let problem = format!("the work packages up to this one own more than {MAX_PATTERNS} patterns");
            return Err(MissionError::malformed(&wp.path, problem));
        }
        out.owners.insert(wp.id.clone(), owner);
        out.packages.push(Completed {
            id: wp.id.clone(),
            path: wp.path.clone(),
            dependencies,
            preserved,
            changes,
            text,
        });
    }
    // What the front matter keeps was judged by nobody yet.
    if out.packages.iter().any(|wp| wp.preserved) {
        let graph = out.packages.iter().map(|wp| (wp.id.clone(), wp.dependencies.clone())).collect();
        check_graph(&graph, "the front matter, together with tasks.md,")?;
    }
    Ok(out)
}

/// What a work package says it owns; what it does not say is inferred from its text.
fn owner_of(wp: &WorkPackage, mission_slug: &str) -> Result<(Ownership, Option<&'static str>)> {
    let execution_mode = match wp.execution_mode.as_deref() {
        None => infer_kind(wp.text()),
        Some(name) => WorkKind::named(name).ok_or_else(|| {
            let problem = format!(
                "`execution_mode` is `{}`, not code_change or planning_artifact",
                contract::text::printable(name)
            );
            MissionError::malformed(&wp.path, problem)
        })?,
    };
    let (owned_files, guess) = match wp.owned_files.as_slice() {
        [] => infer_files(wp.text(), execution_mode, mission_slug),
        stated => (stated.to_vec(), None),
    };
    if owned_files.iter().any(|pattern| pattern.len() > MAX_PATTERN) {
        let problem = format!("`owned_files` has an entry of more than {MAX_PATTERN} bytes");
        return Err(MissionError::malformed(&wp.path, problem));
    }
    let stated = wp.authoritative_surface.clone();
    let said_enough = wp.execution_mode.is_some() && !wp.owned_files.is_empty();
    let authoritative_surface = match stated {
        Some(surface) => surface,
        None if said_enough => String::new(),
        None => infer_surface(&owned_files),
    };
    Ok((Ownership { execution_mode, owned_files, authoritative_surface }, guess))
}

fn changes(
    wp: &WorkPackage,
    packages: &Packages,
    dependencies: &[String],
    owner: &Ownership,
    target: &str,
) -> Vec<(&'static str, Scalar)> {
    let mut changes = Vec::new();
    let mut text = |key: &'static str, now: Option<&str>, wanted: &str| {
        if now != Some(wanted) {
            changes.push((key, Scalar::Text(wanted.to_owned())));
        }
    };
    text("planning_base_branch", wp.planning_base_branch.as_deref(), target);
    text("merge_target_branch", wp.merge_target_branch.as_deref(), target);
    // A sentence of an earlier release stays as long as it names the branch.
    let names_target = wp.branch_strategy.as_deref().is_some_and(|sentence| sentence.contains(target));
    if !names_target {
        text("branch_strategy", None, &format!("Planned on {target}; finished work lands on {target}."));
    }
    text("execution_mode", wp.execution_mode.as_deref(), owner.execution_mode.name());
    if !owner.authoritative_surface.is_empty() {
        text("authoritative_surface", wp.authoritative_surface.as_deref(), &owner.authoritative_surface);
    }
    let mut list = |key: &'static str, now: &[String], wanted: &[String]| {
        if now != wanted || wp.get(key).is_none() {
            changes.push((key, Scalar::List(wanted.to_vec())));
        }
    };
    list("dependencies", &wp.dependencies, dependencies);
    list("owned_files", &wp.owned_files, &owner.owned_files);
    if let Some(refs) = packages.requirements.get(&wp.id).filter(|_| wp.requirement_refs.is_empty()) {
        list("requirement_refs", &[], refs);
    }
    changes
}

/// Refuses overlapping or empty claims; returns what looks odd.
pub(crate) fn judge_owners(project: &Project, completion: &Completion) -> Result<Vec<String>> {
    let mut claims = judge_ownership(&completion.owners);
    let blamed = |wp: &&Completed| {
        let begins = format!("{}: authoritative_surface", wp.id);
        wp.changes.contains_key("authoritative_surface")
            && claims.errors.iter().any(|error| error.starts_with(&begins))
    };
    // Whoever never wrote a surface looks for it in vain.
    let inferred: Vec<_> = completion.packages.iter().filter(blamed).map(|wp| {
        format!(
            "{}: its front matter names no authoritative_surface; it was inferred from the text: write it, with a trailing slash",
            wp.id
        )
    }).collect();
    claims.errors.extend(inferred);
    if !claims.errors.is_empty() {
        return Err(MissionError::invalid(
            ErrorCode::OwnershipInvalid,
            "the work packages cannot all own what they claim",
            &json!({ "ownership_errors": claims.errors, "ownership_warnings": claims.warnings }),
        ));
    }
    let mut warnings = completion.guesses.clone();
    warnings.extend(claims.warnings);
    warnings.extend(empty_patterns(project, &completion.owners)?);
    Ok(warnings)
}

/// Patterns that match no file.
fn empty_patterns(project: &Project, owners: &BTreeMap<String, Ownership>) -> Result<Vec<String>> {
    let is_wild = |pattern: &String| pattern.contains(['*', '?', '[']);
    let any_wild = owners.values().flat_map(|owner| &owner.owned_files).any(is_wild);
    let files = if any_wild { list_files(project)? } else { Vec::new() };
    let matches = |wanted: &String| {
        if is_wild(wanted) {
            let all = pattern::stem(wanted);
            files.iter().any(|file| {
                pattern::matches(file, wanted)
                    || (wanted.ends_with("/**") && file.starts_with(&format!("{all}/")))
            })
        } else {
            project.root().join(wanted).exists()
        }
    };
    let mut found = Vec::new();
    for (id, owner) in owners {
        let empty = owner.owned_files.iter().filter(|pattern| !matches(pattern));
        found.extend(empty.map(|glob| {
            format!("{id}: owned_files glob {} matches zero files in the repository", pattern::quoted(glob))
        }));
    }
    Ok(found)
}
