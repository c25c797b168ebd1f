//! Inspection: the events and bodies stored for the teams of the asking account, and of the projects that are
//! shared with them. Reads only.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::store::{EventQuery, Principal, TeamKey, is_same_team};
use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use contract::wire::inspect::{InspectedBody, InspectedEvent, PAGE, PAGE_WITH_CONTENT, Page};
use std::sync::Arc;

/// `GET /api/v1/inspect/events?project=UUID&event_id=ID&team=ID&after=N&limit=N&content=1`
pub(crate) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<InspectedEvent>>, HttpRefusal> {
    Ok(Json(app.store.events(read_query(&app, &caller, &principal, query).await?).await?))
}

/// `GET /api/v1/inspect/bodies?project=UUID&team=ID&after=N&limit=N&content=1`
pub(crate) async fn bodies(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    principal: Principal,
    RawQuery(query): RawQuery,
) -> Result<Json<Page<InspectedBody>>, HttpRefusal> {
    Ok(Json(app.store.bodies(read_query(&app, &caller, &principal, query).await?).await?))
}

async fn read_query(
    app: &App,
    caller: &Caller,
    principal: &Principal,
    query: Option<String>,
) -> Result<EventQuery, HttpRefusal> {
    let form = FormFields::parse(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| HttpRefusal::malformed("schema: the query has a field twice"))?;
    let number = |name: &str, default: u64| match form.get(name).map(str::parse::<u64>) {
        None => Ok(default),
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err(HttpRefusal::malformed(format!("field {name} must be a whole number"))),
    };
    let with_content = form.get("content") == Some("1");
    if with_content {
        // Many megabytes, which stay in memory until the client has read them.
        let permit = app.concurrency.large_answers.try_acquire(principal.account.user_id.clone());
        caller.hold(permit.ok_or_else(|| app.over_share(1))?);
    }
    let page = if with_content { PAGE_WITH_CONTENT } else { PAGE };
    let wanted = form.get("team");
    let is_wanted = |team: &str| wanted.is_none_or(|wanted| is_same_team(team, wanted));
    let teams = principal.account.teams.iter().filter(|team| is_wanted(&team.team_id));
    let teams: Vec<TeamKey> = teams.map(|team| team.key).collect();
    Ok(EventQuery {
        shared: app.store.shared_with(teams.clone()).await?,
        teams,
        project_uuid: form.get("project").map(str::to_owned),
        event_id: form.get("event_id").map(str::to_owned),
        after: number("after", 0)?,
        limit: number("limit", page)?.clamp(1, page),
        with_content,
    })
}
