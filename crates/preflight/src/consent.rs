//! Adapter: the decisions of config.toml as the queue's [`queue::ConsentView`].

use contract::Consent;
use identity::Config;
use queue::Place;

/// The decision of `config` about the rows of an origin.
pub fn consent_of(config: &Config) -> impl Fn(&Place) -> Consent + use<'_> {
    |place| config.consent(place.project_uuid.as_deref(), place.repo_slug.as_deref(), place.checkout())
}
