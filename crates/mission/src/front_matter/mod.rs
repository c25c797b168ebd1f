//! The front matter of work package files: YAML between `---` lines.
//!
//! | module | owns |
//! |---|---|
//! | [`reader`] | splitting, parsing with budgets, the typed view |
//! | [`mod@edit`] | replacing single keys in place |
//!
//! Invariant: an edit changes the lines of its keys and nothing else: unknown keys, comments, quotes,
//! order and the body stay byte for byte. (The reference rewrites the whole block and loses them.)

pub mod edit;
pub mod reader;

pub use edit::{Scalar, edit};
pub use reader::{Heading, WorkPackage, read_work_package};
pub(crate) use reader::{read_heading, read_title};
