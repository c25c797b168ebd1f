//! `config ...`: the known settings of `config.toml`.
//!
//! A change is never refused by the boundary, because it may be what makes it coherent. Consent belongs to
//! `sync opt-in` and `sync opt-out`.

mod get;
mod list;
mod set;
mod unset;

use crate::verb::{CliError, CommandContext, LineResult, Render, Report, Verb};
use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use contract::text::printable;
use identity::config::{ConfigKey, Setting};
use identity::environment::names;
use identity::{ConfigEdit, LoginSource};
use serde::Serialize;
use serde_json::{Value, json};

// `config ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum ConfigCommand {
    List(list::ConfigListArgs),
    Get(get::ConfigGetArgs),
    Set(set::ConfigSetArgs),
    Unset(unset::ConfigUnsetArgs),
}

impl ConfigCommand {
    pub(super) fn verb(self) -> Box<dyn Verb> {
        match self {
            Self::List(args) => Box::new(args),
            Self::Get(args) => Box::new(args),
            Self::Set(args) => Box::new(args),
            Self::Unset(args) => Box::new(args),
        }
    }
}

/// The known keys: an unknown one is a usage error that lists them.
fn keys() -> impl TypedValueParser<Value = ConfigKey> {
    PossibleValuesParser::new(ConfigKey::ALL.iter().map(|key| key.name()))
        .try_map(|name| ConfigKey::parse(&name).ok_or("not a known setting"))
}

/// Changes one key. `value` is what the key has afterwards; none when it is removed.
fn change(
    context: &CommandContext,
    key: ConfigKey,
    value: Option<&str>,
    apply: impl FnOnce(&mut ConfigEdit),
) -> Result<Report, CliError> {
    let mut edit = ConfigEdit::begin_repair(context.home()?)?;
    apply(&mut edit);
    let changed = edit.is_changed();
    edit.commit()?;
    let name = key.name();
    let in_force = value.map(str::to_owned).or_else(|| key.default_value());
    let (result, line) = match (changed, value) {
        (true, Some(value)) => ("set", format!("{name} = {}", printable(value))),
        (true, None) => ("unset", format!("{name} is not set any more")),
        (false, Some(value)) => ("nothing_to_do", format!("{name} is {} already", printable(value))),
        (false, None) => ("nothing_to_do", format!("{name} was not set")),
    };
    let facts = json!({ "key": name, "value": typed(key, in_force.as_deref()), "changed": changed });
    let mut report = Report::of(&LineResult { result, facts, line });
    report.notes.extend(overriding(context, key).map(|variable| override_note(key, variable)));
    Ok(report)
}

/// The variable that decides in place of the file, if one does.
fn overriding(context: &CommandContext, key: ConfigKey) -> Option<&'static str> {
    let environment = &context.environment;
    match key {
        ConfigKey::Hosted => environment.get(contract::switch::VARIABLE).map(|_| contract::switch::VARIABLE),
        ConfigKey::ServerUrl | ConfigKey::TokenHost => {
            let config = context.config().ok()?;
            let login = identity::read_login(context.home().ok()?, &config, environment);
            (login.source == LoginSource::Token).then_some(names::SPEC_KITTY_SERVER_URL)
        }
        _ => None,
    }
}

fn override_note(key: ConfigKey, variable: &str) -> String {
    format!("note: {variable} is set and decides in place of `{}`", key.name())
}

/// The value as JSON has it.
fn typed(key: ConfigKey, value: Option<&str>) -> Value {
    let Some(value) = value else { return Value::Null };
    match key {
        ConfigKey::ServerUrl | ConfigKey::TokenHost | ConfigKey::BackgroundDaemon => value.into(),
        // Booleans and numbers have the same form in JSON.
        _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    }
}

/// One setting.
#[derive(Debug, Serialize)]
struct SettingRow {
    key: &'static str,
    value: Value,
    /// `config`, `default` or `unset`.
    source: &'static str,
    /// The variable that decides in its place.
    overridden_by: Option<&'static str>,
    #[serde(skip)]
    shown: Option<String>,
}

impl SettingRow {
    fn of(context: &CommandContext, setting: Setting) -> Self {
        let Setting { key, value, is_set } = setting;
        let shown = value.map(|value| contract::server_url::shown(&value).into_owned());
        let source = match (is_set, &shown) {
            (true, _) => "config",
            (false, Some(_)) => "default",
            (false, None) => "unset",
        };
        Self {
            key: key.name(),
            value: typed(key, shown.as_deref()),
            source,
            overridden_by: overriding(context, key),
            shown,
        }
    }
}

impl Render for SettingRow {
    fn text(&self) -> String {
        self.shown.as_deref().map(|value| format!("{}\n", printable(value))).unwrap_or_default()
    }
}
