//! Every advice in the sources has a row here. The row follows the advice in the state that prints it, or lists the
//! words that name the person who can help or the exact change. Issue 8, item 15.
#![cfg(unix)]

use crate::worlds::{fresh, logged_in};
use std::os::unix::fs::PermissionsExt;
use testkit::World;

/// The expectation of a row about an advice.
#[derive(Clone, Copy)]
enum How {
    /// A scene brings the state about, reads the advice, follows it and sees the state cured.
    Cured(fn()),
    /// These words of the advice name who can help, or the exact thing to change.
    Names(&'static str),
    /// The text is made elsewhere: from this text in the same file, or in another listed file.
    From(&'static str),
}
use How::{Cured, From, Names};

/// File below `crates`, distinguishing words, and what is known of the advice.
const ROWS: &[(&str, &str, How)] = &[
    ("cli/src/diagnostics/boundary.rs", "= PARKED", From("`spec-kitty sync parked list` shows the reasons")),
    ("cli/src/diagnostics/daemon.rs", "end it with", Names("`{end}`")),
    ("cli/src/diagnostics/machine.rs", "= obstacle.advice()", From("system/src/disk.rs")),
    ("cli/src/diagnostics/machine.rs", "a readable file again", Names("{}")),
    ("cli/src/diagnostics/network.rs", "= later", From("ask its administrator")),
    ("cli/src/diagnostics/network.rs", "rows are kept here and sent", Names("administrator")),
    ("cli/src/diagnostics/project.rs", "= advice", From("correct {} by hand")),
    ("cli/src/diagnostics/project.rs", "`git init`", Cured(project_becomes_a_repository)),
    ("cli/src/diagnostics/project.rs", "`git status`", Names("`git status`")),
    ("cli/src/diagnostics/project.rs", "warns of each", Names("`spec-kitty agent status show`")),
    ("cli/src/diagnostics/project.rs", "once these are captured", Names("`spec-kitty sync doctor`")),
    ("cli/src/command/auth/doctor.rs", "= advice", From("make {} a file that this user may read and write")),
    ("cli/src/command/config/get.rs", "config set {} VALUE", Cured(unset_key_is_set)),
    ("cli/src/command/doctor/repair/mod.rs", "{first}, then run", Names("`spec-kitty doctor repair`")),
    ("cli/src/python_cli/mod.rs", "spec-kitty {counterpart}", Names("spec-kitty")),
    ("cli/src/python_cli/mod.rs", "without options sets up", Names("`spec-kitty init`")),
    ("cli/src/python_cli/mod.rs", "or unset", Names("{DEPTH}")),
    (
        "cli/src/python_cli/python.rs",
        "names another program",
        Names("`spec-kitty config set cli.python PATH`"),
    ),
    ("cli/src/python_cli/python.rs", "pipx install", Names("`pipx install spec-kitty-cli`")),
    ("cli/src/python_cli/python.rs", "not on the PATH", Names("`spec-kitty config set cli.python PATH`")),
    ("cli/src/command/sync/project_choice.rs", "name one by its uuid", Names("{}")),
    ("cli/src/command/sync/project_choice.rs", "run the command in its checkout", Names("checkout")),
    ("cli/src/command/sync/project_choice.rs", "known projects", Names("{}")),
    ("cli/src/command/sync/capture.rs", "available missions", Names("--history")),
    ("cli/src/command/server/session/revoke.rs", "session list", Names("`spec-kitty server session list`")),
    ("cli/src/command/server/project/forget.rs", "project list", Names("`spec-kitty server project list`")),
    ("cli/src/command/sync/sharing.rs", "deliver the project's events", Names("`spec-kitty sync now`")),
    ("cli/src/command/sync/migrate/project_stores.rs", "log in as", Names("{account}")),
    ("cli/src/command/sync/migrate/project_stores.rs", "has ended", Names("other program")),
    ("cli/src/command/sync/resend.rs", "capture --history MISSION", Names("--history MISSION")),
    ("cli/src/command/sync/export.rs", "= ELSEWHERE", From("cli/src/command/sync/migrate/from_scope.rs")),
    (
        "cli/src/command/sync/migrate/from_scope.rs",
        "= ELSEWHERE",
        From("lists the other queues of this home"),
    ),
    ("cli/src/command/sync/parked/mod.rs", "sync parked list", Names("`spec-kitty sync parked list`")),
    ("cli/src/command/server/token/revoke.rs", "server token list", Names("`spec-kitty server token list`")),
    ("cli/src/context.rs", "`spec-kitty init`", Cured(project_is_made)),
    ("contract/src/auth.rs", "to a valid token", Cured(token_is_unset)),
    ("contract/src/auth.rs", "private teamspace", Names("the server's administrator")),
    // The page of refusals: `failure_names.rs` compares each with what is printed, and follows it.
    ("contract/src/failure.rs", "`spec-kitty ", Names("`spec-kitty ")),
    (
        "contract/src/failure.rs",
        "contains every opt-out",
        Names("the line and column that the message names"),
    ),
    ("contract/src/failure.rs", "or move the state", Names("SPEC_KITTY_HOME")),
    ("contract/src/failure.rs", "if this user may run it", Names("`SPEC_KITTY_HOME`")),
    ("contract/src/owner_record.rs", "if this home is the copy", Names("cp -a {linked} {root}")),
    ("contract/src/server_url.rs", "the address of your server", Names("set {place}")),
    (
        "daemon/src/control/file.rs",
        "= contract::owner_record::unlink_advice",
        From("contract/src/owner_record.rs"),
    ),
    (
        "daemon/src/lifecycle/status.rs",
        "= contract::owner_record::unlink_advice",
        From("contract/src/owner_record.rs"),
    ),
    (
        "daemon/src/lifecycle/stop.rs",
        "= contract::owner_record::unlink_advice",
        From("contract/src/owner_record.rs"),
    ),
    (
        "daemon/src/start_failure.rs",
        "= contract::owner_record::unlink_advice",
        From("contract/src/owner_record.rs"),
    ),
    ("gate/src/owner.rs", "= contract::owner_record::unlink_advice", From("contract/src/owner_record.rs")),
    ("daemon/src/lifecycle/stop.rs", "then try again", Names("`spec-kitty sync daemon status`")),
    ("daemon/src/lifecycle/stop.rs", "continue it with", Names("`kill -CONT {pid}`")),
    ("daemon/src/lifecycle/stop.rs", "holds the owner lock", Names("process {pid}")),
    ("daemon/src/lifecycle/stop.rs", "end the process that has", Names("sync/daemon/owner.lock")),
    ("daemon/src/start_failure.rs", "= remediation_hint", From("remedy.hint()")),
    ("daemon/src/start_failure.rs", "to switch hosted sync on", Names("set {variable}=1")),
    ("delivery/src/classify/mod.rs", "= text.to_owned()", From("report the answer")),
    ("delivery/src/classify/mod.rs", "have one contract version", Names("spec-kitty")),
    ("delivery/src/classify/mod.rs", "access to this project", Names("the server's administrator")),
    ("delivery/src/classify/mod.rs", "private teamspace", Names("the server's administrator")),
    ("delivery/src/classify/mod.rs", "report the answer", Names("the server's administrator")),
    ("identity/src/config/mod.rs", "= advice", From("correct {shown} at {at}")),
    // Followed on file systems of their own: file_systems.rs.
    ("identity/src/file_remedy.rs", "then run `{then}`", Names("{home}")),
    ("system/src/disk.rs", "mount the file system of", Names("{}")),
    ("system/src/disk.rs", "writable for this user", Names("{}")),
    ("system/src/disk.rs", "free space on the file system of", Names("{}")),
    ("system/src/disk.rs", "remove files from the file system of", Names("{}")),
    ("identity/src/home.rs", "or move {old} to", Names("unset {}")),
    ("identity/src/privacy.rs", "= elsewhere", From("set {} to a private directory")),
    ("identity/src/privacy.rs", "= remedy", From("chmod 700 {}")),
    ("identity/src/privacy.rs", "chmod 700", Cured(home_is_made_private)),
    ("identity/src/privacy.rs", "to a private directory", Names("set {}")),
    ("identity/src/privacy.rs", "or {elsewhere}", Names("remove {name}")),
    ("system/src/private_file.rs", "out of the way", Names("{path}")),
    ("system/src/private_file.rs", "free space", Names("{path}")),
    ("system/src/private_file.rs", "mount the file system", Names("{path}")),
    ("system/src/private_file.rs", "writable for this user", Names("{path}")),
    ("identity/src/ci_token.rs", "to a valid token", Cured(token_is_unset)),
    // Followed in the states that print them: mission/tests/commands/coordination.
    ("mission/src/log_place.rs", "create the local branch", Names("`{}`, and merge the others")),
    ("mission/src/log_place.rs", "recreate the branch", Names("`git fetch REMOTE {}`")),
    ("mission/src/log_place.rs", "if the mission is merged", Names("`coordination_branch`")),
    ("mission/src/remedies.rs", "recreate the branch with", Names("`coordination_branch`")),
    ("mission/src/remedies.rs", "choose one of them", Names("`git branch --track BRANCH REMOTE/BRANCH`")),
    ("mission/src/remedies.rs", "end the program that moves", Names("`git log -g BRANCH`")),
    (
        "mission/src/remedies.rs",
        "check-prerequisites",
        Names("`spec-kitty agent mission check-prerequisites"),
    ),
    ("mission/src/remedies.rs", "right of both sides", Names("`git add`")),
    (
        "mission/src/remedies.rs",
        "the `status.json` it wrote",
        Names("`spec-kitty agent status materialize --mission MISSION`"),
    ),
    ("mission/src/remedies.rs", "write spec.md", Names("spec.md")),
    ("mission/src/remedies.rs", "## WP01 - Title", Names("tasks.md")),
    ("mission/src/remedies.rs", "of the circle", Names("the file that the message names")),
    ("mission/src/remedies.rs", "correct the dependencies", Names("wps.yaml")),
    ("mission/src/remedies.rs", "give the same `dependencies`", Names("wps.yaml")),
    ("mission/src/remedies.rs", "remove the canceled work package", Names("tasks.md")),
    ("mission/src/remedies.rs", "declare it in spec.md", Names("spec.md")),
    ("mission/src/remedies.rs", "name the files in `owned_files`", Names("`owned_files`")),
    ("mission/src/remedies.rs", "remove the path from", Names("`owned_files`")),
    ("mission/src/remedies.rs", "name the requirements", Names("`requirement_refs`")),
    ("mission/src/remedies.rs", "authoritative_surface", Names("`owned_files`")),
    ("mission/src/remedies.rs", "between the lanes", Names("tasks.md")),
    ("mission/src/remedies.rs", "the work package's file", Names("tasks/")),
    (
        "mission/src/remedies.rs",
        "agent tasks status",
        Names("`spec-kitty agent tasks status --mission MISSION`"),
    ),
    ("mission/src/error.rs", "shows the work packages", Names("`{status}`")),
    ("mission/src/remedies.rs", "- [ ] T001", Names("tasks.md")),
    (
        "mission/src/remedies.rs",
        "agent evidence capture",
        Names("`spec-kitty agent evidence capture --mission MISSION`"),
    ),
    ("mission/src/remedies.rs", "lists its decisions", Names("decisions/index.json")),
    ("mission/src/remedies.rs", "ask under another", Names("--input-key")),
    ("mission/src/remedies.rs", "open a new decision", Names("`spec-kitty agent decision open`")),
    ("mission/src/remedies.rs", "the question came up", Names("--step-id")),
    ("mission/src/remedies.rs", "work in that mission", Names("`spec-kitty agent mission create`")),
    ("mission/src/remedies.rs", "write meta.json", Names("meta.json")),
    ("mission/src/remedies.rs", "where the mission's log is", Names("other program")),
    ("mission/src/remedies.rs", "of that row by hand", Names("`at`")),
    (
        "mission/src/remedies.rs",
        "another program writes",
        Names("`spec-kitty agent status show --mission MISSION`"),
    ),
    ("mission/src/remedies.rs", "like WP01-title.md", Names("`work_package_id`")),
    ("mission/src/remedies.rs", "correct that argument", Names("`--help`")),
    ("mission/src/remedies.rs", "correct the file by hand", Names("`git log -p -- FILE`")),
    (
        "mission/src/remedies.rs",
        "keeps every readable row",
        Names("`spec-kitty doctor repair --mission MISSION`"),
    ),
    ("mission/src/remedies.rs", "give this user access", Names("the file that the message names")),
    ("mission/src/remedies.rs", "inside a project", Cured(project_is_made)),
    ("mission/src/remedies.rs", "available missions", Cured(mission_is_named)),
    ("mission/src/remedies.rs", "`git init`", Names("`git init`")),
    ("mission/src/remedies.rs", "line of the message", Names("`git config`")),
    ("mission/src/remedies.rs", "install git", Names("PATH")),
    ("mission/src/remedies.rs", "`git status` there", Names("`git status`")),
    ("mission/src/remedies.rs", "check out a branch", Cured(branch_is_checked_out)),
    ("mission/src/remedies.rs", "finish the operation", Names("`git status`")),
    ("mission/src/remedies.rs", "the message of git", Names("git")),
    ("mission/src/remedies.rs", "--note that gives", Names("--force")),
    ("mission/src/remedies.rs", "wait for the other command", Names("other command")),
    ("mission/src/remedies.rs", "from taking rows", Names("`spec-kitty sync doctor`")),
    ("mission/src/remedies.rs", "settles what is left", Names("this mission")),
    ("mission/src/remedies.rs", "--check ID", Names("`--check ID`")),
    ("mission/src/remedies.rs", "merge that branch", Names("--done-override-reason")),
    (
        "mission/src/remedies.rs",
        "finalize-tasks",
        Names("`spec-kitty agent mission finalize-tasks --mission MISSION`"),
    ),
    ("mission/src/remedies.rs", "assigned agent", Names("--force")),
    ("mission/src/remedies.rs", "review it again", Names("--skip-review-artifact-check")),
    ("mission/src/remedies.rs", "mark-status", Names("`spec-kitty agent tasks mark-status`")),
    ("mission/src/remedies.rs", "agent tasks move-task", Names("`spec-kitty agent tasks move-task`")),
    ("mission/src/transition.rs", "one of these lanes", Names("`spec-kitty agent status show`")),
    ("mission/src/transition.rs", "by the lanes between", Names("--force")),
    ("mission/src/transition.rs", "give both", Names("--actor NAME")),
    ("mission/src/transition.rs", "which keeps the review", Names("--force")),
    ("mission/src/transition.rs", "give what is missing", Names("--force")),
    ("mission/src/error.rs", "move it out of the way", Names("`git read-tree HEAD`")),
    ("mission/src/error.rs", "= crate::log::remedy", From("mission/src/log/damage.rs")),
    ("mission/src/error.rs", "= text", From("mission/src/remedies.rs")),
    ("mission/src/error.rs", "give this user access", Names("{}")),
    ("mission/src/log/damage.rs", "keeps every readable row", Names("`{repair}`")),
    ("mission/src/log/damage.rs", "a newer release", Names("correct the line")),
    ("preflight/src/others.rs", "has ended", Names("process")),
    (
        "preflight/src/others.rs",
        "= advice",
        From("log in to its account, then run `spec-kitty doctor repair`"),
    ),
    ("preflight/src/project_stores.rs", "= log_in_as", From("preflight/src/others.rs")),
    ("preflight/src/others.rs", "is the wrong address", Names("`{issuer}`")),
    ("preflight/src/others.rs", "keeps a copy", Names("`{export}`")),
    ("preflight/src/others.rs", "if it is yours", Names("`{from_scope}`")),
    ("preflight/src/others.rs", "unset {name}, then ", Names("{name}")),
    ("preflight/src/status.rs", "those missions", Names("`spec-kitty sync status`")),
    ("preflight/src/status.rs", "in each checkout", Names("`spec-kitty sync doctor`")),
    ("preflight/src/others.rs", "log in as {who}", Names("{who}")),
    ("queue/src/error.rs", "mount the file system of", Names("{}")),
    ("queue/src/error.rs", "writable for this user", Names("{}")),
    ("queue/src/error.rs", "free space", Names("{}")),
    ("queue/src/error.rs", "command again", Names("`spec-kitty` command again")),
    ("queue/src/schema.rs", "the release that wrote this queue", Names("spec-kitty")),
    ("server/src/error.rs", "= text", From("with --data, name a directory that this user may write")),
    ("server/src/error.rs", "of an existing server", Names("--data")),
    ("server/src/error.rs", "that `spec-kitty server backup` wrote", Names("--from")),
    ("mission/src/error.rs", "create a mission with", Names("`spec-kitty agent mission create SLUG`")),
    ("server/src/error.rs", "a directory that this user", Names("--data")),
    ("server/src/error.rs", "stop the other server", Names("--data")),
    ("server/src/error.rs", "restore it from a backup", Names("administrator")),
    ("server/src/error.rs", "the release that wrote", Names("spec-kitty")),
    ("server/src/error.rs", "PostgreSQL runs there", Names("`psql`")),
    ("server/src/error.rs", "an empty database", Names("`createdb`")),
    ("server/src/error.rs", "a PostgreSQL database with", Names("--database-url-file")),
    ("server/src/error.rs", "an address such as", Names("`postgres://user@host:5432/database`")),
    ("server/src/error.rs", "write the address into a file", Names("--database-url-file")),
    ("server/src/error.rs", "another port", Names("--listen")),
    ("server/src/error.rs", "behind a proxy", Names("--allow-public-address")),
    ("server/src/error.rs", "PEM files", Names("--tls-cert")),
    ("server/src/error.rs", "argument(path)", From("chmod o-rwx,g-w")),
    ("server/src/error.rs", "raise the limits", Names("administrator")),
    ("server/src/error.rs", "shows the accounts", Names("`spec-kitty server user list`")),
    ("server/src/error.rs", "create the account", Cured(account_is_created)),
    ("server/src/error.rs", "private teamspaces", Names("--team")),
    ("server/src/error.rs", "a file that does not exist", Names("--to")),
    ("server/src/error.rs", "keeps the present database", Names("--replace")),
    ("server/src/error.rs", "restore_advice", From("server/src/backup.rs")),
    ("server/src/error.rs", "an older backup", Names("--from")),
    ("server/src/backup.rs", "the last good backup", Names("--from {file} --replace")),
    ("server/src/error.rs", "shows the teams", Names("`spec-kitty server team list`")),
    ("server/src/error.rs", "otherwise choose another id", Names("`spec-kitty server team add-member`")),
    ("server/src/error.rs", "also has --to-team", Names("`spec-kitty server team add-member`")),
    ("server/src/error.rs", "a member to that team", Names("`spec-kitty server team add-member`")),
    ("server/src/error.rs", "user remove` again", Names("`spec-kitty server user remove`")),
    ("server/src/error.rs", "start the server again", Names("`spec-kitty server`")),
    ("server/src/error.rs", "that the message names", Names("--help")),
];

/// Words that name an actor or one thing, and not "the system" or "it".
fn is_exact(words: &str) -> bool {
    let actors = [
        "administrator",
        "process",
        "other command",
        "other program",
        "git",
        "PATH",
        "spec-kitty",
        "checkout",
        "this mission",
        "the line",
        "the file that the message names",
        "SPEC_KITTY_HOME",
    ];
    words.contains(['{', '`', '/'])
        || words.contains(".md")
        || words.contains(".json")
        || words.contains(".yaml")
        || words.starts_with("--")
        || actors.iter().any(|actor| words.contains(actor))
}

#[test]
fn every_advice_has_a_row_with_cure_or_contact() {
    let advices = crate::sources::advices();
    assert!(advices.len() > 90, "{}", advices.len());
    for (file, advice) in &advices {
        let row = ROWS.iter().find(|(of, words, _)| of == file && advice.contains(words));
        let (_, _, how) = row.unwrap_or_else(|| panic!("{file}: no row for {advice:?}"));
        match how {
            Names(words) => {
                assert!(
                    advice.contains(words) && is_exact(words),
                    "{file}: {advice:?} names no actor: {words}"
                );
            }
            From(other) => {
                let listed = ROWS.iter().any(|(of, _, _)| of == other);
                assert!(
                    listed || crate::sources::read(file).contains(other),
                    "{file}: {advice:?}: no {other:?}"
                );
            }
            Cured(_) => {}
        }
    }
    for (file, words, _) in ROWS {
        let used = advices.iter().any(|(of, advice)| of == file && advice.contains(words));
        let written = crate::sources::read(file).contains(words);
        assert!(used || written, "{file}: no text contains {words:?}");
    }
}

#[test]
fn advices_that_can_be_followed_cure_what_printed_them() {
    let mut done: Vec<fn()> = Vec::new();
    for (_, _, how) in ROWS {
        if let Cured(scene) = how
            && !done.iter().any(|known| std::ptr::fn_addr_eq(*known, *scene))
        {
            done.push(*scene);
            scene();
        }
    }
}

/// The command prints this on one of its streams.
#[track_caller]
fn prints(world: &World, argv: &[&str], words: &str) {
    let run = world.run(argv);
    let text = format!("{}{}", run.stdout, run.stderr);
    assert!(run.code != Some(0) && text.contains(words), "{argv:?} does not print {words}: {text}");
}

const CREATE: [&str; 4] = ["agent", "mission", "create", "one"];

fn project_is_made() {
    let world = fresh();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", testkit::world::SERVER)).log_in();
    prints(&world, &CREATE, "`spec-kitty init` makes one");
    world.init_project();
    std::fs::remove_dir(world.work().join(".kittify")).unwrap();
    world.run(["init"]).exits(0);
    world.run(CREATE).exits(0);
}

fn project_becomes_a_repository() {
    let world = logged_in();
    std::fs::remove_dir_all(world.work().join(".git")).unwrap();
    let doctor = ["sync", "doctor", "--offline"];
    prints(&world, &doctor, "run `git init` in the project root");
    world.git(["init", "--quiet"]);
    assert!(!world.run(doctor).stdout.contains("not_a_git_repository"));
}

fn unset_key_is_set() {
    let world = logged_in();
    world.write_config("");
    let get = ["config", "get", "sync.server_url"];
    prints(&world, &get, "spec-kitty config set sync.server_url VALUE");
    world.run(["config", "set", "sync.server_url", testkit::world::SERVER]).exits(0);
    world.run(get).exits(0);
}

fn token_is_unset() {
    let mut world = logged_in();
    world.set("SPEC_KITTY_TOKEN", "no token");
    let check = ["sync", "status", "--check"];
    prints(&world, &check, "set SPEC_KITTY_TOKEN to a valid token, or unset it");
    world.unset("SPEC_KITTY_TOKEN");
    world.run(check).exits(0);
}

fn home_is_made_private() {
    let world = logged_in();
    std::fs::set_permissions(world.root(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let check = ["sync", "status", "--check"];
    let root = world.root();
    prints(&world, &check, &format!("chmod 700 {}", root.display()));
    assert_eq!(world.run_program("chmod", ["700", root.to_str().unwrap()]).code, Some(0));
    world.run(check).exits(0);
}

fn branch_is_checked_out() {
    let world = logged_in();
    world.git(["checkout", "--quiet", "--detach"]);
    prints(&world, &CREATE, "`git switch <branch>`");
    world.git(["switch", "--quiet", "main"]);
    world.run(CREATE).exits(0);
}

fn mission_is_named() {
    let world = logged_in();
    let created = world.run(CREATE.iter().chain(&["--json"])).exits(0).json();
    let list = |mission| ["agent", "tasks", "list", "--mission", mission];
    prints(&world, &list("none-of-them"), "pass --mission with one of the available missions");
    world.run(list(created["mission_slug"].as_str().unwrap())).exits(0);
}

fn account_is_created() {
    let world = logged_in();
    let data = world.root().join("data");
    let email = ["--email", "dev@example.com", "--data", data.to_str().unwrap()];
    let secret: Vec<_> = ["server", "user", "secret"].into_iter().chain(email).collect();
    let add: Vec<_> = ["server", "user", "add"].into_iter().chain(email).collect();
    world
        .run(["server", "user", "add", "--email", "a@example.com", "--data", data.to_str().unwrap()])
        .exits(0);
    prints(&world, &secret, "create the account with `spec-kitty server user add`");
    world.run(add).exits(0);
    world.run(secret).exits(0);
}
