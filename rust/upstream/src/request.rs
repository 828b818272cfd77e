//! What is sent: a POST with a JSON body, its head written here and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use crate::body::Body;
use crate::error::{Failure, Kind};
use crate::origin::Origin;

/// One exchange to start. Always a POST of JSON: that is what every provider's inference endpoints take.
///
/// Not `Debug`: headers hold credentials, and the body is the client's.
pub struct Request<'a> {
    /// Where to; also names the pool of connections.
    pub origin: Arc<Origin>,
    /// The full path with its query, base path included.
    pub path: &'a str,
    /// Headers besides the ones this crate writes itself (host, content-type, content-length, accept-encoding).
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body; kept until the first response byte arrives.
    pub body: Body,
    /// How long each part may take.
    pub deadlines: Deadlines,
}

/// How long each part of an exchange may take. `Duration::MAX` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Queueing for a connection, name lookup, TCP, the proxy's tunnel and TLS together.
    pub connect: Duration,
    /// From the moment the request goes out to the first byte of the final (not 1xx) response.
    pub first_byte: Duration,
    /// Between two arrivals of response bytes, and from the first byte to the end of the head, however many arrivals
    /// bring it; stands still while reading is switched off.
    pub gap: Duration,
    /// The whole exchange, from its start.
    pub total: Duration,
}

/// Headers that decide framing or that this crate writes: a second one would make the request ambiguous.
const RESERVED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Request<'_> {
    /// Writes the head, or says why it cannot be sent. Header values never appear in the error.
    pub(crate) fn encode_head(&self) -> Result<Vec<u8>, Failure> {
        let path = self.path.as_bytes();
        if path.first() != Some(&b'/') || !path.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
            return Err(refused(
                "the path must start with `/` and hold only visible ASCII without `#`".into(),
            ));
        }
        let size: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut head = Vec::with_capacity(160 + path.len() + self.origin.authority().len() + size);
        head.extend_from_slice(b"POST ");
        head.extend_from_slice(path);
        head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        head.extend_from_slice(self.origin.authority().as_bytes());
        head.extend_from_slice(b"\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n");
        for (name, value) in self.headers {
            check_header(name, value)?;
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"content-length: ");
        head.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        Ok(head)
    }
}

fn check_header(name: &str, value: &[u8]) -> Result<(), Failure> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(refused(format!("`{}` is not a header name", name.escape_debug())));
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(refused(format!("header `{name}` is written by the exchange itself")));
    }
    if value.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        return Err(refused(format!("the value of header `{name}` contains a control character")));
    }
    Ok(())
}

#[cold]
fn refused(context: String) -> Failure {
    Failure::new(Kind::Request, context)
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(path: &str, headers: &[(&str, &[u8])]) -> Result<String, String> {
        let deadlines = Deadlines {
            connect: Duration::MAX,
            first_byte: Duration::MAX,
            gap: Duration::MAX,
            total: Duration::MAX,
        };
        let origin = Arc::new(Origin::parse("http://host:8000/v1").unwrap());
        let request = Request { origin, path, headers, body: "{}".into(), deadlines };
        request
            .encode_head()
            .map(|head| String::from_utf8_lossy(&head).into_owned())
            .map_err(|failure| failure.context.into_owned())
    }

    #[test]
    fn writes_the_head() {
        let expected = "POST /v1/chat?a=b HTTP/1.1\r\nhost: host:8000\r\ncontent-type: application/json\r\n\
            accept-encoding: identity\r\nauthorization: Bearer k\r\nx-a: \u{e9}\t \r\ncontent-length: 2\r\n\r\n";
        let headers: &[(&str, &[u8])] = &[("authorization", b"Bearer k"), ("x-a", "\u{e9}\t ".as_bytes())];
        assert_eq!(encode("/v1/chat?a=b", headers), Ok(expected.to_owned()));
    }

    #[test]
    fn refuses_what_would_change_the_framing() {
        let header = |name: &str, value: &[u8]| encode("/", &[(name, value)]).unwrap_err();
        for value in [&b"a\r\nb: c"[..], b"a\nb", b"a\0b", b"\x7f", b"a\rb"] {
            assert_eq!(header("x-key", value), "the value of header `x-key` contains a control character");
        }
        for name in ["", "a b", "a:", "a\r\n", "n\u{e4}me"] {
            assert!(header(name, b"v").ends_with("is not a header name"), "{name:?}");
        }
        for name in RESERVED.iter().copied().chain(["Content-Length", "Transfer-Encoding"]) {
            assert!(header(name, b"v").ends_with("is written by the exchange itself"), "{name}");
        }
        for path in ["", "v1", "/a b", "/a\r\nb", "/\u{e4}", "/a#b"] {
            assert!(encode(path, &[]).unwrap_err().starts_with("the path must"), "{path:?}");
        }
    }
}
