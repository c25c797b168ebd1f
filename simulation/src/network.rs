//! The network between the machines and the server. It carries the bytes of a request to the server and its answer back, with
//! the faults of networks and proxies.

use crate::expectation::Expectation;
use crate::random::SeededRandom;
use crate::request::SentRequest;
use crate::server::SimulatedServer;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExchangeOutcome {
    Arrives,
    Refused,
    RequestLost,
    AnswerLost,
    AnswerCut,
    Repeated,
    /// The client gives up, and the request arrives at some later time.
    Delayed,
    /// A proxy answers in place of the server.
    Proxy(ProxyAnswer),
    /// The server handles the request, and a proxy answers.
    ProxyAfter(ProxyAnswer),
    /// Something else happens on the machine or the server while the request is under way.
    Meanwhile,
}

/// The answer of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ProxyAnswer {
    name: &'static str,
    status: u16,
    headers: &'static str,
    body: &'static str,
}

const fn page(name: &'static str, status: u16, headers: &'static str, body: &'static str) -> ProxyAnswer {
    ProxyAnswer { name, status, headers, body }
}

const HTML: &str = "Content-Type: text/html\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const LOGIN_PAGE: &str = "<!doctype html><title>Sign in</title><p>Welcome to the wireless network</p>";

const PAGES: [ProxyAnswer; 18] = [
    page("200 page", 200, HTML, LOGIN_PAGE),
    page("200 empty", 200, "", ""),
    page("200 other document", 200, JSON, "{\"status\": \"ok\"}"),
    page("204", 204, "", ""),
    page("302", 302, "Location: http://portal.invalid/\r\n", ""),
    page("400", 400, JSON, "{\"error\": \"bad request\"}"),
    page("400 page", 400, HTML, LOGIN_PAGE),
    page("401", 401, JSON, "{\"error\": \"unauthorized\"}"),
    page("401 page", 401, HTML, LOGIN_PAGE),
    page("403", 403, JSON, "{\"error\": \"forbidden\"}"),
    page("403 page", 403, HTML, LOGIN_PAGE),
    page("404", 404, JSON, "{\"error\": \"not found\"}"),
    page("413", 413, HTML, "<h1>Request Entity Too Large</h1>"),
    page("422", 422, JSON, "{\"error\": \"unprocessable\"}"),
    page("429", 429, "Retry-After: 6\r\n", ""),
    page("500", 500, HTML, "<h1>Internal Server Error</h1>"),
    page("503", 503, "Retry-After: 3\r\n", ""),
    page("504", 504, HTML, "<h1>Gateway Timeout</h1>"),
];

/// A defect for tests of the simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantArray)]
pub enum BuiltInDefect {
    /// A proxy acknowledges the events of a batch in place of the server.
    AcknowledgedWithoutServer,
    /// The server answers before its commit, and loses the batch when it dies.
    AcknowledgedBeforeCommit,
    /// A request reaches the server in the name of the other account, too.
    DeliveredToOtherTeam,
    /// An opt-out is answered and not stored.
    OptOutNotStored,
    /// Disks report success for a sync and flush nothing.
    SyncIgnored,
    /// A capture is acknowledged before it is prepared.
    AcknowledgedBeforePrepared,
    /// A log row is lost after its capture was confirmed.
    RowSentWithoutLog,
}

/// Counts of the faults that happened, by name.
pub type Tally = BTreeMap<String, u64>;

/// Counts one more.
pub(crate) fn count(tally: &mut Tally, name: &str) {
    *tally.entry(name.to_owned()).or_default() += 1;
}

/// Event while a request is under way, on the machine that sent it.
pub(crate) type Interruption = Box<dyn FnMut(&mut SeededRandom) -> String + Send>;

struct NetworkState {
    server: SimulatedServer,
    random: SeededRandom,
    /// How many requests of a hundred meet a fault.
    faults: u64,
    delayed: Vec<Vec<u8>>,
    met: Tally,
    trace: Vec<String>,
    defect: Option<BuiltInDefect>,
    interruption: Option<Interruption>,
}

/// The network.
#[derive(Clone)]
pub(crate) struct SimulatedNetwork {
    state: Arc<Mutex<NetworkState>>,
    facts: Arc<Mutex<Expectation>>,
}

