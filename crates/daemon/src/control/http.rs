//! The HTTP subset of the control plane, as pure functions over bytes.
//!
//! One side parses requests, the other parses responses; both are bounded in every dimension and never
//! panic. Only `Content-Length` bodies exist: `Transfer-Encoding` is refused, as is a message in which a
//! header that decides something appears twice, because two readers could then disagree about it.

use std::fmt;
use std::io::Write as _;
use zeroize::Zeroizing;

/// The largest request line plus headers, in bytes.
pub const MAX_HEAD: usize = 8 * 1024;
/// The largest request body, in bytes.
pub(crate) const MAX_REQUEST_BODY: usize = 16 * 1024;
/// The largest response body that a client reads, in bytes.
pub(crate) const MAX_RESPONSE_BODY: usize = 256 * 1024;
const MAX_HEADERS: usize = 32;

/// The header that carries a client's challenge.
pub(crate) const NONCE_HEADER: &str = "X-Spec-Kitty-Nonce";

/// Result of parsing the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// More bytes are needed.
    Incomplete,
    /// A whole message, and how many bytes it took.
    Complete(T, usize),
    /// These bytes are not the start of a message.
    Invalid(Invalid),
}

/// Reason why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not HTTP/1.
    #[error("not an HTTP/1 message")]
    Syntax,
    /// Too many or too long headers.
    #[error("headers are larger than {MAX_HEAD} bytes or more than {MAX_HEADERS}")]
    HeadTooLarge,
    /// The body is larger than the limit.
    #[error("the body is too large")]
    BodyTooLarge,
    /// A header that decides something is malformed or appears twice.
    #[error("a header is malformed or repeated")]
    Header,
    /// `Transfer-Encoding` is not spoken here.
    #[error("transfer encodings are not supported")]
    TransferEncoding,
}

impl Invalid {
    /// The status that answers such a request.
    pub const fn status(self) -> u16 {
        match self {
            Self::Syntax | Self::Header => 400,
            Self::BodyTooLarge => 413,
            Self::HeadTooLarge => 431,
            Self::TransferEncoding => 501,
        }
    }
}

/// A request to the control plane.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlRequest {
    /// The method, as sent.
    pub method: String,
    /// The path with its query, as sent.
    pub path: String,
    /// The `Host` header.
    pub host: Option<String>,
    /// Whether an `Origin` header is present: the request is from a web page.
    pub has_origin: bool,
    /// The bearer token.
    pub bearer: Option<Zeroizing<String>>,
    /// The client's challenge, as sent.
    pub nonce: Option<String>,
    /// Whether the client keeps the connection for another request.
    pub keep_alive: bool,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for ControlRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Parses one request from the beginning of `bytes`.
pub fn parse_request(bytes: &[u8]) -> Parsed<ControlRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head_length(head.parse(bytes), bytes) {
        Parsed::Complete((), length) => length,
        Parsed::Incomplete => return Parsed::Incomplete,
        Parsed::Invalid(why) => return Parsed::Invalid(why),
    };
    let (Some(method), Some(path), Some(version)) = (head.method, head.path, head.version) else {
        return Parsed::Invalid(Invalid::Syntax);
    };
    let known = match KnownHeaders::of(head.headers) {
        Ok(known) => known,
        Err(why) => return Parsed::Invalid(why),
    };
    let body_length = known.content_length.unwrap_or(0);
    if body_length > MAX_REQUEST_BODY {
        return Parsed::Invalid(Invalid::BodyTooLarge);
    }
    let Some(body) = bytes.get(length..length + body_length) else { return Parsed::Incomplete };
    let request = ControlRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: known.host,
        has_origin: known.has_origin,
        bearer: known.bearer,
        nonce: known.nonce,
        keep_alive: version == 1 && !known.close,
        body: body.to_vec(),
    };
    Parsed::Complete(request, length + body_length)
}

