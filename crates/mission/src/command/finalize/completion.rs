//! Completion of the work packages: keys that their front matter lacks, and the ownership of files.

use super::packages::Packages;
use crate::error::{MissionError, Result};
use crate::front_matter::{Scalar, WorkPackage, edit};
use crate::git::list_files;
use crate::ownership::infer::{infer_files, infer_kind, infer_surface};
use crate::ownership::{Ownership, WorkKind, judge_ownership, pattern};
use crate::project::{MISSIONS, Project};
use crate::remedies::ErrorCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The work packages as they will be.
#[derive(Debug)]
pub(crate) struct Completion {
    /// In the order of the files.
    pub(crate) packages: Vec<Completed>,
    /// Owned files, by work package.
    pub(crate) owners: BTreeMap<String, Ownership>,
    /// Guesses, each with the reason why it may be wrong.
    pub(crate) guesses: Vec<String>,
    /// Criteria that can only be seen once the work has landed.
    pub(crate) late_criteria: Vec<String>,
}

/// One work package as it will be.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) id: String,
    path: PathBuf,
    dependencies: Vec<String>,
    /// Whether its front matter decides, because no document names work packages.
    pub(crate) preserved: bool,
    /// Keys that are set.
    pub(crate) changes: Map<String, Value>,
    /// The file, when anything is.
    text: Option<String>,
}

impl Completion {
    /// The files that change, with their text.
    pub(crate) fn rewritten(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.packages.iter().filter_map(|wp| Some((wp.path.as_path(), wp.text.as_deref()?)))
    }

    /// Dependencies of a work package after completion.
    pub(crate) fn dependencies(&self, wp_id: &str) -> &[String] {
        self.packages
            .iter()
            .find(|wp| wp.id == wp_id)
            .map(|wp| wp.dependencies.as_slice())
            .unwrap_or_default()
    }
}

/// Most patterns that the work packages of a mission may own together, and the longest pattern in bytes: every pair
/// is compared.
const MAX_PATTERNS: usize = 5000;
const MAX_PATTERN: usize = 1024;

/// The `scope` of a work package that works on the whole code base.
const CODEBASE_WIDE: &str = "codebase-wide";

/// Completes every work package. What a canceled one owns does not matter.
pub(crate) fn complete(
    packages: &Packages,
    mission_slug: &str,
    target: &str,
    merge_target: &str,
) -> Result<Completion> {
    let mut out = Completion {
        packages: Vec::new(),
        owners: BTreeMap::new(),
        guesses: Vec::new(),
        late_criteria: Vec::new(),
    };
    let (mut patterns, mut without_files) = (0, Vec::new());
    for wp in &packages.files {
        let dependencies = packages.dependencies(wp).to_vec();
        let preserved = packages.graph.is_empty() && !dependencies.is_empty();
        let owner = match packages.is_canceled(&wp.id) {
            true => None,
            false => {
                let (owner, guess) = owner_of(wp, mission_slug)?;
                out.guesses.extend(guess.map(|guess| format!("{}: {guess}", wp.id)));
                Some(owner)
            }
        };
        let changes = changes(wp, packages, &dependencies, owner.as_ref(), (target, merge_target));
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
        if let Some(owner) = owner {
            if wp.owns_nothing && owner.execution_mode == WorkKind::CodeChange {
                without_files.push(wp.id.clone());
            }
            patterns += owner.owned_files.len();
            if patterns > MAX_PATTERNS {
                let problem =
                    format!("the work packages up to this one own more than {MAX_PATTERNS} patterns");
                return Err(MissionError::malformed(&wp.path, problem));
            }
            out.late_criteria.extend(late_criteria(wp, &owner));
            out.owners.insert(wp.id.clone(), owner);
        }
        out.packages.push(Completed {
            id: wp.id.clone(),
            path: wp.path.clone(),
            dependencies,
            preserved,
            changes,
            text,
        });
    }
    check_owned_files(&without_files)?;
    check_mission_files(&out.owners)?;
    Ok(out)
}

/// Refuses a work package that changes code and owns nothing.
fn check_owned_files(without_files: &[String]) -> Result<()> {
    let Some(first) = without_files.first() else { return Ok(()) };
    Err(MissionError::invalid(
        ErrorCode::OwnershipContradictionCodeChangeEmptyOwnedFiles,
        format!("{first} changes code, and its front matter has `owned_files: []`"),
        &json!({ "ownership_contradiction_wp_ids": without_files }),
    ))
}

