//! The sandbox of the quickstart: its directory, its environment, its server, and how commands are run
//! and shown in it.

use super::browser;
use super::failure::failed;
use crate::error::{CliError, chain};
use crate::render;
use contract::ExitCode;
use identity::{Environment, Home, SessionStore};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use system::Machine;

/// Time after which the quickstart gives up on a step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Interval at which an event in another process is polled.
const LOOK: Duration = Duration::from_millis(50);

/// The sandbox.
#[derive(Debug)]
pub(crate) struct QuickstartSandbox {
    directory: PathBuf,
    executable: PathBuf,
    server: Option<Child>,
    address: String,
    steps: u32,
    interrupted: Arc<AtomicBool>,
}

/// Output of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl QuickstartSandbox {
    /// Builds the directories.
    pub(crate) fn new(directory: &Path) -> Result<Self, CliError> {
        let executable = std::env::current_exe()
            .map_err(|error| failed(format!("cannot find this executable: {error}")))?;
        for name in ["home", "repo", "server"] {
            fs_err::create_dir_all(directory.join(name)).map_err(|error| failed(chain(&error)))?;
        }
        let directory = directory.canonicalize().map_err(|error| failed(chain(&error)))?;
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| failed(chain(&error)))?;
        }
        Ok(Self { directory, executable, server: None, address: String::new(), steps: 0, interrupted })
    }

    /// A path in the sandbox.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.join(relative)
    }

    /// Address of the server.
    pub(crate) fn server_address(&self) -> &str {
        &self.address
    }

    /// Prints the title of the next step.
    pub(crate) fn title(&mut self, title: &str) {
        self.steps += 1;
        render::print_text(&format!("\n{}. {title}\n", self.steps));
    }

    /// Prints a claim that holds; ends the quickstart otherwise.
    pub(crate) fn verify(&self, claim: &str, holds: bool) -> Result<(), CliError> {
        if holds {
            render::print_text(&indented(&format!("verified: {claim}")));
            Ok(())
        } else {
            Err(failed(format!("verification failed: {claim}")))
        }
    }

    /// Runs a command and shows what it prints.
    pub(crate) fn show(&self, argv: &[&str], exit: i32) -> Result<(), CliError> {
        self.show_output(argv, exit).map(drop)
    }

    /// Runs a command, shows what it prints and gives it back.
    pub(crate) fn show_output(&self, argv: &[&str], exit: i32) -> Result<CommandOutput, CliError> {
        announce(argv);
        let output = self.expect(argv, exit)?;
        render::print_text(&indented(&output.stdout));
        render::print_text(&indented(&output.stderr));
        Ok(output)
    }

    /// Runs a command and reads the one JSON document it prints.
    pub(crate) fn document(&self, argv: &[&str], exit: i32) -> Result<Value, CliError> {
        announce(argv);
        let output = self.expect(argv, exit)?;
        parse(argv, &output)
    }

    /// Waits until a document satisfies the condition; returns the last one.
    pub(crate) fn await_document(
        &self,
        argv: &[&str],
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value, CliError> {
        announce(argv);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.expect(argv, 0)?;
            let document = parse(argv, &output)?;
            if holds(&document) || Instant::now() > deadline {
                return Ok(document);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn expect(&self, argv: &[&str], exit: i32) -> Result<CommandOutput, CliError> {
        self.check_interrupted()?;
        let mut command = self.command();
        command.args(argv).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().map_err(|error| failed(chain(&error)))?;
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        self.check_interrupted()?;
        if output.status.code() == Some(exit) {
            return Ok(CommandOutput { stdout, stderr });
        }
        let error =
            failed(format!("`spec-kitty {}` ended with {}, not {exit}", argv.join(" "), output.status));
        Err(stdout.lines().chain(stderr.lines()).fold(error, CliError::evidence))
    }

    /// An error once the user has interrupted: what was started is then ended like after any other.
    fn check_interrupted(&self) -> Result<(), CliError> {
        if self.interrupted.load(Ordering::SeqCst) {
            return Err(CliError::new("INTERRUPTED", ExitCode::Interrupted, "interrupted"));
        }
        Ok(())
    }

    /// A command of this very binary in this sandbox: its own home, nothing of the user's.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        self.set_environment(&mut command);
        command
            .env(contract::switch::VARIABLE, "1")
            // The quickstart starts its daemon by a visible command.
            .env("SPEC_KITTY_NO_DAEMON", "1")
            .current_dir(self.path("repo"))
            .stdin(Stdio::null());
        command
    }

    /// Gives a process the home of this sandbox, and removes the user's settings: git configuration with identities,
    /// hooks and signatures, and our own variables but the log filter.
    fn set_environment(&self, command: &mut Command) {
        let foreign = |name: &str| {
            ["GIT_", "SPEC_KITTY_", "SPECIFY_", "XDG_"].iter().any(|prefix| name.starts_with(prefix))
                || name == "CI"
        };
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(foreign) {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("USERPROFILE", self.path("home"))
            .env("LOCALAPPDATA", self.path("home").join("AppData").join("Local"))
            .env("GIT_CONFIG_NOSYSTEM", "1");
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, argv: &[&str]) -> Result<(), CliError> {
        render::print_text(&format!("$ git {}\n", shown(argv)));
        self.check_interrupted()?;
        let mut command = Command::new("git");
        command.args(argv).current_dir(self.path("repo")).stdin(Stdio::null());
        self.set_environment(&mut command);
        let output = command.output().map_err(|error| failed(format!("git could not be run: {error}")))?;
        if output.status.success() {
            return Ok(());
        }
        let error = failed(format!("`git {}` failed", argv.join(" ")));
        Err(String::from_utf8_lossy(&output.stderr).lines().fold(error, CliError::evidence))
    }

    /// Writes a file in the sandbox.
    #[allow(clippy::disallowed_methods, reason = "a directory that this command created")]
    pub(crate) fn write(&self, relative: impl AsRef<Path>, text: &str) -> Result<(), CliError> {
        let path = self.path(relative);
        path.parent()
            .map_or(Ok(()), fs_err::create_dir_all)
            .and_then(|()| fs_err::write(&path, text))
            .map_err(|error| failed(chain(&error)))
    }

    /// Writes a document as an author would, and prints its name.
    pub(crate) fn edit(&self, relative: &Path, text: &str) -> Result<(), CliError> {
        render::print_text(&format!("(writing {})\n", contract::text::path(relative)));
        self.write(relative, text)
    }

    /// SHA-256 of a file in the sandbox.
    #[allow(clippy::disallowed_methods, reason = "a directory that this command created")]
    pub(crate) fn hash(&self, relative: &Path) -> Result<String, CliError> {
        let bytes = fs_err::read(self.path(relative)).map_err(|error| failed(chain(&error)))?;
        Ok(data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)))
    }

    /// Starts the server and waits for its address.
    #[allow(clippy::disallowed_methods, reason = "a directory that this command created")]
    pub(crate) fn serve(&mut self, data: &str) -> Result<(), CliError> {
        let argv = ["server", "--data", data, "--listen", "127.0.0.1:0"];
        announce(&argv);
        let log = fs_err::File::create(self.path("server.log")).map_err(|error| failed(chain(&error)))?;
        let mut command = self.command();
        command.args(argv).stdout(Stdio::piped()).stderr(Stdio::from(log.into_file()));
        let mut child = command.spawn().map_err(|error| failed(chain(&error)))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(|error| failed(chain(&error)))?;
        }
        self.server = Some(child);
        let url = line.trim().rsplit(' ').next().unwrap_or_default();
        self.address = url.strip_prefix("http://").unwrap_or_default().trim_end_matches('/').to_owned();
        render::print_text(&indented(&line));
        self.verify("the server prints its address", !self.address.is_empty())
    }

    /// Logs in by device code, and approves the code with the account's secret, as its owner would in
    /// a browser.
    pub(crate) fn log_in(&self, email: &str, secret: &str) -> Result<(), CliError> {
        let url = format!("http://{}", self.address);
        let argv = ["auth", "login", "--headless", "--server", &url];
        announce(&argv);
        let mut command = self.command();
        command.args(argv).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = KilledOnDrop(command.spawn().map_err(|error| failed(chain(&error)))?);
        let stderr = child.0.stderr.take().map(BufReader::new);
        let mut page = None;
        for line in stderr.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
            render::print_text(&indented(&line));
            let found =
                line.split_whitespace().find(|word| word.starts_with("http") && word.contains("user_code="));
            if let Some(found) = found.filter(|_| page.is_none()) {
                render::print_text(&indented(&format!("(approving it there as {email})")));
                browser::approve(found, email, secret)?;
                page = Some(found.to_owned());
            }
        }
        let status = wait(&mut child.0)?;
        self.check_interrupted()?;
        self.verify("the login was approved", status && page.is_some())
    }

    /// Asks the server as the logged-in user.
    pub(crate) fn ask_server(&self, path: &str) -> Result<Value, CliError> {
        render::print_text(&format!("(GET {path}, as the logged-in user)\n"));
        let variables = [("HOME", self.path("home")), ("USERPROFILE", self.path("home"))];
        let home =
            Home::resolve(&Environment::from_pairs(variables)).map_err(|error| failed(chain(&error)))?;
        let session =
            SessionStore::new(&home, Machine::observe()).read().map_err(|error| failed(chain(&error)))?;
        let session = session.ok_or_else(|| failed("not logged in"))?;
        browser::ask(&format!("http://{}", self.address), path, session.access_token.expose())
    }

    /// Ends everything that was started.
    pub(crate) fn stop_processes(&mut self) {
        // The daemon of this sandbox, if a step failed before it was stopped.
        let _ = self
            .command()
            .args(["sync", "daemon", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for QuickstartSandbox {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A child process that is killed when the guard is dropped.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // Both fail only for a child that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn parse(argv: &[&str], output: &CommandOutput) -> Result<Value, CliError> {
    serde_json::from_str(&output.stdout)
        .map_err(|error| failed(format!("`{}` printed no JSON document: {error}", argv.join(" "))))
}

fn wait(child: &mut Child) -> Result<bool, CliError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(|error| failed(chain(&error)))? {
            Some(status) => return Ok(status.success()),
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Ok(false);
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn announce(argv: &[&str]) {
    render::print_text(&format!("$ spec-kitty {}\n", shown(argv)));
}

fn shown(argv: &[&str]) -> String {
    contract::remedy::shell_line(argv)
}

/// Output of a step: indented, without trailing blank lines.
pub(crate) fn indented(text: &str) -> String {
    text.trim_end()
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") })
        .collect()
}
