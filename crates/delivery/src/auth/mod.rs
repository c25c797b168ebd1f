//! Login, refresh, logout, and the choice of a team.
//!
//! Owns the client's side of OAuth (device flow, browser with PKCE over loopback, refresh, revocation),
//! the session that it creates, and every change of the stored session. Never prints: the caller
//! shows codes and opens browsers through a [`Prompt`]. Never sends a refresh token to another host than
//! the one that issued it.
//!
//! Invariants. A login that fails changes no file. A session that another process changed meanwhile is neither
//! overwritten nor deleted. No error, prompt or report holds a token.

mod browser;
mod callback;
mod device;
mod login;
mod login_error;
mod logout;
mod me;
mod oauth;
mod refresh;
mod switch;

pub use browser::BROWSER_PATIENCE;
pub use login::{LoginMethod, LoginReport, log_in};
pub use login_error::LoginError;
pub use logout::{LogoutError, LogoutReport, Revoked, log_out};
pub use oauth::OAuthFailure;
pub(crate) use refresh::is_valid;
pub use refresh::{RefreshError, Refreshed, refresh};
pub use switch::{SwitchError, Switched, switch_team};

use std::thread;
use std::time::{Duration, Instant};

/// Whether to continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Continue.
    Continue,
    /// The user gave up.
    Cancel,
}

/// Code to type at the server's page.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCode<'a> {
    /// The code, in groups of four.
    pub user_code: &'a str,
    /// The page.
    pub verification_uri: &'a str,
    /// The page with the code filled in, when the server offers one.
    pub verification_uri_complete: Option<&'a str>,
    /// Lifetime of the code.
    pub expires_in: Duration,
}

/// User interface of a login.
pub trait Prompt {
    /// Shows the page and the code to type. Called once, before the waiting starts.
    fn show_code(&mut self, code: &DeviceCode<'_>);

    /// Opens `url` in a browser; false when there is none.
    fn open_browser(&mut self, url: &str) -> bool;

    /// Waits, and returns whether the user gave up meanwhile.
    fn pause(&mut self, duration: Duration) -> Flow {
        thread::sleep(duration);
        Flow::Continue
    }
}

/// A time limit, by the clock or by the sum of the requested pauses. So it also ends on a machine that sleeps, and
/// with a prompt that does not pause.
struct Span {
    started: Instant,
    paused: Duration,
    length: Duration,
}

impl Span {
    fn new(length: Duration) -> Self {
        Self { started: Instant::now(), paused: Duration::ZERO, length }
    }

    fn is_over(&self) -> bool {
        self.paused.max(self.started.elapsed()) >= self.length
    }

    fn pause(&mut self, prompt: &mut dyn Prompt, duration: Duration) -> Flow {
        self.paused += duration;
        prompt.pause(duration)
    }
}
