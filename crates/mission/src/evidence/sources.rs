//! The hash over what a check depends on: equal as long as no file of it changed.

use crate::dossier::index::sha256_hex;
use crate::error::{MissionError, Result};
use crate::git::list_files;
use crate::ownership::pattern::matches;
use crate::project::Project;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// The files of the project, listed once for all checks.
#[derive(Debug)]
pub struct Sources<'a> {
    root: &'a Path,
    files: Vec<String>,
    excluded: String,
}

impl<'a> Sources<'a> {
    /// Lists the files that git knows or would add; the mission's own evidence does not count.
    pub fn list(project: &'a Project, mission_dir: &Path) -> Result<Self> {
        let mut files = list_files(project)?;
        files.sort_unstable();
        files.dedup();
        let excluded = format!("{}/", project.relative(&mission_dir.join(super::DIRECTORY)));
        Ok(Self { root: project.root(), files, excluded })
    }

    /// The first pattern that matches nothing.
    pub fn idle<'p>(&self, patterns: &'p [String]) -> Option<&'p String> {
        let used = |pattern: &String| self.counting().any(|file| matches(file, pattern));
        patterns.iter().find(|pattern| !used(pattern))
    }

    /// Every file but the mission's own evidence.
    fn counting(&self) -> impl Iterator<Item = &String> {
        self.files.iter().filter(|file| !file.starts_with(&self.excluded))
    }

    /// Lower-case hex SHA-256 over the paths and contents of the files that a pattern matches. A file that
    /// is listed and gone counts as gone.
    pub fn hash(&self, patterns: &[String]) -> Result<String> {
        let mut hash = Sha256::new();
        let wanted = |file: &&String| patterns.iter().any(|pattern| matches(file, pattern));
        for file in self.counting().filter(wanted) {
            let content = self.content(file)?;
            hash.update(format!("{}\0{content}\n", file.len()));
            hash.update(file);
        }
        Ok(HEXLOWER.encode(&hash.finalize()))
    }

    fn content(&self, file: &str) -> Result<String> {
        let path = file.split('/').fold(self.root.to_owned(), |path, part| path.join(part));
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok("gone".into()),
            Err(error) => return Err(MissionError::io("look at", &path)(error)),
            Ok(facts) if facts.is_symlink() => {
                let target = std::fs::read_link(&path).map_err(MissionError::io("read", &path))?;
                return Ok(format!("link {}", sha256_hex(target.to_string_lossy().as_bytes())));
            }
            // A submodule: its commit is git's business.
            Ok(facts) if facts.is_dir() => return Ok("directory".into()),
            Ok(_) => {}
        }
        let mut hash = Sha256::new();
        let mut file = system::regular::open(&path).map_err(crate::document::unopened("read", &path))?;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match file.read(&mut chunk).map_err(MissionError::io("read", &path))? {
                0 => return Ok(HEXLOWER.encode(&hash.finalize())),
                length => hash.update(&chunk[..length]),
            }
        }
    }
}
