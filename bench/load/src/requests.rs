//! What is sent: many different requests, made once.

use edgeroute_wire::Dialect;
use oorandom::Rand64;

/// How many different requests are sent in rotation, so that no cache sees one twice in a row.
pub(crate) const VARIETY: usize = 1_024;

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
    /// Whether to ask for streams.
    pub stream: bool,
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

/// Whole requests with heads, [`VARIETY`] of them, each with a body of about 0.9 kB; always the same.
pub(crate) fn requests(traffic: &Traffic) -> Vec<Vec<u8>> {
    let mut random = Rand64::new(7);
    (0..VARIETY).map(|number| request(traffic, number, &mut random)).collect()
}

fn request(traffic: &Traffic, number: usize, random: &mut Rand64) -> Vec<u8> {
    let system = format!("You are a helpful assistant. {}.", words(random, 30));
    let question = format!("Question {number}: \\\"{}\\\"\\n{}", words(random, 20), words(random, 50));
    let (temperature, limit) = (random.rand_range(1..10), random.rand_range(100..500));
    let messages = match traffic.dialect() {
        Dialect::AnthropicMessages => {
            format!(r#""system":"{system}","messages":[{{"role":"user","content":"{question}"}}]"#)
        }
        _ => format!(
            r#""messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{question}"}}]"#
        ),
    };
    let stream = if traffic.stream { r#""stream":true,"# } else { "" };
    let body = format!(
        r#"{{"model":"{}",{stream}"temperature":0.{temperature},"max_tokens":{limit},{messages}}}"#,
        traffic.model
    );
    let authorization = match &traffic.key {
        Some(key) => format!("authorization: Bearer {key}\r\n"),
        None => String::new(),
    };
    let Traffic { path, authority, .. } = traffic;
    format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: edgeroute-load/1.0\r\naccept: application/json\r\n\
         content-type: application/json\r\nx-request-tag: t{number}\r\n{authorization}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
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

    #[test]
    fn requests_differ_and_are_what_the_endpoint_takes() {
        for (path, stream) in [("/v1/chat/completions", true), ("/v1/messages", false)] {
            let traffic = Traffic {
                authority: "host".into(),
                path: path.into(),
                model: "fast".into(),
                key: Some("k".into()),
                stream,
            };
            let requests = requests(&traffic);
            assert_eq!(requests.iter().collect::<HashSet<_>>().len(), VARIETY);
            for request in &requests {
                let text = std::str::from_utf8(request).unwrap();
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with(&format!("POST {path} HTTP/1.1\r\nhost: host\r\n")));
                assert!(
                    head.ends_with(&format!("authorization: Bearer k\r\ncontent-length: {}", body.len()))
                );
                assert!((700..1_000).contains(&body.len()), "{}", body.len());
                serde_json::from_str::<serde_json::Value>(body).unwrap();
                let document = Document::scan(body.as_bytes()).unwrap();
                assert_eq!(document.boolean("stream").unwrap().unwrap_or(false), stream);
                assert_eq!(document.get("system").is_some(), path == "/v1/messages");
            }
        }
    }
}
