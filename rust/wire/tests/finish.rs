//! Only a reply that is whole counts as whole, in every dialect, however its stream is cut into events.
#![allow(clippy::unwrap_used, missing_docs)]

use edgeroute_wire::Operation::{
    self, ChatCompletions, Completions, CountTokens, Embeddings, Messages, Responses,
};
use edgeroute_wire::finish::Finish::{self, Refused, Truncated, Unknown, Whole};
use edgeroute_wire::finish::{Finishing, of_reply};
use proptest::prelude::*;
use serde_json::{Value, json};

fn check(operation: Operation, reply: Value, expected: Finish) {
    assert_eq!(of_reply(operation, reply.to_string().as_bytes()), expected, "{reply}");
}

fn choice(reason: Value) -> Value {
    json!({"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": null}, "finish_reason": reason})
}

#[test]
fn whole_replies() {
    let reasons = [
        (json!("stop"), Whole),
        (json!("tool_calls"), Whole),
        (json!("function_call"), Whole),
        (json!("length"), Truncated),
        (json!("content_filter"), Refused),
        (json!("something new"), Unknown),
        (json!(null), Unknown),
        (json!(3), Unknown),
    ];
    for (reason, expected) in reasons {
        for operation in [ChatCompletions, Completions] {
            check(operation, json!({"choices": [choice(reason.clone())]}), expected);
            let both = json!({"choices": [choice(json!("stop")), choice(reason.clone())]});
            check(operation, both, expected);
        }
    }
    let refused =
        json!({"index": 0, "message": {"content": null, "refusal": "I won't"}, "finish_reason": "stop"});
    check(ChatCompletions, json!({"choices": [refused]}), Refused);
    check(ChatCompletions, json!({"choices": [{"index": 0, "message": {}}]}), Unknown);
    check(ChatCompletions, json!({"choices": []}), Unknown);
    check(ChatCompletions, json!({"choices": null}), Unknown);
    check(ChatCompletions, json!({"choices": "stop"}), Unknown);
    check(ChatCompletions, json!({"choices": ["stop"]}), Unknown);
    check(
        ChatCompletions,
        json!({"error": {"message": "overloaded"}, "choices": [choice(json!("stop"))]}),
        Unknown,
    );
    check(ChatCompletions, json!({"error": null, "choices": [choice(json!("stop"))]}), Whole);
    check(ChatCompletions, json!({}), Unknown);

    for (reason, expected) in [
        ("end_turn", Whole),
        ("stop_sequence", Whole),
        ("tool_use", Whole),
        ("max_tokens", Truncated),
        ("model_context_window_exceeded", Truncated),
        ("pause_turn", Truncated),
        ("refusal", Refused),
        ("else", Unknown),
    ] {
        check(Messages, json!({"type": "message", "content": [], "stop_reason": reason}), expected);
    }
    check(Messages, json!({"type": "message", "stop_reason": null}), Unknown);
    check(Messages, json!({"type": "error", "error": {"type": "overloaded_error"}}), Unknown);

    check(Embeddings, json!({"data": [{"index": 0, "embedding": [0.5]}]}), Whole);
    check(Embeddings, json!({"data": []}), Unknown);
    check(Embeddings, json!({"data": [{"nothing": 1}]}), Unknown);
    check(
        Embeddings,
        json!({"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [2]}]}),
        Unknown,
    );
    check(Embeddings, json!({"data": "AAAA"}), Unknown);
    check(CountTokens, json!({"input_tokens": 7}), Whole);
    check(CountTokens, json!({"input_tokens": null}), Unknown);
}

fn response(status: &str, part: &str, details: Value) -> Value {
    let output = json!([
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "hi"}, {"type": part, "refusal": "no"}]},
        {"type": "function_call", "arguments": "{}"},
    ]);
    json!({"id": "r", "status": status, "error": null, "incomplete_details": details, "output": output})
}

#[test]
fn responses() {
    let incomplete = |reason: &str| response("incomplete", "output_text", json!({"reason": reason}));
    for (reply, expected) in [
        (response("completed", "output_text", json!(null)), Whole),
        (response("completed", "refusal", json!(null)), Refused),
        (incomplete("max_output_tokens"), Truncated),
        (incomplete("content_filter"), Refused),
        (response("incomplete", "output_text", json!(null)), Truncated),
        (response("failed", "output_text", json!(null)), Unknown),
        (response("in_progress", "output_text", json!(null)), Unknown),
        (json!({"status": "completed"}), Unknown),
        (json!({"status": "completed", "output": [], "error": {"code": "x"}}), Unknown),
    ] {
        check(Responses, reply.clone(), expected);
        let end = json!({"type": "response.completed", "response": reply});
        let delta = "event: response.output_text.delta\ndata: {\"delta\":\"hi\"}\n\n";
        streamed(Responses, &format!("{delta}event: response.completed\ndata: {end}\n\n"), expected);
        streamed(Responses, &format!("{delta}data: {end}\n\n"), expected);
        let refusal = "event: response.refusal.done\ndata: {\"refusal\":\"no\"}\n\n";
        let worst = if expected == Unknown { Unknown } else { Refused };
        streamed(Responses, &format!("{refusal}data: {end}\n\n"), worst);
    }
    streamed(Responses, "event: response.output_text.delta\ndata: {\"delta\":\"hi\"}\n\n", Unknown);
}

