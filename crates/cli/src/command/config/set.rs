use super::{change, keys};
use crate::verb::{Args, Class, CliError, CommandContext, ExitCode, Report, Verb};
use identity::config::ConfigKey;

/// Set one setting
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty config set sync.hosted true")]
pub(crate) struct ConfigSetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    key: ConfigKey,
    /// Its value
    #[arg(allow_negative_numbers = true)]
    value: String,
}

impl Verb for ConfigSetArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let value = self.key.normal_form(&self.value).map_err(|invalid| {
            CliError::new("CONFIG_VALUE_INVALID", ExitCode::Refused, invalid.to_string())
                .fact("key", self.key.name())
        })?;
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        change(context, self.key, Some(&shown), |edit| edit.set(self.key, value))
    }
}
