//! HTML pages: plain, without scripts; every value is escaped.

pub(crate) mod approval;
pub(crate) mod overview;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Escapes text for an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Characters that move or hide text are shown as escapes.
            _ => out.push_str(&contract::text::printable(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// No scripts, frames, images or other origins; forms may be sent to this server, and redirected to a
/// loopback callback.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
    form-action 'self' http://127.0.0.1:* http://localhost:*; frame-ancestors 'none'; base-uri 'none'";

/// A page around `body`, which must be HTML.
pub(crate) fn answer(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escape(title);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - Spec Kitty</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<header>Spec Kitty</header>\n{body}\n</main>\n</body>\n</html>\n"
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    let fixed = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        // Form posts are checked by the Origin header, which "no-referrer" would blank.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2330;--soft:#5b6475;--line:#d8dde6;--paper:#fff;--back:#f2f4f8;--act:#2457c5;\
--bad:#a3262a}\
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf2;--soft:#9aa4b6;--line:#343c4b;--paper:#1b202a;--back:#12161d;\
--act:#6e9bff;--bad:#ff8d8d}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:min(34rem,calc(100% - 2rem));margin:8vh auto;padding:2rem;background:var(--paper);border:1px solid var(--line);\
border-radius:.75rem}\
header{color:var(--soft);font-weight:600;letter-spacing:.02em;margin-bottom:1rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem}\
h2{font-size:1rem;margin:1.75rem 0 .5rem}\
p{margin:.5rem 0}\
a{color:var(--act)}\
.soft{color:var(--soft);font-size:.9rem}\
.code{font:600 2rem/1.2 ui-monospace,monospace;letter-spacing:.12em;margin:1rem 0;overflow-wrap:anywhere}\
.fault{border-left:3px solid var(--bad);padding:.25rem .75rem;color:var(--bad)}\
label{display:block;margin:1rem 0 .25rem;font-weight:600}\
input{width:100%;padding:.6rem .7rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);\
border-radius:.4rem}\
input:focus-visible,button:focus-visible{outline:2px solid var(--act);outline-offset:2px}\
.row{display:flex;gap:.75rem;margin-top:1.5rem;flex-wrap:wrap}\
button{padding:.6rem 1.4rem;font:inherit;font-weight:600;border-radius:.4rem;border:1px solid var(--line);\
background:transparent;color:inherit;cursor:pointer}\
button.act{background:var(--act);border-color:var(--act);color:var(--paper)}\
table{border-collapse:collapse;width:100%}\
td,th{padding:.35rem 0;border-bottom:1px solid var(--line);text-align:left;font-weight:400}\
td{text-align:right;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}\
code{font-family:ui-monospace,monospace;font-size:.92em}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_contains_no_markup() {
        assert_eq!(escape("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(escape("ünïcode"), "ünïcode");
    }
}
