//! A real server on a loopback port, asked over real sockets.

// Some tests print what they counted.
#![allow(clippy::print_stdout)]

mod backup;
mod bodies;
mod browser;
mod client;
mod databases;
mod durability;
mod earlier_client;
mod ended_credentials;
mod fairness;
mod hostile;
mod ingest;
mod login;
mod machines;
mod missions;
mod openapi;
mod operations;
mod people;
mod postgres;
mod prune;
mod real_browser;
mod receipts;
mod recorded;
mod recorded_327;
mod scoping;
mod sign_in;
mod story;
mod tls;
mod world;
