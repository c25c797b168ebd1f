//! `server`: accounts and tokens of the ingest server.

use super::{fresh, prints, prints_text};
use testkit::world::USER;
use testkit::{Server, World, browser};

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

/// The data of a running server, seen from the working directory.
const RUNNING: &str = "../home/server-data";

/// A server with two people, a team of both, a login and a delivered project.
fn with_people() -> (World, Server) {
    let mut world = World::new(crate::worlds::BINARY);
    let server = Server::start(&world, USER);
    world.init_project();
    let login = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, USER, &login);
    for line in [
        "user add --email bea@example.com",
        "team add --team editors --name Editors",
        "team add-member --team editors --email dev@example.com",
        "team add-member --team editors --email bea@example.com",
    ] {
        world.run(super::words(&format!("server {line} --data {RUNNING}"))).exits(0);
    }
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    (world, server)
}

#[test]
fn server_people() {
    let of = |line: &str| format!("server {line} --data {RUNNING}");
    prints("server/user_show", with_people, &of("user show --email dev@example.com"));
    prints("server/user_show_unknown", account, "server user show --email cy@example.com --data data");
    prints("server/user_disable", account, "server user disable --email dev@example.com --data data");
    prints("server/user_enable", account, "server user enable --email dev@example.com --data data");
    prints("server/user_remove_preview", with_people, &of("user remove --email bea@example.com"));
    prints(
        "server/user_remove",
        with_people,
        &of("user remove --email bea@example.com --to-team editors --yes"),
    );
    prints("server/team_add", account, "server team add --team editors --name Editors --data data");
    prints("server/team_list", with_people, &of("team list"));
    prints("server/team_rename", with_people, &of("team rename --team editors --name Writers"));
    prints(
        "server/team_add_member",
        account,
        "server team add-member --team team-PRIV-01 --email dev@example.com --data data",
    );
    prints("server/session_list_none", account, "server session list --data data");
    prints("server/session_list", with_people, &of("session list"));
    prints("server/session_revoke_unknown", account, "server session revoke unknown --data data");
    prints("server/session_revoke_email", with_people, &of("session revoke --email dev@example.com"));
    prints("server/project_list", with_people, &of("project list"));
}

#[test]
fn server_project_forget() {
    let forget = |world: &World, more: &str| {
        let listed =
            world.run(super::words(&format!("server project list --data {RUNNING} --json"))).exits(0).json();
        let project = &listed["results"][0];
        let [uuid, team] = ["project_uuid", "team"].map(|key| project[key].as_str().unwrap());
        format!("server project forget {uuid} --team {team} --data {RUNNING}{more}")
    };
    for (file, more) in [("server/project_forget_preview", ""), ("server/project_forget", " --yes")] {
        let printed = ["", " --json"].map(|form| {
            let (world, _server) = with_people();
            super::shown(&world, &format!("{}{form}", forget(&world, more)))
        });
        super::compare(file, &printed.join("\n"));
    }
}

#[test]
fn server_backup_and_doctor() {
    prints("server/backup", account, "server backup --to copy.db --data data");
    prints("server/backup_unknown", fresh, "server backup --to copy.db --data data");
    let backed_up = || {
        let world = account();
        world.run(["server", "backup", "--to", "copy.db", "--data", "data"]).exits(0);
        world
    };
    prints("server/restore", backed_up, "server restore --from copy.db --replace --data data");
    prints("server/doctor", account, "server doctor --data data");
    prints("server/doctor_backed_up", backed_up, "server doctor --data data");
}

#[test]
fn shared_projects() {
    prints("server/routes", with_people, "sync routes");
    prints("server/routes_fresh", fresh, "sync routes");
    prints("server/share", with_people, "sync share editors");
    prints("server/share_fresh", fresh, "sync share editors");
    let shared = || {
        let (world, server) = with_people();
        world.run(["sync", "share", "editors"]).exits(0);
        (world, server)
    };
    prints("server/routes_shared", shared, "sync routes");
    prints("server/unshare", shared, "sync unshare editors");
    prints("server/opt_out_delete_preview", with_people, "sync opt-out --delete-private-data");
    prints("server/opt_out_delete", with_people, "sync opt-out --delete-private-data --yes");
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
    let world = account();
    let listed = world.run(["server", "token", "list", "--data", "data", "--json"]).exits(0).json();
    let id = listed["results"][0]["id"].as_str().unwrap();
    prints_text("server/token_revoke_json", &world, &format!("server token revoke {id} --data data --json"));
    prints("server/token_revoke_unknown", account, "server token revoke 99 --data data");
}

#[test]
fn server_prune() {
    prints("server/prune_nothing", account, "server prune --older-than 30 --data data --dry-run");
    prints("server/prune_size_nothing", account, "server prune --keep-size 20GiB --yes --data data");
    prints("server/prune_without_a_limit", account, "server prune --data data");
    prints("server/prune_unusable_size", account, "server prune --keep-size 20GB --data data");
    let of_team = "server prune --older-than 30 --team team-PRIV-01 --data data --dry-run";
    prints("server/prune_team_nothing", account, of_team);
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
