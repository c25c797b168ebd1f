//! Recorded homes of the reference, copied into a separate world. Commands run under the recorded host
//! name and user, because a session is readable only there.

use crate::tree;
use crate::world::{Run, World, finish};
use std::path::Path;
use std::process::Command;

/// Method to run a process as user 1000 on `fixture-host`.
#[derive(Clone, Copy, Debug)]
pub enum Disguise {
    /// As root, by changing the user.
    Root,
    /// In a user namespace.
    UserNamespace,
}

impl Disguise {
    /// The method that works on this machine, if any.
    pub fn find() -> Option<Self> {
        let works = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| {
                output.status.success()
                    && String::from_utf8_lossy(&output.stdout).trim() == "fixture-host 1000"
            })
        };
        let probe = "echo $(uname -n) $(id -u)";
        if works(
            "unshare",
            &[
                "--uts",
                "sh",
                "-c",
                &format!(
                    "hostname fixture-host && exec setpriv --reuid=1000 --regid=1000 --clear-groups sh -c '{probe}'"
                ),
            ],
        ) {
            return Some(Self::Root);
        }
        if works(
            "unshare",
            &[
                "--user",
                "--map-root-user",
                "--uts",
                "sh",
                "-c",
                &format!(
                    "hostname fixture-host && exec unshare --user --map-user=1000 --map-group=1000 sh -c '{probe}'"
                ),
            ],
        ) {
            return Some(Self::UserNamespace);
        }
        None
    }

    /// Runs the program of `world` as the recorded user.
    #[must_use = "look at the exit code or the output"]
    pub fn run(self, world: &World, arguments: &[&str]) -> Run {
        let (outer, inner): (&[&str], &str) = match self {
            Self::Root => (&["--uts"], "setpriv --reuid=1000 --regid=1000 --clear-groups"),
            Self::UserNamespace => {
                (&["--user", "--map-root-user", "--uts"], "unshare --user --map-user=1000 --map-group=1000")
            }
        };
        let mut command = Command::new("unshare");
        command.args(outer).args(["sh", "-c"]);
        command.arg(format!("hostname fixture-host && exec {inner} \"$@\"")).arg("sh");
        command.arg(world.binary()).args(arguments);
        world.dress(&mut command);
        finish(command)
    }
}

/// Copies a recorded home as its README requires.
///
/// # Panics
/// When it cannot be copied.
#[allow(clippy::unwrap_used, reason = "a test that cannot build its world has to stop")]
pub fn world_of(binary: &str, home: &Path, disguise: Disguise) -> World {
    let world = World::new(binary);
    let source = home.join(".spec-kitty");
    if source.exists() {
        tree::copy(&source, &world.root()).unwrap();
    }
    let chmod = |path: &Path, mode: &str| {
        if path.exists() {
            assert!(Command::new("chmod").args(["-R", mode]).arg(path).status().unwrap().success());
        }
    };
    chmod(&world.root().join("auth"), "u=rwX,go=");
    let base = world.user_home().parent().unwrap();
    assert!(Command::new("chmod").arg("755").arg(base).status().unwrap().success());
    if matches!(disguise, Disguise::Root) {
        let status =
            Command::new("chown").args(["-R", "1000:1000"]).arg(world.user_home()).arg(world.work()).status();
        assert!(status.unwrap().success());
    }
    world
}
