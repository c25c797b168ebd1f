//! The goals of docs/performance.md: each with a yardstick of the same run, written to the page and its plot.
//!
//! ```text
//! cargo bench -p spec-kitty --bench performance                    everything; writes docs/performance.md and .svg
//! cargo bench -p spec-kitty --bench performance -- drain [part]    prints these parts only
//! cargo bench -p spec-kitty --bench performance -- instructions    compares with .ci/instruction-counts
//! ```
//!
//! Only instruction counts are asserted: they hardly depend on the machine's load.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops when it cannot run"
)]

mod commands;
mod drain;
mod instructions;
mod verbs;

use benches::report::PerformanceReport;
use std::path::PathBuf;
use std::process::ExitCode;

const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

/// A part of the run.
type Part = (&'static str, fn(&mut PerformanceReport));

const PARTS: [Part; 11] = [
    ("instructions", instructions::counts),
    ("status", commands::status),
    ("emit", commands::emit),
    ("flushes", commands::flushes),
    ("history", commands::history),
    ("migration", commands::migration),
    ("drain", drain::one_project),
    ("projects", drain::many_projects),
    ("single", drain::single_events),
    ("verbs", verbs::verbs),
    ("binary", commands::binary),
];

fn main() -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if asked == ["instructions"] {
        return instructions::check();
    }
    let mut report = PerformanceReport::default();
    for (name, part) in PARTS {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            part(&mut report);
        }
    }
    println!("{}\n{}", report.table(), report.growth());
    if asked.is_empty() {
        write(&report);
    }
    ExitCode::SUCCESS
}

/// Replaces the part of the page between its two marks, and the plot.
fn write(report: &PerformanceReport) {
    const MARKS: [&str; 2] = ["<!-- measured -->\n", "<!-- end -->\n"];
    let docs = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"));
    let page = docs.join("performance.md");
    let text = std::fs::read_to_string(&page).expect("the page");
    let (head, rest) = text.split_once(MARKS[0]).expect("the first mark");
    let (_, tail) = rest.split_once(MARKS[1]).expect("the second mark");
    let measured = format!("{}\n{}", report.table(), report.growth());
    let text = format!("{head}{}\n{measured}\n{}{tail}", MARKS[0], MARKS[1]);
    std::fs::write(&page, text).expect("the page is written");
    std::fs::write(docs.join("performance.svg"), report.svg()).expect("the plot is written");
}
