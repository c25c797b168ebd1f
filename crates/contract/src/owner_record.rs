//! The daemon owner record, `owner.json`: the identity of the running daemon.
//!
//! Twelve keys that every earlier release reads, plus seven of ours. JSON, keys sorted, indent 2,
//! trailing newline. The record only describes the daemon: ownership is a file lock beside it. The `token`
//! key holds a non-secret marker; the control token is in the control file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use strum::VariantArray as _;

/// The largest record that is read; usual size: one kilobyte.
pub const MAX_BYTES: u64 = 64 * 1024;

/// The value of `token` in records of this program.
pub const TOKEN_MARKER: &str = "see-control-file";

/// Version of our own keys.
pub const RECORD_VERSION: i64 = 1;

/// A parsed daemon owner record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRecord {
    /// Process id of the daemon.
    pub pid: i64,
    /// Port of its control plane on 127.0.0.1.
    pub port: i64,
    /// A marker in our records, the control token in records of the reference. Never shown.
    pub token: String,
    /// Package version of the daemon.
    pub package_version: String,
    /// Executable of the daemon, as it wrote it.
    pub executable_path: PathBuf,
    /// Source checkout of the daemon, as it wrote it.
    pub source_checkout_path: PathBuf,
    /// Server; meaningful only together with a principal.
    pub server_url: String,
    /// Principal (lower-cased), when it had a login.
    pub auth_principal: Option<String>,
    /// Team (lower-cased), when it had a login.
    pub auth_team: Option<String>,
    /// Scope string, when it had a login.
    pub auth_scope: Option<String>,
    /// The queue DB it drains.
    pub queue_db_path: PathBuf,
    /// Start: UTC, `+00:00`.
    pub started_at: String,
    /// Our own keys; absent from records of the reference.
    pub instance: Option<OwnerInstance>,
}

/// The keys that only our daemons write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerInstance {
    /// [`RECORD_VERSION`] of the writer.
    pub record_version: i64,
    /// ULID of this daemon run.
    pub instance_id: String,
    /// Boot id of the machine, when the system has one.
    pub boot_id: Option<String>,
    /// Start time of the process in clock ticks since boot, when the system has one.
    pub process_start_ticks: Option<u64>,
    /// Id of the queue DB it drains, when the file had one.
    pub queue_id: Option<String>,
    /// The owner lock file of its home; none in records of releases that did not note it.
    pub lock: Option<FileNumbers>,
}

/// Device and inode, which identify a file independently of its path. A copy has other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNumbers {
    /// Device of the file system.
    #[serde(rename = "lock_device")]
    pub device: u64,
    /// Inode of the file on it.
    #[serde(rename = "lock_inode")]
    pub inode: u64,
}

/// Reason why bytes are not a daemon owner record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerRecordError {
    /// Not UTF-8.
    #[error("not UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// Not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A required key is missing.
    #[error("key `{0}` is missing")]
    Missing(&'static str),
    /// A key has the wrong type.
    #[error("key `{key}` is not {expected}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// Expected type.
        expected: &'static str,
    },
}

impl OwnerRecord {
    /// Parses the bytes of `owner.json`. Extra keys are ignored; `auth_*` may be missing or null; any other
    /// key must have its type.
    pub fn parse(bytes: &[u8]) -> Result<Self, OwnerRecordError> {
        let text =
            std::str::from_utf8(bytes).map_err(|error| OwnerRecordError::NotUtf8(error.valid_up_to()))?;
        let value: Value =
            serde_json::from_str(text).map_err(|error| OwnerRecordError::NotJson(error.to_string()))?;
        let Value::Object(map) = value else { return Err(OwnerRecordError::NotAnObject) };
        Ok(Self {
            pid: integer(&map, "pid")?,
            port: integer(&map, "port")?,
            token: string(&map, "token")?,
            package_version: string(&map, "package_version")?,
            executable_path: string(&map, "executable_path")?.into(),
            source_checkout_path: string(&map, "source_checkout_path")?.into(),
            server_url: string(&map, "server_url")?,
            auth_principal: optional(&map, "auth_principal")?,
            auth_team: optional(&map, "auth_team")?,
            auth_scope: optional(&map, "auth_scope")?,
            queue_db_path: string(&map, "queue_db_path")?.into(),
            started_at: string(&map, "started_at")?,
            instance: instance(&map)?,
        })
    }

