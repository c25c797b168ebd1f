//! Receipts: what this server holds for the asking account. Reads only.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields, authenticate};
use crate::store::{EventQuery, is_same_team};
use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::http::HeaderMap;
use contract::wire::inspect::{HeldBody, HeldEvent, PAGE, PAGE_WITH_CONTENT, Page};
use std::sync::Arc;

/// `GET /api/v1/inspect/events?project=UUID&event_id=ID&team=ID&after=N&limit=N&content=1`
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<HeldEvent>>, HttpRefusal> {
    let query = read_query(&app, &caller, &headers, query).await?;
    Ok(Json(app.store.events(query).await?))
}

/// `GET /api/v1/inspect/bodies?project=UUID&team=ID&after=N&limit=N&content=1`
pub(crate) async fn bodies(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Json<Page<HeldBody>>, HttpRefusal> {
    let query = read_query(&app, &caller, &headers, query).await?;
    Ok(Json(app.store.bodies(query).await?))
}

async fn read_query(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    query: Option<String>,
) -> Result<EventQuery, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let form = FormFields::parse(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| HttpRefusal::malformed("schema: the query has a field twice"))?;
    let number = |name: &str, without: u64| match form.get(name).map(str::parse::<u64>) {
        None => Ok(without),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(HttpRefusal::malformed(format!("field {name} must be a whole number"))),
    };
    let with_content = form.get("content") == Some("1");
    if with_content {
        // Many megabytes, which stay in memory until the client has read them.
        let place = app.shares.large_answers.try_acquire(principal.account.user_id.clone());
        caller.hold(place.ok_or_else(|| app.over_share(1))?);
    }
    let page = if with_content { PAGE_WITH_CONTENT } else { PAGE };
    let wanted = form.get("team");
    let teams = principal
        .account
        .teams
        .iter()
        .filter(|team| wanted.is_none_or(|wanted| is_same_team(&team.team_id, wanted)));
    Ok(EventQuery {
        teams: teams.map(|team| team.key).collect(),
        project_uuid: form.get("project").map(str::to_owned),
        event_id: form.get("event_id").map(str::to_owned),
        after: number("after", 0)?,
        limit: number("limit", page)?.clamp(1, page),
        with_content,
    })
}
