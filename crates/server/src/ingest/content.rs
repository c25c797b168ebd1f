//! Content digest of an event: equal for two copies with the same content.
//!
//! The copies of one event differ by the program that sent them: order of keys, escapes, and the members
//! that a sender adds for the transport or takes from its machine. None of them is content.

use contract::json::Node;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Members of the envelope that a sender sets, clears or changes between attempts. A `team_slug` can only
/// be blank or the team that the event is sent to. The last five are what the capturing machine counts and sees
/// at that moment: a fact that is captured again, after a repair or in a clone, has others.
const TRANSPORT: [&str; 11] = [
    "type",
    "spec_kitty_delivery_identity",
    "admission_generation",
    "binding_audience",
    "drain_blocked_reason",
    "team_slug",
    "lamport_clock",
    "head_commit_sha",
    "git_branch",
    "node_id",
    "build_id",
];

/// The first half of the SHA-256 over the content, which only decides a warning. `buffer` is scratch space.
pub(super) fn digest(event: &Node<'_>, buffer: &mut Vec<u8>) -> [u8; 16] {
    buffer.clear();
    match event {
        Node::Object(entries) => write_object(entries, &TRANSPORT, buffer),
        other => write(other, buffer),
    }
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(&buffer[..])[..16]);
    half
}

/// Writes a value so that different values have different bytes: a tag, then a length or a fixed width.
fn write(node: &Node<'_>, out: &mut Vec<u8>) {
    match node {
        Node::Null => out.push(b'n'),
        Node::Bool(value) => out.extend([b'b', u8::from(*value)]),
        Node::Integer(value) => {
            out.push(b'i');
            out.extend(value.to_le_bytes());
        }
        Node::Float(value) => {
            out.push(b'f');
            out.extend(value.to_le_bytes());
        }
        Node::Text(text) => write_text(text, out),
        Node::List(items) => {
            out.push(b'l');
            out.extend((items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| write(item, out));
        }
        Node::Object(entries) => write_object(entries, &[], out),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b't');
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_object(entries: &[(Cow<'_, str>, Node<'_>)], without: &[&str], out: &mut Vec<u8>) {
    let mut kept: Vec<_> = entries.iter().filter(|(key, _)| !without.contains(&key.as_ref())).collect();
    kept.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    out.push(b'o');
    out.extend((kept.len() as u64).to_le_bytes());
    for (key, value) in kept {
        write_text(key, out);
        write(value, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> [u8; 16] {
        digest(&Node::parse(text).unwrap(), &mut Vec::new())
    }

    #[test]
    fn order_and_escapes_are_not_content() {
        let first = r#"{"event_id":"e","payload":{"a":[1,{"x":null,"y":"caf\u00e9"}],"b":2.5},"team_slug":"T",
            "lamport_clock":1,"head_commit_sha":null,"git_branch":"main","node_id":"n","build_id":"b"}"#;
        let other = r#"{"type":"event","spec_kitty_delivery_identity":"e","admission_generation":3,
            "binding_audience":"x","drain_blocked_reason":null,"team_slug":null,"lamport_clock":7,"head_commit_sha":"c","node_id":"m",
            "payload":{"b":2.5,"a":[1,{"y":"café","x":null}]},"event_id":"e"}"#;
        assert_eq!(of(first), of(other));
    }

    #[test]
    fn every_other_difference_is_content() {
        let texts = [
            r#"{}"#,
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[[1]]}"#,
            r#"{"a":[],"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"{"a":{"type":1}}"#,
            r#"{"a":{"type":2}}"#,
            r#"{"a":{"lamport_clock":2}}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"{"a":null}"#,
            r#"{"a":false}"#,
            r#"{"ab":"c"}"#,
            r#"{"a":"bc"}"#,
            "[]",
        ];
        for (at, left) in texts.iter().enumerate() {
            for right in &texts[at + 1..] {
                assert_ne!(of(left), of(right), "{left} {right}");
            }
        }
    }
}
