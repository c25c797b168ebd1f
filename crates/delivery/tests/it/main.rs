//! What this crate sends, seen from the other end of the wire.

#![allow(unreachable_pub, missing_docs, reason = "modules of one test binary")]

mod http;
mod login;
mod machine;
mod refresh;
mod stub;
