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
    /// From the request to the first event.
    pub first_ms: u32,
    /// From one event to the next.
    pub gap_ms: u32,
}

impl Default for Replies {
    fn default() -> Self {
        Self { status: 200, text: 256, events: 50, first_ms: 20, gap_ms: 10 }
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

impl Replies {
    /// From the request to an event of the stream, the first of which is event 0.
    pub(crate) fn due(&self, event: u64) -> Duration {
        Duration::from_millis(u64::from(self.first_ms) + event * u64::from(self.gap_ms))
    }

    pub(crate) fn script(&self, dialect: Dialect) -> Script {
        let mut script = match dialect {
            Dialect::AnthropicMessages => self.anthropic(),
            _ => self.openai(),
        };
        if self.status != 200 {
            script.whole =
                whole(self.status, r#"{"error":{"type":"server_error","message":"as asked for"}}"#);
        }
        script
    }

    fn openai(&self) -> Script {
        let usage = format!(
            r#"{{"prompt_tokens":120,"completion_tokens":{0},"total_tokens":{1}}}"#,
            self.events,
            u32::from(self.events) + 120
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

    fn anthropic(&self) -> Script {
        let text = text(self.text);
        let body = format!(
            r#"{{"id":"msg_load","type":"message","role":"assistant","model":"mock","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":120,"output_tokens":{}}}}}"#,
            self.events
        );
        let event =
            |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}\n\n");
        let start = event(
            "message_start",
            r#","message":{"id":"msg_load","type":"message","role":"assistant","model":"mock","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":120,"output_tokens":1}}"#,
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
