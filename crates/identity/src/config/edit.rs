//! Changing `config.toml`: read, change and replace under one lock, so that two commands at once lose
//! nothing, with every comment and unknown key kept. A file that does not parse is refused, never
//! replaced.

use super::{CAPTURED_SINCE, Config, ConfigError, ConfigKey, FOUND_SINCE, NO_PROJECT, project_key};
use crate::home::Home;
use crate::privacy::{privacy_fault, restrict_directories};
use contract::{Fault, Start};
use jiff::Timestamp;
use std::path::PathBuf;
use std::time::Duration;
use system::lock::{FileLock, LockError};
use system::private_file::{self, WriteError};
use toml_edit::{Datetime, Document, DocumentMut, Item, Table, TableLike, TomlError, Value};

/// Longest wait for another edit.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reason why the configuration was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigEditError {
    /// It cannot be read, so replacing it would lose something.
    #[error("{} {}", .0.path.as_deref().map(contract::text::path).unwrap_or_default(), .0.detail)]
    Unreadable(Fault),
    /// Another command is changing it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// One change in progress; other commands wait until it is committed or dropped.
#[derive(Debug)]
pub struct ConfigEdit {
    home: Home,
    /// The file.
    before: String,
    /// The text that the document was parsed from.
    parsed: String,
    /// Comments above a document that has nothing else.
    preamble: String,
    document: DocumentMut,
    _lock: FileLock,
}

impl ConfigEdit {
    /// Locks and reads `config.toml`.
    ///
    /// # Errors
    /// [`ConfigEditError`]: busy, or not readable as a configuration.
    pub fn begin(home: &Home) -> Result<Self, ConfigEditError> {
        let edit = Self::begin_repair(home)?;
        Config::parse(&edit.before).map_err(|error| ConfigEditError::Unreadable(error.into_fault(home)))?;
        Ok(edit)
    }

    /// Like [`ConfigEdit::begin`], also for a file with an invalid value under a known key: setting that
    /// key corrects it. The file has to be TOML, and [`ConfigEdit::commit`] still requires a valid result.
    ///
    /// # Errors
    /// [`ConfigEditError`]: busy, or not TOML.
    pub fn begin_repair(home: &Home) -> Result<Self, ConfigEditError> {
        if let Some(fault) = privacy_fault(home) {
            return Err(ConfigEditError::Unreadable(fault));
        }
        let lock = FileLock::acquire(&home.config_lock(), PATIENCE, "the configuration")?;
        let before = super::read_text(home).map_err(ConfigEditError::Unreadable)?.unwrap_or_default();
        let (preamble, document) = parsed(&before).map_err(|error| {
            ConfigEditError::Unreadable(ConfigError::syntax(&before, &error).into_fault(home))
        })?;
        Ok(Self { home: home.clone(), parsed: before.clone(), before, preamble, document, _lock: lock })
    }

    /// The configuration as it is now, changes included.
    pub fn config(&self) -> Config {
        Config::parse(&self.document.to_string()).unwrap_or_else(|_| Config::unreadable())
    }

    fn text(&self) -> String {
        let document = self.document.to_string();
        if document.is_empty() { self.parsed.clone() } else { format!("{}{document}", self.preamble) }
    }

    /// Whether the file would change.
    pub fn is_changed(&self) -> bool {
        self.text() != self.before
    }

    /// Sets `sync.server_url`.
    pub fn set_server_url(&mut self, url: &str) {
        set(self.document.as_table_mut(), &["sync", "server_url"], url.into());
    }

    /// Sets `key` to a value in normal form.
    pub fn set(&mut self, key: ConfigKey, value: Value) {
        let (table, leaf) = key.path();
        set(self.document.as_table_mut(), &[table, leaf], value);
    }

    /// Removes `key`; returns whether it was set. Comments stay, also one behind the value.
    pub fn unset(&mut self, key: ConfigKey) -> bool {
        let text = self.text();
        let Some(after) = without(&text, key) else {
            let (table, leaf) = key.path();
            let table = self.document.get_mut(table).and_then(Item::as_table_like_mut);
            return table.is_some_and(|table| table.remove(leaf).is_some());
        };
        // Whole lines were removed; a text that no longer parses would be a bug, and is not taken.
        let Ok((preamble, document)) = parsed(&after) else { return false };
        (self.preamble, self.document, self.parsed) = (preamble, document, after);
        true
    }

