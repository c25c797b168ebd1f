//! Request parts: the client address, the bearer token, a bounded body, forms.

use crate::app::App;
use crate::config::ServerLimits;
use crate::connection::{MinTransferRate, Peer, Serving};
use crate::origin::{ClientOrigin, is_forwarded};
use crate::refusal::HttpRefusal;
use crate::secret::TokenHash;
use crate::store::Principal;
use crate::time::UnixMillis;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use hyper::body::Body as _;
use serde::Deserialize;
use serde::de::Error as _;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Reads a JSON object. serde would also fill a struct from an array, field by field in order.
pub(crate) fn read_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text),
        _ => Err(serde_json::Error::custom("not a JSON object")),
    }
}

/// Longer bearer values are not tokens of this server.
const LONGEST_TOKEN: usize = 1024;

/// Bytes and time that a refused client may still use, so that it reads the answer instead of a broken
/// connection.
const DISCARD_LIMIT: usize = 8 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(3);

/// The origin of a request, and the permits it holds until its answer was sent.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The address of the peer, or the one that a trusted proxy forwards.
    pub(crate) address: IpAddr,
    /// Key of the limits for each address.
    pub(crate) origin: ClientOrigin,
    serving: Option<Arc<Serving>>,
}

impl Caller {
    pub(crate) fn of(app: &App, request: &Request) -> Self {
        let peer = request.extensions().get::<Peer>().map(|Peer(address)| address.ip());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let address = app.proxies.client(peer, request.headers());
        if address == peer && is_forwarded(request.headers()) && !app.proxies.contains(peer) {
            app.warn_of_proxy(peer);
        }
        let serving = request.extensions().get::<Arc<Serving>>().cloned();
        Self { address, origin: ClientOrigin::of(address), serving }
    }

    /// Keeps a permit until the answer was sent.
    pub(crate) fn hold(&self, permit: OwnedSemaphorePermit) {
        if let Some(serving) = &self.serving {
            serving.hold(permit);
        }
    }
}

/// The account behind the request. From here on the request holds one of the permits of its account.
pub(crate) async fn authenticate(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Principal, HttpRefusal> {
    let token = bearer(headers).ok_or_else(HttpRefusal::unauthenticated)?;
    let (hash, now) = (TokenHash::of(token), UnixMillis::now());
    let principal = app.store.principal(hash, now).await?.ok_or_else(HttpRefusal::unauthenticated)?;
    let permit = app.concurrency.requests_of_account.try_acquire(principal.account.user_id.clone());
    caller.hold(permit.ok_or_else(|| app.over_share(1))?);
    if !principal.is_seen {
        // Once per token; the request does not wait for it.
        let app = Arc::clone(app);
        tokio::spawn(async move {
            if let Err(error) = app.store.mark_seen(hash, now).await {
                tracing::warn!(%error, "the first use of a token was not recorded");
            }
        });
    }
    Ok(principal)
}

impl FromRequestParts<Arc<App>> for Principal {
    type Rejection = HttpRefusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, HttpRefusal> {
        let caller = parts.extensions.get::<Caller>().ok_or_else(HttpRefusal::unauthenticated)?;
        authenticate(app, caller, &parts.headers).await
    }
}

/// A text by which a person recognises a machine: the name that it gives itself, if it does, and its program.
pub(crate) fn machine_label(name: Option<&str>, agent: Option<&HeaderValue>) -> String {
    let cut = |text: &str| -> String { text.trim().chars().take(120).collect() };
    let agent = agent.and_then(|agent| agent.to_str().ok()).map(cut).unwrap_or_default();
    match name.map(cut).filter(|name| !name.is_empty()) {
        Some(name) if agent.is_empty() => name,
        Some(name) => format!("{name}, {agent}"),
        None => agent,
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST_TOKEN;
    usable.then_some(token)
}

/// A body that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    TooLarge,
    TooSlow,
    /// The connection or its framing broke.
    Broken,
}

impl BodyFault {
    pub(crate) fn refusal(self, what: &str, too_large: impl FnOnce() -> HttpRefusal) -> HttpRefusal {
        match self {
            Self::TooLarge => too_large(),
            Self::TooSlow => HttpRefusal::too_slow(),
            Self::Broken => {
                HttpRefusal::malformed(format!("schema: the {what} did not arrive whole")).closing()
            }
        }
    }
}

/// Reads a body of at most `limit` bytes, which must keep the minimum transfer rate and arrive whole
/// within the body timeout.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    limits: &ServerLimits,
) -> Result<Vec<u8>, BodyFault> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        discard(body).await;
        return Err(BodyFault::TooLarge);
    }
    let whole = collect(body, announced.unwrap_or(0), limit, limits.min_transfer_rate());
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(result) => result,
        Err(_) => Err(BodyFault::TooSlow),
    }
}

