//! The pages in a real browser, which `.ci/browser` drives.

use super::world::{EMAIL, TEAM, World, event, hasty};
use serde_json::json;
use server::ServerLimits;
use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs chromium"]
fn pages_in_a_real_browser_are_sound() {
    let world = World::with(ServerLimits::default(), hasty());
    let token = world.token();
    for batch in 0..3 {
        let mut events: Vec<_> = (batch * 100..batch * 100 + 80).map(event).collect();
        for event in events.iter_mut().skip(40) {
            event["payload"]["wp_title"] = json!({ "a": 1 });
        }
        events[0]["node_id"] = format!("{batch}123456789ab").into();
        world.batch(&token, TEAM, &events);
    }
    world.login();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/browser");
    let status = Command::new(script)
        .arg(format!("http://{}", world.address()))
        .args([EMAIL, &world.secret, "/machines", "/rejected", "/rejected?skip=50", "/account"])
        .status()
        .expect("python3");
    assert!(status.success(), "{status}");
}
