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
            return not_asked("not checked: this check uses the network");
        }
        if !self.context.sync_enabled() {
            return not_asked("not checked: hosted sync is off");
        }
        if !self.login.authenticated {
            return not_asked("not checked: not logged in");
        }
        let Destination::Ready { url } = judge_destination(&self.login, &self.config) else {
            return not_asked("not checked: no server may receive this login");
        };
        let http =
            delivery::DeliveryContext::new(self.context.home()?, &self.context.environment, build::VERSION)
                .map_err(|error| CliError::failed("HTTP_SETUP", chain(&error)))?;
        Ok(match fetch_login_probe(&http) {
            Ok(probe) => judge_probe(CheckName::Reachability, &probe, &self.login),
            Err(error) => DiagnosticCheck::ok(CheckName::Reachability, "not contacted").finding(
                "server_not_asked",
                chain(&error),
                error.remedy(&http),
            ),
        }
        .read("contacted over the network", url))
    }
}

/// Judges the answers of a server.
pub(crate) fn judge_probe<N>(name: N, probe: &LoginProbe, login: &Login) -> DiagnosticCheck<N> {
    if probe.is_good() {
        return DiagnosticCheck::ok(name, "the server answers and accepts this login");
    }
    if probe.awaits_renewal() {
        let why = "the server answers; the access token has expired and the next delivery renews it";
        return DiagnosticCheck::not_checked(name, why);
    }
    let summary = match &probe.health {
        Reachability::Unreachable(_) => "the server cannot be reached now",
        Reachability::Troubled(_) => "the server answers, and takes no rows now",
        Reachability::NotASyncServer(_) => "the configured address is not that of a sync server",
        Reachability::Connected { .. }
        | Reachability::LoginNeeded
        | Reachability::Forbidden(_)
        | Reachability::ContractSkew(_) => "the server does not accept rows of this login now",
    };
    let check = DiagnosticCheck::ok(name, summary);
    match &probe.session {
        Some(SessionState::NotAccepted) => {
            check.finding("session_not_accepted", "the server has no such session", [login.remedy()])
        }
        Some(SessionState::Active { .. } | SessionState::Unknown(_)) | None => check.finding(
            format!("server_{}", probe.health.name()),
            probe.health.detail(),
            remedy(&probe.health, login),
        ),
    }
}

fn remedy(health: &Reachability, login: &Login) -> Option<Remedy> {
    let later = "rows are kept here and sent when the server answers again; ask its administrator";
    health.remedy(login).or_else(|| Some(Remedy::Advice(later.to_owned())))
}