    /// The bytes of `owner.json`: sorted keys, indent 2, trailing newline.
    pub fn render(&self) -> String {
        let path = |path: &PathBuf| Value::from(path.to_string_lossy().into_owned());
        let mut pairs = vec![
            ("auth_principal", Value::from(self.auth_principal.clone())),
            ("auth_scope", Value::from(self.auth_scope.clone())),
            ("auth_team", Value::from(self.auth_team.clone())),
            ("executable_path", path(&self.executable_path)),
            ("package_version", Value::from(self.package_version.clone())),
            ("pid", Value::from(self.pid)),
            ("port", Value::from(self.port)),
            ("queue_db_path", path(&self.queue_db_path)),
            ("server_url", Value::from(self.server_url.clone())),
            ("source_checkout_path", path(&self.source_checkout_path)),
            ("started_at", Value::from(self.started_at.clone())),
            ("token", Value::from(self.token.clone())),
        ];
        if let Some(instance) = &self.instance {
            pairs.extend([
                ("boot_id", Value::from(instance.boot_id.clone())),
                ("instance_id", Value::from(instance.instance_id.clone())),
                ("lock_device", Value::from(instance.lock.map(|lock| lock.device))),
                ("lock_inode", Value::from(instance.lock.map(|lock| lock.inode))),
                ("process_start_ticks", Value::from(instance.process_start_ticks)),
                ("queue_id", Value::from(instance.queue_id.clone())),
                ("record_version", Value::from(instance.record_version)),
            ]);
        }
        pairs.sort_by_key(|(key, _)| *key);
        let map: Map<String, Value> = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        // A map of strings, integers and nulls always serialises.
        let mut text = serde_json::to_string_pretty(&map).unwrap_or_default();
        text.push('\n');
        text
    }

    /// `principal/team` or the principal; none without a principal.
    pub fn team_or_user(&self) -> Option<String> {
        let principal = self.auth_principal.as_deref().filter(|principal| !principal.is_empty())?;
        Some(match self.auth_team.as_deref().filter(|team| !team.is_empty()) {
            Some(team) => format!("{principal}/{team}"),
            None => principal.to_owned(),
        })
    }

    /// The server; none when it is empty or the record has no principal.
    pub fn server(&self) -> Option<&str> {
        self.team_or_user()?;
        Some(self.server_url.as_str()).filter(|server| !server.is_empty())
    }
}

fn integer(map: &Map<String, Value>, key: &'static str) -> Result<i64, OwnerRecordError> {
    let value = map.get(key).ok_or(OwnerRecordError::Missing(key))?;
    value.as_i64().ok_or(OwnerRecordError::WrongType { key, expected: "an integer" })
}

fn string(map: &Map<String, Value>, key: &'static str) -> Result<String, OwnerRecordError> {
    let value = map.get(key).ok_or(OwnerRecordError::Missing(key))?;
    value.as_str().map(str::to_owned).ok_or(OwnerRecordError::WrongType { key, expected: "a string" })
}

fn optional(map: &Map<String, Value>, key: &'static str) -> Result<Option<String>, OwnerRecordError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(OwnerRecordError::WrongType { key, expected: "a string or null" }),
    }
}

fn instance(map: &Map<String, Value>) -> Result<Option<OwnerInstance>, OwnerRecordError> {
    if !map.contains_key("instance_id") && !map.contains_key("record_version") {
        return Ok(None);
    }
    let (device, inode) = (number(map, "lock_device")?, number(map, "lock_inode")?);
    Ok(Some(OwnerInstance {
        record_version: integer(map, "record_version")?,
        instance_id: string(map, "instance_id")?,
        boot_id: optional(map, "boot_id")?,
        process_start_ticks: number(map, "process_start_ticks")?,
        queue_id: optional(map, "queue_id")?,
        lock: device.zip(inode).map(|(device, inode)| FileNumbers { device, inode }),
    }))
}

fn number(map: &Map<String, Value>, key: &'static str) -> Result<Option<u64>, OwnerRecordError> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => Ok(Some(
            value
                .as_u64()
                .ok_or(OwnerRecordError::WrongType { key, expected: "a non-negative integer or null" })?,
        )),
    }
}

/// Status of the daemon owner record, judged from record, lock and process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnerStatus {
    /// No record.
    Absent,
    /// A record of a running daemon.
    Present,
    /// A record without a running daemon.
    Orphan,
    /// A record that cannot be read.
    Unreadable,
}

