//! Ctrl-C, and what asks for the same: a flag that a command looks at where it can stop.

use crate::error::{CliError, chain};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The flag. The first signal sets it; the second ends the process at once, as if nobody had listened.
pub(crate) fn watch() -> Result<Arc<AtomicBool>, CliError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let registered =
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&interrupted)));
        registered.map_err(|error| CliError::failed("SIGNALS", chain(&error)))?;
    }
    Ok(interrupted)
}
