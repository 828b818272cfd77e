//! Event streams pass byte for byte however they are cut, and their facts are found in passing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use edgeroute_wire::{Dialect, EventError, EventStream, MAX_EVENT_BYTES, Remainder, Usage};
use proptest::prelude::*;
use serde_json::Value;

use Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};

/// What is known of a stream, and what it passed on.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    passed: String,
    usage: Option<Usage>,
    ended: bool,
    failed: bool,
    events: u64,
    sequence_number: u64,
    partial: usize,
}

fn fed<'c>(dialect: Dialect, hide_usage: bool, chunks: impl IntoIterator<Item = &'c [u8]>) -> Outcome {
    let mut stream = EventStream::new(dialect, hide_usage);
    let mut out = Vec::new();
    for chunk in chunks {
        stream.feed(chunk, &mut out).unwrap();
    }
    let partial = match stream.finish() {
        Remainder::Nothing => 0,
        Remainder::Partial(bytes) => bytes,
    };
    Outcome {
        passed: String::from_utf8(out).unwrap(),
        usage: stream.usage(),
        ended: stream.ended(),
        failed: stream.failed(),
        events: stream.events(),
        sequence_number: stream.sequence_number(),
        partial,
    }
}

fn at_once(dialect: Dialect, hide_usage: bool, stream: &str) -> Outcome {
    fed(dialect, hide_usage, [stream.as_bytes()])
}

const OPENAI: &str = concat!(
    "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
    ": keep-alive\n\n",
    "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hi [DONE] \\\"usage\\\":{}\"}}],\"usage\":null}\n\n",
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,",
    "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":10,",
    "\"cache_creation_input_tokens\":5,\"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\"}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"event: message_stop\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\n\\n\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\"}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"usage\":null},\"sequence_number\":0}\n\n",
    "event: response.in_progress\ndata: {\"type\":\"response.in_progress\",\"response\":{\"usage\":null},\"sequence_number\":1}\n\n",
    ": keep-alive\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"event: response.completed\"}\n\n",
    "event: response.function_call_arguments.delta\ndata: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"\\n\\n[DONE]\"}\n\n",
    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"\"}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5,\"response\":{\"usage\":",
    "{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":2,\"total_tokens\":11}}}\n\n",
);

#[test]
fn passes_a_stream_of_a_response_and_reads_its_facts() {
    let expected = Outcome {
        passed: RESPONSES.into(),
        usage: Some(Usage { input: 9, output: 2, cached_input: 4 }),
        ended: true,
        events: 2,
        sequence_number: 6,
        ..Outcome::default()
    };
    assert_eq!(at_once(OpenAiResponses, false, RESPONSES), expected);
    assert_eq!(at_once(OpenAiResponses, true, RESPONSES), expected);
    for at in 0..=RESPONSES.len() {
        let (before, after) = RESPONSES.as_bytes().split_at(at);
        assert_eq!(fed(OpenAiResponses, false, [before, after]), expected, "cut at {at}");
    }
    // The data says what an event is; not every server names its events.
    let unnamed: String =
        RESPONSES.split_inclusive('\n').filter(|line| !line.starts_with("event:")).collect();
    let found = at_once(OpenAiResponses, false, &unnamed);
    assert_eq!(found, Outcome { passed: unnamed, ..expected });
}

#[test]
fn a_stream_of_a_response_has_ended_only_with_its_last_event_whole() {
    for at in 0..RESPONSES.len() {
        let outcome = at_once(OpenAiResponses, false, &RESPONSES[..at]);
        assert_eq!((outcome.ended, outcome.failed, outcome.usage), (false, false, None), "cut at {at}");
    }
}

#[test]
fn passes_an_openai_stream_and_reads_its_facts() {
    let expected = Outcome {
        passed: OPENAI.into(),
        usage: Some(Usage { input: 9, output: 2, cached_input: 4 }),
        ended: true,
        events: 2,
        sequence_number: 4,
        ..Outcome::default()
    };
    assert_eq!(at_once(OpenAiChat, false, OPENAI), expected);
    let start = OPENAI.find("data: {\"id\":\"c\",\"choices\":[]").unwrap();
    let end = OPENAI.find("data: [DONE]").unwrap();
    let hidden = format!("{}{}", &OPENAI[..start], &OPENAI[end..]);
    assert_eq!(at_once(OpenAiChat, true, OPENAI), Outcome { passed: hidden, ..expected });
}

