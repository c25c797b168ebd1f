//! A machine: a home on a disk, and the commands that work on it. Each calls what the command line calls, in the
//! same order.

use crate::disk::FaultyDisk;
use crate::expectation::{ACCOUNTS, Author, Expectation, ExpectedRow, ProjectDecision};
use crate::network::{BuiltInDefect, SimulatedConnector, SimulatedNetwork};
use crate::random::SeededRandom;
use crate::server::SimulatedAccount;
use contract::event::ValidatedEvent;
use contract::wire::ArtifactBody;
use contract::wire::body::hash;
use contract::{Consent, FailureName, FaultCode, Start};
use delivery::drain::{DrainOptions, drain};
use delivery::http::{Client, ClientSettings};
use delivery::receipts::fetch_missing;
use delivery::{DeliveryContext, DrainReport};
use gate::{CurePermit, EgressPermit, Policy};
use identity::environment::names;
use identity::{BuildInfo, ConfigEdit, Environment, Home};
use preflight::observer::Observation;
use preflight::{Boundary, PreflightError, consent_of};
use queue::{
    Capacity, Capture, Cure, DrainedBy, Kind, NewRow, QueueError, ReceiptPages, Resend, ResendSelection,
    RowOrigin, Witness, Writer, observe_parked, observe_unsettled,
};
use rusqlite::{Connection, params};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The address of the server: no socket is there.
const SERVER_URL: &str = "http://127.0.0.1:8470";

/// The projects.
const PROJECT_UUIDS: [&str; crate::expectation::PROJECTS] =
    ["164b830e-0aa9-486a-80e9-73e0ff9bd516", "8a4a7da6-a97c-4bb4-893a-b31664abfee4"];

const MISSION: &str = "widgets-01KRX11M";

/// The version of the simulated program.
const VERSION: &str = "0.0.0";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How a capture ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaptureEnd {
    /// It runs to its end.
    Whole,
    /// It dies when its rows are prepared.
    BeforeLog,
    /// It dies when the log is written.
    AfterLog,
    /// The local write fails, and it withdraws its rows.
    Withdrawn,
}

/// A row that will be captured.
#[derive(Clone, Debug)]
pub(crate) struct RowDraft {
    /// The id of its event; of the index event, if it is a body.
    pub(crate) id: String,
    /// The path of the body that the event announces.
    pub(crate) body: Option<String>,
}

/// A machine.
#[derive(Clone)]
pub(crate) struct SimulatedMachine {
    number: usize,
    root: PathBuf,
    home: Home,
    environment: Environment,
    context: DeliveryContext,
    accounts: Arc<[SimulatedAccount]>,
    facts: Arc<Mutex<Expectation>>,
    defect: Option<BuiltInDefect>,
}

