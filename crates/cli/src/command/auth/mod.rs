//! `auth ...`: the login of this machine.

mod doctor;
mod login;
mod logout;
mod status;
mod switch;
mod whoami;

use crate::build;
use crate::elsewhere;
use crate::verb::{CliError, CommandContext, Report, Verb, chain};
use clap::Subcommand;
use identity::environment::names;

// `auth ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum AuthCommand {
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Status(status::AuthStatusArgs),
    Whoami(whoami::WhoamiArgs),
    Switch(switch::SwitchArgs),
    Doctor(doctor::AuthDoctorArgs),
}

impl AuthCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::Login(args) => Box::new(args),
            Self::Logout(args) => Box::new(args),
            Self::Status(args) => Box::new(args),
            Self::Whoami(args) => Box::new(args),
            Self::Switch(args) => Box::new(args),
            Self::Doctor(args) => Box::new(args),
        }
    }
}

/// Adds the rows that wait elsewhere to the report of a verb about the login.
fn with_elsewhere(context: &CommandContext, mut report: Report) -> Report {
    let elsewhere = elsewhere::observe(context);
    report.text.push_str(&elsewhere::describe(&elsewhere));
    if let (Some(facts), Ok(serde_json::Value::Object(more))) =
        (report.json.as_object_mut(), serde_json::to_value(&elsewhere))
    {
        facts.extend(more);
    }
    report
}

/// A CI token wins over any session, so the change has no effect: worth a note.
fn token_note(context: &CommandContext) -> Option<String> {
    let variables = [names::SPEC_KITTY_TOKEN, names::SPEC_KITTY_TOKEN_FILE];
    let variable = variables.into_iter().find(|name| context.environment.non_empty(name).is_some())?;
    Some(format!("warning: {variable} is set, and a CI token wins over a session; unset it to use sessions"))
}

fn http(context: &CommandContext) -> Result<delivery::DeliveryContext, CliError> {
    delivery::DeliveryContext::new(context.home()?, &context.environment, build::VERSION)
        .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))
}
