//! Verbs whose work depends on how much waits or was recorded, at two sizes.

use crate::BINARY;
use crate::commands::{append, planned};
use benches::mean_cost;
use benches::report::PerformanceReport;
use testkit::mission::Mission;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::SERVER;

/// The processor time of a short command is a mean of so many.
const RUNS: u32 = 10;

/// Each with what its size is: rows that wait, or rows of the log.
const VERBS: [(&str, &[&str]); 13] = [
    ("sync status", &["sync", "status", "--json"]),
    ("sync diagnose", &["sync", "diagnose", "--json"]),
    ("sync export", &["sync", "export"]),
    ("sync preview", &["sync", "preview", "--json"]),
    ("sync routes", &["sync", "routes", "--json"]),
    ("sync parked list", &["sync", "parked", "list", "--json"]),
    ("sync gc", &["sync", "gc", "--json"]),
    ("sync opt-out", &["sync", "opt-out"]),
    ("sync opt-in", &["sync", "opt-in", "--yes"]),
    ("agent status show", &["agent", "status", "show", "--mission", "tea-timer", "--json"]),
    ("agent status materialize", &["agent", "status", "materialize", "--mission", "tea-timer", "--json"]),
    ("agent status validate", &["agent", "status", "validate", "--mission", "tea-timer", "--json"]),
    ("agent tasks status", &["agent", "tasks", "status", "--mission", "tea-timer", "--json"]),
];

/// Every verb at two sizes.
pub(crate) fn verbs(report: &mut PerformanceReport) {
    for rows in [3_000_u32, 30_000] {
        let world = testkit::host::logged_in(BINARY);
        world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 100000\n"));
        let mission: Mission = planned(&world);
        append(&mission, rows as usize);
        ReferenceQueue::open(&world.home().scoped_queue(&world.scope())).many_events(rows);
        // Binds the rows.
        let _ = world.run(["sync", "migrate"]).exits(0);
        for (name, argv) in VERBS {
            let cost = mean_cost(RUNS, || {
                let mut command = world.command();
                command.args(argv);
                command
            });
            report.list(name, f64::from(rows), cost);
        }
    }
}
