//! `quickstart`: a complete demonstration on one machine, in a directory of its own.
//!
//! Each step is a real command of this CLI, printed before it runs, and verified afterwards; the
//! quickstart succeeds only if every one had the expected result.

mod browser;
mod failure;
mod mission_text;
mod sandbox;

use crate::render;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, no_document};
use contract::OwnerRecord;
use failure::failed;
use sandbox::{QuickstartSandbox, indented};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Demonstrate server, login, refusal, remedy and delivery on this machine
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty quickstart --dir demo")]
pub(crate) struct QuickstartArgs {
    /// Directory of the demonstration; must be empty or absent
    #[arg(long, value_name = "DIR", default_value = DEFAULT)]
    dir: PathBuf,
}

const EMAIL: &str = "ada@example.com";

impl Verb for QuickstartArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        no_document(asked)
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let directory =
            fresh_directory(&context.directory().join(&self.dir), self.dir == Path::new(DEFAULT))?;
        render::print_text(&format!(
            "Everything happens in {}; nothing outside it is touched.\n",
            contract::text::path(&directory)
        ));
        let mut sandbox = QuickstartSandbox::new(&directory)?;
        let outcome = run_steps(&mut sandbox);
        // Whatever happened, nothing that was started here stays behind.
        sandbox.stop_processes();
        outcome?;
        render::print_text(&closing_text(&sandbox));
        Ok(Report::silent())
    }
}

const DEFAULT: &str = "quickstart-world";

/// The directory to build in: the one that was named, or the first free `quickstart-world[-N]`.
fn fresh_directory(wanted: &Path, may_number: bool) -> Result<PathBuf, CliError> {
    let is_free =
        |path: &Path| std::fs::read_dir(path).map_or(!path.exists(), |mut entries| entries.next().is_none());
    let numbered = (2..1000).map(|number| {
        let mut name = wanted.as_os_str().to_owned();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    });
    std::iter::once(wanted.to_owned())
        .chain(numbered.filter(|_| may_number))
        .find(|path| is_free(path))
        .ok_or_else(|| {
            let path = contract::text::path(wanted);
            CliError::failed("QUICKSTART_DIRECTORY", format!("{path} is not empty; name another with --dir"))
        })
}

fn run_steps(sandbox: &mut QuickstartSandbox) -> Result<(), CliError> {
    serve_and_log_in(sandbox)?;
    let (slug, artifacts) = plan_a_mission(sandbox)?;

    sandbox.title("What waits, and whether the boundary is coherent");
    sandbox.show(&["sync", "status", "--check"], 0)?;
    let waiting = WaitingCounts::of(&sandbox.document(&["sync", "status", "--json"], 0)?);
    sandbox.verify("events and bodies wait", waiting.events > 0 && waiting.bodies > 0)?;

    demonstrate_refusal(sandbox)?;

    sandbox.title("The daemon delivers what waited");
    let left = sandbox
        .await_document(&["sync", "status", "--json"], |status| WaitingCounts::of(status).is_nothing())?;
    sandbox.verify("nothing waits any more", WaitingCounts::of(&left).is_nothing())?;
    sandbox.show(&["sync", "daemon", "stop"], 0)?;

    sandbox.title("Without a daemon: one more step waits, and `sync now` delivers it");
    let step =
        ["agent", "status", "emit", "WP01", "--mission", &slug, "--to", "for_review", "--actor", "ada"];
    let assurances = ["--subtasks-complete", "--implementation-evidence-present"];
    sandbox.show(&[&step[..], &assurances].concat(), 0)?;
    let more = WaitingCounts::of(&sandbox.document(&["sync", "status", "--check", "--json"], 0)?);
    sandbox.verify("it waits", more.events > 0)?;
    let delivered = sandbox.show_output(&["sync", "now"], 0)?;
    sandbox.verify("`sync now` reports it", delivered.stdout.contains("delivered"))?;
    let left = WaitingCounts::of(&sandbox.document(&["sync", "status", "--check", "--json"], 0)?);
    sandbox.verify("nothing waits any more", left.is_nothing())?;

    let captured =
        WaitingCounts { events: waiting.events + more.events, bodies: waiting.bodies + more.bodies };
    prove(sandbox, &captured, &artifacts)
}

