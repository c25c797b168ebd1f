//! The pages of one mission.

use super::board::{self, MissionBoard, Package};
use super::fact::{self, Entry, FactInstant, cut};
use super::plot::{BANDS, Plot, plot};
use super::{MissionView, fields, markdown, sight};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::store::{DocumentRecord, EventCursor, EventFilter, MissionEvents, MissionRecord};
use crate::web::text::{Lines, grouped};
use crate::web::{Frame, Section, SignedIn, page, see_other};
use askama::Template;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use contract::Lane;
use contract::event::known_types;
use std::sync::Arc;
use url::form_urlencoded::Serializer;

/// Events that a board is made of, at most.
const BOARD_EVENTS: usize = 20_000;
/// Cards of one lane.
const CARDS: usize = 200;
/// Events of one page.
const ENTRIES: usize = 50;
/// Moves of a work package that its lane is made of.
const MOVES: usize = 2000;
/// Longer ids of work packages are shown cut; links have them whole.
const LONGEST_ID: usize = 100;
/// Longer texts are cut.
const LONGEST_TEXT: usize = 1024 * 1024;
/// Longer documents are shown as text.
const LONGEST_MARKDOWN: usize = 512 * 1024;

/// Does the work of a page that reads events, for which the account and the server have few permits. The work ends
/// with its permit even when the browser is gone, because a query does not stop in the middle.
async fn read_events(
    app: &App,
    caller: &Caller,
    signed_in: &SignedIn,
    work: impl Future<Output = Result<Response, HttpRefusal>> + Send + 'static,
) -> Result<Response, HttpRefusal> {
    let permit = app.page_permit(caller, &signed_in.account.user_id).await?;
    let work = tokio::spawn(async move {
        let _permit = permit;
        work.await
    });
    work.await.map_err(|_| HttpRefusal::internal())?
}

/// Makes a page of many events, or of a long document, on a thread that may be busy for a while.
async fn make(page: impl FnOnce() -> Response + Send + 'static) -> Result<Response, HttpRefusal> {
    tokio::task::spawn_blocking(page).await.map_err(|_| HttpRefusal::internal())
}

/// The mission of a path, if the person sees it.
async fn find(app: &App, signed_in: &SignedIn, key: &str) -> Result<MissionRecord, HttpRefusal> {
    let key: i64 = key.parse().map_err(|_| HttpRefusal::no_page())?;
    app.store.mission(sight(app, signed_in).await?, key).await?.ok_or_else(HttpRefusal::no_page)
}

fn frame(signed_in: &SignedIn, title: &str) -> Frame {
    signed_in.frame(title, Some(Section::Missions))
}

/// A lane with its cards.
#[derive(Debug)]
struct LaneColumn {
    label: String,
    class: &'static str,
    count: usize,
    cards: Vec<WorkPackageCard>,
    /// Cards that are not shown.
    hidden: usize,
}

#[derive(Debug)]
struct WorkPackageCard {
    path: String,
    id: String,
    title: String,
    actor: String,
    moved: Option<(String, String)>,
}

