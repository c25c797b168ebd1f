//! Reachability: the one question to the configured server.

use super::{CheckName, DiagnosticCheck, Diagnostics, Reach};
use crate::build;
use crate::error::{CliError, chain};
use contract::Remedy;
use delivery::probe::{LoginProbe, Reachability, SessionState, fetch_login_probe};
use identity::{Destination, Login, judge_destination};

impl Diagnostics<'_> {
    pub(super) fn reachability(&self, reach: Reach) -> Result<DiagnosticCheck, CliError> {
        let not_asked = |why: &str| Ok(DiagnosticCheck::not_checked(CheckName::Reachability, why));
        if reach == Reach::Offline {
            return not_asked("not asked: this is the one check that uses the network");
        }
        if !self.context.sync_enabled() {
            return not_asked("not asked: hosted sync is off");
        }
        if !self.login.authenticated {
            return not_asked("not asked: not logged in");
        }
        let Destination::Ready { url } = judge_destination(&self.login, &self.config) else {
            return not_asked("not asked: there is no server that this login may be shown to");
        };
        let http =
            delivery::DeliveryContext::new(self.context.home()?, &self.context.environment, build::VERSION)
                .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
        Ok(match fetch_login_probe(&http) {
            Ok(probe) => judge_probe(CheckName::Reachability, &probe, &self.login),
            Err(error) => DiagnosticCheck::ok(CheckName::Reachability, "not asked").finding(
                "server_not_asked",
                chain(&error),
                error.remedy(&http),
            ),
        }
        .read("asked over the network just now", url))
    }
}

/// What the answers of a server mean.
pub(crate) fn judge_probe<N>(name: N, probe: &LoginProbe, login: &Login) -> DiagnosticCheck<N> {
    if probe.is_good() {
        return DiagnosticCheck::ok(name, "the server answers and takes this login");
    }
    if probe.awaits_renewal() {
        let why = "the server is there; the access token has expired and is renewed by the next delivery";
        return DiagnosticCheck::not_checked(name, why);
    }
    let check = DiagnosticCheck::ok(name, "the server does not take rows of this login now");
    match &probe.session {
        Some(SessionState::NotAccepted) => check.finding(
            "session_not_accepted",
            "the server does not know this session any more",
            [login.remedy()],
        ),
        Some(SessionState::Active { .. } | SessionState::Unknown(_)) | None => check.finding(
            format!("server_{}", probe.health.name()),
            probe.health.detail(),
            remedy(&probe.health, login),
        ),
    }
}

fn remedy(health: &Reachability, login: &Login) -> Option<Remedy> {
    let later = "rows wait here and go when the server answers again; its administrator can tell when";
    health.remedy(login).or_else(|| Some(Remedy::Advice(later.to_owned())))
}
