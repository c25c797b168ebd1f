//! Ctrl-C during a delivery: the first ends it after the current batch, the second ends the process at once.

use contract::ExitCode;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    #[cfg(unix)]
    _listener: Listener,
}

impl Interrupt {
    /// Listens from now on. `action` runs at the first signal, by a thread of its own: the delivery may be
    /// waiting for the network.
    pub(crate) fn on_first(action: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS {
            // In this order: the first signal must not end the process.
            flag::register_conditional_shutdown(
                signal,
                ExitCode::Interrupted.code().into(),
                Arc::clone(&asked),
            )?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        #[cfg(unix)]
        return Ok(Self { asked, _listener: Listener::start(action)? });
        #[cfg(not(unix))]
        {
            // Nothing waits for signals there without a thread that polls; the second still ends it all.
            drop(action);
            Ok(Self { asked })
        }
    }

    /// Whether a signal has arrived.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The thread that reports the signal; it ends with its owner.
#[cfg(unix)]
#[derive(Debug)]
struct Listener {
    handle: signal_hook::iterator::Handle,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Listener {
    fn start(action: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut signals = signal_hook::iterator::Signals::new(SIGNALS)?;
        let handle = signals.handle();
        let listen = move || {
            if signals.forever().next().is_some() {
                action();
            }
        };
        let thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(listen)?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
