//! The account whose queue a curing verb works on.

use crate::context::CommandContext;
use crate::error::CliError;
use contract::exit::SAAS_SYNC_UNAUTHENTICATED;
use contract::{FailureName, FaultCode};
use gate::CurePermit;
use std::io::ErrorKind;
use std::path::Path;

/// Time that a verb waits for a locked queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It only looks, also in a dry run: the deadline of a read.
    Look,
    /// It changes something: as long as its own write would.
    Cure,
}

impl Patience {
    /// Of a verb that only looks when `looks`.
    pub(crate) const fn of(looks: bool) -> Self {
        if looks { Self::Look } else { Self::Cure }
    }
}

/// The right to cure the queue of the current scope.
///
/// Without a scope no row has an owner: nothing while `queue.db` holds none, a refusal otherwise
/// (contract section 4).
pub(crate) fn cure_permit(
    context: &CommandContext,
    patience: Patience,
) -> Result<Option<CurePermit>, CliError> {
    let boundary = match patience {
        Patience::Look => context.boundary()?,
        Patience::Cure => context.patient_boundary(queue::MIGRATE_DEADLINE)?,
    };
    match boundary.cure_permit()? {
        Some(permit) => Ok(Some(permit)),
        None => without_scope(context).map(|()| None),
    }
}

fn without_scope(context: &CommandContext) -> Result<(), CliError> {
    let status = context.boundary()?.status_document(false)?;
    let unreadable = [FaultCode::SessionUnreadable, FaultCode::ConfigUnreadable, FaultCode::ServerUrlInvalid]
        .into_iter()
        .any(|code| status.preflight.failures().contains(&FailureName::Fault(code)));
    if unreadable {
        return Err(CliError::boundary(status.preflight));
    }
    let legacy = &status.legacy_queue;
    let rows = legacy.event_count.zip(legacy.body_upload_count).map(|(events, bodies)| events + bodies);
    let path = contract::text::path(&legacy.path);
    let summary = match rows {
        Some(0) => return Ok(()),
        Some(rows) => format!("{path} holds {rows} rows that no account owns: not logged in"),
        // Rolling back is for the account that owns the rows: who that is has to be known first.
        None if status.preflight.fails_only_by_fault(FaultCode::QueueRecoveryNeeded) => {
            format!("{path} waits for a rollback and no account owns its rows: not logged in")
        }
        None => return Err(CliError::boundary(status.preflight)),
    };
    Err(CliError::refused(SAAS_SYNC_UNAUTHENTICATED, summary).remedy(context.login()?.remedy()))
}

/// Whether `path` does not exist: opening a `Cure` there would create a queue DB.
pub(crate) fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
