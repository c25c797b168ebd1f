//! The control plane: how a command reaches the daemon of its home, and how each knows the other.
//!
//! HTTP/1.1 on 127.0.0.1, at a port that the system chose. The 0600 control file names it, and holds the
//! secret. docs/daemon.md describes the protocol for people; the modules here own it:
//!
//! | module | owns |
//! |---|---|
//! | [`proof`] | the secret, and how each side proves that it knows it |
//! | [`mod@file`] | the control file |
//! | [`http`] | requests and responses as bytes |
//! | [`wire`] | the documents |
//! | [`routes`] | who may ask what |
//! | [`server`] | the listening side |
//! | [`client`] | the asking side |

pub mod client;
pub mod file;
pub mod http;
pub mod proof;
pub mod routes;
pub mod server;
pub mod wire;
