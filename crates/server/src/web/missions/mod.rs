//! Pages of missions: the list, the board of one, a work package with its history, documents and events.
//!
//! | module | owns |
//! |---|---|
//! | `board` | the lanes that events add up to |
//! | `fact` | fields of one event |
//! | `plot` | progress over time as a drawing |
//! | `markdown` | documents as HTML |
//! | `pages` | the pages of one mission |
//!
//! Each page reads a bounded number of rows and bytes, and shows where it leaves something out.

mod board;
mod fact;
mod markdown;
mod pages;
mod plot;

pub(crate) use pages::{board as show_board, document, events, work_package};

use super::{Frame, Section, SignedIn, page};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::FormFields;
use crate::store::{MissionCursor, MissionRecord, Sight};
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;
use url::form_urlencoded::byte_serialize;

pub(crate) const LIST: &str = "/missions";
pub(crate) const BOARD: &str = "/missions/{mission}";
pub(crate) const EVENTS: &str = "/missions/{mission}/events";
pub(crate) const DOCUMENT: &str = "/missions/{mission}/documents/{document}";
pub(crate) const WORK_PACKAGE: &str = "/missions/{mission}/work-package";

/// Name of the events of a project that belong to no mission.
const NO_MISSION: &str = "Events without a mission";

/// Missions of one page.
const PAGE: usize = 50;

/// Names of a mission on pages.
#[derive(Debug)]
struct MissionView {
    path: String,
    name: String,
    slug: String,
    team: String,
    project: String,
    active: String,
    active_iso: String,
    is_shared: bool,
}

impl MissionView {
    fn of(mission: &MissionRecord) -> Self {
        let named = |name: &str, other: &str| {
            let name = if name.trim().is_empty() { other } else { name };
            fact::cut(name, 200)
        };
        let slug = if mission.slug.is_empty() { NO_MISSION } else { &mission.slug };
        Self {
            path: format!("{LIST}/{}", mission.key),
            name: named(&mission.name, slug),
            slug: mission.slug.clone(),
            team: fact::cut(&mission.team_name, 200),
            project: named(&mission.project_name, named(&mission.project_uuid, "none").as_str()),
            active: mission.active_at.readable(),
            active_iso: mission.active_at.iso(),
            is_shared: mission.is_shared,
        }
    }

    /// Whether it is a mission, and not the events of a project that belong to none.
    fn is_mission(&self) -> bool {
        !self.slug.is_empty()
    }

    /// The path of the page of a work package.
    fn work_package(&self, id: &str) -> String {
        let id: String = byte_serialize(id.as_bytes()).collect();
        format!("{}/work-package?id={id}", self.path)
    }
}

#[derive(Debug, Template)]
#[template(path = "missions/list.html")]
struct ListPage {
    frame: Frame,
    missions: Vec<MissionView>,
    is_first: bool,
    next: Option<String>,
}

/// `GET /missions?before=TIME-KEY`: the missions of the teams of the person, newest activity first.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = fields(query)?;
    let before = match query.get("before") {
        None => MissionCursor::START,
        Some(text) => read_cursor(text).ok_or_else(HttpRefusal::no_page)?,
    };
    let found = app.store.missions(sight(&app, &signed_in).await?, before, PAGE).await?;
    let next = found.next.map(|MissionCursor { active_at, key }| format!("{LIST}?before={active_at}-{key}"));
    let content = ListPage {
        frame: signed_in.frame("Missions", Some(Section::Missions)),
        missions: found.missions.iter().map(MissionView::of).collect(),
        is_first: before == MissionCursor::START,
        next,
    };
    Ok(page(StatusCode::OK, &content))
}

fn read_cursor(text: &str) -> Option<MissionCursor> {
    let (active_at, key) = text.split_once('-')?;
    Some(MissionCursor { active_at: active_at.parse().ok()?, key: key.parse().ok()? })
}

fn fields(query: Option<String>) -> Result<FormFields, HttpRefusal> {
    FormFields::parse(query.unwrap_or_default().as_bytes()).ok_or_else(HttpRefusal::no_page)
}

async fn sight(app: &App, signed_in: &SignedIn) -> Result<Sight, HttpRefusal> {
    Ok(app.store.sight(signed_in.team_keys()).await?)
}
