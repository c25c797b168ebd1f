//! Context of one command: environment, home and directory, resolved once per process.

use crate::build;
use crate::error::CliError;
use crate::terminal;
use contract::ExitCode;
use contract::switch::Switch;
use identity::{Config, Environment, Home, Login, Privacy, observe_privacy, read_any_login};
use mission::Project;
use preflight::Boundary;
use preflight::observer::Observation;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use system::Machine;

/// The surroundings of one command.
#[derive(Clone, Debug)]
pub(crate) struct CommandContext {
    /// The environment, as it was at start.
    pub environment: Environment,
    /// Whether the result is one JSON document.
    pub json: bool,
    home: OnceLock<Home>,
    directory: PathBuf,
    /// The project root that an option names.
    checkout: Option<PathBuf>,
}

impl CommandContext {
    /// The surroundings of this process.
    pub(crate) fn of_process(json: bool) -> Self {
        Self {
            environment: Environment::of_process(),
            json,
            home: OnceLock::new(),
            // A deleted working directory must not prevent a repair.
            directory: std::env::current_dir().unwrap_or_default(),
            checkout: None,
        }
    }

    /// The state root.
    pub(crate) fn home(&self) -> Result<&Home, CliError> {
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let home = Home::resolve(&self.environment)
            .map_err(|error| CliError::failed("HOME_UNSET", error.to_string()))?;
        Ok(self.home.get_or_init(|| home))
    }

    /// The working directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks a yes-or-no question on a terminal; elsewhere, and with `--json`, the answer is no.
    pub(crate) fn agrees(&self, question: &str) -> bool {
        !self.json && terminal::can_ask() && terminal::ask(question)
    }

    /// The boundary of this home, as this process sees it.
    pub(crate) fn boundary(&self) -> Result<Boundary<'_>, CliError> {
        Ok(Boundary::new(&self.environment, self.home()?, build::info()))
    }

    /// The boundary for a command that may write: it waits for a locked queue up to its own `deadline`.
    pub(crate) fn patient_boundary(&self, deadline: Duration) -> Result<Boundary<'_>, CliError> {
        Ok(self.boundary()?.with_patience(deadline))
    }

    /// The configuration; one that cannot be read is an error here.
    pub(crate) fn config(&self) -> Result<Config, CliError> {
        Ok(Config::read(self.home()?)?)
    }

    /// The login, as far as it can be read.
    pub(crate) fn login(&self) -> Result<Login, CliError> {
        Ok(read_any_login(self.home()?, &self.environment))
    }

    /// The machine.
    pub(crate) fn machine(&self) -> Machine {
        Machine::observe()
    }

    /// The hosted-sync switch. Without a home only the variable can decide.
    pub(crate) fn switch(&self) -> Switch {
        identity::read_switch(&self.environment, self.home().ok())
    }

    /// The hosted-sync switch, by the configuration of `observation`.
    pub(crate) fn switch_in(&self, observation: &Observation) -> Switch {
        identity::judge_switch(&self.environment, &observation.config)
    }

    /// Whether hosted sync is switched on, by the configuration of `observation`.
    pub(crate) fn sync_enabled_in(&self, observation: &Observation) -> bool {
        self.switch_in(observation).on
    }

    /// Whether hosted sync is switched on.
    pub(crate) fn sync_enabled(&self) -> bool {
        self.switch().on
    }

    /// The warning for root in the state directory of another user.
    pub(crate) fn owner_warning(&self) -> Option<String> {
        let home = self.home().ok()?;
        match observe_privacy(home) {
            Privacy::OfAnotherUser { uid } => Some(format!(
                "warning: {} belongs to another user (uid {uid}); files made there get that owner",
                contract::text::path(home.root())
            )),
            Privacy::Private | Privacy::Unproven { .. } | Privacy::Open(_) => None,
        }
    }

    /// The same surroundings with the project root `checkout`.
    pub(crate) fn in_checkout(&self, checkout: PathBuf) -> Self {
        Self { directory: checkout.clone(), checkout: Some(checkout), ..self.clone() }
    }

    /// The project root: the named one, else the one above the working directory.
    pub(crate) fn project_root(&self) -> Result<PathBuf, CliError> {
        if let Some(checkout) = &self.checkout {
            return Ok(checkout.clone());
        }
        identity::locate_project_root(&self.directory, &self.environment).ok_or_else(|| {
            CliError::new("PROJECT_ROOT_NOT_FOUND", ExitCode::Failed, "not inside a project")
                .evidence(format!(
                    "no `.kittify` directory in {} or above it",
                    contract::text::path(&self.directory)
                ))
                .remedy(contract::Remedy::Advice(
                    "run the command inside a project; `spec-kitty init` makes one of a repository".into(),
                ))
        })
    }

    /// The project above the working directory, for verbs that need no identity.
    pub(crate) fn project(&self) -> Result<Project, CliError> {
        Ok(Project::read(&self.project_root()?)?)
    }
}