fn serve_and_log_in(sandbox: &mut QuickstartSandbox) -> Result<(), CliError> {
    sandbox.title("An ingest server on loopback, with one account");
    let data = sandbox.path("server");
    let data = data.to_string_lossy().into_owned();
    let account =
        sandbox.document(&["server", "user", "add", "--data", &data, "--email", EMAIL, "--json"], 0)?;
    let secret = account["approval_secret"].as_str().unwrap_or_default().to_owned();
    sandbox.verify("the account has an approval secret", !secret.is_empty())?;
    sandbox.serve(&data)?;

    sandbox.title("Log in: a code is shown here and approved in a browser");
    sandbox.log_in(EMAIL, &secret)?;
    sandbox.show(&["auth", "status"], 0)
}

/// A small mission in a scratch repository. Gives back its name and the documents that have to arrive.
fn plan_a_mission(sandbox: &mut QuickstartSandbox) -> Result<(String, Vec<PathBuf>), CliError> {
    sandbox.title("A scratch git repository");
    sandbox.git(&["init", "--quiet", "--initial-branch=main"])?;
    sandbox.git(&["config", "user.name", "Ada"])?;
    sandbox.git(&["config", "user.email", EMAIL])?;
    sandbox.write("repo/.kittify/.gitkeep", "")?;
    sandbox.git(&["add", ".kittify"])?;
    sandbox.git(&["commit", "--quiet", "-m", "start"])?;

    sandbox.title("A mission: every step of it is captured");
    let created = sandbox.document(&["agent", "mission", "create", "tea-timer", "--json"], 0)?;
    let slug = created["mission_slug"].as_str().unwrap_or_default().to_owned();
    sandbox.verify("the mission was created", !slug.is_empty())?;
    let mission = PathBuf::from("repo/kitty-specs").join(&slug);
    sandbox.edit(&mission.join("spec.md"), mission_text::SPEC)?;
    sandbox.git(&["add", "kitty-specs"])?;
    sandbox.git(&["commit", "--quiet", "-m", "Write the spec"])?;
    sandbox.show(&["agent", "mission", "setup-plan", "--mission", &slug], 0)?;
    sandbox.edit(&mission.join("plan.md"), mission_text::PLAN)?;
    sandbox.show(&["agent", "mission", "setup-plan", "--mission", &slug], 0)?;
    sandbox.edit(&mission.join("tasks.md"), mission_text::TASKS)?;
    sandbox.edit(&mission.join("tasks/WP01-steep.md"), mission_text::WORK_PACKAGE)?;
    sandbox.git(&["add", "kitty-specs"])?;
    sandbox.git(&["commit", "--quiet", "-m", "Write the tasks"])?;
    for lane in ["claimed", "in_progress"] {
        let argv = ["agent", "status", "emit", "WP01", "--mission", &slug, "--to", lane, "--actor", "ada"];
        sandbox.show(&argv, 0)?;
    }
    let documents = ["spec.md", "plan.md", "tasks.md", "tasks/WP01-steep.md"].map(|name| mission.join(name));
    Ok((slug, documents.into()))
}

