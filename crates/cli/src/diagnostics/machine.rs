//! Switch, home and server: what the machine and its user decided.

use super::{CheckName, DiagnosticCheck, Diagnostics};
use crate::error::CliError;
use contract::exit::{SYNC_SERVER_UNSET, SYNC_TOKEN_HOST};
use contract::switch::Decider;
use contract::{Remedy, server_url};
use identity::config::read_settings;
use identity::environment::names;
use identity::state_file::UNUSABLE;
use identity::{
    Destination, LoginSource, Privacy, StateFile, StateKind, judge_destination, observe_privacy,
    observe_state_file,
};
use std::path::PathBuf;
use system::disk::{Obstacle, observe_obstacles};

/// Adds a finding for each obstacle to writing at `places`. Nothing is written to find out.
pub(super) fn with_obstacles<N>(check: DiagnosticCheck<N>, places: &[PathBuf]) -> DiagnosticCheck<N> {
    observe_obstacles(places).into_iter().fold(check, |check, obstacle| {
        let code = match obstacle {
            Obstacle::ReadOnly { .. } => "read_only_file_system",
            Obstacle::NoPermission { .. } => "not_writable",
            Obstacle::NoSpace { .. } | Obstacle::NoInodes { .. } => "disk_full",
        };
        check.finding(code, obstacle.detail(), [Remedy::Advice(obstacle.advice())])
    })
}

impl Diagnostics<'_> {
    pub(super) fn switch(&self) -> DiagnosticCheck {
        let value = self.context.environment.text(contract::switch::VARIABLE);
        let shown = value.unwrap_or_else(|| "not set".to_owned());
        let switch = self.context.switch();
        let check = match switch.decider {
            Decider::Unreadable => {
                DiagnosticCheck::not_checked(CheckName::Switch, "unknown: the configuration cannot be read")
            }
            _ if switch.on => DiagnosticCheck::ok(CheckName::Switch, "hosted sync is on"),
            // The variable wins over the file, so that the file cannot switch it on.
            decider => DiagnosticCheck::off(
                CheckName::Switch,
                match decider {
                    Decider::Variable => {
                        "hosted sync is off by SPEC_KITTY_ENABLE_SAAS_SYNC: commands change only the repository"
                    }
                    Decider::Config | Decider::Default | Decider::Unreadable => {
                        "hosted sync is off: commands change only the repository; \
                         `spec-kitty config set sync.hosted true` switches it on"
                    }
                },
            ),
        };
        let check = check.read(shown, contract::switch::VARIABLE);
        // The file counts where the variable is not set.
        if switch.decider == Decider::Config {
            let hosted = format!("hosted = {}", switch.on);
            return check.read(hosted, self.status.root.path.join("config.toml").to_string_lossy());
        }
        check
    }

    pub(super) fn home(&self) -> Result<DiagnosticCheck, CliError> {
        let home = self.context.home()?;
        let root = &self.status.root;
        let there = if home.root().exists() { "exists" } else { "does not exist yet" };
        let summary = format!("{}, from {}", root.path.display(), root.source);
        // A configuration that cannot be read is a finding of its own.
        let unknown = read_settings(home).map(|(_, unknown)| unknown).unwrap_or_default();
        let warnings = unknown.iter().map(ToString::to_string);
        let check =
            DiagnosticCheck::ok(CheckName::Home, summary).read_file(there, home.root()).warnings(warnings);
        let check = match observe_privacy(home) {
            Privacy::Unproven { detail, remedy } => check.finding("home_privacy_unproven", detail, [remedy]),
            // A home that is open is a failure of the preflight, and reported as one.
            Privacy::Private | Privacy::OfAnotherUser { .. } | Privacy::Open(_) => check,
        };
        let check = self.unusable_files()?.into_iter().fold(check, |check, (file, why)| {
            let detail = format!("{} {why}", file.path.to_string_lossy());
            let remedy = match file.kind {
                StateKind::File | StateKind::Directory => identity::file_remedy::repair(&file.path),
                // Moving it aside would forget every opt-out.
                StateKind::Decisions => Remedy::Advice(format!(
                    "make {} a readable file again, with the decisions it had",
                    contract::text::path(&file.path)
                )),
            };
            check.finding(UNUSABLE, detail, [remedy])
        });
        let mut places = vec![
            home.root().to_path_buf(),
            home.auth_dir(),
            home.queues_dir(),
            home.daemon_dir(),
            home.clock_lock(),
            self.status.active_queue.path.clone(),
            self.status.legacy_queue.path.clone(),
        ];
        places.retain(|place| !place.as_os_str().is_empty());
        Ok(with_obstacles(check, &places))
    }

    /// Files of this home that cannot be used, but for those that a fault names already.
    fn unusable_files(&self) -> Result<Vec<(StateFile, String)>, CliError> {
        let named = |path: &std::path::Path| {
            self.status.faults.iter().any(|fault| fault.path.as_deref() == Some(path))
        };
        let files = self.context.home()?.state_files().into_iter().filter(|file| !named(&file.path));
        Ok(files.filter_map(|file| observe_state_file(&file).map(|why| (file, why))).collect())
    }

    pub(super) fn server(&self) -> Result<DiagnosticCheck, CliError> {
        let config = self.context.home()?.config_file();
        if !self.config.is_readable() {
            return Ok(DiagnosticCheck::not_checked(CheckName::Server, "the configuration cannot be read"));
        }
        let (what, from) = match (&self.config.server_url, self.login.source) {
            (_, LoginSource::Token) => {
                let stated = self.context.environment.text(names::SPEC_KITTY_SERVER_URL);
                (
                    server_url::shown(&stated.unwrap_or_default()).into_owned(),
                    names::SPEC_KITTY_SERVER_URL.to_owned(),
                )
            }
            (Some(url), _) => {
                (format!("server_url = {}", server_url::shown(url)), config.to_string_lossy().into_owned())
            }
            (None, _) if config.exists() => {
                ("no server_url".to_owned(), config.to_string_lossy().into_owned())
            }
            (None, _) => ("does not exist".to_owned(), config.to_string_lossy().into_owned()),
        };
        let destination = judge_destination(&self.login, &self.config);
        let (problem, way_back) = (destination.problem().unwrap_or_default(), destination.way_back());
        let check = match destination {
            // The fault names the value and what helps.
            _ if self.login.has_invalid_server() => DiagnosticCheck::ok(CheckName::Server, "cannot be used"),
            Destination::Ready { url } => DiagnosticCheck::ok(CheckName::Server, url),
            Destination::ServerUnset => DiagnosticCheck::ok(CheckName::Server, "not configured").finding(
                SYNC_SERVER_UNSET,
                problem,
                [self.login.server_remedy()],
            ),
            // Without a login there is no token whose issuer could be wrong.
            Destination::TokenHost { url, .. } if !self.login.authenticated => {
                DiagnosticCheck::ok(CheckName::Server, url)
            }
            Destination::TokenHost { url, .. } => DiagnosticCheck::ok(CheckName::Server, url).finding(
                SYNC_TOKEN_HOST,
                problem,
                [Some(self.login.server_remedy()), way_back].into_iter().flatten(),
            ),
        };
        Ok(check.read(what, from))
    }
}
