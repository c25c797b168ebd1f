//! Rows that a repaired log lacks and that a commit still has. A log only grows, so each row of an older version
//! belongs in the present one.

use crate::error::Result;
use crate::git::commits_of;
use crate::git::in_worktree;
use crate::git::objects::{ObjectReader, TreeFile};
use crate::log::{FILE, MAX_BYTES, each_whole_line};
use crate::log_place::LogPlace;
use crate::mission_log::MissionLog;
use crate::project::{MissionDirectory, Project};
use contract::remedy::{shell_line, shell_word};
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Rows of one commit that the log lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowsInGit {
    /// The commit.
    pub commit: String,
    /// Their lines in the log of that commit.
    pub lines: Vec<usize>,
    /// Their ids.
    pub event_ids: Vec<String>,
    /// Shell line that shows them.
    pub show: String,
    /// Shell line that adds them to the log.
    pub restore: String,
}

/// The files of a log that were repaired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepairedParts {
    /// That of the checkout.
    pub(crate) checkout: bool,
    /// That of the coordination branch, where the repair is a commit.
    pub(crate) elsewhere: bool,
}

/// Finds the rows that `log` lacks in the commits of its files that were repaired.
///
/// # Errors
/// When git cannot be run or cannot read the repository.
pub(crate) fn find_rows_in_git(
    project: &Project,
    mission: &MissionDirectory,
    log: &MissionLog,
    repaired: RepairedParts,
) -> Result<Vec<RowsInGit>> {
    let mut objects = ObjectReader::start(project)?;
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for LogHistory { commit, path, file, mut is_before_damage } in
        histories(project, mission, log.place(), repaired)?
    {
        for commit in commits_of(project, &commit, &path)? {
            let TreeFile::File(bytes) = objects.file(&commit, &path, MAX_BYTES)? else { continue };
            let (mut lines, mut event_ids) = (Vec::new(), Vec::new());
            let is_whole = each_whole_line(&bytes, |line, row| {
                let id = row.event_id().filter(|id| !log.contains(id) && known.insert((*id).to_owned()));
                if let Some(id) = id {
                    lines.push(line);
                    event_ids.push(id.to_owned());
                }
            });
            if !lines.is_empty() {
                let print: String = lines.iter().map(|line| format!("{line}p;")).collect();
                let show = format!(
                    "{} | {}",
                    shell_line(["git", "show", &format!("{commit}:{path}")]),
                    shell_line(["sed", "-n", print.trim_end_matches(';')])
                );
                let restore = format!("{show} >> {}", shell_word(&file.to_string_lossy()));
                found.push(RowsInGit { commit, lines, event_ids, show, restore });
            }
            // Versions older than the last whole one before the damage have nothing that it lacks.
            if is_whole && is_before_damage {
                break;
            }
            is_before_damage |= !is_whole;
        }
    }
    Ok(found)
}

/// The commits of one file of a log.
struct LogHistory {
    /// The newest.
    commit: String,
    /// Its path in the repository.
    path: String,
    /// The file that takes a row.
    file: PathBuf,
    /// Whether the newest commit is older than the damage: it was not committed.
    is_before_damage: bool,
}

fn histories(
    project: &Project,
    mission: &MissionDirectory,
    place: &LogPlace,
    repaired: RepairedParts,
) -> Result<Vec<LogHistory>> {
    let of = |project: &Project, directory: &Path, is_before_damage| -> Result<LogHistory> {
        let commit = project.git().commit().unwrap_or_default().to_owned();
        let path = format!("{}/{FILE}", in_worktree(project, directory)?);
        Ok(LogHistory { commit, path, file: directory.join(FILE), is_before_damage })
    };
    let mut found = Vec::new();
    if repaired.checkout {
        found.push(of(project, &mission.path, true)?);
    }
    match place {
        LogPlace::Worktree { directory, project } if repaired.elsewhere => {
            found.push(of(project, directory, false)?);
        }
        // The branch and the checkout are read as one log, and only the checkout has a file.
        LogPlace::Branch { tip, path } if repaired.elsewhere => found.push(LogHistory {
            commit: tip.commit.clone(),
            path: format!("{path}/{FILE}"),
            file: mission.path.join(FILE),
            is_before_damage: false,
        }),
        _ => {}
    }
    found.retain(|history| !history.commit.is_empty());
    Ok(found)
}
