//! Daemons of the reference in this home: stopped over their own port, never signalled.
//!
//! Such a daemon is recorded in `owner.json` (without our keys) or in the state file `sync-daemon`.
//! Both hold its control token in clear. It is asked for its health first; only an answer that repeats the
//! token proves that the right process listens, and only then the token is sent. The addresses in the
//! files are ignored: nothing but 127.0.0.1 is ever asked.

use crate::control::client::converse;
use crate::control::http::{self, ControlResponse};
use contract::OwnerRecord;
use gate::{OwnerReading, judge_reference_orphan};
use identity::Home;
use identity::paths::canonical_or_clean;
use preflight::owner::{
    ReferenceStateFile, is_outside, is_sync_daemon, observe_owner, read_record, read_state_file,
    serves_other_home,
};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq as _;
use system::private_file::{self, WriteError};
use system::process::ProcessHandle;
use zeroize::Zeroizing;

/// Time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a daemon to end after it agreed; the reference sends what it has first.
const END_TIMEOUT: Duration = Duration::from_secs(15);

/// A daemon of the reference, as a file of our home describes it.
#[derive(Clone)]
pub(crate) struct ReferencePeer {
    pub(crate) pid: u32,
    pub(crate) port: Option<u16>,
    token: Option<Zeroizing<String>>,
}

impl fmt::Debug for ReferencePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReferencePeer {{ pid: {}, port: {:?}, .. }}", self.pid, self.port)
    }
}

/// The identity of the listener at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerIdentity {
    /// The daemon of the file: it repeats the token.
    Itself,
    /// The daemon of the file; it serves another home.
    OfOtherHome,
    /// Another process.
    OtherProcess,
    /// No answer in time; also when the file names no port or no token.
    Unresponsive,
}

/// Reason why a reference daemon was not stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotStopped {
    /// It does not answer.
    #[error("it does not answer")]
    Unresponsive,
    /// Another process answers at its port.
    #[error("another process answers at its port")]
    OtherProcess,
    /// It serves another home, from which this one was copied.
    #[error("it serves another home, from which this one was copied")]
    OfOtherHome,
    /// It refused.
    #[error("it answered the stop request with an error")]
    Refused,
    /// It agreed and is still there.
    #[error("it accepted the stop request and is still running")]
    StillRunning,
}

/// The live reference daemon that the owner record names; none when the record is an orphan.
pub(crate) fn observe_recorded(home: &Home) -> Option<ReferencePeer> {
    let facts = observe_owner(home);
    let orphan = judge_reference_orphan(&facts);
    match facts.reading {
        OwnerReading::Readable(record) if record.instance.is_none() && orphan.is_none() => {
            Some(ReferencePeer {
                pid: u32::try_from(record.pid).ok()?,
                port: u16::try_from(record.port).ok(),
                token: Some(record.token.clone()).filter(|token| !token.is_empty()).map(Zeroizing::new),
            })
        }
        OwnerReading::Readable(_) | OwnerReading::Absent | OwnerReading::Unreadable(_) => None,
    }
}

/// Removes the state file if it came with a copy of another home: it names a process that serves that one,
/// or the process of `record`, which does.
///
/// # Errors
/// It could not be removed.
pub(crate) fn remove_copied_state_file(home: &Home, record: Option<&OwnerRecord>) -> Result<(), WriteError> {
    let copied = read_stated_pid(home).is_some_and(|(pid, _)| {
        let pid = i64::from(pid);
        record.is_some_and(|record| record.pid == pid)
            || (is_sync_daemon(pid) && serves_other_home(pid, home))
    });
    if copied { private_file::remove_file(&home.state_file()).map(drop) } else { Ok(()) }
}

/// Removes the record without our keys, and the state file if it names `pid` as well: the daemon that they name
/// serves another home.
///
/// # Errors
/// One of them could not be removed.
pub(crate) fn remove_files_of(home: &Home, pid: u32) -> Result<(), WriteError> {
    let recorded = matches!(read_record(&home.owner_record()), OwnerReading::Readable(record)
        if record.instance.is_none() && record.pid == i64::from(pid));
    if recorded {
        private_file::remove_file(&home.owner_record())?;
    }
    if read_stated_pid(home).is_some_and(|(stated, _)| stated == pid) {
        private_file::remove_file(&home.state_file())?;
    }
    Ok(())
}

