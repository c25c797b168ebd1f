//! Actor of a row as text: rows name a person or an agent, releases since 3.2.6 also by an object.

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// An `actor`, however it is written.
#[derive(Debug)]
pub(super) struct Actor<'a>(pub(super) Cow<'a, str>);

/// Keys of an actor object that can name it, the best first. Releases up to 3.2.7 read `tool` and `role`.
const NAMES: [&str; 4] = ["tool", "role", "display", "id"];

impl<'de: 'a, 'a> Deserialize<'de> for Actor<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActorVisitor)
    }
}

struct ActorVisitor;

impl<'de> Visitor<'de> for ActorVisitor {
    type Value = Actor<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an actor")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Owned(text.to_owned())))
    }

    // The reference turns any other value into text as its language prints it.
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Borrowed("None")))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Borrowed(if value { "True" } else { "False" })))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Actor(Cow::Owned(value.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Actor(Cow::Borrowed("")))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found: [Option<String>; NAMES.len()] = Default::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let value: serde_json::Value = map.next_value()?;
            let slot = NAMES.iter().position(|name| *name == key);
            if let (Some(slot), serde_json::Value::String(text)) = (slot, value) {
                found[slot] = Some(text).filter(|text| !text.is_empty());
            }
        }
        Ok(Actor(Cow::Owned(found.into_iter().flatten().next().unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::Actor;

    #[test]
    fn actor_is_named_by_its_tool_then_by_its_role() {
        for (json, name) in [
            (r#""ada""#, "ada"),
            (r#""\u00e9""#, "é"),
            (r#"{"model": "m", "profile": null, "role": "reviewer", "tool": "claude"}"#, "claude"),
            (r#"{"model": "m", "profile": "p", "role": "reviewer", "tool": null}"#, "reviewer"),
            (r#"{"role": "r", "team": {"a": [1]}, "tool": ""}"#, "r"),
            (r#"{"display": null, "id": "generator", "kind": "runtime"}"#, "generator"),
            (r#"{"model": "m"}"#, ""),
            ("null", "None"),
            ("7", "7"),
            ("true", "True"),
            ("[1, {}]", ""),
        ] {
            let actor: Actor<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(actor.0, name, "{json}");
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let text = value.to_string();
            assert_eq!(serde_json::from_str::<Actor<'_>>(&text).unwrap().0, name, "{json}");
        }
    }
}
