//! What each verb needs before it may do something (contract section 12).
//!
//! The matches are exhaustive on purpose: a verb without a class does not compile, and `doctor paths`
//! prints the inventory from the same table.

use crate::args::{
    AgentCommand, AuthCommand, Command, ConfigCommand, DaemonCommand, DecisionCommand, DoctorCommand,
    EvidenceCommand, LaneCommand, MissionCommand, ParkedCommand, ServerCommand, SyncCommand, TaskCommand,
    TokenCommand, UserCommand,
};
use serde::Serialize;

/// The class of a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Looks and changes nothing.
    ReadOnly,
    /// No gate: needs no identity.
    Tool,
    /// Changes the repository only.
    Local,
    /// Adds facts to the queue: authentication and the boundary, before any side effect.
    Producing,
    /// Sends: authentication, the boundary and an egress permit.
    Sending,
    /// Cures: never refused by the boundary.
    Curing,
}

impl Class {
    /// What a verb of this class needs.
    pub const fn needs(self) -> &'static str {
        match self {
            Self::ReadOnly | Self::Tool => "nothing",
            Self::Local => "no authentication, no gate, no queue",
            Self::Producing => {
                "with the switch on: authentication, then the boundary, before any side effect"
            }
            Self::Sending => "authentication, the boundary, an egress permit",
            Self::Curing => "never refused by the boundary",
        }
    }
}

/// One line of the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct VerbClass {
    /// The words after `spec-kitty`.
    pub verb: &'static str,
    /// Its class.
    pub class: Class,
}

const fn verb(verb: &'static str, class: Class) -> VerbClass {
    VerbClass { verb, class }
}

/// A producing verb asked to stay local is local. (With the switch off it is local, too; that is
/// decided where the switch is read.)
macro_rules! produced {
    ($name:literal, $local_only:expr) => {
        if $local_only {
            verb(concat!($name, " --local-only"), Class::Local)
        } else {
            verb($name, Class::Producing)
        }
    };
}

/// Finalizing that only judges is local, too.
macro_rules! finalizing {
    ($name:literal, $args:expr) => {
        if $args.validate_only {
            verb(concat!($name, " --validate-only"), Class::Local)
        } else {
            produced!($name, $args.producing.local_only)
        }
    };
}