#[test]
fn passes_an_anthropic_stream_and_reads_its_facts() {
    let expected = Outcome {
        passed: ANTHROPIC.into(),
        usage: Some(Usage { input: 115, output: 15, cached_input: 100 }),
        ended: true,
        events: 2,
        sequence_number: 8,
        ..Outcome::default()
    };
    assert_eq!(at_once(AnthropicMessages, false, ANTHROPIC), expected);
    assert_eq!(at_once(AnthropicMessages, true, ANTHROPIC), expected);
}

#[test]
fn holds_back_what_has_no_end() {
    let mut stream = EventStream::new(OpenAiChat, false);
    let mut out = Vec::new();
    let mut feed = |chunk: &str| {
        out.clear();
        stream.feed(chunk.as_bytes(), &mut out).unwrap();
        String::from_utf8(out.clone()).unwrap()
    };
    assert_eq!(feed("data: 1\n\ndata: 2\n"), "data: 1\n\n");
    assert_eq!(feed("dat"), "");
    assert_eq!(feed("a: 3\r"), "");
    assert_eq!(feed("\n"), "");
    assert_eq!(feed("\r\ndata: 4\n\n\ndata: 5"), "data: 2\ndata: 3\r\n\r\ndata: 4\n\n\n");
    assert_eq!(stream.finish(), Remainder::Partial(7));
}

#[test]
fn events_leave_with_their_last_byte() {
    // CR alone ends a line, so the event must not wait for the LF that may follow.
    for end in ["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\r\n\n", "\n\r"] {
        let mut stream = EventStream::new(OpenAiChat, false);
        let mut out = Vec::new();
        let event = format!("data: x{end}");
        for byte in event.as_bytes() {
            stream.feed(&[*byte], &mut out).unwrap();
        }
        assert_eq!(out, event.as_bytes());
        assert_eq!((stream.events(), stream.finish()), (1, Remainder::Nothing), "{end:?}");
    }
}

