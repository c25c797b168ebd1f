//! One log from several files: the rows of a mission by their ids.

use super::{ANNOTATION, Annotation, LaneMove, Log, MOVE, REST};
use std::collections::HashMap;
use std::mem::take;

impl Log {
    /// Moves the rows of `other` here whose ids this log does not have. Returns the ids of lane changes and
    /// annotations that differ: what was here stays.
    pub(crate) fn unite(&mut self, other: &mut Self) -> Vec<String> {
        let rows = |log: &Self| log.moves.len() + log.annotations.len() + log.facts.len() + log.others.len();
        let before = rows(self);
        let (mut moves, mut annotations) = (Vec::new(), Vec::new());
        for row in take(&mut other.moves) {
            match self.is_new(&row.event_id, MOVE) {
                Some(_) => self.moves.push(row),
                None => moves.push(row),
            }
        }
        for row in take(&mut other.annotations) {
            match self.is_new(&row.event_id, ANNOTATION) {
                Some(_) => self.annotations.push(row),
                None => annotations.push(row),
            }
        }
        for row in take(&mut other.facts) {
            if self.is_new(&row.event_id, REST).is_some() {
                self.facts.push(row);
            }
        }
        for row in take(&mut other.others) {
            if row.event_id.as_deref().is_none_or(|id| self.is_new(id, REST).is_some()) {
                self.others.push(row);
            }
        }
        self.lines += rows(self) - before;
        self.differing(&moves, &annotations)
    }

    /// The ids of those rows that this log has with another content.
    fn differing(&self, moves: &[LaneMove], annotations: &[Annotation]) -> Vec<String> {
        let mut differing = Vec::new();
        if !moves.is_empty() {
            let known: HashMap<&str, &LaneMove> =
                self.moves.iter().map(|row| (&*row.event_id, row)).collect();
            let other =
                moves.iter().filter(|row| known.get(&*row.event_id).is_some_and(|known| known != row));
            differing.extend(other.map(|row| row.event_id.to_string()));
        }
        if !annotations.is_empty() {
            let known: HashMap<&str, &Annotation> =
                self.annotations.iter().map(|row| (&*row.event_id, row)).collect();
            let other =
                annotations.iter().filter(|row| known.get(&*row.event_id).is_some_and(|known| known != row));
            differing.extend(other.map(|row| row.event_id.clone()));
        }
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(path: &str, rows: &[(&str, &str)]) -> Log {
        let lines = rows.iter().map(|(id, text)| {
            serde_json::json!({
                "kind": "annotation", "event_id": format!("01KZ{id:0>22}"), "wp_id": "WP01", "actor": "a",
                "at": "2026-06-01T10:00:00+00:00", "delta": { "note": text },
            })
            .to_string()
        });
        let mut text = lines.collect::<Vec<_>>().join("\n");
        text.push_str("\n{\"event_type\":\"New\",\"event_id\":\"X\",\"at\":\"1\"}\n");
        Log::parse(path.as_ref(), text.as_bytes())
    }

    #[test]
    fn rows_are_united_by_id_and_the_first_log_decides() {
        let mut here = log("here", &[("1", "a"), ("2", "a")]);
        let mut there = log("there", &[("2", "a"), ("3", "a"), ("1", "b")]);
        assert_eq!(here.unite(&mut there), [format!("01KZ{:0>22}", "1")]);
        let ids: Vec<_> =
            here.annotations().iter().map(|row| row.event_id.trim_start_matches("01KZ0")).collect();
        assert!(ids.iter().map(|id| id.trim_start_matches('0')).eq(["1", "2", "3"]), "{ids:?}");
        assert_eq!((here.line_count(), here.others().len()), (4, 1));
        assert!(there.annotations().is_empty());
    }
}
