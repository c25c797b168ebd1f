//! Facts of a coherent machine without a daemon and without legacy rows.

use contract::owner_record::{OwnerInstance, RECORD_VERSION, TOKEN_MARKER};
use contract::{FileNumbers, ForegroundIdentity, OwnerRecord, Scope};
use gate::{ActiveQueueFacts, Facts, LegacyFacts, LoginFacts, OwnerFacts};
use std::path::Path;
use std::time::Instant;

/// Numbers of the lock file that [`owner_record`] names.
pub const LOCK: FileNumbers = FileNumbers { device: 1, inode: 2 };

/// The foreground of an account.
pub fn foreground(scope: &Scope, queue: &Path) -> ForegroundIdentity {
    ForegroundIdentity {
        package_version: "3.3.0".into(),
        executable_path: "/opt/bin/spec-kitty".into(),
        source_path: "/opt".into(),
        server_url: Some(scope.server().into()),
        team_or_user: Some(scope.team_or_user()),
        queue_db_path: queue.into(),
        pid: 7,
    }
}

/// An owner record of this program that agrees with [`foreground`] in all six fields.
pub fn owner_record(scope: &Scope, queue: &Path, queue_id: &str) -> OwnerRecord {
    OwnerRecord {
        pid: 4242,
        port: 50_000,
        token: TOKEN_MARKER.into(),
        package_version: "3.3.0".into(),
        executable_path: "/opt/bin/spec-kitty".into(),
        source_checkout_path: "/opt".into(),
        server_url: scope.server().into(),
        auth_principal: Some(scope.principal().into()),
        auth_team: Some(scope.team().into()),
        auth_scope: None,
        queue_db_path: queue.into(),
        started_at: "2026-05-18T12:00:00+00:00".into(),
        instance: Some(OwnerInstance {
            record_version: RECORD_VERSION,
            instance_id: "01K".into(),
            boot_id: None,
            process_start_ticks: None,
            queue_id: Some(queue_id.into()),
            lock: Some(LOCK),
        }),
    }
}

/// The facts of an account that is logged in.
pub fn coherent(scope: &Scope, queue: &Path, queue_id: Option<String>) -> Facts {
    Facts {
        foreground: foreground(scope, queue),
        login: LoginFacts {
            scope: Some(scope.clone()),
            authenticated: true,
            team_id: Some(scope.team().to_uppercase()),
            absent: None,
            private_teams: vec![scope.team().into()],
        },
        owner: OwnerFacts::absent("/h/sync/daemon/owner.json"),
        stray: None,
        legacy: LegacyFacts { path: "/h/queue.db".into(), ..LegacyFacts::default() },
        active: ActiveQueueFacts { path: queue.into(), queue_id },
        faults: Vec::new(),
        observed_at: Instant::now(),
    }
}
