//! The variables of rules, and how a request supplies them. Nothing is computed before a rule asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;

use edgeroute_limits::Used;
use edgeroute_rules::{Attribute, Environment, Known, Scalar, Source, Timestamp, Type, Value};
use edgeroute_wire::{Content, Document, Field, Kind, Operation, Prompt, prompt};
use smallvec::SmallVec;

use crate::draw::bucket;
use crate::facts::Facts;
use crate::headers::Found;
use crate::matching::MOST_RULES;
use crate::request::{MOST_FIELDS, Request};
use crate::snapshot::{Key, Snapshot};

/// A variable of rules, as the reference documentation has it.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its type, as CEL calls it.
    pub of_type: &'static str,
    /// A condition that uses it.
    pub example: &'static str,
    /// What it says of a request.
    pub description: &'static str,
    /// Reads it, or an entry of it if it is a map.
    read: Read,
}

/// How it is read, if it is a map by the name of an entry.
enum Read {
    Text(for<'v> fn(&'v Variables<'_>) -> &'v str),
    Double(fn(&Variables<'_>) -> f64),
    Count(fn(&Variables<'_>) -> u64),
    Value(for<'v> fn(&'v Variables<'_>, Option<&str>) -> Option<Value<'v>>),
}

/// The place of the variable for request headers.
const HEADERS: usize = 0;
/// The variable that says which virtual key asks.
pub(crate) const VIRTUAL_KEY: &str = "virtual_key_name";
/// The variable that says of which team it is.
pub(crate) const TEAM: &str = "team_name";

/// Rule variables in declaration order.
pub const VARIABLES: [Variable; 26] = [
    Variable {
        name: "headers",
        of_type: "map(string, string)",
        example: r#"headers["x-tier"] == "premium""#,
        description: "request headers; names in lower case, several fields of one name joined by `, `",
        read: Read::Value(|request, name| {
            name.map_or_else(|| Some(request.headers()), |name| request.header(name))
        }),
    },
    Variable {
        name: "params",
        of_type: "map(string, string)",
        example: r#"params["api-version"] == "2024-10-21""#,
        description: "query parameters; names in lower case",
        read: Read::Value(|request, name| match name {
            Some(name) => Some(Value::from(request.request.parameter(name)?)),
            None => Some(request.parameters()),
        }),
    },
    Variable {
        name: "model",
        of_type: "string",
        example: r#"model == "smart""#,
        description: "the model that the client asked for, or that a rule with `continue` has chosen",
        read: Read::Text(|request| request.model),
    },
    Variable {
        name: "request_type",
        of_type: "string",
        example: r#"request_type == "embedding""#,
        description: "`chat_completion` (Anthropic's messages too), `text_completion`, `embedding`, `responses` or `count_tokens`, as Bifrost calls them",
        read: Read::Text(|request| match request.operation {
            Operation::ChatCompletions | Operation::Messages => "chat_completion",
            Operation::Completions => "text_completion",
            Operation::Embeddings => "embedding",
            Operation::Responses => "responses",
            Operation::CountTokens => "count_tokens",
        }),
    },
    Variable {
        name: "path",
        of_type: "string",
        example: r#"path.startsWith("/anthropic/")"#,
        description: "the request's path",
        read: Read::Text(|request| request.request.path),
    },
    Variable {
        name: VIRTUAL_KEY,
        of_type: "string",
        example: r#"virtual_key_name.startsWith("batch-")"#,
        description: "name of the virtual key",
        read: Read::Text(|request| &request.key.name),
    },
    Variable {
        name: TEAM,
        of_type: "string",
        example: r#"team_name == "search""#,
        description: "name of the key's team, empty without one",
        read: Read::Text(|request| request.team_name()),
    },
    Variable {
        name: "key.name",
        of_type: "string",
        example: r#"key.name == "search-prod""#,
        description: "the same as `virtual_key_name`",
        read: Read::Text(|request| &request.key.name),
    },
    Variable {
        name: "team.name",
        of_type: "string",
        example: r#"team.name in ["search", "ads"]"#,
        description: "the same as `team_name`",
        read: Read::Text(|request| request.team_name()),
    },
    Variable {
        name: "tokens_used",
        of_type: "double",
        example: "tokens_used > 75",
        description: "100 × (settled + reserved) / limit of the fullest token limit that applies, before this request; 0 without one",
        read: Read::Double(|request| request.used().tokens_percent),
    },
    Variable {
        name: "requests_used",
        of_type: "double",
        example: "requests_used > 90",
        description: "the same for request limits",
        read: Read::Double(|request| request.used().requests_percent),
    },
    Variable {
        name: "request",
        of_type: "double",
        example: "request > 90",
        description: "Bifrost's name for `requests_used`",
        read: Read::Double(|request| request.used().requests_percent),
    },
    Variable {
        name: "prompt_tokens",
        of_type: "int",
        example: "prompt_tokens > 100000",
        description: "estimated prompt tokens",
        read: Read::Count(|request| request.prompt.get().tokens),
    },
    Variable {
        name: "max_tokens",
        of_type: "int",
        example: "prompt_tokens + max_tokens > 200000",
        description: "the client's maximum of output tokens under any of its dialect's names, 0 if it names none",
        read: Read::Count(|request| request.max_tokens),
    },
    Variable {
        name: "stream",
        of_type: "bool",
        example: "!stream",
        description: "whether the client asked for a stream",
        read: Read::Value(|request, _| Some(Value::Bool(request.stream))),
    },
    Variable {
        name: "message_count",
        of_type: "int",
        example: "message_count > 50",
        description: "number of messages, or of items of a response's `input`",
        read: Read::Count(|request| request.prompt.get().messages),
    },
    Variable {
        name: "has_tools",
        of_type: "bool",
        example: r#"has_tools && model == "small""#,
        description: "whether the model may call tools or functions",
        read: Read::Value(|request, _| Some(Value::Bool(request.has_tools()))),
    },
    Variable {
        name: "has_images",
        of_type: "bool",
        example: "has_images",
        description: "whether the prompt has an image",
        read: Read::Value(|request, _| Some(Value::Bool(request.prompt.get().images > 0))),
    },
    Variable {
        name: "last_user_text",
        of_type: "string",
        example: r#"last_user_text.contains("translate")"#,
        description: "what the user said last, its parts on lines of their own; the prompt of a completion, the input of an embedding; empty without a text",
        read: Read::Value(|request, _| Some(text(request.prompt.get().last_user.text()))),
    },
    Variable {
        name: "system_text",
        of_type: "string",
        example: r#"system_text.startsWith("You are a coding agent")"#,
        description: "system prompt, instructions and messages of the system or developer, on lines of their own; empty without one",
        read: Read::Value(|request, _| Some(text(request.system_text()))),
    },
    Variable {
        name: "body",
        of_type: "map(string, dyn)",
        example: "has(body.temperature) && body.temperature > 1.0",
        description: "top-level fields of the request's body that are text, numbers, true, false or null; lists and objects count as absent",
        read: Read::Value(|request, name| match name {
            Some(name) => request.field(request.document.get(name)?),
            None => Some(request.fields()),
        }),
    },
    Variable {
        name: "client_ip",
        of_type: "string",
        example: r#"client_ip.startsWith("192.0.2.")"#,
        description: "the client's address: the TCP peer, or as long as that is one of `trusted_proxies`, whom it names in `x-forwarded-for`; empty if unknown",
        read: Read::Value(|request, _| {
            Some(request.client.map_or(Value::from(""), |client| Value::from(client.to_string())))
        }),
    },
    Variable {
        name: "user",
        of_type: "string",
        example: r#"user == "alice@example.com""#,
        description: "whom the client acts for, as it says itself: `user` or `safety_identifier` of OpenAI's dialects, `metadata.user_id` of Anthropic's; empty if it does not say",
        read: Read::Value(|request, _| Some(text(request.user().unwrap_or_default()))),
    },
    Variable {
        name: "tags",
        of_type: "list(string)",
        example: r#""batch" in tags"#,
        description: "tags that rules with `continue` have given the request",
        read: Read::Value(|request, _| {
            Some(Value::list(request.tags.iter().map(|tag| Value::from(*tag)).collect::<Vec<_>>()))
        }),
    },
    Variable {
        name: "now",
        of_type: "timestamp",
        example: r#"now >= timestamp("2027-01-01T00:00:00+01:00")"#,
        description: "when the request came",
        read: Read::Value(|request, _| {
            let ms = i64::try_from(request.facts.unix_ms()).ok()?;
            Timestamp::from_unix(ms / 1_000, (ms % 1_000) as i32 * 1_000_000).map(Value::Timestamp)
        }),
    },
    Variable {
        name: "bucket",
        of_type: "int",
        example: r#"bucket("new-model") < 10"#,
        description: "a function: 0 to 99 for a name, always the same for a `user`, or without one for a virtual key",
        read: Read::Value(|request, name| {
            let user = request.user();
            let identity = user.as_deref().unwrap_or(&request.key.name);
            Some(Value::Int(bucket(name?, identity.as_bytes())))
        }),
    },
];

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

/// Bytes that the server takes of a path with its query, and of all header fields together.
const HEAD_BYTES: u64 = 64 << 10;
/// The default of `max_body`, for what rules may cost.
const BODY_BYTES: u64 = 32 << 20;

/// The environment that rules are checked against.
pub fn environment() -> Environment {
    let declared = VARIABLES.iter().fold(Environment::new(), |environment, variable| match variable.name {
        name @ ("headers" | "params") => environment
            .declare_map_lowercase(name, Type::String)
            .of_size(MOST_FIELDS as u64)
            .with_texts_of(HEAD_BYTES),
        "bucket" => environment.declare_keyed(variable.name, Type::Int),
        name => {
            let declared = environment.declare(name, variable.of_type.parse().unwrap_or(Type::Dyn));
            match name {
                "path" => declared.of_size(HEAD_BYTES),
                "model" | "user" | "last_user_text" | "system_text" => declared.of_size(BODY_BYTES),
                "body" => declared.of_size(edgeroute_wire::MAX_FIELDS as u64).with_texts_of(BODY_BYTES),
                "tags" => declared.of_size(MOST_RULES as u64),
                _ => declared,
            }
        }
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
    measured: OnceCell<Prompt<'a>>,
}

impl<'a> LazyPrompt<'a> {
    pub(crate) fn new(document: &'a Document<'a>, operation: Operation) -> Self {
        Self { document, operation, measured: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> &Prompt<'a> {
        self.measured.get_or_init(|| prompt::measure(self.document, self.operation))
    }

    pub(crate) fn is_measured(&self) -> bool {
        self.measured.get().is_some()
    }
}

/// One request as rules see it.
pub(crate) struct Variables<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) facts: &'a dyn Facts,
    pub(crate) request: &'a Request<'a>,
    pub(crate) document: &'a Document<'a>,
    pub(crate) key: &'a Key,
    pub(crate) client: Option<IpAddr>,
    pub(crate) model: &'a str,
    pub(crate) operation: Operation,
    pub(crate) prompt: LazyPrompt<'a>,
    pub(crate) max_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) tags: SmallVec<[&'a str; 4]>,
    /// Read once, so that it is the same for all rules.
    pub(crate) used: OnceCell<Used>,
}

impl Source for Variables<'_> {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        match VARIABLES.get(attribute.variable)?.read {
            Read::Text(read) => Some(Value::from(read(self))),
            Read::Double(read) => Some(Value::Double(read(self))),
            Read::Count(read) => Some(Value::Int(count(read(self)))),
            Read::Value(read) => read(self, attribute.key.as_deref()),
        }
    }

    #[inline(always)]
    fn scalar(&self, attribute: &Attribute) -> Scalar<'_> {
        if attribute.variable == HEADERS && attribute.key.is_some() {
            return match self.request.headers.find_key(attribute) {
                Found::None => Scalar::Absent,
                Found::One(value) => Scalar::Bytes(value),
                Found::Several => Scalar::Other,
            };
        }
        match VARIABLES.get(attribute.variable).map(|variable| &variable.read) {
            Some(Read::Text(read)) => Scalar::Text(read(self)),
            Some(Read::Double(read)) => Scalar::Number(read(self)),
            Some(Read::Count(read)) => Scalar::Number(count(read(self)) as f64),
            _ => Scalar::Other,
        }
    }

    fn is_typed(&self) -> bool {
        true
    }
}

impl Variables<'_> {
    /// Whom the client acts for, as it says itself.
    pub(crate) fn user(&self) -> Option<Cow<'_, str>> {
        let named = |document: &Document<'_>, name| {
            let text = document.string(name).ok()??;
            (!text.is_empty()).then(|| text.into_owned())
        };
        let in_metadata = || named(&self.document.nested(self.document.get("metadata")?).ok()?, "user_id");
        let user = named(self.document, "user").or_else(|| named(self.document, "safety_identifier"));
        user.or_else(in_metadata).map(Cow::Owned)
    }

    /// Name of the key's team, empty without one.
    pub(crate) fn team_name(&self) -> &str {
        self.snapshot.team_of(self.key).map_or("", |team| &team.name)
    }

    fn used(&self) -> Used {
        *self.used.get_or_init(|| self.facts.used(&self.key.scopes))
    }

    fn has_tools(&self) -> bool {
        let is_filled = |name| {
            let field = self.document.get(name).filter(|field| field.kind == Kind::Array);
            let elements =
                field.and_then(|field| field.value.of(self.document.bytes()).get(1..)?.split_last());
            elements.is_some_and(|(_, elements)| !elements.trim_ascii().is_empty())
        };
        is_filled("tools") || is_filled("functions")
    }

    fn system_text(&self) -> Cow<'_, str> {
        match self.prompt.get().system.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => one.text(),
            several => several.iter().map(|content| content.text()).collect::<Vec<_>>().join("\n").into(),
        }
    }

    fn field(&self, field: &Field) -> Option<Value<'_>> {
        let text = || str::from_utf8(field.value.of(self.document.bytes())).ok();
        Some(match field.kind {
            Kind::String => self::text(Content::of(self.document, field).text()),
            Kind::Number => {
                let number = text()?;
                number.parse().map(Value::Int).or_else(|_| number.parse().map(Value::Double)).ok()?
            }
            Kind::Boolean => Value::Bool(text()? == "true"),
            Kind::Null => Value::Null,
            Kind::Object | Kind::Array => return None,
        })
    }

    fn fields(&self) -> Value<'_> {
        let fields = self.document.fields().iter();
        let fields = fields.filter_map(|field| Some((text(self.document.key(field)), self.field(field)?)));
        Value::map(fields.collect())
    }

    /// Fields of one name are one list (RFC 9110 §5.3): what a proxy appends cannot be hidden by what a client sends.
    /// A value that is not UTF-8 counts as absent.
    fn header(&self, name: &str) -> Option<Value<'_>> {
        match self.request.headers.find(name.as_bytes()) {
            Found::None => None,
            Found::One(value) => str::from_utf8(value).ok().map(Value::from),
            Found::Several => join(self.request.headers.named(name.as_bytes())).map(text),
        }
    }

    fn headers(&self) -> Value<'_> {
        let mut fields = self.request.headers.fields().to_vec();
        // Stable: the values of one name stay in order.
        fields.sort_by_key(|(name, _)| *name);
        let lists = fields.chunk_by(|(left, _), (right, _)| left == right).filter_map(|same| {
            let name = str::from_utf8(same.first()?.0).ok()?;
            Some((Value::from(name), text(join(same.iter().map(|(_, value)| *value))?)))
        });
        Value::map(lists.collect())
    }

    fn parameters(&self) -> Value<'_> {
        let parameters = self.request.parameters();
        let parameters =
            parameters.map(|(name, value)| (Value::from(name.to_ascii_lowercase()), Value::from(value)));
        Value::map(parameters.collect())
    }
}

/// The values of fields with one name as one list; none if there is no field, or one that is not UTF-8.
fn join<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, str>> {
    let mut joined: Option<Cow<'a, str>> = None;
    for value in values {
        let text = str::from_utf8(value).ok()?;
        match &mut joined {
            None => joined = Some(Cow::Borrowed(text)),
            Some(list) => {
                let list = list.to_mut();
                list.push_str(", ");
                list.push_str(text);
            }
        }
    }
    joined
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn text(text: Cow<'_, str>) -> Value<'_> {
    match text {
        Cow::Borrowed(text) => Value::from(text),
        Cow::Owned(text) => Value::from(text),
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Variable({}: {})", self.name, self.of_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_has_a_type_and_an_example_that_compiles() {
        for variable in &VARIABLES {
            assert!(variable.of_type.parse::<Type>().is_ok(), "{variable:?}");
            let compiled = edgeroute_rules::RuleSet::compile(&environment(), [variable.example]);
            let uses = compiled
                .unwrap()
                .attributes()
                .iter()
                .any(|each| VARIABLES[each.variable].name == variable.name);
            assert!(uses, "{variable:?}");
        }
    }
}
