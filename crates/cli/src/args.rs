//! The command line, as clap sees it. Nothing here does anything; `command` has one file per verb.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spec-kitty",
    version = crate::build::VERSION_LINE,
    about = "Plan work in missions; deliver every step of it to the right account, or say why not",
    long_about = "Plan work in missions; deliver every step of it to the right account, or say why not.\n\n\
        Commands that produce or send something the server can see first check that the foreground, the \
        daemon, the queue and the login describe one identity. If they do not, the command refuses, names \
        every field that differs, and says how to cure it.",
    after_help = crate::build::exit_code_help(),
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The command groups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at, cure and drain the queue of this machine
    #[command(subcommand, arg_required_else_help = true)]
    Sync(SyncCommand),
    /// Find and repair what keeps the boundary from being coherent
    #[command(subcommand, arg_required_else_help = true)]
    Doctor(DoctorCommand),
    /// Log in, log out, see who you are
    #[command(subcommand, arg_required_else_help = true)]
    Auth(AuthCommand),
    /// Mission commands for people and agents
    #[command(subcommand, arg_required_else_help = true)]
    Agent(AgentCommand),
    /// Run the ingest server, or administer its accounts
    Server(ServerArgs),
    /// Show the whole story on this machine: a server, a login, a refusal, its cure, a delivery
    Quickstart(QuickstartArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man {
        /// Where to write them
        directory: PathBuf,
    },
}

/// `spec-kitty sync ...`
#[derive(Debug, Subcommand)]
pub enum SyncCommand {
    /// Show the state of the boundary and of the queue; never changes anything
    Status(StatusArgs),
    /// Deliver what waits in the queue
    Now(NowArgs),
    /// Move legacy rows of this account into its scoped queue DB
    Migrate(MigrateArgs),
    /// Let rows of a project leave this machine
    OptIn(OptInArgs),
    /// Keep rows of a project on this machine
    OptOut(OptOutArgs),
    /// The background daemon that drains the queue
    #[command(subcommand, arg_required_else_help = true)]
    Daemon(DaemonCommand),
}

/// `spec-kitty sync status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Exit 2 unless the boundary is coherent
    #[arg(long, short)]
    pub check: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync now`
#[derive(Debug, Args)]
pub struct NowArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Write what failed, and why, to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Exit 1 when something was parked or could not be delivered (the default)
    #[arg(long, overrides_with = "no_strict")]
    pub strict: bool,
    /// Exit 0 even when something was parked or could not be delivered
    #[arg(long)]
    pub no_strict: bool,
    /// Wait this many seconds for another drain of this account
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub wait: u64,
}

/// `spec-kitty sync migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Say what would move; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync opt-in`
#[derive(Debug, Args)]
pub struct OptInArgs {
    /// The project's uuid, or `none` for rows without a project [default: the project of this directory]
    #[arg(long, value_name = "UUID", allow_hyphen_values = true, value_parser = project)]
    pub project: Option<String>,
    /// Release the rows that are held for it, too
    #[arg(long)]
    pub include_held: bool,
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A project as the queue spells it: other programs wrote uuids with blanks around them, in capitals,
/// and words that are none.
fn project(named: &str) -> Result<String, &'static str> {
    let named = contract::scope::trim(named).to_lowercase();
    if named.is_empty() { Err("name a project, or `none`") } else { Ok(named) }
}

/// `spec-kitty sync opt-out`
#[derive(Debug, Args)]
pub struct OptOutArgs {
    /// The project's uuid, or `none` for rows without a project [default: the project of this directory]
    #[arg(long, value_name = "UUID", allow_hyphen_values = true, value_parser = project)]
    pub project: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty sync daemon ...`
#[derive(Debug, Subcommand)]
pub enum DaemonCommand {
    /// Start the daemon in the background, or say which one runs
    Start(JsonArgs),
    /// Stop the daemon of this home
    Stop(JsonArgs),
    /// Show the daemon of this home
    Status(JsonArgs),
    /// Be the daemon, in the foreground
    Run(DaemonRunArgs),
}

/// `spec-kitty sync daemon run`
#[derive(Debug, Args)]
pub struct DaemonRunArgs {
    /// Report readiness to the process that started this one
    #[arg(long, hide = true)]
    pub spawned: bool,
}

/// Commands whose only option is `--json`.
#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty doctor ...`
#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Find orphan owner records and stray daemons of this home
    OrphanDaemons(OrphanDaemonsArgs),
    /// Replace the daemon by one with the identity of this command
    RestartDaemon(JsonArgs),
    /// Move files that cannot be read aside, with a timestamp; deletes nothing
    Repair(JsonArgs),
    /// List every command with its class: what it needs before it may do something
    Paths(JsonArgs),
}