/// The fields of the state file.
fn read_stated_pid(home: &Home) -> Option<(u32, ReferenceStateFile)> {
    let state = read_state_file(&home.state_file());
    // Without a token line the pid is in its place.
    let pid = state.pid.or_else(|| state.token.as_deref()?.parse().ok())?;
    Some((pid, state))
}

/// The live reference daemon that the state file names.
pub(crate) fn observe_stated(home: &Home) -> Option<ReferencePeer> {
    let (pid, state) = read_stated_pid(home)?;
    let token = state.token.filter(|_| state.pid.is_some());
    is_sync_daemon(i64::from(pid)).then(|| ReferencePeer {
        pid,
        port: state.port,
        token: token.map(Zeroizing::new),
    })
}

/// Borrows the token from a buffer that is wiped.
#[derive(Deserialize)]
struct Health<'a> {
    status: &'a str,
    token: &'a str,
    /// Its root, from later releases.
    #[serde(default, borrow)]
    singleton_scope_id: Option<Cow<'a, str>>,
    /// Its own record, if it wrote one.
    #[serde(default, borrow)]
    owner: Option<HealthOwner<'a>>,
}

#[derive(Deserialize)]
struct HealthOwner<'a> {
    #[serde(default, borrow)]
    queue_db_path: Option<Cow<'a, str>>,
}

impl Health<'_> {
    fn names_other_home(&self, home: &Home) -> bool {
        let queue_db = self.owner.as_ref().and_then(|owner| owner.queue_db_path.as_deref());
        [self.singleton_scope_id.as_deref(), queue_db]
            .into_iter()
            .flatten()
            .map(Path::new)
            .any(|path| path.is_absolute() && is_outside(home, &canonical_or_clean(path)))
    }
}

impl ReferencePeer {
    /// Identifies the process that listens at its port.
    pub(crate) fn identify(&self, home: &Home) -> PeerIdentity {
        let (Some(port), Some(token)) = (self.port, &self.token) else { return PeerIdentity::Unresponsive };
        let answer = match ask(port, "GET", "/api/health", b"") {
            Ok(Some(answer)) => answer,
            Ok(None) => return PeerIdentity::OtherProcess,
            Err(_) => return PeerIdentity::Unresponsive,
        };
        let body = Zeroizing::new(answer.body);
        match contract::json::read_object::<Health<'_>>(&body) {
            Ok(health)
                if answer.status == 200
                    && health.status == "ok"
                    && bool::from(health.token.as_bytes().ct_eq(token.as_bytes())) =>
            {
                if health.names_other_home(home) { PeerIdentity::OfOtherHome } else { PeerIdentity::Itself }
            }
            Ok(_) | Err(_) => PeerIdentity::OtherProcess,
        }
    }

    /// Asks it to end, after it proved itself, and waits for that.
    pub(crate) fn stop(&self, home: &Home) -> Result<(), NotStopped> {
        match self.identify(home) {
            PeerIdentity::Itself => {}
            PeerIdentity::OfOtherHome => return Err(NotStopped::OfOtherHome),
            PeerIdentity::OtherProcess => return Err(NotStopped::OtherProcess),
            PeerIdentity::Unresponsive => return Err(NotStopped::Unresponsive),
        }
        let (Some(port), Some(token)) = (self.port, &self.token) else {
            return Err(NotStopped::Unresponsive);
        };
        // The handle is taken before the request to stop: afterwards the pid may be reused.
        let handle = ProcessHandle::open(self.pid).ok();
        // A document of one string always serialises.
        let body = serde_json::to_vec(&serde_json::json!({ "token": token.as_str() })).unwrap_or_default();
        let body = Zeroizing::new(body);
        match ask(port, "POST", "/api/shutdown", &body) {
            Ok(Some(answer)) if answer.status == 200 => {}
            Ok(_) => return Err(NotStopped::Refused),
            Err(_) => return Err(NotStopped::Unresponsive),
        }
        match handle {
            Some(handle) if !handle.wait(END_TIMEOUT) => Err(NotStopped::StillRunning),
            Some(_) | None => Ok(()),
        }
    }
}

fn ask(port: u16, method: &str, path: &str, body: &[u8]) -> io::Result<Option<ControlResponse>> {
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), ANSWER_TIMEOUT)?;
    let request = http::render_request(
        method,
        path,
        port,
        &[("Content-Type", "application/json"), ("Connection", "close")],
        body,
    );
    converse(&mut stream, &request, deadline)
}
