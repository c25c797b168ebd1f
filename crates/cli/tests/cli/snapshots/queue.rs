//! The verbs on rows: `preview`, `diagnose`, `export`, `parked`, `migrate`, `gc`, `opt-in` and `opt-out`.

use super::{
    damaged_config, fresh, held, legacy_rows, logged_in, parked, prints, prints_text, switched_off, waiting,
};
use contract::Scope;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{TEAM, USER};

/// Rows of an earlier login of the same user wait in its queue DB.
fn other_queue() -> World {
    let world = logged_in();
    let old = Scope::new("https://gone.invalid", USER, TEAM);
    ReferenceQueue::create(&world.home().scoped_queue(&old)).event(crate::worlds::EVENT, None);
    world
}

fn opted_out() -> World {
    let world = waiting();
    world.run(["sync", "opt-out"]).exits(0);
    world
}

#[test]
fn sync_preview() {
    prints("queue/preview_fresh", fresh, "sync preview");
    prints("queue/preview_nothing", logged_in, "sync preview");
    prints("queue/preview_waiting", waiting, "sync preview");
    prints("queue/preview_held", held, "sync preview");
    prints("queue/preview_opted_out", opted_out, "sync preview");
    prints("queue/preview_switched_off", switched_off, "sync preview");
}

#[test]
fn sync_diagnose() {
    prints("queue/diagnose_fresh", fresh, "sync diagnose");
    prints("queue/diagnose_waiting", waiting, "sync diagnose");
    prints("queue/diagnose_held", held, "sync diagnose --all");
}

#[test]
fn sync_export() {
    prints_text("queue/export_held", &held(), "sync export");
    prints("queue/export_file", held, "sync export --output rows.jsonl");
    prints("queue/export_fresh", fresh, "sync export --output rows.jsonl");
    prints("queue/export_unknown_scope", held, "sync export --scope 0123456789abcdef --output rows.jsonl");
}

#[test]
fn sync_parked() {
    prints("queue/parked_list_none", logged_in, "sync parked list");
    prints("queue/parked_list_one", parked, "sync parked list");
    prints("queue/parked_list_unknown_reason", parked, "sync parked list --reason colour");
    prints("queue/parked_show", parked, "sync parked show 1");
    prints("queue/parked_show_unknown", parked, "sync parked show 99");
    prints("queue/parked_retry", parked, "sync parked retry 1");
    prints("queue/parked_retry_all_none", logged_in, "sync parked retry --all");
    prints("queue/parked_drop", parked, "sync parked drop 1 --reason \"sent by hand\"");
    prints("queue/parked_drop_unknown", parked, "sync parked drop 99 --reason \"sent by hand\"");
    prints("queue/parked_export", parked, "sync parked export --output parked.jsonl");
}

#[test]
fn sync_migrate() {
    prints("queue/migrate_fresh", fresh, "sync migrate");
    prints("queue/migrate_nothing", logged_in, "sync migrate");
    prints("queue/migrate_rows", legacy_rows, "sync migrate");
    prints("queue/migrate_dry_run", legacy_rows, "sync migrate --dry-run");
    let hash =
        format!("sync migrate --from-scope {}", &Scope::new("https://gone.invalid", USER, TEAM).hash()[..16]);
    prints("queue/migrate_from_scope_preview", other_queue, &hash);
    prints("queue/migrate_from_scope", other_queue, &format!("{hash} --yes"));
    prints("queue/migrate_from_unknown_scope", logged_in, "sync migrate --from-scope 0123456789abcdef");
}

#[test]
fn sync_gc() {
    prints("queue/gc_sent", waiting, "sync gc --sent --dry-run");
    prints("queue/gc_fresh", fresh, "sync gc --older-than 30");
    prints("queue/gc_nothing", waiting, "sync gc --older-than 30");
}

#[test]
fn sync_opt_in() {
    prints("queue/opt_in_project", waiting, "sync opt-in");
    prints("queue/opt_in_held", held, "sync opt-in --project 164b830e-0aa9-486a-80e9-73e0ff9bd516");
    let include = "sync opt-in --project 164b830e-0aa9-486a-80e9-73e0ff9bd516 --include-held";
    prints("queue/opt_in_include_held_preview", held, include);
    prints("queue/opt_in_include_held", held, &format!("{include} --yes"));
    prints("queue/opt_in_all_held", held, "sync opt-in --all-held --yes");
    prints("queue/opt_in_all_held_none", logged_in, "sync opt-in --all-held --yes");
    prints("queue/opt_in_again", opted_out, "sync opt-in");
    prints("queue/opt_in_no_project", fresh, "sync opt-in");
    prints("queue/opt_in_damaged_config", damaged_config, "sync opt-in --project tea-timer --yes");
}

#[test]
fn sync_opt_out() {
    prints("queue/opt_out_project", waiting, "sync opt-out");
    prints("queue/opt_out_twice", opted_out, "sync opt-out");
    prints("queue/opt_out_no_project", fresh, "sync opt-out");
}

#[test]
fn sync_status_of_other_queues() {
    prints("queue/status_other_queue", other_queue, "sync status");
    prints("queue/status_opted_out", opted_out, "sync status");
}
