//! The control plane: authenticated requests of a command to the daemon of its home.
//!
//! HTTP/1.1 on 127.0.0.1, at a port that the system chose. The 0600 control file names it, and holds the
//! secret. docs/daemon.md describes the protocol for people; the modules here own it:
//!
//! | module | owns |
//! |---|---|
//! | [`proof`] | the secret, and the proof of each side that it has it |
//! | [`mod@file`] | the control file |
//! | [`http`] | requests and responses as bytes |
//! | [`wire`] | the documents |
//! | [`routes`] | routes and their authorisation |
//! | [`server`] | server |
//! | [`client`] | client |

pub mod client;
pub mod file;
pub mod http;
pub mod proof;
pub mod routes;
pub mod server;
pub mod wire;
