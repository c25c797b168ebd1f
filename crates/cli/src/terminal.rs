//! Asking a person, and showing progress: only where there is a person to see it.

use crate::render;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt;
use std::io::{BufRead, IsTerminal};
use std::time::Duration;

/// Whether both ends of a question are a terminal.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && stderr_is_terminal()
}

/// Asks a yes-or-no question; anything but yes is no.
pub(crate) fn ask(question: &str) -> bool {
    render::prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Asks for a line of text; nothing when it is empty.
pub(crate) fn ask_text(question: &str) -> Option<String> {
    render::prompt(question);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
}

/// A progress bar on a terminal, silence elsewhere.
#[derive(Debug)]
pub(crate) struct ProgressDisplay {
    bar: ProgressBar,
}

/// While the total is unknown.
const LOOKING: &str = "{spinner} {msg}";
/// Once it is known.
const COUNTING: &str = "{msg} [{bar:30}] {pos}/{len} {rate}, {eta} left";

/// Style of a progress bar once the total is known; its rate is a whole number.
fn counting() -> Option<ProgressStyle> {
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _ = out.write_str(&per_second(state.per_sec()));
    };
    Some(ProgressStyle::with_template(COUNTING).ok()?.with_key("rate", rate))
}

/// A rate for people: `1234/s`, and one decimal below ten.
fn per_second(rate: f64) -> String {
    if rate < 9.95 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}

impl ProgressDisplay {
    /// A bar that counts `what`.
    pub(crate) fn new(what: &'static str, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(LOOKING) {
            bar.set_style(style);
        }
        bar.set_message(what);
        if !quiet && stderr_is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        Self { bar }
    }

    /// Prints lines beside the bar, from any thread.
    pub(crate) fn line_printer(&self) -> impl Fn(&str) + Send + use<> {
        let bar = self.bar.clone();
        move |line| bar.suspend(|| render::note(line))
    }

    /// `done` of `total`.
    pub(crate) fn show(&self, done: u64, total: u64) {
        if self.bar.length().is_none()
            && let Some(style) = counting()
        {
            self.bar.set_style(style);
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl queue::MigrationProgress for ProgressDisplay {
    fn migrated(&mut self, done: u64, total: u64) {
        self.show(done, total);
    }
}

fn stderr_is_terminal() -> bool {
    render::stderr_is_terminal()
}

#[cfg(test)]
mod tests {
    use super::{counting, per_second};

    #[test]
    fn rate_has_at_most_one_decimal() {
        assert_eq!(per_second(0.123_456), "0.1/s");
        assert_eq!(per_second(9.949), "9.9/s");
        assert_eq!(per_second(1234.5678), "1235/s");
        assert!(counting().is_some());
    }
}