impl WorkPackageCard {
    fn of(mission: &MissionView, package: &Package) -> Self {
        Self {
            path: mission.work_package(&package.id),
            id: cut(&package.id, LONGEST_ID),
            title: package.title.clone(),
            actor: package.actor.clone(),
            moved: package.moved_at.map(|at| (at.iso(), at.readable())),
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "missions/board.html")]
struct BoardPage {
    frame: Frame,
    mission: MissionView,
    purpose: Option<String>,
    total: usize,
    done: usize,
    lanes: Vec<LaneColumn>,
    plot: Option<Plot>,
    documents: Vec<DocumentView>,
    has_more_documents: bool,
    is_partial: bool,
    has_unreadable: bool,
}

/// `GET /missions/{mission}`: the board.
pub(crate) async fn board(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    signed_in: SignedIn,
    Path(key): Path<String>,
) -> Result<Response, HttpRefusal> {
    let mission = find(&app, &signed_in, &key).await?;
    let store = Arc::clone(&app.store);
    let view = MissionView::of(&mission);
    if !view.is_mission() {
        return Ok(see_other(&format!("{}/events", view.path)));
    }
    let frame = frame(&signed_in, &view.name);
    read_events(&app, &caller, &signed_in, async move {
        let types = board::TYPES.map(str::to_owned).to_vec();
        let filter = EventFilter { event_types: types, aggregate_id: None };
        let read = store.mission_events(&mission, filter, EventCursor::END, BOARD_EVENTS).await?;
        let (documents, has_more_documents) = store.documents(&mission).await?;
        make(move || page(StatusCode::OK, &BoardPage::of(frame, view, &read, &documents, has_more_documents)))
            .await
    })
    .await
}

impl BoardPage {
    fn of(
        frame: Frame,
        mission: MissionView,
        read: &MissionEvents,
        documents: &[DocumentRecord],
        has_more_documents: bool,
    ) -> Self {
        let board = MissionBoard::of(&read.events);
        let lanes = Lane::ALL.map(|lane| {
            let count = board.in_lane(lane).count();
            LaneColumn {
                label: fact::lane_label(lane),
                class: lane.name(),
                count,
                cards: board
                    .in_lane(lane)
                    .take(CARDS)
                    .map(|package| WorkPackageCard::of(&mission, package))
                    .collect(),
                hidden: count.saturating_sub(CARDS),
            }
        });
        // Lanes that most missions never use are shown only where they are.
        let is_shown = |lane: &LaneColumn| lane.count > 0 || !["blocked", "canceled"].contains(&lane.class);
        Self {
            frame,
            total: board.packages.len(),
            done: board.in_lane(Lane::Done).count(),
            lanes: lanes.into_iter().filter(is_shown).collect(),
            plot: plot(&board.progress),
            documents: documents.iter().map(|record| DocumentView::of(&mission, record)).collect(),
            has_more_documents,
            is_partial: read.next.is_some(),
            has_unreadable: read.has_unreadable,
            purpose: board.purpose,
            mission,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "missions/work_package.html")]
struct PackagePage {
    frame: Frame,
    mission: MissionView,
    /// The path of the first page.
    newest: String,
    lane: String,
    lane_class: &'static str,
    actor: String,
    moved: Option<(String, String)>,
    entries: Vec<Entry>,
    is_first: bool,
    next: Option<String>,
    has_unreadable: bool,
}

/// `GET /missions/{mission}/work-package?id=ID&before=POSITION`: a work package and its history.
pub(crate) async fn work_package(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    signed_in: SignedIn,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = fields(query)?;
    let id = query.get("id").ok_or_else(HttpRefusal::no_page)?.to_owned();
    let before = cursor(query.get("before"))?;
    let mission = find(&app, &signed_in, &key).await?;
    let store = Arc::clone(&app.store);
    let frame = frame(&signed_in, "");
    read_events(&app, &caller, &signed_in, async move {
        let of_package = |event_types| EventFilter { event_types, aggregate_id: Some(id.clone()) };
        let types = board::TYPES.map(str::to_owned).to_vec();
        let moves = store.mission_events(&mission, of_package(types), EventCursor::END, MOVES).await?;
        let read = store.mission_events(&mission, of_package(Vec::new()), before, ENTRIES).await?;
        let has_unreadable = moves.has_unreadable || read.has_unreadable;
        let is_empty = moves.events.is_empty() && read.events.is_empty();
        if is_empty && read.next.is_none() && !has_unreadable {
            return Err(HttpRefusal::no_page());
        }
        make(move || {
            let view = MissionView::of(&mission);
            let mut content = PackagePage::of(frame, view, &id, &moves, &read);
            content.is_first = before == EventCursor::END;
            content.has_unreadable = has_unreadable;
            page(StatusCode::OK, &content)
        })
        .await
    })
    .await
}

impl PackagePage {
    /// The first page of the history, until the caller states another.
    fn of(frame: Frame, mission: MissionView, id: &str, moves: &MissionEvents, read: &MissionEvents) -> Self {
        let package = MissionBoard::of(&moves.events).packages.into_iter().next();
        let title = package.as_ref().map(|package| package.title.clone()).filter(|title| !title.is_empty());
        let shown = cut(id, LONGEST_ID);
        let heading = title.map_or_else(|| shown.clone(), |title| format!("{shown}: {title}"));
        let lane = package.as_ref().map_or(Lane::Planned, |package| package.lane);
        let moved_at: Option<FactInstant> = package.as_ref().and_then(|package| package.moved_at);
        let newest = mission.work_package(id);
        Self {
            frame: Frame { title: heading, ..frame },
            mission,
            lane: fact::lane_label(lane),
            lane_class: lane.name(),
            actor: package.map(|package| package.actor).unwrap_or_default(),
            moved: moved_at.map(|at| (at.iso(), at.readable())),
            entries: read.events.iter().map(Entry::of).collect(),
            is_first: true,
            next: read.next.map(|next| format!("{newest}&before={next}")),
            newest,
            has_unreadable: false,
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "missions/events.html")]
struct EventsPage {
    frame: Frame,
    mission: MissionView,
    types: Vec<(&'static str, bool)>,
    work_package: String,
    is_filtered: bool,
    /// Each with the path of the page of its work package.
    rows: Vec<(Entry, Option<String>)>,
    is_first: bool,
    next: Option<String>,
    has_unreadable: bool,
}

/// `GET /missions/{mission}/events?type=TYPE&work_package=ID&before=POSITION`: events, newest first.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    signed_in: SignedIn,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = fields(query)?;
    let mission = find(&app, &signed_in, &key).await?;
    let before = cursor(query.get("before"))?;
    let store = Arc::clone(&app.store);
    let view = MissionView::of(&mission);
    let title = if view.is_mission() { format!("Events of {}", view.name) } else { view.name.clone() };
    let frame = frame(&signed_in, &title);
    read_events(&app, &caller, &signed_in, async move {
        let (event_type, package) = (query.get("type"), query.get("work_package").map(str::trim));
        let filter = EventFilter {
            event_types: event_type.into_iter().map(str::to_owned).collect(),
            aggregate_id: package.map(str::to_owned),
        };
        let read = store.mission_events(&mission, filter, before, ENTRIES).await?;
        make(move || {
            let mut content = EventsPage::of(frame, view, &query, &read);
            content.is_first = before == EventCursor::END;
            page(StatusCode::OK, &content)
        })
        .await
    })
    .await
}

impl EventsPage {
    /// The first page, until the caller states another.
    fn of(frame: Frame, mission: MissionView, query: &FormFields, read: &MissionEvents) -> Self {
        let (event_type, package) = (query.get("type"), query.get("work_package").map(str::trim));
        let next = read.next.map(|next| {
            let mut address = Serializer::new(format!("{}/events?", mission.path));
            address.append_pair("before", &next.to_string());
            for (name, value) in [("type", event_type), ("work_package", package)] {
                if let Some(value) = value {
                    address.append_pair(name, value);
                }
            }
            address.finish()
        });
        let row = |mut entry: Entry| {
            let path = entry.work_package.as_deref().map(|id| mission.work_package(id));
            entry.work_package = entry.work_package.map(|id| cut(&id, LONGEST_ID));
            (entry, path)
        };
        let mut types: Vec<&'static str> = known_types().collect();
        types.sort_unstable();
        types.dedup();
        Self {
            frame,
            types: types.into_iter().map(|name| (name, event_type == Some(name))).collect(),
            work_package: package.unwrap_or_default().to_owned(),
            is_filtered: event_type.or(package).is_some(),
            rows: read.events.iter().map(Entry::of).map(row).collect(),
            is_first: true,
            next,
            has_unreadable: read.has_unreadable,
            mission,
        }
    }
}

fn cursor(text: Option<&str>) -> Result<EventCursor, HttpRefusal> {
    text.map_or(Ok(EventCursor::END), |text| text.parse().map_err(|()| HttpRefusal::no_page()))
}

#[derive(Debug)]
struct DocumentView {
    path: String,
    name: String,
    branch: String,
    bytes: String,
    received: String,
    received_iso: String,
}

impl DocumentView {
    fn of(mission: &MissionView, record: &DocumentRecord) -> Self {
        Self {
            path: format!("{}/documents/{}", mission.path, record.key),
            name: cut(&record.path, 300),
            branch: cut(&record.branch, 200),
            bytes: grouped(record.bytes),
            received: record.received_at.readable(),
            received_iso: record.received_at.iso(),
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "missions/document.html")]
struct DocumentPage {
    frame: Frame,
    mission: MissionView,
    document: DocumentView,
    /// Rendered Markdown.
    html: Option<String>,
    text: String,
    is_cut: bool,
}

impl DocumentPage {
    fn lines(&self) -> Lines<'_> {
        Lines(&self.text)
    }
}

/// `GET /missions/{mission}/documents/{document}`
pub(crate) async fn document(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path((key, document)): Path<(String, String)>,
) -> Result<Response, HttpRefusal> {
    let mission = find(&app, &signed_in, &key).await?;
    let number: i64 = document.parse().map_err(|_| HttpRefusal::no_page())?;
    let found = app.store.document(&mission, number).await?.ok_or_else(HttpRefusal::no_page)?;
    let view = MissionView::of(&mission);
    let document = DocumentView::of(&view, &found.record);
    let name = found.record.path.to_lowercase();
    let is_markdown = name.ends_with(".md") && found.text.len() <= LONGEST_MARKDOWN;
    let frame = frame(&signed_in, &document.name);
    make(move || {
        let (html, text, is_cut) = if is_markdown {
            let (html, is_cut) = markdown::render(&found.text);
            (Some(html), String::new(), is_cut)
        } else {
            (None, cut(&found.text, LONGEST_TEXT), found.text.len() > LONGEST_TEXT)
        };
        page(StatusCode::OK, &DocumentPage { frame, mission: view, document, html, text, is_cut })
    })
    .await
}
