//! Manifests: the artifacts that each mission type expects, and how an artifact is classed and named.

use serde::Serialize;

/// Version of the built-in manifests, part of every dossier namespace.
pub(crate) const MANIFEST_VERSION: &str = "1";

/// Purpose of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "snake_case")]
pub enum ArtifactClass {
    /// Starting point of the mission.
    Input,
    /// Instructions of the workflow.
    Workflow,
    /// Result of the mission.
    Output,
    /// Evidence for a decision.
    Evidence,
    /// Rules it has to keep.
    Policy,
    /// By-products.
    Runtime,
}

impl ArtifactClass {
    /// The name in events.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One expected artifact.
#[derive(Debug)]
pub struct Expected {
    /// Its key in events.
    pub key: &'static str,
    /// Its path in the mission directory.
    pub path: &'static str,
    /// Its class.
    pub class: ArtifactClass,
    /// Whether some step of the mission cannot do without it.
    pub required: bool,
}

/// Artifacts that one mission type expects.
#[derive(Clone, Copy, Debug)]
pub struct Manifest(&'static [Expected]);

const fn expect(key: &'static str, path: &'static str, class: ArtifactClass, required: bool) -> Expected {
    Expected { key, path, class, required }
}

const SOFTWARE: &[Expected] = &[
    expect("input.spec.main", "spec.md", ArtifactClass::Input, true),
    expect("output.plan.main", "plan.md", ArtifactClass::Output, true),
    expect("output.tasks.list", "tasks.md", ArtifactClass::Output, true),
    expect("evidence.research", "research.md", ArtifactClass::Evidence, false),
    expect("evidence.gap-analysis", "gap-analysis.md", ArtifactClass::Evidence, false),
    expect("evidence.quickstart", "quickstart.md", ArtifactClass::Evidence, false),
    expect("evidence.data-model", "data-model.md", ArtifactClass::Evidence, false),
];

const RESEARCH: &[Expected] = &[
    expect("input.spec.research", "spec.md", ArtifactClass::Input, true),
    expect("workflow.plan.methodology", "plan.md", ArtifactClass::Workflow, true),
    expect("evidence.research-log", "research.md", ArtifactClass::Evidence, false),
];

const DOCUMENTATION: &[Expected] = &[
    expect("input.spec.documentation", "spec.md", ArtifactClass::Input, true),
    expect("workflow.plan.documentation", "plan.md", ArtifactClass::Workflow, true),
    expect("workflow.tasks.documentation", "tasks.md", ArtifactClass::Workflow, true),
    expect("evidence.gap-analysis", "gap-analysis.md", ArtifactClass::Evidence, true),
    expect("evidence.research", "research.md", ArtifactClass::Evidence, false),
    expect("evidence.quickstart", "quickstart.md", ArtifactClass::Evidence, false),
    expect("evidence.data-model", "data-model.md", ArtifactClass::Evidence, false),
];

impl Manifest {
    /// The manifest of a mission type; types without one expect nothing.
    pub fn of(mission_type: &str) -> Self {
        Self(match mission_type {
            "software-dev" => SOFTWARE,
            "research" => RESEARCH,
            "documentation" => DOCUMENTATION,
            _ => &[],
        })
    }

    /// The class of the artifact at `path`: the manifest's, else what its file name suggests.
    pub fn class(self, path: &str) -> ArtifactClass {
        let expected = self.0.iter().find(|expected| expected.path == path);
        expected.map_or_else(|| class_by_name(file_name(path)), |expected| expected.class)
    }

    /// The key of the artifact at `path`, and whether it is required. Only the file name counts, so a
    /// `plan.md` further down is known by the same key.
    pub fn key(self, path: &str) -> (String, bool) {
        let name = file_name(path);
        match self.0.iter().find(|expected| expected.path == name) {
            Some(expected) => (expected.key.to_owned(), expected.required),
            None => (format!("artifact.{}", key_of_stem(name)), false),
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The file name without its last extension, in the characters a key may have.
fn key_of_stem(name: &str) -> String {
    let stem = match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    };
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' };
    stem.to_lowercase().chars().map(fit).collect()
}

fn class_by_name(name: &str) -> ArtifactClass {
    let name = name.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if matches!(name.as_str(), "spec.md" | "specification.md") {
        ArtifactClass::Input
    } else if matches!(name.as_str(), "plan.md" | "tasks.md")
        || (name.starts_with("wp") && name.ends_with(".md"))
    {
        ArtifactClass::Workflow
    } else if name == "research.md" || has(&["test", "gap-analysis", "log"]) {
        ArtifactClass::Evidence
    } else if has(&["requirements", "constraints", "architecture-decision", "adr"]) {
        ArtifactClass::Policy
    } else if has(&["implementation", "code", "findings", "report"]) {
        ArtifactClass::Output
    } else if has(&["generated", "cache"]) {
        ArtifactClass::Runtime
    } else {
        ArtifactClass::Output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifest_decides_before_the_file_name_does() {
        let manifest = Manifest::of("software-dev");
        assert_eq!(manifest.class("plan.md"), ArtifactClass::Output);
        assert_eq!(manifest.class("old/plan.md"), ArtifactClass::Workflow);
        assert_eq!(manifest.key("old/plan.md"), ("output.plan.main".into(), true));
        assert_eq!(Manifest::of("else").key("plan.md"), ("artifact.plan".into(), false));
    }

    #[test]
    fn key_has_only_characters_that_events_accept() {
        let manifest = Manifest::of("software-dev");
        assert_eq!(manifest.key("a/My_File name.schema.json").0, "artifact.my-file-name.schema");
        assert_eq!(manifest.key("ünï!.md").0, "artifact.-n--");
        assert_eq!(manifest.key(".hidden").0, "artifact..hidden");
    }
}