#[test]
fn says_whether_a_stream_failed_or_ended() {
    let check = |dialect, stream: &str, failed: bool, ended: bool, events: u64| {
        let outcome = at_once(dialect, false, stream);
        assert_eq!((outcome.failed, outcome.ended, outcome.events), (failed, ended, events), "{stream}");
        assert_eq!(outcome.passed, stream);
    };
    check(OpenAiChat, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", true, false, 0);
    check(OpenAiChat, "event: error\ndata: no json\n\n", true, false, 0);
    check(OpenAiChat, "data: {\"choices\":[{}],\"error\":null}\n\n", false, false, 1);
    check(OpenAiChat, "data: {\"choices\":[{\"text\":\"\\\"error\\\"\",\"error\":{}}]}\n\n", false, false, 1);
    check(
        OpenAiChat,
        "data: {\"id\":1,\"error\":{\"code\":502},\"choices\":[{\"finish_reason\":\"error\"}]}\n\n",
        true,
        false,
        0,
    );
    check(OpenAiChat, "data:[DONE]\n\n", false, true, 0);
    check(OpenAiChat, "id: 7\ndata: [DONE]\r\n\r\n", false, true, 0);
    check(OpenAiChat, "data: \"[DONE]\"\n\n", false, false, 1);
    check(OpenAiChat, "data: [DO\ndata: NE]\n\n", false, false, 1);
    check(OpenAiChat, "data: [DONE] \n\n", false, false, 1);
    check(OpenAiChat, "data:  {}\n\ndata\n\nretry: 5\n\ndatas: 1\n\n", false, false, 1);
    check(AnthropicMessages, "event: error\ndata: {\"type\":\"error\"}\n\n", true, false, 0);
    check(OpenAiResponses, "event: error\ndata: {\"type\":\"error\",\"code\":\"x\"}\n\n", true, false, 0);
    check(OpenAiResponses, "data: {\"type\":\"error\",\"code\":\"x\"}\n\n", true, false, 0);
    check(OpenAiResponses, "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", true, false, 0);
    check(OpenAiResponses, "event: response.incomplete\ndata: {\"response\":{}}\n\n", false, true, 0);
    check(OpenAiResponses, "event: response.failed\ndata: {\"response\":{\"error\":{}}}\n\n", true, true, 0);
    check(OpenAiResponses, "data: {\"type\":\"response.failed\",\"response\":{}}\n\n", true, true, 0);
    check(OpenAiResponses, "event: response.completed\ndata: no json\n\n", false, true, 0);
    check(OpenAiResponses, "event: response.completed.delta\ndata: {}\n\n", false, false, 1);
    check(OpenAiResponses, "event: delta\ndata: {\"type\":\"message.delta\"}\n\n", false, false, 0);
    check(OpenAiResponses, "data: [DONE]\n\ndata\n\nevent: response.delta\n\n", false, false, 1);
    check(OpenAiResponses, "event: ping\ndata: {\"type\":7,\"error\":null}\n\n", false, false, 0);
    check(AnthropicMessages, "data: {\"type\":\"message_stop\"}\n\n", false, false, 0);
    check(AnthropicMessages, "data: [DONE]\n\n", false, false, 0);
    check(AnthropicMessages, "data: {\"type\":\"message_stop\"}\nevent: message_stop\n\n", false, true, 0);
}

#[test]
fn an_end_marker_without_its_blank_line_is_an_end() {
    for stream in ["data: [DONE]", "data: [DONE]\n"] {
        let outcome = at_once(OpenAiChat, false, stream);
        assert_eq!((outcome.ended, outcome.partial, outcome.passed.as_str()), (true, stream.len(), ""));
    }
    assert!(!at_once(OpenAiChat, false, "data: [DONE").ended);
    assert!(at_once(AnthropicMessages, false, "event: message_stop\ndata: {}").ended);
    assert!(!at_once(AnthropicMessages, false, "event: message_stop\ndata: {\"type\":\"message_st").ended);
    assert!(!at_once(OpenAiResponses, false, "event: response.completed\ndata: {}").ended);
}

#[test]
fn reads_usage_wherever_providers_put_it() {
    let check = |dialect, stream: &str, expected: Option<(u64, u64, u64)>, passed: bool| {
        let outcome = at_once(dialect, true, stream);
        let expected = expected.map(|(input, output, cached_input)| Usage { input, output, cached_input });
        assert_eq!((outcome.usage, outcome.passed == stream), (expected, passed), "{stream}");
    };
    let usage = r#"{"prompt_tokens":1,"completion_tokens":2}"#;
    // With the last choice, and then again in every chunk: the last one counts.
    check(OpenAiChat, &format!("data: {{\"choices\":[{{}}],\"usage\":{usage}}}\n\n"), Some((1, 2, 0)), true);
    let later = r#"data: {"choices":[{}],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#;
    check(
        OpenAiChat,
        &format!("data: {{\"choices\":[{{}}],\"usage\":{usage}}}\n\n{later}\n\n"),
        Some((1, 3, 0)),
        true,
    );
    check(
        OpenAiChat,
        &format!("data: {{\"usage\" : {usage}, \"choices\": [ ]}}\n\n"),
        Some((1, 2, 0)),
        false,
    );
    check(
        OpenAiChat,
        &format!("data: {{\"usage\":null,\"x\":{{\"usage\":{usage}}},\"choices\":[]}}\n\n"),
        None,
        true,
    );
    check(
        OpenAiChat,
        &format!("data: {{\"choices\":[],\ndata: \"usage\":{usage}}}\n\n"),
        Some((1, 2, 0)),
        false,
    );
    check(OpenAiChat, "data: {\"choices\":[],\"usage\":null}\n\n", None, true);
    check(
        OpenAiChat,
        "data: {\"choices\":[{\"text\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":1}\"}]}\n\n",
        None,
        true,
    );
    let newer = "event: message_delta\ndata: {\"usage\":{\"input_tokens\":7,\"cache_read_input_tokens\":3,\"output_tokens\":9}}\n\n";
    check(AnthropicMessages, newer, Some((10, 9, 3)), true);
    let response =
        r#"{"type":"response.incomplete","response":{"usage":{"output_tokens":7,"input_tokens":2}}}"#;
    check(
        OpenAiResponses,
        &format!("event: response.incomplete\ndata: {response}\n\n"),
        Some((2, 7, 0)),
        true,
    );
    check(OpenAiResponses, &format!("data: {response}\n\n"), Some((2, 7, 0)), true);
    check(OpenAiResponses, &format!("event: response.in_progress\ndata: {response}\n\n"), None, true);
    check(OpenAiResponses, "event: response.failed\ndata: {\"response\":{\"usage\":null}}\n\n", None, true);
    check(
        OpenAiResponses,
        "event: response.completed\ndata: {\"usage\":{\"input_tokens\":7}}\n\n",
        None,
        true,
    );
    check(AnthropicMessages, "event: message_start\ndata: {\"message\":5}\n\n", None, true);
}

