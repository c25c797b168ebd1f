//! The settings of `config.toml` that `spec-kitty config` edits: names, normal forms and defaults.
//!
//! One list, [`ConfigKey::ALL`]. The consent tables are edited by `sync opt-in` and `sync opt-out`.

use super::{BackgroundDaemon, Config, ConfigError, Position};
use crate::home::Home;
use contract::Fault;
use contract::scope::trim;
use std::fmt;
use std::path::Path;
use strum::VariantArray as _;
use toml_edit::{Document, Key as TomlKey, TableLike, Value};

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::VariantArray)]
pub enum ConfigKey {
    /// The hosted-sync switch.
    Hosted,
    /// The server that rows are sent to.
    ServerUrl,
    /// The one other host that a token may be sent to.
    TokenHost,
    /// Capacity of the queue, in rows.
    MaxQueueSize,
    /// Whether a capture may start the daemon.
    BackgroundDaemon,
    /// Days for which sent bytes are kept.
    KeepSentDays,
    /// MiB of sent bytes that are kept.
    KeepSentMib,
    /// Path of the Python CLI.
    Python,
}

impl ConfigKey {
    /// All of them, in the order of a list.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name on a command line: the table and the key in it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosted => contract::switch::KEY,
            Self::ServerUrl => "sync.server_url",
            Self::TokenHost => "sync.token_host",
            Self::MaxQueueSize => "sync.max_queue_size",
            Self::BackgroundDaemon => "sync.background_daemon",
            Self::KeepSentDays => "sync.keep_sent_days",
            Self::KeepSentMib => "sync.keep_sent_mib",
            Self::Python => "cli.python",
        }
    }

    /// The table of the key, and its name in there.
    pub fn path(self) -> (&'static str, &'static str) {
        self.name().split_once('.').unwrap_or(("sync", self.name()))
    }

    /// The setting of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| trim(name) == key.name())
    }

    /// Its valid values.
    pub const fn form(self) -> &'static str {
        match self {
            Self::Hosted => "`true` or `false`",
            Self::ServerUrl => "the https URL of a server, or an http URL to this machine",
            Self::TokenHost => "a host, `host:port` or the URL of a server",
            Self::MaxQueueSize => "a whole number of rows, zero or more",
            Self::BackgroundDaemon => "`auto` or `manual`",
            Self::KeepSentDays => "a whole number of days, zero or more",
            Self::KeepSentMib => "a whole number of MiB, zero or more",
            Self::Python => "the absolute path of a program",
        }
    }

    /// Its default, if any.
    pub fn default_value(self) -> Option<String> {
        let default = Config::default();
        match self {
            Self::Hosted => Some(false.to_string()),
            Self::ServerUrl | Self::TokenHost | Self::Python => None,
            Self::MaxQueueSize => Some(default.max_queue_size.to_string()),
            Self::BackgroundDaemon => Some(default.background_daemon.label().to_owned()),
            Self::KeepSentDays => Some(default.keep_sent_days.to_string()),
            Self::KeepSentMib => Some(default.keep_sent_mib.to_string()),
        }
    }

    /// The value as the file holds it: parsed and in normal form.
    ///
    /// # Errors
    /// [`InvalidValue`].
    pub fn normal_form(self, text: &str) -> Result<Value, InvalidValue> {
        let invalid = || InvalidValue { key: self, value: text.to_owned() };
        let word = trim(text).to_lowercase();
        match self {
            Self::Hosted => match word.as_str() {
                "true" | "on" | "yes" | "1" => Ok(true.into()),
                "false" | "off" | "no" | "0" => Ok(false.into()),
                _ => Err(invalid()),
            },
            Self::ServerUrl => normal_url(text).map(Value::from).ok_or_else(invalid),
            Self::TokenHost => normal_host(text).map(Value::from).ok_or_else(invalid),
            Self::MaxQueueSize | Self::KeepSentDays | Self::KeepSentMib => {
                let number: Option<i64> = word.parse().ok().filter(|number| *number >= 0);
                number.map(Value::from).ok_or_else(invalid)
            }
            Self::Python => {
                let path = trim(text);
                Path::new(path).is_absolute().then(|| path.into()).ok_or_else(invalid)
            }
            Self::BackgroundDaemon => [BackgroundDaemon::Auto, BackgroundDaemon::Manual]
                .into_iter()
                .find(|daemon| daemon.label() == word)
                .map(|daemon| daemon.label().into())
                .ok_or_else(invalid),
        }
    }

    /// The value in force according to `config`; none when it is not set and has no default.
    fn value_in(self, config: &Config) -> Option<String> {
        match self {
            Self::Hosted => Some(config.hosted.unwrap_or(false).to_string()),
            Self::ServerUrl => config.server_url.clone(),
            Self::TokenHost => config.token_host.clone(),
            Self::Python => config.python.clone(),
            Self::MaxQueueSize => Some(config.max_queue_size.to_string()),
            Self::BackgroundDaemon => Some(config.background_daemon.label().to_owned()),
            Self::KeepSentDays => Some(config.keep_sent_days.to_string()),
            Self::KeepSentMib => Some(config.keep_sent_mib.to_string()),
        }
    }
}

