//! Reading `config.toml` again and again, as a delivery does before every request.

use super::{Config, read_text};
use crate::home::Home;
use contract::Fault;

/// `config.toml` of one long command. Every read looks at the file; only another text is parsed.
#[derive(Debug)]
pub struct ConfigReader {
    home: Home,
    text: Option<String>,
    config: Config,
    version: u64,
}

impl ConfigReader {
    /// Nothing is read yet.
    pub fn new(home: &Home) -> Self {
        Self { home: home.clone(), text: None, config: Config::unreadable(), version: 0 }
    }

    /// Reads the file as it is now.
    ///
    /// # Errors
    /// Those of [`Config::read`].
    pub fn read(&mut self) -> Result<&Config, Fault> {
        let read = read_text(&self.home);
        let is_same = read.as_ref().is_ok_and(|text| *text == self.text);
        if !is_same || !self.config.is_readable() {
            self.version += 1;
            self.config = Config::unreadable();
            self.text = read?;
            self.config = Config::of_text(self.text.as_deref(), &self.home)?;
        }
        Ok(&self.config)
    }

    /// Result of the last read; [`Config::unreadable`] after an error.
    pub fn last(&self) -> &Config {
        &self.config
    }

    /// A number that is another one when the last read found another text.
    pub fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn every_change_of_the_file_is_seen_and_numbered() {
        let directory = tempfile::tempdir().expect("a directory");
        let home = Home::resolve(&Environment::from_pairs([("SPEC_KITTY_HOME", directory.path())]));
        let home = home.expect("a home");
        let mut reader = ConfigReader::new(&home);
        assert!(!reader.last().is_readable(), "nothing leaves by a configuration that was not read");
        let mut versions = Vec::new();
        // The second and the third text have one length, and may have one time.
        for text in ["[sync]\n", "[sync]\nhosted = true \n", "[sync]\nhosted = false\n"] {
            std::fs::write(home.config_file(), text).expect("a config");
            let fresh = Config::read(&home).expect("readable");
            assert_eq!(*reader.read().expect("readable"), fresh);
            versions.push(reader.version());
            reader.read().expect("readable");
            assert_eq!(reader.version(), *versions.last().expect("a version"), "the same text");
        }
        versions.dedup();
        assert_eq!(versions.len(), 3);

        std::fs::write(home.config_file(), "[sync\n").expect("a config");
        reader.read().expect_err("no TOML");
        assert!(!reader.last().is_readable());
        reader.read().expect_err("still no TOML");
        std::fs::remove_file(home.config_file()).expect("removed");
        assert_eq!(*reader.read().expect("absent"), Config::default());
    }
}
