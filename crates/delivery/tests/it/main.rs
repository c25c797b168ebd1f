//! Requests of this crate, as a server on loopback receives them.

#![allow(unreachable_pub, missing_docs, reason = "modules of one test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot build its world has to stop")]

mod answers;
mod brake;
mod drain;
mod golden;
mod hostile;
mod http;
mod login;
mod machine;
mod meanwhile;
mod real_server;
mod refresh;
mod routes;
mod world;
