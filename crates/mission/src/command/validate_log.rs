//! `agent status validate`: what is wrong with the rows of a mission, and with the `status.json` beside them. Reads only.

use crate::document::MAX_JSON;
use crate::error::{Result, chain};
use crate::instant::Instant;
use crate::lane::Lane;
use crate::log::{ExecutionMode, LaneRow, Row};
use crate::mission_log::{MissionLog, each_row, view_mission_log};
use crate::project::{MissionDirectory, Project};
use crate::remedies::command_line;
use crate::slug::is_ulid;
use crate::snapshot::{FILE, reduce, status_document};
use crate::transition::is_in_matrix;
use contract::text::printable;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Findings about a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValidatedLog {
    /// The mission's directory.
    pub mission_slug: String,
    /// Whether there is no error.
    pub passed: bool,
    /// Errors.
    pub errors: Vec<String>,
    /// Warnings: they do not fail the command.
    pub warnings: Vec<String>,
    /// Number of errors.
    pub error_count: usize,
    /// Number of warnings.
    pub warning_count: usize,
}

/// Judges every row that can be read; a line that cannot is an error beside the others.
///
/// # Errors
/// When there is no such mission, or the checkout's log cannot be opened.
pub fn validate(project: &Project, mission: Option<&str>) -> Result<ValidatedLog> {
    let (mission, bad_meta) = project.view_mission(mission)?;
    let log = view_mission_log(project, &mission)?;
    let mut errors = log.damage_lines(&mission.slug);
    let mut warnings: Vec<String> = bad_meta.into_iter().chain(log.other_warning_lines()).collect();
    let judged = each_row(project, &mission, |row| {
        if let Row::Lane(row) = row {
            let id = printable(&row.event_id).into_owned();
            errors.extend(problems(&row).into_iter().map(|problem| format!("row {id}: {problem}")));
        }
    });
    match judged {
        Err(error) => {
            let problem = chain(&error);
            // The log that was viewed has the same problem as a warning.
            warnings.retain(|warning| !warning.contains(&problem));
            let remedies: Vec<_> = error.remedies().iter().map(ToString::to_string).collect();
            errors.push(format!("not all rows were checked: {problem}; {}", remedies.join("; ")));
        }
        Ok(()) => {
            if let Some(problem) = log.place().problem() {
                warnings.retain(|warning| *warning != problem);
                errors.push(problem);
            }
        }
    }
    if log.line_count() > 0 {
        match drift(project, &mission, &log) {
            Ok(found) => errors.extend(found),
            Err(error) => {
                let problem = chain(&error);
                if !errors.iter().any(|known| known.contains(&problem)) {
                    errors.push(problem);
                }
            }
        }
    }
    Ok(ValidatedLog {
        mission_slug: mission.slug,
        passed: errors.is_empty(),
        error_count: errors.len(),
        warning_count: warnings.len(),
        errors,
        warnings,
    })
}

/// Problems that the current releases find in a lane row.
fn problems(row: &LaneRow) -> Vec<String> {
    let is_given = |text: Option<&String>| text.is_some_and(|text| !text.is_empty());
    let mut found = Vec::new();
    let mut must = |holds: bool, problem: &dyn Fn() -> String| {
        if !holds {
            found.push(problem());
        }
    };
    let (from, to) = (row.from_lane, row.to_lane);
    must(!row.mission_slug.is_empty(), &|| "names no mission".into());
    must(is_ulid(&row.event_id) || is_uuid(&row.event_id), &|| {
        "its `event_id` is neither a ULID nor a UUID".into()
    });
    must(from != Lane::Uninitialized, &|| format!("no work package leaves `{from}`"));
    must(to.is_on_board(), &|| format!("no work package moves to `{to}`"));
    must(Instant::parse(&row.at).is_some(), &|| format!("`at` is not a time: `{}`", printable(&row.at)));
    must(ExecutionMode::from_name(&row.execution_mode).is_some(), &|| {
        format!(
            "`execution_mode` is `{}`, neither `worktree` nor `direct_repo`",
            printable(&row.execution_mode)
        )
    });
    if row.force {
        must(is_given(row.reason.as_ref()), &|| "is forced without a reason".into());
    } else {
        must(is_in_matrix(from, to), &|| format!("no move leads from `{from}` to `{to}` without force"));
    }
    if (from, to) == (Lane::ForReview, Lane::InProgress) {
        must(is_given(row.review_ref.as_ref()), &|| "leaves `for_review` without a `review_ref`".into());
    }
    if to == Lane::Done && !row.force {
        let review = row.evidence.as_ref().and_then(|evidence| evidence.get("review"));
        for part in ["reviewer", "verdict", "reference"] {
            let text = review.and_then(|review| review.get(part)?.as_str()).unwrap_or_default();
            must(!text.is_empty(), &|| format!("is done without `evidence.review.{part}`"));
        }
    }
    found
}