/// Documents of missions are owned only by planning work that keeps to documents.
fn check_mission_files(owners: &BTreeMap<String, Ownership>) -> Result<()> {
    let plain = |path: &str| {
        let path = path.trim().replace('\\', "/");
        path.trim_start_matches("./").to_owned()
    };
    let is_document =
        |path: &String| ["kitty-specs/", "docs/"].iter().any(|root| plain(path).starts_with(root));
    let is_mission = |path: &&String| plain(path) == MISSIONS || plain(path).starts_with("kitty-specs/");
    let confined = |owner: &Ownership| {
        owner.execution_mode == WorkKind::PlanningArtifact && owner.owned_files.iter().all(is_document)
    };
    let invalid: Vec<_> = owners
        .iter()
        .filter(|(_, owner)| !confined(owner))
        .flat_map(|(id, owner)| {
            owner.owned_files.iter().filter(is_mission).map(move |path| json!({ "wp_id": id, "path": path }))
        })
        .collect();
    let Some(first) = invalid.first() else { return Ok(()) };
    let shown = |key: &str| contract::text::printable(first[key].as_str().unwrap_or_default()).into_owned();
    Err(MissionError::invalid(
        ErrorCode::InvalidWpOwnedFilesKittySpecs,
        format!(
            "{} owns {}: the documents of missions belong to no work package",
            shown("wp_id"),
            shown("path")
        ),
        &json!({ "invalid_owned_files": invalid }),
    ))
}

/// Words for what can be seen only once the work has landed.
const LATE: [&str; 13] = [
    "post-merge",
    "post merge",
    "postmerge",
    "after merge",
    "after the merge",
    "once merged",
    "post-integration",
    "post integration",
    "after integration",
    "once integrated",
    "after deploy",
    "after the deploy",
    "once deployed",
];

/// Criteria of work on code that can be seen only once it has landed, so that no review of the change can judge them.
/// They are below a heading about acceptance, success criteria or review guidance.
fn late_criteria(wp: &WorkPackage, owner: &Ownership) -> Option<String> {
    if owner.execution_mode != WorkKind::CodeChange {
        return None;
    }
    let mut criteria = String::new();
    let mut inside = false;
    for line in wp.body().lines() {
        let line = line.to_lowercase();
        let text = line.trim_start_matches('#');
        if text.len() < line.len() && text.starts_with([' ', '\t']) {
            inside =
                ["acceptance", "success crit", "review guidance"].iter().any(|about| text.contains(about));
        } else if inside {
            criteria.push_str(&line);
            criteria.push('\n');
        }
    }
    let found: Vec<_> = LATE.into_iter().filter(|words| has_words(&criteria, words)).collect();
    (!found.is_empty()).then(|| {
        format!(
            "{}: its criteria can be seen only when the work has landed ({}): a review of the change cannot judge them",
            wp.id,
            found.join(", ")
        )
    })
}

/// Whether `words` occur in `text` as words of their own; `deploy` may continue as `deployment`.
fn has_words(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = &text[at + words.len()..];
        let rest = if words.ends_with("deploy") { rest.strip_prefix("ment").unwrap_or(rest) } else { rest };
        !text[..at].ends_with(is_word) && !rest.starts_with(is_word)
    })
}

/// Ownership that a work package declares; what it does not declare is inferred from its text.
fn owner_of(wp: &WorkPackage, mission_slug: &str) -> Result<(Ownership, Option<String>)> {
    let execution_mode = match wp.execution_mode.as_deref() {
        None => infer_kind(wp.text()),
        Some(name) => WorkKind::from_name(name).ok_or_else(|| {
            let problem = format!(
                "`execution_mode` is `{}`, not code_change or planning_artifact",
                contract::text::printable(name)
            );
            MissionError::malformed(&wp.path, problem)
        })?,
    };
    let (owned_files, guess) = match wp.owned_files.as_slice() {
        [] if wp.owns_nothing => (Vec::new(), None),
        [] => infer_files(wp.text(), execution_mode, mission_slug),
        stated => (stated.to_vec(), None),
    };
    if owned_files.iter().any(|pattern| pattern.len() > MAX_PATTERN) {
        let problem = format!("`owned_files` has an entry of more than {MAX_PATTERN} bytes");
        return Err(MissionError::malformed(&wp.path, problem));
    }
    let codebase_wide = wp.scope.as_deref() == Some(CODEBASE_WIDE);
    let mut guess = guess.map(str::to_owned);
    let authoritative_surface = match &wp.authoritative_surface {
        Some(surface) => surface.clone(),
        None if codebase_wide => String::new(),
        None => {
            let surface = infer_surface(&owned_files);
            if owned_files.iter().any(|pattern| !pattern.starts_with(&surface)) && guess.is_none() {
                guess = Some(format!(
                    "owns files in several directories; {} is taken as its authoritative_surface",
                    pattern::quoted(&surface)
                ));
            }
            surface
        }
    };
    Ok((Ownership { execution_mode, owned_files, authoritative_surface, codebase_wide }, guess))
}

