//! What is sent: many different requests, made once.

use std::fmt;

use edgeroute_wire::Dialect;
use oorandom::Rand64;
use serde::Serialize;

/// How many different requests are sent in rotation, so that no cache sees one twice in a row.
pub(crate) const VARIETY: usize = 1_024;

/// About how many bytes a body has that is not padded.
const LEAST_BODY: usize = 900;
/// The end of a body.
const END: &str = r#""}]}"#;

const WORDS: [&str; 20] = [
    "ocean", "maple", "harbor", "canyon", "violet", "lantern", "meadow", "copper", "winter", "signal",
    "garden", "marble", "thunder", "velvet", "island", "compass", "ember", "falcon", "granite", "horizon",
];

/// What the requests ask for, and as whom.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Value of the `host` header.
    pub authority: String,
    /// Path of the endpoint; one that ends with `/messages` speaks Anthropic's dialect.
    pub path: String,
    /// The public name of the model.
    pub model: String,
    /// The bearer key, if any.
    pub key: Option<String>,
    /// The share of requests that ask for streams.
    pub streams: f64,
    /// The least bytes of a body; none has less than about 0.9 kB.
    pub body: usize,
    /// What the bodies say under `mock`, as JSON: see [`Replies`](crate::Replies).
    pub mock: Option<String>,
    /// What is wrong with some.
    pub mix: Mix,
    /// What they ask.
    pub prompts: Prompts,
}

/// What requests ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prompts {
    /// A long text each, after a system prompt of its own.
    #[default]
    Texts,
    /// A short question each, after one system prompt for all.
    Questions,
    /// The same questions in other words.
    Reworded,
}

/// Shares of requests that are not good.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mix {
    /// No sense in them: to be answered with 4xx.
    pub malformed: f64,
    /// Their clients leave before the answer.
    pub abandoned: f64,
    /// The mock fails them: to be answered with 5xx.
    pub failing: f64,
}

/// What becomes of a request if all is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is answered with 200.
    Good,
    /// It is answered with 4xx.
    Malformed,
    /// It is not answered, since its client left.
    Abandoned,
    /// It is answered with 5xx, since the mock fails it.
    Failing,
}

/// A request as it is sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// Set if [`Requests::padding`] follows, so that large bodies differ and yet share their memory.
    pub(crate) padded: bool,
    pub(crate) kind: Kind,
    /// Whether its client leaves as soon as it is sent, which is before all of it is.
    pub(crate) leaves: bool,
    /// Set if it asks for a stream.
    pub(crate) stream: Option<Dialect>,
}

/// Requests to send in rotation.
#[derive(Debug)]
pub(crate) struct Requests {
    pub(crate) all: Vec<Request>,
    pub(crate) padding: Vec<u8>,
}

impl Traffic {
    /// The protocol of the endpoint.
    pub(crate) fn dialect(&self) -> Dialect {
        dialect_of(&self.path)
    }
}

/// The protocol spoken at a path.
pub(crate) fn dialect_of(path: &str) -> Dialect {
    if path.ends_with("/messages") { Dialect::AnthropicMessages } else { Dialect::OpenAiChat }
}

/// [`VARIETY`] different requests with heads; always the same.
pub(crate) fn requests(traffic: &Traffic) -> Requests {
    let mut random = Rand64::new(7);
    let padding = traffic.body.checked_sub(LEAST_BODY).map(padding).unwrap_or_default();
    let all = (0..VARIETY).map(|number| request(traffic, number, &mut random, padding.len())).collect();
    Requests { all, padding }
}

fn request(traffic: &Traffic, number: usize, random: &mut Rand64, padding: usize) -> Request {
    let kind = traffic.mix.kind(spread(number, 0.618_033_988_749_894_9));
    let streams = spread(number, 0.754_877_666_246_692_8) < traffic.streams;
    let bytes = match kind {
        Kind::Malformed => malformed(traffic, number),
        _ => whole(traffic, number, random, kind, streams, padding),
    };
    // Half of those who leave do so before they have sent all, the others when the answer begins.
    let leaves = kind == Kind::Abandoned && number.is_multiple_of(2);
    let stream = streams.then(|| traffic.dialect());
    Request { bytes, padded: padding > 0 && kind != Kind::Malformed, kind, leaves, stream }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Good => "good",
            Self::Malformed => "malformed",
            Self::Abandoned => "abandoned",
            Self::Failing => "failing",
        })
    }
}

