//! Evidence: what proves that an issue may be closed.
//!
//! A mission's `evidence.yaml` names checks; capturing runs them and keeps their output, verbatim;
//! drafting writes comments from it; verifying checks whether it is still valid. Nothing here posts
//! anything anywhere: a person does.
//!
//! | module | owns |
//! |---|---|
//! | [`plan`] | `evidence.yaml` |
//! | [`run`] | running one check, in a process group of its own |
//! | [`transcript`] | what is kept of a run, and whether it was edited |
//! | [`sources`] | the hash over what a check depends on |
//! | [`draft`] | the documents |

pub mod draft;
pub mod plan;
pub mod run;
pub mod sources;
pub mod transcript;

pub use plan::Check;
pub use transcript::Transcript;

/// The directory of evidence in a mission directory.
pub const DIRECTORY: &str = "evidence";
/// The directory of transcripts in it.
pub(crate) const TRANSCRIPTS: &str = "test-transcripts";
/// Git's attributes for them, in their directory.
pub(crate) const ATTRIBUTES: (&str, &str) = (
    ".gitattributes",
    "# Transcripts are compared byte for byte: a checkout changes no line ending.\n* -text\n",
);
