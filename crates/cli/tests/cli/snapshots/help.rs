//! Help of the program, of each group and of each leaf verb.

use super::{fresh, prints_text};
use spec_kitty::args::Cli;

/// The words of every command but the root, and its file.
fn commands() -> Vec<(String, String)> {
    fn walk(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        for child in command.get_subcommands() {
            let path = format!("{path} {}", child.get_name()).trim_start().to_owned();
            found.push((path.clone(), format!("help/{}", path.replace([' ', '-'], "_"))));
            walk(child, &path, found);
        }
    }
    let mut found = vec![(String::new(), "help/root".to_owned())];
    walk(&Cli::tree(), "", &mut found);
    found
}

/// The files of this group.
pub(super) fn files() -> impl Iterator<Item = String> {
    commands().into_iter().map(|(_, file)| file)
}

#[test]
fn help_of_every_command() {
    let world = fresh();
    for (path, file) in commands() {
        prints_text(&file, &world, format!("{path} --help").trim_start());
    }
}
