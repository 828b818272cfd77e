//! Requests and rule sets that benchmarks share.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    reason = "a benchmark"
)]

// How the router finds header fields, which knows rules and cannot be known to them.
#[path = "../../../router/src/headers.rs"]
mod headers;

use std::ops::Range;

use edgeroute_rules::{Attribute, Environment, Scalar, Source, Type, Value};
use headers::{Field, Found, Headers};

pub const EXAMPLE: &str = r#"headers["x-tier"] == "premium" && tokens_used > 75"#;

/// How many requests take turns.
pub const REQUESTS: usize = 1_024;

/// Names of string attributes in rules, and how many values each has.
pub type Strings = [(&'static str, u64); 6];

/// What rules of a router compare: headers and what the router knows of the caller.
pub const MIXED: Strings = [
    (r#"headers["x-tier"]"#, 4),
    (r#"headers["x-application"]"#, 16),
    ("team_name", 200),
    ("model", 60),
    ("virtual_key_name", 2_000),
    (r#"headers["x-region"]"#, 30),
];

/// Every one has to be found among the headers.
pub const HEADERS: Strings = [
    (r#"headers["x-tier"]"#, 4),
    (r#"headers["x-application"]"#, 16),
    (r#"headers["x-team"]"#, 200),
    (r#"headers["x-model"]"#, 60),
    (r#"headers["x-user"]"#, 2_000),
    (r#"headers["x-region"]"#, 30),
];

/// A request as a router has it: parsed header fields in order, names in lower case, all in one buffer.
pub struct Request {
    pub bytes: &'static [u8],
    pub headers: Headers<'static>,
    pub model: &'static str,
    pub team: &'static str,
    pub key: &'static str,
    pub tokens_used: f64,
    pub prompt_tokens: i64,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        Some(match (attribute.variable, attribute.key.as_deref()) {
            (0, Some(name)) => self.header(name)?,
            (1, _) => Value::from(self.model),
            (2, _) => Value::from(self.team),
            (3, _) => Value::from(self.key),
            (4, _) => Value::Double(self.tokens_used),
            (5, _) => Value::Int(self.prompt_tokens),
            _ => return None,
        })
    }

    #[inline(always)]
    fn scalar(&self, attribute: &Attribute) -> Scalar<'_> {
        if attribute.variable == 0 && attribute.key.is_some() {
            return match self.headers.find_key(attribute) {
                Found::None => Scalar::Absent,
                Found::One(value) => Scalar::Bytes(value),
                Found::Several => Scalar::Other,
            };
        }
        match attribute.variable {
            1 => Scalar::Text(self.model),
            2 => Scalar::Text(self.team),
            3 => Scalar::Text(self.key),
            4 => Scalar::Number(self.tokens_used),
            5 => Scalar::Number(self.prompt_tokens as f64),
            _ => Scalar::Other,
        }
    }

    fn is_typed(&self) -> bool {
        true
    }
}

impl Request {
    /// As the router reads one.
    fn header(&self, name: &str) -> Option<Value<'_>> {
        match self.headers.find(name.as_bytes()) {
            Found::None => None,
            Found::One(value) => std::str::from_utf8(value).ok().map(Value::from),
            Found::Several => unreachable!("no request here has a field twice"),
        }
    }
}

pub fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("model", Type::String)
        .declare("team_name", Type::String)
        .declare("virtual_key_name", Type::String)
        .declare("tokens_used", Type::Double)
        .declare("prompt_tokens", Type::Int)
}

/// A small generator (SplitMix64), so that every run measures the same.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn value(attribute: usize, number: u64) -> String {
    match (attribute, number) {
        (0, number) => ["premium", "standard", "free", "trial"].get(number as usize).unwrap().to_string(),
        (1, number) => format!("application-{number}"),
        (2, number) => format!("team-{number}"),
        (3, number) => format!("vendor/model-{number}"),
        (4, number) => format!("user-{number:05}"),
        (_, number) => format!("region-{number}"),
    }
}

/// Requests of 12 to 20 headers; one in eight lacks the first.
pub fn requests() -> Vec<Request> {
    const USUAL: [(&str, &str); 14] = [
        ("host", "api.example.com"),
        ("user-agent", "OpenAI/Python 2.7.1"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/json"),
        ("content-length", "1042"),
        ("authorization", "Bearer sk-not-a-key"),
        ("x-stainless-lang", "python"),
        ("x-stainless-os", "Linux"),
        ("x-stainless-runtime", "CPython"),
        ("x-request-id", "5f0c2b1e"),
        ("x-forwarded-for", "192.0.2.7"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736"),
        ("connection", "keep-alive"),
    ];
    let mut random = Random(1);
    let own = ["x-tier", "x-application", "x-team", "x-model", "x-user", "x-region"];
    let drawn: Vec<_> = (0..REQUESTS)
        .map(|_| {
            let values: Vec<String> = HEADERS
                .iter()
                .enumerate()
                .map(|(place, (_, end))| value(place, random.below(*end)))
                .collect();
            let usual = 7 + random.below(8) as usize;
            let mut headers: Vec<(&str, String)> =
                USUAL.iter().take(usual).map(|(name, value)| (*name, value.to_string())).collect();
            for (place, name) in own.iter().enumerate() {
                if place != 0 || random.below(8) != 0 {
                    let at = random.below(headers.len() as u64 + 1) as usize;
                    headers.insert(at, (name, values.get(place).unwrap().clone()));
                }
            }
            (headers, values, random.below(1_000) as f64 / 10.0, random.below(100_000) as i64)
        })
        .collect();
    // Texts and fields of all requests lie together. NOTE: scattered among what was dropped while they were drawn, they
    // do not fit the second cache (1 MiB) of an EPYC: of 100 rules the first match took 69 ns instead of 62.
    let mut text = String::new();
    let mut put = |part: &str| {
        text.push_str(part);
        text.len() - part.len()..text.len()
    };
    let placed: Vec<_> = drawn
        .iter()
        .map(|(headers, values, ..)| {
            let fields: Vec<_> = headers
                .iter()
                .map(|(name, value)| {
                    let name = put(name);
                    put(": ");
                    let value = put(value);
                    put("\r\n");
                    (name, value)
                })
                .collect();
            (fields, [3, 2, 4].map(|place: usize| put(values.get(place).unwrap())))
        })
        .collect();
    let text: &'static str = text.leak();
    let at = |range: &Range<usize>| text.get(range.clone()).unwrap();
    let fields = placed.iter().flat_map(|(fields, _)| fields);
    let fields = fields.map(|(name, value)| (at(name).as_bytes(), at(value).as_bytes())).collect::<Vec<_>>();
    let mut fields: &'static [Field<'static>] = fields.leak();
    placed
        .iter()
        .zip(drawn)
        .map(|((placed, known), (.., tokens_used, prompt_tokens))| {
            let (own, others) = fields.split_at(placed.len());
            fields = others;
            let [model, team, key] = known.each_ref().map(at);
            let bytes = placed.first().unwrap().0.start..known.last().unwrap().end;
            Request {
                bytes: at(&bytes).as_bytes(),
                headers: Headers::from(own),
                model,
                team,
                key,
                tokens_used,
                prompt_tokens,
            }
        })
        .collect()
}

/// Rules of two equalities and, four times in five, a comparison of a number.
pub fn rule_set(strings: &Strings, count: usize) -> Vec<String> {
    let mut random = Random(2);
    (0..count)
        .map(|_| {
            let first = random.below(6);
            let second = (first + 1 + random.below(5)) % 6;
            let mut rule = [first, second]
                .map(|place| {
                    let (name, end) = strings.get(place as usize).unwrap();
                    format!("{name} == \"{}\"", value(place as usize, random.below(*end)))
                })
                .join(" && ");
            match random.below(5) {
                0 => {}
                1 | 2 => rule += &format!(" && tokens_used > {}", random.below(100)),
                _ => rule += &format!(" && prompt_tokens < {}", random.below(100_000)),
            }
            rule
        })
        .collect()
}
