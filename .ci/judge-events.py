"""Judges every event row of queue DBs by the published contract: envelope, payload and JSON schema."""

import json
import sqlite3
import sys

from spec_kitty_events import __version__
from spec_kitty_events.conformance import validate_event

# The facts that a whole mission captures. Without one of them the stage proves nothing about it.
EXPECTED = {
    "MissionCreated", "SpecifyStarted", "SpecifyCompleted", "PlanStarted", "PlanCompleted", "TasksStarted",
    "WPCreated", "TasksCompleted", "WPStatusChanged", "HistoryAdded", "MissionDossierArtifactIndexed",
    "MissionDossierSnapshotComputed",
}


def rows(path):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    return [json.loads(data) for (data,) in db.execute("SELECT data FROM queue ORDER BY id")]


def faults(event):
    for event_type in (event["event_type"], "Event"):
        judged = validate_event(event, event_type, strict=True)
        yield from (f"{event_type}: {fault}" for fault in judged.model_violations + judged.schema_violations)


events = [event for path in sys.argv[1:] for event in rows(path)]
wrong = [(event, list(faults(event))) for event in events]
wrong = [(event, found) for event, found in wrong if found]
for event, found in wrong:
    print(event["event_id"], event["event_type"], *found, sep="\n  ")
types = {event["event_type"] for event in events}
print(f"{len(events) - len(wrong)} of {len(events)} captured events valid under the published contract {__version__}, {len(types)} types")
missing = EXPECTED - types
if missing:
    print("never captured:", ", ".join(sorted(missing)))
sys.exit(bool(wrong or missing))
