//! docs/daemon.md, followed by a newcomer: each command of its `console` blocks is typed in order, and what
//! the program prints is what the page shows. Ids, process ids, ports and times may differ; one that the
//! page shows twice has to be the same thing twice.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::World;
use testkit::browser::Browser;
use testkit::patience::PATIENCE;
use testkit::transcript::{TranscriptStep, steps, words};

#[test]
fn daemon_page_can_be_followed_from_nothing_to_nothing() {
    let page = fs::read_to_string(root().join("docs/daemon.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() >= 25, "{} steps", steps.len());
    let mut newcomer = Newcomer::new();
    for step in &steps {
        newcomer.follow(step);
    }
    for verb in ["start", "status", "stop"] {
        assert!(steps.iter().any(|step| step.command == format!("spec-kitty sync daemon {verb}")), "{verb}");
    }
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_unit_is_valid() {
    let program = env!("CARGO_BIN_EXE_spec-kitty");
    let unit = fs::read_to_string(root().join("contrib/systemd/spec-kitty.service")).unwrap();
    let installed = "%h/.cargo/bin/spec-kitty";
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("spec-kitty.service");
    fs::write(&copy, unit.replace(installed, program)).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["--user", "verify"]).arg(&copy).env("XDG_RUNTIME_DIR", directory.path());
    let output = verify.output().expect("systemd-analyze");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !printed.contains("spec-kitty.service"), "{printed}");
}

#[test]
fn service_manager_files_run_the_daemon() {
    let unit = fs::read_to_string(root().join("contrib/systemd/spec-kitty.service")).unwrap();
    assert!(unit.contains("\nExecStart=%h/.cargo/bin/spec-kitty sync daemon run\n"));
    let plist = fs::read_to_string(root().join("contrib/launchd/spec-kitty.plist")).unwrap();
    let mut open = Vec::new();
    for tag in plist.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        if tag.starts_with(['?', '!']) || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name.to_owned())),
            None => open.push(tag.split(' ').next().unwrap().to_owned()),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let words: Vec<&str> =
        plist.split("<string>").skip(1).filter_map(|rest| rest.split('<').next()).collect();
    assert_eq!(words[1..5], ["/usr/local/bin/spec-kitty", "sync", "daemon", "run"]);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// A user at a shell, in a home of their own.
struct Newcomer {
    world: World,
    browser: Browser,
    directory: PathBuf,
    version: String,
    /// What the page calls something, and what it is here.
    names: HashMap<String, String>,
    secret: String,
    server: Option<Child>,
}

impl Newcomer {
    fn new() -> Self {
        let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
        world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC").allow_daemon();
        let directory = world.user_home().to_owned();
        fs::write(directory.join("gitconfig"), "[user]\n\tname = You\n\temail = you@example.com\n").unwrap();
        let browser = Browser::install(&mut world);
        // A build that is no release names its commit wherever it names its version.
        let version = world.run(["--version"]).exits(0).stdout;
        let commit = version.split_once('(').and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
        let version = format!("{}+{commit}", env!("CARGO_PKG_VERSION"));
        Self {
            world,
            browser,
            directory,
            version,
            names: HashMap::new(),
            secret: String::new(),
            server: None,
        }
    }

    fn follow(&mut self, step: &TranscriptStep) {
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
        let program = Path::new(env!("CARGO_BIN_EXE_spec-kitty")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([program.to_owned()].into_iter().chain(std::env::split_paths(&path)));
        shell.env("PATH", path.unwrap()).current_dir(&self.directory);
        shell.arg("-c").arg(format!("exec 2>&1\n{command}")).stdout(Stdio::piped());
        shell
    }

    fn type_command(&mut self, command: &str) -> String {
        let child = self.shell(command).spawn().unwrap();
        if command.contains("auth login --server") {
            self.browser.approve("you@example.com", &self.secret);
        }
        let printed = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        if let Some((_, secret)) = printed.split_once("to approve a login: ") {
            self.secret = secret.trim().to_owned();
        }
        printed
    }

    /// The page names a port; here the system chooses one, and the first line tells which.
    fn start_server(&mut self, command: &str) -> String {
        let (words, _) = command.split_once("127.0.0.1:").expect("where it listens");
        let mut child = self.shell(&format!("exec {words}127.0.0.1:0 --quiet")).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.server = Some(child);
        line
    }

    /// A command of the page with the names of this run.
    fn translate(&self, command: &str) -> String {
        let token = |token: &str| self.names.get(token).cloned().unwrap_or_else(|| token.to_owned());
        words(command).into_iter().map(token).collect()
    }

    fn compare(&mut self, step: &TranscriptStep, printed: &str) -> Result<(), String> {
        let home = self.world.user_home().to_str().unwrap();
        let printed = printed.replace(home, "/home/you").replace(&self.version, env!("CARGO_PKG_VERSION"));
        let printed = without_other_homes(&printed);
        let shown: Vec<&str> = step.output.iter().map(String::as_str).collect();
        match match_lines(&shown, &printed, &self.names) {
            Some(names) => {
                self.names = names;
                Ok(())
            }
            None => Err(format!(
                "docs/daemon.md: $ {}\nshown:\n{}\nprinted:\n{}\n",
                step.command,
                shown.join("\n"),
                printed.join("\n")
            )),
        }
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
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

/// What differs from run to run: long numbers, and long words with digits in them.
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
