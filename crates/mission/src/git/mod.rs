//! Git processes: commits that leave the user's index alone, and reads of branches that are not checked out.
//!
//! | module | owns |
//! |---|---|
//! | [`branches`] | local and remote-tracking branches, and the worktrees that have them checked out |
//! | [`objects`] | trees and files of commits, all through one process |
//! | [`branch_commit`] | a commit on a branch that no worktree has checked out |
//!
//! A commit in a worktree is git's own `commit --only`, because that alone is safe beside other commits. One process
//! reads the last commit, builds on it, and moves the branch only if that is still the last. It holds the index lock
//! all the time, and removes it when it is interrupted. What the user staged stays staged and in no case becomes part
//! of our commit. The user's hooks run as for any commit; signing is off, because nothing may prompt. Only this
//! module starts git.

pub mod branch_commit;
pub mod branches;
pub mod objects;

use crate::document::{Undo, Writing};
use crate::error::{MissionError, Result};
use crate::merge::Sides;
use crate::project::Project;
use crate::remedies::ErrorCode;
use crate::transaction::lock;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Most bytes of git's output that are kept.
const MAX_OUTPUT: u64 = 64 << 20;
/// Longest wait for another git process (contract section 5).
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Variables by which a surrounding git (we may run in a hook) would redirect ours.
const REDIRECTING: [&str; 9] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CEILING_DIRECTORIES",
];
/// Files that a git operation in progress leaves in the git directory, with its name.
const UNDER_WAY: [(&str, &str); 6] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("BISECT_LOG", "bisect"),
];

/// Git's answer.
#[derive(Debug)]
struct Answer {
    success: bool,
    out: String,
    err: String,
}

/// The same, with the bytes of stdout.
#[derive(Debug)]
struct RawAnswer {
    success: bool,
    out: Vec<u8>,
    err: String,
}

impl From<RawAnswer> for Answer {
    fn from(raw: RawAnswer) -> Self {
        let out = String::from_utf8_lossy(&raw.out).into_owned();
        Self { success: raw.success, out, err: raw.err }
    }
}

impl Answer {
    /// Whether another process had the index or the branch, moved the branch meanwhile, or wrote the index as it
    /// was before we made our paths known to it.
    fn is_in_the_way(&self) -> bool {
        ["index.lock", "cannot lock ref", "did not match any file(s) known to git"]
            .iter()
            .any(|sign| self.err.contains(sign))
    }
}

/// A configuration of this user that is a pipe, a socket or a device.
fn find_irregular_configuration() -> Option<PathBuf> {
    let named = |variable: &str, rest: &str| {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty())?;
        Some(Path::new(&value).join(rest))
    };
    let files = match std::env::var_os("GIT_CONFIG_GLOBAL") {
        Some(file) => vec![Some(PathBuf::from(file))],
        None => vec![
            named("HOME", ".gitconfig"),
            named("HOME", ".config/git/config"),
            named("XDG_CONFIG_HOME", "git/config"),
        ],
    };
    let mut files = files.into_iter().flatten();
    // `/dev/null` is how a configuration is switched off, and ends at once.
    files.find(|path| {
        path != Path::new("/dev/null")
            && std::fs::metadata(path).is_ok_and(|facts| !facts.is_file() && !facts.is_dir())
    })
}

/// A git command in the project's worktree.
#[derive(Debug)]
struct Git<'a> {
    worktree: &'a Path,
}

