//! `quickstart`: a complete demonstration on one machine, in a directory of its own.
//!
//! Each step is a real command of this CLI, printed before it runs, and verified afterwards; the
//! quickstart succeeds only if every one had the expected result.

mod browser;
mod failure;
mod mission_text;
mod stage;

use crate::render;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb, no_document};
use contract::OwnerRecord;
use failure::failed;
use serde_json::Value;
use stage::{QuickstartStage, indented};
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
        render::say(&format!(
            "Everything happens in {}; nothing outside it is touched.\n",
            contract::text::path(&directory)
        ));
        let mut stage = QuickstartStage::new(&directory)?;
        let told = tell(&mut stage);
        // Whatever happened, nothing that was started here stays behind.
        stage.strike();
        told?;
        render::say(&closing_text(&stage));
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

fn tell(stage: &mut QuickstartStage) -> Result<(), CliError> {
    serve_and_log_in(stage)?;
    let (slug, artifacts) = plan_a_mission(stage)?;

    stage.title("What waits, and whether the boundary is coherent");
    stage.show(&["sync", "status", "--check"], 0)?;
    let waiting = WaitingCounts::of(&stage.document(&["sync", "status", "--json"], 0)?);
    stage.verify("events and bodies wait", waiting.events > 0 && waiting.bodies > 0)?;

    break_and_cure(stage)?;

    stage.title("The daemon delivers what waited");
    let left = stage
        .await_document(&["sync", "status", "--json"], |status| WaitingCounts::of(status).is_nothing())?;
    stage.verify("nothing waits any more", WaitingCounts::of(&left).is_nothing())?;
    stage.show(&["sync", "daemon", "stop"], 0)?;

    stage.title("Without a daemon: one more step waits, and `sync now` delivers it");
    let step =
        ["agent", "status", "emit", "WP01", "--mission", &slug, "--to", "for_review", "--actor", "ada"];
    let assurances = ["--subtasks-complete", "--implementation-evidence-present"];
    stage.show(&[&step[..], &assurances].concat(), 0)?;
    let more = WaitingCounts::of(&stage.document(&["sync", "status", "--check", "--json"], 0)?);
    stage.verify("it waits", more.events > 0)?;
    let delivered = stage.show_output(&["sync", "now"], 0)?;
    stage.verify("`sync now` reports it", delivered.stdout.contains("delivered"))?;
    let left = WaitingCounts::of(&stage.document(&["sync", "status", "--check", "--json"], 0)?);
    stage.verify("nothing waits any more", left.is_nothing())?;

    let captured =
        WaitingCounts { events: waiting.events + more.events, bodies: waiting.bodies + more.bodies };
    prove(stage, &captured, &artifacts)
}

fn serve_and_log_in(stage: &mut QuickstartStage) -> Result<(), CliError> {
    stage.title("An ingest server on loopback, with one account");
    let data = stage.path("server");
    let data = data.to_string_lossy().into_owned();
    let account =
        stage.document(&["server", "user", "add", "--data", &data, "--email", EMAIL, "--json"], 0)?;
    let secret = account["approval_secret"].as_str().unwrap_or_default().to_owned();
    stage.verify("the account has an approval secret", !secret.is_empty())?;
    stage.serve(&data)?;

    stage.title("Log in: a code is shown here and approved in a browser");
    stage.log_in(EMAIL, &secret)?;
    stage.show(&["auth", "status"], 0)
}

