//! The rows of a project store, as rows of the reference's tables.

use super::snapshot::{Attempt, StoreFacts, seconds_of};
use crate::legacy::{LegacyKey, LegacyTable};
use crate::row::Kind;
use crate::store::Abort;
use crate::stored_event::StoredEvent;
use contract::wire::ArtifactBody;
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, Row};
use serde::Deserialize;

/// Class of a store's row; see the table of this module's parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreRowClass {
    Delivered,
    /// With the category of the refusal.
    Refused(String),
    Ready,
    Held,
}

/// One row.
#[derive(Debug)]
pub(crate) struct StoreRow {
    pub(crate) kind: Kind,
    pub(crate) key: LegacyKey,
    pub(crate) sequence: i64,
    pub(crate) class: StoreRowClass,
    pub(crate) is_stranded: bool,
    /// The columns of its table, in the order of `LegacyTable::columns`.
    pub(crate) columns: Vec<SqlValue>,
    pub(crate) repo_slug: Option<String>,
    /// Reason why it cannot enter its table, if it cannot.
    pub(crate) unfit: Option<String>,
}

impl StoreRow {
    /// Its table.
    pub(crate) fn table(&self) -> LegacyTable {
        self.kind.legacy_table()
    }
}

/// Shows every row captured after number `after`, events before bodies and each in the order of capture.
pub(crate) fn each_row(
    facts: &StoreFacts,
    conn: &Connection,
    after: i64,
    visit: &mut dyn FnMut(StoreRow) -> Result<(), Abort>,
) -> Result<(), Abort> {
    let mut select = conn.prepare(
        "SELECT entry_id, epoch_id, capture_sequence, payload_json, created_at FROM journal_entries
         WHERE capture_sequence > ?1 ORDER BY capture_sequence",
    )?;
    let mut rows = select.query([after])?;
    while let Some(row) = rows.next()? {
        visit(event_row(facts, row)?)?;
    }
    let mut select = conn.prepare(
        "SELECT body_task_id, epoch_id, capture_sequence, body_reference, created_at, content_hash, state
         FROM body_upload_tasks WHERE capture_sequence > ?1 ORDER BY capture_sequence",
    )?;
    let mut rows = select.query([after])?;
    while let Some(row) = rows.next()? {
        visit(body_row(facts, row)?)?;
    }
    Ok(())
}

/// A journal entry as this program reads it: the envelope as it was captured.
struct StoreEntry {
    text: String,
    event_type: Option<String>,
    coalesce_key: Option<String>,
    repo_slug: Option<String>,
}

fn event_row(facts: &StoreFacts, row: &Row<'_>) -> Result<StoreRow, Abort> {
    let entry_id: String = row.get(0)?;
    let epoch: i64 = row.get(1)?;
    let stored = text_of(row.get_ref(3)?);
    let at = instant(row.get_ref(4)?);
    let attempt = facts.attempts.get(&entry_id);
    let class = match attempt {
        Some(Attempt::Delivered) => StoreRowClass::Delivered,
        Some(Attempt::Refused(category)) => StoreRowClass::Refused(category.clone()),
        _ => open_class(facts, epoch),
    };
    let (key, columns, repo_slug, unfit) = match read_entry(&stored, &facts.project_uuid) {
        Ok((id, entry)) => {
            let columns = vec![
                id.clone().into(),
                entry.event_type.unwrap_or_default().into(),
                entry.text.into(),
                SqlValue::Integer(at as i64),
                SqlValue::Integer(0),
                entry.coalesce_key.map_or(SqlValue::Null, SqlValue::from),
            ];
            (id, columns, entry.repo_slug, None)
        }
        Err(why) => {
            let raw = vec![
                entry_id.clone().into(),
                SqlValue::Null,
                stored.into(),
                SqlValue::Integer(at as i64),
                SqlValue::Integer(0),
                SqlValue::Null,
            ];
            (entry_id, raw, None, Some(why))
        }
    };
    Ok(StoreRow {
        kind: Kind::Event,
        key: LegacyKey { source: LegacyTable::Events.name(), key },
        sequence: row.get(2)?,
        is_stranded: matches!(class, StoreRowClass::Ready | StoreRowClass::Held)
            && attempt == Some(&Attempt::Stranded),
        class,
        columns,
        repo_slug,
        unfit,
    })
}