impl SimulatedMachine {
    /// The machine of a number, on the disk of `root`.
    ///
    /// # Errors
    /// When its home cannot be made.
    pub(crate) fn new(
        number: usize,
        root: &Path,
        accounts: Arc<[SimulatedAccount]>,
        network: &SimulatedNetwork,
        facts: Arc<Mutex<Expectation>>,
        defect: Option<BuiltInDefect>,
    ) -> Outcome<Self> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let environment = Environment::from_pairs([
            ("HOME", text(root)),
            (names::SPEC_KITTY_TOKEN_FILE, text(&root.join("token"))),
            (names::SPEC_KITTY_SERVER_URL, SERVER_URL.to_owned()),
            (names::SPEC_KITTY_NO_DAEMON, "1".to_owned()),
        ]);
        let home = Home::resolve(&environment)?;
        system::private_file::create_private_dir(home.root())?;
        fs::create_dir_all(root.join("checkout"))?;
        let client = Client::over(
            &ClientSettings::new(VERSION),
            SimulatedConnector { machine: number, network: network.clone() },
        )?;
        let context = DeliveryContext { client, ..DeliveryContext::new(&home, &environment, VERSION)? };
        Ok(Self { number, root: root.to_owned(), home, environment, context, accounts, facts, defect })
    }

    fn facts(&self) -> MutexGuard<'_, Expectation> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory that a copy of the home copies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Logs in as another account.
    ///
    /// # Errors
    /// When the token cannot be written.
    pub(crate) fn log_in(&self, account: usize) -> Outcome<()> {
        let account = self.accounts.get(account).ok_or("no such account")?;
        // Replaced whole, as every writer of such a file does.
        let new = self.root.join("token.new");
        fs::write(&new, &account.token)?;
        Ok(fs::rename(new, self.root.join("token"))?)
    }

    /// The account that is logged in.
    pub(crate) fn account(&self) -> usize {
        let token = fs::read_to_string(self.root.join("token")).unwrap_or_default();
        self.accounts.iter().position(|account| account.token == token).unwrap_or_default()
    }

    fn boundary(&self) -> Boundary<'_> {
        let build = BuildInfo { version: VERSION.to_owned(), commit: None, release: true };
        Boundary::new(&self.environment, &self.home, build)
    }

    fn observe(&self) -> Outcome<Observation> {
        Ok(self.boundary().observe().map_err(PreflightError::from)?)
    }

    fn log(&self, project: usize) -> PathBuf {
        self.root.join("checkout").join(format!("status.events.{project}.jsonl"))
    }

    fn place(&self, project: usize) -> RowOrigin {
        RowOrigin {
            project_uuid: PROJECT_UUIDS.get(project).map(|uuid| (*uuid).to_owned()),
            repo_slug: Some(format!("acme/project-{project}")),
            checkout: Some(self.root.join("checkout")),
        }
    }

    fn event(&self, draft: &RowDraft, project: usize, team: Option<&str>) -> String {
        let uuid = PROJECT_UUIDS.get(project).copied().unwrap_or_default();
        let mut event = match &draft.body {
            None => testkit::events::claimed(&draft.id, uuid, MISSION),
            Some(path) => testkit::events::indexed(&draft.id, uuid, MISSION, path, &content(path)),
        };
        event["team_slug"] = team.into();
        event["repo_slug"] = format!("acme/project-{project}").into();
        event.to_string()
    }

    /// The digests of an event: each account sends it with the name of its team.
    fn digests(&self, text: &str) -> [String; ACCOUNTS] {
        std::array::from_fn(|account| {
            let team = self.accounts.get(account).map(|account| account.team.clone()).unwrap_or_default();
            let sent = text.replacen("\"team_slug\":null", &format!("\"team_slug\":\"{team}\""), 1);
            hash(sent.as_bytes())
        })
    }

    /// A producing command: gate, prepare, log, confirm.
    ///
    /// # Errors
    /// When it refuses or fails.
    pub(crate) fn capture(&self, project: usize, drafts: &[RowDraft], end: CaptureEnd) -> Outcome<String> {
        let boundary = self.boundary();
        let observation = boundary.recovered(self.observe()?)?;
        let permit = observation.capture_permit()?;
        self.cache_legacy_counts(&observation)?;
        let place = self.place(project);
        let (uuid, slug) = (place.project_uuid.as_deref(), place.repo_slug.as_deref());
        if observation.config.consent(uuid, slug, place.checkout()) == Consent::OptedOut {
            return Ok("opted out: captured nothing".to_owned());
        }
        let account = self.account();
        let team = self.accounts.get(account).map(|account| account.team.clone());
        let mut rows = Vec::new();
        let mut keys = Vec::new();
        for draft in drafts {
            let text = self.event(draft, project, team.as_deref());
            let row = ExpectedRow::new(Author::Command, project, Some(account), self.digests(&text));
            self.facts().written(&draft.id, self.number, row);
            keys.push(draft.id.clone());
            let event = ValidatedEvent::parse(text).map_err(|rejection| format!("{rejection:?}"))?;
            let witness = Witness::LogRow { log: self.log(project), event_id: draft.id.clone() };
            rows.push(NewRow::event(event, witness));
            if let Some(path) = &draft.body {
                let digests = std::array::from_fn(|_| hash(content(path).as_bytes()));
                let row = ExpectedRow::new(Author::Command, project, Some(account), digests);
                self.facts().written(path, self.number, row);
                keys.push(path.clone());
                let witness = Witness::Row { kind: Kind::Event, key: draft.id.clone() };
                rows.push(NewRow::body(body(path, project), witness));
            }
        }
        if self.defect == Some(BuiltInDefect::AcknowledgedBeforePrepared) {
            keys.iter().for_each(|key| self.facts().logged(key));
        }
        let mut writer = Writer::open(&permit, Capacity(observation.config.max_queue_size))?;
        let prepared = writer.prepare(&Capture { place, mission_slug: MISSION.to_owned(), rows })?;
        match end {
            CaptureEnd::BeforeLog => return Err("killed before the log was written".into()),
            CaptureEnd::Withdrawn => {
                writer.withdraw(prepared)?;
                return Ok("the local write failed: withdrawn".to_owned());
            }
            CaptureEnd::Whole | CaptureEnd::AfterLog => {}
        }
        let mut log = fs::OpenOptions::new().create(true).append(true).open(self.log(project))?;
        if self.defect != Some(BuiltInDefect::RowSentWithoutLog) {
            for draft in drafts {
                writeln!(log, "{}", json!({ "event_id": draft.id }))?;
            }
            keys.iter().for_each(|key| self.facts().logged(key));
        }
        if end == CaptureEnd::AfterLog {
            return Err("killed after the log was written".into());
        }
        let captured = writer.confirm(prepared)?;
        keys.iter().for_each(|key| self.facts().acknowledged(key));
        Ok(format!("captured {} events, {} bodies", captured.events, captured.bodies))
    }

    /// Another program writes an event: into the legacy queue DB, or into the queue DB of the account that is logged in.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write_as_another(
        &self,
        id: &str,
        project: usize,
        named: Option<usize>,
        scoped: bool,
        now: i64,
    ) -> Outcome<String> {
        let path = if scoped {
            let path = self.observe()?.facts().active.path.clone();
            if !path.exists() {
                return Ok("there is no queue DB yet".to_owned());
            }
            path
        } else {
            self.home.legacy_queue()
        };
        let named = if scoped { Some(self.account()) } else { named };
        let team = named.and_then(|named| self.accounts.get(named)).map(|account| account.team.clone());
        let text = self.event(&RowDraft { id: id.to_owned(), body: None }, project, team.as_deref());
        let db = Connection::open(&path)?;
        let is_new: i64 =
            db.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'queue'", [], |row| row.get(0))?;
        if is_new == 0 {
            db.execute_batch(testkit::reference_queue::REFERENCE_TABLES)?;
        }
        let row =
            "INSERT INTO queue(event_id, event_type, data, timestamp) VALUES (?1, 'WPStatusChanged', ?2, ?3)";
        db.execute(row, params![id, text, now])?;
        let mut facts = self.facts();
        facts.written(id, self.number, ExpectedRow::new(Author::Other, project, named, self.digests(&text)));
        facts.acknowledged(id);
        Ok(format!("wrote {id} for {named:?}"))
    }

    /// Caches the counts of the legacy queue DB, as commands do after their gate.
    fn cache_legacy_counts(&self, observation: &Observation) -> Outcome<()> {
        if let Some(permit) = observation.legacy_count_permit() {
            Cure::open(&permit)?.write_legacy_counts()?;
        }
        Ok(())
    }

    /// Settles what interrupted captures left.
    fn settle(&self, permit: Option<CurePermit>) -> Outcome<()> {
        let Some(permit) = permit else { return Ok(()) };
        let unsettled = observe_unsettled(permit.queue_path()).map_err(QueueError::from)?;
        if unsettled.is_empty() {
            return Ok(());
        }
        let mut cure = Cure::open(&permit)?;
        for mission in &unsettled {
            cure.settle(mission, |_| Vec::new())?;
        }
        Ok(())
    }

    /// `sync now`, or a delivery of the daemon.
    ///
    /// # Errors
    /// When it refuses or cannot start.
    pub(crate) fn deliver(&self, by: DrainedBy) -> Outcome<DrainReport> {
        let (permit, observation) = self.egress()?;
        // As the command line does: a failure of this is a note.
        let _ = self.cache_legacy_counts(&observation);
        let _ = self.settle(observation.cure_permit());
        let options = DrainOptions { ask_always: by == DrainedBy::Command, by, ..DrainOptions::default() };
        let report = drain(permit, &self.context, &options, &mut ())?;
        if report.server_rewound.is_some() {
            self.facts().server_lost_rows();
        }
        Ok(report)
    }

    /// An egress permit; migrates or recovers first where that is the only failure.
    fn egress(&self) -> Outcome<(EgressPermit, Observation)> {
        let boundary = self.boundary();
        let before = self.observe()?;
        let verdict = before.judge(Policy { require_auth: true });
        let result = verdict.result();
        let legacy_only = result.ok || result.fails_only_by(FailureName::LegacyRowsInScope);
        let rows = result.legacy.total_rows() + result.legacy.failure_log_rows;
        let recoverable = result.fails_only_by_fault(FaultCode::QueueRecoveryNeeded);
        let after = match verdict.cure_permit() {
            Some(cure) if (legacy_only && rows > 0) || recoverable => {
                Cure::open(&cure)?.migrate(&mut ())?;
                self.observe()?
            }
            Some(_) | None => before,
        };
        let observation = boundary.recovered(after)?;
        Ok((observation.egress_permit()?, observation))
    }

    fn cure_permit(&self) -> Outcome<CurePermit> {
        Ok(self.observe()?.cure_permit().ok_or("no scope")?)
    }

    /// `sync migrate`.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn migrate(&self) -> Outcome<String> {
        let permit = self.cure_permit()?;
        if !permit.legacy_path().exists() && !permit.queue_path().exists() {
            return Ok("nothing to migrate".to_owned());
        }
        Cure::open(&permit)?.migrate(&mut ())?;
        self.settle(Some(permit))?;
        Ok("migrated".to_owned())
    }

    /// `sync parked retry --all`.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn retry(&self) -> Outcome<String> {
        let permit = self.cure_permit()?;
        if !permit.queue_path().exists() {
            return Ok("no queue DB".to_owned());
        }
        let parked = observe_parked(permit.queue_path(), i64::MIN, usize::MAX).map_err(QueueError::from)?;
        let ids: Vec<i64> = parked.into_iter().map(|row| row.id).collect();
        if ids.is_empty() {
            return Ok("no parked rows".to_owned());
        }
        let done = Cure::open(&permit)?.retry_parked(&ids, |_| Vec::new())?;
        Ok(format!("{} wait again, {} stay", done.restored.len(), done.kept.len()))
    }

    /// `sync resend --missing --yes`.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn resend(&self) -> Outcome<String> {
        let permit = self.cure_permit()?;
        if !permit.queue_path().exists() {
            return Ok("no queue DB".to_owned());
        }
        let observation = self.observe()?;
        let mut cure = Cure::open(&permit)?;
        let pages = ReceiptPages::of(permit.queue_path(), None).map_err(QueueError::from)?;
        let missing = fetch_missing(&self.context, permit.scope(), pages, &mut |_| ())?;
        let count = missing.len();
        if count > 0 {
            self.facts().server_lost_rows();
        }
        let resend = Resend { which: ResendSelection::Missing(missing), project: None, mission: Vec::new() };
        let done = cure.resend(&resend, &consent_of(&observation.config))?;
        Ok(format!("{count} missing; {} events, {} bodies wait again", done.events, done.bodies))
    }

    /// `sync gc`: removes the receipts from before an instant.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn collect(&self, before: i64) -> Outcome<String> {
        let permit = self.cure_permit()?;
        if !permit.queue_path().exists() {
            return Ok("no queue DB".to_owned());
        }
        self.facts().collect_all();
        Ok(format!("{} receipts removed", Cure::open(&permit)?.collect_receipts(before)?))
    }

    /// `sync opt-out`.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn opt_out(&self, project: usize) -> Outcome<String> {
        if self.defect != Some(BuiltInDefect::OptOutNotStored) {
            let mut edit = ConfigEdit::begin(&self.home)?;
            edit.opt_out(PROJECT_UUIDS.get(project).copied());
            edit.commit()?;
        }
        self.facts().decided(self.number, project, ProjectDecision::Out, false);
        Ok(format!("opted p{project} out"))
    }

    /// `sync opt-in`, with or without the rows that are held.
    ///
    /// # Errors
    /// When it fails; the decision may be stored nevertheless.
    pub(crate) fn opt_in(&self, project: usize, include_held: bool, disk: &FaultyDisk) -> Outcome<String> {
        let uuid = PROJECT_UUIDS.get(project).copied();
        let decide = |start: &dyn Fn(Consent) -> Start| -> Outcome<()> {
            let mut edit = ConfigEdit::begin(&self.home)?;
            let start = start(edit.config().consent(uuid, None, None));
            edit.opt_in(uuid, start);
            edit.commit()?;
            self.facts().decided(self.number, project, ProjectDecision::In, include_held);
            Ok(())
        };
        if include_held {
            decide(&|_| Start::ALWAYS)?;
            let permit = self.cure_permit()?;
            if !permit.queue_path().exists() && !permit.legacy_path().exists() {
                return Ok(format!("opted p{project} in, nothing held"));
            }
            let mut cure = Cure::open(&permit)?;
            let left = cure.migrate(&mut ()).err();
            let released = cure.release_held(uuid)?;
            return match left {
                None => Ok(format!("opted p{project} in, released {}", released.events + released.bodies)),
                Some(error) => Err(error.into()),
            };
        }
        let sealed = self.seal(uuid);
        if disk.is_off() {
            return Err("killed before the decision was stored".into());
        }
        decide(&|was| Start::after(was, system::clock::now()))?;
        Ok(match sealed {
            Ok(()) => format!("opted p{project} in"),
            Err(error) => format!("opted p{project} in; not sealed: {error}"),
        })
    }

    fn seal(&self, uuid: Option<&str>) -> Outcome<()> {
        let permit = self.cure_permit()?;
        if permit.queue_path().exists() {
            let observation = self.observe()?;
            Cure::open(&permit)?.seal_held(uuid, &consent_of(&observation.config))?;
        }
        Ok(())
    }

    /// Rows of each queue DB and the configuration, for a failure report.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let queues = fs::read_dir(self.home.queues_dir()).into_iter().flatten().flatten();
        let mut paths: Vec<_> = queues.map(|entry| entry.path()).collect();
        paths.push(self.home.legacy_queue());
        paths.sort();
        for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "db")) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for (table, sql) in [
                ("queue", "SELECT event_id FROM queue"),
                ("bodies", "SELECT artifact_path FROM body_upload_queue"),
                ("bindings", "SELECT kind || ' ' || row || ' hold ' || hold || ' at ' || at FROM bindings"),
                ("prepared", "SELECT kind || ' ' || key FROM prepared"),
                ("parked", "SELECT key || ' ' || reason FROM parked"),
                ("receipts", "SELECT key || ' ' || outcome || ' ' || seq FROM receipts"),
                ("claims", "SELECT key || ' ' || scope FROM claims"),
            ] {
                if let Ok(texts) = texts(path, sql)
                    && !texts.is_empty()
                {
                    lines.push(format!("  m{} {name} {table}: {}", self.number, texts.join(", ")));
                }
            }
        }
        let config = fs::read_to_string(self.home.root().join("config.toml")).unwrap_or_default();
        lines.extend(config.lines().map(|line| format!("  m{} config.toml {line}", self.number)));
        lines
    }
}

fn texts(path: &Path, sql: &str) -> rusqlite::Result<Vec<String>> {
    let db = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    // Without the cast, the row of a number would be missing.
    let sql = format!("WITH shown(value) AS ({sql}) SELECT ifnull(CAST(value AS TEXT), 'NULL') FROM shown");
    let mut select = db.prepare(&sql)?;
    let rows = select.query_map([], |row| row.get::<_, String>(0))?;
    Ok(rows.flatten().collect())
}

fn content(path: &str) -> String {
    format!("the text of {path}\n")
}

fn body(path: &str, project: usize) -> ArtifactBody {
    let project = PROJECT_UUIDS.get(project).copied().unwrap_or_default();
    testkit::events::body(project, MISSION, path, &content(path))
}

/// Draws the rows of a capture.
pub(crate) fn draft(random: &mut SeededRandom, next: &mut u64) -> Vec<RowDraft> {
    let rows = 1 + random.skewed(5);
    (0..rows)
        .map(|_| {
            *next += 1;
            let body = random.chance(1, 4).then(|| format!("research/{next}.md"));
            RowDraft { id: event_id(*next), body }
        })
        .collect()
}

/// The id of a number.
pub(crate) fn event_id(number: u64) -> String {
    format!("01KRX{number:021}")
}
