//! Payload schemas, and the check of a value against one.
//!
//! The check stops at the first fault, in the order of the schema, so that one event has one
//! rejection. Messages name keys and kinds, never values.

use super::id;
use super::rejection::{Rejection, RejectionCode};
use crate::Lane;
use crate::json::Node;
use jiff::civil::DateTime;

/// Type and bounds of a value.
#[derive(Debug)]
pub enum Shape {
    /// Any text, the empty one included.
    AnyText,
    /// Text of one character or more.
    Text,
    /// One of a closed list of texts.
    OneOf(&'static [&'static str]),
    /// A lane of the vocabulary, or its alias.
    Lane,
    /// An ISO 8601 date and time, with or without an offset.
    Instant,
    /// A UUID, hyphenated or bare.
    Uuid,
    /// An absolute URL: a scheme, `://` and something.
    Url,
    /// A whole number with a minimum.
    Whole(i64),
    /// The same, written without a fraction: `3`, not `3.0`.
    Integer(i64),
    /// A whole number between two bounds, both included.
    WholeWithin(i64, i64),
    /// A number between two bounds, both included.
    Within(f64, f64),
    /// `true` or `false`.
    Flag,
    /// Non-blank text, or an object with at least one key.
    Actor,
    /// An array with a minimum length, each item of one shape.
    List(&'static Shape, usize),
    /// An object with any keys, each value of one shape.
    Map(&'static Shape),
    /// `null`, or the shape.
    Nullable(&'static Shape),
    /// An object with known keys.
    Object(&'static ObjectShape),
}

/// A rule between the keys of an object. Its rejection's path starts at the object.
pub type Rule = fn(&Node<'_>) -> Result<(), Rejection>;

/// An object with known keys.
#[derive(Debug)]
pub struct ObjectShape {
    /// The keys, in the order they are checked.
    pub keys: &'static [Key],
    /// Whether keys outside the list are refused.
    pub closed: bool,
    /// A rule between the keys, checked once each key is valid.
    pub rule: Option<Rule>,
}

/// A key of an object.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be present.
    pub required: bool,
    /// Shape that its value must have.
    pub shape: Shape,
}

/// A key that must be present.
pub(super) const fn need(name: &'static str, shape: Shape) -> Key {
    Key { name, required: true, shape }
}

/// A key that may be absent, and `null` as well.
pub(super) const fn may(name: &'static str, shape: &'static Shape) -> Key {
    Key { name, required: false, shape: Shape::Nullable(shape) }
}

/// A key that may be absent but not `null`.
pub(super) const fn some(name: &'static str, shape: Shape) -> Key {
    Key { name, required: false, shape }
}

/// An object that may have further keys.
pub(super) const fn open(keys: &'static [Key]) -> ObjectShape {
    ObjectShape { keys, closed: false, rule: None }
}

/// An object that has no further keys.
pub(super) const fn closed(keys: &'static [Key]) -> ObjectShape {
    ObjectShape { keys, closed: true, rule: None }
}

fn fail(message: impl Into<String>) -> Rejection {
    Rejection::new(RejectionCode::PayloadSchemaFail, message)
}

impl ObjectShape {
    /// Checks an object: keys in the order of the schema, then unknown keys, then the rule.
    pub fn check(&self, node: &Node<'_>) -> Result<(), Rejection> {
        let Node::Object(entries) = node else {
            return Err(fail(format!("field must be an object, is {}", node.noun())));
        };
        for key in self.keys {
            match entries.iter().find(|(name, _)| name == key.name) {
                Some((_, value)) => key.shape.check(value).map_err(|fault| fault.under(key.name))?,
                None if key.required => return Err(fail("field is missing").under(key.name)),
                None => {}
            }
        }
        if self.closed
            && let Some((name, _)) =
                entries.iter().find(|(name, _)| !self.keys.iter().any(|key| name == key.name))
        {
            return Err(fail("field is not part of the schema").under(name));
        }
        self.rule.map_or(Ok(()), |rule| rule(node))
    }
}

impl Shape {
    /// Checks a value. The path of the rejection starts at the value.
    pub fn check(&self, node: &Node<'_>) -> Result<(), Rejection> {
        match self {
            Self::AnyText => text(node).map(drop),
            Self::Text => filled(node).map(drop),
            Self::OneOf(list) => match text(node)? {
                value if list.contains(&value) => Ok(()),
                _ => Err(fail(format!("field must be one of {}", list.join(", ")))),
            },
            Self::Lane => match Lane::from_event(text(node)?) {
                Some(_) => Ok(()),
                None => Err(Rejection::new(RejectionCode::UnknownLane, "field is not a lane of the schema")),
            },
            Self::Instant => instant(text(node)?),
            Self::Uuid if id::is_uuid(text(node)?) => Ok(()),
            Self::Uuid => Err(fail("field must be a UUID")),
            Self::Url => url(text(node)?),
            Self::Whole(least) => whole(node, *least, i64::MAX),
            Self::Integer(least) => match node {
                Node::Integer(_) => whole(node, *least, i64::MAX),
                other => Err(fail(format!("field must be an integer, is {}", other.noun()))),
            },
            Self::WholeWithin(least, most) => whole(node, *least, *most),
            Self::Within(low, high) => within(node, *low, *high),
            Self::Flag if matches!(node, Node::Bool(_)) => Ok(()),
            Self::Flag => Err(fail(format!("field must be a boolean, is {}", node.noun()))),
            Self::Actor => actor(node),
            Self::List(item, least) => list(node, item, *least),
            Self::Map(shape) => map(node, shape),
            Self::Nullable(_) if node.is_null() => Ok(()),
            Self::Nullable(shape) => shape.check(node),
            Self::Object(object) => object.check(node),
        }
    }
}

fn text<'n>(node: &'n Node<'_>) -> Result<&'n str, Rejection> {
    node.as_str().ok_or_else(|| fail(format!("field must be text, is {}", node.noun())))
}

fn filled<'n>(node: &'n Node<'_>) -> Result<&'n str, Rejection> {
    match text(node)? {
        "" => Err(fail("field must not be empty")),
        text => Ok(text),
    }
}

pub(super) fn instant(text: &str) -> Result<(), Rejection> {
    // An offset is optional and so is the time of day; both parsers read a prefix of ISO 8601.
    let readable = text.parse::<jiff::Timestamp>().is_ok() || text.parse::<DateTime>().is_ok();
    if readable { Ok(()) } else { Err(fail("field must be an ISO 8601 date and time")) }
}

fn url(text: &str) -> Result<(), Rejection> {
    let readable = text.split_once("://").is_some_and(|(scheme, rest)| {
        let mut letters = scheme.chars();
        letters.next().is_some_and(|c| c.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && !rest.is_empty()
            && !rest.contains(char::is_whitespace)
    });
    if readable { Ok(()) } else { Err(fail("field must be an absolute URL")) }
}

fn whole(node: &Node<'_>, least: i64, most: i64) -> Result<(), Rejection> {
    let value = match node {
        Node::Integer(value) => *value,
        // 3.0 is a whole number to a JSON schema; beyond 2^53 a float is ambiguous.
        Node::Float(value) if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => *value as i64,
        other => return Err(fail(format!("field must be a whole number, is {}", other.noun()))),
    };
    if value < least {
        Err(fail(format!("field must be at least {least}")))
    } else if value > most {
        Err(fail(format!("field must be at most {most}")))
    } else {
        Ok(())
    }
}

fn within(node: &Node<'_>, low: f64, high: f64) -> Result<(), Rejection> {
    let value = match node {
        Node::Integer(value) => *value as f64,
        Node::Float(value) => *value,
        other => return Err(fail(format!("field must be a number, is {}", other.noun()))),
    };
    if value >= low && value <= high {
        Ok(())
    } else {
        Err(fail("field is outside its bounds in the schema"))
    }
}

fn actor(node: &Node<'_>) -> Result<(), Rejection> {
    match node {
        Node::Text(text) if !text.trim().is_empty() => Ok(()),
        Node::Object(entries) if !entries.is_empty() => Ok(()),
        Node::Text(_) | Node::Object(_) => Err(fail("field must not be empty")),
        other => Err(fail(format!("field must be text or an object, is {}", other.noun()))),
    }
}

fn list(node: &Node<'_>, shape: &Shape, least: usize) -> Result<(), Rejection> {
    let Node::List(items) = node else {
        return Err(fail(format!("field must be an array, is {}", node.noun())));
    };
    if items.len() < least {
        return Err(fail(format!("field must have at least {least} item(s)")));
    }
    for (index, item) in items.iter().enumerate() {
        shape.check(item).map_err(|fault| fault.at(index))?;
    }
    Ok(())
}

fn map(node: &Node<'_>, shape: &Shape) -> Result<(), Rejection> {
    let Node::Object(entries) = node else {
        return Err(fail(format!("field must be an object, is {}", node.noun())));
    };
    for (key, value) in entries {
        shape.check(value).map_err(|fault| fault.under(key))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(shape: &Shape, json: &str) -> bool {
        shape.check(&Node::parse(json).unwrap()).is_ok()
    }

    #[test]
    fn instants_may_lack_an_offset_but_not_sense() {
        for good in
            ["2026-11-22T09:04:17.486262+00:00", "2026-11-22T09:04:17Z", "2026-11-22 09:04:17", "2026-11-22"]
        {
            assert!(holds(&Shape::Instant, &format!("\"{good}\"")), "{good}");
        }
        for bad in ["", "yesterday", "2026-13-01T00:00:00Z", "12:00"] {
            assert!(!holds(&Shape::Instant, &format!("\"{bad}\"")), "{bad}");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_zero_fraction() {
        assert!(holds(&Shape::Whole(1), "3.0"));
        for bad in ["0", "1.5", "\"3\"", "true", "1e300", "null"] {
            assert!(!holds(&Shape::Whole(1), bad), "{bad}");
        }
        assert!(holds(&Shape::Integer(1), "3") && !holds(&Shape::Integer(1), "3.0"));
    }

    #[test]
    fn fault_names_its_path() {
        static ITEM: ObjectShape = closed(&[need("branch", Shape::Text)]);
        static REPOS: Shape = Shape::List(&Shape::Object(&ITEM), 1);
        let node = Node::parse(r#"[{"branch":"main"},{"branch":""}]"#).unwrap();
        assert_eq!(REPOS.check(&node).unwrap_err().path_text(), "[1].branch");
        let extra = Node::parse(r#"[{"branch":"main","x":1}]"#).unwrap();
        assert_eq!(REPOS.check(&extra).unwrap_err().path_text(), "[0].x");
    }
}
