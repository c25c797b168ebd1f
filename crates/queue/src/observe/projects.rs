//! The projects that a queue DB names.

use super::active::{check_version, read_meta};
use super::reader::read_only;
use crate::consent::RowOrigin;
use crate::error::ObserveError;
use crate::file::Role;
use crate::foreign_rows;
use crate::origin;
use std::collections::BTreeSet;
use std::path::Path;

/// Every place (project, repository, checkout) that a queue DB of ours or of the reference names. It includes places
/// that its rows were bound to earlier, and those of rows that no command has bound yet.
///
/// # Errors
/// When the file cannot be read. An absent file names no project.
pub fn observe_projects(path: &Path) -> Result<BTreeSet<RowOrigin>, ObserveError> {
    let seen = read_only(path, Role::Active, |conn| {
        let ours = check_version(path, &read_meta(conn)?)? > 0;
        let mut places = BTreeSet::new();
        if ours {
            places.extend(origin::read_all(conn)?.into_values());
        }
        foreign_rows::look(conn, ours, &mut |row| {
            places.insert(row.place);
        })?;
        Ok(places)
    })?;
    Ok(seen.unwrap_or_default())
}
