//! The session store: both directions of the shared format, its protocol, and every way a session can
//! be unreadable.

use crate::world::{set_mode, time, today};
use identity::{Config, Secret, Session, SessionCacheUse, SessionError, SessionStore};
use std::fs;
use std::time::Duration;
use system::{FileLock, Machine};
use testkit::World;

fn machine() -> Machine {
    Machine { hostname: "a-host".to_owned(), uid: 4242 }
}

fn session(email: &str) -> Session {
    Session {
        refresh_token: Secret::new(format!("refresh of {email}")),
        access_token_expires_at: time("2026-11-22T10:00:00Z"),
        generation: Some(3),
        ..testkit::world::session("https://issuer.invalid", email, "Team-One")
    }
}

fn store(world: &World) -> SessionStore {
    SessionStore::new(&world.home(), machine())
}

fn written(world: &World) -> SessionStore {
    let store = store(world);
    store.write(&session("a@example.com")).expect("written");
    store
}

fn problem(world: &World) -> String {
    store(world).read().expect_err("a problem").to_string()
}

#[test]
fn session_round_trips_and_is_private() {
    let world = World::of_library();
    let store = written(&world);
    assert_eq!(store.read().expect("readable"), Some(session("a@example.com")));
    let salt = fs::read(world.home().session_salt()).expect("a salt");
    store.write(&session("b@example.com")).expect("written");
    assert_eq!(fs::read(world.home().session_salt()).expect("a salt"), salt, "the salt is reused");
    let text = fs::read_to_string(world.home().session_file()).expect("a file");
    assert!(
        text.starts_with("{\"version\": 2, \"nonce\": \"") && text.contains("\", \"ciphertext\": \""),
        "{text}"
    );
    assert!(!text.contains("example.com"));
    let renamed = Machine { hostname: "another".to_owned(), ..machine() };
    let error = SessionStore::new(&world.home(), renamed).read().expect_err("another key");
    assert!(matches!(error, SessionError::Key(..)), "{error}");
}

#[cfg(unix)]
#[test]
fn its_files_are_private_and_its_lock_does_not_stay() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::of_library();
    fs::create_dir_all(world.home().auth_dir()).expect("a directory");
    set_mode(&world.home().auth_dir(), 0o755);
    written(&world);
    let mode = |path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(world.home().auth_dir()), 0o700);
    for path in [world.home().session_file(), world.home().session_salt(), world.home().session_cache_file()]
    {
        assert_eq!(mode(path), 0o600);
    }
    assert!(!world.home().session_lock().exists());
}

#[test]
fn write_removes_the_summary_and_leaves_a_card_without_secrets() {
    let world = World::of_library();
    world.write(&world.home().session_hot_path(), "{}");
    world.write_config("[sync]\nserver_url = \"https://h\"\n");
    written(&world);
    assert!(!world.home().session_hot_path().exists());
    let cache = fs::read_to_string(world.home().session_cache_file()).expect("a cache");
    assert!(
        cache.contains("https://h") && cache.contains("a@example.com") && cache.contains("Team-One"),
        "{cache}"
    );
    assert!(!cache.contains("access\"") && !cache.contains("refresh of"), "{cache}");
    let config = Config::read(&world.home()).expect("a config");
    let login =
        identity::login::read_login_at(&world.home(), &config, &world.environment(), &machine(), today());
    assert_eq!((login.session_cache, login.authenticated), (SessionCacheUse::Used, true));
}

#[test]
fn reading_nothing_creates_nothing() {
    let world = World::of_library();
    assert_eq!(store(&world).read().expect("no session"), None);
    assert!(!world.home().root().exists());
    world.write(&world.home().session_salt(), "a salt without a session");
    assert_eq!(store(&world).read().expect("no session"), None);
}

#[test]
fn each_damage_is_named() {
    let world = World::of_library();
    written(&world);
    let good = fs::read(world.home().session_file()).expect("a session");
    let write = |bytes: &[u8]| {
        fs::write(world.home().session_file(), bytes).expect("damaged");
        set_mode(&world.home().session_file(), 0o600);
    };
    let text = String::from_utf8(good.clone()).expect("text");
    let cut = text.len() / 2;
    let nested = "[".repeat(200_000);
    let cases: [(&[u8], &str); 9] = [
        (b"", "it ends early"),
        (&good[..cut], "it ends early, at line 1"),
        (b"\xff\xfe\x00", "is not a session"),
        (b"\"a string\"", "not a JSON object"),
        (nested.as_bytes(), "is not a session"),
        (b"{\"version\": 1, \"access_token\": \"hunter2\"}", "has version 1; this release reads version 2"),
        (b"{\"version\": \"hunter2\"}", "has no version"),
        (b"{\"version\": 2, \"nonce\": \"hunter2\", \"ciphertext\": \"00\"}", "key `nonce`"),
        (b"{\"version\": 2, \"nonce\": \"000000000000000000000000\", \"ciphertext\": 5}", "key `ciphertext`"),
    ];
    for (bytes, expected) in cases {
        write(bytes);
        let problem = problem(&world);
        assert!(problem.contains(expected) && !problem.contains("hunter2"), "{expected}: {problem}");
    }
    // One flipped bit of the ciphertext.
    let last = if text.ends_with("0\"}") { "1\"}" } else { "0\"}" };
    write(format!("{}{last}", &text[..text.len() - 3]).as_bytes());
    assert!(problem(&world).contains("or it was altered"));
}

