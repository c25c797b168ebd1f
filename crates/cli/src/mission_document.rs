//! The document of a mission command: its value, with the version of the program, which agents look
//! for, and the text that people read.

use crate::build;
use crate::report::Render;
use serde::Serialize;
use serde_json::Value;

/// A value with its text.
pub(crate) struct MissionDocument<T> {
    /// Its text.
    pub value: T,
    /// The same for people, ending with a newline.
    pub text: String,
}

impl<T: Serialize> Serialize for MissionDocument<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.value).map_err(serde::ser::Error::custom)?;
        if let Value::Object(map) = &mut value {
            map.entry("spec_kitty_version").or_insert_with(|| build::VERSION.into());
        }
        value.serialize(serializer)
    }
}

impl<T: Serialize> Render for MissionDocument<T> {
    fn text(&self) -> String {
        self.text.clone()
    }
}
