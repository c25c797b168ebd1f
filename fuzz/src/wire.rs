//! Fuzz targets for input from the network and from other processes.

use contract::event::ValidatedEvent;
use contract::json::Node;
use contract::wire::CiToken;
use contract::wire::receipts::NewestReceipts;
use contract::{OwnerRecord, ServerUrl};
use daemon::control::http::{Parsed, parse_request, parse_response};
use delivery::classify::{judge_batch, judge_body};
use delivery::http::{HttpAnswer, RetryAfter};

/// An event is stored and sent as it came, and only when it is valid.
pub(crate) fn event(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Node::parse(text);
    if let Ok(event) = ValidatedEvent::parse(text.to_owned()) {
        assert_eq!(event.text(), text, "the text of an event changed");
    }
}

/// An answer settles only rows that were sent.
pub(crate) fn answer(input: &[u8]) {
    let Some((&status, body)) = input.split_first() else { return };
    let status = 200 + u16::from(status) * 2;
    let answer = HttpAnswer::from_parts(status, None, body.to_vec());
    let ids = ["01KRX0000000000000000000A1", "01KRX0000000000000000000A2"];
    let _ = judge_batch(&ids, &answer);
    let _ = judge_body(&answer, "0123456789abcdef");
    let _ = answer.is_foreign();
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = RetryAfter::parse(text);
    }
}

/// Requests and responses of the daemon's control plane.
pub(crate) fn control(input: &[u8]) {
    if let Parsed::Complete(request, length) = parse_request(input) {
        assert!(length <= input.len() && request.body.len() <= length, "more was read than was there");
    }
    for at_end in [false, true] {
        if let Parsed::Complete(response, length) = parse_response(input, at_end) {
            assert!(length <= input.len() && response.body.len() <= length, "more was read than was there");
        }
    }
}

/// A record is read, or refused without a value of it in the error.
pub(crate) fn owner_record(input: &[u8]) {
    let _ = OwnerRecord::parse(input);
}

/// The normal form of a URL is its own normal form; tokens and headers are read or not.
pub(crate) fn url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(url) = ServerUrl::parse(text) {
        let normal = url.to_string();
        let again = ServerUrl::parse(&normal).expect("the normal form is a URL");
        assert_eq!(again.to_string(), normal, "the normal form of {text:?} has another one");
    }
    let _ = CiToken::parse(text);
    if let Some(question) = NewestReceipts::from_header(text) {
        assert!(NewestReceipts::from_header(&question.to_header()).is_some(), "the header is not read back");
    }
}
