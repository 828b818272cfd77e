//! What replies say, whole and as streams.

#![allow(clippy::unwrap_used, missing_docs)]

use edgeroute_cache::Body;
use edgeroute_router::said;
use serde_json::{Value, json};

fn whole(reply: &Value) -> Option<String> {
    said(&Body::Whole(reply.to_string().as_bytes()))
}

fn stream(events: &[Value]) -> Option<String> {
    let text: String = events.iter().map(|event| format!("event: x\ndata: {event}\n\n")).collect();
    said(&Body::Stream { events: (text + "data: [DONE]\n\n").as_bytes(), pieces: vec![] })
}

#[test]
fn of_whole_replies() {
    let text = json!({"type": "output_text", "text": "Paris"});
    for (reply, expected) in [
        (
            json!({"choices": [{"message": {"content": "Paris"}}, {"message": {"content": "Rome"}}]}),
            Some("Paris"),
        ),
        (json!({"choices": [{"message": {"content": "Paris", "tool_calls": null}}]}), Some("Paris")),
        (json!({"choices": [{"message": {"content": "Paris", "tool_calls": [{}]}}]}), None),
        (json!({"choices": [{"message": {"content": null}}]}), None),
        (json!({"choices": [{"message": {"content": ""}}]}), None),
        (json!({"choices": [{"text": "Paris"}]}), Some("Paris")),
        (json!({"choices": []}), None),
        (
            json!({"content": [{"type": "text", "text": "Pa"}, {"type": "text", "text": "ris"}]}),
            Some("Paris"),
        ),
        (json!({"content": [{"type": "text", "text": "Pa"}, {"type": "tool_use"}]}), None),
        (json!({"output": [{"type": "reasoning"}, {"type": "message", "content": [text]}]}), Some("Paris")),
        (json!({"output": [{"type": "function_call"}, {"type": "message", "content": [text]}]}), None),
        (json!([]), None),
    ] {
        assert_eq!(whole(&reply).as_deref(), expected, "{reply}");
    }
    assert_eq!(said(&Body::Whole(b"\xff")), None);
}

#[test]
fn of_streams() {
    let chat = |delta: Value| json!({"choices": [{"delta": delta}]});
    let (pa, ris) = (chat(json!({"content": "Pa"})), chat(json!({"content": "ris"})));
    let usage = json!({"choices": [], "usage": {}});
    let block =
        |text: &str| json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}});
    let start = json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}});
    let output = |text: &str| json!({"type": "response.output_text.delta", "delta": text});
    for (events, expected) in [
        (vec![chat(json!({"role": "assistant"})), pa.clone(), ris.clone(), usage], Some("Paris")),
        (vec![pa, chat(json!({"tool_calls": [{}]})), ris], None),
        (vec![json!({"type": "message_start"}), start, block("Pa"), block("ris")], Some("Paris")),
        (vec![block("Pa"), json!({"type": "content_block_delta", "delta": {"partial_json": "{"}})], None),
        (vec![output("Pa"), output("ris"), json!({"type": "response.completed"})], Some("Paris")),
        (vec![], None),
    ] {
        assert_eq!(stream(&events).as_deref(), expected, "{events:?}");
    }
}
