//! Detaching a process from its starter: own session, no inherited descriptors, output in a log, and
//! termination signals.

pub use crate::platform::{
    close_inherited, detach, leave_session, point_output_at, release_code, take_output, watch_signals,
};
