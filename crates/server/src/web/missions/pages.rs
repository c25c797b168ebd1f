//! The pages of one mission.

use super::board::{self, Board, Package};
use super::fact::{self, Entry, Instant, cut};
use super::plot::{BANDS, Plot, plot};
use super::{MissionView, fields, markdown, sight};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::store::{DocumentRecord, EventCursor, EventFilter, MissionEvents, MissionRecord};
use crate::web::text::{Lines, grouped};
use crate::web::{Frame, Section, SignedIn, page};
use askama::Template;
use axum::extract::{Path, RawQuery, State};
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
/// Longer texts are cut.
const LONGEST_TEXT: usize = 1024 * 1024;
/// Longer documents are shown as text.
const LONGEST_MARKDOWN: usize = 512 * 1024;

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
struct LaneView {
    label: String,
    class: &'static str,
    count: usize,
    cards: Vec<Card>,
    /// Cards that are not shown.
    hidden: usize,
}

#[derive(Debug)]
struct Card {
    path: String,
    id: String,
    title: String,
    actor: String,
    moved: Option<(String, String)>,
}

impl Card {
    fn of(mission: &MissionView, package: &Package) -> Self {
        Self {
            path: mission.work_package(&package.id),
            id: package.id.clone(),
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
    lanes: Vec<LaneView>,
    plot: Option<Plot>,
    documents: Vec<DocumentView>,
    has_more_documents: bool,
    is_partial: bool,
}

/// `GET /missions/{mission}`: the board.
pub(crate) async fn board(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(key): Path<String>,
) -> Result<Response, HttpRefusal> {
    let mission = find(&app, &signed_in, &key).await?;
    let filter = EventFilter { event_types: board::TYPES.map(str::to_owned).to_vec(), aggregate_id: None };
    let read = app.store.mission_events(&mission, filter, EventCursor::END, BOARD_EVENTS).await?;
    let (documents, has_more_documents) = app.store.documents(&mission).await?;
    let view = MissionView::of(&mission);
    let board = Board::of(&read.events);
    let lanes = Lane::ALL.map(|lane| {
        let count = board.in_lane(lane).count();
        LaneView {
            label: fact::lane_label(lane),
            class: lane.name(),
            count,
            cards: board.in_lane(lane).take(CARDS).map(|package| Card::of(&view, package)).collect(),
            hidden: count.saturating_sub(CARDS),
        }
    });
    // Lanes that most missions never use are shown only where they are.
    let is_shown = |lane: &LaneView| lane.count > 0 || !["blocked", "canceled"].contains(&lane.class);
    let content = BoardPage {
        frame: frame(&signed_in, &view.name),
        purpose: board.purpose.clone(),
        total: board.packages.len(),
        done: board.in_lane(Lane::Done).count(),
        lanes: lanes.into_iter().filter(is_shown).collect(),
        plot: plot(&board.progress),
        documents: documents.iter().map(|record| DocumentView::of(&view, record)).collect(),
        has_more_documents,
        is_partial: read.next.is_some(),
        mission: view,
    };
    Ok(page(StatusCode::OK, &content))
}

#[derive(Debug, Template)]
#[template(path = "missions/work_package.html")]
struct PackagePage {
    frame: Frame,
    mission: MissionView,
    id: String,
    lane: String,
    lane_class: &'static str,
    actor: String,
    moved: Option<(String, String)>,
    entries: Vec<Entry>,
    is_first: bool,
    next: Option<String>,
}

/// `GET /missions/{mission}/work-package?id=ID&before=POSITION`: a work package and its history.
pub(crate) async fn work_package(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = fields(query)?;
    let id = query.get("id").ok_or_else(HttpRefusal::no_page)?;
    let before = cursor(query.get("before"))?;
    let mission = find(&app, &signed_in, &key).await?;
    let of_package = |event_types| EventFilter { event_types, aggregate_id: Some(id.to_owned()) };
    let types = board::TYPES.map(str::to_owned).to_vec();
    let moves = app.store.mission_events(&mission, of_package(types), EventCursor::END, MOVES).await?;
    let read = app.store.mission_events(&mission, of_package(Vec::new()), before, ENTRIES).await?;
    if moves.events.is_empty() && read.events.is_empty() && read.next.is_none() {
        return Err(HttpRefusal::no_page());
    }
    let board = Board::of(&moves.events);
    let package = board.packages.into_iter().next();
    let title = package.as_ref().map(|package| package.title.clone()).filter(|title| !title.is_empty());
    let view = MissionView::of(&mission);
    let shown = cut(id, 100);
    let heading = title.map_or_else(|| shown.clone(), |title| format!("{shown}: {title}"));
    let lane = package.as_ref().map_or(Lane::Planned, |package| package.lane);
    let moved_at: Option<Instant> = package.as_ref().and_then(|package| package.moved_at);
    let content = PackagePage {
        frame: frame(&signed_in, &heading),
        lane: fact::lane_label(lane),
        lane_class: lane.name(),
        actor: package.map(|package| package.actor).unwrap_or_default(),
        moved: moved_at.map(|at| (at.iso(), at.readable())),
        next: read.next.map(|next| format!("{}&before={next}", view.work_package(id))),
        entries: read.events.iter().map(Entry::of).collect(),
        is_first: before == EventCursor::END,
        id: shown,
        mission: view,
    };
    Ok(page(StatusCode::OK, &content))
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
}

/// `GET /missions/{mission}/events?type=TYPE&work_package=ID&before=POSITION`: events, newest first.
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = fields(query)?;
    let mission = find(&app, &signed_in, &key).await?;
    let before = cursor(query.get("before"))?;
    let (event_type, package) = (query.get("type"), query.get("work_package").map(str::trim));
    let filter = EventFilter {
        event_types: event_type.into_iter().map(str::to_owned).collect(),
        aggregate_id: package.map(str::to_owned),
    };
    let MissionEvents { events, next } = app.store.mission_events(&mission, filter, before, ENTRIES).await?;
    let view = MissionView::of(&mission);
    let next = next.map(|next| {
        let mut address = Serializer::new(format!("{}/events?", view.path));
        address.append_pair("before", &next.to_string());
        for (name, value) in [("type", event_type), ("work_package", package)] {
            if let Some(value) = value {
                address.append_pair(name, value);
            }
        }
        address.finish()
    });
    let row = |entry: Entry| {
        let path = entry.work_package.as_deref().map(|id| view.work_package(id));
        (entry, path)
    };
    let mut types: Vec<&'static str> = known_types().collect();
    types.sort_unstable();
    types.dedup();
    let content = EventsPage {
        frame: frame(&signed_in, &format!("Events of {}", view.name)),
        types: types.into_iter().map(|name| (name, event_type == Some(name))).collect(),
        work_package: cut(package.unwrap_or_default(), 100),
        is_filtered: event_type.or(package).is_some(),
        rows: events.iter().map(Entry::of).map(row).collect(),
        is_first: before == EventCursor::END,
        next,
        mission: view,
    };
    Ok(page(StatusCode::OK, &content))
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
    let mut content = DocumentPage {
        frame: frame(&signed_in, &document.name),
        mission: view,
        document,
        html: None,
        is_cut: found.text.len() > LONGEST_TEXT,
        text: String::new(),
    };
    if is_markdown {
        // A long document is some milliseconds of work.
        let rendered = tokio::task::spawn_blocking(move || markdown::render(&found.text)).await;
        let (html, is_cut) = rendered.map_err(|_| HttpRefusal::internal())?;
        (content.html, content.is_cut) = (Some(html), is_cut);
    } else {
        content.text = cut(&found.text, LONGEST_TEXT);
    }
    Ok(page(StatusCode::OK, &content))
}
