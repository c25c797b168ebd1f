//! `config.toml`: the user's settings for this machine.
//!
//! Reads it, edits it ([`ConfigEdit`]) and decides consent. An absent file is an empty configuration. A file
//! that does not parse, or has an invalid value under a known key, is the fault `config_unreadable`, never an
//! empty configuration: it may contain opt-outs. Unknown keys are kept.
//!
//! `[cli] python` is the absolute path of the Python CLI.
//!
//! | key under `[sync]` | value |
//! |---|---|
//! | `hosted` | boolean: the hosted-sync switch where the variable is not set |
//! | `server_url` | string; no default; its validity is judged with the login that uses it |
//! | `token_host` | string: the one other host that a token may be sent to |
//! | `max_queue_size` | whole number, default 100000 |
//! | `keep_sent_days` | whole number, default 30: how long sent bytes are kept; 0 keeps none |
//! | `keep_sent_mib` | whole number, default 256: how many MiB of them; 0 keeps none |
//! | `background_daemon` | `auto` (default) or `manual` |
//! | `projects."<uuid or none>".enabled` | boolean; wins over the next two |
//! | `checkout_overrides."<path>".enabled` | boolean; wins over the next |
//! | `repo_defaults."<owner/repo>".enabled` | boolean |
//! | `captured_since`, `found_since` beside an `enabled = true` | date and time: older rows stay held |

mod edit;
mod keys;
mod reader;

pub use contract::{Consent, Start};
pub use edit::{ConfigEdit, ConfigEditError};
pub use keys::{ConfigKey, InvalidValue, Setting, UnknownKey, read_settings};
pub use reader::ConfigReader;

use crate::home::Home;
use crate::privacy::privacy_fault;
use contract::{Fault, FaultCode, Remedy, ServerUrl};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use system::bounded_read::read_bounded;
use toml_edit::{Document, Item, TableLike, TomlError};

/// The largest `config.toml` that is read.
pub const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Queue capacity when nothing is configured, in rows.
const DEFAULT_MAX_QUEUE_SIZE: u64 = 100_000;

/// Days for which sent bytes are kept when nothing is configured.
const DEFAULT_KEEP_SENT_DAYS: u64 = 30;

/// MiB of sent bytes that are kept when nothing is configured.
const DEFAULT_KEEP_SENT_MIB: u64 = 256;

/// The key of rows that belong to no project, in `sync.projects`.
pub const NO_PROJECT: &str = "none";

/// Whether a daemon may be spawned after a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackgroundDaemon {
    /// Spawn one when none runs.
    #[default]
    Auto,
    /// Only nudge a running one.
    Manual,
}

impl BackgroundDaemon {
    /// Its value in the file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

/// A parsed `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `sync.hosted`; none when it is not set.
    pub hosted: Option<bool>,
    /// `sync.server_url` as written. There is no default.
    pub server_url: Option<String>,
    /// `sync.max_queue_size`, in rows.
    pub max_queue_size: u64,
    /// `sync.keep_sent_days`.
    pub keep_sent_days: u64,
    /// `sync.keep_sent_mib`.
    pub keep_sent_mib: u64,
    /// `sync.background_daemon`.
    pub background_daemon: BackgroundDaemon,
    /// `sync.token_host` as written.
    pub token_host: Option<String>,
    /// `cli.python` as written.
    pub python: Option<String>,
    consent: Switches,
    readable: bool,
}

/// The explicit decisions about projects, repositories and checkouts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Switches {
    projects: BTreeMap<String, ConsentDecision>,
    checkouts: BTreeMap<String, ConsentDecision>,
    repositories: BTreeMap<String, ConsentDecision>,
}

/// One recorded decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConsentDecision {
    In(Start),
    Out,
}

impl ConsentDecision {
    /// Of two spellings of one name the opt-out counts, and the later start.
    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::In(one), Self::In(two)) => Self::In(one.later(two)),
            _ => Self::Out,
        }
    }
}

/// First instant of rows of this program that may be sent; written by an opt-in after an opt-out.
const CAPTURED_SINCE: &str = "captured_since";
/// First instant of rows of other programs that may be sent; written by every opt-in without
/// `--include-held`.
const FOUND_SINCE: &str = "found_since";

