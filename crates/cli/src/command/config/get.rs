use super::{SettingRow, keys, override_note};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::Remedy;
use identity::config::{ConfigKey, read_settings};

/// Print the value of one setting
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty config get sync.server_url")]
pub(crate) struct ConfigGetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    key: ConfigKey,
}

impl Verb for ConfigGetArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let (settings, _) = read_settings(context.home()?)?;
        let setting = settings.into_iter().find(|setting| setting.key == self.key);
        let row = setting.map(|setting| SettingRow::of(context, setting));
        match row {
            Some(row) if row.shown.is_some() => {
                let note = row.overridden_by.map(|variable| override_note(self.key, variable));
                let mut report = Report::of(&row);
                report.notes.extend(note);
                Ok(report)
            }
            _ => Err(CliError::failed("CONFIG_KEY_UNSET", format!("`{}` is not set", self.key.name()))
                .fact("key", self.key.name())
                .remedy(Remedy::Advice(format!("spec-kitty config set {} VALUE", self.key.name())))),
        }
    }
}
