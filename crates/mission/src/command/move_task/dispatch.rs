//! `--invocation-id`: a dispatch that the Python CLI recorded, in `kitty-ops/<id>.jsonl` of the project.
//!
//! Its record names model and profile for one action on one work package. It decides: a name that was given beside it
//! has to be the same.

use super::MoveTaskRequest;
use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::lane::Lane;
use crate::project::{MissionDirectory, Project};
use crate::slug::is_ulid;
use serde::Deserialize;
use std::borrow::Cow;

/// The directory of the records.
const RECORDS: &str = "kitty-ops";
/// The option.
const OPTION: &str = "--invocation-id";

/// The first line of a record, as far as it matters here.
#[derive(Deserialize)]
struct DispatchRecord {
    event: String,
    invocation_id: String,
    profile_id: String,
    action: String,
    mission_id: Option<String>,
    wp_id: Option<String>,
    model_id: Option<String>,
}

/// The request with model and profile of the dispatch that it names.
pub(super) fn dispatched<'a>(
    project: &Project,
    request: &'a MoveTaskRequest,
    mission: &MissionDirectory,
    to: Lane,
) -> Result<Cow<'a, MoveTaskRequest>> {
    let Some(id) = request.invocation_id.as_deref() else { return Ok(Cow::Borrowed(request)) };
    let record = read_record(project, id)?;
    let action = match to {
        Lane::InReview | Lane::Approved | Lane::Done => "review",
        _ => "implement",
    };
    let facts = [
        ("the mission", record.mission_id.as_deref(), mission.mission_id()),
        ("the work package", record.wp_id.as_deref(), Some(request.wp_id.as_str())),
        ("the action", Some(record.action.as_str()), Some(action)),
        (
            "--profile",
            Some(record.profile_id.as_str()),
            request.profile.as_deref().or(Some(&record.profile_id)),
        ),
        ("--model", record.model_id.as_deref(), request.model.as_deref().or(record.model_id.as_deref())),
    ];
    for (what, recorded, wanted) in facts {
        let is_model = what == "--model";
        if recorded != wanted || (recorded.is_none() && !is_model) {
            let shown = |text: Option<&str>| contract::text::printable(text.unwrap_or("none")).into_owned();
            return Err(wrong(format!(
                "dispatch {id} is of another kind: {what} is `{}` there, and `{}` here",
                shown(recorded),
                shown(wanted)
            )));
        }
    }
    let mut request = request.clone();
    (request.model, request.profile) = (record.model_id, Some(record.profile_id));
    Ok(Cow::Owned(request))
}

fn read_record(project: &Project, id: &str) -> Result<DispatchRecord> {
    let shown = contract::text::printable(id).into_owned();
    // Before it is part of a path.
    if !is_ulid(id) {
        return Err(wrong(format!("`{shown}` is not a ULID")));
    }
    let path = project.root().join(RECORDS).join(format!("{id}.jsonl"));
    let text = read_text(&path, MAX_JSON)?
        .ok_or_else(|| wrong(format!("{} does not exist", contract::text::path(&path))))?;
    let first = text.lines().next().unwrap_or_default();
    let record: DispatchRecord = serde_json::from_str(first).map_err(|error| {
        MissionError::malformed(&path, format!("line 1 is not a dispatch record: {error}"))
    })?;
    if record.event != "started" || record.invocation_id != id {
        return Err(MissionError::malformed(&path, format!("line 1 does not start dispatch {id}")));
    }
    Ok(record)
}

fn wrong(problem: String) -> MissionError {
    MissionError::Argument { name: OPTION, problem }
}