#[allow(clippy::disallowed_methods, reason = "a directory that this command created")]
fn demonstrate_refusal(sandbox: &mut QuickstartSandbox) -> Result<(), CliError> {
    sandbox.title("A real daemon, and a boundary broken on purpose");
    sandbox.show(&["sync", "daemon", "start"], 0)?;
    let record = sandbox.path("home/.spec-kitty/sync/daemon/owner.json");
    let bytes = std::fs::read(&record)
        .map_err(|error| failed(format!("could not read {}: {error}", record.display())))?;
    let mut parsed =
        OwnerRecord::parse(&bytes).map_err(|error| failed(format!("the owner record is {error}")))?;
    parsed.package_version = "3.2.0rc11".to_owned();
    render::print_text(&indented("(owner.json now names an older release as the daemon)"));
    sandbox.write("home/.spec-kitty/sync/daemon/owner.json", &parsed.render())?;

    sandbox.title("The refusal");
    let refusal = sandbox.show_output(&["sync", "now"], 2)?;
    let named =
        refusal.stderr.contains("daemon_package_version") && refusal.stderr.contains("doctor restart-daemon");
    sandbox.verify("the refusal names the field and its remedy", named)?;
    let status = sandbox.document(&["sync", "status", "--check", "--json"], 2)?;
    let field = status["mismatches"][0]["field"].as_str() == Some("daemon_package_version");
    sandbox.verify("`sync status --check` agrees", field)?;

    sandbox.title("The remedy");
    sandbox.show(&["doctor", "restart-daemon"], 0)?;
    sandbox.show(&["sync", "status", "--check"], 0)
}

/// Asks the server what it has, and compares with what was captured.
fn prove(
    sandbox: &mut QuickstartSandbox,
    waiting: &WaitingCounts,
    artifacts: &[PathBuf],
) -> Result<(), CliError> {
    sandbox.title("What the server has");
    let events = sandbox.ask_server("/api/v1/inspect/events")?;
    let ids: Vec<&str> = list(&events).filter_map(|event| event["event_id"].as_str()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    sandbox.verify(
        &format!("{} captured events arrived, each once", waiting.events),
        ids.len() as u64 == waiting.events && unique.len() == ids.len(),
    )?;
    let bodies = sandbox.ask_server("/api/v1/inspect/bodies")?;
    let hashes: Vec<&str> = list(&bodies).filter_map(|body| body["content_hash"].as_str()).collect();
    sandbox.verify(
        &format!("{} captured bodies arrived, each once", waiting.bodies),
        hashes.len() as u64 == waiting.bodies,
    )?;
    for artifact in artifacts {
        let hash = sandbox.hash(artifact)?;
        let name = artifact.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let count = hashes.iter().filter(|known| **known == hash).count();
        sandbox.verify(&format!("{name} arrived byte for byte, once"), count == 1)?;
    }
    Ok(())
}

fn list(document: &Value) -> impl Iterator<Item = &Value> {
    document["rows"].as_array().into_iter().flatten()
}

/// Rows that wait in the active queue.
struct WaitingCounts {
    events: u64,
    bodies: u64,
}

impl WaitingCounts {
    fn of(status: &Value) -> Self {
        let count = |key: &str| status["active_queue"][key].as_u64().unwrap_or_default();
        Self { events: count("event_count"), bodies: count("body_upload_count") }
    }

    fn is_nothing(&self) -> bool {
        self.events == 0 && self.bodies == 0
    }
}

fn closing_text(sandbox: &QuickstartSandbox) -> String {
    let path = |name: &str| contract::text::path(&sandbox.path(name));
    let quoted = |name: &str| contract::remedy::shell_word(&sandbox.path(name).to_string_lossy());
    format!(
        "\nEvery step was verified. The server and the daemon are stopped; everything is still there:\n\
         \x20 {}  the state root: config.toml, the scoped queue DB, the login\n\
         \x20 {}  the repository with the mission\n\
         \x20 {}  the server's database\n\
         The same by hand, the server in a terminal of its own:\n\
         \x20 export HOME={} SPEC_KITTY_ENABLE_SAAS_SYNC=1\n\
         \x20 spec-kitty server --data {} --listen {}\n\
         \x20 cd {}\n\
         \x20 spec-kitty sync status --check\n",
        path("home/.spec-kitty"),
        path("repo"),
        path("server"),
        quoted("home"),
        quoted("server"),
        sandbox.server_address(),
        quoted("repo"),
    )
}
