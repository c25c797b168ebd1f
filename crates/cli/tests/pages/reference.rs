//! docs/reference/commands.md is the help of every command. `INSTA_UPDATE=always` writes the page again, as it does the
//! snapshots.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use testkit::World;

#[test]
fn commands_page_is_the_help_of_every_command() {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.set("COLUMNS", "100");
    let inventory = world.run(["doctor", "paths", "--json"]).exits(0).json();
    let ours = inventory["paths"].as_array().unwrap().iter().filter(|path| path["runs_in"].is_null());
    // The verb of an entry, without the option that changes its class.
    let verbs: BTreeSet<&str> = ours
        .filter_map(|path| path["verb"].as_str())
        .map(|verb| verb.split(" --").next().unwrap_or(verb))
        .collect();
    assert!(verbs.len() > 60, "{}", verbs.len());

    let mut page = String::from(
        "# Commands\n\nThe help of every command, as the program prints it. A test writes and compares this page \
         (`crates/cli/tests/pages/reference.rs`).\n",
    );
    let mut write = |title: &str, arguments: Vec<&str>| {
        let help = world.run(arguments).exits(0).stdout;
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    };
    write("spec-kitty", vec!["--help"]);
    for verb in verbs {
        write(verb, verb.split(' ').chain(["--help"]).collect());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/commands.md");
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(written == page, "{} differs from the help of the commands: {differs:?}", path.display());
}
