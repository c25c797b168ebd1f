//! Committing files without disturbing what the user staged.
//!
//! The commit is built in a copy of the index: what the user staged stays staged, in no case becomes
//! part of our commit, and a commit that fails leaves index and branch as they were. The user's hooks
//! run as for any commit; signing is off, because nothing may prompt. Only this module starts git.

use crate::document::Writing;
use crate::error::{MissionError, Result};
use crate::project::Project;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How much of git's output is kept.
const MAX_OUTPUT: u64 = 64 << 20;
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
/// What a git operation that is under way leaves in the git directory.
const UNDER_WAY: [(&str, &str); 6] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("BISECT_LOG", "bisect"),
];

/// What git said.
#[derive(Debug)]
struct Answer {
    success: bool,
    out: String,
    err: String,
}

/// A git command in the project's worktree.
#[derive(Debug)]
struct Git<'a> {
    worktree: &'a Path,
    index: Option<&'a Path>,
}

impl Git<'_> {
    fn run(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<Answer> {
        let failed = |error: std::io::Error| MissionError::Git {
            code: "GIT_UNAVAILABLE",
            problem: format!("cannot run git: {error}"),
            remedy: "install git and put it on the PATH".into(),
        };
        let mut child = self.spawn(arguments, input.is_some()).map_err(failed)?;
        let writer = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut pipe, bytes)| {
            // In a thread of its own: git may fill its output pipe before it has read everything.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let err = child.stderr.take().map(|pipe| std::thread::spawn(move || drained(pipe)));
        let out = child.stdout.take().map(drained).unwrap_or_default();
        let err = err.and_then(|thread| thread.join().ok()).unwrap_or_default();
        if let Some(writer) = writer {
            // It ends when git closes its input; a panic in it has nothing to say.
            drop(writer.join());
        }
        let status = child.wait().map_err(failed)?;
        Ok(Answer { success: status.success(), out, err })
    }

    fn spawn(&self, arguments: &[&str], input: bool) -> std::io::Result<Child> {
        let mut command = Command::new("git");
        for variable in REDIRECTING {
            command.env_remove(variable);
        }
        if let Some(index) = self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        command
            .current_dir(self.worktree)
            .args(["-c", "commit.gpgsign=false", "-c", "core.quotepath=false"])
            .args(arguments)
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            .env("LC_ALL", "C")
            .stdin(if input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Runs a command that has to succeed.
    fn must(&self, arguments: &[&str], input: Option<&[u8]>) -> Result<String> {
        let answer = self.run(arguments, input)?;
        if answer.success { Ok(answer.out) } else { Err(failure(arguments, &answer)) }
    }
}

fn drained(pipe: impl Read) -> String {
    let mut kept = Vec::new();
    let mut pipe = pipe.take(u64::MAX);
    // What does not fit is read and forgotten, so that git never blocks on a full pipe.
    let read = pipe.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
    drop(read.and_then(|_| std::io::copy(&mut pipe, &mut std::io::sink())));
    String::from_utf8_lossy(&kept).into_owned()
}

fn failure(arguments: &[&str], answer: &Answer) -> MissionError {
    let said = [answer.err.trim(), answer.out.trim()].into_iter().find(|text| !text.is_empty());
    let said = contract::text::printable(said.unwrap_or("it failed without a word")).replace("\\n", "\n");
    let verb = arguments.first().copied().unwrap_or_default();
    let code = if said.contains("dubious ownership") { "UNTRUSTED_REPOSITORY" } else { "GIT_COMMIT_FAILED" };
    MissionError::Git {
        code,
        problem: format!("git {verb} failed: {said}"),
        remedy: "correct what git names, then repeat the command; nothing of it was kept".into(),
    }
}

/// Refuses while a merge or the like is under way: our commit would become part of it.
pub fn check_quiet(project: &Project) -> Result<()> {
    let git_dir = &project.git().git_dir;
    match UNDER_WAY.into_iter().find(|(file, _)| git_dir.join(file).exists()) {
        None | Some(("BISECT_LOG", _)) => Ok(()),
        Some((_, operation)) => Err(MissionError::Git {
            code: "GIT_OPERATION_IN_PROGRESS",
            problem: format!("a {operation} is under way in {}", contract::text::path(project.root())),
            remedy: format!(
                "finish it, or give it up with `git {operation} --abort`, then repeat the command"
            ),
        }),
    }
}

/// Whether `path` is tracked and exists in the last commit. Staged alone does not count; edits since
/// the commit do not matter.
pub fn is_committed(project: &Project, path: &Path) -> Result<bool> {
    let git = Git { worktree: &project.git().worktree, index: None };
    let Ok(relative) = in_worktree(project, path) else { return Ok(false) };
    let tracked = git.run(&["ls-files", "--error-unmatch", "--", &relative], None)?;
    if !tracked.success && tracked.err.contains("dubious ownership") {
        return Err(failure(&["ls-files"], &tracked));
    }
    Ok(tracked.success && git.run(&["cat-file", "-e", &format!("HEAD:{relative}")], None)?.success)
}

/// Whether `path` holds in the worktree what the last commit holds.
pub fn is_unchanged(project: &Project, path: &Path) -> Result<bool> {
    let git = Git { worktree: &project.git().worktree, index: None };
    let relative = in_worktree(project, path)?;
    Ok(git.run(&["diff", "--quiet", "HEAD", "--", &relative], None)?.success)
}

/// `user.name`, for evidence of a review.
pub fn user_name(project: &Project) -> Result<Option<String>> {
    let git = Git { worktree: &project.git().worktree, index: None };
    let name = git.run(&["config", "user.name"], None)?.out.trim().to_owned();
    Ok((!name.is_empty()).then_some(name))
}

/// Whether `branch` is merged into `target`; nothing when one of them does not exist.
pub fn branch_is_merged(project: &Project, branch: &str, target: &str) -> Result<Option<bool>> {
    let git = Git { worktree: &project.git().worktree, index: None };
    let (branch, target) = (format!("refs/heads/{branch}"), format!("refs/heads/{target}"));
    for name in [&branch, &target] {
        if !git.run(&["show-ref", "--verify", "--quiet", name], None)?.success {
            return Ok(None);
        }
    }
    Ok(Some(git.run(&["merge-base", "--is-ancestor", &branch, &target], None)?.success))
}

/// The files of the project that git knows or would add, relative to the project root, with `/`.
pub fn list_files(project: &Project) -> Result<Vec<String>> {
    let git = Git { worktree: project.root(), index: None };
    let listed = git.must(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"], None)?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Commits the worktree content of exactly `paths` on the current branch. Returns the commit, or
/// nothing when the last commit already holds them.
pub fn commit(project: &Project, paths: &[PathBuf], message: &str) -> Result<Option<String>> {
    let facts = project.git();
    let index = private_index(&facts.git_dir)?;
    let git = Git { worktree: &facts.worktree, index: Some(&index) };
    let relative: Vec<String> = paths.iter().map(|path| in_worktree(project, path)).collect::<Result<_>>()?;
    let listed: Vec<u8> = relative.iter().flat_map(|path| [path.as_bytes(), b"\0"].concat()).collect();
    let unborn =
        facts.commit().is_none() && !git.run(&["rev-parse", "--verify", "-q", "HEAD"], None)?.success;
    git.must(if unborn { &["read-tree", "--empty"] } else { &["read-tree", "--reset", "HEAD"] }, None)?;
    git.must(&["add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"], Some(&listed))?;
    if !unborn && git.run(&["diff", "--cached", "--quiet", "HEAD"], None)?.success {
        return Ok(None);
    }
    git.must(&["commit", "--quiet", "--file=-"], Some(message.as_bytes()))?;
    let user = Git { worktree: &facts.worktree, index: None };
    let commit = user.must(&["rev-parse", "HEAD"], None)?.trim().to_owned();
    take_over(&user, &relative)?;
    Ok(Some(commit))
}

/// A copy of the user's index beside it (git wants to lock it there); removed when dropped.
fn private_index(git_dir: &Path) -> Result<tempfile::TempPath> {
    let index = tempfile::Builder::new()
        .prefix("spec-kitty-")
        .suffix(".index")
        .tempfile_in(git_dir)
        .map_err(MissionError::io("create a temporary index in", git_dir))?
        .into_temp_path();
    let original = git_dir.join("index");
    match std::fs::copy(&original, &index) {
        Ok(_) => {}
        // An empty file is no index; git makes one where there is none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::remove_file(&index).map_err(MissionError::io("remove", &index))?;
        }
        Err(error) => return Err(MissionError::io("copy", &original)(error)),
    }
    Ok(index)
}

/// Tells the user's index what the new commit holds for our paths, and nothing else. Somebody may
/// hold the index lock for a moment.
fn take_over(git: &Git<'_>, relative: &[String]) -> Result<()> {
    let mut arguments = vec!["ls-tree", "-z", "--full-tree", "HEAD", "--"];
    arguments.extend(relative.iter().map(String::as_str));
    let entries = git.must(&arguments, None)?;
    for _ in 0..20 {
        let answer = git.run(&["update-index", "-z", "--index-info"], Some(entries.as_bytes()))?;
        if answer.success {
            return Ok(());
        }
        if !answer.err.contains("index.lock") {
            return Err(failure(&["update-index"], &answer));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(MissionError::Git {
        code: "GIT_COMMIT_FAILED",
        problem: "the commit was made, and the index stayed locked by another git process".into(),
        remedy: "when that process has ended, run `git reset -q` on the committed files".into(),
    })
}

/// `path` relative to the worktree, with `/`.
fn in_worktree(project: &Project, path: &Path) -> Result<String> {
    let outside = || MissionError::Git {
        code: "GIT_COMMIT_FAILED",
        problem: format!(
            "{} does not lie in the worktree, or its name is not UTF-8",
            contract::text::path(path)
        ),
        remedy: "keep the project inside one git worktree".into(),
    };
    let below = path.strip_prefix(&project.git().worktree).map_err(|_| outside())?;
    let parts: Option<Vec<&str>> = below.components().map(|part| OsStr::to_str(part.as_os_str())).collect();
    parts.map(|parts| parts.join("/")).ok_or_else(outside)
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