async fn collect(
    mut body: Body,
    announced: usize,
    limit: usize,
    rate: MinTransferRate,
) -> Result<Vec<u8>, BodyFault> {
    let started = Instant::now();
    // Memory grows with what arrives, not with what is announced.
    let mut bytes = Vec::with_capacity(announced.min(64 * 1024));
    loop {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        let frame = tokio::time::timeout_at(rate.deadline(started, bytes.len()), frame).await;
        let Some(frame) = frame.map_err(|_| BodyFault::TooSlow)? else { break };
        let frame = frame.map_err(|_| BodyFault::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            discard(body).await;
            return Err(BodyFault::TooLarge);
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Discards the body of a refused request.
pub(crate) async fn discard_if_refused<T>(
    admitted: Result<T, HttpRefusal>,
    body: Body,
) -> Result<(T, Body), HttpRefusal> {
    match admitted {
        Ok(admitted) => Ok((admitted, body)),
        Err(refusal) => {
            discard(body).await;
            Err(refusal)
        }
    }
}

/// Reads and discards what a refused client still sends, within bounds.
pub(crate) async fn discard(mut body: Body) {
    let read = async {
        let mut left = DISCARD_LIMIT;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let length = frame.data_ref().map_or(0, |data| data.len());
            if length > left {
                break;
            }
            left -= length;
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, read).await;
}

/// The fields of a form, each at most once.
#[derive(Debug)]
pub(crate) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Reads a query or a form body. `None` when a field is repeated, because two readers could use
    /// different values.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if fields.len() >= 64 || fields.iter().any(|(known, _)| *known == name) {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Some(Self(fields))
    }

    /// A field; `None` when it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }
}

impl FromRequest<Arc<App>> for FormFields {
    type Rejection = HttpRefusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, HttpRefusal> {
        let limit = app.limits.bytes_per_form;
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, limit, &app.limits).await;
        let bytes = bytes.map_err(|fault| fault.refusal("form", || HttpRefusal::request_too_large(limit)))?;
        Self::parse(&bytes).ok_or_else(|| HttpRefusal::malformed("schema: the form has a field twice"))
    }
}

impl Drop for FormFields {
    fn drop(&mut self) {
        // Forms carry approval secrets and tokens.
        use zeroize::Zeroize;
        self.0.iter_mut().for_each(|(_, value)| value.zeroize());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_token_is_found_in_its_header_only() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(with("bearer abc").as_deref(), Some("abc"));
        for bad in ["Bearer ", "Basic abc", "Bearer", "abc", ""] {
            assert_eq!(with(bad), None, "{bad:?}");
        }
        assert_eq!(with(&format!("Bearer {}", "x".repeat(2000))), None);
    }

    #[test]
    fn form_with_a_repeated_field_is_refused() {
        let form = FormFields::parse(b"a=1&b=%20x&c=").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), Some(" x"), None));
        assert!(FormFields::parse(b"a=1&a=2").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn body_below_the_minimum_rate_times_out_early() {
        struct Trickle(tokio::time::Interval);
        impl hyper::body::Body for Trickle {
            type Data = axum::body::Bytes;
            type Error = std::convert::Infallible;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
                let frame = || Some(Ok(hyper::body::Frame::data(vec![b'x'; 10].into())));
                self.0.poll_tick(context).map(|_| frame())
            }
        }
        let limits = ServerLimits {
            bytes_per_second: 100,
            progress_grace: Duration::from_secs(5),
            body_timeout: Duration::from_secs(60),
            ..ServerLimits::default()
        };
        let read = async |every: u64| {
            let interval = tokio::time::interval(Duration::from_millis(every));
            let started = Instant::now();
            let body = Body::new(Trickle(interval));
            let fault = read_body(&HeaderMap::new(), body, 1_000_000, &limits).await.unwrap_err();
            assert_eq!(fault, BodyFault::TooSlow);
            started.elapsed().as_secs()
        };
        assert_eq!(read(1000).await, 5, "10 bytes a second end after the grace");
        assert_eq!(read(100).await, 60, "100 bytes a second may use the whole time");
    }

    #[tokio::test]
    async fn body_over_the_limit_is_not_collected() {
        let headers = HeaderMap::new();
        let limits = ServerLimits::default();
        let read = |length: usize| read_body(&headers, Body::from(vec![7; length]), 10, &limits);
        assert_eq!(read(10).await.unwrap().len(), 10);
        assert_eq!(read(11).await, Err(BodyFault::TooLarge));
    }
}
