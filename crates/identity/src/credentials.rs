//! The credentials file of old releases (TOML): a scope, never an authentication.
//!
//! No release writes its `[user]` and `[server]` tables any more, but rows may wait under their scope. The
//! reference's tracker integration still rewrites the file, not atomically.

use std::path::Path;
use system::bounded_read::{BoundedReadError, read_bounded};
use toml_edit::{Document, Item, TableLike};

/// The largest file that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The team of credentials without one.
const NO_TEAM: &str = "no-team";

/// The scope in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `[server] url`, as written.
    pub server_url: String,
    /// `[user] username`, as written.
    pub principal: String,
    /// `[user] team_slug`, as written, or `no-team`.
    pub team: String,
}

/// The outcomes of reading the file.
#[derive(Debug)]
pub enum CredentialsReading {
    /// No file, or one without a user and a server (a tracker's).
    None,
    /// A scope.
    Found(Credentials),
    /// Not credentials, with the reason: ignored, as in the reference.
    Ignored(String),
    /// Unreadable or too large, with the reason.
    Unreadable(BoundedReadError),
}

/// Reads the credentials file.
pub fn read_credentials(path: &Path) -> CredentialsReading {
    let file = match read_bounded(path, MAX_BYTES) {
        Ok(Some(file)) => file,
        Ok(None) => return CredentialsReading::None,
        Err(error) => return CredentialsReading::Unreadable(error),
    };
    match std::str::from_utf8(&file.bytes) {
        Ok(text) => parse(text),
        Err(error) => CredentialsReading::Ignored(format!("is not UTF-8 at byte {}", error.valid_up_to())),
    }
}

fn parse(text: &str) -> CredentialsReading {
    let document = match Document::parse(text) {
        Ok(document) => document,
        // The message of the parser could quote a token.
        Err(_) => return CredentialsReading::Ignored("is not TOML".to_owned()),
    };
    let table = |key: &str| document.get(key).and_then(Item::as_table_like);
    let (Some(user), Some(server)) = (table("user"), table("server")) else {
        return CredentialsReading::None;
    };
    match (text_of(server, "url"), text_of(user, "username")) {
        (Some(server_url), Some(principal)) => CredentialsReading::Found(Credentials {
            server_url,
            principal,
            team: text_of(user, "team_slug").unwrap_or_else(|| NO_TEAM.to_owned()),
        }),
        _ => CredentialsReading::None,
    }
}

/// A text that is not empty; old releases took numbers for text.
fn text_of(table: &dyn TableLike, key: &str) -> Option<String> {
    let item = table.get(key)?;
    let text = item.as_str().map(str::to_owned).or_else(|| Some(item.as_integer()?.to_string()))?;
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(String, String, String)> {
        match parse(text) {
            CredentialsReading::Found(found) => Some((found.server_url, found.principal, found.team)),
            CredentialsReading::None | CredentialsReading::Ignored(_) | CredentialsReading::Unreadable(_) => {
                None
            }
        }
    }

    #[test]
    fn team_that_is_absent_or_empty_is_no_team() {
        let expected = Some(("https://s".to_owned(), "u".to_owned(), "no-team".to_owned()));
        assert_eq!(found("[user]\nusername = \"u\"\n[server]\nurl = \"https://s\"\n"), expected);
        assert_eq!(
            found("[user]\nusername = \"u\"\nteam_slug = \"\"\n[server]\nurl = \"https://s\"\n"),
            expected
        );
    }

    #[test]
    fn half_a_scope_is_none() {
        for text in [
            "",
            "[user]\nusername = \"u\"\n",
            "[server]\nurl = \"https://s\"\n",
            "[user]\nusername = \"\"\n[server]\nurl = \"https://s\"\n",
            "user = \"u\"\nserver = \"s\"\n",
            "[tracker.providers.beads]\ncommand = \"bd\"\n",
        ] {
            assert!(matches!(parse(text), CredentialsReading::None), "{text}");
        }
    }

    #[test]
    fn invalid_toml_is_ignored_with_reason_without_content() {
        match parse("[tokens]\naccess = \"hunter2") {
            CredentialsReading::Ignored(reason) => assert!(!reason.contains("hunter2"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}
