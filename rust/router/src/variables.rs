//! The variables of rules, and how a request supplies them. Nothing is computed before a rule asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

use edgeroute_rules::{Attribute, Environment, Known, Source, Type, Value};
use edgeroute_wire::{Document, Operation, Prompt, prompt};

use crate::facts::Facts;
use crate::request::Request;
use crate::snapshot::{Key, Snapshot};

/// Rule variables in declaration order, with what the reference documentation says of them.
pub const VARIABLES: [(&str, &str); 15] = [
    ("headers", "request headers; names in lower case"),
    ("params", "query parameters; names in lower case"),
    ("model", "the model that the client asked for"),
    (
        "request_type",
        "`chat_completion`, `text_completion`, `embedding`, `responses` or `count_tokens`, as Bifrost calls them",
    ),
    ("path", "the request's path"),
    ("virtual_key_name", "name of the virtual key"),
    ("team_name", "name of the key's team, empty without one"),
    (
        "tokens_used",
        "100 × (settled + reserved) / limit of the fullest token limit that applies; 0 without one",
    ),
    ("requests_used", "the same for request limits"),
    ("request", "Bifrost's name for `requests_used`"),
    ("prompt_tokens", "estimated prompt tokens"),
    ("max_tokens", "the client's maximum of output tokens, 0 if it names none"),
    ("stream", "whether the client asked for a stream"),
    ("message_count", "number of messages, or of items of a response's input"),
    ("client_ip", "the client's address, as trusted proxies tell it; empty if unknown"),
];

const HEADERS: usize = 0;
const PARAMS: usize = 1;
const PROMPT_TOKENS: usize = 10;
const MESSAGE_COUNT: usize = 13;
const CLIENT_IP: usize = 14;

/// What requests may be, as `request_type` has it.
const REQUEST_TYPES: &[&str] =
    &["chat_completion", "text_completion", "embedding", "responses", "count_tokens"];

/// Headers that clients and proxies often send: a name that is almost one of them is misspelt.
const HEADER_NAMES: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "referer",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// The environment that rules are checked against.
pub fn environment() -> Environment {
    let declared = VARIABLES.iter().fold(Environment::new(), |environment, (name, _)| match *name {
        "headers" | "params" => environment.declare_map_lowercase(name, Type::String),
        "model" | "request_type" | "path" | "virtual_key_name" | "team_name" | "client_ip" => {
            environment.declare(name, Type::String)
        }
        "stream" => environment.declare(name, Type::Bool),
        "prompt_tokens" | "max_tokens" | "message_count" => environment.declare(name, Type::Int),
        _ => environment.declare(name, Type::Double),
    });
    let counts = ["tokens_used", "requests_used", "request", "prompt_tokens", "max_tokens", "message_count"];
    let described =
        counts.iter().fold(declared, |environment, name| environment.describe(name, Known::AtLeast(0.0)));
    described
        .describe("headers", Known::Keys(HEADER_NAMES))
        .describe("path", Known::BeginsWith("/"))
        .describe("request_type", Known::OneOf(REQUEST_TYPES))
}

/// A prompt that is measured when first asked for.
#[derive(Debug)]
pub(crate) struct LazyPrompt<'a> {
    document: &'a Document<'a>,
    operation: Operation,
    measured: OnceCell<Prompt>,
}

impl<'a> LazyPrompt<'a> {
    pub(crate) fn new(document: &'a Document<'a>, operation: Operation) -> Self {
        Self { document, operation, measured: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> Prompt {
        *self.measured.get_or_init(|| prompt::measure(self.document, self.operation))
    }

    pub(crate) fn measured(&self) -> Option<Prompt> {
        self.measured.get().copied()
    }
}

/// One request as rules see it.
pub(crate) struct Variables<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) facts: &'a dyn Facts,
    pub(crate) request: &'a Request<'a>,
    pub(crate) key: &'a Key,
    pub(crate) client: Option<IpAddr>,
    pub(crate) model: &'a str,
    pub(crate) operation: Operation,
    pub(crate) prompt: &'a LazyPrompt<'a>,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
}

impl Source for Variables<'_> {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let count = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        Some(match (attribute.variable, attribute.key.as_deref()) {
            (HEADERS, Some(name)) => self.header(name)?,
            (HEADERS, None) => self.headers(),
            (PARAMS, Some(name)) => Value::from(self.request.parameter(name)?),
            (PARAMS, None) => self.parameters(),
            (2, _) => Value::from(self.model),
            (3, _) => Value::from(match self.operation {
                Operation::ChatCompletions | Operation::Messages => "chat_completion",
                Operation::Completions => "text_completion",
                Operation::Embeddings => "embedding",
                Operation::Responses => "responses",
                Operation::CountTokens => "count_tokens",
            }),
            (4, _) => Value::from(self.request.path),
            (5, _) => Value::from(&*self.key.name),
            (6, _) => Value::from(self.snapshot.team_of(self.key).map_or("", |team| &team.name)),
            (7, _) => Value::Double(self.facts.used(&self.key.scopes).tokens_percent),
            (8 | 9, _) => Value::Double(self.facts.used(&self.key.scopes).requests_percent),
            (PROMPT_TOKENS, _) => count(self.prompt.get().tokens),
            (11, _) => count(self.max_tokens),
            (12, _) => Value::Bool(self.stream),
            (MESSAGE_COUNT, _) => count(self.prompt.get().messages),
            (CLIENT_IP, _) => self.client.map_or(Value::from(""), |client| Value::from(client.to_string())),
            _ => return None,
        })
    }
}

impl Variables<'_> {
    /// Fields of one name are one list (RFC 9110 §5.3): what a proxy appends cannot be hidden by what a client sends.
    /// A value that is not UTF-8 counts as absent.
    fn header(&self, name: &str) -> Option<Value<'_>> {
        let mut joined: Option<Cow<'_, str>> = None;
        for (_, value) in self.request.headers.iter().filter(|(key, _)| *key == name.as_bytes()) {
            let text = std::str::from_utf8(value).ok()?;
            joined = Some(match joined {
                None => Cow::Borrowed(text),
                Some(before) => Cow::Owned(format!("{before}, {text}")),
            });
        }
        Some(match joined? {
            Cow::Borrowed(text) => Value::from(text),
            Cow::Owned(text) => Value::from(text),
        })
    }

    fn headers(&self) -> Value<'_> {
        let names = self.request.headers.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok());
        map(names.filter_map(|name| Some((Value::from(name), self.header(name)?))))
    }

    fn parameters(&self) -> Value<'_> {
        let parameters = self.request.parameters();
        map(parameters.map(|(name, value)| (Value::from(name.to_ascii_lowercase()), Value::from(value))))
    }
}

/// A map in which the first of several equal keys counts.
fn map<'a>(pairs: impl Iterator<Item = (Value<'a>, Value<'a>)>) -> Value<'a> {
    let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
    for pair in pairs {
        if entries.iter().all(|(key, _)| *key != pair.0) {
            entries.push(pair);
        }
    }
    Value::map(entries)
}