impl Git<'_> {
    fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Answer> {
        self.run_raw(arguments, input).map(Answer::from)
    }

    fn run_raw(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<RawAnswer> {
        let irregular = identity::git::find_irregular(self.worktree).or_else(find_irregular_configuration);
        if let Some(path) = irregular {
            return Err(MissionError::malformed(&path, "is not a regular file; git would wait for it"));
        }
        let mut child = self.spawn(arguments, input.is_some()).map_err(unavailable)?;
        let writer = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut pipe, bytes)| {
            // In a thread of its own: git may fill its output pipe before it has read everything.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let err = child.stderr.take().map(|pipe| std::thread::spawn(move || drained(pipe)));
        let out = child.stdout.take().map(drained).unwrap_or_default();
        let err = err.and_then(|thread| thread.join().ok()).unwrap_or_default();
        let err = String::from_utf8_lossy(&err).into_owned();
        if let Some(writer) = writer {
            // It ends when git closes its input; a panic in it does not matter.
            drop(writer.join());
        }
        let status = child.wait().map_err(unavailable)?;
        Ok(RawAnswer { success: status.success(), out, err })
    }

    fn spawn(&self, arguments: &[&str], input: bool) -> std::io::Result<Child> {
        self.command(arguments)
            .stdin(if input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        for variable in REDIRECTING {
            command.env_remove(variable);
        }
        command
            .current_dir(self.worktree)
            .args(["-c", "commit.gpgsign=false", "-c", "core.quotepath=false"])
            .args(arguments)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            // A partial clone would ask its remote for a missing object; local commands use no network.
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("LC_ALL", "C");
        command
    }

    /// Runs a command, again and again while another git process is in the way and `deadline` is ahead.
    fn patiently(&self, arguments: &[&str], input: Option<&[u8]>, deadline: Instant) -> Result<Answer> {
        loop {
            let answer = self.run(arguments, input)?;
            if answer.success || !answer.is_in_the_way() || Instant::now() >= deadline {
                return Ok(answer);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Runs a command that has to succeed.
    fn must(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<String> {
        let answer = self.run(arguments, input)?;
        if answer.success { Ok(answer.out) } else { Err(failure(arguments, &answer)) }
    }
}

fn unavailable(error: std::io::Error) -> MissionError {
    MissionError::rule(ErrorCode::GitUnavailable, format!("cannot run git: {error}"))
}

fn drained(pipe: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut pipe = pipe.take(u64::MAX);
    // Output beyond the limit is read and dropped, so that git never blocks on a full pipe.
    let read = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
    drop(read.and_then(|_| std::io::copy(&mut pipe, &mut std::io::sink())));
    kept
}

fn failure(arguments: &[&str], answer: &Answer) -> MissionError {
    let said = [answer.err.trim(), answer.out.trim()].into_iter().find(|text| !text.is_empty());
    let said = said.unwrap_or("it gave no reason");
    let verb = arguments.first().copied().unwrap_or_default();
    let untrusted = said.contains("dubious ownership");
    let code = if untrusted { ErrorCode::UntrustedRepository } else { ErrorCode::GitCommitFailed };
    MissionError::rule(code, format!("git {verb} failed: {said}"))
}

/// Refuses while a merge or the like is under way: our commit would become part of it.
pub(crate) fn check_quiet(project: &Project) -> Result<()> {
    let git_dir = &project.git().git_dir;
    match UNDER_WAY.into_iter().find(|(file, _)| git_dir.join(file).exists()) {
        None | Some(("BISECT_LOG", _)) => Ok(()),
        Some((_, operation)) => Err(MissionError::rule(
            ErrorCode::GitOperationInProgress,
            format!("a {operation} is under way in {}", contract::text::path(project.root())),
        )),
    }
}

/// Refuses states that are not safe to commit on: an unfinished operation, and a detached head, whose commits the
/// next checkout leaves behind.
pub(crate) fn check_may_commit(project: &Project) -> Result<()> {
    // In this order: a rebase detaches the head.
    check_quiet(project)?;
    project.branch().map(|_| ())
}

/// Whether `path` is tracked and exists in the last commit. Staged alone does not count; edits since
/// the commit do not matter.
pub(crate) fn is_committed(project: &Project, path: &Path) -> Result<bool> {
    let git = Git { worktree: &project.git().worktree };
    let Ok(relative) = in_worktree(project, path) else { return Ok(false) };
    let tracked = git.run(&["ls-files", "--error-unmatch", "--", &relative], None)?;
    if !tracked.success && tracked.err.contains("dubious ownership") {
        return Err(failure(&["ls-files"], &tracked));
    }
    Ok(tracked.success && git.run(&["cat-file", "-e", &format!("HEAD:{relative}")], None)?.success)
}

/// Whether `path` holds in the worktree what the last commit holds.
pub(crate) fn is_unchanged(project: &Project, path: &Path) -> Result<bool> {
    let git = Git { worktree: &project.git().worktree };
    let relative = in_worktree(project, path)?;
    Ok(git.run(&["diff", "--quiet", "HEAD", "--", &relative], None)?.success)
}

/// Most commits of a file that are looked at.
const MOST_COMMITS: &str = "-n64";

/// The newest commits behind `commit` that changed the file at `path`, with `/`; none when git does not know them.
pub(crate) fn commits_of(project: &Project, commit: &str, path: &str) -> Result<Vec<String>> {
    let git = Git { worktree: &project.git().worktree };
    let answer = git.run(&["log", "--format=%H", MOST_COMMITS, commit, "--", path], None)?;
    Ok(answer.out.lines().filter(|_| answer.success).map(str::to_owned).collect())
}

/// `user.name`, for evidence of a review.
pub fn user_name(project: &Project) -> Result<Option<String>> {
    let git = Git { worktree: &project.git().worktree };
    let name = git.run(&["config", "user.name"], None)?.out.trim().to_owned();
    Ok((!name.is_empty()).then_some(name))
}

/// Whether `branch` is merged into `target`; nothing when one of them does not exist.
pub(crate) fn branch_is_merged(project: &Project, branch: &str, target: &str) -> Result<Option<bool>> {
    let git = Git { worktree: &project.git().worktree };
    let (branch, target) = (format!("refs/heads/{branch}"), format!("refs/heads/{target}"));
    for name in [&branch, &target] {
        if !git.run(&["show-ref", "--verify", "--quiet", name], None)?.success {
            return Ok(None);
        }
    }
    Ok(Some(git.run(&["merge-base", "--is-ancestor", &branch, &target], None)?.success))
}

/// Whether the commit `older` is `newer` or an ancestor of it; not when the repository lacks it.
pub(crate) fn is_ancestor(project: &Project, older: &str, newer: &str) -> Result<bool> {
    let git = Git { worktree: &project.git().worktree };
    let commit = |name: &str| format!("{name}^{{commit}}");
    let answer = git.run(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit(older)], None)?;
    let older = answer.out.trim();
    Ok(answer.success && git.run(&["merge-base", "--is-ancestor", older, newer], None)?.success)
}

/// The branch that the remote `origin` has checked out, as far as the clone knows it.
pub(crate) fn default_branch(project: &Project) -> Result<Option<String>> {
    let git = Git { worktree: &project.git().worktree };
    let answer = git.run(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"], None)?;
    Ok(answer.out.trim().strip_prefix("refs/remotes/origin/").map(str::to_owned))
}

/// Time of the last commit of `branch` that `target` lacks; nothing without one, or without one of the branches.
pub(crate) fn last_commit_beyond(project: &Project, branch: &str, target: &str) -> Result<Option<String>> {
    let git = Git { worktree: &project.git().worktree };
    let (branch, target) = (format!("refs/heads/{branch}"), format!("^refs/heads/{target}"));
    let answer = git.run(&["log", "-1", "--format=%cI", &branch, &target, "--"], None)?;
    Ok(Some(answer.out.trim().to_owned()).filter(|at| answer.success && !at.is_empty()))
}

/// The files of the project that git knows or would add, relative to the project root, with `/`.
pub(crate) fn list_files(project: &Project) -> Result<Vec<String>> {
    let git = Git { worktree: project.root() };
    let listed = git.must(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"], None)?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Merges three versions of a file by line, into the file of `ours`; whether that went without a conflict. A
/// conflict is marked in the file.
///
/// The paths are absolute. The algorithm, and the style of the markers, are those of git itself.
pub(crate) fn merge_files(files: Sides<&Path>) -> Result<bool> {
    let git = Git { worktree: files.ours.parent().unwrap_or(files.ours) };
    let name = |path: &Path| {
        let name = path.to_str().map(str::to_owned);
        name.ok_or_else(|| MissionError::malformed(path, "has a name that is not UTF-8"))
    };
    let (base, ours, theirs) = (name(files.base)?, name(files.ours)?, name(files.theirs)?);
    let labels = ["merge-file", "-L", "ours", "-L", "base", "-L", "theirs", "--"];
    let arguments = [&labels[..], &[&ours, &base, &theirs]].concat();
    let answer = git.run(&arguments, None)?;
    // Without a message the exit code is the number of conflicts.
    if answer.success || answer.err.trim().is_empty() {
        Ok(answer.success)
    } else {
        Err(failure(&arguments, &answer))
    }
}

/// The local settings of git whose names begin with `prefix`, as `(name, value)`.
pub(crate) fn read_settings(project: &Project, prefix: &str) -> Result<Vec<(String, String)>> {
    let git = Git { worktree: &project.git().worktree };
    let pattern = format!("^{}", prefix.replace('.', "\\."));
    // Exit code 1: there is none.
    let listed = git.run(&["config", "--local", "-z", "--get-regexp", &pattern], None)?.out;
    let pairs = listed.split_terminator('\0').filter_map(|entry| entry.split_once('\n'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Sets a local setting of git.
pub(crate) fn write_setting(project: &Project, name: &str, value: &str) -> Result<()> {
    let git = Git { worktree: &project.git().worktree };
    git.must(&["config", "--local", name, value], None).map(|_| ())
}

/// Commits the worktree content of exactly `paths` on the current branch. Returns the commit, or
/// nothing when the last commit already holds them.
///
/// An error means that no commit was made, and that the index is unchanged.
pub fn commit(project: &Project, paths: &[PathBuf], message: &str) -> Result<Option<String>> {
    let facts = project.git();
    let git = Git { worktree: &facts.worktree };
    let relative: Vec<String> = paths.iter().map(|path| in_worktree(project, path)).collect::<Result<_>>()?;
    // Git reads the index before it locks it, so two commits at once can lose what one of them wrote there.
    // A person's is one that we cannot order; ours are.
    let mut held = lock(&facts.git_dir.join("spec-kitty-locks").join("commit.lock"), "the repository")?;
    held.unlink_on_release();
    let new = untracked(&git, &relative)?;
    let deadline = Instant::now() + PATIENCE;
    match try_commit(&git, &relative, message, deadline) {
        Ok(made) => Ok(made.then(|| last_commit_of(&git, &relative)).flatten()),
        Err(error) => {
            forget(&git, &new);
            Err(error)
        }
    }
}

/// Commits, again and again while another git process is in the way and `deadline` is ahead. Returns whether
/// there was anything to commit.
fn try_commit(git: &Git<'_>, relative: &[String], message: &str, deadline: Instant) -> Result<bool> {
    let message = format!("--message={message}");
    let arguments =
        ["commit", "--quiet", "--only", &message, "--pathspec-from-file=-", "--pathspec-file-nul"];
    loop {
        let mut answer = make_known(git, &untracked(git, relative)?)?;
        if answer.success {
            if holds(git, relative)? {
                return Ok(false);
            }
            answer = git.run(&arguments, Some(&listed(relative)))?;
        }
        if answer.success {
            return Ok(true);
        }
        // Git moves the branch before it writes the index. Once it has, nothing may be undone any more.
        if holds(git, relative).unwrap_or(false) {
            tracing::warn!("the commit was made: {}", failure(&arguments, &answer));
            return Ok(true);
        }
        if !answer.is_in_the_way() || Instant::now() >= deadline {
            return Err(failure(&arguments, &answer));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Makes paths known to the index, not their content: `commit --only` takes what the index knows.
fn make_known(git: &Git<'_>, new: &[String]) -> Result<Answer> {
    if new.is_empty() {
        return Ok(Answer { success: true, out: String::new(), err: String::new() });
    }
    let arguments = ["add", "--force", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"];
    git.run(&arguments, Some(&listed(new)))
}

/// Those of the paths that the index does not know.
fn untracked(git: &Git<'_>, relative: &[String]) -> Result<Vec<String>> {
    let known = git.must(&with_paths(&["ls-files", "-z", "--full-name", "--"], relative), None)?;
    let known: HashSet<&str> = known.split('\0').collect();
    Ok(relative.iter().filter(|path| !known.contains(path.as_str())).cloned().collect())
}

/// Whether the last commit holds what the worktree holds at these paths. An unborn branch holds nothing.
fn holds(git: &Git<'_>, relative: &[String]) -> Result<bool> {
    // A path in neither commit nor index shows no difference, so each path must exist.
    let there = git.run(&with_paths(&["ls-tree", "-z", "--name-only", "HEAD", "--"], relative), None)?;
    let all = there.out.split_terminator('\0').count() == relative.iter().collect::<HashSet<_>>().len();
    Ok(there.success
        && all
        && git.run(&with_paths(&["diff", "--quiet", "HEAD", "--"], relative), None)?.success)
}

/// Takes paths that no commit came to hold out of the index again.
fn forget(git: &Git<'_>, new: &[String]) {
    if new.is_empty() {
        return;
    }
    let arguments = ["update-index", "-z", "--force-remove", "--stdin"];
    match git.patiently(&arguments, Some(&listed(new)), Instant::now() + PATIENCE) {
        Ok(answer) if answer.success => {}
        Ok(answer) => tracing::warn!("not undone: {}", failure(&arguments, &answer)),
        Err(error) => tracing::warn!("not undone: {error}"),
    }
}

/// The commit that last touched these paths: ours, whatever was committed on top of it since.
fn last_commit_of(git: &Git<'_>, relative: &[String]) -> Option<String> {
    let arguments = with_paths(&["rev-list", "-1", "HEAD", "--"], relative);
    let answer = git.run(&arguments, None).ok().filter(|answer| answer.success)?;
    Some(answer.out.trim().to_owned()).filter(|commit| !commit.is_empty())
}

fn with_paths<'a>(arguments: &[&'a str], relative: &'a [String]) -> Vec<&'a str> {
    arguments.iter().copied().chain(relative.iter().map(String::as_str)).collect()
}

/// Paths as git reads them from its input.
fn listed(relative: &[String]) -> Vec<u8> {
    relative.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect()
}

/// `path` relative to the worktree, with `/`.
pub(crate) fn in_worktree(project: &Project, path: &Path) -> Result<String> {
    let outside = || {
        let problem =
            format!("{} is outside of the worktree, or its name is not UTF-8", contract::text::path(path));
        MissionError::rule(ErrorCode::GitCommitFailed, problem)
    };
    let below = path.strip_prefix(&project.git().worktree).map_err(|_| outside())?;
    let parts: Option<Vec<&str>> = below.components().map(|part| OsStr::to_str(part.as_os_str())).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(outside)
}

/// A branch that a command works on in place of the one that is checked out.
#[derive(Clone, Debug)]
pub(crate) struct StartBranch {
    pub(crate) name: String,
    /// Whether it is made.
    pub(crate) is_new: bool,
    /// The branch that is checked out.
    pub(crate) from: String,
}

/// A branch that was checked out, until everything else is done.
#[derive(Debug)]
struct SwitchedBranch {
    worktree: PathBuf,
    start: StartBranch,
}

impl Undo for SwitchedBranch {
    fn undo(&self) -> Result<(), String> {
        let git = Git { worktree: &self.worktree };
        let StartBranch { name, is_new, from } = &self.start;
        let must =
            |arguments: &[&str]| git.must(arguments, None).map(drop).map_err(|error| error.to_string());
        must(&["switch", "--quiet", "--no-guess", from])?;
        if *is_new { must(&["branch", "--quiet", "-D", name]) } else { Ok(()) }
    }
}

/// Checks a branch out, or makes it first, and notes in `writing` how to go back.
pub(crate) fn switch_branch(project: &Project, start: &StartBranch, writing: &mut Writing) -> Result<()> {
    let git = Git { worktree: &project.git().worktree };
    let kind = if start.is_new { "--create" } else { "--no-guess" };
    git.must(&["switch", "--quiet", kind, &start.name], None)?;
    let undo = SwitchedBranch { worktree: project.git().worktree.clone(), start: start.clone() };
    writing.note(format!("branch {}", start.name), undo);
    Ok(())
}

/// A commit of ours in a worktree, until everything else is done.
#[derive(Debug)]
struct WorktreeCommit {
    worktree: PathBuf,
    commit: String,
    paths: Vec<String>,
}

impl Undo for WorktreeCommit {
    /// Takes the commit back, unless the branch has moved on. The files are put back by the steps before this.
    fn undo(&self) -> Result<(), String> {
        let git = Git { worktree: &self.worktree };
        let done = || -> Result<Answer> {
            let parent = format!("{}^", self.commit);
            let answer = git.run(&["update-ref", "HEAD", &parent, &self.commit], None)?;
            if !answer.success {
                return Ok(answer);
            }
            git.run(&with_paths(&["reset", "--quiet", "--"], &self.paths), None)
        };
        match done() {
            Ok(answer) if answer.success => Ok(()),
            Ok(answer) => Err(answer.err.trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Commits `paths` in the worktree of `project`, and notes in `writing` how to take the commit back.
pub(crate) fn commit_undoably(
    project: &Project,
    writing: &mut Writing,
    paths: &[PathBuf],
    message: &str,
) -> Result<Option<String>> {
    let made = commit(project, paths, message)?;
    if let Some(commit) = &made {
        let worktree = project.git().worktree.clone();
        let paths = paths.iter().map(|path| in_worktree(project, path)).collect::<Result<_>>()?;
        writing.note(format!("commit {commit}"), WorktreeCommit { worktree, commit: commit.clone(), paths });
    }
    Ok(made)
}

/// Commits and, when that fails, undoes the writing before it.
pub(crate) fn commit_or_undo(
    project: &Project,
    writing: Writing,
    paths: &[PathBuf],
    message: &str,
) -> Result<(Writing, Option<String>)> {
    match commit(project, paths, message) {
        Ok(commit) => Ok((writing, commit)),
        Err(cause) => Err(writing.undo(cause)),
    }
}
