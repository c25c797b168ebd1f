//! `config list|get|set|unset`: the known settings of `config.toml`.
//!
//! Reading is read-only; changing is never refused by the boundary, because it may be what makes it
//! coherent. Consent belongs to `sync opt-in` and `sync opt-out`.

use crate::args::{GetArgs, SetArgs, UnsetArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::report::{Document, Report, Said};
use contract::text::printable;
use contract::{ExitCode, Remedy};
use identity::config::{Key, Setting, read_settings};
use identity::environment::names;
use identity::{ConfigEdit, LoginSource};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Runs `config list`.
pub(crate) fn list(context: &Context) -> Result<Report, CliError> {
    let home = context.home()?;
    let (settings, unknown) = read_settings(home)?;
    let settings = settings.into_iter().map(|setting| Row::of(context, setting)).collect();
    let path = home.config_file().to_string_lossy().into_owned();
    let unknown_keys: Vec<String> = unknown.iter().map(|key| key.name.clone()).collect();
    let mut report = Report::of(&List { path, settings, unknown_keys });
    report.notes.extend(unknown.iter().map(|key| format!("warning: {}", printable(&key.to_string()))));
    Ok(report)
}

/// Runs `config get`.
pub(crate) fn get(context: &Context, args: &GetArgs) -> Result<Report, CliError> {
    let (settings, _) = read_settings(context.home()?)?;
    let setting = settings.into_iter().find(|setting| setting.key == args.key);
    let row = setting.map(|setting| Row::of(context, setting));
    match row {
        Some(row) if row.shown.is_some() => {
            let note = row.overridden_by.map(|variable| override_note(args.key, variable));
            let mut report = Report::of(&row);
            report.notes.extend(note);
            Ok(report)
        }
        _ => Err(CliError::failed("CONFIG_KEY_UNSET", format!("`{}` is not set", args.key.name()))
            .fact("key", args.key.name())
            .remedy(Remedy::Advice(format!("spec-kitty config set {} VALUE", args.key.name())))),
    }
}

/// Runs `config set`.
pub(crate) fn set(context: &Context, args: &SetArgs) -> Result<Report, CliError> {
    let value = args.key.normal_form(&args.value).map_err(|invalid| {
        CliError::new("CONFIG_VALUE_INVALID", ExitCode::Refused, invalid.to_string())
            .fact("key", args.key.name())
    })?;
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    change(context, args.key, Some(&shown), |edit| edit.set(args.key, value))
}

/// Runs `config unset`.
pub(crate) fn unset(context: &Context, args: &UnsetArgs) -> Result<Report, CliError> {
    change(context, args.key, None, |edit| {
        edit.unset(args.key);
    })
}

/// Changes one key. `value` is what the key has afterwards; none when it is removed.
fn change(
    context: &Context,
    key: Key,
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
    let mut report = Report::of(&Said { result, facts, line });
    report.notes.extend(overriding(context, key).map(|variable| override_note(key, variable)));
    Ok(report)
}

/// The variable that decides in place of the file, if one does.
fn overriding(context: &Context, key: Key) -> Option<&'static str> {
    let environment = &context.environment;
    match key {
        Key::Hosted => environment.get(contract::switch::VARIABLE).map(|_| contract::switch::VARIABLE),
        Key::ServerUrl | Key::TokenHost => {
            let config = context.config().ok()?;
            let login = identity::read_login(context.home().ok()?, &config, environment);
            (login.source == LoginSource::Token).then_some(names::SPEC_KITTY_SERVER_URL)
        }
        _ => None,
    }
}

fn override_note(key: Key, variable: &str) -> String {
    format!("note: {variable} is set and decides in place of `{}`", key.name())
}

/// The value as JSON has it.
fn typed(key: Key, value: Option<&str>) -> Value {
    let Some(value) = value else { return Value::Null };
    match key {
        Key::ServerUrl | Key::TokenHost | Key::BackgroundDaemon => value.into(),
        // Booleans and numbers have the same form in JSON.
        _ => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
    }
}

/// One setting.
#[derive(Debug, Serialize)]
struct Row {
    key: &'static str,
    value: Value,
    /// `config`, `default` or `unset`.
    source: &'static str,
    /// The variable that decides in its place.
    overridden_by: Option<&'static str>,
    #[serde(skip)]
    shown: Option<String>,
}

impl Row {
    fn of(context: &Context, setting: Setting) -> Self {
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

impl Document for Row {
    fn text(&self) -> String {
        self.shown.as_deref().map(|value| format!("{}\n", printable(value))).unwrap_or_default()
    }
}

/// All settings.
#[derive(Debug, Serialize)]
struct List {
    path: String,
    settings: Vec<Row>,
    unknown_keys: Vec<String>,
}

impl Document for List {
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
