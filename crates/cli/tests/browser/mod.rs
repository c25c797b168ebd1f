//! A browser with a person in front of it: the program under test opens it, and the person approves.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, unreachable_pub, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::World;

/// How long opening the browser may take; far beyond what it does take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser that notes which page it was told to open.
pub struct Browser {
    opened: PathBuf,
}

impl Browser {
    /// Makes it the browser of `world`.
    pub fn install(world: &mut World) -> Self {
        let (program, opened) = (world.work().join("browser"), world.work().join("opened"));
        let path = opened.display();
        let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{path}.new' && mv '{path}.new' '{path}'\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        world.set("BROWSER", program.to_str().unwrap());
        Self { opened }
    }

    /// Waits for the page, types e-mail address and secret, presses Approve.
    pub fn approve(&self, email: &str, secret: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.opened.exists() {
            assert!(Instant::now() < deadline, "no browser was opened");
            std::thread::sleep(Duration::from_millis(5));
        }
        let page = fs::read_to_string(&self.opened).unwrap();
        fs::remove_file(&self.opened).unwrap();
        send_form(&page, "/oauth/authorize", email, secret);
    }
}

/// Fills in the form of `page`, which is at `path` of its server, and approves.
pub fn send_form(page: &str, path: &str, email: &str, secret: &str) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut loaded = agent.get(page).call().unwrap();
    let cookie = loaded.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let html = loaded.body_mut().read_to_string().unwrap();
    let mut form: Vec<(String, String)> = Vec::new();
    for tag in html.split("<input type=\"hidden\"").skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let attribute =
            |name: &str| tag.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap();
        form.push((attribute("name").to_owned(), attribute("value").replace("&amp;", "&")));
    }
    for (name, value) in [("email", email), ("secret", secret), ("decision", "approve")] {
        form.push((name.to_owned(), value.to_owned()));
    }
    let target = format!("{}{path}", page.split_once(path).unwrap().0);
    let answer = agent.post(&target).header("Cookie", &cookie).send_form(form).unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{page}");
}

/// A new approval secret of the account `email` in the server data at `data`.
pub fn approval_secret(world: &World, data: &Path, email: &str) -> String {
    let data = data.to_str().unwrap();
    let issued = world.run(["server", "user", "secret", "--email", email, "--data", data, "--json"]);
    issued.exits(0).json()["approval_secret"].as_str().unwrap().to_owned()
}
