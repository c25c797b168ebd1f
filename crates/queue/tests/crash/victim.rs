//! Processes that perform one act and may be killed in it: this test binary, started for one test that no other
//! caller runs.

use crate::support::Stage;
use contract::Scope;
use queue::fault_point::{FaultPoint, VARIABLE};
use serde_json::{Value, json};
use std::io::{BufRead as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Act of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Capture { ids: Vec<String>, bodies: Vec<String> },
    Settle,
    Migrate,
    Deliver,
}

/// The environment variable that carries the act.
const ACT: &str = "SPEC_KITTY_VICTIM";

impl Act {
    /// Captures some events and no body.
    pub fn capture<'a>(ids: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Capture { ids: ids.into_iter().map(str::to_owned).collect(), bodies: Vec::new() }
    }

    pub fn perform(&self, stage: &Stage, scope: &Scope) {
        match self {
            Self::Capture { ids, bodies } => drop(stage.capture(scope, ids, bodies)),
            Self::Settle => drop(stage.settle(scope)),
            Self::Migrate => drop(stage.migrate(scope)),
            Self::Deliver => stage.deliver(scope),
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Capture { ids, bodies } => json!({ "capture": ids, "bodies": bodies }),
            Self::Settle => json!("settle"),
            Self::Migrate => json!("migrate"),
            Self::Deliver => json!("deliver"),
        }
    }

    fn from_json(value: &Value) -> Self {
        let texts = |key: &str| -> Vec<String> {
            let items = value[key].as_array().expect("a list").iter();
            items.map(|item| item.as_str().expect("text").to_owned()).collect()
        };
        match value.as_str() {
            Some("settle") => Self::Settle,
            Some("migrate") => Self::Migrate,
            Some("deliver") => Self::Deliver,
            _ => Self::Capture { ids: texts("capture"), bodies: texts("bodies") },
        }
    }
}

/// Starts a process that performs `act` on a signal.
pub fn start(stage: &Stage, scope: &Scope, act: &Act, fault: Option<FaultPoint>) -> Child {
    let parts = [scope.server(), scope.principal(), scope.team()];
    let told =
        json!({ "root": stage.root().to_str().expect("a path"), "scope": parts, "act": act.to_json() });
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["--ignored", "--exact", "victim::performs_what_it_was_started_for", "--nocapture"]);
    command.env(ACT, told.to_string()).env_remove(VARIABLE);
    if let Some(point) = fault {
        command.env(VARIABLE, point.name());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().expect("a process")
}

/// Tells a process to begin.
pub fn go(child: &mut Child) {
    child.stdin.take().expect("its input").write_all(b"go\n").expect("told");
}

/// Waits for the end of a process that succeeds or is killed; nothing else may end it.
pub fn end(child: Child) -> ExitStatus {
    let output = child.wait_with_output().expect("an end");
    let fine = output.status.success() || output.status.signal() == Some(9);
    assert!(fine, "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output.status
}

/// Performs `act` in a process of its own; returns whether the process was killed on the way.
pub fn perform(stage: &Stage, scope: &Scope, act: &Act, fault: Option<FaultPoint>) -> bool {
    let mut child = start(stage, scope, act, fault);
    go(&mut child);
    end(child).signal() == Some(9)
}

#[test]
#[ignore = "no test: the body of the process that the crash tests start and kill"]
fn performs_what_it_was_started_for() {
    let Ok(told) = std::env::var(ACT) else { return };
    let told: Value = serde_json::from_str(&told).expect("json");
    let part = |at: usize| told["scope"][at].as_str().expect("text");
    let scope = Scope::new(part(0), part(1), part(2));
    let stage = Stage::at(std::path::Path::new(told["root"].as_str().expect("a path")));
    std::io::stdin().lock().read_line(&mut String::new()).expect("the signal to begin");
    Act::from_json(&told["act"]).perform(&stage, &scope);
}
