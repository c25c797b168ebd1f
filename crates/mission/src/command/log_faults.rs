//! Logs of a project that no command can write to, for the doctor. Reads only.

use crate::error::{MissionError, Result};
use crate::mission_log::LogReader;
use crate::project::Project;

/// The logs of a project that were read.
#[derive(Debug)]
pub struct ReadLogs {
    /// How many missions there are.
    pub missions: usize,
    /// Missions whose log refuses writing, by name, with the refusal.
    pub faults: Vec<(String, MissionError)>,
}

/// Reads the log of every mission as a command does that writes to it.
///
/// # Errors
/// When the missions cannot be listed.
pub fn read_logs(project: &Project) -> Result<ReadLogs> {
    let mut reader = LogReader::new(project);
    let names = project.mission_names()?;
    let mut read = |name: &str| reader.read_undamaged(&project.mission(Some(name))?);
    let faults = names.iter().filter_map(|name| Some((name.clone(), read(name).err()?))).collect();
    Ok(ReadLogs { missions: names.len(), faults })
}
