//! `server`: accounts and tokens of the ingest server.

use super::{fresh, prints, prints_text};
use testkit::World;

/// Data of a server with one account and one token.
fn account() -> World {
    let world = fresh();
    let add =
        ["server", "user", "add", "--data", "data", "--email", "dev@example.com", "--team", "team-PRIV-01"];
    world.run(add).exits(0);
    world
        .run(["server", "token", "add", "--data", "data", "--email", "dev@example.com", "--label", "ci"])
        .exits(0);
    world
}

#[test]
fn server_user() {
    let add = "server user add --data data --email dev@example.com --team team-PRIV-01";
    prints("server/user_add", fresh, add);
    prints("server/user_add_twice", account, add);
    prints("server/user_list_none", fresh, "server user list --data data");
    prints("server/user_list", account, "server user list --data data");
    prints("server/user_secret", account, "server user secret --data data --email dev@example.com");
    prints("server/user_secret_unknown", account, "server user secret --data data --email other@example.com");
}

#[test]
fn server_team() {
    let beside = || {
        let world = account();
        let add = ["server", "user", "add", "--data", "data", "--email", "bea@example.com"];
        world.run(add).exits(0);
        let join = ["server", "team", "add-member", "--team", "team-PRIV-01", "--email", "bea@example.com"];
        world.run(join.into_iter().chain(["--data", "data"])).exits(0);
        world
    };
    prints(
        "server/team_remove_member",
        beside,
        "server team remove-member --team team-PRIV-01 --email dev@example.com --data data",
    );
}

#[test]
fn server_restore() {
    let beside_a_page = || {
        let world = account();
        std::fs::write(world.work().join("page.html"), "<!doctype html>\n").unwrap();
        world
    };
    prints("server/restore_page", beside_a_page, "server restore --from page.html --replace --data data");
}

#[test]
fn server_token() {
    prints(
        "server/token_add",
        account,
        "server token add --data data --email dev@example.com --label laptop",
    );
    prints(
        "server/token_add_unknown",
        account,
        "server token add --data data --email other@example.com --label ci",
    );
    prints("server/token_list", account, "server token list --data data");
    let world = account();
    let listed = world.run(["server", "token", "list", "--data", "data", "--json"]).exits(0).json();
    let id = listed["results"][0]["id"].as_str().unwrap();
    prints_text("server/token_revoke", &world, &format!("server token revoke {id} --data data"));
    prints("server/token_revoke_unknown", account, "server token revoke 99 --data data");
}

#[test]
fn server_prune() {
    prints("server/prune_nothing", account, "server prune --older-than 30 --data data --dry-run");
    prints("server/prune_size_nothing", account, "server prune --keep-size 20GiB --yes --data data");
    prints("server/prune_without_a_limit", account, "server prune --data data");
    prints("server/prune_unusable_size", account, "server prune --keep-size 20GB --data data");
    prints("server/prune_unknown_team", account, "server prune --keep-size 1GiB --team nowhere --data data");
}

#[test]
fn server_start() {
    prints("server/start_no_data", fresh, "server");
    prints("server/start_tls_cert_alone", fresh, "server --data data --tls-cert cert.pem");
    prints(
        "server/start_tls_no_certificate",
        fresh,
        "server --data data --tls-cert cert.pem --tls-key key.pem",
    );
    prints("server/start_unusable_address", fresh, "server --data data --listen somewhere");
}
