//! `server`: the ingest server as one process; `server ...`: the administration of its accounts.

mod backup;
mod copy;
mod doctor;
mod project;
mod prune;
mod restore;
mod session;
mod team;
mod token;
mod user;

use crate::args::Group;
use crate::build;
use crate::render;
use crate::verb::{
    Args, Class, CliError, CommandContext, ExitCode, Render, Report, Verb, chain, no_document,
};
use clap::Subcommand;
use serde::Serialize;
use server::{
    Admin, Cidr, ServerConfig, ServerError, Shutdown, StoreLocation, StoreOptions, TlsFiles, TrustedProxies,
};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Run the ingest server, or administer its people, teams and projects
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example: spec-kitty server --data /var/lib/spec-kitty"
)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    store: AdminArgs,
    /// Address to listen on; with port 0 the system chooses
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8470", value_parser = listen_address)]
    listen: SocketAddr,
    /// The URL by which users reach the server behind a proxy
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Address range of a proxy whose X-Forwarded-For names the client; may be given more than once
    #[arg(long, value_name = "CIDR")]
    trusted_proxy: Vec<Cidr>,
    /// Keep the counts off the overview page, and do not answer /metrics
    #[arg(long)]
    private_metrics: bool,
    /// PEM file of a certificate chain: the server terminates TLS itself
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of the private key of --tls-cert; both are read again when they change
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen without TLS on an address that other machines reach; put TLS in front of it
    #[arg(long)]
    allow_public_address: bool,
    /// Do not log requests to stderr
    #[arg(long)]
    quiet: bool,
    #[command(subcommand)]
    command: Option<ServerCommand>,
}

// `server ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ServerCommand {
    /// Administer the accounts of this server
    #[command(arg_required_else_help = true)]
    User(Group<user::UserCommand>),
    /// Administer the teams and their members
    #[command(arg_required_else_help = true)]
    Team(Group<team::TeamCommand>),
    /// List and end the logins of people
    #[command(arg_required_else_help = true)]
    Session(Group<session::SessionCommand>),
    /// List and delete the projects of the teams
    #[command(arg_required_else_help = true)]
    Project(Group<project::ProjectCommand>),
    /// Administer tokens for machines that cannot log in
    #[command(arg_required_else_help = true)]
    Token(Group<token::TokenCommand>),
    Prune(prune::ServerPruneArgs),
    Copy(copy::ServerCopyArgs),
    Backup(backup::ServerBackupArgs),
    Restore(restore::ServerRestoreArgs),
    Doctor(doctor::ServerDoctorArgs),
}

impl ServerArgs {
    pub(super) fn verb(mut self) -> Box<dyn Verb> {
        match self.command.take() {
            None => Box::new(self),
            Some(ServerCommand::User(group)) => group.command.verb(),
            Some(ServerCommand::Team(group)) => group.command.verb(),
            Some(ServerCommand::Session(group)) => group.command.verb(),
            Some(ServerCommand::Project(group)) => group.command.verb(),
            Some(ServerCommand::Token(group)) => group.command.verb(),
            Some(ServerCommand::Prune(command)) => Box::new(command),
            Some(ServerCommand::Copy(command)) => Box::new(command),
            Some(ServerCommand::Backup(command)) => Box::new(command),
            Some(ServerCommand::Restore(command)) => Box::new(command),
            Some(ServerCommand::Doctor(command)) => Box::new(command),
        }
    }
}

impl Verb for ServerArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    /// Serves until a signal. The first line on stdout is the address.
    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let mut config = ServerConfig::new(self.store.location()?);
        config.listen = self.listen;
        config.allow_public_address = self.allow_public_address;
        config.public_url = self.public_url.map(|url| url.trim_end_matches('/').to_owned());
        config.trusted_proxies = TrustedProxies::new(self.trusted_proxy);
        config.private_metrics = self.private_metrics;
        config.version = build::VERSION.to_owned();
        config.stop_on_signals = true;
        config.access_log = (!self.quiet).then(render::log);
        config.tls = self.tls_cert.zip(self.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
        let scheme = config.scheme();
        let ready = move |address| render::print_text(&format!("listening on {scheme}://{address}\n"));
        config.on_ready = Some(Box::new(ready));
        render::log_failures();
        server::serve(config, Shutdown::new()).map_err(failed)?;
        Ok(Report::silent())
    }
}

/// Options that name the store of a server.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct AdminArgs {
    /// Directory of the server's database
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of a PostgreSQL database, without a password
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// File with the address of a PostgreSQL database [default: SPEC_KITTY_DATABASE_URL]
    #[arg(long, value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

impl AdminArgs {
    fn location(&self) -> Result<StoreLocation, CliError> {
        let options = StoreOptions {
            directory: self.data.clone(),
            url: self.database_url.clone(),
            url_file: self.database_url_file.clone(),
        };
        options.location().map_err(failed)
    }

    fn open(&self) -> Result<Admin, CliError> {
        Admin::open_existing(self.location()?).map_err(failed)
    }
}

/// The report of a deletion that was not agreed to; nothing changes then.
fn confirmed(context: &CommandContext, yes: bool, question: &str, preview: &impl Render) -> Option<Report> {
    if yes || context.agrees(&format!("{}{question}", preview.text())) {
        return None;
    }
    Some(Report::exiting(ExitCode::Refused, preview).note("nothing was changed; add --yes to do it"))
}

/// An address and port; `localhost` is this machine, whatever a resolver answers.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => text.parse().ok(),
    };
    address.ok_or_else(|| "not an address and a port, as in 127.0.0.1:8470 or [::1]:8470".to_owned())
}

fn failed(error: ServerError) -> CliError {
    CliError::new("SERVER_FAILED", exit_of(&error), chain(&error)).remedy(error.remedy())
}

fn exit_of(error: &ServerError) -> ExitCode {
    match error {
        ServerError::InUse(_) => ExitCode::Busy,
        ServerError::Argument(..)
        | ServerError::NotLoopback(_)
        | ServerError::Certificate(..)
        | ServerError::VisibleKey(..)
        | ServerError::NoStore
        | ServerError::DatabaseAddress(..)
        | ServerError::VisiblePassword
        | ServerError::NotEmpty(..) => ExitCode::Refused,
        _ => ExitCode::Failed,
    }
}

/// One line of a listing.
pub(super) trait AdminLine {
    fn line(&self) -> String;
}

/// A listing.
#[derive(Debug, Serialize)]
pub(super) struct AdminList<T: Serialize> {
    pub(super) results: Vec<T>,
}

impl<T: AdminLine + Serialize> Render for AdminList<T> {
    fn text(&self) -> String {
        let mut out = String::new();
        for result in &self.results {
            let _ = writeln!(out, "{}", result.line());
        }
        if self.results.is_empty() {
            out.push_str("none\n");
        }
        out
    }
}
