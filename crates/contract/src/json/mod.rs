//! The two JSON dialects: strict for what this program and the protocol write, lenient for what
//! Python wrote.
//!
//! | item | reads or writes |
//! |---|---|
//! | [`Node`] | strict: one value, borrowed from its text, with no key twice |
//! | [`read_object`] | strict: one object of the protocol into a type |
//! | [`members`] | lenient: the members of an object, up to where its syntax ends |
//! | [`ordered_line`], [`sorted_line`], [`sorted_document`], ... | text as Python's `json.dumps` lays it out |

mod document;
mod lenient;
mod node;
mod write;

pub use document::read_object;
pub use lenient::{Inside, Member, lenient_text, members};
pub use node::Node;
pub use write::{
    ordered_ascii_document, ordered_line, sorted, sorted_ascii_document, sorted_document, sorted_line,
};