/// The verb and class of a parsed command.
pub fn classify(command: &Command) -> VerbClass {
    match command {
        Command::Sync(command) => match command {
            SyncCommand::Status(_) => verb("sync status", Class::ReadOnly),
            SyncCommand::Doctor(_) => verb("sync doctor", Class::ReadOnly),
            SyncCommand::Setup(_) => verb("sync setup", Class::Curing),
            SyncCommand::Now(_) => verb("sync now", Class::Sending),
            SyncCommand::Migrate(_) => verb("sync migrate", Class::Curing),
            SyncCommand::Preview(_) => verb("sync preview", Class::ReadOnly),
            SyncCommand::Diagnose(_) => verb("sync diagnose", Class::ReadOnly),
            SyncCommand::Export(_) => verb("sync export", Class::ReadOnly),
            SyncCommand::Capture(_) => verb("sync capture --history", Class::Producing),
            SyncCommand::Parked(command) => match command {
                ParkedCommand::List(_) => verb("sync parked list", Class::ReadOnly),
                ParkedCommand::Show(_) => verb("sync parked show", Class::ReadOnly),
                ParkedCommand::Retry(_) => verb("sync parked retry", Class::Curing),
                ParkedCommand::Export(_) => verb("sync parked export", Class::ReadOnly),
                ParkedCommand::Drop(_) => verb("sync parked drop", Class::Curing),
            },
            SyncCommand::Resend(_) => verb("sync resend", Class::Curing),
            SyncCommand::Gc(_) => verb("sync gc", Class::Curing),
            SyncCommand::OptIn(_) => verb("sync opt-in", Class::Curing),
            SyncCommand::OptOut(_) => verb("sync opt-out", Class::Curing),
            // Running needs no permit; each drain asks for an egress permit of its own.
            SyncCommand::Daemon(command) => match command {
                DaemonCommand::Start(_) => verb("sync daemon start", Class::Curing),
                DaemonCommand::Stop(_) => verb("sync daemon stop", Class::Curing),
                DaemonCommand::Status(_) => verb("sync daemon status", Class::ReadOnly),
                DaemonCommand::Run(_) => verb("sync daemon run", Class::Curing),
            },
        },
        Command::Doctor(command) => match command {
            DoctorCommand::OrphanDaemons(args) if !args.fix => verb("doctor orphan-daemons", Class::ReadOnly),
            DoctorCommand::OrphanDaemons(_) => verb("doctor orphan-daemons --fix", Class::Curing),
            DoctorCommand::RestartDaemon(_) => verb("doctor restart-daemon", Class::Curing),
            DoctorCommand::Repair(_) => verb("doctor repair", Class::Curing),
            DoctorCommand::Paths(_) => verb("doctor paths", Class::ReadOnly),
        },
        Command::Auth(command) => match command {
            AuthCommand::Login(_) => verb("auth login", Class::Curing),
            AuthCommand::Logout(_) => verb("auth logout", Class::Curing),
            AuthCommand::Status(_) => verb("auth status", Class::ReadOnly),
            AuthCommand::Whoami(_) => verb("auth whoami", Class::ReadOnly),
            AuthCommand::Doctor(_) => verb("auth doctor", Class::ReadOnly),
            AuthCommand::Switch(_) => verb("auth switch", Class::Curing),
        },
        Command::Config(command) => match command {
            ConfigCommand::List(_) => verb("config list", Class::ReadOnly),
            ConfigCommand::Get(_) => verb("config get", Class::ReadOnly),
            ConfigCommand::Set(_) => verb("config set", Class::Curing),
            ConfigCommand::Unset(_) => verb("config unset", Class::Curing),
        },
        Command::Agent(command) => classify_agent(command),
        Command::Specify(args) => produced!("specify", args.producing.local_only),
        Command::Plan(args) => produced!("plan", args.producing.local_only),
        Command::Tasks(args) => finalizing!("tasks", args),
        Command::Server(args) => match &args.command {
            None => verb("server", Class::Tool),
            Some(ServerCommand::User(UserCommand::Add { .. })) => verb("server user add", Class::Tool),
            Some(ServerCommand::User(UserCommand::Secret { .. })) => verb("server user secret", Class::Tool),
            Some(ServerCommand::User(UserCommand::List(_))) => verb("server user list", Class::Tool),
            Some(ServerCommand::Token(TokenCommand::Add { .. })) => verb("server token add", Class::Tool),
            Some(ServerCommand::Token(TokenCommand::Revoke { .. })) => {
                verb("server token revoke", Class::Tool)
            }
            Some(ServerCommand::Token(TokenCommand::List(_))) => verb("server token list", Class::Tool),
        },
        Command::Quickstart(_) => verb("quickstart", Class::Tool),
        Command::Completions { .. } => verb("completions", Class::Tool),
        Command::Man { .. } => verb("man", Class::Tool),
    }
}

/// The verb and class of a mission command.
fn classify_agent(command: &AgentCommand) -> VerbClass {
    match command {
        AgentCommand::Mission(command) => match command {
            MissionCommand::Create(args) => produced!("agent mission create", args.producing.local_only),
            MissionCommand::CheckPrerequisites(_) => {
                verb("agent mission check-prerequisites", Class::ReadOnly)
            }
            MissionCommand::SetupPlan(args) => {
                produced!("agent mission setup-plan", args.producing.local_only)
            }
            MissionCommand::FinalizeTasks(args) => finalizing!("agent mission finalize-tasks", args),
        },
        AgentCommand::Status(command) => match command {
            LaneCommand::Emit(args) => produced!("agent status emit", args.producing.local_only),
            LaneCommand::Materialize(_) => verb("agent status materialize", Class::Local),
            LaneCommand::Show(_) => verb("agent status show", Class::ReadOnly),
        },
        AgentCommand::Tasks(command) => match command {
            TaskCommand::List(_) => verb("agent tasks list", Class::ReadOnly),
            TaskCommand::MoveTask(args) => produced!("agent tasks move-task", args.producing.local_only),
            TaskCommand::MarkStatus(args) => produced!("agent tasks mark-status", args.producing.local_only),
            TaskCommand::AddHistory(args) => produced!("agent tasks add-history", args.producing.local_only),
        },
        AgentCommand::Decision(command) => match command {
            DecisionCommand::Open(_) => verb("agent decision open", Class::Local),
            DecisionCommand::Resolve(_) => verb("agent decision resolve", Class::Local),
            DecisionCommand::Defer(_) => verb("agent decision defer", Class::Local),
            DecisionCommand::Cancel(_) => verb("agent decision cancel", Class::Local),
            DecisionCommand::Verify(_) => verb("agent decision verify", Class::ReadOnly),
        },
        AgentCommand::Evidence(command) => match command {
            EvidenceCommand::Capture(_) => verb("agent evidence capture", Class::Local),
            EvidenceCommand::Draft(_) => verb("agent evidence draft", Class::Local),
            EvidenceCommand::Verify(_) => verb("agent evidence verify", Class::ReadOnly),
        },
    }
}