fn streamed(operation: Operation, events: &str, expected: Finish) {
    let mut finishing = Finishing::new(operation);
    finishing.feed(events.as_bytes());
    assert_eq!(finishing.finish(), expected, "{events}");
    // Event by event.
    let mut finishing = Finishing::new(operation);
    for event in events.split_inclusive("\n\n") {
        finishing.feed(event.as_bytes());
    }
    assert_eq!(finishing.finish(), expected, "{events}");
}

/// Chunks of a chat, and `[DONE]`.
fn chat(choices: &[Value]) -> String {
    let chunks =
        choices.iter().map(|choice| format!("data: {}\n\n", json!({"choices": [choice], "error": null})));
    chunks.collect::<String>() + "data: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n"
}

#[test]
fn streams_of_chats() {
    let piece = |index: u32, reason: Value| json!({"index": index, "delta": {"content": "a"}, "finish_reason": reason});
    let check = |choices: &[Value], expected| {
        for operation in [ChatCompletions, Completions] {
            streamed(operation, &chat(choices), expected);
        }
    };
    let (null, stop, length) = (json!(null), json!("stop"), json!("length"));
    check(&[piece(0, null.clone()), piece(0, stop.clone())], Whole);
    check(&[piece(0, null.clone()), piece(0, length)], Truncated);
    check(&[piece(0, null.clone()), piece(0, json!("content_filter"))], Refused);
    check(&[piece(0, null.clone())], Unknown);
    check(&[], Unknown);
    // Of two choices, one does not end.
    check(&[piece(0, stop.clone()), piece(1, null.clone())], Unknown);
    check(&[piece(0, stop.clone()), piece(1, null.clone()), piece(1, stop.clone())], Whole);
    check(&[piece(64, stop.clone())], Unknown);
    let refused = json!({"index": 0, "delta": {"refusal": "I"}, "finish_reason": null});
    check(&[refused, piece(0, stop.clone())], Refused);
    check(&[json!(7), piece(0, stop.clone())], Unknown);

    let whole = chat(&[piece(0, stop)]);
    streamed(ChatCompletions, whole.strip_suffix("data: [DONE]\n\n").unwrap(), Unknown);
    streamed(ChatCompletions, &format!("data: {{\"error\":{{}}}}\n\n{whole}"), Unknown);
    streamed(ChatCompletions, &format!("event: error\ndata: {{}}\n\n{whole}"), Unknown);
    streamed(ChatCompletions, &format!("data: {{\"choices\"\n\n{whole}"), Unknown);
    streamed(
        ChatCompletions,
        &format!(": a comment\n\n{whole}").replace('\n', "\r\n").replace("\r\n", "\n"),
        Whole,
    );
    streamed(ChatCompletions, "", Unknown);
}

#[test]
fn streams_of_messages() {
    let stream = |reason: &str, end: &str| {
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"stop_reason\":null}}}}\n\n\
             event: ping\ndata: {{\"type\":\"ping\"}}\n\n\
             event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":{reason}}}}}\n\n{end}"
        )
    };
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    streamed(Messages, &stream("\"end_turn\"", stop), Whole);
    streamed(Messages, &stream("\"max_tokens\"", stop), Truncated);
    streamed(Messages, &stream("\"refusal\"", stop), Refused);
    streamed(Messages, &stream("null", stop), Unknown);
    streamed(Messages, &stream("\"end_turn\"", ""), Unknown);
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    streamed(Messages, &stream("\"end_turn\"", &format!("{error}{stop}")), Unknown);
}

proptest! {
    #[test]
    fn nothing_makes_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), choice in 0_usize..6) {
        let operation = Operation::ALL[choice];
        let text = String::from_utf8_lossy(&bytes);
        for body in [bytes.clone(), format!("{{\"choices\":[{text}]}}").into_bytes(), format!("data: {{{text}}}\n\n").into()] {
            _ = of_reply(operation, &body);
            let mut finishing = Finishing::new(operation);
            finishing.feed(&body);
            prop_assert!(finishing.finish() != Whole || body.windows(4).any(|word| word == b"stop"));
        }
    }
}
