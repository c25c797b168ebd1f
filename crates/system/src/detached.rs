//! What a process does to outlive the one that started it: a session of its own, no inherited descriptors, its
//! output in a log, and the signals that ask it to end.

pub use crate::platform::{
    close_inherited, detach, leave_session, point_output_at, release_code, take_output, watch_signals,
};
