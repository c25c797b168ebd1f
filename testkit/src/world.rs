//! A world: a temporary user home, a scratch directory, and the real binary run inside them in a clean
//! environment.

use crate::schemas::Schemas;
use contract::Scope;
use identity::session::Team;
use identity::{Environment, Home, Secret, Session, SessionStore};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use system::Machine;
use tempfile::TempDir;

/// The variable that names the home directory of the user.
pub const HOME_VARIABLE: &str = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
/// Server of the shared identity of tests that need no server.
pub const SERVER: &str = "https://example.invalid";
/// User of the shared identity.
pub const USER: &str = "dev@example.com";
/// Private team of the shared identity.
pub const TEAM: &str = "team-PRIV-01";

/// Timeout for a command of the binary.
const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary home with commands run in it. At the end its daemon is ended and the directory removed.
#[derive(Debug)]
pub struct World {
    _directory: TempDir,
    user_home: PathBuf,
    work: PathBuf,
    binary: PathBuf,
    variables: Vec<(String, String)>,
}

/// Output and exit code of a command.
#[derive(Clone, Debug)]
pub struct Run {
    /// Exit status; none when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// The one JSON document on stdout.
    ///
    /// # Panics
    /// When stdout is not exactly one document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document ({error}): {self:?}"))
    }

    /// Asserts the exit code, showing the output when it differs.
    ///
    /// # Panics
    /// When it differs.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl AsRef<World> for World {
    fn as_ref(&self) -> &World {
        self
    }
}

/// A world and what has to live as long.
impl<T> AsRef<World> for (World, T) {
    fn as_ref(&self) -> &World {
        &self.0
    }
}

impl World {
    /// A world in which `binary` is the CLI. Hosted sync is on; no daemon is started automatically.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self::named(binary, "home")
    }

    /// A world for the tests of a library: no program to run, and no variable but the home.
    pub fn of_library() -> Self {
        let mut world = Self::new("");
        world.variables.clear();
        world
    }

    /// The same with this name of the user home, to test unusual paths.
    ///
    /// # Panics
    /// When the directories cannot be made.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn named(binary: impl Into<PathBuf>, home: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("spec-kitty-").tempdir().expect("a temporary directory");
        let base = directory.path().canonicalize().expect("a canonical directory");
        let user_home = base.join(home);
        let work = base.join("work");
        std::fs::create_dir_all(&user_home).expect("a home");
        std::fs::create_dir_all(&work).expect("a working directory");
        let variables = vec![
            ("SPEC_KITTY_ENABLE_SAAS_SYNC".to_owned(), "1".to_owned()),
            ("SPEC_KITTY_NO_DAEMON".to_owned(), "1".to_owned()),
        ];
        Self { _directory: directory, user_home, work, binary: binary.into(), variables }
    }

    /// Uses another copy of the CLI for later commands.
    #[must_use]
    pub fn with_program(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = binary.into();
        self
    }

    /// Lets later commands start the daemon, which ends with this world.
    pub fn allow_daemon(&mut self) -> &mut Self {
        self.unset("SPEC_KITTY_NO_DAEMON")
    }

    /// Ends the daemon that a command started, if one runs.
    pub fn end_daemon(&self) {
        crate::daemon::end_of(self);
    }

    /// Sets or replaces an environment variable of later commands.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes an environment variable from later commands.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    /// The user's home directory.
    pub fn user_home(&self) -> &Path {
        &self.user_home
    }

    /// The program that commands run.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The state root.
    pub fn root(&self) -> PathBuf {
        self.user_home.join(".spec-kitty")
    }

    /// The directory that commands run in.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// The home as the product sees it.
    ///
    /// # Panics
    /// When it cannot be resolved.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn home(&self) -> Home {
        Home::resolve(&Environment::from_pairs([(HOME_VARIABLE, &self.user_home)])).expect("a home")
    }

    /// The environment of commands, without what they get from the host.
    pub fn environment(&self) -> Environment {
        let own = self.variables.iter().map(|(name, value)| (name.as_str(), OsStr::new(value)));
        Environment::from_pairs(std::iter::once((HOME_VARIABLE, self.user_home.as_os_str())).chain(own))
    }

    /// The scope of the shared identity.
    pub fn scope(&self) -> Scope {
        Scope::new(SERVER, USER, TEAM)
    }

    /// A command of the binary in this world's environment, without the test's own variables.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        self.dress(&mut command);
        command
    }

    /// Gives any command this world's environment and directory.
    pub fn dress(&self, command: &mut Command) {
        command.env_clear().current_dir(&self.work);
        for name in ["PATH", "TMPDIR", "SYSTEMROOT", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env(HOME_VARIABLE, &self.user_home);
        command.env("LOCALAPPDATA", self.user_home.join("AppData").join("Local"));
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", self.user_home.join("gitconfig"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
    }

    /// Runs the binary with `arguments`. A document that it prints has to be as docs/schemas describe it.
    ///
    /// # Panics
    /// When it differs.
    #[must_use = "look at the exit code or the output"]
    pub fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> Run {
        let mut command = self.command();
        command.args(arguments);
        let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
        let arguments: Vec<String> = arguments.collect();
        let run = finish(command);
        Schemas::published().assert_printed(&arguments, &run);
        run
    }

    /// Runs any other program in this world.
    #[must_use = "look at the exit code or the output"]
    pub fn run_program<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: I,
    ) -> Run {
        let mut command = Command::new(program);
        self.dress(&mut command);
        command.args(arguments);
        finish(command)
    }

    /// What git prints in the working directory. It has to succeed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn git<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, arguments: I) -> String {
        self.run_program("git", arguments).exits(0).stdout
    }

    /// Writes config.toml.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, text: &str) -> &Self {
        self.write_state("config.toml", text.as_bytes())
    }

    /// Writes a file below the state root.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_state(&self, relative: &str, bytes: &[u8]) -> &Self {
        self.write(&self.root().join(relative), bytes)
    }

    /// Writes any file, and creates its directory.
    ///
    /// # Panics
    /// When it cannot be written.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn write(&self, path: &Path, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, bytes).expect("a file");
        self
    }

    /// Logs the shared identity in, for this machine and user, without a server.
    pub fn log_in(&self) -> &Self {
        self.log_in_at(SERVER)
    }

    /// The same at `server`, which is configured.
    pub fn log_in_at(&self, server: &str) -> &Self {
        self.write_config(&format!("[sync]\nserver_url = \"{server}\"\n"));
        self.write_session(&session(server, USER, TEAM))
    }

    /// Writes a session for this machine and user.
    ///
    /// # Panics
    /// When it cannot be written.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn write_session(&self, session: &Session) -> &Self {
        SessionStore::new(&self.home(), Machine::observe()).write(session).expect("a session");
        self
    }

    /// Creates a git repository with a project identity in the working directory.
    ///
    /// # Panics
    /// When git fails.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn init_project(&self) -> &Self {
        std::fs::write(self.user_home.join("gitconfig"), "[user]\n\tname = Dev\n\temail = dev@example.com\n")
            .expect("a git configuration");
        for arguments in [
            &["init", "--quiet", "--initial-branch=main"][..],
            &["commit", "--quiet", "--allow-empty", "-m", "start"][..],
        ] {
            self.git(arguments);
        }
        std::fs::create_dir_all(self.work.join(".kittify")).expect("a project");
        self
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end_daemon();
    }
}

