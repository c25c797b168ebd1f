//! The project that `--project` names.
//!
//! One rule for every verb with that option (contract section 9). A value is a uuid in the queue DBs, config.toml or
//! the checkout, the slug of exactly one known project, or `none`. Anything else is refused before anything changes:
//! a decision about a mistyped name would look like a decision about the project.

use crate::context::CommandContext;
use crate::error::{CliError, chain};
use contract::text::printable;
use contract::{Remedy, scope};
use identity::config::NO_PROJECT;
use identity::git::read_git_facts;
use identity::project::canonical_uuid;
use identity::{ProjectIdentity, locate_project_root};
use queue::observe_projects;
use std::collections::{BTreeMap, BTreeSet};

/// A common guess for every project at once; never a project.
const ALL: &str = "all";

/// Most projects that a refusal lists.
const LISTED: usize = 5;

/// The code of a refusal.
const PROJECT_UNKNOWN: &str = "PROJECT_UNKNOWN";

/// A project that is known here, or rows without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectChoice {
    /// The uuid as the queue spells it; none for rows without a project.
    pub(crate) uuid: Option<String>,
    /// Its slugs, for people.
    pub(crate) slugs: BTreeSet<String>,
}

impl ProjectChoice {
    /// The project as a sentence names it.
    pub(crate) fn name(&self) -> String {
        match &self.uuid {
            Some(uuid) => format!("project {}", labelled(uuid, &self.slugs)),
            None => "no project".to_owned(),
        }
    }
}

/// Project that `named` means, or that of the working directory when nothing was named.
///
/// # Errors
/// Exit 2 when no known project, or more than one, is called that; exit 1 when nothing was named and the
/// working directory is in no project with a uuid. Nothing was changed.
pub(crate) fn choose(context: &CommandContext, named: Option<&str>) -> Result<ProjectChoice, CliError> {
    match named {
        Some(named) => KnownProjects::read(context).resolve(named),
        None => of_directory(context),
    }
}

fn of_directory(context: &CommandContext) -> Result<ProjectChoice, CliError> {
    let root = context.project_root()?;
    let recorded = ProjectIdentity::read(&root)
        .map_err(|error| CliError::failed("PROJECT_UNREADABLE", chain(&error)))?;
    let slugs = recorded.repo_slug.into_iter().chain(recorded.slug).collect();
    match recorded.uuid {
        Some(uuid) => Ok(ProjectChoice { uuid: Some(uuid), slugs }),
        None => {
            let file = contract::text::path(&root.join(".kittify").join("config.yaml"));
            Err(CliError::failed(
                "PROJECT_WITHOUT_UUID",
                format!("{file} names no project uuid; name one with --project"),
            ))
        }
    }
}

/// The projects that this home names, with their slugs.
#[derive(Debug, Default)]
struct KnownProjects {
    projects: BTreeMap<String, BTreeSet<String>>,
    /// Files that could not be read and may name more.
    unread: Vec<String>,
}

impl KnownProjects {
    /// Reads every queue DB of this home, config.toml and the checkout. Writes nothing.
    fn read(context: &CommandContext) -> Self {
        let mut known = Self::default();
        if let Ok(home) = context.home() {
            let scoped = fs_err::read_dir(home.queues_dir()).into_iter().flatten().flatten();
            let scoped = scoped.map(|entry| entry.path()).filter(|path| is_queue(path));
            for path in scoped.chain([home.legacy_queue()]) {
                match observe_projects(&path) {
                    Ok(places) => places.into_iter().for_each(|place| {
                        if let Some(uuid) = place.project_uuid {
                            known.projects.entry(uuid).or_default().extend(place.repo_slug);
                        }
                    }),
                    Err(_) => known.unread.push(contract::text::path(&path)),
                }
            }
        }
        match context.config() {
            Ok(config) => config.decided_projects().for_each(|uuid| {
                known.projects.entry(uuid.to_owned()).or_default();
            }),
            Err(_) => known.unread.push("config.toml".to_owned()),
        }
        known.add_checkout(context);
        known
    }

    fn add_checkout(&mut self, context: &CommandContext) {
        let Some(root) = locate_project_root(context.directory(), &context.environment) else { return };
        let Ok(recorded) = ProjectIdentity::read(&root) else { return };
        let Some(uuid) = recorded.uuid else { return };
        let of_git = || read_git_facts(&root).ok().flatten()?.repo_slug;
        let slugs = recorded.repo_slug.or_else(of_git).into_iter().chain(recorded.slug);
        self.projects.entry(uuid).or_default().extend(slugs);
    }

