//! Owner records and the owner lock.

use super::*;

pub(super) const RECORD: &str = r#"{"auth_principal":null,"auth_scope":null,"auth_team":null,"executable_path":"/x","package_version":"1",
"pid":1,"port":1,"queue_db_path":"/q","server_url":"","source_checkout_path":"/s","started_at":"t","token":"hunter2"}"#;

#[rstest]
#[case::truncated(&RECORD.as_bytes()[..40])]
#[case::empty(b"")]
#[case::with_a_null(RECORD.replace("\"pid\":1,", "\"pid\":null,").leak().as_bytes())]
#[case::with_a_nul_byte(b"{\"pid\":1\0}")]
#[case::not_utf8(b"{\"pid\": \"\xff\xfe\"}")]
#[case::an_array(b"[]")]
#[case::deeply_nested("[".repeat(50_000).leak().as_bytes())]
fn malformed_owner_record(#[case] bytes: &[u8]) {
    let world = world();
    world.write_state("sync/daemon/owner.json", bytes);
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
    let kept = std::fs::read_dir(world.root().join("sync/daemon")).unwrap().flatten();
    let kept: Vec<_> = kept.filter(|entry| entry.file_name().to_string_lossy().contains(".aside-")).collect();
    assert_eq!(std::fs::read(kept[0].path()).unwrap(), bytes, "nothing is deleted");
}

#[test]
fn owner_record_of_a_hundred_megabytes() {
    let world = world();
    world.write_state("sync/daemon/owner.json", b"");
    let path = world.root().join("sync/daemon/owner.json");
    std::fs::File::options().write(true).open(path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    let now = refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    assert!(now.stderr.contains("104857600 bytes"), "{}", now.stderr);
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn owner_record_that_is_a_directory() {
    let world = world();
    std::fs::create_dir_all(world.root().join("sync/daemon/owner.json")).unwrap();
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn owner_lock_that_is_a_directory_is_moved_aside() {
    let world = world();
    std::fs::create_dir_all(world.root().join("sync/daemon/owner.lock")).unwrap();
    refuses_with(&world, "owner_record_unreadable", "owner.json", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}
