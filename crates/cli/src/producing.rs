//! Steps of every producing verb, in the order of contract section 12: authentication, project root, boundary, git,
//! mission and inputs, housekeeping, and only then its own writes.

use crate::build;
use crate::context::CommandContext;
use crate::error::CliError;
use crate::housekeeping::{refresh_caches, settle_leftovers};
use crate::mission_document::MissionDocument;
use crate::python_cli::ChildEnd;
use crate::render;
use crate::report::{PROJECTS_SHOWN, Report};
use crate::verb::Class;
use clap::Args;
use contract::Remedy;
use contract::text::printable;
use daemon::nudge::follow_up;
use daemon::spawn::Launcher;
use gate::{CapturePermit, Policy};
use identity::environment::names;
use mission::Clock;
use mission::command::{Planned, Recorded};
use mission::hand_over::{self, RunCapture, Running};
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

    /// Plans `request` in the project of the working directory and applies it: authentication, project root,
    /// boundary and git are checked first, and nothing is written before the plan is valid.
    pub(crate) fn run<R, O: Recorded + CommandOutcome>(
        &self,
        context: &CommandContext,
        request: &R,
        plan: fn(&Project, &R, &Clock) -> mission::Result<Planned<R, O>>,
    ) -> Result<Report, CliError> {
        let producing = Producing::begin(context, self.local_only)?;
        let clock = Clock::system();
        let plan = plan(&producing.project, request, &clock)?;
        producing.finish(|project, outgoing| plan.apply(project, outgoing, &clock))
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

/// Permit and observation for capturing.
#[derive(Debug)]
struct Hosted {
    permit: CapturePermit,
    observation: Observation,
}

/// The note of a command inside of a hand-over.
const CALLER_CAPTURES: &str = "captured by the calling command";

impl Hosted {
    fn outgoing<'h>(&'h self, context: &'h CommandContext) -> Result<Outgoing<'h>, CliError> {
        Ok(Outgoing {
            permit: &self.permit,
            // Only capturing needs a home.
            home: context.home()?,
            config: &self.observation.config,
            environment: &context.environment,
        })
    }
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
        let in_hand_over = context.environment.non_empty(names::SPEC_KITTY_FRONT).is_some();
        let hosted = switch.on && !local_only && !in_hand_over;
        let switch_note = switch.capture_note().filter(|_| !local_only && render::stderr_is_terminal());
        let switch_note = if in_hand_over { Some(CALLER_CAPTURES) } else { switch_note };
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
        let outgoing = self.hosted.as_ref().map(|hosted| hosted.outgoing(self.context)).transpose()?;
        let mut notes = match &self.hosted {
            Some(hosted) => refresh_caches(self.context, &hosted.observation),
            None => Vec::new(),
        };
        notes.extend(self.settle_hand_overs(outgoing.as_ref()));
        let outcome = apply(&self.project, outgoing.as_ref())?;
        let capture = outcome.capture();
        notes.extend(outcome.warnings().iter().map(|line| format!("warning: {}", printable(line))));
        notes.extend(capture.line());
        if let Some(hosted) = self.hosted.as_ref().filter(|_| capture.captured.is_some())
            && let Some(warning) = hosted.observation.destination_warning()
        {
            notes.push(format!("warning: {}", printable(&warning.text)));
            notes.push(format!("hint: {}", printable(&warning.remedy.hint())));
        }
        notes.extend(self.switch_note.map(str::to_owned));
        if let Some(hosted) = &self.hosted
            && capture.state == CaptureState::Captured
        {
            notes.extend(settle_leftovers(self.context, hosted.observation.cure_permit()));
            self.nudge_daemon(hosted)?;
        }
        let text = outcome.describe();
        let mut report = Report::of(&MissionDocument { value: outcome, text });
        report.notes = notes;
        Ok(report)
    }

    /// Runs another program in the place of a command, and captures the rows that it is proven to have written. Its end
    /// is the end of the command, whatever becomes of the capture; a record that is left is settled by the next
    /// producing command here.
    pub(crate) fn around(
        self,
        run: impl FnOnce() -> Result<ChildEnd, CliError>,
    ) -> Result<ChildEnd, CliError> {
        let Some(hosted) = &self.hosted else { return run() };
        let outgoing = hosted.outgoing(self.context)?;
        for note in refresh_caches(self.context, &hosted.observation) {
            render::note(&note);
        }
        for note in self.settle_hand_overs(Some(&outgoing)) {
            render::note(&note);
        }
        let running = hand_over::begin(&self.project, &outgoing, &Clock::system())?;
        let ended = match run() {
            Ok(ended) => ended,
            Err(error) => {
                // Nothing ran. Should the record stay, settling it finds nothing.
                drop(hand_over::abandon(&outgoing, running));
                return Err(error);
            }
        };
        for note in self.capture_run(running) {
            render::note(&note);
        }
        Ok(ended)
    }

    /// Captures what a run wrote, after the boundary was judged again.
    fn capture_run(&self, running: Running) -> Vec<String> {
        let clock = Clock::system();
        let hosted = match self.observe_again() {
            Ok(hosted) => hosted,
            Err(error) => {
                let missions =
                    hand_over::written_missions(&self.project, &running, &clock).unwrap_or_default();
                if let Some(hosted) = &self.hosted
                    && let Ok(outgoing) = hosted.outgoing(self.context)
                {
                    // Past its lifetime the permit removes no record; settling it later captures what is true then.
                    drop(hand_over::abandon(&outgoing, running));
                }
                return not_captured(&error, &missions);
            }
        };
        let captured = hosted.outgoing(self.context).and_then(|outgoing| {
            // The child may have changed the branch.
            let project = Project::read(self.project.root())?;
            Ok(hand_over::finish(&project, &outgoing, &clock, running)?)
        });
        match captured {
            Ok(captured) => {
                let mut notes = describe(&captured);
                if captured.report.captured.is_some() {
                    notes.extend(settle_leftovers(self.context, hosted.observation.cure_permit()));
                    notes.extend(
                        self.nudge_daemon(&hosted).err().map(|error| error.line().trim_end().to_owned()),
                    );
                }
                notes
            }
            Err(error) => vec![
                format!("warning: captured nothing: {}", printable(&error.summary)),
                "the next command that captures in this checkout captures what this one wrote".to_owned(),
            ],
        }
    }

    /// The boundary as it is now.
    fn observe_again(&self) -> Result<Hosted, CliError> {
        let observation = self.context.patient_boundary(queue::CAPTURE_DEADLINE)?.observe()?;
        let verdict = observation.judge(Policy { require_auth: true });
        if !verdict.result().auth_present {
            return Err(CliError::boundary(verdict.result().clone()));
        }
        Ok(Hosted { permit: observation.capture_permit()?, observation })
    }

    /// Captures what interrupted hand-overs in this checkout wrote.
    fn settle_hand_overs(&self, outgoing: Option<&Outgoing<'_>>) -> Vec<String> {
        let (Some(hosted), Some(outgoing)) = (&self.hosted, outgoing) else { return Vec::new() };
        if !hosted.observation.hand_overs {
            return Vec::new();
        }
        match hand_over::settle(&self.project, outgoing, &Clock::system()) {
            Ok(settled) => {
                settled.iter().flat_map(describe).map(|line| format!("interrupted command: {line}")).collect()
            }
            Err(error) => vec![format!(
                "warning: an interrupted command is not captured yet: {}",
                printable(&error.to_string())
            )],
        }
    }

    /// A nudge, or a new daemon. It never changes the exit code, and nothing waits for it.
    fn nudge_daemon(&self, hosted: &Hosted) -> Result<(), CliError> {
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

/// Lines that report a captured run.
fn describe(captured: &RunCapture) -> Vec<String> {
    let refused = captured.refused.iter().map(|(mission, row)| {
        let (id, problem) = (printable(&row.event_id), printable(&row.problem));
        format!("warning: {}: row {id} is not sent: {problem}", printable(mission))
    });
    refused.chain(captured.report.line()).collect()
}

/// The boundary refused after the run: nothing is captured, and how to do it later.
fn not_captured(error: &CliError, missions: &[String]) -> Vec<String> {
    let line = error.line();
    let mut notes = vec![format!("warning: captured nothing: {}", line.trim_end())];
    let (shown, rest) = missions.split_at(missions.len().min(PROJECTS_SHOWN));
    notes.extend(
        shown
            .iter()
            .map(|mission| format!("hint: {}", Remedy::CaptureHistory { mission: mission.clone() }.hint())),
    );
    if !rest.is_empty() {
        notes.push(format!("hint: and {} more missions", rest.len()));
    }
    notes
}

/// The outcome of a producing verb.
pub(crate) trait CommandOutcome: Serialize {
    /// Captured facts.
    fn capture(&self) -> &CaptureReport;

    /// The outcome as people read it.
    fn describe(&self) -> String;

    /// Warnings, for stderr.
    fn warnings(&self) -> Vec<String>;
}
