//! The hosted-sync switch: the one place that decides whether anything may be captured or sent
//! (requirement C-002).

use crate::scope::trim;

/// The environment variable.
pub const VARIABLE: &str = "SPEC_KITTY_ENABLE_SAAS_SYNC";

/// What a command says, once, when it has nothing to do because the switch is off.
pub const OFF_MESSAGE: &str =
    "Hosted SaaS sync is not enabled on this machine. Set `SPEC_KITTY_ENABLE_SAAS_SYNC=1` to opt in.";

/// Whether the variable's value turns hosted sync on: `1`, `true`, `yes` or `on`, trimmed, in any case.
pub fn is_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| {
        let value = trim(value).to_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes" | "on")
    })
}

#[cfg(test)]
mod tests {
    use super::is_on;

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
}