    /// Opts a project in, for rows from `start` on; `None` means rows without a project. Every spelling of
    /// the project that the file already has gets the same decision.
    pub fn opt_in(&mut self, project_uuid: Option<&str>, start: Start) {
        self.decide(project_uuid, true, start);
    }

    /// Opts a project out, like [`ConfigEdit::opt_in`].
    pub fn opt_out(&mut self, project_uuid: Option<&str>) {
        self.decide(project_uuid, false, Start::ALWAYS);
    }

    fn decide(&mut self, project_uuid: Option<&str>, enabled: bool, start: Start) {
        let wanted = project_key(project_uuid.unwrap_or(NO_PROJECT));
        let projects = self.document.get("sync").and_then(|sync| sync.get("projects"));
        let mut spellings: Vec<String> = projects
            .and_then(Item::as_table_like)
            .into_iter()
            .flat_map(|projects| projects.iter().map(|(name, _)| name.to_owned()))
            .filter(|name| project_key(name) == wanted)
            .collect();
        if spellings.is_empty() {
            spellings.push(wanted);
        }
        for spelling in &spellings {
            set(self.document.as_table_mut(), &["sync", "projects", spelling, "enabled"], enabled.into());
            for (key, instant) in [(CAPTURED_SINCE, start.captured), (FOUND_SINCE, start.foreign)] {
                self.set_instant(spelling, key, enabled.then_some(instant));
            }
        }
    }

    /// Writes an instant of a project's decision, or removes it: nothing means always.
    fn set_instant(&mut self, spelling: &str, key: &str, instant: Option<Timestamp>) {
        let instant = instant
            .filter(|instant| *instant != Timestamp::MIN)
            .and_then(|instant| instant.to_string().parse::<Datetime>().ok());
        match instant {
            Some(instant) => {
                set(self.document.as_table_mut(), &["sync", "projects", spelling, key], instant.into());
            }
            None => {
                let project = self.document.get_mut("sync").and_then(|sync| sync.get_mut("projects"));
                let project = project.and_then(|projects| projects.get_mut(spelling));
                if let Some(project) = project.and_then(Item::as_table_like_mut) {
                    project.remove(key);
                }
            }
        }
    }

    /// Writes the file: atomic, 0600, through a symbolic link to its target. Nothing is written when
    /// nothing changed.
    ///
    /// # Errors
    /// [`ConfigEditError::Write`]; the file is then as it was.
    pub fn commit(self) -> Result<(), ConfigEditError> {
        let after = self.text();
        if after == self.before {
            return Ok(());
        }
        if after.len() as u64 > super::MAX_BYTES {
            let size = after.len();
            let problem = format!("would have {size} bytes; at most {} are read", super::MAX_BYTES);
            let error = ConfigError { position: None, problem };
            return Err(ConfigEditError::Unreadable(error.into_fault(&self.home)));
        }
        // A change that does not read back must not replace a valid file.
        Config::parse(&after).map_err(|error| ConfigEditError::Unreadable(error.into_fault(&self.home)))?;
        private_file::write_private(&self.target(), after.as_bytes())?;
        restrict_directories(&self.home);
        Ok(())
    }

    /// People keep their configuration in a repository and link to it; the link survives.
    fn target(&self) -> PathBuf {
        let path = self.home.config_file();
        let linked = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        if linked { path.canonicalize().unwrap_or(path) } else { path }
    }
}

/// A document, and the comments above it when it has nothing else: they stay above what is set.
fn parsed(text: &str) -> Result<(String, DocumentMut), TomlError> {
    let document = text.parse::<DocumentMut>()?;
    if document.is_empty() && !text.is_empty() {
        return Ok((format!("{}\n", text.trim_end_matches('\n')), DocumentMut::new()));
    }
    Ok((String::new(), document))
}

/// `text` without the lines of `key`; a comment behind its value stays as a line of its own. None when the
/// key is not set, or is part of an inline table.
fn without(text: &str, key: ConfigKey) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let (table, leaf) = key.path();
    let (name, item) = document.get(table)?.as_table()?.get_key_value(leaf)?;
    let (name, value) = (name.span()?, item.span()?);
    let start = text.get(..name.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(value.end..)?;
    let (tail, below) = rest.split_at(rest.find('\n').map_or(rest.len(), |newline| newline + 1));
    let comment = tail.find('#').and_then(|hash| tail.get(hash..)).unwrap_or_default();
    Some(format!("{}{comment}{below}", text.get(..start)?))
}

