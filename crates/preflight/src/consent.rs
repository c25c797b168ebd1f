//! Adapter: the decisions of config.toml as the queue's [`ConsentView`].

use contract::Consent;
use identity::Config;
use queue::{ConsentView, RowOrigin};

/// The decisions of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConfiguredConsent<'c> {
    config: &'c Config,
    version: Option<u64>,
}

/// The decisions of `config` about the rows of an origin.
pub fn consent_of(config: &Config) -> ConfiguredConsent<'_> {
    ConfiguredConsent { config, version: None }
}

impl ConfiguredConsent<'_> {
    /// The same, numbered as [`identity::config::ConfigReader::version`] numbers them.
    #[must_use]
    pub fn numbered(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }
}

impl ConsentView for ConfiguredConsent<'_> {
    fn consent(&self, place: &RowOrigin) -> Consent {
        self.config.consent(place.project_uuid.as_deref(), place.repo_slug.as_deref(), place.checkout())
    }

    fn version(&self) -> Option<u64> {
        self.version
    }
}
