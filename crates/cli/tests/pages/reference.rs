//! The pages of docs/reference that the program prints: the help of every command, and topics that are made from the
//! code. `INSTA_UPDATE=always` writes them again, as it does the snapshots.

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
    compare("commands", &page);
}

#[test]
fn made_topics_are_pages_of_the_reference() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    for topic in ["refusals", "exit-codes"] {
        compare(topic, &world.run(["help", topic]).exits(0).stdout);
    }
}

#[track_caller]
fn compare(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/reference/{name}.md"));
    if std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(written == page, "{} differs from what the program prints: {differs:?}", path.display());
}
