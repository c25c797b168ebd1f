use super::SettingRow;
use crate::verb::{Args, Class, CliError, CommandContext, Render, Report, Verb};
use contract::text::printable;
use identity::config::read_settings;
use serde::Serialize;
use std::fmt::Write as _;

/// List every setting with its value and its source
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty config list")]
pub(crate) struct ConfigListArgs;

impl Verb for ConfigListArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let home = context.home()?;
        let (settings, unknown) = read_settings(home)?;
        let settings = settings.into_iter().map(|setting| SettingRow::of(context, setting)).collect();
        let path = home.config_file().to_string_lossy().into_owned();
        let unknown_keys: Vec<String> = unknown.iter().map(|key| key.name.clone()).collect();
        let mut report = Report::of(&SettingList { path, settings, unknown_keys });
        report.notes.extend(unknown.iter().map(|key| format!("warning: {}", printable(&key.to_string()))));
        Ok(report)
    }
}

/// All settings.
#[derive(Debug, Serialize)]
struct SettingList {
    path: String,
    settings: Vec<SettingRow>,
    unknown_keys: Vec<String>,
}

impl Render for SettingList {
    fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.settings {
            let value = row.shown.as_deref().unwrap_or(contract::preflight::UNSET);
            let _ = write!(out, "{} = {}", row.key, printable(value));
            if row.source == "default" {
                out.push_str(" (default)");
            }
            if let Some(variable) = row.overridden_by {
                let _ = write!(out, " (not in force: {variable} decides)");
            }
            out.push('\n');
        }
        out
    }
}
