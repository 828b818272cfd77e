//! What a client sent, and which endpoint it asked for.

use std::fmt;

use edgeroute_wire::{Dialect, Operation};

use crate::compile::decode_hex;
use crate::headers::{Found, Headers};
use crate::refusal::{Code, Refusal, excerpt};

/// Most header fields, and most query parameters, of one request.
pub(crate) const MOST_FIELDS: usize = 1_000;

/// Moments of one request. The router never reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, Unix milliseconds: rate windows and breakers.
    pub unix_ms: u64,
    /// Monotonic clock, microseconds since any fixed point: durations.
    pub monotonic_us: u64,
}

/// A request as the server read it. Header names are lower case. Values and content are not printed.
#[derive(Clone)]
pub struct Request<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Query string without `?`.
    pub query: &'a str,
    /// Header fields in order.
    pub headers: Headers<'a>,
    /// Address of the TCP peer, with or without its port; empty if unknown.
    pub peer: &'a str,
    /// Whole body.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// The first value of a header that is valid UTF-8. `name` must be lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let value = match self.headers.find(name.as_bytes()) {
            Found::None => None,
            Found::One(value) => Some(value),
            Found::Several => self.headers.named(name.as_bytes()).next(),
        };
        value.and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The value of the first query parameter whose name equals `name`, letter case ignored. Percent-encoding is
    /// decoded; what is malformed, or not UTF-8 afterwards, counts as absent.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All query parameters, decoded.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> + use<'a> {
        self.query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((percent_decode(key)?, percent_decode(value)?))
        })
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> =
            self.headers.fields().iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query_bytes", &self.query.len())
            .field("headers", &headers)
            .field("peer", &self.peer)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => decode_hex(&[rest.next()?, rest.next()?])?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// Something a model answers.
    Ask(Operation),
    /// The models that the key may ask for.
    Models(Dialect),
    /// One of them.
    Model(Dialect, &'a str),
}

impl<'a> Endpoint<'a> {
    /// Finds the endpoint of a method and path: `/v1/…`, the same under `/openai` and `/anthropic`, and
    /// without `/v1`, as LiteLLM's clients do.
    pub(crate) fn find(request: &Request<'a>) -> Result<Self, Refusal> {
        let (mount, rest) = split_mount(request.path);
        let (endpoint, method) = if let Some(operation) = Operation::at(rest) {
            if mount.is_some_and(|mount| mount != operation.dialect().spoken_by()) {
                return Err(unknown_path(request.path));
            }
            (Self::Ask(operation), "POST")
        } else if rest == "/models" {
            (Self::Models(dialect_of(request)), "GET")
        } else {
            let model = rest.strip_prefix("/models/").filter(|model| !model.is_empty());
            let Some(model) = model else { return Err(unknown_path(request.path)) };
            (Self::Model(dialect_of(request), model), "GET")
        };
        if request.method != method {
            return Err(Refusal::new(
                Code::MethodNotAllowed,
                format!("{} takes {method}, not {}", excerpt(request.path), excerpt(request.method)),
            ));
        }
        Ok(endpoint)
    }

    /// The protocol the caller speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        match *self {
            Self::Ask(operation) => operation.dialect(),
            Self::Models(dialect) | Self::Model(dialect, _) => dialect,
        }
    }
}

/// The dialect that errors of this request are written in: from its path, else from its headers.
pub(crate) fn dialect_of(request: &Request<'_>) -> Dialect {
    let (mount, rest) = split_mount(request.path);
    match mount {
        Some(dialect) => dialect,
        None if rest.starts_with(Operation::Messages.path())
            || request.header("anthropic-version").is_some() =>
        {
            Dialect::AnthropicMessages
        }
        None => Dialect::OpenAiChat,
    }
}

/// The mount, if the path is below one, and the rest without `/v1`.
fn split_mount(path: &str) -> (Option<Dialect>, &str) {
    let strip = |path, prefix| {
        let rest: Option<&str> = str::strip_prefix(path, prefix);
        rest.filter(|rest| rest.starts_with('/'))
    };
    let (mount, rest) = if let Some(rest) = strip(path, "/openai") {
        (Some(Dialect::OpenAiChat), rest)
    } else if let Some(rest) = strip(path, "/anthropic") {
        (Some(Dialect::AnthropicMessages), rest)
    } else {
        (None, path)
    };
    (mount, strip(rest, "/v1").unwrap_or(rest))
}

#[cold]
fn unknown_path(path: &str) -> Refusal {
    let (_, rest) = split_mount(path);
    let message = if rest.strip_prefix(Operation::Responses.path()).is_some_and(|id| id.starts_with('/')) {
        format!(
            "no endpoint at {}; edgeroute keeps no responses: they cannot be fetched, cancelled or deleted here",
            excerpt(path)
        )
    } else {
        let served = Operation::ALL.map(|operation| format!("/v1{}", operation.path())).join(", ");
        format!("no endpoint at {}; edgeroute serves {served} and /v1/models", excerpt(path))
    };
    Refusal::new(Code::UnknownPath, message)
}