fn is_uuid(text: &str) -> bool {
    let digits: String = text.split('-').collect();
    matches!(text.len(), 32 | 36) && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Differences between `status.json` and the state that the rows reduce to.
pub(crate) fn drift(project: &Project, mission: &MissionDirectory, log: &MissionLog) -> Result<Vec<String>> {
    let remedy = format!("`{}` rewrites it", command_line("agent status materialize", &[], &mission.slug));
    let snapshot = reduce(&[log], mission.dialect(log));
    let Some(found) = log.file_beside(project, mission, FILE, MAX_JSON)? else {
        // Beside lane rows whose place is not certain nothing is read.
        let lacks = log.place().problem().is_none() && !snapshot.work_packages.is_empty();
        return Ok(lacks.then(|| format!("{FILE} is missing: {remedy}")).into_iter().collect());
    };
    let stored: Value = match serde_json::from_slice(&found) {
        Ok(stored) => stored,
        Err(error) => return Ok(vec![format!("{FILE} is not JSON: {error}; {remedy}")]),
    };
    let expected = status_document(&snapshot, mission.meta.as_ref())?;
    let none = Map::new();
    let packages = |document: &'_ Value| document["work_packages"].as_object().unwrap_or(&none).clone();
    let (ours, theirs) = (packages(&expected), packages(&stored));
    let ids: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let lane = |package: Option<&Value>| match package {
        Some(package) => format!("in {}", package["lane"].as_str().unwrap_or("no lane")),
        None => "missing".to_owned(),
    };
    let mut errors: Vec<String> = ids
        .into_iter()
        .filter(|id| ours.get(*id) != theirs.get(*id))
        .map(|id| {
            let (log, file) = (lane(ours.get(id)), lane(theirs.get(id)));
            let id = printable(id);
            match log == file {
                true => format!("{id} differs between {FILE} and the log"),
                false => format!("{id} is {file} in {FILE}, and {log} in the log"),
            }
        })
        .collect();
    let others = ["retrospective", "event_count", "last_event_id"];
    errors.extend(
        others
            .into_iter()
            .filter(|key| expected[*key] != stored[*key])
            .map(|key| format!("`{key}` of {FILE} is {}, and {} in the log", stored[key], expected[key])),
    );
    if let Some(last) = errors.last_mut() {
        last.push_str(&format!("; {remedy}"));
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(change: Value) -> LaneRow {
        let mut row = json!({
            "event_id": "01KRX11MABCDEFGHJKMNPQRSTV", "mission_slug": "m", "wp_id": "WP01", "from_lane": "planned",
            "to_lane": "claimed", "at": "2026-08-01T10:00:00+00:00", "actor": "ada", "force": false,
            "execution_mode": "worktree",
        });
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let log = crate::log::Log::parse("x".as_ref(), format!("{row}\n").as_bytes());
        assert!(log.damage().is_empty(), "{:?}", log.damage());
        let mut found = None;
        crate::log::each_row_in(format!("{row}\n").as_bytes(), |row| match row {
            Row::Lane(row) => found = Some(row),
            row => panic!("{row:?}"),
        });
        found.unwrap()
    }

    #[test]
    fn row_with_a_fault_is_named_by_it() {
        assert_eq!(problems(&row(json!({}))), Vec::<String>::new());
        let done = json!({"from_lane": "approved", "to_lane": "done",
            "evidence": {"review": {"reviewer": "r", "verdict": "", "reference": "p"}}});
        for (change, problem) in [
            (json!({"event_id": "one"}), "neither a ULID nor a UUID"),
            (json!({"mission_slug": ""}), "names no mission"),
            (json!({"at": "yesterday"}), "`at` is not a time"),
            (json!({"execution_mode": "code_change"}), "`execution_mode` is `code_change`"),
            (json!({"force": true}), "forced without a reason"),
            (
                json!({"to_lane": "done", "force": true, "reason": "x", "from_lane": "uninitialized"}),
                "leaves",
            ),
            (json!({"to_lane": "genesis", "force": true, "reason": "x"}), "moves to `genesis`"),
            (json!({"to_lane": "for_review"}), "no move leads from `planned` to `for_review`"),
            (
                json!({"from_lane": "for_review", "to_lane": "in_progress", "force": true, "reason": "x"}),
                "review_ref",
            ),
            (done, "without `evidence.review.verdict`"),
        ] {
            let found = problems(&row(change.clone()));
            assert!(found.len() == 1 && found[0].contains(problem), "{change}: {found:?}");
        }
    }
}
