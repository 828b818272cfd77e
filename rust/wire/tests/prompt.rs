//! The estimate of a prompt, the client's maximum, and the usage of whole replies.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use edgeroute_wire::prompt::{self, AUDIO_TOKENS, FILE_TOKENS, IMAGE_TOKENS};
use edgeroute_wire::{Dialect, Document, Operation, Usage, usage};
use proptest::prelude::*;
use serde_json::{Value, json};

use Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use Operation::{ChatCompletions, Completions, CountTokens, Embeddings, Messages, Responses};

/// The estimate of a chat less its fixed part: 3, and 4 per message.
fn content_tokens(operation: Operation, body: &str) -> u64 {
    let document = Document::scan(body.as_bytes()).expect(body);
    let prompt = prompt::measure(&document, operation);
    prompt.tokens - 3 - 4 * prompt.messages
}

#[test]
fn finds_what_was_said() {
    let check = |operation, body: &str, last_user: &str, system: &[&str], images: u64| {
        let prompt = prompt::measure(&Document::scan(body.as_bytes()).expect(body), operation);
        let found: Vec<_> = prompt.system.iter().map(|content| content.text()).collect();
        assert_eq!(
            (&*prompt.last_user.text(), &*found, prompt.images),
            (last_user, system_of(system).as_slice(), images)
        );
    };
    fn system_of(texts: &[&str]) -> Vec<std::borrow::Cow<'static, str>> {
        texts.iter().map(|text| (*text).to_owned().into()).collect()
    }
    let chat = |messages: &str| format!(r#"{{"model":"m","messages":{messages}}}"#);
    check(ChatCompletions, &chat("[]"), "", &[], 0);
    check(ChatCompletions, &chat("7"), "", &[], 0);
    check(
        ChatCompletions,
        &chat(
            r#"[{"role":"system","content":"Be \"brief\"."},{"role":"user","content":"first"},
                {"content":"second","role":"user"},{"role":"assistant","content":"third"},
                {"role":"developer","content":["a",{"type":"text","text":"b"}]}]"#,
        ),
        "second",
        &["Be \"brief\".", "a\nb"],
        0,
    );
    check(
        ChatCompletions,
        &chat(
            r#"[{"role":"user","content":[{"type":"text","text":"What"},{"type":"image_url","image_url":{"url":"text"}},
                {"type":"text","text":"is this?"}]}]"#,
        ),
        "What\nis this?",
        &[],
        1,
    );
    // What hides from a reader of bytes does not hide from the provider.
    check(
        ChatCompletions,
        &chat(r#"[{"r\u006fle":"us\u0065r","c\u006fntent":"b\u006fmb"}]"#),
        "bomb",
        &[],
        0,
    );
    check(
        ChatCompletions,
        &chat(r#"[{"role":"user","content":"b\u006fmb \ud800!"}]"#),
        "bomb \u{fffd}!",
        &[],
        0,
    );
    check(ChatCompletions, &chat(r#"[{"role":"user","content":"a","content":"b"}]"#), "b", &[], 0);
    check(
        Messages,
        r#"{"system":[{"type":"text","text":"Be kind."}],"messages":[{"role":"user","content":[
            {"type":"image","source":{"type":"base64","data":"AAAA"}},{"type":"text","text":"look"},
            {"type":"tool_result","content":"not said by the user"}]}]}"#,
        "look",
        &["Be kind."],
        1,
    );
    check(
        Responses,
        r#"{"instructions":"Be short.","input":[{"role":"user","content":[{"type":"input_text","text":"hello"},
            {"type":"input_image","image_url":"https://a/b.png"}]},{"type":"image_generation_call","result":"AAAA"}]}"#,
        "hello",
        &["Be short."],
        2,
    );
    check(Responses, r#"{"input":"hello"}"#, "hello", &[], 0);
    check(Completions, r#"{"prompt":["one","two"],"suffix":"three"}"#, "one\ntwo", &[], 0);
    check(Embeddings, r#"{"input":[1,2,3]}"#, "", &[], 0);
}

#[test]
fn counts_the_content_of_openai_messages() {
    let check = |messages: &str, expected: u64| {
        let body = format!(r#"{{"model":"a model that does not count","messages":{messages}}}"#);
        assert_eq!(content_tokens(ChatCompletions, &body), expected, "{messages}");
    };
    check("[]", 0);
    check("null", 0);
    check(r#"[{"role":"user","content":""}]"#, 0);
    check(r#"[{"role":"user","content":"12345678"}]"#, 2);
    check(r#"[{"role":"user","content":"123456789"}]"#, 3);
    check(r#"[{"role":"user","content":"1234"}, {"role":"assistant","content":"5"}]"#, 2);
    check(r#"[{"role":"user","content":null,"name":"abcd"}]"#, 1);
    check(r#"[{"role":"user","content":[{"type":"text","text":"12345678"},{"type":"text","text":"1"}]}]"#, 3);
    check(r#"[{"role":"tool","tool_call_id":"call_123456789","content":"1234"}]"#, 1);
    check(
        r#"[{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"abcd","arguments":"{\"a\":12}"}}]}]"#,
        1 + 3,
    );
    let base64 = "A".repeat(50_000);
    check(
        &format!(
            r#"[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{base64}"}}}}]}}]"#
        ),
        IMAGE_TOKENS,
    );
    check(
        r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://a/b.png","detail":"low"}}]}]"#,
        IMAGE_TOKENS,
    );
    check(
        &format!(
            r#"[{{"role":"user","content":[{{"type":"input_audio","input_audio":{{"data":"{base64}","format":"wav"}}}}]}}]"#
        ),
        AUDIO_TOKENS,
    );
    check(
        &format!(
            r#"[{{"role":"user","content":[{{"type":"file","file":{{"filename":"a.pdf","file_data":"data:application/pdf;base64,{base64}"}}}}]}}]"#
        ),
        FILE_TOKENS,
    );
    check(
        &format!(
            r#"[{{"role":"user","content":[{{"type":"video_url","video_url":{{"url":"data:video/mp4;base64,{base64}"}}}}]}}]"#
        ),
        FILE_TOKENS,
    );
    check(r#"[{"role":"user","content":[{"type":"text","text":"data: is a word"}]}]"#, 4);
}

#[test]
fn counts_the_content_of_anthropic_messages() {
    let check = |fields: &str, expected: u64| {
        let body = format!(r#"{{"model":"a model that does not count",{fields}}}"#);
        assert_eq!(content_tokens(Messages, &body), expected, "{fields}");
    };
    let part = |part: &str| format!(r#""messages":[{{"role":"user","content":[{part}]}}]"#);
    check(r#""system":"12345678","messages":[{"role":"user","content":"1234"}]"#, 3);
    check(
        r#""messages":[],"system":[{"type":"text","text":"12345678","cache_control":{"type":"ephemeral"}}]"#,
        2,
    );
    let base64 = "A".repeat(50_000);
    let image = format!(
        r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{base64}"}}}}"#
    );
    check(&part(&image), IMAGE_TOKENS);
    check(&part(r#"{"source":{"url":"https://a/b.png","type":"url"},"type":"image"}"#), IMAGE_TOKENS);
    check(
        &part(r#"{"type":"document","source":{"type":"file","file_id":"file_1"},"title":"abcd"}"#),
        FILE_TOKENS + 1,
    );
    let text =
        r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"1234567890"}}"#;
    check(&part(text), 3);
    let content =
        r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"12345678"}]}}"#;
    check(&part(content), 2);
    check(
        &part(&format!(
            r#"{{"type":"tool_result","tool_use_id":"toolu_1","content":[{image},{{"type":"text","text":"1234"}}]}}"#
        )),
        IMAGE_TOKENS + 1,
    );
    check(&part(r#"{"type":"tool_result","tool_use_id":"toolu_1","content":"12345678"}"#), 2);
    check(&part(r#"{"type":"tool_use","id":"toolu_1","name":"abcd","input":{"file":"12"}}"#), 1 + 4);
    check(&part(&format!(r#"{{"type":"thinking","thinking":"12345678","signature":"{base64}"}}"#)), 2);
    check(&part(&format!(r#"{{"type":"redacted_thinking","data":"{base64}"}}"#)), 0);
}

#[test]
fn counts_the_content_of_responses() {
    let check = |fields: &str, expected: u64| {
        let body = format!(r#"{{"model":"a model that does not count",{fields}}}"#);
        assert_eq!(content_tokens(Responses, &body), expected, "{fields}");
    };
    let item = |item: &str| format!(r#""input":[{item}]"#);
    let part = |part: &str| format!(r#""input":[{{"role":"user","content":[{part}]}}]"#);
    check(r#""input":null"#, 0);
    check(r#""input":"12345678""#, 2);
    check(r#""instructions":"1234","input":"12345678""#, 3);
    check(r#""previous_response_id":"resp_1","input":[]"#, 0);
    check(&item(r#"{"role":"user","content":"12345678"},{"role":"assistant","content":"1"}"#), 3);
    check(
        &item(
            r#"{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"1234","annotations":[]}]}"#,
        ),
        1,
    );
    check(
        &item(
            r#"{"type":"function_call","id":"fc_1","call_id":"call_1","name":"abcd","arguments":"{\"a\":12}","status":"completed"}"#,
        ),
        1 + 3,
    );
    check(&item(r#"{"type":"function_call_output","call_id":"call_1","output":"12345678"}"#), 2);
    check(
        &item(
            r#"{"type":"function_call_output","call_id":"call_1","output":[{"type":"input_text","text":"1234"}]}"#,
        ),
        1,
    );
    let base64 = "A".repeat(50_000);
    check(
        &item(&format!(
            r#"{{"type":"reasoning","id":"rs_1","summary":[{{"type":"summary_text","text":"1234"}}],"encrypted_content":"{base64}"}}"#
        )),
        1,
    );
    check(
        &item(&format!(r#"{{"type":"image_generation_call","id":"ig_1","result":"{base64}"}}"#)),
        IMAGE_TOKENS,
    );
    check(
        &item(&format!(
            r#"{{"type":"computer_call_output","call_id":"c","output":{{"type":"computer_screenshot","image_url":"data:image/png;base64,{base64}"}}}}"#
        )),
        IMAGE_TOKENS,
    );
    check(
        &part(&format!(
            r#"{{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,{base64}"}}"#
        )),
        IMAGE_TOKENS + 1,
    );
    check(&part(r#"{"file_id":"file-1","image_url":null,"type":"input_image"}"#), IMAGE_TOKENS);
    check(
        &part(&format!(r#"{{"type":"input_file","filename":"a.pd","file_data":"{base64}","file_id":null}}"#)),
        FILE_TOKENS + 1,
    );
    check(&part(r#"{"type":"input_file","file_url":"https://a/b.pdf"}"#), FILE_TOKENS);
    check(
        &part(&format!(r#"{{"type":"input_audio","input_audio":{{"data":"{base64}","format":"wav"}}}}"#)),
        AUDIO_TOKENS,
    );
    for (input, messages) in [(r#""one""#, 1), ("[]", 0), (r#"[{"type":"item_reference"},{}]"#, 2)] {
        let body = format!(r#"{{"input":{input},"messages":[1,2,3]}}"#);
        let prompt = prompt::measure(&Document::scan(body.as_bytes()).unwrap(), Responses);
        assert_eq!(prompt.messages, messages, "{input}");
    }
}

#[test]
fn counts_the_prompt_of_completions() {
    let check = |fields: &str, expected: u64| {
        let body = format!(r#"{{"model":"m",{fields},"messages":["not counted"]}}"#);
        let prompt = prompt::measure(&Document::scan(body.as_bytes()).unwrap(), Completions);
        assert_eq!((prompt.tokens, prompt.messages), (expected, 0), "{fields}");
    };
    check(r#""prompt":"123456789""#, 3);
    check(r#""prompt":"123456789","suffix":"1234""#, 4);
    check(r#""prompt":["1234","","12345678"]"#, 3);
    check(r#""prompt":[1,22,333]"#, 3);
    check(r#""prompt":[[1,2],[3],[]],"suffix":null"#, 3);
    check(r#""prompt":null"#, 0);
}

#[test]
fn a_count_of_tokens_measures_what_its_message_would() {
    let body =
        br#"{"system":"1234","messages":[{"role":"user","content":"12345678"}],"tools":[{"name":"f"}]}"#;
    let document = Document::scan(body).unwrap();
    assert_eq!(prompt::measure(&document, CountTokens), prompt::measure(&document, Messages));
}

#[test]
fn counts_definitions_of_tools_as_the_text_they_are() {
    let tools = r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;
    let expected = (tools.len() as u64).div_ceil(4);
    assert_eq!(content_tokens(ChatCompletions, &format!(r#"{{"messages":[],"tools":{tools}}}"#)), expected);
    assert_eq!(content_tokens(Messages, &format!(r#"{{"messages":[],"tools":{tools}}}"#)), expected);
    assert_eq!(content_tokens(Responses, &format!(r#"{{"input":[],"tools":{tools}}}"#)), expected);
}

#[test]
fn counts_messages() {
    let body =
        br#"{"messages":[{"role":"user","content":"1"},{"role":"user","content":[{},{}]},{}],"system":"1"}"#;
    let prompt = prompt::measure(&Document::scan(body).unwrap(), Messages);
    assert_eq!((prompt.messages, prompt.tokens), (3, 3 + 3 * 4 + 2));
}

#[test]
fn counts_the_input_of_embeddings() {
    let check = |input: &str, expected: u64| {
        let body = format!(r#"{{"input":{input},"messages":["not counted"]}}"#);
        let prompt = prompt::measure(&Document::scan(body.as_bytes()).unwrap(), Embeddings);
        assert_eq!((prompt.tokens, prompt.messages), (expected, 0), "{input}");
    };
    check("\"123456789\"", 3);
    check(r#"["1234", "", "12345678"]"#, 3);
    check("[1, 22, 333]", 3);
    check("[[1,2],[3],[]]", 3);
    check("[]", 0);
    check("null", 0);
}

#[test]
fn values_that_are_not_json_count_as_text() {
    // The scan lets these pass because it does not look inside of nested values.
    for messages in ["[1 2 3]", "[{:}]", "[,]", "[{\"role\" \"user\"}]", "[{\"content\":}]", "[}{]"] {
        let body = format!(r#"{{"messages":{messages}}}"#);
        let Ok(document) = Document::scan(body.as_bytes()) else { continue };
        let prompt = prompt::measure(&document, ChatCompletions);
        assert_eq!(
            (prompt.tokens, prompt.messages),
            (3 + messages.len().div_ceil(4) as u64, 0),
            "{messages}"
        );
    }
}

#[test]
fn reads_the_maximum_under_every_name_of_the_dialect() {
    let check = |dialect, body: &str, expected: Result<u64, &str>| {
        let found = prompt::max_tokens(&Document::scan(body.as_bytes()).unwrap(), dialect);
        let found = found.map_err(|(field, error)| format!("{field}: {error}"));
        assert_eq!(found, expected.map_err(str::to_owned), "{body}");
    };
    check(OpenAiChat, "{}", Ok(0));
    check(OpenAiChat, r#"{"max_tokens":null}"#, Ok(0));
    check(OpenAiChat, r#"{"max_tokens":7}"#, Ok(7));
    check(OpenAiChat, r#"{"max_completion_tokens":8}"#, Ok(8));
    check(OpenAiChat, r#"{"max_tokens":9,"max_completion_tokens":8}"#, Ok(9));
    check(AnthropicMessages, r#"{"max_tokens":9,"max_completion_tokens":"not this dialect's"}"#, Ok(9));
    check(OpenAiResponses, r#"{"max_output_tokens":6,"max_tokens":9}"#, Ok(6));
    check(OpenAiResponses, "{}", Ok(0));
    check(
        OpenAiResponses,
        r#"{"max_output_tokens":"6"}"#,
        Err(
            "max_output_tokens: field `max_output_tokens` must be a whole number, 0 or more, found a string at line 1, column 22",
        ),
    );
    check(
        OpenAiChat,
        r#"{"max_tokens":-1}"#,
        Err(
            "max_tokens: field `max_tokens` must be a whole number, 0 or more, found -1 at line 1, column 15",
        ),
    );
}

#[test]
fn reads_the_usage_of_whole_replies() {
    let check = |dialect, body: &str, expected: Option<(u64, u64, u64)>| {
        let expected = expected.map(|(input, output, cached_input)| Usage { input, output, cached_input });
        assert_eq!(usage::read(dialect, body.as_bytes()), expected, "{body}");
    };
    check(
        OpenAiChat,
        r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#,
        Some((10, 5, 0)),
    );
    check(
        OpenAiChat,
        r#"{"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        Some((10, 5, 4)),
    );
    check(OpenAiChat, r#"{"data":[],"usage":{"prompt_tokens":8,"total_tokens":8}}"#, Some((8, 0, 0)));
    check(
        OpenAiChat,
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        Some((1, 5, 1)),
    );
    check(OpenAiChat, r#"{"usage":null}"#, None);
    check(OpenAiChat, r#"{"usage":{}}"#, None);
    check(OpenAiChat, r#"{"usage":{"prompt_tokens":"many"}}"#, None);
    check(OpenAiChat, r#"{"choices":[{"usage":{"prompt_tokens":8}}]}"#, None);
    check(OpenAiChat, r#"{"text":"\"usage\":{\"prompt_tokens\":8}"}"#, None);
    check(OpenAiChat, "<html>", None);
    check(OpenAiChat, "", None);
    check(AnthropicMessages, r#"{"usage":{"input_tokens":10,"output_tokens":5}}"#, Some((10, 5, 0)));
    check(
        AnthropicMessages,
        r#"{"usage":{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":5}}"#,
        Some((1_110, 5, 1_000)),
    );
    check(
        OpenAiResponses,
        r#"{"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":15}}"#,
        Some((10, 5, 4)),
    );
    check(OpenAiResponses, r#"{"usage":{"prompt_tokens":10,"completion_tokens":5}}"#, None);
    check(OpenAiResponses, r#"{"status":"queued","usage":null}"#, None);
    check(AnthropicMessages, r#"{"input_tokens":10}"#, None);
    assert_eq!(Usage { input: 3, output: 4, cached_input: 2 }.total(), 7);
    assert_eq!(Usage { input: u64::MAX, output: 4, cached_input: 0 }.total(), u64::MAX);
}

/// What is said of messages of plain text and text parts, computed on the parsed tree.
fn naive(messages: &[Value]) -> u64 {
    let text = |value: &Value| (serde_json::to_string(value).unwrap().len() as u64 - 2).div_ceil(4);
    let content = |content: &Value| match content {
        Value::Array(parts) => parts.iter().map(|part| text(&part["text"])).sum(),
        whole => text(whole),
    };
    3 + messages.iter().map(|message| 4 + content(&message["content"])).sum::<u64>()
}

fn message() -> impl Strategy<Value = Value> {
    let parts = prop::collection::vec(".{0,60}", 0..4)
        .prop_map(|texts| texts.into_iter().map(|text| json!({"type": "text", "text": text})).collect());
    prop_oneof![".{0,90}".prop_map(Value::from), parts]
        .prop_map(|content| json!({"role": "user", "content": content}))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_parsed_tree(messages in prop::collection::vec(message(), 0..10), pretty: bool, responses: bool) {
        let list = if responses { "input" } else { "messages" };
        let operation = if responses { Responses } else { ChatCompletions };
        let object = json!({"model": "m", list: messages});
        let body = if pretty { serde_json::to_vec_pretty(&object) } else { serde_json::to_vec(&object) }.unwrap();
        let prompt = prompt::measure(&Document::scan(&body).unwrap(), operation);
        prop_assert_eq!((prompt.tokens, prompt.messages), (naive(&messages), messages.len() as u64));
    }

    #[test]
    fn never_fails_on_what_a_scan_lets_pass(value in r#"\[[\[\]{}",:a1 \\]{0,40}\]"#) {
        let body = format!(r#"{{"messages":{value},"input":{value},"prompt":{value}}}"#);
        if let Ok(document) = Document::scan(body.as_bytes()) {
            for operation in Operation::ALL {
                prop_assert!(prompt::measure(&document, operation).tokens < 1_000);
            }
        }
    }
}