impl Mix {
    /// By a number between 0 and 1.
    fn kind(self, at: f64) -> Kind {
        match at {
            at if at < self.malformed => Kind::Malformed,
            at if at < self.malformed + self.abandoned => Kind::Abandoned,
            at if at < self.malformed + self.abandoned + self.failing => Kind::Failing,
            _ => Kind::Good,
        }
    }
}

/// Numbers between 0 and 1 that every run of requests has in all parts of it (a Weyl sequence).
fn spread(number: usize, step: f64) -> f64 {
    (number as f64 * step).fract()
}

fn whole(
    traffic: &Traffic,
    number: usize,
    random: &mut Rand64,
    kind: Kind,
    streams: bool,
    padding: usize,
) -> Vec<u8> {
    let (system, question, parameters) = match traffic.prompts {
        Prompts::Texts => texts(number, random),
        Prompts::Questions => asking(&format!("How do I change the {}?", subject(number))),
        Prompts::Reworded => asking(&format!("how can i change the {}, please", subject(number))),
    };
    let end = if padding == 0 { END } else { "" };
    let messages = match traffic.dialect() {
        Dialect::AnthropicMessages => {
            format!(r#""system":"{system}","messages":[{{"role":"user","content":"{question}{end}"#)
        }
        _ => format!(
            r#""messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{question}{end}"#
        ),
    };
    let stream = if streams { r#""stream":true,"# } else { "" };
    let mock = match (kind, &traffic.mock) {
        (Kind::Failing, _) => r#""mock":{"status":500},"#.to_owned(),
        (_, Some(mock)) => format!(r#""mock":{mock},"#),
        (_, None) => String::new(),
    };
    let body = format!(r#"{{"model":"{}",{stream}{mock}{parameters}{messages}"#, traffic.model);
    let Traffic { path, key, .. } = traffic;
    post(traffic, path, key.as_deref(), number, &body, body.len() + padding)
}

/// System prompt, prompt and parameters of a request that is like no other.
fn texts(number: usize, random: &mut Rand64) -> (String, String, String) {
    let system = format!("You are a helpful assistant. {}.", words(random, 30));
    let question = format!("Question {number}: \\\"{}\\\"\\n{}", words(random, 20), words(random, 50));
    let (temperature, limit) = (random.rand_range(1..10), random.rand_range(100..500));
    (system, question, format!(r#""temperature":0.{temperature},"max_tokens":{limit},"#))
}

/// The same of one that differs from others in its question alone.
fn asking(question: &str) -> (String, String, String) {
    ("You are a helpful assistant.".to_owned(), question.to_owned(), String::new())
}

fn subject(number: usize) -> String {
    let word = |step: usize| WORDS.get(number / step % WORDS.len()).copied().unwrap_or_default();
    format!("{} of the {} {}", word(1), word(WORDS.len()), word(WORDS.len() * WORDS.len()))
}

/// A request that makes no sense, each in its way.
fn malformed(traffic: &Traffic, number: usize) -> Vec<u8> {
    let Traffic { path, model, key, .. } = traffic;
    let messages = r#""messages":[{"role":"user","content":"hello"}]"#;
    let good = format!(r#"{{"model":"{model}",{messages}}}"#);
    let send = |path: &str, key: Option<&str>, body: &str| post(traffic, path, key, number, body, body.len());
    let body = match number % 9 {
        0 => return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        1 => return send("/v1/nothing/here", key.as_deref(), &good),
        2 => return send(path, Some("sk-nobody"), &good),
        3 => format!(r#"{{"model":"{model}","messages":[{{"role":"user""#),
        4 => "[]".to_owned(),
        5 => format!("{{{messages}}}"),
        6 => format!(r#"{{"model":"no-such-model",{messages}}}"#),
        7 => format!(r#"{{"model":"{model}","model":"{model}",{messages}}}"#),
        _ => format!("{good} and more"),
    };
    send(path, key.as_deref(), &body)
}

fn post(
    traffic: &Traffic,
    path: &str,
    key: Option<&str>,
    number: usize,
    body: &str,
    length: usize,
) -> Vec<u8> {
    let authorization = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    let authority = &traffic.authority;
    format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: edgeroute-load/1.0\r\naccept: application/json\r\n\
         content-type: application/json\r\nx-request-tag: t{number}\r\n{authorization}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The rest of a question, and the end of the body.
fn padding(length: usize) -> Vec<u8> {
    let mut random = Rand64::new(11);
    let mut text = String::new();
    while text.len() < length {
        text += &format!(r#" \"{}\", {}.\n"#, words(&mut random, 3), words(&mut random, 9));
    }
    (text + END).into_bytes()
}

fn words(random: &mut Rand64, count: usize) -> String {
    let pick = |_| WORDS.get(random.rand_range(0..WORDS.len() as u64) as usize).copied().unwrap_or_default();
    (0..count).map(pick).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use edgeroute_wire::Document;
    use std::collections::HashSet;

    fn traffic(path: &str) -> Traffic {
        Traffic {
            authority: "host".into(),
            path: path.into(),
            model: "fast".into(),
            key: Some("k".into()),
            streams: 0.0,
            body: 0,
            mock: None,
            mix: Mix::default(),
            prompts: Prompts::default(),
        }
    }

    /// Head and body of a request as it is sent.
    fn parts(request: &Request, padding: &[u8]) -> (String, String) {
        let padding = if request.padded { padding } else { b"" };
        let text = String::from_utf8([&request.bytes, padding].concat()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.into(), body.into())
    }

    #[test]
    fn requests_differ_and_are_what_the_endpoint_takes() {
        for (path, streams, body, mock) in [
            ("/v1/chat/completions", 1.0, 0, None),
            ("/v1/messages", 0.0, 0, Some(r#"{"events":3}"#)),
            ("/v1/chat/completions", 0.0, 20_000, None),
        ] {
            let traffic = Traffic { streams, body, mock: mock.map(Into::into), ..traffic(path) };
            let requests = requests(&traffic);
            let unique: HashSet<_> = requests.all.iter().map(|request| &request.bytes).collect();
            assert_eq!(unique.len(), VARIETY);
            for request in &requests.all {
                let (head, sent) = parts(request, &requests.padding);
                assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\nhost: host\r\n")));
                assert!(
                    head.ends_with(&format!("authorization: Bearer k\r\ncontent-length: {}", sent.len()))
                );
                assert!((body.max(700)..body + 1_000).contains(&sent.len()), "{}", sent.len());
                serde_json::from_str::<serde_json::Value>(&sent).unwrap();
                let document = Document::scan(sent.as_bytes()).unwrap();
                assert_eq!(document.boolean("stream").unwrap().unwrap_or(false), streams == 1.0);
                assert_eq!(document.get("system").is_some(), path == "/v1/messages");
                assert_eq!(document.get("mock").is_some(), mock.is_some());
            }
        }
    }

    #[test]
    fn questions_are_as_many_in_other_words() {
        let sent = |prompts| {
            let traffic = Traffic { prompts, ..traffic("/v1/chat/completions") };
            let requests = requests(&traffic);
            let bodies = requests.all.iter().map(|request| parts(request, &[]).1);
            bodies.collect::<HashSet<_>>()
        };
        let (questions, reworded) = (sent(Prompts::Questions), sent(Prompts::Reworded));
        assert_eq!((questions.len(), reworded.len()), (VARIETY, VARIETY));
        assert!(questions.is_disjoint(&reworded));
        assert!(questions.iter().all(|body| body.contains("You are a helpful assistant.\"")));
    }

    #[test]
    fn a_mix_has_its_shares_in_all_its_parts() {
        let mix = Mix { malformed: 0.2, abandoned: 0.1, failing: 0.05 };
        let requests = requests(&Traffic { mix, streams: 0.25, ..traffic("/v1/chat/completions") });
        for part in requests.all.chunks(256) {
            let count = |kind| part.iter().filter(|request| request.kind == kind).count();
            let streams = part.iter().filter(|request| request.stream.is_some()).count();
            let found = (count(Kind::Malformed), count(Kind::Abandoned), count(Kind::Failing), streams);
            assert!((50..=53).contains(&found.0) && (24..=27).contains(&found.1), "{found:?}");
            assert!((12..=14).contains(&found.2) && (62..=66).contains(&found.3), "{found:?}");
        }
        let failing = requests.all.iter().find(|request| request.kind == Kind::Failing).unwrap();
        assert!(parts(failing, b"").1.contains(r#""mock":{"status":500}"#));
        let malformed: HashSet<_> = requests
            .all
            .iter()
            .filter(|request| request.kind == Kind::Malformed)
            .map(|each| &each.bytes)
            .collect();
        assert!(malformed.len() > 150, "they differ, too");
    }
}