/// A response of a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlResponse {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Parses one response from the beginning of `bytes`. Without a `Content-Length` the body ends with the
/// connection (the reference's control plane answers so): `at_end`: the connection has ended.
pub fn parse_response(bytes: &[u8], at_end: bool) -> Parsed<ControlResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head_length(head.parse(bytes), bytes) {
        Parsed::Complete((), length) => length,
        Parsed::Incomplete => return Parsed::Incomplete,
        Parsed::Invalid(why) => return Parsed::Invalid(why),
    };
    let Some(status) = head.code else { return Parsed::Invalid(Invalid::Syntax) };
    let known = match KnownHeaders::of(head.headers) {
        Ok(known) => known,
        Err(why) => return Parsed::Invalid(why),
    };
    let rest = bytes.len() - length;
    let body_length = known.content_length.unwrap_or(rest);
    if body_length > MAX_RESPONSE_BODY {
        return Parsed::Invalid(Invalid::BodyTooLarge);
    }
    if known.content_length.is_none() && !at_end {
        return Parsed::Incomplete;
    }
    let Some(body) = bytes.get(length..length + body_length) else { return Parsed::Incomplete };
    Parsed::Complete(ControlResponse { status, body: body.to_vec() }, length + body_length)
}

fn head_length(parsed: httparse::Result<usize>, bytes: &[u8]) -> Parsed<()> {
    match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => Parsed::Complete((), length),
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Parsed::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Parsed::Invalid(Invalid::HeadTooLarge),
        Err(_) => Parsed::Invalid(Invalid::Syntax),
    }
}

/// The headers that decide something; each may appear once.
#[derive(Default)]
struct KnownHeaders {
    content_length: Option<usize>,
    host: Option<String>,
    has_origin: bool,
    bearer: Option<Zeroizing<String>>,
    nonce: Option<String>,
    close: bool,
}

impl KnownHeaders {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Invalid> {
        let mut known = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("Transfer-Encoding") {
                return Err(Invalid::TransferEncoding);
            } else if is("Content-Length") {
                put(&mut known.content_length, content_length(header.value)?)?;
            } else if is("Host") {
                put(&mut known.host, text(header.value)?.to_owned())?;
            } else if is("Authorization") {
                let bearer = text(header.value)?.strip_prefix("Bearer ").ok_or(Invalid::Header)?;
                put(&mut known.bearer, Zeroizing::new(bearer.trim().to_owned()))?;
            } else if is(NONCE_HEADER) {
                put(&mut known.nonce, text(header.value)?.to_owned())?;
            } else if is("Connection") {
                known.close |= header.value.eq_ignore_ascii_case(b"close");
            } else if is("Origin") {
                known.has_origin = true;
            }
        }
        Ok(known)
    }
}

fn put<T>(slot: &mut Option<T>, value: T) -> Result<(), Invalid> {
    if slot.replace(value).is_some() { Err(Invalid::Header) } else { Ok(()) }
}

fn text(value: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(value).map_err(|_| Invalid::Header)
}

/// Digits only: no sign, no list. A number that no machine can hold is simply too large.
fn content_length(value: &[u8]) -> Result<usize, Invalid> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Invalid::Header);
    }
    text(value)?.parse().map_err(|_| Invalid::BodyTooLarge)
}

/// The bytes of a response with a JSON body.
pub(crate) fn render_response(status: u16, body: &[u8], keep_alive: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 160);
    let connection = if keep_alive { "keep-alive" } else { "close" };
    // Writing to a vector cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: {connection}\r\n\r\n",
        reason = reason(status),
        length = body.len(),
    );
    out.extend_from_slice(body);
    out
}

