//! Record of a rejected event.

use crate::store::NewRejection;
use contract::event::Rejection;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Rejected events of a batch that are recorded.
pub(super) const RECORDED: usize = 50;

/// A rejected event, as it is recorded: what it names itself if that is readable, and the rule.
pub(super) fn recorded(raw: &RawValue, rejection: &Rejection) -> NewRejection {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        event_id: Value,
        event_type: Value,
        project_uuid: Value,
    }
    let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
    let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
    NewRejection {
        event_id: text(named.event_id),
        event_type: text(named.event_type),
        project_uuid: text(named.project_uuid),
        code: rejection.code.name().to_owned(),
        path: rejection.path_text(),
        reason: rejection.message.clone(),
    }
    .bounded()
}