fn changes(
    wp: &WorkPackage,
    packages: &Packages,
    dependencies: &[String],
    owner: Option<&Ownership>,
    (target, merge_target): (&str, &str),
) -> Vec<(&'static str, Scalar)> {
    let mut changes = Vec::new();
    let mut text = |key: &'static str, now: Option<&str>, wanted: &str| {
        if now != Some(wanted) {
            changes.push((key, Scalar::Text(wanted.to_owned())));
        }
    };
    text("planning_base_branch", wp.planning_base_branch.as_deref(), target);
    text("merge_target_branch", wp.merge_target_branch.as_deref(), merge_target);
    // A sentence of an earlier release stays as long as it names the branches.
    let names_both = wp
        .branch_strategy
        .as_deref()
        .is_some_and(|sentence| sentence.contains(target) && sentence.contains(merge_target));
    if !names_both {
        text(
            "branch_strategy",
            None,
            &format!("Planned on {target}; finished work lands on {merge_target}."),
        );
    }
    if let Some(owner) = owner {
        text("execution_mode", wp.execution_mode.as_deref(), owner.execution_mode.name());
        if !owner.authoritative_surface.is_empty() {
            text("authoritative_surface", wp.authoritative_surface.as_deref(), &owner.authoritative_surface);
        }
    }
    let mut list = |key: &'static str, now: &[String], wanted: &[String]| {
        if now != wanted || wp.get(key).is_none() {
            changes.push((key, Scalar::List(wanted.to_vec())));
        }
    };
    list("dependencies", &wp.dependencies, dependencies);
    if let Some(owner) = owner {
        list("owned_files", &wp.owned_files, &owner.owned_files);
    }
    if let Some(refs) = packages.requirements.get(&wp.id).filter(|_| wp.requirement_refs.is_empty()) {
        list("requirement_refs", &[], refs);
    }
    changes
}

/// Refuses overlapping or empty claims; returns the warnings.
pub(crate) fn judge_owners(
    project: &Project,
    packages: &Packages,
    completion: &Completion,
) -> Result<Vec<String>> {
    let dependencies =
        completion.packages.iter().map(|wp| (wp.id.clone(), wp.dependencies.clone())).collect();
    let claims = judge_ownership(&completion.owners, &dependencies);
    if !claims.errors.is_empty() {
        return Err(MissionError::invalid(
            ErrorCode::OwnershipInvalid,
            "the work packages cannot all own what they claim",
            &json!({ "ownership_errors": claims.errors, "ownership_warnings": claims.warnings }),
        ));
    }
    let mut warnings = completion.guesses.clone();
    warnings.extend(claims.warnings);
    warnings.extend(claims.sequential);
    warnings.extend(empty_patterns(project, packages, &completion.owners)?);
    Ok(warnings)
}

/// Patterns that match no file, and paths of files that are neither there nor to be created.
fn empty_patterns(
    project: &Project,
    packages: &Packages,
    owners: &BTreeMap<String, Ownership>,
) -> Result<Vec<String>> {
    let is_wild = |pattern: &String| pattern.contains(['*', '?', '[', '{']);
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
    for wp in &packages.files {
        let owned = owners.get(&wp.id).map(|owner| owner.owned_files.as_slice()).unwrap_or_default();
        for pattern in owned.iter().filter(|pattern| !matches(pattern)) {
            let shown = pattern::quoted(pattern);
            if is_wild(pattern) {
                found.push(format!(
                    "{}: owned_files glob {shown} matches zero files in the repository",
                    wp.id
                ));
            } else if !wp.create_intent.contains(pattern) {
                found.push(format!(
                    "{}: owned_files path {shown} does not exist: add it to create_intent if the work creates it",
                    wp.id
                ));
            }
        }
    }
    Ok(found)
}
