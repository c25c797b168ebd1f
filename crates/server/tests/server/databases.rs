//! Databases for tests, in the cluster that `.ci/postgres` starts.

use server::DatabaseUrl;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_postgres::NoTls;

/// Address of a database whose user may create databases.
pub(crate) const DATABASE: &str = "SPEC_KITTY_TEST_DATABASE_URL";
/// The same by TLS.
pub(crate) const TLS_DATABASE: &str = "SPEC_KITTY_TEST_DATABASE_TLS_URL";

pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; `.ci/postgres start` sets it"))
}

/// Runs SQL on a database and returns the first column.
pub(crate) fn run(url: &str, sql: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let rows = client.simple_query(sql).await.expect("an answer");
        let first = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        };
        rows.into_iter().filter_map(first).collect()
    })
}

pub(crate) fn with_name(url: &str, name: &str) -> String {
    let (head, query) =
        url.split_once('?').map_or((url, String::new()), |(head, query)| (head, format!("?{query}")));
    let (server, _) = head.rsplit_once('/').expect("a database in the address");
    format!("{server}/{name}{query}")
}

/// Creates an empty database: its address, as a text.
pub(crate) fn new_database_text(variable: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    run(&address(DATABASE), &format!("CREATE DATABASE {name}"));
    with_name(&address(variable), &name)
}

/// Creates an empty database.
pub(crate) fn new_database(variable: &str) -> DatabaseUrl {
    new_database_text(variable).parse().expect("an address")
}