/// A value that a setting cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The setting.
    pub key: ConfigKey,
    /// The given value.
    pub value: String,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, form) = (self.key.name(), self.key.form());
        let shown = contract::server_url::shown(&self.value);
        write!(f, "`{name}` is {form}, not `{}`", contract::text::printable(&shown))
    }
}

impl std::error::Error for InvalidValue {}

/// One setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The setting.
    pub key: ConfigKey,
    /// The value in force; none when it is not set and has no default.
    pub value: Option<String>,
    /// Whether the file sets it.
    pub is_set: bool,
}

/// An unknown key in a table of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// Its dotted name.
    pub name: String,
    /// Its line, from 1.
    pub line: Option<usize>,
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        write!(f, "config.toml has an unknown key `{}`{line}, which is ignored", self.name)
    }
}

/// The settings of `config.toml` and the unknown keys in its tables.
///
/// # Errors
/// The fault `config_unreadable`.
pub fn read_settings(home: &Home) -> Result<(Vec<Setting>, Vec<UnknownKey>), Fault> {
    let text = super::read_text(home)?.unwrap_or_default();
    let config = Config::parse(&text).map_err(|error| error.into_fault(home))?;
    let document = Document::parse(text.as_str())
        .map_err(|error| ConfigError::syntax(&text, &error).into_fault(home))?;
    let is_set = |key: ConfigKey| {
        let (table, leaf) = key.path();
        document
            .get(table)
            .and_then(|item| item.as_table_like())
            .is_some_and(|table| table.contains_key(leaf))
    };
    let settings =
        ConfigKey::ALL.iter().map(|&key| Setting { key, value: key.value_in(&config), is_set: is_set(key) });
    let sync = document.get("sync").and_then(|sync| sync.as_table_like());
    let unknown = sync.map(|sync| unknown_keys(&text, sync)).unwrap_or_default();
    Ok((settings.collect(), unknown))
}

/// The tables of decisions under `[sync]`.
const CONSENT_TABLES: [&str; 3] = ["projects", "checkout_overrides", "repo_defaults"];
/// Keys of one decision.
const DECISION_KEYS: [&str; 3] = ["enabled", super::CAPTURED_SINCE, super::FOUND_SINCE];

fn unknown_keys(text: &str, sync: &dyn TableLike) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    let mut add = |name: String, key: Option<&TomlKey>| {
        let line = key.and_then(|key| Some(Position::of(text, key.span()?.start).line));
        unknown.push(UnknownKey { name, line });
    };
    for (name, item) in sync.iter() {
        let known = ConfigKey::ALL.iter().any(|key| key.path() == ("sync", name));
        if CONSENT_TABLES.contains(&name) {
            for (project, decision) in item.as_table_like().into_iter().flat_map(|table| table.iter()) {
                let Some(decision) = decision.as_table_like() else { continue };
                for (leaf, _) in decision.iter().filter(|(leaf, _)| !DECISION_KEYS.contains(leaf)) {
                    add(format!("sync.{name}.\"{project}\".{leaf}"), decision.key(leaf));
                }
            }
        } else if !known {
            add(format!("sync.{name}"), sync.key(name));
        }
    }
    unknown
}