impl OwnerStatus {
    /// The label of `sync status`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Present => "present",
            Self::Orphan => "orphan",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Advice for a lock file that two homes share because one was copied with hard links. The whole copy gets
/// its own files: two homes that share a database file damage it.
pub fn unlink_advice(lock: &Path) -> String {
    // `<root>/sync/daemon/owner.lock`
    let root = lock.ancestors().nth(3).unwrap_or(lock).to_string_lossy();
    let (root, linked) =
        (crate::remedy::shell_word(&root), crate::remedy::shell_word(&format!("{root}.linked")));
    format!(
        "if this home is the copy: `mv {root} {linked} && cp -a {linked} {root} && rm -r {linked}`; if it is the \
         original, copy it again without hard links"
    )
}

/// Reason why a daemon owner record is an orphan.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum OrphanKind {
    /// The recorded process is gone.
    Dead,
    /// The recorded pid belongs to a process that is not the daemon of this home.
    OtherProgram,
    /// The recorded executable is missing.
    ExecutableMissing,
    /// The record belongs to the daemon of another home, from which this one was copied.
    CopiedHome,
}

impl OrphanKind {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Its name in JSON and text.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its description in one clause.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Dead => "the daemon that wrote it has ended",
            Self::OtherProgram => "the process with its pid is not the daemon of this home",
            Self::ExecutableMissing => "the executable of its daemon is missing",
            Self::CopiedHome => "it belongs to the home that this one was copied from",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> OwnerRecord {
        OwnerRecord {
            pid: 4242,
            port: 9400,
            token: TOKEN_MARKER.into(),
            package_version: "3.3.0".into(),
            executable_path: "/opt/bin/spec-kitty".into(),
            source_checkout_path: "/opt".into(),
            server_url: "https://example.invalid".into(),
            auth_principal: Some("dev@example.com".into()),
            auth_team: Some("team-priv-01".into()),
            auth_scope: None,
            queue_db_path: "/h/queue.db".into(),
            started_at: "2026-05-18T12:00:00+00:00".into(),
            instance: Some(OwnerInstance {
                record_version: RECORD_VERSION,
                instance_id: "01K".into(),
                boot_id: None,
                process_start_ticks: Some(7),
                queue_id: None,
                lock: Some(FileNumbers { device: 1, inode: 2 }),
            }),
        }
    }

    #[test]
    fn rendered_record_parses_to_the_same_record() {
        assert_eq!(OwnerRecord::parse(record().render().as_bytes()), Ok(record()));
        let plain = OwnerRecord { instance: None, ..record() };
        assert_eq!(OwnerRecord::parse(plain.render().as_bytes()), Ok(plain));
    }

    #[test]
    fn keys_are_sorted_and_the_text_ends_with_a_newline() {
        let text = record().render();
        let keys: Vec<_> = text.lines().filter_map(|line| line.trim().split('"').nth(1)).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        assert_eq!(keys.len(), 19);
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn each_malformed_record_names_its_key() {
        let cases: [(&[u8], &str); 7] = [
            (b"", "not JSON"),
            (b"[1]", "not a JSON object"),
            (b"{}", "key `pid` is missing"),
            (b"{\"pid\":null}", "key `pid` is not an integer"),
            (b"{\"pid\":\"7\"}", "key `pid` is not an integer"),
            (b"\xff\xfe", "not UTF-8"),
            (b"\xef\xbb\xbf{}", "not JSON"),
        ];
        for (bytes, expected) in cases {
            let message = OwnerRecord::parse(bytes).expect_err("malformed").to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn lock_numbers_count_only_together() {
        let with = |keys: &str| {
            let text =
                record().render().replace("\"lock_device\": 1,", keys).replace("  \"lock_inode\": 2,\n", "");
            OwnerRecord::parse(text.as_bytes()).map(|record| record.instance.and_then(|own| own.lock))
        };
        assert_eq!(with("\"lock_device\": 1, \"lock_inode\": 2,").map(|lock| lock.is_some()), Ok(true));
        assert_eq!(with("\"lock_device\": 1,"), Ok(None));
        assert_eq!(with(""), Ok(None), "a record of an earlier release");
        assert!(with("\"lock_inode\": -1,").is_err());
    }

    #[test]
    fn orphan_kinds_are_named_alike_in_json_and_text() {
        for kind in OrphanKind::ALL {
            assert_eq!(serde_json::to_value(kind).ok(), Some(Value::from(kind.name())));
        }
    }

    #[test]
    fn server_without_a_principal_is_no_server() {
        let logged_out = OwnerRecord { auth_principal: None, ..record() };
        assert_eq!((logged_out.server(), logged_out.team_or_user()), (None, None));
        let no_team = OwnerRecord { auth_team: Some(String::new()), ..record() };
        assert_eq!(no_team.team_or_user().as_deref(), Some("dev@example.com"));
    }
}
