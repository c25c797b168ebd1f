//! Remedies as values: each renders to an argv of this CLI, or to an advice where no command applies. A
//! test parses every argv with the CLI's parser.

use crate::text::printable;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The remedy of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remedy {
    /// Replace the daemon by one that has the foreground's identity; logged out, only stop it.
    RestartDaemon,
    /// Choose another private teamspace of the same session.
    SwitchTeam {
        /// The teamspace id.
        team: String,
    },
    /// Log in.
    Login,
    /// Log in at a named server; sets `sync.server_url`.
    LoginServer,
    /// Log in at this server; sets `sync.server_url`.
    LoginAt {
        /// The server.
        server: String,
        /// Whether another account is logged in there.
        again: bool,
    },
    /// Configure this server, which issued the session's token.
    SetServer {
        /// The server.
        server: String,
    },
    /// Remove orphan owner records; stop stray daemons of this home.
    CleanOrphans,
    /// The same for daemons that do not answer: end a proven daemon of this home, move the files of others aside.
    ForceCleanOrphans,
    /// Move legacy rows of this scope into the scoped queue DB; lets SQLite roll back first.
    Migrate,
    /// Move an unreadable file aside, with a timestamp.
    Repair,
    /// Move the damaged lines of a mission's log aside; keeps every readable row.
    RepairMission {
        /// The mission's directory name.
        mission: String,
    },
    /// Deliver the waiting rows.
    SyncNow,
    /// Send rows again that the server acknowledged and no longer has.
    ResendMissing,
    /// Capture the files of a mission again; in a checkout of its project.
    CaptureHistory {
        /// The mission's directory name.
        mission: String,
    },
    /// Release the rows held for a project.
    OptIn {
        /// The project's uuid, or `none` for rows without a project.
        project: String,
    },
    /// Release the rows held for every project without a decision.
    OptInAllHeld,
    /// Copy the rows of the same user's old scope into this one, after a preview.
    FromScope {
        /// The first 16 hex digits of the old scope's hash.
        hash: String,
    },
    /// Write a copy of the rows of another scope.
    ExportScope {
        /// The first 16 hex digits of its hash.
        hash: String,
    },
    /// Import the rows of a project that another release admitted for a server that is gone.
    FromServer {
        /// That server.
        server: String,
        /// The project's uuid.
        project: String,
    },
    /// Start the daemon.
    StartDaemon,
    /// Stop the daemon.
    StopDaemon,
    /// An action that no command performs.
    Advice(String),
}

impl Remedy {
    /// The arguments after `spec-kitty`; none for an advice.
    pub fn argv(&self) -> Option<Vec<String>> {
        let words: &[&str] = match self {
            Self::RestartDaemon => &["doctor", "restart-daemon"],
            // A team that looks like an option must not be read as one.
            Self::SwitchTeam { team } if team.starts_with('-') => &["auth", "switch", "--", team],
            Self::SwitchTeam { team } => &["auth", "switch", team],
            Self::Login => &["auth", "login"],
            Self::LoginServer => &["auth", "login", "--server", "URL"],
            Self::LoginAt { server, again } => {
                let rest: &[&str] = if *again { &["--force"] } else { &[] };
                return Some(with_option(&["auth", "login"], "--server", server, rest));
            }
            Self::SetServer { server } => &["config", "set", "sync.server_url", server],
            Self::CleanOrphans => &["doctor", "orphan-daemons", "--fix"],
            Self::ForceCleanOrphans => &["doctor", "orphan-daemons", "--fix", "--force"],
            Self::Migrate => &["sync", "migrate"],
            Self::Repair => &["doctor", "repair"],
            Self::RepairMission { mission } => {
                return Some(with_option(&["doctor", "repair"], "--mission", mission, &[]));
            }
            Self::SyncNow => &["sync", "now"],
            Self::ResendMissing => &["sync", "resend", "--missing", "--yes"],
            Self::CaptureHistory { mission } => {
                return Some(with_option(&["sync", "capture"], "--history", mission, &["--yes"]));
            }
            Self::OptIn { project } => {
                let rest = ["--include-held", "--yes"];
                return Some(with_option(&["sync", "opt-in"], "--project", project, &rest));
            }
            Self::OptInAllHeld => &["sync", "opt-in", "--all-held", "--include-held", "--yes"],
            Self::FromScope { hash } => &["sync", "migrate", "--from-scope", hash],
            Self::ExportScope { hash } => &["sync", "export", "--scope", hash],
            Self::FromServer { server, project } => {
                let migrate = ["sync", "migrate", "--from-server", server];
                return Some(with_option(&migrate, "--project", project, &[]));
            }
            Self::StartDaemon => &["sync", "daemon", "start"],
            Self::StopDaemon => &["sync", "daemon", "stop"],
            Self::Advice(_) => return None,
        };
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// One line: the command to type, or the advice.
    pub fn hint(&self) -> String {
        match (self, self.argv()) {
            (Self::Advice(text), _) => text.clone(),
            (_, Some(argv)) => shell_line(std::iter::once("spec-kitty".to_owned()).chain(argv)),
            (_, None) => String::new(),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hint())
    }
}

fn with_option(verb: &[&str], name: &str, value: &str, rest: &[&str]) -> Vec<String> {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    [owned(verb), option_words(name, value), owned(rest)].concat()
}

/// The option `name` with its value: two words, or one if the value would be read as an option.
pub fn option_words(name: &str, value: &str) -> Vec<String> {
    if value.starts_with('-') {
        vec![format!("{name}={value}")]
    } else {
        vec![name.to_owned(), value.to_owned()]
    }
}

/// The words of a command as one line. A shell reads each of them back as one word, whatever it holds: names come
/// from repositories of others.
pub fn shell_line<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    words.into_iter().map(|word| shell_word(word.as_ref())).collect::<Vec<_>>().join(" ")
}

/// `word` quoted for a shell; plain words are unchanged. A word with control characters is written as
/// `$'...'` with escapes, so that the line can be shown on a terminal.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    if matches!(printable(word), Cow::Borrowed(_)) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for c in word.chars() {
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if matches!(printable(c.encode_utf8(&mut [0; 4])), Cow::Borrowed(_)) => out.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_commands_a_shell_reads_back() {
        assert_eq!(Remedy::CleanOrphans.hint(), "spec-kitty doctor orphan-daemons --fix");
        assert_eq!(Remedy::SwitchTeam { team: "a b".into() }.hint(), "spec-kitty auth switch 'a b'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_line(["a", "x;touch p", "$(p)", "`p`"]), "a 'x;touch p' '$(p)' '`p`'");
    }

    #[test]
    fn mission_like_an_option_is_attached_to_its_option() {
        let repair = |mission: &str| Remedy::RepairMission { mission: mission.into() }.hint();
        assert_eq!(repair("--json"), "spec-kitty doctor repair --mission=--json");
        assert_eq!(repair("x;touch p"), "spec-kitty doctor repair --mission 'x;touch p'");
    }

    #[test]
    fn control_characters_are_shell_quoted() {
        let word = shell_word("it's \u{1b}[2J\\\u{202e}é");
        assert_eq!(word, r"$'it\'s \033[2J\\\342\200\256é'");
        assert_eq!(printable(&word), word);
    }
}
