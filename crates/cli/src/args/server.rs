//! `spec-kitty server`: the ingest server, and its accounts.

use clap::{Args, Subcommand};
use server::Cidr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// `spec-kitty server`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ServerArgs {
    /// Where the server keeps its database
    #[arg(long, value_name = "DIR", required = true)]
    pub data: Option<PathBuf>,
    /// Address to listen on; port 0 lets the system choose
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8470", value_parser = listen_address)]
    pub listen: SocketAddr,
    /// The URL by which users reach the server behind a proxy
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Address range of a proxy whose X-Forwarded-For names the client; may be given more than once
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Cidr>,
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

impl ServerArgs {
    pub(super) fn json(&self) -> bool {
        self.command.as_ref().is_some_and(|command| command.admin().json)
    }
}

/// An address and port; `localhost` is this machine, whatever a resolver says.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    address.ok_or_else(|| "not an address and a port, as in 127.0.0.1:8470 or [::1]:8470".to_owned())
}