/// `spec-kitty doctor orphan-daemons`
#[derive(Debug, Args)]
pub struct OrphanDaemonsArgs {
    /// Clean up what can be cleaned up safely
    #[arg(long)]
    pub fix: bool,
    /// With --fix: also move the files of a daemon that does not answer aside
    #[arg(long, requires = "fix")]
    pub force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty auth ...`
#[derive(Debug, Subcommand)]
pub enum AuthCommand {
    /// Log in through the browser, or with --headless through a code on any other device
    Login(LoginArgs),
    /// Log out: revoke the session at its server and remove it here
    Logout(LogoutArgs),
    /// Show the login of this machine
    Status(JsonArgs),
    /// Print the e-mail address of the login
    Whoami(JsonArgs),
    /// Choose another private teamspace of this session
    Switch(SwitchArgs),
}

/// `spec-kitty auth login`
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Show a code to approve on another device instead of opening a browser
    #[arg(long)]
    pub headless: bool,
    /// The server; remembered as `sync.server_url`
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// Log in again although a session exists
    #[arg(long)]
    pub force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty auth logout`
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Remove the local session without telling the server
    #[arg(long)]
    pub force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty auth switch`
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// Id or name of the private teamspace
    pub team: String,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent ...`
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// The life of a mission
    #[command(subcommand, arg_required_else_help = true)]
    Mission(MissionCommand),
    /// The lanes of work packages
    #[command(subcommand, arg_required_else_help = true)]
    Status(LaneCommand),
}

/// `spec-kitty agent mission ...`
#[derive(Debug, Subcommand)]
pub enum MissionCommand {
    /// Create a mission: its directory, its meta.json and an empty spec
    Create(CreateArgs),
    /// Create plan.md from a template once the spec is written and committed
    SetupPlan(SetupPlanArgs),
}

/// `spec-kitty agent mission create`
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the mission in kebab-case
    pub slug: String,
    /// Kind of mission
    #[arg(long, value_name = "TYPE", default_value = "software-dev")]
    pub mission_type: String,
    /// Branch the mission is planned on and merged into [default: the current branch]
    #[arg(long, value_name = "BRANCH")]
    pub target_branch: Option<String>,
    /// Name for people
    #[arg(long, value_name = "TEXT")]
    pub friendly_name: Option<String>,
    /// What it is for, in one line
    #[arg(long, value_name = "TEXT")]
    pub purpose_tldr: Option<String>,
    /// What it is for, in context
    #[arg(long, value_name = "TEXT")]
    pub purpose_context: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// `spec-kitty agent mission setup-plan`
