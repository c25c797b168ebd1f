//! The dossier of a mission: which artifacts its directory holds, with which content, and which of
//! them are sent as bodies.
//!
//! Reads the mission directory and nothing else; decides, never captures. Symbolic links are not
//! followed: a link in a cloned repository must not make this program read, hash or upload a file
//! outside of the mission.
//!
//! | module | owns |
//! |---|---|
//! | [`manifest`] | what each mission type expects, and how an artifact is classed and named |
//! | [`index`] | walking and hashing |
//! | [`body`] | which artifacts are sent, and why the others are not |

pub mod body;
pub mod index;
pub mod manifest;

pub use body::{BodyVerdict, SkipReason, read_body_verdict};
pub use index::{Appended, Artifact, Dossier, Overlay, read_dossier};
pub(crate) use manifest::MANIFEST_VERSION;
pub use manifest::{ArtifactClass, Manifest};
