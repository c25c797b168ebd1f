//! A user who follows a page: each command of its `console` blocks is typed in order, and what the program prints is
//! what the page shows. Ids, process ids, secrets and times may differ; one that the page shows twice has to be the same
//! thing twice.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::World;
use testkit::browser::Browser;
use testkit::patience::PATIENCE;
use testkit::transcript::{TranscriptStep, words};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A user at a shell, in a home of their own.
pub(crate) struct Newcomer {
    page: &'static str,
    email: String,
    /// Texts of the page, and what they are here.
    places: Vec<(String, String)>,
    world: World,
    browser: Browser,
    directory: PathBuf,
    version: String,
    /// Names on the page, and their values here.
    names: HashMap<String, String>,
    /// The secret of the first account.
    secret: String,
    servers: Vec<Child>,
}

/// The program that pages are followed with: another build than that of the tests, if this variable names one.
fn program() -> PathBuf {
    let named = std::env::var_os("SPEC_KITTY_TEST_PROGRAM");
    named.map_or_else(|| env!("CARGO_BIN_EXE_spec-kitty").into(), PathBuf::from)
}

impl Newcomer {
    pub(crate) fn new(page: &'static str, email: &str) -> Self {
        let mut world = World::new(program());
        world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC").allow_daemon();
        let directory = world.user_home().to_owned();
        let git = format!("[user]\n\tname = Newcomer\n\temail = {email}\n");
        fs::write(directory.join("gitconfig"), git).unwrap();
        let browser = Browser::install(&mut world);
        // A build that is no release names its commit wherever it names its version.
        let version = world.run(["--version"]).exits(0).stdout;
        let commit = version.split_once('(').and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
        let separator = if commit.is_empty() { "" } else { "+" };
        let version = format!("{}{separator}{commit}", env!("CARGO_PKG_VERSION"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut newcomer = Self {
            page,
            email: email.to_owned(),
            places: Vec::new(),
            world,
            browser,
            directory,
            version,
            names: HashMap::new(),
            secret: String::new(),
            servers: Vec::new(),
        };
        newcomer.place("127.0.0.1:8470", &format!("127.0.0.1:{port}"));
        newcomer
    }

    /// A text of the page that is another here.
    pub(crate) fn place(&mut self, on_page: &str, here: &str) -> &mut Self {
        // The newest first: it may contain an older one.
        self.places.insert(0, (on_page.to_owned(), here.to_owned()));
        self
    }

    pub(crate) fn user_home(&self) -> &Path {
        self.world.user_home()
    }

    /// Replaces the places in a text of the page by those of the test.
    pub(crate) fn here(&self, on_page: &str) -> String {
        self.places.iter().fold(on_page.to_owned(), |text, (page, here)| text.replace(page, here))
    }

    /// Stops the server that was started last.
    pub(crate) fn stop_server(&mut self) {
        let mut server = self.servers.pop().expect("a running server");
        assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
        assert!(server.wait().unwrap().success(), "an orderly stop");
    }

    pub(crate) fn follow(&mut self, step: &TranscriptStep) {
        let command = self.translate(&step.command);
        if let Some(assignment) = command.strip_prefix("export ") {
            let (name, value) = assignment.split_once('=').unwrap();
            self.world.set(name, value);
        } else if let Some(directory) = command.strip_prefix("cd ") {
            self.directory.push(directory);
        } else if let Some(command) = command.strip_suffix(" &") {
            let line = self.start_server(command);
            self.compare(step, &line).unwrap_or_else(|why| panic!("{why}"));
        } else {
            self.type_until_it_shows(step, &command);
        }
    }

    /// A command that only looks may look too early; all others are typed once.
    fn type_until_it_shows(&mut self, step: &TranscriptStep, command: &str) {
        let looks = command.ends_with(" status");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.type_command(command);
            match self.compare(step, &printed) {
                Ok(()) => return,
                Err(_) if looks && Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                Err(why) => panic!("{why}"),
            }
        }
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        self.world.dress(&mut shell);
        let program = program();
        let program = program.parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([program.to_owned()].into_iter().chain(std::env::split_paths(&path)));
        shell.env("PATH", path.unwrap()).current_dir(&self.directory);
        shell.arg("-c").arg(format!("exec 2>&1\n{command}")).stdout(Stdio::piped());
        shell
    }

    fn type_command(&mut self, command: &str) -> String {
        let child = self.shell(command).spawn().unwrap();
        if command.contains("auth login --server") {
            self.browser.approve(&self.email, &self.secret);
        }
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        if let Some((_, secret)) = printed.split_once("to approve a login: ")
            && self.secret.is_empty()
        {
            self.secret = secret.trim().to_owned();
        }
        printed
    }

    /// Starts a server, and returns its first line.
    pub(crate) fn start_server(&mut self, command: &str) -> String {
        let mut child = self.shell(&format!("exec {command}")).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.servers.push(child);
        line
    }

    /// A command of the page with the names of this run.
    fn translate(&self, command: &str) -> String {
        let token = |token: &str| self.names.get(token).cloned().unwrap_or_else(|| token.to_owned());
        words(&self.here(command)).into_iter().map(token).collect()
    }

    fn compare(&mut self, step: &TranscriptStep, printed: &str) -> Result<(), String> {
        let home = self.world.user_home().to_str().unwrap();
        let printed =
            self.places.iter().fold(printed.to_owned(), |text, (page, here)| text.replace(here, page));
        let printed = printed.replace(home, "/home/you");
        let printed = printed.replace(&self.version, env!("CARGO_PKG_VERSION"));
        let printed = without_other_homes(&printed);
        let shown: Vec<&str> = step.output.iter().map(String::as_str).collect();
        match match_lines(&shown, &printed, &self.names) {
            Some(names) => {
                self.names = names;
                Ok(())
            }
            None => Err(format!(
                "{}: $ {}\nshown:\n{}\nprinted:\n{}\n",
                self.page,
                step.command,
                shown.join("\n"),
                printed.join("\n")
            )),
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The lines without the findings about daemons of other homes, which the page does not know.
fn without_other_homes(printed: &str) -> Vec<&str> {
    let mut foreign = false;
    let is_ours = |line: &&str| {
        foreign = if line.starts_with("  ") { foreign } else { line.starts_with("foreign_daemon ") };
        !foreign
    };
    printed.lines().filter(is_ours).collect()
}

type Names = HashMap<String, String>;

/// The names after the lines matched. A line `...` matches any number of lines.
fn match_lines(shown: &[&str], printed: &[&str], names: &Names) -> Option<Names> {
    match (shown, printed) {
        ([], []) => Some(names.clone()),
        (["...", rest @ ..], _) => {
            (0..=printed.len()).find_map(|skipped| match_lines(rest, &printed[skipped..], names))
        }
        ([line, rest @ ..], [found, more @ ..]) => match_lines(rest, more, &match_line(line, found, names)?),
        ([], _) | (_, []) => None,
    }
}

/// The names after the line matched. A line that ends with `...` matches any rest.
fn match_line(shown: &str, printed: &str, names: &Names) -> Option<Names> {
    let (shown, printed) = (without_times(shown), without_times(printed));
    let (shown, continues) = match shown.strip_suffix("...") {
        Some(begin) => (begin.to_owned(), true),
        None => (shown, false),
    };
    let mut names = names.clone();
    let mut found = words(&printed).into_iter();
    for token in words(&shown) {
        let here = found.next()?;
        if !is_name(token) {
            if token != here {
                return None;
            }
        } else if names.entry(token.to_owned()).or_insert_with(|| here.to_owned()) != here {
            return None;
        }
    }
    (continues || found.next().is_none()).then_some(names)
}

/// Whether a token differs from run to run: long numbers, and long words with digits in them.
fn is_name(token: &str) -> bool {
    let digits = token.chars().filter(char::is_ascii_digit).count();
    (digits == token.len() && digits >= 4) || (digits > 0 && digits < token.len() && token.len() >= 5)
}

/// Every time matches any time.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let word = word.trim_end_matches([':', ')']);
        word.parse::<jiff::Timestamp>().is_ok()
    };
    let words = text.split_inclusive([' ', '=']);
    words
        .map(|word| {
            let bare = word.trim_end_matches([' ', '=']);
            if is_time(bare) {
                word.replace(bare.trim_end_matches([':', ')']), "<time>")
            } else {
                word.to_owned()
            }
        })
        .collect()
}
