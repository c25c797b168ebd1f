//! Writer: the separators and escapes of Python's `json.dumps`, which every earlier release writes.
//! Mission files and stored events are compared byte for byte.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use std::io::{self, Write};

/// `value` with the keys of every object in code-point order.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(b.0));
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Sorted keys, indent 2, non-ASCII kept, trailing newline: `meta.json` and `status.json`.
pub fn sorted_document(value: &Value) -> String {
    write_with(&sorted(value), PrettyFormatter::new()) + "\n"
}

/// Sorted keys, indent 2, non-ASCII escaped, trailing newline: `decisions/index.json`.
pub fn sorted_ascii_document(value: &Value) -> String {
    write_with(&sorted(value), Ascii(PrettyFormatter::new())) + "\n"
}

/// Keys in their order, indent 2, non-ASCII escaped, trailing newline: `lanes.json`.
pub fn ordered_ascii_document(value: &impl Serialize) -> String {
    write_with(value, Ascii(PrettyFormatter::new())) + "\n"
}

/// One row of a log: sorted keys, `", "` and `": "`, non-ASCII escaped, no newline.
pub fn sorted_line(value: &Value) -> String {
    ordered_line(&sorted(value))
}

/// A stored event: keys in their order, `", "` and `": "`, non-ASCII escaped, no newline.
pub fn ordered_line(value: &impl Serialize) -> String {
    write_with(value, Ascii(Spaced(CompactFormatter)))
}

fn write_with(value: &impl Serialize, formatter: impl Formatter) -> String {
    let mut out = Vec::with_capacity(512);
    // A `Vec` does not fail, and `Value` and our own structs have string keys only.
    let written = value.serialize(&mut Serializer::with_formatter(&mut out, formatter));
    debug_assert!(written.is_ok(), "{written:?}");
    String::from_utf8(out).unwrap_or_default()
}

/// `", "` between items and `": "` after keys.
struct Spaced<F>(F);

impl<F: Formatter> Formatter for Spaced<F> {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Everything outside printable ASCII as `\uXXXX`, astral characters as surrogate pairs.
struct Ascii<F>(F);

impl<F: Formatter> Formatter for Ascii<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut plain = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| !c.is_ascii() || *c == '\u{7f}') {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            plain = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn ordered_line_is_as_python_writes_it() {
        let value: Value = serde_json::from_str(
            r#"{"b":[1,2.5,null,true,{}],"a":"caf\u00e9 \u2014 \ud83d\udc31 \"\\/\n\u007f\u0001\b\f"}"#,
        )
        .unwrap();
        assert_eq!(
            ordered_line(&value),
            r#"{"b": [1, 2.5, null, true, {}], "a": "caf\u00e9 \u2014 \ud83d\udc31 \"\\/\n\u007f\u0001\b\f"}"#
        );
    }

    proptest! {
        #[test]
        fn written_line_reads_back(text in any::<String>(), number in any::<i64>()) {
            let value = json!({"t": text, "n": [number]});
            let line = ordered_line(&value);
            prop_assert!(line.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        }
    }

    #[test]
    fn log_line_has_sorted_keys_and_ascii_only() {
        let row = json!({"b": [1, 2], "a": {"z": "é😀\u{7f}\"", "y": null}, "c": {}, "d": []});
        assert_eq!(
            sorted_line(&row),
            r#"{"a": {"y": null, "z": "\u00e9\ud83d\ude00\u007f\""}, "b": [1, 2], "c": {}, "d": []}"#
        );
    }

    #[test]
    fn only_an_ascii_document_escapes_letters() {
        assert_eq!(sorted_document(&json!({"b": [], "a": "é"})), "{\n  \"a\": \"é\",\n  \"b\": []\n}\n");
        assert_eq!(sorted_ascii_document(&json!({"a": ["é"]})), "{\n  \"a\": [\n    \"\\u00e9\"\n  ]\n}\n");
    }
}