impl Default for Config {
    /// The configuration of an absent file.
    fn default() -> Self {
        Self {
            hosted: None,
            server_url: None,
            max_queue_size: DEFAULT_MAX_QUEUE_SIZE,
            keep_sent_days: DEFAULT_KEEP_SENT_DAYS,
            keep_sent_mib: DEFAULT_KEEP_SENT_MIB,
            background_daemon: BackgroundDaemon::Auto,
            token_host: None,
            python: None,
            consent: Switches::default(),
            readable: true,
        }
    }
}

impl Config {
    /// Reads `config.toml`.
    ///
    /// # Errors
    /// The fault `config_unreadable`, with line and column where there are any; `home_not_private`.
    pub fn read(home: &Home) -> Result<Self, Fault> {
        Self::of_text(read_text(home)?.as_deref(), home)
    }

    /// Of the text of the file; none when there is no file.
    fn of_text(text: Option<&str>, home: &Home) -> Result<Self, Fault> {
        let parsed = text.map(|text| Self::parse(text).map_err(|error| error.into_fault(home)));
        Ok(parsed.transpose()?.unwrap_or_default())
    }

    /// Placeholder for a file that could not be read, beside its fault: no server, no scope, and every project
    /// counts as opted out.
    pub fn unreadable() -> Self {
        Self { readable: false, background_daemon: BackgroundDaemon::Manual, ..Self::default() }
    }

    /// Whether this is the file's content, and not [`Config::unreadable`].
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    /// The configured server that requests may be sent to. None without one, and for the URL that earlier
    /// releases had built in: it only names old scopes, and nothing is sent to it.
    pub fn destination(&self) -> Option<String> {
        destination(self.server_url.as_deref()?)
    }

    /// The decision of the configuration about the rows of one project (contract section 9). The project's own
    /// key decides; else the override of its checkout; else the default of its repository.
    ///
    /// `project_uuid` is `None` for rows without a project; `repo_slug` and `checkout` are those recorded at
    /// capture, never those of the current directory.
    pub fn consent(
        &self,
        project_uuid: Option<&str>,
        repo_slug: Option<&str>,
        checkout: Option<&Path>,
    ) -> Consent {
        if !self.readable {
            return Consent::OptedOut;
        }
        let Switches { projects, checkouts, repositories } = &self.consent;
        let project = projects.get(&project_key(project_uuid.unwrap_or(NO_PROJECT)));
        let checkout = || checkouts.get(checkout?.to_str()?);
        let repository = || repositories.get(repo_slug?);
        match project.or_else(checkout).or_else(repository) {
            Some(ConsentDecision::In(start)) => Consent::OptedIn(*start),
            Some(ConsentDecision::Out) => Consent::OptedOut,
            None => Consent::Unset,
        }
    }

    /// The uuids of the projects that have a decision. Other keys name no project: an earlier release recorded
    /// decisions under any text.
    pub fn decided_projects(&self) -> impl Iterator<Item = &str> {
        let names = self.consent.projects.keys().map(String::as_str);
        names.filter(|name| crate::project::canonical_uuid(name).is_some())
    }

    fn parse(text: &str) -> Result<Self, ConfigError> {
        let document = Document::parse(text).map_err(|error| ConfigError::syntax(text, &error))?;
        let reader = Reader { text };
        let python = match document.get("cli") {
            Some(cli) => reader.string(reader.table("cli", cli)?, "cli", "python")?,
            None => None,
        };
        let Some(sync) = document.get("sync") else { return Ok(Self { python, ..Self::default() }) };
        let sync = reader.table("sync", sync)?;
        Ok(Self {
            python,
            hosted: reader.boolean(sync, "hosted")?,
            server_url: reader.string(sync, "sync", "server_url")?,
            max_queue_size: reader.size(sync, "max_queue_size")?.unwrap_or(DEFAULT_MAX_QUEUE_SIZE),
            keep_sent_days: reader.size(sync, "keep_sent_days")?.unwrap_or(DEFAULT_KEEP_SENT_DAYS),
            keep_sent_mib: reader.size(sync, "keep_sent_mib")?.unwrap_or(DEFAULT_KEEP_SENT_MIB),
            background_daemon: reader.daemon(sync, "background_daemon")?.unwrap_or_default(),
            token_host: reader.string(sync, "sync", "token_host")?,
            consent: Switches {
                projects: reader.switches(sync, "projects", project_key)?,
                checkouts: reader.switches(sync, "checkout_overrides", str::to_owned)?,
                repositories: reader.switches(sync, "repo_defaults", str::to_owned)?,
            },
            readable: true,
        })
    }
}

