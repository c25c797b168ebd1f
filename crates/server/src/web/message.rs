//! Pages with a text and no form.

use super::{Frame, page};
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

#[derive(Debug, Default, Template)]
#[template(path = "message.html")]
pub(crate) struct MessagePage<'a> {
    pub(crate) frame: Frame,
    pub(crate) texts: Vec<&'a str>,
    pub(crate) note: Option<String>,
    /// A path of this server, and its label.
    pub(crate) link: Option<(&'a str, &'a str)>,
}

pub(crate) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, &MessagePage { frame: Frame::narrow(title), texts: vec![text], ..MessagePage::default() })
}