#[derive(Debug, Args)]
pub struct SetupPlanArgs {
    /// The mission: its id, the first eight characters of it, or its directory name
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// Options of every producing command.
#[derive(Debug, Args)]
pub struct ProducingArgs {
    /// Change the repository only; capture nothing for the server
    #[arg(long)]
    pub local_only: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty agent status ...`
#[derive(Debug, Subcommand)]
pub enum LaneCommand {
    /// Move a work package to a lane
    Emit(EmitArgs),
}

/// `spec-kitty agent status emit`
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    pub work_package: String,
    /// The mission
    #[arg(long, value_name = "HANDLE")]
    pub mission: Option<String>,
    /// The lane to move it to
    #[arg(long, value_name = "LANE")]
    pub to: String,
    /// Who moves it
    #[arg(long)]
    pub actor: String,
    /// Move it although the lanes do not allow it; needs --reason
    #[arg(long)]
    pub force: bool,
    /// Why
    #[arg(long)]
    pub reason: Option<String>,
    /// Evidence as a JSON object: review{reviewer, verdict, reference}
    #[arg(long, value_name = "JSON")]
    pub evidence_json: Option<String>,
    /// The review this move answers
    #[arg(long, value_name = "REF")]
    pub review_ref: Option<String>,
    /// The workspace the work happens in
    #[arg(long, value_name = "TEXT")]
    pub workspace_context: Option<String>,
    /// Say that all subtasks are done
    #[arg(long)]
    pub subtasks_complete: bool,
    /// Say that there is evidence of the implementation
    #[arg(long)]
    pub implementation_evidence_present: bool,
    /// How the work is done [default: worktree]
    #[arg(long, value_enum)]
    pub execution_mode: Option<ExecutionMode>,
    /// Options every producing command has
    #[command(flatten)]
    pub producing: ProducingArgs,
}

/// How a work package is worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExecutionMode {
    /// In a worktree of its own
    #[value(name = "worktree")]
    Worktree,
    /// In the main checkout
    #[value(name = "direct_repo")]
    DirectRepo,
}

/// `spec-kitty server`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ServerArgs {
    /// Where the server keeps its database
    #[arg(long, value_name = "DIR", required = true)]
    pub data: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8470")]
    pub listen: SocketAddr,
    /// How users reach the server behind a proxy, for example https://sync.example.org
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Listen on an address that other machines reach; put TLS in front of it
    #[arg(long)]
    pub allow_public_address: bool,
    /// Do not log requests to stderr
    #[arg(long)]
    pub quiet: bool,
    /// Administer accounts instead
    #[command(subcommand)]
    pub command: Option<ServerCommand>,
}

/// `spec-kitty server ...`
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Accounts of this server
    #[command(subcommand, arg_required_else_help = true)]
    User(UserCommand),
    /// Tokens for machines that cannot log in
    #[command(subcommand, arg_required_else_help = true)]
    Token(TokenCommand),
}

/// Options of every administration command.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Where the server keeps its database
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `spec-kitty server user ...`
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account; prints its approval secret once
    Add {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        /// Name for people [default: the e-mail address]
        #[arg(long)]
        name: Option<String>,
        /// Private teamspace to join or create [default: one of its own]
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
        /// Options of every administration command
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Give an account a new approval secret; prints it once
    Secret {
        /// E-mail address of the account
        #[arg(long)]
        email: String,
        /// Options of every administration command
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the accounts
    List(AdminArgs),
}

/// `spec-kitty server token ...`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Issue a token; prints it once
    Add {
        /// E-mail address of the account it stands for
        #[arg(long)]
        email: String,
        /// Private teamspace it is for [default: the account's first]
        #[arg(long, value_name = "TEAM")]
        team: Option<String>,
        /// What it is for
        #[arg(long)]
        label: String,
        /// Options of every administration command
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Revoke a token
    Revoke {
        /// Its id
        id: String,
        /// Options of every administration command
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the tokens, without their secrets
    List(AdminArgs),
}

impl ServerCommand {
    /// Options of every administration command.
    pub fn admin(&self) -> &AdminArgs {
        match self {
            Self::User(
                UserCommand::Add { admin, .. } | UserCommand::Secret { admin, .. } | UserCommand::List(admin),
            )
            | Self::Token(
                TokenCommand::Add { admin, .. }
                | TokenCommand::Revoke { admin, .. }
                | TokenCommand::List(admin),
            ) => admin,
        }
    }
}

/// `spec-kitty quickstart`
#[derive(Debug, Args)]
pub struct QuickstartArgs {
    /// Directory to build the scene in; must be empty or absent
    #[arg(long, value_name = "DIR", default_value = "quickstart-world")]
    pub dir: PathBuf,
}

impl Command {
    /// Whether the command was asked for one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::Sync(command) => match command {
                SyncCommand::Status(args) => args.json,
                SyncCommand::Now(args) => args.json,
                SyncCommand::Migrate(args) => args.json,
                SyncCommand::OptIn(args) => args.json,
                SyncCommand::OptOut(args) => args.json,
                SyncCommand::Daemon(command) => match command {
                    DaemonCommand::Start(args) | DaemonCommand::Stop(args) | DaemonCommand::Status(args) => {
                        args.json
                    }
                    DaemonCommand::Run(_) => false,
                },
            },
            Self::Doctor(command) => match command {
                DoctorCommand::OrphanDaemons(args) => args.json,
                DoctorCommand::RestartDaemon(args)
                | DoctorCommand::Repair(args)
                | DoctorCommand::Paths(args) => args.json,
            },
            Self::Auth(command) => match command {
                AuthCommand::Login(args) => args.json,
                AuthCommand::Logout(args) => args.json,
                AuthCommand::Status(args) | AuthCommand::Whoami(args) => args.json,
                AuthCommand::Switch(args) => args.json,
            },
            Self::Agent(command) => match command {
                AgentCommand::Mission(MissionCommand::Create(args)) => args.producing.json,
                AgentCommand::Mission(MissionCommand::SetupPlan(args)) => args.producing.json,
                AgentCommand::Status(LaneCommand::Emit(args)) => args.producing.json,
            },
            Self::Server(args) => args.command.as_ref().is_some_and(|command| command.admin().json),
            Self::Quickstart(_) | Self::Completions { .. } | Self::Man { .. } => false,
        }
    }
}