/// A team, owned by the user of the session.
pub fn team(id: &str, private: bool) -> Team {
    Team { id: id.into(), name: format!("Team {id}"), role: "owner".into(), private }
}

/// A session that never expires, with one private team.
///
/// # Panics
/// Never: its times are constants.
#[allow(clippy::expect_used, reason = "the timestamps are constants")]
pub fn session(server: &str, user: &str, team: &str) -> Session {
    let at = |text: &str| text.parse().expect("a timestamp");
    Session {
        user_id: "user-1".into(),
        email: user.into(),
        name: "Dev".into(),
        teams: vec![Team { name: "Private".into(), ..self::team(team, true) }],
        default_team_id: team.into(),
        access_token: Secret::new("access-secret"),
        refresh_token: Secret::new("refresh-secret"),
        session_id: "session-1".into(),
        issued_at: at("2026-05-18T12:00:00Z"),
        access_token_expires_at: at("2099-01-01T00:00:00Z"),
        refresh_token_expires_at: Some(at("2099-06-01T00:00:00Z")),
        scope: "offline_access".into(),
        last_used_at: at("2026-05-18T12:00:00Z"),
        auth_method: "device_code".into(),
        generation: Some(1),
        issuer: Some(server.into()),
        unknown: Default::default(),
    }
}

/// What git prints in `directory`, in the environment of the test. It has to succeed.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(directory);
    finish(command).exits(0).stdout
}

/// Copies a program to be run, by a process of its own: a file that this one writes may be inherited by a child that
/// another test starts, and cannot be executed until that child has let go of it.
///
/// # Panics
/// When it fails.
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    if cfg!(windows) {
        assert!(std::fs::copy(from, to).is_ok(), "{}", to.display());
        return;
    }
    let mut command = Command::new("cp");
    command.arg(from).arg(to);
    finish(command).exits(0);
}

/// Runs a command to its end; a timeout fails the test.
///
/// # Panics
/// When it cannot start, or does not end in a minute.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
pub fn finish(mut command: Command) -> Run {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let output = wait(child, PATIENCE).unwrap_or_else(|| panic!("hangs: {command:?}"));
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits for a child while reading its output. After `patience` kills it and returns `None`.
#[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
fn wait(mut child: Child, patience: Duration) -> Option<Output> {
    use std::io::Read;
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait().expect("a child of ours") {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    Some(Output {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    })
}