    fn resolve(&self, named: &str) -> Result<ProjectChoice, CliError> {
        let named = scope::trim(named);
        if named.eq_ignore_ascii_case(NO_PROJECT) {
            return Ok(ProjectChoice { uuid: None, slugs: BTreeSet::new() });
        }
        if named.is_empty() || named.eq_ignore_ascii_case(ALL) {
            return Err(refused(format!("`{}` is not a project", printable(named))).remedy(self.list()));
        }
        let canonical = canonical_uuid(named);
        let spelled = canonical.clone().unwrap_or_else(|| named.to_lowercase());
        let same =
            |uuid: &&String| **uuid == spelled || canonical.is_some() && canonical_uuid(uuid) == canonical;
        if let Some(uuid) = self.projects.keys().find(same) {
            return Ok(self.chosen(uuid));
        }
        let has_slug = |slugs: &BTreeSet<String>| slugs.iter().any(|slug| slug.to_lowercase() == spelled);
        let called: Vec<&String> =
            self.projects.iter().filter(|(_, slugs)| has_slug(slugs)).map(|(uuid, _)| uuid).collect();
        match (called.as_slice(), canonical) {
            ([one], _) => Ok(self.chosen(one)),
            // A file that cannot be read may name the project, and a uuid is no mistyped name.
            ([], Some(uuid)) if !self.unread.is_empty() => {
                Ok(ProjectChoice { uuid: Some(uuid), slugs: BTreeSet::new() })
            }
            ([], _) => {
                let error = refused(format!("no known project is called `{}`", printable(named)));
                let unread = self.unread.iter().map(|path| format!("{path} could not be read"));
                Ok(unread.fold(error, CliError::evidence)).and_then(|error| Err(error.remedy(self.list())))
            }
            (several, _) => {
                let uuids: Vec<&str> = several.iter().map(|uuid| uuid.as_str()).collect();
                let summary = format!("`{}` is the slug of {} projects", printable(named), uuids.len());
                Err(refused(summary)
                    .remedy(Remedy::Advice(format!("name one by its uuid: {}", uuids.join(", ")))))
            }
        }
    }

    fn chosen(&self, uuid: &str) -> ProjectChoice {
        let slugs = self.projects.get(uuid).cloned().unwrap_or_default();
        ProjectChoice { uuid: Some(uuid.to_owned()), slugs }
    }

    /// The known projects, as a remedy.
    fn list(&self) -> Remedy {
        let mut shown: Vec<String> =
            self.projects.iter().take(LISTED).map(|(uuid, slugs)| labelled(uuid, slugs)).collect();
        if self.projects.len() > LISTED {
            shown.push(format!("and {} more", self.projects.len() - LISTED));
        }
        Remedy::Advice(match shown.is_empty() {
            true => "no project is known here yet; run the command in its checkout".to_owned(),
            false => format!("known projects: {}", shown.join(", ")),
        })
    }
}

fn refused(summary: String) -> CliError {
    CliError::refused(PROJECT_UNKNOWN, summary)
}

fn labelled(uuid: &str, slugs: &BTreeSet<String>) -> String {
    let uuid = printable(uuid);
    match slugs.first() {
        Some(slug) => format!("{uuid} ({})", printable(slug)),
        None => uuid.into_owned(),
    }
}

fn is_queue(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    name.starts_with("queue-") && name.ends_with(".db")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "164b830e-0aa9-486a-80e9-73e0ff9bd516";
    const TWO: &str = "892d6066-b402-45e3-9521-a4ac582672a6";

    fn known(projects: &[(&str, &[&str])], unread: bool) -> KnownProjects {
        KnownProjects {
            projects: projects
                .iter()
                .map(|(uuid, slugs)| {
                    ((*uuid).to_owned(), slugs.iter().map(|slug| (*slug).to_owned()).collect())
                })
                .collect(),
            unread: if unread { vec!["queue.db".to_owned()] } else { Vec::new() },
        }
    }

    #[test]
    fn project_is_a_known_uuid_a_unique_slug_or_none() {
        let known =
            known(&[(ONE, &["acme/tea"]), (TWO, &["acme/pot", "shared"]), ("odd word", &["shared"])], false);
        let uuid = |named: &str| known.resolve(named).map(|choice| choice.uuid);
        for spelled in [ONE, " 164B830E-0AA9-486A-80E9-73E0FF9BD516 ", "{164b830e0aa9486a80e973e0ff9bd516}"] {
            assert_eq!(uuid(spelled).unwrap().as_deref(), Some(ONE), "{spelled}");
        }
        assert_eq!(uuid("Acme/Pot").unwrap().as_deref(), Some(TWO));
        assert_eq!(uuid("Odd Word").unwrap().as_deref(), Some("odd word"));
        assert_eq!(uuid("NONE").unwrap(), None);
        for (unknown, told) in [
            ("typo", "acme/tea"),
            ("all", "known projects"),
            ("", "known projects"),
            ("acme", "acme/tea"),
            ("shared", TWO),
            ("164b830e-0aa9-486a-80e9-73e0ff9bd517", "acme/tea"),
        ] {
            let error = uuid(unknown).unwrap_err();
            assert_eq!((error.exit, error.code), (contract::ExitCode::Refused, PROJECT_UNKNOWN), "{unknown}");
            assert!(error.text().contains(told), "{}", error.text());
        }
    }

    #[test]
    fn unreadable_queue_accepts_a_uuid_and_no_slug() {
        let known = known(&[], true);
        assert_eq!(known.resolve(ONE).unwrap().uuid.as_deref(), Some(ONE));
        let text = known.resolve("typo").unwrap_err().text();
        assert!(text.contains("queue.db could not be read"), "{text}");
    }
}