/// The id and the parts of a journal entry, in either of its two forms, or why it is neither.
fn read_entry(stored: &str, project_uuid: &str) -> Result<(String, StoreEntry), String> {
    #[derive(Deserialize)]
    struct StoreDocument {
        payload_encoding: Option<String>,
        payload: Option<serde_json::Value>,
        event_type: Option<String>,
        coalesce_key: Option<String>,
        repo_slug: Option<String>,
    }
    let document: StoreDocument =
        serde_json::from_str(stored).map_err(|error| format!("`payload_json` is not readable: {error}"))?;
    let (text, event_type, coalesce_key, repo_slug) =
        match (document.payload_encoding.as_deref(), document.payload) {
            (None, _) => (stored.to_owned(), document.event_type, None, document.repo_slug),
            (Some("base64"), Some(serde_json::Value::String(encoded))) => {
                let bytes = data_encoding::BASE64
                    .decode(encoded.as_bytes())
                    .map_err(|error| format!("`payload` is not base64: {error}"))?;
                let text =
                    String::from_utf8(bytes).map_err(|error| format!("`payload` is not UTF-8: {error}"))?;
                (text, document.event_type, document.coalesce_key, document.repo_slug)
            }
            (Some(other), _) => return Err(format!("unknown `payload_encoding` `{other}`")),
        };
    let event =
        StoredEvent::read(text.as_bytes()).map_err(|why| format!("the envelope is not an event: {why}"))?;
    let id = event.event_id().filter(|id| !id.is_empty()).ok_or("the envelope has no `event_id`")?;
    if let Some(other) = event.project_uuid().filter(|uuid| uuid != project_uuid) {
        return Err(format!("the envelope belongs to project {other}"));
    }
    let repo_slug = event.repo_slug().or(repo_slug);
    let event_type = event_type_of(&text).or(event_type);
    Ok((id, StoreEntry { text, event_type, coalesce_key, repo_slug }))
}

fn event_type_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct StoredEnvelope {
        event_type: Option<String>,
    }
    serde_json::from_str::<StoredEnvelope>(text).ok()?.event_type
}

fn body_row(facts: &StoreFacts, row: &Row<'_>) -> Result<StoreRow, Abort> {
    #[derive(Deserialize)]
    struct MissionReference {
        mission_slug: String,
        target_branch: String,
        mission_type: String,
        manifest_version: String,
        artifact_path: String,
        hash_algorithm: Option<String>,
        content_body: String,
        created_at: Option<f64>,
        last_error: Option<String>,
    }
    let task_id: String = row.get(0)?;
    let stored = text_of(row.get_ref(3)?);
    let state = text_of(row.get_ref(6)?);
    let reference = serde_json::from_str::<MissionReference>(&stored);
    let last_error = reference.as_ref().ok().and_then(|reference| reference.last_error.clone());
    let gave_up = state == "terminal_failed";
    let refusal = last_error
        .clone()
        .filter(|error| gave_up && matches!(error.as_str(), "project_not_admitted" | "namespace_not_found"));
    let class = match (state.as_str(), refusal) {
        ("uploaded", _) => StoreRowClass::Delivered,
        (_, Some(category)) => StoreRowClass::Refused(category),
        _ => open_class(facts, row.get(1)?),
    };
    let at = instant(row.get_ref(4)?);
    let (key, columns, unfit) = match reference {
        Ok(reference) => {
            let at = reference.created_at.unwrap_or(at);
            let body = ArtifactBody {
                project_uuid: facts.project_uuid.clone(),
                mission_slug: reference.mission_slug,
                target_branch: reference.target_branch,
                mission_type: reference.mission_type,
                manifest_version: reference.manifest_version,
                artifact_path: reference.artifact_path,
                content_hash: text_of(row.get_ref(5)?),
                hash_algorithm: reference.hash_algorithm.unwrap_or_else(|| "sha256".to_owned()),
                content_body: reference.content_body,
            };
            let key = body.key();
            (key, body_columns(body, at), None)
        }
        Err(error) => {
            let why = format!("`body_reference` is not readable: {error}");
            let raw = vec![SqlValue::Null; 8].into_iter().chain([stored.into()]);
            let rest = [SqlValue::Null, 0.into(), 0.0.into(), at.into(), SqlValue::Null];
            (task_id, raw.chain(rest).collect(), Some(why))
        }
    };
    Ok(StoreRow {
        kind: Kind::Body,
        key: LegacyKey { source: LegacyTable::Bodies.name(), key },
        sequence: row.get(2)?,
        is_stranded: gave_up && matches!(class, StoreRowClass::Ready | StoreRowClass::Held),
        class,
        columns,
        repo_slug: None,
        unfit,
    })
}

fn body_columns(body: ArtifactBody, at: f64) -> Vec<SqlValue> {
    let size = i64::try_from(body.content_body.len()).unwrap_or(i64::MAX);
    let text = body.key_columns().map(|column| SqlValue::from(column.to_owned()));
    let content = [body.hash_algorithm.into(), body.content_body.into(), SqlValue::Integer(size)];
    // The attempts of the other program do not count as ours.
    let progress = [SqlValue::Integer(0), 0.0.into(), at.into(), SqlValue::Null];
    text.into_iter().chain(content).chain(progress).collect()
}

/// Of a row that was neither delivered nor refused.
fn open_class(facts: &StoreFacts, epoch: i64) -> StoreRowClass {
    if facts.live_epochs.contains(&epoch) { StoreRowClass::Ready } else { StoreRowClass::Held }
}

fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

/// Unix seconds of a time that is ISO text, or a number as text.
fn instant(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Integer(number) => number as f64,
        ValueRef::Real(number) => number,
        _ => {
            let text = text_of(value);
            text.parse().unwrap_or_else(|_| seconds_of(&text) as f64)
        }
    }
}