#[test]
fn refuses_events_without_end() {
    let event = vec![b'x'; MAX_EVENT_BYTES + 1];
    let mut out = Vec::new();
    let mut stream = EventStream::new(OpenAiChat, false);
    stream.feed(b"data: 1\n\n", &mut out).unwrap();
    assert_eq!(stream.feed(&event, &mut out), Err(EventError::TooLarge));
    assert_eq!(out, b"data: 1\n\n");

    let mut stream = EventStream::new(OpenAiChat, false);
    let fed: Result<(), EventError> = event.chunks(4_096).try_for_each(|chunk| stream.feed(chunk, &mut out));
    assert_eq!(fed, Err(EventError::TooLarge));

    let mut whole = b"data: 1\n\n".to_vec();
    whole.extend(&event);
    whole.extend(b"\n\n");
    out.clear();
    let fed = EventStream::new(OpenAiChat, false).feed(&whole, &mut out);
    assert_eq!((fed, out.as_slice()), (Err(EventError::TooLarge), &b"data: 1\n\n"[..]));
    assert_eq!(EventError::TooLarge.to_string(), "the provider sent an event of more than 1048576 bytes");

    let largest = [&event[..MAX_EVENT_BYTES - 2], b"\n\n"].concat();
    out.clear();
    EventStream::new(OpenAiChat, false).feed(&largest, &mut out).unwrap();
    assert_eq!(out, largest);
}

/// The same by the letter of the standard: lines, fields, then a complete JSON parser for every event.
fn naive(dialect: Dialect, hide_usage: bool, stream: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let mut rest = stream;
    let mut event = String::new();
    let (mut name, mut data) = (String::new(), Vec::<String>::new());
    while let Some(end) = rest.find(['\n', '\r']) {
        let ending = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        let line = &rest[..end];
        event.push_str(&rest[..end + ending]);
        rest = &rest[end + ending..];
        if !line.is_empty() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
            match field {
                "event" => name = value,
                "data" => data.push(value),
                _ => {}
            }
            continue;
        }
        let hidden = naive_event(dialect, &name, &data.join("\n"), &mut outcome) && hide_usage;
        if !hidden {
            outcome.passed.push_str(&event);
        }
        event.clear();
        name.clear();
        data.clear();
    }
    outcome.partial = event.len() + rest.len();
    outcome
}

fn naive_event(dialect: Dialect, name: &str, data: &str, outcome: &mut Outcome) -> bool {
    let json: Value = serde_json::from_str(data).unwrap_or(Value::Null);
    let number = |usage: &Value, key: &str| usage[key].as_u64();
    outcome.sequence_number += u64::from(!data.is_empty());
    let kind = if name.starts_with("response.") { name } else { json["type"].as_str().unwrap_or_default() };
    match (dialect, name, data) {
        (_, "error", _) => outcome.failed = true,
        (OpenAiChat, _, "[DONE]") => outcome.ended = true,
        (OpenAiChat, _, "") => {}
        (OpenAiChat, ..) if !json["error"].is_null() => outcome.failed = true,
        (OpenAiChat, ..) => {
            let usage = &json["usage"];
            if usage["prompt_tokens"].is_u64() {
                let input = number(usage, "prompt_tokens").unwrap_or(0);
                let cached_input = number(&usage["prompt_tokens_details"], "cached_tokens").unwrap_or(0);
                let output = number(usage, "completion_tokens").unwrap_or(0);
                outcome.usage = Some(Usage { input, output, cached_input });
            }
            let only_usage = usage.is_object() && json["choices"].as_array().is_some_and(Vec::is_empty);
            outcome.events += u64::from(!only_usage);
            return only_usage;
        }
        (OpenAiResponses, ..) => match kind {
            "response.completed" | "response.incomplete" | "response.failed" => {
                outcome.ended = true;
                outcome.failed |= kind == "response.failed";
                let usage = &json["response"]["usage"];
                if usage["input_tokens"].is_u64() || usage["output_tokens"].is_u64() {
                    let input = number(usage, "input_tokens").unwrap_or(0);
                    let cached = number(&usage["input_tokens_details"], "cached_tokens").unwrap_or(0);
                    let output = number(usage, "output_tokens").unwrap_or(0);
                    outcome.usage = Some(Usage { input, output, cached_input: cached.min(input) });
                }
            }
            "error" => outcome.failed = true,
            _ if !name.starts_with("response.") && !json["error"].is_null() => outcome.failed = true,
            _ => outcome.events += u64::from(kind.starts_with("response.") && kind.ends_with(".delta")),
        },
        (AnthropicMessages, "message_stop", _) => outcome.ended = true,
        (AnthropicMessages, "content_block_delta", _) => outcome.events += 1,
        (AnthropicMessages, "message_start", _) => {
            let usage = &json["message"]["usage"];
            if !usage.is_object() {
                return false;
            }
            let found = outcome.usage.get_or_insert_default();
            found.cached_input = number(usage, "cache_read_input_tokens").unwrap_or(0);
            found.input = number(usage, "input_tokens").unwrap_or(0) + found.cached_input;
            found.output = number(usage, "output_tokens").unwrap_or(found.output);
        }
        (AnthropicMessages, "message_delta", _) => {
            if !json["usage"].is_object() {
                return false;
            }
            let usage = outcome.usage.get_or_insert_default();
            usage.output = number(&json["usage"], "output_tokens").unwrap_or(0);
        }
        (AnthropicMessages, ..) => {}
    }
    false
}

