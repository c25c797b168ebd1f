//! The hosted-sync switch: whether anything may be captured or sent (contract section 1).
//!
//! [`decide`] is the rule; `identity::read_switch` reads the two places and applies it.

use crate::scope::trim;

/// The environment variable.
pub const VARIABLE: &str = "SPEC_KITTY_ENABLE_SAAS_SYNC";

/// The key in config.toml.
pub const KEY: &str = "sync.hosted";

/// The start of the line for a command that has nothing to do because the switch is off.
pub const OFF_MESSAGE: &str =
    "Hosted SaaS sync is not enabled on this machine. Set `SPEC_KITTY_ENABLE_SAAS_SYNC=1` to opt in.";

/// The stderr line of a producing command that captures nothing because the switch is off.
pub const NOTHING_CAPTURED: &str = "hosted sync is off: nothing captured";

/// Source of the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The variable is set, perhaps to an empty value.
    Variable,
    /// `[sync] hosted` in config.toml.
    Config,
    /// Neither: the switch is off.
    Default,
    /// The variable is not set and config.toml cannot be read. The switch counts as on, so that the gate
    /// judges and refuses with `config_unreadable`; nothing is captured or sent.
    Unreadable,
}

/// The hosted-sync switch and what decided it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Whether hosted sync is on.
    pub on: bool,
    /// Its source.
    pub decider: Decider,
}

impl Switch {
    /// The message of a command that does nothing because the switch is off: how to switch it on.
    pub fn off_message(self) -> String {
        match self.decider {
            // The variable wins over the file, so that the file cannot switch it on.
            Decider::Variable | Decider::Unreadable => OFF_MESSAGE.to_owned(),
            Decider::Config | Decider::Default => {
                format!("{OFF_MESSAGE} For good: `spec-kitty config set {KEY} true`.")
            }
        }
    }

    /// The stderr line of a producing command: none when hosted sync is on, or off by an explicit decision.
    pub fn capture_note(self) -> Option<&'static str> {
        (!self.on && self.decider == Decider::Default).then_some(NOTHING_CAPTURED)
    }
}

/// The rule: the variable if set, else the configuration, else off. `hosted` is an error when config.toml
/// cannot be read.
pub fn decide<E>(variable: Option<&str>, hosted: impl FnOnce() -> Result<Option<bool>, E>) -> Switch {
    if let Some(value) = variable {
        return Switch { on: is_on(Some(value)), decider: Decider::Variable };
    }
    match hosted() {
        Ok(Some(on)) => Switch { on, decider: Decider::Config },
        Ok(None) => Switch { on: false, decider: Decider::Default },
        Err(_) => Switch { on: true, decider: Decider::Unreadable },
    }
}

/// Whether a variable's value means yes: `1`, `true`, `yes` or `on`, trimmed, in any case.
pub fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        let value = trim(value).to_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes" | "on")
    })
}

#[cfg(test)]
mod tests {
    use super::{Decider, NOTHING_CAPTURED, Switch, decide, is_on};

    #[test]
    fn only_the_four_words_turn_it_on() {
        for on in ["1", "true", "YES", " on ", "True\n"] {
            assert!(is_on(Some(on)), "{on:?}");
        }
        for off in ["", "0", "2", "enabled", "y", "tru e"] {
            assert!(!is_on(Some(off)), "{off:?}");
        }
        assert!(!is_on(None));
    }

    #[test]
    fn variable_wins_over_config_and_default_is_off() {
        let decide = |variable, hosted: Result<_, ()>| decide(variable, || hosted);
        let switch = |on, decider| Switch { on, decider };
        for hosted in [Ok(None), Ok(Some(true)), Ok(Some(false)), Err(())] {
            assert_eq!(decide(Some("1"), hosted), switch(true, Decider::Variable));
            assert_eq!(decide(Some("0"), hosted), switch(false, Decider::Variable));
            assert_eq!(decide(Some(""), hosted), switch(false, Decider::Variable));
        }
        assert_eq!(decide(None, Ok(Some(true))), switch(true, Decider::Config));
        assert_eq!(decide(None, Ok(Some(false))), switch(false, Decider::Config));
        assert_eq!(decide(None, Ok(None)), switch(false, Decider::Default));
        assert!(decide(None, Err(())).on, "an unreadable configuration is left to the gate");
    }

    #[test]
    fn capture_note_only_without_an_explicit_decision() {
        for decider in [Decider::Variable, Decider::Config, Decider::Unreadable] {
            assert_eq!(Switch { on: false, decider }.capture_note(), None);
        }
        assert_eq!(Switch { on: false, decider: Decider::Default }.capture_note(), Some(NOTHING_CAPTURED));
        assert_eq!(Switch { on: true, decider: Decider::Default }.capture_note(), None);
    }
}
