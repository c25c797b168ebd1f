//! Annotation of a move into the present lane of the work package: nothing moves, and its assignment and the note
//! are written all the same.

use super::{MoveTaskRequest, Situation, assigned, auto_commit, noted};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::error::Result;
use crate::log::{Annotation, Row};
use crate::mission_log::MissionLog;
use crate::outgoing::payload::HistoryEntry;
use crate::project::Project;
use crate::transaction::Change;
use serde_json::{Map, Value};

/// The assignment and note of the request as a row of a current mission; nothing when the request has neither.
pub(super) fn row(request: &MoveTaskRequest, situation: &Situation, clock: &Clock) -> Option<Annotation> {
    let texts = [
        ("agent", &request.agent),
        ("assignee", &request.assignee),
        ("model", &request.model),
        ("agent_profile", &request.profile),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, text.as_deref()?)));
    let mut delta: Map<String, Value> = texts
        .chain(request.note().map(|note| ("note", note)))
        .map(|(key, text)| (key.into(), text.into()))
        .collect();
    delta.extend(request.shell_pid.map(|pid| ("shell_pid".to_owned(), pid.into())));
    let refs: Vec<&str> = request.tracker_refs.iter().map(|text| text.trim()).collect();
    delta.extend((!refs.is_empty()).then(|| ("tracker_refs".to_owned(), refs.into())));
    (!delta.is_empty()).then(|| Annotation {
        event_id: clock.ulid(),
        wp_id: situation.wp.id.clone(),
        at: situation.now.iso(),
        actor: situation.actor.clone(),
        delta,
    })
}

/// The same, without what is in the log already.
fn news(request: &MoveTaskRequest, situation: &Situation, clock: &Clock) -> Option<Annotation> {
    let mut row = row(request, situation, clock)?;
    let known = |key: &str| situation.snapshot.slot(&row.wp_id, key);
    row.delta.retain(|key, value| match (value.as_array(), known(key).and_then(Value::as_array)) {
        // A list grows.
        (Some(more), Some(known)) => more.iter().any(|item| !known.contains(item)),
        _ => key == "note" || known(key) != Some(value),
    });
    (!row.delta.is_empty()).then_some(row)
}

/// The change that stores the values of the request; nothing when they are stored already.
pub(super) fn annotate(
    project: &Project,
    request: &MoveTaskRequest,
    situation: Situation,
    log: MissionLog,
    clock: &Clock,
) -> Result<Option<Change>> {
    let commits = request.commit.map_or_else(|| auto_commit(project), Ok)?;
    let message = format!("chore: Note on {}", situation.wp.id);
    if situation.snapshot.dialect() == Dialect::Current {
        let Some(row) = news(request, &situation, clock) else { return Ok(None) };
        let mut change = Change::of(situation.mission, log);
        change.append(vec![Row::Annotation(row)])?;
        change.refresh_status()?;
        if commits {
            change.commit = Some((change.state_files()?, message));
        }
        return Ok(Some(change));
    }
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
    change.commit = commits.then(|| (vec![wp.path], message));
    Ok(Some(change))
}