/// The bytes of a request to `127.0.0.1:port`.
pub(crate) fn render_request(
    method: &str,
    path: &str,
    port: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(body.len() + 512));
    let _ = write!(
        out,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUDGE: &[u8] = b"POST /v1/nudge HTTP/1.1\r\nHost: 127.0.0.1:5\r\nAuthorization: Bearer abc\r\n\
        Content-Length: 2\r\n\r\n{}";

    fn complete(bytes: &[u8]) -> (ControlRequest, usize) {
        match parse_request(bytes) {
            Parsed::Complete(request, length) => (request, length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn request_is_read_and_the_next_one_is_left_alone() {
        let two = [NUDGE, b"GET /v1/health HTTP/1.0\r\n\r\n"].concat();
        let (first, length) = complete(&two);
        assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/v1/nudge"));
        assert_eq!(first.host.as_deref(), Some("127.0.0.1:5"));
        assert_eq!(first.bearer.as_deref().map(String::as_str), Some("abc"));
        assert_eq!(
            (first.body.as_slice(), first.keep_alive, first.has_origin),
            (b"{}".as_slice(), true, false)
        );
        let (second, rest) = complete(&two[length..]);
        assert_eq!((second.path.as_str(), second.keep_alive), ("/v1/health", false));
        assert_eq!(length + rest, two.len());
    }

    #[test]
    fn debug_output_of_a_request_shows_no_bearer() {
        assert!(!format!("{:?}", complete(NUDGE).0).contains("abc"));
    }

    #[test]
    fn messages_that_two_readers_could_read_differently_are_refused() {
        let cases: [(&[u8], Invalid); 8] = [
            (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Invalid::Header),
            (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", Invalid::Header),
            (b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Invalid::Header),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Invalid::TransferEncoding),
            (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", Invalid::BodyTooLarge),
            (b"POST / HTTP/1.1\r\nContent-Length: 16385\r\n\r\n", Invalid::BodyTooLarge),
            (b"GET / HTTP/1.1\r\nAuthorization: Basic abc\r\n\r\n", Invalid::Header),
            (b"\x16\x03\x01\x02\x00\x01\x00", Invalid::Syntax),
        ];
        for (bytes, why) in cases {
            assert_eq!(parse_request(bytes), Parsed::Invalid(why), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn head_that_never_ends_is_refused_at_the_limit() {
        let endless = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; MAX_HEAD]].concat();
        assert_eq!(parse_request(&endless), Parsed::Invalid(Invalid::HeadTooLarge));
        let many: String = (0..40).map(|i| format!("H{i}: v\r\n")).collect();
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert_eq!(parse_request(many.as_bytes()), Parsed::Invalid(Invalid::HeadTooLarge));
    }

    #[test]
    fn response_without_a_length_ends_with_its_connection() {
        let bytes = b"HTTP/1.0 200 OK\r\nContent-type: application/json\r\n\r\n{\"a\":1}";
        assert_eq!(parse_response(bytes, false), Parsed::Incomplete);
        let whole = ControlResponse { status: 200, body: b"{\"a\":1}".to_vec() };
        assert_eq!(parse_response(bytes, true), Parsed::Complete(whole, bytes.len()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse_request(&bytes);
            let _ = parse_response(&bytes, true);
        }

        #[test]
        fn damaged_requests_never_panic_and_never_read_past_their_end(
            at in 0..NUDGE.len(), byte in any::<u8>(), cut in 0..NUDGE.len(),
        ) {
            let mut bytes = NUDGE.to_vec();
            bytes[at] = byte;
            if let Parsed::Complete(_, length) = parse_request(&bytes) {
                prop_assert!(length <= bytes.len());
            }
            let _ = parse_request(&bytes[..cut]);
        }

        #[test]
        fn request_is_incomplete_until_its_last_byte(cut in 0..NUDGE.len()) {
            prop_assert_eq!(parse_request(&NUDGE[..cut]), Parsed::Incomplete);
        }

        #[test]
        fn rendered_response_is_parsed_back(
            status in 200u16..600,
            body in proptest::collection::vec(any::<u8>(), 0..2048),
            keep_alive in any::<bool>(),
        ) {
            let bytes = render_response(status, &body, keep_alive);
            let length = bytes.len();
            let expected = ControlResponse { status, body: body.clone() };
            prop_assert_eq!(parse_response(&bytes, false), Parsed::Complete(expected, length));
            let bytes = render_request("POST", "/x", 7, &[(NONCE_HEADER, "00")], &body);
            let (request, length) = complete(&bytes);
            prop_assert_eq!((request.body, length), (body, bytes.len()));
            prop_assert_eq!(request.nonce.as_deref(), Some("00"));
        }
    }
}
