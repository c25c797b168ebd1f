//! Fuzz targets: each takes any bytes, gives them to one parser of outside input, and checks what must hold of the
//! result. `cargo fuzz` runs them with inputs that it invents (`just fuzz TARGET`); `tests/corpora.rs` runs them with
//! the inputs that are kept in `corpus/`.
#![allow(clippy::disallowed_methods, reason = "development only: files of the fuzzer itself")]
#![allow(clippy::expect_used, reason = "a target that cannot write its file has to stop")]

mod documents;
mod files;
mod wire;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("answer", wire::answer),
    ("config", files::config),
    ("control", wire::control),
    ("credentials", files::credentials),
    ("event", wire::event),
    ("front_matter", documents::front_matter),
    ("git", files::git),
    ("log", documents::log),
    ("merge", files::merge),
    ("meta", documents::meta),
    ("owner_record", wire::owner_record),
    ("tasks", documents::tasks),
    ("url", wire::url),
];

/// Runs the target of this name.
///
/// # Panics
/// When there is no such target, or when what must hold does not.
pub fn run(name: &str, input: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target of this name");
    target(input);
}