impl SimulatedNetwork {
    /// A network in front of `server`.
    pub(crate) fn new(
        server: SimulatedServer,
        random: SeededRandom,
        faults: u64,
        facts: Arc<Mutex<Expectation>>,
        defect: Option<BuiltInDefect>,
    ) -> Self {
        let state = NetworkState {
            server,
            random,
            faults,
            delayed: Vec::new(),
            met: Tally::new(),
            trace: Vec::new(),
            defect,
            interruption: None,
        };
        Self { state: Arc::new(Mutex::new(state)), facts }
    }

    fn lock(&self) -> MutexGuard<'_, NetworkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `work` use the server.
    pub(crate) fn with_server<T>(&self, work: impl FnOnce(&mut SimulatedServer) -> T) -> T {
        work(&mut self.lock().server)
    }

    /// Lines about the requests since the last call.
    pub(crate) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().trace)
    }

    /// The faults that happened.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.lock().met)
    }

    /// From now on requests and answers arrive.
    pub(crate) fn heal(&self) {
        self.lock().faults = 0;
    }

    /// Plans an interruption of one of the next requests.
    pub(crate) fn interrupt(&self, with: Option<Interruption>) {
        self.lock().interruption = with;
    }

    /// The requests that were delayed arrive now, or never.
    pub(crate) fn deliver_delayed(&self) {
        let mut state = self.lock();
        let delayed = std::mem::take(&mut state.delayed);
        for request in delayed {
            if state.random.chance(2, 3) {
                count(&mut state.met, "network: request arrived long after its sender gave up");
                state.trace.push("    network: a delayed request arrives".to_owned());
                state.server.answer(request);
            }
        }
    }

    /// One request of a machine, and its answer.
    fn exchange(&self, machine: usize, request: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        let sent = SentRequest::parse(&request, state.server.accounts());
        let outcome = state.outcome();
        let name = sent.describe();
        if outcome != ExchangeOutcome::Refused {
            let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            facts.left(machine, sent.account, sent.team, &sent.keys);
        }
        let interruption =
            if outcome == ExchangeOutcome::Meanwhile { state.interruption.take() } else { None };
        if let Some(mut interruption) = interruption {
            let mut random = state.random.clone();
            drop(state);
            let what = interruption(&mut random);
            state = self.lock();
            state.random = random;
            state.trace.push(format!("    meanwhile: {what}"));
            count(&mut state.met, "network: something else during a request");
        }
        let ended = state.end(outcome, &sent, request);
        let shown = match &ended {
            Ok(answer) => String::from_utf8_lossy(answer.get(9..12).unwrap_or(b"cut")).into_owned(),
            Err(error) => error.kind().to_string(),
        };
        state.trace.push(format!("    m{machine} {name}: {} -> {shown}", outcome.name()));
        ended
    }
}

impl ExchangeOutcome {
    fn name(self) -> String {
        match self {
            Self::Proxy(page) => format!("proxy answers {}", page.name),
            Self::ProxyAfter(page) => format!("handled, and a proxy answers {}", page.name),
            Self::Arrives => "arrives".to_owned(),
            Self::Refused => "connection refused".to_owned(),
            Self::RequestLost => "request lost".to_owned(),
            Self::AnswerLost => "answer lost".to_owned(),
            Self::AnswerCut => "answer cut".to_owned(),
            Self::Repeated => "request repeated".to_owned(),
            Self::Delayed => "request delayed".to_owned(),
            Self::Meanwhile => "arrives after something else".to_owned(),
        }
    }
}

impl NetworkState {
    fn outcome(&mut self) -> ExchangeOutcome {
        if self.interruption.is_some() && self.random.chance(1, 2) {
            return ExchangeOutcome::Meanwhile;
        }
        if !self.random.chance(self.faults, 100) {
            return ExchangeOutcome::Arrives;
        }
        let page = PAGES.get(self.random.roll(PAGES.len() as u64) as usize).copied().unwrap_or(PAGES[0]);
        let outcome = self.random.choose(
            &[
                (2, ExchangeOutcome::Refused),
                (3, ExchangeOutcome::RequestLost),
                (5, ExchangeOutcome::AnswerLost),
                (2, ExchangeOutcome::AnswerCut),
                (4, ExchangeOutcome::Repeated),
                (3, ExchangeOutcome::Delayed),
                (8, ExchangeOutcome::Proxy(page)),
                (3, ExchangeOutcome::ProxyAfter(page)),
            ],
            ExchangeOutcome::Arrives,
        );
        count(&mut self.met, &format!("network: {}", outcome.name()));
        outcome
    }

