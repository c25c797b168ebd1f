//! Errors of `agent decision` for agents that were written for earlier releases: beside our own keys
//! the document has `code` and `details`, with the values of those releases.

use crate::error::CliError;
use mission::MissionError;
use serde_json::Value;

/// The error with the keys of earlier releases.
pub(crate) fn with_details(error: MissionError) -> CliError {
    let code = match &error {
        MissionError::UnknownMission { .. } => "MISSION_NOT_FOUND",
        other => other.code().name(),
    };
    let details = Value::Object(error.facts());
    CliError::from(error).fact("code", code).fact("details", details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_mission_has_the_code_that_earlier_releases_gave_it() {
        let error = MissionError::UnknownMission {
            code: mission::ErrorCode::FeatureContextUnresolved,
            handle: Some("tea".into()),
            problem: "no mission `tea`".into(),
            available: Vec::new(),
        };
        let document = with_details(error).json();
        assert_eq!(document["code"], "MISSION_NOT_FOUND");
        assert_eq!(document["error_code"], "FEATURE_CONTEXT_UNRESOLVED");
        assert_eq!(document["details"], json!({ "mission_flag": "tea", "available_missions": [] }));
    }
}