#[test]
fn each_trouble_with_the_salt_is_named() {
    let world = World::of_library();
    written(&world);
    let salt = world.home().session_salt();
    for (bytes, expected) in
        [(&b"sixteen bytes..!"[..], "its salt was replaced"), (b"short", "has 5 bytes instead of 16")]
    {
        fs::write(&salt, bytes).expect("another salt");
        let problem = problem(&world);
        assert!(problem.contains(expected), "{problem}");
    }
    fs::remove_file(&salt).expect("removed");
    assert!(problem(&world).contains("session.salt, is missing"));
    fs::create_dir(&salt).expect("an obstacle");
    assert!(problem(&world).contains("session.salt, is a directory"));
}

#[test]
fn files_that_are_none_or_huge_are_named_without_being_read() {
    let world = World::of_library();
    written(&world);
    let path = world.home().session_file();
    let file = fs::File::create(&path).expect("a file");
    file.set_len(100 << 20).expect("a hundred megabytes");
    assert!(problem(&world).contains("has 104857600 bytes"));
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("an obstacle");
    assert!(problem(&world).contains("is a directory"));
}

#[cfg(unix)]
#[test]
fn modes_links_and_pipes() {
    let world = World::of_library();
    written(&world);
    let path = world.home().session_file();
    for mode in [0o644, 0o640, 0o604, 0o620] {
        set_mode(&path, mode);
        assert!(problem(&world).contains(&format!("has mode {mode:04o}")));
    }
    set_mode(&path, 0o400);
    assert!(store(&world).read().is_ok(), "stricter is fine");
    let moved = world.user_home().join("moved.json");
    fs::rename(&path, &moved).expect("moved");
    std::os::unix::fs::symlink(&moved, &path).expect("a link");
    assert!(store(&world).read().expect("readable").is_some(), "a link to a private file");
    fs::remove_file(&moved).expect("removed");
    assert!(problem(&world).contains("symbolic link"));
    fs::remove_file(&path).expect("removed");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(problem(&world).contains("is a device"), "a pipe must not block");
    }
}

#[test]
fn login_replaces_every_unreadable_session() {
    let damages: [fn(&World); 5] = [
        |world| fs::write(world.home().session_file(), "{").expect("damaged"),
        |world| fs::write(world.home().session_salt(), "short").expect("damaged"),
        |world| {
            fs::remove_file(world.home().session_file()).expect("removed");
            fs::create_dir(world.home().session_file()).expect("an obstacle");
        },
        |world| {
            fs::remove_file(world.home().session_salt()).expect("removed");
            fs::create_dir(world.home().session_salt()).expect("an obstacle");
        },
        |world| set_mode(&world.home().session_file(), 0o644),
    ];
    for damage in damages {
        let world = World::of_library();
        written(&world);
        damage(&world);
        let store = store(&world);
        store.write(&session("new@example.com")).expect("a login");
        assert_eq!(store.read().expect("readable"), Some(session("new@example.com")));
    }
}

#[test]
fn delete_removes_all_of_it_and_twice_is_no_error() {
    let world = World::of_library();
    let store = written(&world);
    world.write(&world.home().session_hot_path(), "{}");
    store.delete().expect("deleted");
    assert_eq!(fs::read_dir(world.home().auth_dir()).expect("entries").count(), 0);
    store.delete().expect("nothing to delete");
    assert_eq!(store.read().expect("no session"), None);
}

#[test]
fn changed_session_is_neither_replaced_nor_deleted() {
    let world = World::of_library();
    let store = written(&world);
    let stale = session("stale@example.com");
    let same = |stored: Option<&Session>| stored.is_some_and(|stored| *stored == stale);
    assert!(!store.replace_if(&session("x@example.com"), same).expect("asked"));
    assert!(!store.delete_if(|stored| *stored == stale).expect("asked"));
    assert_eq!(store.read().expect("readable"), Some(session("a@example.com")));

    let current = session("a@example.com");
    let same = |stored: Option<&Session>| stored.is_some_and(|stored| *stored == current);
    assert!(store.replace_if(&session("b@example.com"), same).expect("replaced"));
    assert!(store.delete_if(|stored| stored.email == "b@example.com").expect("deleted"));
    assert!(!store.delete_if(|_| true).expect("nothing to delete"));
}

#[test]
fn writer_waits_for_the_lock_of_another_and_a_reader_does_not() {
    let world = World::of_library();
    let store = written(&world);
    let held =
        FileLock::acquire(&world.home().session_lock(), Duration::ZERO, "the session").expect("the lock");
    assert!(store.read().expect("readable").is_some());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.write(&session("b@example.com")));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!writer.is_finished());
        drop(held);
        writer.join().expect("a thread").expect("written");
    });
    assert_eq!(store.read().expect("readable"), Some(session("b@example.com")));
}

/// The other direction, with the libraries of the reference.
#[test]
#[ignore = "needs Python with the package cryptography"]
fn independent_implementation_decrypts_our_session() {
    const PROGRAM: &str = r#"
import hashlib, json, sys
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
directory, passphrase = sys.argv[1:]
salt = open(directory + "/session.salt", "rb").read()
file = json.load(open(directory + "/session.json"))
key = hashlib.scrypt(passphrase.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)
plain = AESGCM(key).decrypt(bytes.fromhex(file["nonce"]), bytes.fromhex(file["ciphertext"]), None)
session = json.loads(plain)
print(list(file), session["email"], session["generation"], session["issued_at"], session["teams"][0]["id"])
"#;
    let world = World::of_library();
    written(&world);
    let output = std::process::Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(world.home().auth_dir())
        .arg("a-host:4242")
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "['version', 'nonce', 'ciphertext'] a@example.com 3 2026-05-18T12:00:00+00:00 Team-One"
    );
}
