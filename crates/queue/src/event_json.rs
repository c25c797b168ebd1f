//! The text form of an event: JSON as Python's `json.dumps` writes it with its defaults, which is what
//! every earlier release stored and compares. Keys keep their order, separators are `", "` and `": "`,
//! everything outside ASCII is a `\uXXXX` escape.

use serde_json::Value;
use std::fmt::Write as _;

/// Renders `value`.
pub(crate) fn render(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    write_value(value, &mut out);
    out
}

/// Renders an object.
pub(crate) fn render_object(object: &serde_json::Map<String, Value>) -> String {
    let mut out = String::with_capacity(512);
    write_object(object, &mut out);
    out
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => write_object(object, out),
    }
}

fn write_object(object: &serde_json::Map<String, Value>, out: &mut String) {
    out.push('{');
    for (position, (key, value)) in object.iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write_string(key, out);
        out.push_str(": ");
        write_value(value, out);
    }
    out.push('}');
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_what_python_writes() {
        let value: Value = serde_json::from_str(
            r#"{"b":[1,2.5,null,true,{}],"a":"caf\u00e9 \u2014 \ud83d\udc31 \"\\/\n\u007f\u0001"}"#,
        )
        .expect("json");
        assert_eq!(
            render(&value),
            r#"{"b": [1, 2.5, null, true, {}], "a": "caf\u00e9 \u2014 \ud83d\udc31 \"\\/\n\u007f\u0001"}"#
        );
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(text in any::<String>(), number in any::<i64>()) {
            let value = serde_json::json!({"t": text, "n": [number]});
            let rendered = render(&value);
            prop_assert!(rendered.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&rendered).expect("json"), value);
        }
    }
}
