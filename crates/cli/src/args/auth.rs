//! `spec-kitty auth ...`: who this machine is.

use super::JsonArgs;
use clap::{Args, Subcommand};

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
    /// Examine the login of this machine, file by file; changes nothing
    Doctor(AuthDoctorArgs),
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

/// `spec-kitty auth doctor`
#[derive(Debug, Args)]
pub struct AuthDoctorArgs {
    /// Also ask the server whether it takes this login; without it nothing is sent
    #[arg(long)]
    pub server: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl AuthCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Login(args) => args.json,
            Self::Logout(args) => args.json,
            Self::Status(args) | Self::Whoami(args) => args.json,
            Self::Switch(args) => args.json,
            Self::Doctor(args) => args.json,
        }
    }
}
