//! Observes the facts on disk and system.
//!
//! The only caller of [`gate::judge`]: facts are plain data, so any other caller could invent them.

use crate::consent::consent_of;
use crate::owner::{observe_owner, observe_stray};
use contract::{FaultCode, ForegroundIdentity};
use gate::{ActiveQueueFacts, Facts, LegacyFacts, LoginFacts, Policy, Verdict};
use identity::{BuildInfo, Config, Environment, Home, Login, observe_foreground, read_login};
use queue::{
    ActiveObservation, Busy, LegacyObservation, ObserveError, QueueCounts, observe_active,
    observe_active_counted, observe_legacy,
};
use std::time::Instant;

/// One observation of the machine: the facts that the gate judges, and their sources.
#[derive(Debug)]
pub struct Observation {
    facts: Facts,
    /// The configuration, or [`Config::unreadable`].
    pub config: Config,
    /// The login.
    pub login: Login,
    /// The legacy queue DB, unless it could not be read.
    pub legacy: Option<LegacyObservation>,
    /// Whether the queue has hand-overs that were not captured yet.
    pub hand_overs: bool,
    /// Row counts of the active queue DB, if they were asked for and it can be read.
    pub counts: Option<QueueCounts>,
}

/// Extent of reading the active queue DB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueRead {
    /// Facts for the gate.
    Facts,
    /// And its row counts.
    Counts,
}

impl Observation {
    /// The facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The gate's verdict on this observation.
    #[allow(clippy::disallowed_methods, reason = "this is the observer: the facts were read, not invented")]
    pub fn judge(&self, policy: Policy) -> Verdict {
        gate::judge(self.facts.clone(), policy)
    }
}

/// Observes the machine: each file once. A queue locked past its deadline is [`Busy`]; any other error becomes a fault.
pub(crate) fn observe(
    environment: &Environment,
    home: &Home,
    build: &BuildInfo,
    foreground: Option<&ForegroundIdentity>,
    read: QueueRead,
) -> Result<Observation, Busy> {
    let observed_at = Instant::now();
    let mut faults = Vec::new();
    let config = Config::read(home).unwrap_or_else(|fault| {
        faults.push(fault);
        Config::unreadable()
    });
    let login = read_login(home, &config, environment);
    // Several readers report a home that is not private; one fault is enough.
    faults.extend(login.faults.iter().filter(|fault| !faults.contains(fault)).cloned().collect::<Vec<_>>());
    if !faults.iter().any(|fault| fault.code == FaultCode::HomeNotPrivate) {
        faults.extend(identity::privacy::privacy_fault(home));
    }
    faults.extend(home.ambiguity());
    let foreground = foreground.cloned().unwrap_or_else(|| observe_foreground(build, home, &login));

    let owner = observe_owner(home);
    let stray = observe_stray(home, &owner);

    let active_path = login.active_queue(home);
    let (active, counts) = match (&active_path, read) {
        (Some(path), QueueRead::Counts) => {
            match or_fault(observe_active_counted(path, &consent_of(&config)), &mut faults)? {
                Some((active, counts)) => (active, or_fault(counts, &mut faults)?),
                None => (ActiveObservation::default(), None),
            }
        }
        (Some(path), QueueRead::Facts) => {
            (or_fault(observe_active(path), &mut faults)?.unwrap_or_default(), None)
        }
        (None, _) => (ActiveObservation::default(), None),
    };
    let legacy_path = home.legacy_queue();
    // Without a scope no row of the legacy queue DB is in scope: no scan.
    let legacy = match &login.scope {
        Some(scope) => {
            or_fault(observe_legacy(&legacy_path, Some(scope), active.legacy_counts.as_ref()), &mut faults)?
        }
        None => Some(LegacyObservation::default()),
    };
    let hand_overs = active.hand_overs;
    let found = legacy.unwrap_or_default();
    let facts = Facts {
        foreground,
        login: LoginFacts {
            scope: login.scope.clone(),
            authenticated: login.authenticated,
            team_id: login.team_id.clone(),
            absent: login.absent(),
            private_teams: login.private_teams.clone(),
        },
        owner,
        stray,
        legacy: LegacyFacts { path: legacy_path, in_scope: found.in_scope, other_scope: found.other_scope },
        active: ActiveQueueFacts { path: active_path.unwrap_or_default(), queue_id: active.queue_id },
        faults,
        observed_at,
    };
    Ok(Observation { facts, config, login, legacy, hand_overs, counts })
}

/// Keeps a fault among the facts; passes busy on.
pub(crate) fn or_fault<T>(
    outcome: Result<T, ObserveError>,
    faults: &mut Vec<contract::Fault>,
) -> Result<Option<T>, Busy> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(ObserveError::Busy(busy)) => Err(busy),
        Err(ObserveError::Fault(fault)) => {
            // Two readers may report one interrupted transaction; one fault per file is enough.
            if !faults.iter().any(|known| known.code == fault.code && known.path == fault.path) {
                faults.push(identity::file_remedy::with_file_remedy(*fault));
            }
            Ok(None)
        }
    }
}
