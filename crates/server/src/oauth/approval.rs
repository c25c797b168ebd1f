//! Parts of both approval pages and of the sign-in: the form, and the check of the e-mail address and approval
//! secret.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields};
use crate::secret::{SecretText, verify_approval_secret};
use crate::store::{Account, Guess, GuessCounter, StoreError};
use crate::time::UnixMillis;
use crate::web;
use crate::web::approval::ApprovalPage;
use crate::web::form::{FORM_KEY, FormCookie, PageFault};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// Does not reveal which of the two is wrong.
const WRONG_LOGIN: PageFault = PageFault::new(
    StatusCode::UNAUTHORIZED,
    "The e-mail address or the approval secret is wrong. The administrator issues a new secret: \
     spec-kitty server user secret.",
);

/// Renders a page whose form is bound to the browser.
pub(crate) fn page(
    app: &App,
    headers: &HeaderMap,
    fault: Option<PageFault>,
    content: ApprovalPage<'_>,
) -> Response {
    let Some(cookie) = FormCookie::load(app, headers) else {
        return HttpRefusal::unavailable().into_response();
    };
    let form_key = cookie.form_key();
    let mut hidden = content.hidden;
    hidden.push((FORM_KEY, &form_key));
    let content = ApprovalPage { fault: fault.as_ref().map(|fault| fault.text), hidden, ..content };
    let status = fault.as_ref().map_or(StatusCode::OK, |fault| fault.status);
    let response = web::page(status, &content);
    cookie.attach(fault.as_ref(), response)
}

/// Checks an e-mail address and approval secret. Slow on purpose, a few at once at most. The guess is
/// counted before the hash is computed, so that guesses at the same time cannot pass together.
pub(crate) async fn identify(
    app: &App,
    form: &FormFields,
    caller: &Caller,
) -> Result<Result<Account, PageFault>, StoreError> {
    let (Some(email), Some(secret)) = (form.get("email"), form.get("secret")) else {
        return Ok(Err(WRONG_LOGIN));
    };
    let limits = &app.limits;
    let guess = Guess {
        counters: vec![
            GuessCounter::account_at(email, caller.origin, limits.wrong_secrets),
            GuessCounter::accounts_of(caller.origin, limits.wrong_secrets_per_address),
        ],
        pause: limits.wrong_secret_pause,
        now: UnixMillis::now(),
    };
    if let Some(pause) = app.store.begin_guess(guess.clone()).await? {
        app.metrics.guesses_paused.inc();
        return Ok(Err(PageFault::wait("Too many wrong secrets. Please wait a minute.", pause)));
    }
    let known = app.store.account_secret(email.to_owned()).await?;
    let (account, stored) = known.map_or((None, None), |(account, stored)| (Some(account), Some(stored)));
    let permits = app.hashing_permits(caller).await.ok_or(StoreError::Closed)?;
    let typed = SecretText::new(secret.to_owned());
    let check = move || {
        // If the client disconnects, its permits are released when the hash is done, not before.
        let _permits = permits;
        verify_approval_secret(typed.expose(), stored.as_deref())
    };
    let is_right = tokio::task::spawn_blocking(check).await.map_err(|_| StoreError::Closed)?;
    match account {
        Some(account) if is_right => {
            app.store.take_back_guess(guess).await?;
            Ok(Ok(account))
        }
        _ => Ok(Err(WRONG_LOGIN)),
    }
}