    fn end(&mut self, outcome: ExchangeOutcome, sent: &SentRequest, request: Vec<u8>) -> io::Result<Vec<u8>> {
        let lost = || Err(io::ErrorKind::TimedOut.into());
        match outcome {
            ExchangeOutcome::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            ExchangeOutcome::RequestLost => lost(),
            ExchangeOutcome::Delayed => {
                self.delayed.push(request);
                lost()
            }
            ExchangeOutcome::Proxy(page) => Ok(page.bytes()),
            ExchangeOutcome::ProxyAfter(page) => {
                self.handle(sent, request)?;
                Ok(page.bytes())
            }
            ExchangeOutcome::AnswerLost => {
                self.handle(sent, request)?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            ExchangeOutcome::AnswerCut => {
                let mut answer = self.handle(sent, request)?;
                let kept = self.random.roll(answer.len() as u64) as usize;
                answer.truncate(kept);
                Ok(answer)
            }
            ExchangeOutcome::Repeated => {
                let first = self.handle(sent, request.clone())?;
                let second = self.handle(sent, request)?;
                Ok(if self.random.chance(1, 2) { first } else { second })
            }
            ExchangeOutcome::Arrives | ExchangeOutcome::Meanwhile => self.handle(sent, request),
        }
    }

    /// The server handles a request, unless it is down or dies of it.
    fn handle(&mut self, sent: &SentRequest, request: Vec<u8>) -> io::Result<Vec<u8>> {
        let is_batch = sent.is_batch() && !sent.keys.is_empty();
        match self.defect {
            Some(BuiltInDefect::AcknowledgedWithoutServer) if is_batch && self.random.chance(1, 4) => {
                return Ok(sent.taken());
            }
            Some(BuiltInDefect::DeliveredToOtherTeam) if is_batch && self.random.chance(1, 4) => {
                let other = self.server.in_the_name_of_another(sent);
                self.server.answer(other);
            }
            Some(BuiltInDefect::AcknowledgedBeforeCommit) if is_batch && self.random.chance(1, 4) => {
                let before = self.server.snapshot();
                let answer = self.server.answer(request);
                self.server.forget_since(before);
                return answer.ok_or_else(|| io::ErrorKind::ConnectionRefused.into());
            }
            _ => {}
        }
        match self.server.answer(request) {
            Some(answer) => Ok(answer),
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

impl ProxyAnswer {
    fn bytes(self) -> Vec<u8> {
        let Self { status, headers, body, .. } = self;
        let length =
            if status == 204 { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("HTTP/1.1 {status} ProxyAnswer\r\n{headers}{length}\r\n{body}").into_bytes()
    }
}

/// The connections of one machine.
pub(crate) struct SimulatedConnector {
    /// The machine.
    pub(crate) machine: usize,
    /// Where it leads.
    pub(crate) network: SimulatedNetwork,
}

impl fmt::Debug for SimulatedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedConnector({})", self.machine)
    }
}

impl Connector for SimulatedConnector {
    type Out = SimulatedConnection;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<SimulatedConnection>, ureq::Error> {
        Ok(Some(SimulatedConnection {
            machine: self.machine,
            network: self.network.clone(),
            buffers: LazyBuffers::new(64 * 1024, 64 * 1024),
            request: Vec::new(),
            answer: None,
        }))
    }
}

/// One connection, for one request.
pub(crate) struct SimulatedConnection {
    machine: usize,
    network: SimulatedNetwork,
    buffers: LazyBuffers,
    request: Vec<u8>,
    /// The answer, and how much of it was read.
    answer: Option<(Vec<u8>, usize)>,
}

impl fmt::Debug for SimulatedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedConnection({})", self.machine)
    }
}

impl Transport for SimulatedConnection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = self.buffers.output();
        self.request.extend_from_slice(output.get(..amount).unwrap_or_default());
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        if self.answer.is_none() {
            let request = std::mem::take(&mut self.request);
            let answer =
                self.network.exchange(self.machine, request).map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::Global),
                    io::ErrorKind::ConnectionRefused => ureq::Error::ConnectionFailed,
                    _ => ureq::Error::Io(error),
                })?;
            self.answer = Some((answer, 0));
        }
        let Some((answer, read)) = &mut self.answer else { return Ok(false) };
        let left = answer.get(*read..).unwrap_or_default();
        let into = self.buffers.input_append_buf();
        let taken = left.len().min(into.len());
        for (place, byte) in into.iter_mut().zip(left) {
            *place = *byte;
        }
        *read += taken;
        self.buffers.input_appended(taken);
        Ok(taken > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }
}
