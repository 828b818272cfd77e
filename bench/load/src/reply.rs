//! What the mock answers: bytes made once, per dialect.

use std::time::Duration;

use edgeroute_wire::Dialect;
use serde::Deserialize;

/// How the mock replies to a request: what its body says under `mock`, which routers pass on since they do not know it.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Replies {
    /// Status; any but 200 comes with an error, and no stream.
    pub status: u16,
    /// Bytes of text in a whole reply.
    pub text: u32,
    /// Content events of a stream.
    pub events: u16,
    /// From the request to the first event; an engine takes the time that the prompt takes instead.
    pub first_ms: u32,
    /// From one event to the next.
    pub gap_ms: u32,
}

impl Default for Replies {
    fn default() -> Self {
        Self { status: 200, text: 256, events: 50, first_ms: 20, gap_ms: 10 }
    }
}

/// What a reply says about the tokens of its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt: u64,
    /// How many of these a cache held; not said where there is none.
    pub(crate) cached: Option<u64>,
}

impl Default for Usage {
    fn default() -> Self {
        Self { prompt: 120, cached: None }
    }
}

/// The bytes of one dialect.
#[derive(Debug)]
pub(crate) struct Script {
    /// A whole response.
    pub(crate) whole: Vec<u8>,
    /// The head of a stream.
    pub(crate) head: Vec<u8>,
    /// What is sent at each beat of a stream, as chunks: the events, then the end.
    pub(crate) beats: Vec<Vec<u8>>,
    /// The last beat for those who asked for the usage.
    pub(crate) end_with_usage: Vec<u8>,
}

impl Script {
    /// The whole response as a stream's only beat, for one that takes its time.
    pub(crate) fn into_late(self) -> Self {
        Self { head: Vec::new(), beats: vec![self.whole.clone()], end_with_usage: self.whole.clone(), ..self }
    }
}

impl Replies {
    /// From the request to an event of the stream, the first of which is event 0.
    pub(crate) fn due(&self, event: u64) -> Duration {
        Duration::from_millis(u64::from(self.first_ms)) + self.lasts(event)
    }

    /// How long so many further events take.
    pub(crate) fn lasts(&self, events: u64) -> Duration {
        Duration::from_millis(events * u64::from(self.gap_ms))
    }

    pub(crate) fn script(&self, dialect: Dialect, usage: Usage) -> Script {
        let mut script = match dialect {
            Dialect::AnthropicMessages => self.anthropic(usage),
            _ => self.openai(usage),
        };
        if self.status != 200 {
            script.whole =
                whole(self.status, r#"{"error":{"type":"server_error","message":"as asked for"}}"#);
        }
        script
    }

    fn openai(&self, Usage { prompt, cached }: Usage) -> Script {
        let details =
            cached.map(|cached| format!(r#","prompt_tokens_details":{{"cached_tokens":{cached}}}"#));
        let usage = format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{},"total_tokens":{}{}}}"#,
            self.events,
            u64::from(self.events) + prompt,
            details.unwrap_or_default()
        );
        let body = format!(
            r#"{{"id":"chatcmpl-load","object":"chat.completion","created":1750000000,"model":"mock","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{usage}}}"#,
            text(self.text)
        );
        let event = |choices: &str, usage: &str| {
            format!(
                "data: {{\"id\":\"chatcmpl-load\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"mock\",\"choices\":[{choices}]{usage}}}\n\n"
            )
        };
        let content = |number: u16| {
            let role = if number == 0 { r#""role":"assistant","# } else { "" };
            let reason = if number + 1 == self.events { r#""stop""# } else { "null" };
            let choice = format!(
                r#"{{"index":0,"delta":{{{role}"content":" token {number}"}},"finish_reason":{reason}}}"#
            );
            chunk(&event(&choice, ""))
        };
        let done = "data: [DONE]\n\n";
        Script {
            whole: whole(200, &body),
            head: stream_head(),
            beats: (0..self.events).map(content).chain([last_chunk(done)]).collect(),
            end_with_usage: last_chunk(&(event("", &format!(r#","usage":{usage}"#)) + done)),
        }
    }

    fn anthropic(&self, Usage { prompt, cached }: Usage) -> Script {
        let text = text(self.text);
        // In this dialect the input is what no cache held.
        let input = prompt - cached.unwrap_or(0);
        let read = cached.map(|cached| format!(r#","cache_read_input_tokens":{cached}"#)).unwrap_or_default();
        let body = format!(
            r#"{{"id":"msg_load","type":"message","role":"assistant","model":"mock","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":{input}{read},"output_tokens":{}}}}}"#,
            self.events
        );
        let event =
            |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
        let start = event(
            "message_start",
            &format!(
                r#","message":{{"id":"msg_load","type":"message","role":"assistant","model":"mock","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":{input}{read},"output_tokens":1}}}}"#
            ),
        ) + &event(
            "content_block_start",
            r#","index":0,"content_block":{"type":"text","text":""}"#,
        );
        let content = |number: u16| {
            let delta = event(
                "content_block_delta",
                &format!(r#","index":0,"delta":{{"type":"text_delta","text":" token {number}"}}"#),
            );
            chunk(&if number == 0 { start.clone() + &delta } else { delta })
        };
        let delta = format!(
            r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":{}}}"#,
            self.events
        );
        let end = last_chunk(
            &(event("content_block_stop", r#","index":0"#)
                + &event("message_delta", &delta)
                + &event("message_stop", "")),
        );
        Script {
            whole: whole(200, &body),
            head: stream_head(),
            beats: (0..self.events).map(content).chain([end.clone()]).collect(),
            end_with_usage: end,
        }
    }
}

/// A response with a body of text, for what is not served.
pub(crate) fn refusal(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        .into()
}

fn text(length: u32) -> String {
    "a reply of the mock. ".chars().cycle().take(length as usize).collect()
}

fn whole(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} As Asked\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// A response of plain text.
pub(crate) fn plain(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{text}", text.len())
        .into()
}

fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()
}

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into()
}

fn last_chunk(data: &str) -> Vec<u8> {
    let mut bytes = chunk(data);
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