/// White space before and after a colon; a line of data ends at the bar.
const SPACES: [[&str; 2]; 5] = [["", ""], ["", " "], [" ", "\t"], ["|data: ", ""], ["", "|data:"]];

/// Streams of all sorts of events and other bytes, with any mix of line ends.
fn stream() -> impl Strategy<Value = String> {
    let text = r#"[a-z \\"{}é]{0,12}"#;
    let piece = prop_oneof![
        text.prop_map(|text| format!("data: {}|", serde_json::json!({"choices": [{"text": text}], "usage": null}))),
        text.prop_map(|text| format!("data: {}|", serde_json::json!({"choices": [{"text": format!("\"usage\":{text}[DONE]")}]}))),
        (0_usize..150, 0_u64..99, prop::sample::select(SPACES.to_vec()), any::<prop::sample::Index>()).prop_map(
            |(length, tokens, [before, after], kind)| {
                let padding = "x".repeat(length);
                let fields = [
                    format!(r#""choices":[],"usage"{before}:{after}{{"prompt_tokens":{tokens}}}"#),
                    format!(r#""choices":[{{}}],"usage"{before}:{after}{{"prompt_tokens":{tokens}}},"error":null"#),
                    format!(r#""usage":null,"error"{before}:{after}{{"code":{tokens}}}"#),
                    format!(r#""usage"{before}:{after}null,"error"{before}:{after}null"#),
                ];
                format!(r#"data: {{"id":"{padding}",{}}}|"#, kind.get(&fields))
            },
        ),
        (0_u64..99, 0_u64..99, 0_usize..2).prop_map(|(input, output, choices)| format!(
            "data: {{\"choices\":{},\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output}}}}}|",
            ["[]", "[{}]"][choices]
        )),
        (0_u64..99, 0_u64..99).prop_map(|(input, read)| format!(
            "event: message_start|data: {{\"message\":{{\"usage\":{{\"input_tokens\":{input},\"cache_read_input_tokens\":{read}}}}}}}|"
        )),
        (0_u64..99, 0_u64..9, 0_usize..5, any::<bool>()).prop_map(|(input, output, kind, named)| {
            let kind = ["completed", "incomplete", "failed", "in_progress", "queued"][kind];
            let usage = format!(r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{output}}},"output_tokens":{output}}}"#);
            let name = if named { format!("event: response.{kind}|") } else { String::new() };
            format!(r#"{name}data: {{"type":"response.{kind}","response":{{"usage":{usage}}}}}|"#)
        }),
        (text, any::<bool>()).prop_map(|(text, named)| {
            let name = if named { "event: response.output_text.delta|" } else { "" };
            format!("{name}data: {}|", serde_json::json!({"type": "response.output_text.delta", "delta": text}))
        }),
        (0_u64..99).prop_map(|output| format!("event: message_delta|data: {{\"usage\":{{\"output_tokens\":{output}}}}}|")),
        text.prop_map(|text| format!("event: content_block_delta|data: {{|data: \"text\":{}}}|", serde_json::json!(text))),
        prop::sample::select(vec![
            "data: {\"error\":{\"x\":1}}|", "event: error|", "data: [DONE]|", "event: message_stop|data: {}|",
            "data: {\"type\":\"error\"}|", "event: response.failed|", "event: response.completed|data: {\"response\":|data: 1}|",
            ": comment|", "id: 1|", "data|", "data:|", "event|", "data: {\"choices\":|data: []}|", "|", "",
        ]).prop_map(str::to_owned),
    ];
    let ends = prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r"]), 1..6);
    (prop::collection::vec((piece, any::<bool>()), 0..12), ends).prop_map(|(pieces, ends)| {
        let lines: String =
            pieces.into_iter().map(|(piece, blank)| piece + if blank { "|" } else { "" }).collect();
        let mut ends = ends.iter().cycle();
        lines
            .split_inclusive('|')
            .map(|line| match line.strip_suffix('|') {
                Some(line) => format!("{line}{}", ends.next().unwrap()),
                None => line.to_owned(),
            })
            .collect()
    })
}

/// `bytes` in pieces of the given sizes, in turn.
fn cut<'c>(mut bytes: &'c [u8], sizes: &[usize]) -> Vec<&'c [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (chunk, rest) = bytes.split_at((*size).min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_what_the_standard_says(
        stream in stream(),
        sizes in prop::collection::vec(1_usize..40, 1..8),
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
        hide_usage: bool,
    ) {
        let whole = at_once(dialect, hide_usage, &stream);
        let mut expected = naive(dialect, hide_usage, &stream);
        // The one thing beyond the standard, tested on its own.
        expected.ended = whole.ended;
        prop_assert_eq!(&whole, &expected);
        prop_assert_eq!(&fed(dialect, hide_usage, cut(stream.as_bytes(), &sizes)), &whole);
        prop_assert_eq!(&fed(dialect, hide_usage, cut(stream.as_bytes(), &[1])), &whole);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cut_gives_the_same(
        stream in stream(),
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
        hide_usage: bool,
    ) {
        let whole = at_once(dialect, hide_usage, &stream);
        for at in 0..=stream.len() {
            let (before, after) = stream.as_bytes().split_at(at);
            prop_assert_eq!(&fed(dialect, hide_usage, [before, after]), &whole, "cut at {}", at);
        }
    }

    #[test]
    fn any_bytes_pass(
        bytes in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..300),
        sizes in prop::collection::vec(1_usize..100, 1..8),
    ) {
        for dialect in Dialect::ALL {
            let mut out = Vec::new();
            let mut stream = EventStream::new(dialect, false);
            for chunk in cut(&bytes, &sizes) {
                stream.feed(chunk, &mut out).unwrap();
            }
            let held = match stream.finish() {
                Remainder::Nothing => 0,
                Remainder::Partial(bytes) => bytes,
            };
            prop_assert_eq!(&out, &bytes[..bytes.len() - held]);
        }
    }
}

/// Whatever lies before it, and however far.
#[test]
fn facts_are_found_at_every_offset() {
    for length in 0..200 {
        let padding = "é".repeat(length / 2) + &"x".repeat(length % 2);
        let chat = format!(
            "data: {{\"x\":\"{padding}\",\"usage\":null}}\n\n: {padding}\r\n\r\n\
             data: {{\"x\":\"{padding}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":{length}}}}}\n\n\
             data: {{\"x\":\"{padding}\",\"error\":{{}}}}\r\rdata: [DONE]\n\n"
        );
        let messages = format!(
            ": {padding}\n\nevent: message_delta\r\nid: {padding}\r\n\
             data: {{\"x\":\"{padding}\",\"usage\":{{\"output_tokens\":{length}}}}}\r\n\r\nevent: message_stop\n\n"
        );
        for (dialect, stream) in [(OpenAiChat, chat), (AnthropicMessages, messages)] {
            let outcome = at_once(dialect, true, &stream);
            assert_eq!(outcome, naive(dialect, true, &stream), "{length}");
            assert_eq!((outcome.ended, outcome.usage.unwrap().total()), (true, length as u64), "{length}");
        }
    }
}