/// A server URL in normal form.
fn normal_url(text: &str) -> Option<String> {
    let url = contract::ServerUrl::parse(text).ok()?;
    (!url.is_packaged_default()).then(|| url.normal().to_owned())
}

/// A host, `host:port` or server URL in normal form.
fn normal_host(text: &str) -> Option<String> {
    let text = trim(text);
    if text.contains("://") {
        return normal_url(text);
    }
    let host = text.to_lowercase();
    let url = url::Url::parse(&format!("https://{host}")).ok()?;
    let alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let plain = url.username().is_empty() && url.password().is_none() && !host.ends_with('/');
    let named = url.host_str().is_some_and(|name| !name.is_empty() && host.starts_with(name));
    (alone && plain && named).then(|| host.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(key: ConfigKey, text: &str) -> Option<String> {
        let value = key.normal_form(text).ok()?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    #[test]
    fn values_are_stored_in_normal_form_or_refused() {
        let cases = [
            (ConfigKey::Hosted, " On ", Some("true")),
            (ConfigKey::Hosted, "false", Some("false")),
            (ConfigKey::Hosted, "maybe", None),
            (ConfigKey::Hosted, "", None),
            (ConfigKey::ServerUrl, " HTTPS://Example.INVALID:443/ ", Some("https://example.invalid")),
            (ConfigKey::ServerUrl, "example.invalid", None),
            (ConfigKey::TokenHost, "Auth.Example.INVALID", Some("auth.example.invalid")),
            (ConfigKey::TokenHost, "[::1]:8470", Some("[::1]:8470")),
            (ConfigKey::TokenHost, "a b", None),
            (ConfigKey::TokenHost, "user@host", None),
            (ConfigKey::TokenHost, "host/path", None),
            (ConfigKey::TokenHost, "", None),
            (ConfigKey::MaxQueueSize, " 5000 ", Some("5000")),
            (ConfigKey::MaxQueueSize, "-1", None),
            (ConfigKey::MaxQueueSize, "1.5", None),
            (ConfigKey::BackgroundDaemon, "MANUAL", Some("manual")),
            (ConfigKey::BackgroundDaemon, "never", None),
        ];
        for (key, text, expected) in cases {
            assert_eq!(normal(key, text).as_deref(), expected, "{} {text:?}", key.name());
        }
    }

    #[test]
    fn every_key_is_read_by_the_configuration() {
        for &key in ConfigKey::ALL {
            assert_eq!(ConfigKey::parse(key.name()), Some(key));
            let text = match key {
                ConfigKey::Hosted => "true",
                ConfigKey::ServerUrl | ConfigKey::TokenHost => "https://h.invalid",
                ConfigKey::MaxQueueSize | ConfigKey::KeepSentDays | ConfigKey::KeepSentMib => "7",
                ConfigKey::BackgroundDaemon => "manual",
                ConfigKey::Python if cfg!(windows) => r"C:\py\spec-kitty.exe",
                ConfigKey::Python => "/opt/py/bin/spec-kitty",
            };
            let value = key.normal_form(text).expect("a value");
            let (table, leaf) = key.path();
            let config = Config::parse(&format!("[{table}]\n{leaf} = {value}\n")).expect("readable");
            assert_eq!(key.value_in(&config).as_deref(), Some(text));
            assert_eq!(key.value_in(&Config::default()), key.default_value());
        }
    }

    #[test]
    fn unknown_keys_in_our_tables_are_listed_with_their_lines() {
        let text = "[other]\nx = 1\n[sync]\nhostd = true\nserver_url = \"https://h\"\n\
                    [sync.projects.\"p\"]\nenabled = true\nenabeld = false\n[sync.future]\na = 1\n";
        let document = Document::parse(text).expect("TOML");
        let sync = document.get("sync").and_then(|sync| sync.as_table_like()).expect("a table");
        let unknown = unknown_keys(text, sync);
        let found: Vec<_> = unknown.iter().map(|key| (key.name.as_str(), key.line)).collect();
        let expected =
            [("sync.hostd", Some(4)), ("sync.projects.\"p\".enabeld", Some(8)), ("sync.future", Some(9))];
        assert_eq!(found, expected);
    }
}
