//! Switch, home and server: what the machine and its user decided.

use super::{Check, Look, Name};
use crate::error::CliError;
use contract::Remedy;
use contract::exit::{SYNC_SERVER_UNSET, SYNC_TOKEN_HOST};
use identity::environment::names;
use identity::{Destination, LoginSource, StateFile, StateKind, judge_destination, observe_state_file};

/// The code of a state file that something else took the place of.
const UNUSABLE: &str = "state_file_unusable";

impl Look<'_> {
    pub(super) fn switch(&self) -> Check {
        let value = self.context.environment.text(contract::switch::VARIABLE);
        let shown = value.unwrap_or_else(|| "not set".to_owned());
        let check = if self.context.sync_enabled() {
            Check::ok(Name::Switch, "hosted sync is on")
        } else {
            Check::off(Name::Switch, "hosted sync is off: commands change the repository and nothing else")
        };
        check.read(shown, contract::switch::VARIABLE)
    }

    pub(super) fn home(&self) -> Result<Check, CliError> {
        let home = self.context.home()?;
        let root = &self.status.root;
        let there = if home.root().exists() { "is there" } else { "does not exist yet" };
        let summary = format!("{}, from {}", root.path.display(), root.source);
        let check = Check::ok(Name::Home, summary).read_file(there, home.root());
        Ok(self.unusable_files()?.into_iter().fold(check, |check, (file, why)| {
            let detail = format!("{} {why}", file.path.to_string_lossy());
            let remedy = match file.kind {
                StateKind::File | StateKind::Directory => Remedy::Repair,
                // Moving it aside would forget every opt-out.
                StateKind::Decisions => Remedy::Advice(format!(
                    "make {} a readable file again, with the decisions it had",
                    contract::text::path(&file.path)
                )),
            };
            check.finding(UNUSABLE, detail, [remedy])
        }))
    }

    /// Files of this home that cannot be used, but for those that a fault names already.
    fn unusable_files(&self) -> Result<Vec<(StateFile, String)>, CliError> {
        let named = |path: &std::path::Path| {
            self.status.faults.iter().any(|fault| fault.path.as_deref() == Some(path))
        };
        let files = self.context.home()?.state_files().into_iter().filter(|file| !named(&file.path));
        Ok(files.filter_map(|file| observe_state_file(&file).map(|why| (file, why))).collect())
    }

    pub(super) fn server(&self) -> Result<Check, CliError> {
        let config = self.context.home()?.config_file();
        if !self.config.is_readable() {
            return Ok(Check::ok(Name::Server, "the configuration cannot be read"));
        }
        let (what, from) = match (&self.config.server_url, self.login.source) {
            (_, LoginSource::Token) => {
                let stated = self.context.environment.text(names::SPEC_KITTY_SERVER_URL);
                (stated.unwrap_or_default(), names::SPEC_KITTY_SERVER_URL.to_owned())
            }
            (Some(url), _) => (format!("server_url = {url}"), config.to_string_lossy().into_owned()),
            (None, _) if config.exists() => {
                ("no server_url".to_owned(), config.to_string_lossy().into_owned())
            }
            (None, _) => ("does not exist".to_owned(), config.to_string_lossy().into_owned()),
        };
        let check = match judge_destination(&self.login, &self.config) {
            Destination::Ready { url } => Check::ok(Name::Server, url),
            Destination::ServerUnset => Check::ok(Name::Server, "none is configured").finding(
                SYNC_SERVER_UNSET,
                "no server is configured, so nothing can be sent",
                [Remedy::LoginServer],
            ),
            // Without a login there is no token whose issuer could be wrong.
            Destination::TokenHost { url, .. } if !self.login.authenticated => Check::ok(Name::Server, url),
            Destination::TokenHost { url, issuer } => {
                let issuer = issuer.unwrap_or_else(|| "an unknown host".to_owned());
                let detail = format!("the token was issued by {issuer} and is not sent to {url}");
                Check::ok(Name::Server, url).finding(SYNC_TOKEN_HOST, detail, [Remedy::LoginServer])
            }
        };
        Ok(check.read(what, from))
    }
}
