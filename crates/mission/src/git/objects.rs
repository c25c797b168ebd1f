//! Trees and files of commits, without a worktree: one `git cat-file --batch` answers all questions of a command.
//!
//! A git process reads them, and not a library or a reader of our own. Packs with deltas, alternates, both hashes,
//! replaced objects and every ref format are left to git, for about two milliseconds whatever the number of missions.
//! Objects are asked for by commit, so that a branch that moves meanwhile changes nothing.

use super::{Git, unavailable};
use crate::error::{MissionError, Result};
use crate::project::Project;
use crate::remedies::ErrorCode;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// The largest tree that is read.
const MAX_TREE: u64 = 16 << 20;
/// The most files of one directory that are listed.
const MAX_FILES: usize = 4096;
/// The longest line in front of an object.
const MAX_HEAD: u64 = 8192;

/// A running `git cat-file --batch`.
#[derive(Debug)]
pub struct ObjectReader {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitTreeEntry {
    /// Octal, as git writes it: `100644`, `40000`, `120000`.
    pub mode: String,
    /// The name; bytes, because it need not be UTF-8.
    pub name: Vec<u8>,
    /// The object, in hexadecimal.
    pub object: String,
}

impl GitTreeEntry {
    /// Whether it is a directory.
    pub(crate) fn is_tree(&self) -> bool {
        self.mode == "40000"
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeFile {
    /// Its bytes.
    File(Vec<u8>),
    /// Nothing has this path.
    Absent,
    /// Something else has it: a symbolic link, a directory, a submodule.
    NoFile(&'static str),
}

impl ObjectReader {
    /// Starts git in the worktree of `project`.
    ///
    /// # Errors
    /// When git cannot be run.
    pub fn start(project: &Project) -> Result<Self> {
        let git = Git { worktree: &project.git().worktree };
        let mut child = git
            .command(&["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The answers name what is missing.
            .stderr(Stdio::null())
            .spawn()
            .map_err(unavailable)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| ended("it has no output"))?;
        Ok(Self { child, input, output: BufReader::with_capacity(64 * 1024, output) })
    }

    /// The entries of a tree by its object name; none when the repository does not have it.
    ///
    /// # Errors
    /// When git ends early, or the object is not a tree or too large.
    pub fn tree(&mut self, object: &str) -> Result<Option<Vec<GitTreeEntry>>> {
        match self.ask(object, MAX_TREE)? {
            None => Ok(None),
            Some((kind, bytes)) if kind == "tree" => parse_tree(object, &bytes, object.len()).map(Some),
            Some((kind, _)) => Err(unreadable(object, &format!("is a {kind}, not a tree"))),
        }
    }

    /// The entry at `path`, with `/`, of a commit.
    ///
    /// # Errors
    /// When the commit is not in the repository, its directory is a symbolic link, or git ends early.
    pub fn entry(&mut self, commit: &str, path: &str) -> Result<Option<GitTreeEntry>> {
        // The question is one line.
        if path.contains('\n') {
            return Ok(None);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        match self.ask(&format!("{commit}:{parent}"), MAX_TREE)? {
            Some((kind, bytes)) if kind == "tree" => {
                let entries = parse_tree(commit, &bytes, commit.len())?;
                Ok(entries.into_iter().find(|entry| entry.name == name.as_bytes()))
            }
            Some(_) => {
                let parent = contract::text::printable(parent);
                Err(unreadable(
                    commit,
                    &format!("has `{parent}`, which is a symbolic link or a file, not a directory"),
                ))
            }
            None if self.ask(commit, MAX_TREE)?.is_some() => Ok(None),
            None => Err(missing(commit)),
        }
    }

    /// The file at `path`, with `/`, of a commit; at most `limit` bytes of it. Symbolic links are not followed.
    ///
    /// # Errors
    /// When commit or file are not in the repository (a partial or damaged clone), or the file is too large.
    pub fn file(&mut self, commit: &str, path: &str, limit: u64) -> Result<TreeFile> {
        match self.entry(commit, path)? {
            None => Ok(TreeFile::Absent),
            Some(entry) if entry.is_file() => {
                let (_, bytes) = self.ask(&entry.object, limit)?.ok_or_else(|| missing(&entry.object))?;
                Ok(TreeFile::File(bytes))
            }
            Some(entry) if entry.mode == "120000" => Ok(TreeFile::NoFile("a symbolic link")),
            Some(entry) if entry.is_tree() => Ok(TreeFile::NoFile("a directory")),
            Some(_) => Ok(TreeFile::NoFile("a submodule")),
        }
    }

    /// The regular files of a commit below `path`, by their path from there, with `/`; of directories that are at most
    /// `depth` below it. Empty when there is no such directory.
    ///
    /// # Errors
    /// When commit or tree are not in the repository, git ends early, or there are too many files.
    pub fn files_below(&mut self, commit: &str, path: &str, depth: usize) -> Result<Vec<String>> {
        let Some(top) = self.entry(commit, path)?.filter(GitTreeEntry::is_tree) else {
            return Ok(Vec::new());
        };
        let (mut files, mut pending) = (Vec::new(), vec![(String::new(), top.object, 0)]);
        while let Some((above, tree, level)) = pending.pop() {
            for entry in self.tree(&tree)?.ok_or_else(|| missing(&tree))? {
                let Ok(name) = std::str::from_utf8(&entry.name) else { continue };
                if entry.is_tree() && level < depth {
                    pending.push((format!("{above}{name}/"), entry.object, level + 1));
                } else if entry.is_file() {
                    files.push(format!("{above}{name}"));
                }
                if files.len() + pending.len() > MAX_FILES {
                    return Err(unreadable(commit, &format!("has more than {MAX_FILES} files in `{path}`")));
                }
            }
        }
        Ok(files)
    }

    /// The bytes of a file by its object name; at most `limit` of them.
    ///
    /// # Errors
    /// When the repository does not have it (a partial or damaged clone), or it is too large.
    pub fn blob(&mut self, object: &str, limit: u64) -> Result<Vec<u8>> {
        self.ask(object, limit)?.map(|(_, bytes)| bytes).ok_or_else(|| missing(object))
    }

    /// Type and bytes of an object; nothing when the repository does not have it.
    fn ask(&mut self, name: &str, limit: u64) -> Result<Option<(String, Vec<u8>)>> {
        let input = self.input.as_mut().ok_or_else(|| ended("its input is closed"))?;
        let asked = input.write_all(format!("{name}\n").as_bytes()).and_then(|()| input.flush());
        asked.map_err(|error| ended(&error.to_string()))?;
        let mut head = String::new();
        let read = (&mut self.output).take(MAX_HEAD).read_line(&mut head);
        if read.map_err(|error| ended(&error.to_string()))? == 0 {
            return Err(ended("it closed its output"));
        }
        let mut words = head.trim_end().rsplit(' ');
        let (size, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Ok(size) = size.parse::<u64>() else { return Ok(None) };
        if size > limit {
            let skipped = std::io::copy(&mut (&mut self.output).take(size + 1), &mut std::io::sink());
            skipped.map_err(|error| ended(&error.to_string()))?;
            return Err(unreadable(name, &format!("is larger than the {limit} bytes that are read")));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.output).take(size + 1).read_to_end(&mut bytes);
        read.map_err(|error| ended(&error.to_string()))?;
        if bytes.len() as u64 != size + 1 {
            return Err(ended("it ended in the middle of an object"));
        }
        bytes.pop();
        Ok(Some((kind.to_owned(), bytes)))
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        // Git ends when its input does.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// `digits` is how many hexadecimal digits the repository's object names have.
fn parse_tree(name: &str, bytes: &[u8], digits: usize) -> Result<Vec<GitTreeEntry>> {
    entries(bytes, digits / 2).ok_or_else(|| unreadable(name, "has a damaged tree"))
}

fn entries(bytes: &[u8], width: usize) -> Option<Vec<GitTreeEntry>> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let (mode, after) = (rest.get(..space)?, rest.get(space + 1..)?);
        let end = after.iter().position(|byte| *byte == 0)?;
        let object = after.get(end + 1..end + 1 + width)?;
        entries.push(GitTreeEntry {
            mode: std::str::from_utf8(mode).ok()?.to_owned(),
            name: after.get(..end)?.to_owned(),
            object: data_encoding::HEXLOWER.encode(object),
        });
        rest = after.get(end + 1 + width..)?;
    }
    Some(entries)
}

fn ended(problem: &str) -> MissionError {
    MissionError::rule(ErrorCode::GitUnreadable, format!("git cat-file ended early: {problem}"))
}

fn unreadable(name: &str, problem: &str) -> MissionError {
    MissionError::rule(ErrorCode::GitUnreadable, format!("object {name} {problem}"))
}

fn missing(name: &str) -> MissionError {
    unreadable(name, "is not in the repository: the clone is partial or damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_is_read_and_a_torn_one_is_none() {
        let mut bytes = b"100644 a\0".to_vec();
        bytes.extend([0xab; 20]);
        bytes.extend(b"40000 b c\0");
        bytes.extend([1; 20]);
        let read = entries(&bytes, 20).unwrap();
        assert_eq!(
            (read[0].object.as_str(), read[1].name.as_slice()),
            ("ab".repeat(20).as_str(), &b"b c"[..])
        );
        assert!(read[0].is_file() && read[1].is_tree());
        for end in 1..bytes.len() {
            assert!(end == 29 || entries(&bytes[..end], 20).is_none(), "{end}");
        }
    }
}
