//! What every producing verb does in the same order (contract section 12): authentication, project
//! root, boundary, git, mission and inputs, housekeeping, and only then its own writes.

use crate::build;
use crate::context::CommandContext;
use crate::error::CliError;
use crate::housekeeping::{keep_house, settle_leftovers};
use crate::mission_document::MissionDocument;
use crate::render;
use crate::report::Report;
use crate::verb::Class;
use clap::Args;
use contract::text::printable;
use daemon::nudge::follow_up;
use daemon::spawn::Launcher;
use gate::{CapturePermit, Policy};
use mission::outgoing::{CaptureReport, CaptureState, Outgoing};
use mission::project::Project;
use preflight::observer::Observation;
use serde::Serialize;

/// The option of every producing command.
#[derive(Debug, Args)]
pub(crate) struct ProducingArgs {
    /// Change the repository only; capture nothing for the server
    #[arg(long)]
    pub(crate) local_only: bool,
}

impl ProducingArgs {
    /// The class by the command line. With the switch off the verb is local as well; that is decided where the
    /// switch is read.
    pub(crate) const fn class(&self) -> Class {
        if self.local_only { Class::Local } else { Class::Producing }
    }
}

/// A producing verb whose identity and place were established.
#[derive(Debug)]
pub(crate) struct Producing<'a> {
    context: &'a CommandContext,
    hosted: Option<Hosted>,
    /// The line about a switch that is off without a decision.
    switch_note: Option<&'static str>,
    /// The project.
    pub project: Project,
}

/// What capturing needs.
#[derive(Debug)]
struct Hosted {
    permit: CapturePermit,
    observation: Observation,
}

impl<'a> Producing<'a> {
    /// Authentication, project root, boundary, git: in this order, and nothing written.
    ///
    /// With the switch off, or asked to stay local, only root and git are needed.
    pub(crate) fn begin(context: &'a CommandContext, local_only: bool) -> Result<Self, CliError> {
        Self::begin_with(context, local_only).map_err(|error| error.or_local_only())
    }

    /// [`Producing::begin`] for a verb that cannot stay local.
    pub(crate) fn begin_hosted(context: &'a CommandContext) -> Result<Self, CliError> {
        Self::begin_with(context, false)
    }

    fn begin_with(context: &'a CommandContext, local_only: bool) -> Result<Self, CliError> {
        let switch = context.switch();
        let hosted = switch.on && !local_only;
        let switch_note = switch.capture_note().filter(|_| !local_only && render::stderr_is_terminal());
        let observation = if hosted {
            let observation = context.patient_boundary(queue::CAPTURE_DEADLINE)?.observe()?;
            let verdict = observation.judge(Policy { require_auth: true });
            if !verdict.result().auth_present {
                return Err(CliError::boundary(verdict.result().clone()));
            }
            Some(observation)
        } else {
            None
        };
        let root = context.project_root()?;
        let hosted = match observation {
            Some(observation) => {
                let boundary = context.patient_boundary(queue::CAPTURE_DEADLINE)?;
                let observation = boundary.recovered(observation)?;
                Some(Hosted { permit: observation.capture_permit()?, observation })
            }
            None => None,
        };
        Ok(Self { context, hosted, switch_note, project: Project::read(&root)? })
    }

    /// Does the verb's own work between housekeeping and the daemon's nudge.
    ///
    /// `apply` gets what capturing needs, or nothing when the verb works on the repository alone.
    pub(crate) fn finish<T: CommandOutcome>(
        self,
        apply: impl FnOnce(&Project, Option<&Outgoing<'_>>) -> mission::Result<T>,
    ) -> Result<Report, CliError> {
        // Only capturing needs a home.
        let outgoing = match &self.hosted {
            Some(hosted) => Some(Outgoing {
                permit: &hosted.permit,
                home: self.context.home()?,
                config: &hosted.observation.config,
                environment: &self.context.environment,
            }),
            None => None,
        };
        let mut notes = match &self.hosted {
            Some(hosted) => keep_house(self.context, &hosted.observation),
            None => Vec::new(),
        };
        let outcome = apply(&self.project, outgoing.as_ref())?;
        let capture = outcome.capture();
        notes.extend(outcome.warnings().iter().map(|line| format!("warning: {}", printable(line))));
        notes.extend(capture.line());
        notes.extend(self.switch_note.map(str::to_owned));
        if let Some(hosted) = &self.hosted
            && capture.state == CaptureState::Captured
        {
            notes.extend(settle_leftovers(self.context, hosted.observation.cure_permit()));
            self.tell_daemon(hosted)?;
        }
        let text = outcome.describe();
        let mut report = Report::of(&MissionDocument { value: outcome, text });
        report.notes = notes;
        Ok(report)
    }

    /// A nudge, or a new daemon. It never changes the exit code, and nothing waits for it.
    fn tell_daemon(&self, hosted: &Hosted) -> Result<(), CliError> {
        let home = self.context.home()?;
        if let Ok(executable) = std::env::current_exe() {
            let launcher = Launcher::new(executable, home, &self.context.environment);
            let _ = follow_up(
                home,
                &hosted.observation.config,
                &self.context.environment,
                &launcher,
                build::VERSION,
            );
        }
        Ok(())
    }
}

/// The outcome of a producing verb.
pub(crate) trait CommandOutcome: Serialize {
    /// What was captured.
    fn capture(&self) -> &CaptureReport;

    /// The outcome as people read it.
    fn describe(&self) -> String;

    /// What looks odd, for stderr.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
