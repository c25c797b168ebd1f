//! Location of the state of a server, from options and environment.

use super::postgres::{DatabaseUrl, NotDatabaseUrl};
use super::sqlite;
use crate::error::ServerError;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use system::bounded_read::read_bounded;

/// Environment variable with the address of a PostgreSQL database.
const URL_VARIABLE: &str = "SPEC_KITTY_DATABASE_URL";
/// Environment variable of libpq that names its password file.
const PASSWORD_FILE_VARIABLE: &str = "PGPASSFILE";

/// Bytes of a file with an address, or with passwords.
const MOST_BYTES: u64 = 64 * 1024;

/// Location of the state of a server.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// A directory with a SQLite database, for one server process.
    Directory(PathBuf),
    /// A PostgreSQL database, which several server processes may share.
    Postgres(Box<DatabaseUrl>),
}

impl StoreLocation {
    /// Whether a store is there. A misspelt directory is an error, not an empty server.
    pub(crate) fn check_exists(&self) -> Result<(), ServerError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(sqlite::FILE_NAME);
                check_database(&path).map(|_| ())
            }
            // A database is created by its administrator.
            Self::Postgres(_) => Ok(()),
        }
    }
}

/// The facts of the database file at `path`; an absent one has its own error.
pub(crate) fn check_database(path: &Path) -> Result<Metadata, ServerError> {
    path.symlink_metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ServerError::NoData(path.to_owned()),
        _ => ServerError::DataDir(path.to_owned(), error),
    })
}

impl From<&Path> for StoreLocation {
    fn from(directory: &Path) -> Self {
        Self::Directory(directory.to_owned())
    }
}

impl From<PathBuf> for StoreLocation {
    fn from(directory: PathBuf) -> Self {
        Self::Directory(directory)
    }
}

impl From<DatabaseUrl> for StoreLocation {
    fn from(url: DatabaseUrl) -> Self {
        Self::Postgres(Box::new(url))
    }
}

/// Options that name a store; the caller allows one of them.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// A data directory.
    pub directory: Option<PathBuf>,
    /// The address of a PostgreSQL database, without a password: other users see a command line.
    pub url: Option<String>,
    /// A file that contains such an address, which may have a password.
    pub url_file: Option<PathBuf>,
}

impl StoreOptions {
    /// The location; without an option that of `SPEC_KITTY_DATABASE_URL`. An address without a password
    /// gets that of the file that `PGPASSFILE` names.
    pub fn location(self) -> Result<StoreLocation, ServerError> {
        self.location_in(|name| std::env::var_os(name))
    }

    fn location_in(self, variable: impl Fn(&str) -> Option<OsString>) -> Result<StoreLocation, ServerError> {
        let (place, text) = match self {
            Self { directory: Some(directory), .. } => return Ok(StoreLocation::Directory(directory)),
            Self { url: Some(url), .. } => ("the address of the command line".to_owned(), url),
            Self { url_file: Some(path), .. } => (path.display().to_string(), read(&path)?),
            Self { .. } => match variable(URL_VARIABLE).map(OsString::into_string) {
                None => return Err(ServerError::NoStore),
                Some(Ok(url)) => (URL_VARIABLE.to_owned(), url),
                Some(Err(_)) => {
                    return Err(ServerError::DatabaseAddress(
                        URL_VARIABLE.to_owned(),
                        "not UTF-8".to_owned(),
                    ));
                }
            },
        };
        let is_visible = place.starts_with("the address");
        let mut url: DatabaseUrl = text
            .parse()
            .map_err(|error: NotDatabaseUrl| ServerError::DatabaseAddress(place, error.to_string()))?;
        if is_visible && url.has_password() {
            return Err(ServerError::VisiblePassword);
        }
        if !url.has_password()
            && let Some(path) = variable(PASSWORD_FILE_VARIABLE)
        {
            url.add_password(&read(Path::new(&path))?);
        }
        Ok(url.into())
    }
}

/// Reads a small file of text.
fn read(path: &Path) -> Result<String, ServerError> {
    let fault = |text: String| ServerError::DatabaseAddress(path.display().to_string(), text);
    let file = read_bounded(path, MOST_BYTES).map_err(|error| fault(error.to_string()))?;
    let file = file.ok_or_else(|| fault("no such file".to_owned()))?;
    String::from_utf8(file.bytes).map_err(|_| fault("not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: StoreOptions, environment: &[(&str, &str)]) -> String {
        let variable = |name: &str| {
            environment.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        };
        match options.location_in(variable) {
            Ok(StoreLocation::Directory(directory)) => format!("directory {}", directory.display()),
            Ok(StoreLocation::Postgres(url)) => format!("{url}, password {}", url.has_password()),
            Err(error) => format!("{error}"),
        }
    }

    #[test]
    fn password_is_from_files_and_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let file = write("url", "postgres://ada:s3cret@db/kitty\n");
        let passwords = write("pgpass", "db:5432:kitty:ada:s3cret\n");
        let passwords = [("PGPASSFILE", passwords.to_str().unwrap())];
        let of_url = |url: &str| StoreOptions { url: Some(url.to_owned()), ..StoreOptions::default() };
        let of_file = StoreOptions { url_file: Some(file), ..StoreOptions::default() };
        let environment = [(URL_VARIABLE, "postgres://ada:s3cret@other/kitty")];

        assert_eq!(shown(of_file.clone(), &[]), "kitty on db, password true");
        assert_eq!(shown(of_file, &environment), "kitty on db, password true");
        assert_eq!(shown(of_url("postgres://ada@db/kitty"), &passwords), "kitty on db, password true");
        assert_eq!(shown(of_url("postgres://eve@db/kitty"), &passwords), "kitty on db, password false");
        assert_eq!(shown(StoreOptions::default(), &environment), "kitty on other, password true");
        let in_directory = StoreOptions { directory: Some("d".into()), ..StoreOptions::default() };
        assert_eq!(shown(in_directory, &environment), "directory d");

        let refused = shown(of_url("postgres://ada:s3cret@db/kitty"), &[]);
        assert!(refused.contains("password") && !refused.contains("s3cret"), "{refused}");
        assert_eq!(shown(StoreOptions::default(), &[]), ServerError::NoStore.to_string());
        let missing = StoreOptions { url_file: Some("/no/such".into()), ..StoreOptions::default() };
        assert_eq!(shown(missing, &[]), "/no/such: no such file");
        let bad = shown(StoreOptions::default(), &[(URL_VARIABLE, "mysql://ada:s3cret@db")]);
        assert!(bad.starts_with(URL_VARIABLE) && !bad.contains("s3cret"), "{bad}");
    }
}
