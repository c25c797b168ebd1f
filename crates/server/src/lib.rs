//! Who receives: a self-hostable ingest server for events and artifact bodies.
//!
//! Wire-compatible with earlier clients (contract section 13). Everything it remembers lies in one
//! data directory; nothing else has to be installed.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | what a server is started with, its bounds and lifetimes |
//! | [`serve()`], [`Handle`] | running one: as the whole process, or beside other work |
//! | [`admin`] | accounts, approval secrets, machine tokens |
//! | [`store`] | what is remembered, behind a trait; SQLite |
//! | `ingest`, `dossier` | events and bodies on their way in |
//! | `connection`, `keyed_semaphores`, [`origin`] | fairness: places for each account and address |
//! | `oauth`, `web` | logins and the pages a person sees |
//! | [`metrics`], [`access_log`] | what operators see |
//!
//! Invariants: an event is acknowledged after its commit, so a kill loses nothing acknowledged; every
//! submitted id is answered; an id is stored once per team; bytes are stored as sent; no input
//! panics, and every input is bounded before it is read.

pub mod access_log;
pub mod admin;
mod app;
pub mod config;
mod connection;
mod dossier;
mod error;
mod identity;
mod ingest;
mod inspect;
mod keyed_semaphores;
pub mod metrics;
mod oauth;
mod operations;
pub mod origin;
mod platform;
mod receipts;
mod refusal;
mod request;
pub mod secret;
mod serve;
pub mod store;
pub mod time;
mod web;

pub use admin::Admin;
pub use config::{Lifetimes, ServerConfig, ServerLimits};
pub use error::ServerError;
pub use serve::{Handle, Shutdown, serve};