/// Sets the value at `path` below `table`, creating the tables on the way. An existing value keeps the
/// comments around it.
fn set(table: &mut dyn TableLike, path: &[&str], mut new: Value) {
    match path {
        [] => {}
        [key] => {
            if let Some(old) = table.get(key).and_then(Item::as_value) {
                *new.decor_mut() = old.decor().clone();
            }
            table.insert(key, Item::Value(new));
        }
        [key, rest @ ..] => {
            if !table.contains_key(key) {
                let mut created = Table::new();
                created.set_implicit(rest.len() > 1);
                table.insert(key, Item::Table(created));
            }
            if let Some(below) = table.get_mut(key).and_then(Item::as_table_like_mut) {
                set(below, rest, new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use contract::Consent;
    use std::fs;

    fn home_with(config: Option<&str>) -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::resolve(&Environment::from_pairs([("SPEC_KITTY_HOME", directory.path())]));
        let home = home.expect("a home");
        if let Some(text) = config {
            fs::write(home.config_file(), text).expect("a config");
        }
        (directory, home)
    }

    fn edit(home: &Home, change: impl FnOnce(&mut ConfigEdit)) -> String {
        let mut edit = ConfigEdit::begin(home).expect("an edit");
        change(&mut edit);
        edit.commit().expect("committed");
        fs::read_to_string(home.config_file()).expect("a config")
    }

    const UUID: &str = "8a4a7da6-a97c-4bb4-893a-b31664abfee4";

    #[test]
    fn opt_in_keeps_its_beginning_and_an_opt_out_forgets_it() {
        let (_directory, home) = home_with(None);
        let foreign = "2026-11-18T11:06:40.000007Z".parse().expect("an instant");
        let start = Start { foreign, ..Start::ALWAYS };
        let after = edit(&home, |edit| edit.opt_in(Some(UUID), start));
        assert_eq!(
            after,
            format!("[sync.projects.{UUID}]\nenabled = true\nfound_since = 2026-11-18T11:06:40.000007Z\n")
        );
        let config = Config::read(&home).expect("readable");
        assert_eq!(config.consent(Some(UUID), None, None), Consent::OptedIn(start));
        let after = edit(&home, |edit| edit.opt_out(Some(UUID)));
        assert_eq!(after, format!("[sync.projects.{UUID}]\nenabled = false\n"));
        for nonsense in ["5", "\"soon\"", "2026-11-18", "2026-11-18T11:06:40"] {
            let text = format!("[sync.projects.x]\nenabled = true\nfound_since = {nonsense}\n");
            let error = Config::parse(&text).expect_err("a date and time without its offset is no instant");
            assert!(error.problem.contains("found_since"), "{}", error.problem);
        }
    }

    #[test]
    fn comments_unknown_keys_and_order_survive() {
        let before =
            "# mine\n[sync]  # here\nserver_url = \"https://old\" # why\nfuture = [1,  2]\n\n[other]\nx=1\n";
        let (_directory, home) = home_with(Some(before));
        let after = edit(&home, |edit| edit.set_server_url("https://new"));
        assert_eq!(after, before.replace("https://old", "https://new"));
    }

    #[test]
    fn absent_file_is_created_with_what_was_set_alone() {
        let (_directory, home) = home_with(None);
        let after = edit(&home, |edit| edit.opt_out(Some(UUID)));
        assert_eq!(after, format!("[sync.projects.{UUID}]\nenabled = false\n"));
        let config = Config::read(&home).expect("a config");
        assert_eq!(config.consent(Some(UUID), None, None), Consent::OptedOut);
    }

    #[test]
    fn unset_keeps_comments_in_every_shape_of_the_table() {
        let cases = [
            (
                "# top\n[sync]\n# above\nhosted = true # why\n# below\nx = 1\n",
                "# top\n[sync]\n# above\n# why\n# below\nx = 1\n",
            ),
            ("[sync]\n# above\n  hosted = true", "[sync]\n# above\n"),
            ("# top\nsync.hosted = true\n", "# top\n"),
            ("sync.hosted = true\n", ""),
            ("sync = { hosted = true, x = 1 }\n", "sync = { x = 1 }\n"),
            ("[sync]\nx = 1\n", "[sync]\nx = 1\n"),
        ];
        for (before, expected) in cases {
            let (_directory, home) = home_with(Some(before));
            let after = edit(&home, |edit| {
                assert_eq!(edit.unset(ConfigKey::Hosted), before.contains("hosted"), "{before}");
            });
            assert_eq!(after.replace("{x", "{ x").replace("{  x", "{ x"), expected, "{before}");
        }
    }

    #[test]
    fn invalid_value_of_a_known_key_is_corrected_by_setting_it() {
        let before = "[sync]\nmax_queue_size = \"many\" # rows\nhosted = true\n";
        let (_directory, home) = home_with(Some(before));
        ConfigEdit::begin(&home).expect_err("an invalid value");
        let value = ConfigKey::MaxQueueSize.normal_form("5000").expect("a number");
        let mut edit = ConfigEdit::begin_repair(&home).expect("TOML");
        edit.set(ConfigKey::MaxQueueSize, value);
        edit.commit().expect("committed");
        let after = fs::read_to_string(home.config_file()).expect("a config");
        assert_eq!(after, before.replace("\"many\"", "5000"));
        fs::write(home.config_file(), before).expect("a config");
        let mut edit = ConfigEdit::begin_repair(&home).expect("TOML");
        edit.unset(ConfigKey::Hosted);
        edit.commit().expect_err("the invalid value is still there");
        assert_eq!(fs::read_to_string(home.config_file()).expect("a config"), before);
    }

    #[test]
    fn every_shape_of_the_table_can_be_edited() {
        let shapes = [
            "sync = { server_url = \"https://h\" }\n",
            "sync.server_url = \"https://h\"\n",
            "[sync]\nserver_url = \"https://h\"\nprojects = { none = { enabled = true } }\n",
            "[sync]\nserver_url = \"https://h\"\n[sync.projects]\n",
        ];
        for shape in shapes {
            let (_directory, home) = home_with(Some(shape));
            edit(&home, |edit| edit.opt_in(Some(UUID), Start::ALWAYS));
            let config = Config::read(&home).expect("a config");
            assert_eq!(config.consent(Some(UUID), None, None), Consent::ALWAYS, "{shape}");
            assert_eq!(config.server_url.as_deref(), Some("https://h"), "{shape}");
        }
    }

    #[test]
    fn every_spelling_of_a_project_gets_the_same_decision() {
        let upper = UUID.to_uppercase();
        let (_directory, home) =
            home_with(Some(&format!("[sync.projects.\"{upper}\"]\nenabled = false # no\n")));
        let after = edit(&home, |edit| edit.opt_in(Some(UUID), Start::ALWAYS));
        assert_eq!(after, format!("[sync.projects.\"{upper}\"]\nenabled = true # no\n"));
    }

    #[test]
    fn file_that_does_not_parse_is_refused_and_kept() {
        for broken in ["[sync", "sync = 1\n", "[sync.projects.x]\nenabled = 1\n"] {
            let (_directory, home) = home_with(Some(broken));
            let error = ConfigEdit::begin(&home).expect_err("refused");
            assert!(error.to_string().contains("config.toml"), "{error}");
            assert_eq!(fs::read_to_string(home.config_file()).expect("a config"), broken);
        }
    }

    #[test]
    fn edits_at_the_same_time_all_stay() {
        let (_directory, home) = home_with(None);
        std::thread::scope(|scope| {
            for index in 0..8 {
                let home = &home;
                scope
                    .spawn(move || edit(home, |edit| edit.opt_in(Some(&format!("p{index}")), Start::ALWAYS)));
            }
        });
        let config = Config::read(&home).expect("a config");
        for index in 0..8 {
            assert_eq!(config.consent(Some(&format!("p{index}")), None, None), Consent::ALWAYS);
        }
    }

    #[cfg(unix)]
    #[test]
    fn file_is_private_and_a_link_to_it_survives() {
        use std::os::unix::fs::PermissionsExt;
        let (directory, home) = home_with(None);
        let elsewhere = directory.path().join("dotfiles.toml");
        fs::write(&elsewhere, "# kept\n").expect("a file");
        std::os::unix::fs::symlink(&elsewhere, home.config_file()).expect("a link");
        edit(&home, |edit| edit.set_server_url("https://h"));
        assert!(home.config_file().is_symlink());
        let text = fs::read_to_string(&elsewhere).expect("the target");
        assert!(text.starts_with("# kept\n") && text.contains("https://h"), "{text}");
        assert_eq!(fs::metadata(&elsewhere).expect("metadata").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_written_when_nothing_changes() {
        let (_directory, home) = home_with(Some("[sync]\nserver_url = \"https://h\"\n"));
        let modified =
            || fs::metadata(home.config_file()).and_then(|metadata| metadata.modified()).expect("a time");
        let before = modified();
        edit(&home, |edit| edit.set_server_url("https://h"));
        assert_eq!(before, modified());
    }
}
