//! The decisions of config.toml, as the queue asks for them: the one bridge between the two.

use contract::Consent;
use identity::Config;
use queue::Place;

/// What `config` says about the rows of a place.
pub fn consent_of(config: &Config) -> impl Fn(&Place) -> Consent + use<'_> {
    |place| config.consent(place.project_uuid.as_deref(), place.repo_slug.as_deref(), place.checkout())
}
