//! Ingest server for events and artifact bodies, self-hosted.
//!
//! Wire-compatible with earlier clients (contract section 13). All state is in one data directory, and
//! nothing else has to be installed; or it is in a PostgreSQL database, which several servers may share.
//!
//! | module | owns |
//! |---|---|
//! | `config` | start options, limits and lifetimes |
//! | `serve` | start, run and stop a server: as the whole process, on a thread, or without a network |
//! | `admin` | accounts, teams, sessions, machine tokens and projects, as an administrator changes them |
//! | `backup`, `doctor` | backup, restore and examination of a data directory |
//! | `store` | durable state: each operation once, over the SQL that the databases share |
//! | `ingest`, `dossier` | accept events and bodies |
//! | `receipts`, `inspect` | report what is stored |
//! | `sharing` | projects that other teams see |
//! | `connection`, `keyed_semaphores`, `origin` | fairness: concurrency limits for each account and address |
//! | `oauth`, `web` | logins and their pages |
//! | `tls` | certificate and key, and their renewal |
//! | `metrics`, `access_log` | counters and the request log |
//!
//! Invariants: an event is acknowledged after its commit, so a kill loses nothing acknowledged; every
//! submitted id is answered; an id is stored once per team; bytes are stored as sent; no input
//! panics, and every input is bounded before it is read.

mod access_log;
mod admin;
mod app;
mod backup;
mod config;
mod connection;
mod doctor;
mod dossier;
mod error;
mod identity;
mod ingest;
mod inspect;
mod keyed_semaphores;
mod metrics;
mod oauth;
mod operations;
mod origin;
mod receipts;
mod refusal;
mod request;
mod secret;
mod serve;
mod sharing;
mod store;
mod time;
mod tls;
mod web;

pub use admin::{
    Admin, CreatedAccount, IssuedCiToken, RemovedAccount, ReplacedSecret, SoleTeams, copy_store,
};
pub use backup::{BackupContents, back_up, restore};
pub use config::{Lifetimes, ServerConfig, ServerLimits};
pub use doctor::{ServerCheck, ServerFinding, examine};
pub use error::ServerError;
pub use origin::{Cidr, NotCidr, TrustedProxies};
pub use secret::{NoRandomness, SecretText};
pub use serve::{DetachedServer, Handle, Shutdown, serve};
pub use store::{
    Account, CiTokenRecord, CopiedTable, DatabaseUrl, EndedLogins, EndedMembership, Forgotten, Membership,
    NotDatabaseUrl, ProjectRecord, PrunePlan, Retention, SessionRecord, StoreError, StoreLocation,
    StoreOptions, StoredRows, TeamRecord,
};
pub use time::UnixMillis;
pub use tls::TlsFiles;
