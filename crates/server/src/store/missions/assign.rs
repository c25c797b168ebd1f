//! The mission that an event belongs to.
//!
//! Most events name it. One that does not (a line of history, a build) belongs to the mission of the events that it is
//! correlated with, else to the one that the nearest earlier event about its subject names. Only events of one project
//! and one batch are compared. What is left belongs to a mission with an empty slug, which no event can name.

use crate::store::NewMission;
use contract::event::{Node, id, kind};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Longer slugs are cut, and end with a digest of the whole. A shorter one may be the name of a directory, which file
/// systems limit to 255 bytes or characters, so it has documents, which are found by it.
const LONGEST_SLUG: usize = 1024;
/// Longer names are cut.
const LONGEST_NAME: usize = 300;

/// Facts of an event that lead to its mission.
pub(crate) struct MissionHint {
    slug: Option<String>,
    name: Option<String>,
    /// The canonical id of its chain of events.
    chain: String,
    /// The name of the project.
    pub(crate) project_name: Option<String>,
}

impl MissionHint {
    pub(crate) fn of(event: &Node<'_>) -> Self {
        let payload = event.get("payload");
        let named = payload.and_then(|payload| {
            payload.text("mission_slug").or_else(|| payload.get("namespace")?.text("mission_slug"))
        });
        let name = payload
            .filter(|_| event.text("event_type") == Some(kind::MISSION_CREATED))
            .and_then(|payload| payload.text("friendly_name"));
        let correlation = event.text("correlation_id").unwrap_or_default();
        Self {
            slug: named.filter(|slug| !slug.is_empty()).map(short_slug),
            name: name.map(|name| cut(name, LONGEST_NAME).to_owned()),
            chain: id::canonical(correlation).unwrap_or_default(),
            project_name: event.text("project_slug").map(|name| cut(name, LONGEST_NAME).to_owned()),
        }
    }
}

/// The missions of events, in their order, and for each event the place of its mission among them. A hint is
/// followed by the subject of its event.
pub(crate) fn assign_missions<'e>(
    events: impl Iterator<Item = (&'e MissionHint, &'e str)> + Clone,
) -> (Vec<NewMission>, Vec<usize>) {
    let mut missions: Vec<NewMission> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut of_events: Vec<Option<usize>> = Vec::new();
    for (hint, _) in events.clone() {
        let place = hint.slug.as_deref().map(|slug| {
            *places.entry(slug).or_insert_with(|| {
                missions.push(NewMission { slug: slug.to_owned(), name: None });
                missions.len() - 1
            })
        });
        if let (Some(place), Some(_)) = (place, &hint.name) {
            missions[place].name.clone_from(&hint.name);
        }
        of_events.push(place);
    }
    if let Some(of_events) = of_events.iter().copied().collect() {
        return (missions, of_events);
    }
    let mut chains: HashMap<&str, usize> = HashMap::new();
    for ((hint, _), place) in events.clone().zip(&of_events) {
        if let Some(place) = place {
            chains.entry(&hint.chain).or_insert(*place);
        }
    }
    let mut subjects: HashMap<&str, usize> = HashMap::new();
    let mut of_none = None;
    let place = |((hint, subject), named): ((&'e MissionHint, &'e str), Option<usize>)| {
        let place = named.or_else(|| chains.get(&*hint.chain).or_else(|| subjects.get(subject)).copied());
        let Some(place) = place else {
            return *of_none.get_or_insert_with(|| {
                missions.push(NewMission { slug: String::new(), name: None });
                missions.len() - 1
            });
        };
        subjects.insert(subject, place);
        place
    };
    let of_events = events.zip(of_events).map(place).collect();
    (missions, of_events)
}

/// A slug that fits an index. Different slugs stay different.
fn short_slug(slug: &str) -> String {
    if slug.len() <= LONGEST_SLUG {
        return slug.to_owned();
    }
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(slug.as_bytes())[..8]);
    format!("{}\u{2026}{digest}", cut(slug, LONGEST_SLUG))
}

/// The longest start of a text that has at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(rows: &[(&str, &str, &str)]) -> Vec<String> {
        let hint = |(_, slug, chain): &(&str, &str, &str)| MissionHint {
            slug: (!slug.is_empty()).then(|| (*slug).to_owned()),
            name: None,
            chain: (*chain).to_owned(),
            project_name: None,
        };
        let hints: Vec<MissionHint> = rows.iter().map(hint).collect();
        let events = hints.iter().zip(rows.iter().map(|(subject, ..)| *subject));
        let (missions, of_events) = assign_missions(events);
        of_events.iter().map(|place| missions[*place].slug.clone()).collect()
    }

    #[test]
    fn event_without_a_mission_follows_its_chain() {
        let rows = [
            ("WP01", "", "c2"),
            ("WP01", "a", "c1"),
            ("WP01", "b", "c2"),
            ("WP01", "", "c9"),
            ("WP02", "a", "c3"),
            ("WP02", "", "c8"),
            ("build", "", "c7"),
        ];
        assert_eq!(assigned(&rows), ["b", "a", "b", "b", "a", "a", ""]);
        assert_eq!(assigned(&[("WP01", "", "c1"), ("WP01", "", "c1")]), ["", ""]);
        assert_eq!(assigned(&[("WP01", "", "c1"), ("WP02", "a", "c2"), ("WP02", "", "c3")]), ["", "a", "a"]);
    }

    #[test]
    fn long_slug_is_cut_and_stays_unique() {
        let (one, two) = ("é".repeat(900) + "1", "é".repeat(900) + "2");
        assert!(short_slug(&one).len() < LONGEST_SLUG + 40 && short_slug(&one) != short_slug(&two));
        assert_eq!(short_slug("demo"), "demo");
    }

    #[test]
    fn mission_is_in_the_payload_or_its_namespace() {
        let slug = |text: &str| MissionHint::of(&Node::parse(text).unwrap()).slug;
        assert_eq!(slug(r#"{"payload":{"mission_slug":"a"}}"#).as_deref(), Some("a"));
        assert_eq!(slug(r#"{"payload":{"namespace":{"mission_slug":"b"}}}"#).as_deref(), Some("b"));
        assert_eq!(slug(r#"{"payload":{"mission_slug":""}}"#), None);
        assert_eq!(slug(r#"{"payload":{}}"#), None);
    }
}
