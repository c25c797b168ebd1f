//! Finding the Python CLI: the program named by `[cli] python` of the home's config.toml, else the next `spec-kitty` on
//! the PATH that is not this program. A file of the repository never decides it.

use crate::context::CommandContext;
use crate::error::CliError;
use contract::{ExitCode, Remedy};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The command to look for.
const NAME: &str = if cfg!(windows) { "spec-kitty.exe" } else { "spec-kitty" };
/// Text that the Python CLI prints for `--version`, before the number.
const VERSION_HEAD: &str = "spec-kitty-cli version ";
/// Time limit of `--version`. Python reads some hundred files from a cold disk.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of its output that are read.
const MOST: u64 = 4096;

/// The Python CLI, or the error of a machine without one.
pub(super) fn find(context: &CommandContext, depth: &str) -> Result<PathBuf, CliError> {
    // A home is needed only where it has a configuration.
    let configured = match context.home() {
        Ok(home) => identity::Config::read(home)?.python,
        Err(_) => None,
    };
    if let Some(configured) = configured {
        let path = PathBuf::from(&configured);
        let problem = match path.is_absolute() {
            true => problem(&path, depth),
            false => Some("is not an absolute path".to_owned()),
        };
        return match problem {
            None => Ok(path),
            Some(problem) => Err(CliError::refused(
                "PYTHON_CLI_UNUSABLE",
                format!("`cli.python` is not the Python CLI: {} {problem}", contract::text::path(&path)),
            )
            .remedy(Remedy::Advice("`spec-kitty config set cli.python PATH` names another program".into()))),
        };
    }
    let path = context.environment.get("PATH").unwrap_or_default();
    let mut passed = Vec::new();
    for directory in std::env::split_paths(path).filter(|directory| directory.is_absolute()) {
        let candidate = directory.join(NAME);
        if !is_program(&candidate) {
            continue;
        }
        match problem(&candidate, depth) {
            None => return Ok(candidate),
            Some(problem) => passed.push(format!("skipped: {} {problem}", contract::text::path(&candidate))),
        }
    }
    let mut error = CliError::new("PYTHON_CLI_MISSING", ExitCode::Refused, "the Python CLI is not installed");
    error.evidence = passed;
    Err(error)
}

/// Reason why a program is not the Python CLI.
fn problem(path: &Path, depth: &str) -> Option<String> {
    if !is_program(path) {
        return Some("is not an executable file".to_owned());
    }
    if is_this_program(path) {
        return Some("is this program".to_owned());
    }
    if is_entry_point(path) {
        return None;
    }
    match version(path, depth) {
        Ok(text) if text.starts_with(VERSION_HEAD) => None,
        Ok(text) if text.is_empty() => Some("prints no version".to_owned()),
        Ok(text) => Some(format!("is another program: `{}`", contract::text::printable(&text))),
        Err(error) => Some(format!("cannot be run: {error}")),
    }
}

/// Whether a program is the script by which an installer starts the Python CLI: this program is none. Asking it for its
/// version would start Python twice for each command.
fn is_entry_point(path: &Path) -> bool {
    let file = system::bounded_read::read_bounded(path, MOST).ok().flatten();
    let text = file.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).unwrap_or_default();
    text.starts_with("#!") && text.contains("\nfrom specify_cli import ")
}

/// The first line that `--version` prints.
fn version(path: &Path, depth: &str) -> std::io::Result<String> {
    let mut child = Command::new(path)
        .arg("--version")
        .env(super::DEPTH, depth)
        .env(contract::switch::VARIABLE, "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take();
    // In a thread of its own: a program that prints nothing and does not end would be waited for otherwise.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(out) = out {
            // After a read error the bytes before it count.
            let _ = out.take(MOST).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
    });
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            system::process::end_group(&mut child);
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(reader.join().unwrap_or_default())
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Whether a path leads to the file of this process: by its canonical path, or by a hard link.
fn is_this_program(path: &Path) -> bool {
    let Ok(own) = std::env::current_exe() else { return false };
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    canonical(path).is_some_and(|path| Some(path) == canonical(&own)) || is_same_file(path, &own)
}

#[cfg(unix)]
fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let numbers = |path: &Path| path.metadata().ok().map(|facts| (facts.dev(), facts.ino()));
    numbers(one).is_some_and(|file| Some(file) == numbers(other))
}

#[cfg(not(unix))]
fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// Adds the remedies that install the Python CLI.
pub(super) fn install(error: CliError) -> CliError {
    error
        .remedy(Remedy::Advice(
            "install it: `pipx install spec-kitty-cli`, or `uv tool install spec-kitty-cli`".into(),
        ))
        .remedy(Remedy::Advice("where it is not on the PATH: `spec-kitty config set cli.python PATH`".into()))
}
