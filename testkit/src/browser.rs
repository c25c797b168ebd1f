//! Browser side of a login: captures the page that a login opens, and approves on it.

use crate::patience::eventually;
use crate::server::Server;
use crate::world::World;
use std::path::PathBuf;
use std::process::Stdio;

/// A fake browser that records the opened page.
#[derive(Debug)]
pub struct Browser {
    opened: PathBuf,
}

impl Browser {
    /// Installs the browser for later commands of `world`.
    ///
    /// # Panics
    /// When it cannot be installed.
    #[cfg(unix)]
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn install(world: &mut World) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        // Beside the working directory: a repository there stays as it is.
        let directory = world.user_home().parent().expect("a parent").join("browser");
        std::fs::create_dir_all(&directory).expect("a directory");
        let (program, opened) = (directory.join("open"), directory.join("opened"));
        let script =
            format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", opened.display());
        std::fs::write(&program, script).expect("a script");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
        world.set("BROWSER", program.to_str().expect("a UTF-8 path"));
        Self { opened }
    }

    /// Waits for the page that a command opens.
    ///
    /// # Panics
    /// When no page is opened.
    #[allow(clippy::expect_used, reason = "a test that waits in vain has to stop")]
    pub fn page(&self) -> String {
        eventually("a browser is opened", || self.opened.exists());
        let page = std::fs::read_to_string(&self.opened).expect("a page");
        std::fs::remove_file(&self.opened).expect("read once");
        page
    }

    /// Waits for the page that a command opens, and approves on it.
    ///
    /// # Panics
    /// When no page is opened, or the approval fails.
    pub fn approve(&self, email: &str, secret: &str) {
        approve(&self.page(), email, secret);
    }
}

/// Runs a login of `world` and approves it as the owner of the server's account. Returns its standard output.
///
/// # Panics
/// When it does not exit 0.
#[cfg(unix)]
#[allow(clippy::expect_used, reason = "a test that cannot log in has to stop")]
pub fn log_in(world: &mut World, server: &Server, email: &str, argv: &[String]) -> String {
    let browser = Browser::install(world);
    let mut command = world.command();
    let child = command.args(argv).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a login");
    browser.approve(email, &server.secret);
    let output = child.wait_with_output().expect("its end");
    assert!(output.status.success(), "{argv:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Loads the approval page and posts its form with address and secret.
///
/// # Panics
/// When the approval fails.
#[allow(clippy::expect_used, reason = "a test that cannot approve has to stop")]
pub fn approve(page: &str, email: &str, secret: &str) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut loaded = agent.get(page).call().expect("the page");
    let cookie = loaded.headers().get("set-cookie").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let html = loaded.body_mut().read_to_string().expect("a page");
    let mut form: Vec<(String, String)> = Vec::new();
    for tag in html.split("<input type=\"hidden\"").skip(1).filter_map(|rest| rest.split('>').next()) {
        let attribute =
            |name: &str| tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next());
        let name = attribute("name").expect("a name");
        form.push((name.to_owned(), attribute("value").unwrap_or_default().replace("&amp;", "&")));
    }
    form.extend(
        [("email", email), ("secret", secret), ("decision", "approve")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let target = page.split('?').next().unwrap_or(page);
    let answer = agent.post(target).header("Cookie", &cookie).send_form(form).expect("an answer");
    assert_eq!(answer.status().as_u16(), 200, "{page}");
}
