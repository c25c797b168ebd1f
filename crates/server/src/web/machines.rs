//! Machines that deliver to the person's teams, and what of theirs was rejected.

use super::{Frame, Section, SignedIn, page};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::FormFields;
use crate::store::{MachineRecord, RejectionRecord};
use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

pub(crate) const MACHINES: &str = "/machines";
pub(crate) const REJECTED: &str = "/rejected";

/// Rejected items on a page.
const PAGE: u64 = 50;

#[derive(Debug, Template)]
#[template(path = "machines.html")]
struct MachinesPage {
    frame: Frame,
    machines: Vec<MachineRecord>,
}

#[derive(Debug, Template)]
#[template(path = "rejected.html")]
struct RejectedPage {
    frame: Frame,
    rejected: Vec<RejectionRecord>,
    skipped: u64,
    newer: Option<String>,
    older: Option<String>,
}

/// `GET /machines`
pub(crate) async fn show(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Response, HttpRefusal> {
    let machines = app.store.machines(signed_in.team_keys()).await?;
    let frame = signed_in.frame("Machines", Some(Section::Machines));
    Ok(page(StatusCode::OK, &MachinesPage { frame, machines }))
}

/// `GET /rejected?skip=N`
pub(crate) async fn rejected(
    State(app): State<Arc<App>>,
    signed_in: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpRefusal> {
    let query = FormFields::parse(query.unwrap_or_default().as_bytes());
    let skipped = query.as_ref().and_then(|query| query.get("skip")?.parse::<u64>().ok()).unwrap_or(0);
    let skipped = skipped.min(1_000_000);
    let mut rejected = app.store.rejections(signed_in.team_keys(), skipped, PAGE + 1).await?;
    let has_more = rejected.len() as u64 > PAGE;
    rejected.truncate(PAGE as usize);
    let path = |skip: u64| if skip == 0 { REJECTED.to_owned() } else { format!("{REJECTED}?skip={skip}") };
    let content = RejectedPage {
        frame: signed_in.frame("Rejected items", Some(Section::Rejected)),
        rejected,
        skipped,
        newer: (skipped > 0).then(|| path(skipped.saturating_sub(PAGE))),
        older: has_more.then(|| path(skipped + PAGE)),
    };
    Ok(page(StatusCode::OK, &content))
}