/// A small mission in a scratch repository. Gives back its name and the documents that have to arrive.
fn plan_a_mission(stage: &mut QuickstartStage) -> Result<(String, Vec<PathBuf>), CliError> {
    stage.title("A scratch git repository");
    stage.git(&["init", "--quiet", "--initial-branch=main"])?;
    stage.git(&["config", "user.name", "Ada"])?;
    stage.git(&["config", "user.email", EMAIL])?;
    stage.write("repo/.kittify/.gitkeep", "")?;
    stage.git(&["add", ".kittify"])?;
    stage.git(&["commit", "--quiet", "-m", "start"])?;

    stage.title("A mission: every step of it is captured");
    let created = stage.document(&["agent", "mission", "create", "tea-timer", "--json"], 0)?;
    let slug = created["mission_slug"].as_str().unwrap_or_default().to_owned();
    stage.verify("the mission was created", !slug.is_empty())?;
    let mission = PathBuf::from("repo/kitty-specs").join(&slug);
    stage.edit(&mission.join("spec.md"), mission_text::SPEC)?;
    stage.git(&["add", "kitty-specs"])?;
    stage.git(&["commit", "--quiet", "-m", "Write the spec"])?;
    stage.show(&["agent", "mission", "setup-plan", "--mission", &slug], 0)?;
    stage.edit(&mission.join("plan.md"), mission_text::PLAN)?;
    stage.show(&["agent", "mission", "setup-plan", "--mission", &slug], 0)?;
    stage.edit(&mission.join("tasks.md"), mission_text::TASKS)?;
    stage.edit(&mission.join("tasks/WP01-steep.md"), mission_text::WORK_PACKAGE)?;
    stage.git(&["add", "kitty-specs"])?;
    stage.git(&["commit", "--quiet", "-m", "Write the tasks"])?;
    for lane in ["claimed", "in_progress"] {
        let argv = ["agent", "status", "emit", "WP01", "--mission", &slug, "--to", lane, "--actor", "ada"];
        stage.show(&argv, 0)?;
    }
    let documents = ["spec.md", "plan.md", "tasks.md", "tasks/WP01-steep.md"].map(|name| mission.join(name));
    Ok((slug, documents.into()))
}

#[allow(clippy::disallowed_methods, reason = "a directory that this command created")]
fn break_and_cure(stage: &mut QuickstartStage) -> Result<(), CliError> {
    stage.title("A real daemon, and a boundary broken on purpose");
    stage.show(&["sync", "daemon", "start"], 0)?;
    let record = stage.path("home/.spec-kitty/sync/daemon/owner.json");
    let bytes = std::fs::read(&record)
        .map_err(|error| failed(format!("could not read {}: {error}", record.display())))?;
    let mut parsed =
        OwnerRecord::parse(&bytes).map_err(|error| failed(format!("the owner record is {error}")))?;
    parsed.package_version = "3.2.0rc11".to_owned();
    render::say(&indented("(owner.json now names an older release as the daemon)"));
    stage.write("home/.spec-kitty/sync/daemon/owner.json", &parsed.render())?;

    stage.title("The refusal");
    let refusal = stage.show_output(&["sync", "now"], 2)?;
    let named =
        refusal.stderr.contains("daemon_package_version") && refusal.stderr.contains("doctor restart-daemon");
    stage.verify("the refusal names the field and its remedy", named)?;
    let status = stage.document(&["sync", "status", "--check", "--json"], 2)?;
    let field = status["mismatches"][0]["field"].as_str() == Some("daemon_package_version");
    stage.verify("`sync status --check` agrees", field)?;

    stage.title("The remedy");
    stage.show(&["doctor", "restart-daemon"], 0)?;
    stage.show(&["sync", "status", "--check"], 0)
}

/// Asks the server what it has, and compares with what was captured.
fn prove(
    stage: &mut QuickstartStage,
    waiting: &WaitingCounts,
    artifacts: &[PathBuf],
) -> Result<(), CliError> {
    stage.title("What the server has");
    let events = stage.ask_server("/api/v1/inspect/events")?;
    let ids: Vec<&str> = list(&events).filter_map(|event| event["event_id"].as_str()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    stage.verify(
        &format!("{} captured events arrived, each once", waiting.events),
        ids.len() as u64 == waiting.events && unique.len() == ids.len(),
    )?;
    let bodies = stage.ask_server("/api/v1/inspect/bodies")?;
    let hashes: Vec<&str> = list(&bodies).filter_map(|body| body["content_hash"].as_str()).collect();
    stage.verify(
        &format!("{} captured bodies arrived, each once", waiting.bodies),
        hashes.len() as u64 == waiting.bodies,
    )?;
    for artifact in artifacts {
        let hash = stage.hash(artifact)?;
        let name = artifact.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let count = hashes.iter().filter(|known| **known == hash).count();
        stage.verify(&format!("{name} arrived byte for byte, once"), count == 1)?;
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

fn closing_text(stage: &QuickstartStage) -> String {
    let path = |name: &str| contract::text::path(&stage.path(name));
    let quoted = |name: &str| contract::remedy::shell_word(&stage.path(name).to_string_lossy());
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
        stage.server_address(),
        quoted("repo"),
    )
}
