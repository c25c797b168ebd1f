//! The stylesheet, at a path of its own.

use axum::extract::RawQuery;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Path of the stylesheet.
pub(crate) const STYLESHEET: &str = "/assets/style.css";

const STYLE: &str = include_str!("../../assets/style.css");

/// Changes with the content, so that a browser may keep a copy for good.
static VERSION: LazyLock<String> = LazyLock::new(|| HEXLOWER.encode(&Sha256::digest(STYLE.as_bytes())[..8]));

static LINK: LazyLock<String> = LazyLock::new(|| format!("{STYLESHEET}?{}", *VERSION));

/// The address that pages link to.
pub(crate) fn link() -> &'static str {
    &LINK
}

/// `GET /assets/style.css?VERSION`. Another release may answer a link of this one, so only the present version is kept.
pub(crate) async fn show(RawQuery(query): RawQuery) -> Response {
    let is_present = query.as_ref() == Some(&*VERSION);
    let kept = if is_present { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, kept)];
    (headers.map(|(name, value)| (name, HeaderValue::from_static(value))), STYLE).into_response()
}
