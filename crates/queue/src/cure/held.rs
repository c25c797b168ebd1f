//! Holds: the effect of a change of consent on waiting rows (contract section 9).
//!
//! An opt-in applies to rows captured after it. Rows held at that moment are sealed, and only an explicit
//! release frees them.

use crate::consent::{ConsentView, HeldChange, Hold};
use crate::error::QueueError;
use crate::origin;
use crate::row::Kind;
use crate::store::{Abort, ScopedDb};
use contract::Consent;
use rusqlite::{Transaction, params};

/// Releases all rows of the project.
pub(super) fn release(store: &mut ScopedDb, project_uuid: Option<&str>) -> Result<HeldChange, QueueError> {
    let project = normal(project_uuid);
    store.write("release rows of", |tx| {
        let mut change = HeldChange::default();
        for (id, place) in origin::read_all(tx)? {
            if place.project_uuid == project {
                for from in [Hold::Foreign, Hold::Sealed] {
                    move_rows(tx, id, from, Hold::Free, &mut change)?;
                }
            }
        }
        Ok(change)
    })
}

/// Seals all rows of the project that are held under `was`.
pub(super) fn seal(
    store: &mut ScopedDb,
    project_uuid: Option<&str>,
    was: &dyn ConsentView,
) -> Result<HeldChange, QueueError> {
    let project = normal(project_uuid);
    // The decision is looked up before the lock is taken: it is the caller's code.
    let places = store.read("read the projects of", |tx| Ok(origin::read_all(tx)?))?;
    let held: Vec<_> = places
        .into_iter()
        .filter(|(_, place)| place.project_uuid == project)
        .flat_map(|(id, place)| match was.consent(&place) {
            Consent::OptedOut => vec![(id, Hold::Free), (id, Hold::Foreign)],
            Consent::Unset => vec![(id, Hold::Foreign)],
            Consent::OptedIn(_) => Vec::new(),
        })
        .collect();
    store.write("seal rows of", |tx| {
        let mut change = HeldChange::default();
        for (id, from) in &held {
            move_rows(tx, *id, *from, Hold::Sealed, &mut change)?;
        }
        Ok(change)
    })
}

/// A project as places name it.
pub(super) fn normal(project_uuid: Option<&str>) -> Option<String> {
    let uuid = project_uuid.map(|uuid| contract::scope::trim(uuid).to_lowercase());
    uuid.filter(|uuid| !uuid.is_empty())
}

fn move_rows(
    tx: &Transaction<'_>,
    place: i64,
    from: Hold,
    to: Hold,
    change: &mut HeldChange,
) -> Result<(), Abort> {
    for kind in Kind::ALL {
        let moved = tx
            .prepare_cached("UPDATE bindings SET hold = ?4 WHERE kind = ?1 AND place = ?2 AND hold = ?3")?
            .execute(params![kind.stored(), place, from as i64, to as i64])?;
        match kind {
            Kind::Event => change.events += moved as u64,
            Kind::Body => change.bodies += moved as u64,
        }
    }
    Ok(())
}
