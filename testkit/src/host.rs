//! Coherent hosts: a project, and an account that acts for it.

use crate::listener::CountingListener;
use crate::server::Server;
use crate::world::{USER, World};
use std::path::PathBuf;

/// The shared identity, logged in at a server that is never contacted.
pub fn logged_in(binary: impl Into<PathBuf>) -> World {
    let world = World::new(binary);
    world.log_in().init_project();
    world
}

/// Commands act as the user of a running server, with a token.
pub fn with_server(binary: impl Into<PathBuf>) -> (World, Server) {
    let mut world = World::new(binary);
    let server = Server::start(&world, USER);
    server.welcome(&mut world);
    world.init_project();
    (world, server)
}

/// The shared identity, logged in at a listener that counts every connection and does not answer.
pub fn with_listener(binary: impl Into<PathBuf>) -> (World, CountingListener) {
    let world = World::new(binary);
    let server = CountingListener::start();
    world.log_in_at(&server.url());
    world.init_project();
    (world, server)
}
