//! Development only: worlds for tests that run the real binary.
//!
//! | module | owns |
//! |---|---|
//! | [`server`] | a real ingest server |
//! | [`browser`] | what a person does in a browser |
//! | [`daemon`] | a real daemon, and a stand-in for one of the reference |
//! | [`host`] | worlds with a project and a logged-in account |
//! | [`world`] | a temporary home and repository, and commands run in them |
//! | [`transcript`] | pages whose commands are run |
//! | [`tree`] | the hash of a directory tree, side files included |
//! | [`mission`] | missions as a person writes them |
//! | [`listener`] | a server that counts who knocks |
//! | [`owner`] | owner records for a test to break |
//! | [`patience`] | how long a test waits for other processes |
//! | [`recorded`] | homes that the reference wrote, as the user they were written for |
//! | [`remedies`] | remedies of every kind |
//! | [`reference_queue`] | queue DBs as the reference leaves them |
//! | [`scripted`] | a server that answers by a script |
//!
//! Nothing here is in the product, and nothing in the product knows that it is tested.

pub mod browser;
pub mod daemon;
pub mod host;
pub mod listener;
pub mod mission;
pub mod owner;
pub mod patience;
pub mod recorded;
pub mod reference_queue;
pub mod remedies;
pub mod scripted;
pub mod server;
pub mod transcript;
pub mod tree;
pub mod world;

pub use server::Server;
pub use world::{Run, World};

use std::path::PathBuf;

/// The shared reference data beside this checkout, or `None`: then a test prints that it skipped.
pub fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    path.is_dir().then_some(path)
}
