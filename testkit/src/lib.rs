//! Development only: worlds for tests that run the real binary.
//!
//! | module | owns |
//! |---|---|
//! | [`server`] | a real ingest server |
//! | [`browser`] | the browser side of a login |
//! | [`daemon`] | a real daemon, and a fake daemon of the reference |
//! | [`events`] | events and bodies of the event contract |
//! | [`facts`] | facts of a coherent machine |
//! | [`host`] | worlds with a project and a logged-in account |
//! | [`world`] | a temporary home and repository, and commands run in them |
//! | [`transcript`] | pages whose commands are run |
//! | [`tree`] | the hash of a directory tree, side files included |
//! | [`mission`] | missions with documents and commits |
//! | [`listener`] | a listener that counts connections |
//! | [`owner`] | owner records of a reference daemon |
//! | [`patience`] | timeouts for other processes |
//! | [`project_store`] | project stores in the format of releases 3.2.x |
//! | [`recorded`] | recorded homes of the reference, under their recorded user |
//! | [`remedies`] | samples of every remedy |
//! | [`reference_queue`] | queue DBs in the format of the reference |
//! | [`schemas`] | JSON Schemas of `docs/schemas`, and documents judged by them |
//! | [`scripted`] | a server with scripted answers |
//!
//! The product does not depend on this crate and has no test hooks for it.

pub mod browser;
pub mod daemon;
pub mod events;
pub mod facts;
pub mod host;
pub mod listener;
pub mod mission;
pub mod owner;
pub mod patience;
pub mod project_store;
pub mod recorded;
pub mod reference_queue;
pub mod remedies;
pub mod schemas;
pub mod scripted;
pub mod server;
pub mod transcript;
pub mod tree;
pub mod world;

pub use server::{Server, ServerStore};
pub use world::{Run, World};

use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use std::path::PathBuf;

/// The recorded data beside the checkout. A test that reads it is `#[ignore = "needs the recorded data"]`;
/// `.ci/run` runs those, so its absence is a failure.
pub fn shared() -> PathBuf {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    assert!(path.is_dir(), "the recorded data is missing: {}", path.display());
    path
}

/// Bytes packed as a client packs them.
///
/// # Panics
/// Never: memory takes every byte.
#[allow(clippy::expect_used, reason = "memory takes every byte")]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packed bytes");
    encoder.finish().expect("packed bytes")
}

/// Random numbers that a seed repeats.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