/// `url` as a destination: a valid server URL in its normal form, and not the one that was built in.
fn destination(url: &str) -> Option<String> {
    let url = ServerUrl::parse(url).ok()?;
    (!url.is_packaged_default()).then(|| url.normal().to_owned())
}

/// The text of `config.toml`; none when there is no file. A home that is not private is a fault.
fn read_text(home: &Home) -> Result<Option<String>, Fault> {
    if home.config_file().symlink_metadata().is_ok()
        && let Some(fault) = privacy_fault(home)
    {
        return Err(fault);
    }
    let failed = |problem: String| ConfigError { position: None, problem }.into_fault(home);
    let file = read_bounded(&home.config_file(), MAX_BYTES).map_err(|error| failed(error.to_string()))?;
    let text = file.map(|file| String::from_utf8(file.bytes)).transpose();
    text.map_err(|error| failed(format!("is not UTF-8 at byte {}", error.utf8_error().valid_up_to())))
}

/// One spelling for one project: uuids canonical, anything else trimmed and lower-cased.
fn project_key(text: &str) -> String {
    let text = contract::scope::trim(text);
    crate::project::canonical_uuid(text).unwrap_or_else(|| text.to_lowercase())
}

/// A fault of a configuration, and its position.
#[derive(Debug)]
struct ConfigError {
    position: Option<Position>,
    problem: String,
}

/// Line and column, both from 1; columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
        Self { line: before.matches('\n').count() + 1, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl ConfigError {
    /// `text` is not TOML.
    fn syntax(text: &str, error: &TomlError) -> Self {
        Self {
            position: error.span().map(|span| Position::of(text, span.start)),
            problem: format!("is not TOML: {}", error.message().lines().next().unwrap_or("malformed")),
        }
    }

    fn into_fault(self, home: &Home) -> Fault {
        let Self { position, problem } = self;
        let path = home.config_file();
        let shown = contract::text::path(&path);
        let (detail, advice) = match position {
            Some(at) => (format!("{problem} ({at})"), format!("correct {shown} at {at}")),
            None => (problem, format!("make {shown} a readable TOML file")),
        };
        Fault::new(FaultCode::ConfigUnreadable, path, detail, Remedy::Advice(advice))
    }
}

/// Reads typed values out of a document; an error names the path of another type.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, item: &Item, problem: String) -> ConfigError {
        ConfigError { position: item.span().map(|span| Position::of(self.text, span.start)), problem }
    }

    fn table<'t>(&self, key: &str, item: &'t Item) -> Result<&'t dyn TableLike, ConfigError> {
        item.as_table_like().ok_or_else(|| self.error(item, format!("`{key}` is not a table")))
    }

    fn string(&self, table: &dyn TableLike, name: &str, key: &str) -> Result<Option<String>, ConfigError> {
        let Some(item) = table.get(key) else { return Ok(None) };
        let text =
            item.as_str().ok_or_else(|| self.error(item, format!("`{name}.{key}` is not a string")))?;
        Ok(Some(text.to_owned()))
    }

    fn boolean(&self, table: &dyn TableLike, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(item) = table.get(key) else { return Ok(None) };
        let value = item.as_bool();
        value.map(Some).ok_or_else(|| self.error(item, format!("`sync.{key}` is neither `true` nor `false`")))
    }

    /// A count. Earlier releases also took it from a string or a fraction.
    fn size(&self, table: &dyn TableLike, key: &str) -> Result<Option<u64>, ConfigError> {
        let Some(item) = table.get(key) else { return Ok(None) };
        let whole = item
            .as_integer()
            .or_else(|| contract::scope::trim(item.as_str()?).parse().ok())
            .and_then(|number: i64| u64::try_from(number).ok())
            .or_else(|| whole_part(item.as_float()?));
        let size =
            whole.ok_or_else(|| self.error(item, format!("`sync.{key}` is not a number, zero or more")))?;
        Ok(Some(size))
    }

    fn daemon(&self, table: &dyn TableLike, key: &str) -> Result<Option<BackgroundDaemon>, ConfigError> {
        let Some(word) = self.string(table, "sync", key)? else { return Ok(None) };
        match contract::scope::trim(&word).to_lowercase().as_str() {
            "auto" => Ok(Some(BackgroundDaemon::Auto)),
            "manual" => Ok(Some(BackgroundDaemon::Manual)),
            _ => {
                let item = table.get(key).unwrap_or(&Item::None);
                Err(self.error(item, format!("`sync.{key}` is neither `auto` nor `manual`")))
            }
        }
    }

    /// `<table>.<name>.enabled` for every name. A decision that is no boolean could be an opt-out, so it
    /// is an error and not an absence. Of two spellings of one name the opt-out counts.
    fn switches(
        &self,
        sync: &dyn TableLike,
        key: &str,
        name_of: fn(&str) -> String,
    ) -> Result<BTreeMap<String, ConsentDecision>, ConfigError> {
        let mut switches = BTreeMap::new();
        let Some(item) = sync.get(key) else { return Ok(switches) };
        for (name, entry) in self.table(&format!("sync.{key}"), item)?.iter() {
            let path = || format!("sync.{key}.\"{}\"", contract::text::printable(name));
            let table = self.table(&path(), entry)?;
            let Some(enabled) = table.get("enabled") else { continue };
            let enabled = enabled
                .as_bool()
                .ok_or_else(|| self.error(enabled, format!("`{}.enabled` is not a boolean", path())))?;
            let decision = if enabled {
                let start = |key| self.instant(table, key, &path());
                ConsentDecision::In(Start { captured: start(CAPTURED_SINCE)?, foreign: start(FOUND_SINCE)? })
            } else {
                ConsentDecision::Out
            };
            switches
                .entry(name_of(name))
                .and_modify(|known: &mut ConsentDecision| *known = known.stricter(decision))
                .or_insert(decision);
        }
        Ok(switches)
    }
}

