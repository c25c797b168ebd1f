//! What a move into the lane where the work package already is leaves: nothing moves, and who has it and
//! what was noted is written all the same.

use super::{Request, Situation, assigned, auto_commit, noted};
use crate::error::Result;
use crate::log::Log;
use crate::outgoing::payload::HistoryEntry;
use crate::project::Project;
use crate::transaction::Change;

/// The change of the work package's file; nothing when it says all of it already.
pub(super) fn annotate(
    project: &Project,
    request: &Request,
    situation: Situation,
    log: Log,
) -> Result<Option<Change>> {
    let note = request.note();
    let text = if note.is_some() { noted(request, &situation)? } else { assigned(request, &situation)? };
    let Situation { mission, wp, actor, .. } = situation;
    if text == wp.text() {
        return Ok(None);
    }
    let mut change = Change::of(mission, log);
    change.files.insert(wp.path.clone(), text.into_bytes());
    if let Some(note) = note {
        let entry = HistoryEntry {
            wp_id: wp.id.clone(),
            entry_type: "note",
            entry_content: note.to_owned(),
            author: actor,
        };
        change.history.push((entry, wp.path.clone()));
    }
    if request.commit.map_or_else(|| auto_commit(project), Ok)? {
        change.commit = Some((vec![wp.path], format!("chore: Note on {}", wp.id)));
    }
    Ok(Some(change))
}
