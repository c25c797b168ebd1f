//! A world with a login and a project, in which hints are typed as they stand.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub, reason = "tests")]

use std::process::Command;
use testkit::owner::failing_names;
use testkit::{Run, World};

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_spec-kitty")
}

/// A world with a login and a project; daemons are allowed, and end with it.
pub struct Stage(pub World);

impl Stage {
    pub fn new() -> Self {
        let world = World::new(program());
        world.log_in().init_project();
        Self(world)
    }

    /// The refusal of the gate names the hint.
    #[track_caller]
    pub fn refuses(&self, hint: &str) {
        let run = self.0.run(["sync", "status", "--check"]).exits(2);
        assert!(run.stdout.lines().any(|line| line.trim() == hint), "{hint}: {}", run.stdout);
    }

    #[track_caller]
    pub fn is_coherent(&self) {
        let status = self.0.run(["sync", "status", "--check", "--json"]).json();
        assert_eq!(failing_names(&status), [""; 0], "{status:#}");
    }

    /// Types the hint into a shell.
    pub fn type_hint(&self, hint: &str) -> Run {
        let words = hint.strip_prefix("spec-kitty ").expect("a command");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec \"$0\" {words}")).arg(program());
        self.0.dress(&mut shell);
        testkit::world::finish(shell)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.0.run(["sync", "daemon", "stop"]);
    }
}