impl Reader<'_> {
    /// An instant; absent, the beginning of time.
    fn instant(&self, table: &dyn TableLike, key: &str, path: &str) -> Result<Timestamp, ConfigError> {
        let Some(item) = table.get(key) else { return Ok(Timestamp::MIN) };
        let instant = item.as_datetime().and_then(|at| at.to_string().parse::<Timestamp>().ok());
        instant
            .ok_or_else(|| self.error(item, format!("`{path}.{key}` is not a date and time with an offset")))
    }
}

/// The whole part of a fraction that is a count.
pub(crate) fn whole_part(number: f64) -> Option<u64> {
    // 2^53: beyond it a float no longer names one whole number.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    (0.0..LIMIT).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text).unwrap_or_else(|error| panic!("{text}: {}", error.problem))
    }

    fn problem(text: &str) -> String {
        let error = Config::parse(text).expect_err("a problem");
        match error.position {
            Some(position) => format!("{} @ {position}", error.problem),
            None => error.problem,
        }
    }

    const UUID: &str = "8a4a7da6-a97c-4bb4-893a-b31664abfee4";

    #[test]
    fn empty_file_is_the_default() {
        assert_eq!(parse(""), Config::default());
        assert_eq!(parse("[other]\nx = 1\n"), Config::default());
        assert_eq!(Config::default().max_queue_size, 100_000);
    }

    #[test]
    fn config_of_the_reference_is_read() {
        let config = parse(
            "[sync]\nserver_url = \"https://example.invalid\"\nmax_queue_size = 5000\n\
             background_daemon = \"manual\"\n\n[sync.repo_defaults.\"acme/Widget_Shop\"]\nenabled = false\n\n\
             [sync.checkout_overrides.\"/srv/some checkout\"]\nenabled = true\n",
        );
        assert_eq!(config.server_url.as_deref(), Some("https://example.invalid"));
        assert_eq!((config.max_queue_size, config.background_daemon), (5000, BackgroundDaemon::Manual));
        assert_eq!(config.consent(Some(UUID), Some("acme/Widget_Shop"), None), Consent::OptedOut);
        let checkout = Path::new("/srv/some checkout");
        assert_eq!(config.consent(None, Some("acme/Widget_Shop"), Some(checkout)), Consent::ALWAYS);
        assert_eq!(config.consent(None, Some("acme/widget_shop"), None), Consent::Unset);
    }

    #[test]
    fn projects_own_key_wins_over_the_references_keys() {
        let config = parse(&format!(
            "[sync.projects.\"{}\"]\nenabled = false\n[sync.projects.none]\nenabled = true\n\
             [sync.checkout_overrides.\"/c\"]\nenabled = true\n",
            UUID.to_uppercase()
        ));
        assert_eq!(config.consent(Some(UUID), None, Some(Path::new("/c"))), Consent::OptedOut);
        assert_eq!(config.consent(None, None, None), Consent::ALWAYS);
        assert_eq!(config.consent(Some("other"), None, None), Consent::Unset);
    }

    #[test]
    fn two_spellings_of_one_project_that_disagree_are_an_opt_out() {
        let config = parse(&format!(
            "[sync.projects.\"{UUID}\"]\nenabled = true\n[sync.projects.\"{}\"]\nenabled = false\n",
            UUID.to_uppercase()
        ));
        assert_eq!(config.consent(Some(UUID), None, None), Consent::OptedOut);
    }

    #[test]
    fn invalid_value_names_its_key_and_position() {
        let cases = [
            ("not toml [", "is not TOML", "line 1"),
            ("a = 1\na = 2\n", "is not TOML", "line 2, column 1"),
            ("sync = 3\n", "`sync` is not a table", "line 1, column 8"),
            (
                "[sync]\nhosted = \"true\"\n",
                "`sync.hosted` is neither `true` nor `false`",
                "line 2, column 10",
            ),
            ("[sync]\nserver_url = 5\n", "`sync.server_url` is not a string", "line 2, column 14"),
            ("[sync]\nmax_queue_size = -1\n", "`sync.max_queue_size` is not a number", "line 2"),
            ("[sync]\nmax_queue_size = true\n", "`sync.max_queue_size` is not a number", "line 2"),
            ("[sync]\nbackground_daemon = \"maybe\"\n", "neither `auto` nor `manual`", "line 2"),
            ("[sync]\nbackground_daemon = \"\"\n", "neither `auto` nor `manual`", "line 2"),
            ("[sync]\nprojects = 1\n", "`sync.projects` is not a table", "line 2"),
            ("[sync.projects]\nx = false\n", "`sync.projects.\"x\"` is not a table", "line 2"),
            ("[sync.repo_defaults.\"a/b\"]\nenabled = \"false\"\n", "is not a boolean", "line 2, column 11"),
        ];
        for (text, what, place) in cases {
            let problem = problem(text);
            assert!(problem.contains(what) && problem.contains(place), "{text:?}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_crash() {
        let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(problem(&deep).contains("is not TOML"));
    }

    #[test]
    fn sizes_of_earlier_releases_are_accepted() {
        for (text, size) in [("0", 0), ("\" 12 \"", 12), ("12.9", 12)] {
            assert_eq!(parse(&format!("[sync]\nmax_queue_size = {text}\n")).max_queue_size, size);
        }
    }

    #[test]
    fn packaged_and_blank_urls_receive_nothing() {
        for url in ["https://spec-kitty-dev.fly.dev", " HTTPS://Spec-Kitty-Dev.fly.dev/ ", "", "  ", "/"] {
            let config = Config { server_url: Some(url.to_owned()), ..Config::default() };
            assert_eq!(config.destination(), None, "{url:?}");
        }
        let config = Config { server_url: Some(" https://h/ ".to_owned()), ..Config::default() };
        assert_eq!(config.destination().as_deref(), Some("https://h"));
    }

    #[test]
    fn unreadable_config_opts_no_project_in() {
        let config = Config::unreadable();
        assert_eq!(config.consent(Some(UUID), Some("a/b"), Some(Path::new("/c"))), Consent::OptedOut);
        assert!(!config.is_readable());
    }
}
