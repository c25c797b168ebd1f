//! The person's own account: teams, sessions and machine tokens.

use super::{Frame, Section, SignedForm, SignedIn, page, see_other};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::store::{Account, CiTokenRecord, SessionRecord};
use crate::time::UnixMillis;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

pub(crate) const ACCOUNT: &str = "/account";
pub(crate) const END_SESSION: &str = "/account/sessions/end";
pub(crate) const REVOKE_TOKEN: &str = "/account/tokens/revoke";

#[derive(Debug, Template)]
#[template(path = "account/account.html")]
struct AccountPage {
    frame: Frame,
    account: Account,
    sessions: Vec<SessionRow>,
    tokens: Vec<CiTokenRecord>,
    end_session: &'static str,
    revoke_token: &'static str,
}

#[derive(Debug)]
struct SessionRow {
    id: String,
    machine: String,
    login: &'static str,
    began: String,
    last_used: String,
    ends: String,
    is_this: bool,
}

impl SessionRow {
    fn of(record: SessionRecord, this: &str) -> Self {
        let readable = |at: Option<UnixMillis>| at.map_or_else(|| "not yet".to_owned(), UnixMillis::readable);
        Self {
            is_this: record.session_id == this,
            login: match record.flow.as_str() {
                "browser" => "sign-in on this site",
                "device_code" => "by device code",
                _ => "by browser, for a client",
            },
            began: record.created_at.readable(),
            last_used: readable(record.last_used_at),
            ends: readable(record.expires_at),
            id: record.session_id,
            machine: record.machine,
        }
    }
}

/// `GET /account`
pub(crate) async fn show(State(app): State<Arc<App>>, signed_in: SignedIn) -> Result<Response, HttpRefusal> {
    let email = Some(signed_in.account.email.clone());
    let sessions = app.store.sessions(email.clone(), false, UnixMillis::now()).await?;
    let tokens = app.store.ci_tokens(email).await?;
    let rows = sessions.into_iter().rev().map(|record| SessionRow::of(record, &signed_in.session_id));
    let content = AccountPage {
        frame: signed_in.frame("Account", Some(Section::Account)),
        sessions: rows.collect(),
        tokens: tokens.into_iter().filter(|token| token.revoked_at.is_none()).collect(),
        account: signed_in.account,
        end_session: END_SESSION,
        revoke_token: REVOKE_TOKEN,
    };
    Ok(page(StatusCode::OK, &content))
}

/// `POST /account/sessions/end`: ends a session of the person.
pub(crate) async fn end_session(
    State(app): State<Arc<App>>,
    form: SignedForm,
) -> Result<Response, HttpRefusal> {
    let id = form.fields.get("id").unwrap_or_default().to_owned();
    let owner = Some(form.signed_in.account.user_id);
    match app.store.end_session(id, owner, UnixMillis::now()).await? {
        true => Ok(see_other(ACCOUNT)),
        false => Err(HttpRefusal::no_page()),
    }
}

/// `POST /account/tokens/revoke`: revokes a machine token of the person.
pub(crate) async fn revoke_token(
    State(app): State<Arc<App>>,
    form: SignedForm,
) -> Result<Response, HttpRefusal> {
    let id = form.fields.get("id").unwrap_or_default().to_owned();
    match app.store.revoke_ci_token(id, Some(form.signed_in.account.user_id)).await? {
        true => Ok(see_other(ACCOUNT)),
        false => Err(HttpRefusal::no_page()),
    }
}
