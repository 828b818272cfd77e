//! What each endpoint is: its path here and upstream, its dialect, what rules see of it, what it reserves and settles.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Field, HEADERS, Host, chat, config, limits, model, openai, provider, refusal, rule};
use edgeroute_router::{Content, Event, LogFormat, Request, Step, Ticket};
use edgeroute_wire::{Dialect, Operation, Usage};
use serde_json::{Value, json};

const TOKENS: &str = "limits/team/search/tokens_per_minute";
const REQUESTS: &str = "limits/team/search/requests_per_minute";

/// Serves every operation under the model `smart`.
fn host(rules: Vec<Value>) -> Host {
    let claude = provider("claude", "anthropic-messages", &["http://c/v1"]);
    let models = vec![
        model("smart", &["one/gpt-5", "claude/opus"], &[]),
        model("gpt", &["one/gpt-5"], &[]),
        model("claude", &["claude/opus"], &[]),
        model("claude-first", &["claude/opus"], &["gpt"]),
        common::alias("sonnet", "claude"),
        model("claude/*", &["claude/*"], &[]),
    ];
    Host::new(&config(vec![openai("one"), claude], models, rules, limits(Some(100), Some(10_000), None)))
}

fn ask(host: &Host, operation: Operation, fields: Value) -> Ticket {
    let mut body = json!({"model": "smart"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let path = format!("/v1{}", operation.path());
    host.decide(&Request { path: &path, ..chat(HEADERS, body.to_string().as_bytes()) }, AT, 0)
}

/// Ends a ticket as if its client had left.
fn finish(mut ticket: Ticket) {
    ticket.advance(common::complete(), AT);
}

fn answered(ticket: &mut Ticket, usage: Option<Usage>) {
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage }, AT);
    assert!(matches!(ticket.step(), Step::Relay));
}

#[test]
fn each_goes_to_its_own_path_at_the_provider_that_speaks_its_dialect() {
    let host = host(vec![]);
    for operation in Operation::ALL {
        let ticket = ask(&host, operation, json!({"stream": true}));
        let provider = match operation.dialect() {
            Dialect::AnthropicMessages => "claude",
            Dialect::OpenAiChat | Dialect::OpenAiResponses => "one",
        };
        let attempt = ticket.attempt(AT).unwrap();
        assert_eq!((&*attempt.provider.name, attempt.path), (provider, operation.path()));
        assert_eq!(ticket.dialect(), operation.dialect());
        assert_eq!(ticket.stream(), operation.generates(), "{operation:?}");
        finish(ticket);
    }
}

#[test]
fn only_chat_and_completions_are_made_to_report_their_usage() {
    let host = host(vec![]);
    for operation in Operation::ALL {
        let ticket = ask(&host, operation, json!({"stream": true}));
        let expected = matches!(operation, Operation::ChatCompletions | Operation::Completions);
        assert_eq!(ticket.hides_usage(), expected, "{operation:?}");
        finish(ticket);
        let ticket =
            ask(&host, operation, json!({"stream": true, "stream_options": {"include_usage": true}}));
        assert!(!ticket.hides_usage());
        finish(ticket);
    }
}

#[test]
fn rules_see_what_is_asked() {
    let content = json!([{"role": "user", "content": "12345678"}]);
    let check = |operation: Operation, fields: Value, request_type: &str, numbers: (u64, u64, u64)| {
        let (prompt, most, messages) = numbers;
        let when = format!(
            r#"request_type == "{request_type}" && prompt_tokens == {prompt} && max_tokens == {most} && message_count == {messages}"#
        );
        let host = host(vec![rule("it", &when, "smart")]);
        let ticket = ask(&host, operation, fields);
        assert_eq!(ticket.rule(), Some("it"), "{when}");
        finish(ticket);
    };
    check(
        Operation::ChatCompletions,
        json!({"messages": content, "max_completion_tokens": 5}),
        "chat_completion",
        (9, 5, 1),
    );
    check(Operation::Messages, json!({"messages": content, "max_tokens": 5}), "chat_completion", (9, 5, 1));
    check(
        Operation::Completions,
        json!({"prompt": "12345678", "max_tokens": 5}),
        "text_completion",
        (2, 5, 0),
    );
    check(Operation::Completions, json!({"prompt": [1, 2, 3]}), "text_completion", (3, 0, 0));
    check(Operation::Embeddings, json!({"input": "12345678"}), "embedding", (2, 0, 0));
    check(Operation::Responses, json!({"input": "12345678", "max_output_tokens": 5}), "responses", (9, 5, 1));
    check(
        Operation::Responses,
        json!({"instructions": "1234", "input": content, "max_tokens": 7}),
        "responses",
        (10, 0, 1),
    );
    check(Operation::CountTokens, json!({"messages": content}), "count_tokens", (9, 0, 1));
}

#[test]
fn what_is_reserved_and_settled() {
    // The window holds what is settled and reserved.
    let check = |operation: Operation, fields: Value, reserved: u64, used: Option<u64>| {
        let host = host(vec![]);
        let mut ticket = ask(&host, operation, fields);
        assert_eq!((host.window(REQUESTS), host.window(TOKENS)), (1, reserved), "{operation:?}");
        answered(&mut ticket, used.map(|output| Usage { input: 30, output, cached_input: 0 }));
        let settled = used.map_or(reserved, |output| 30 + output);
        assert_eq!((host.window(REQUESTS), host.window(TOKENS)), (1, settled), "{operation:?}");
    };
    check(Operation::Completions, json!({"prompt": "12345678"}), 2 + 1024, Some(7));
    check(Operation::Completions, json!({"prompt": "12345678", "max_tokens": 16}), 2 + 16, None);
    check(Operation::Responses, json!({"input": "12345678", "max_output_tokens": 50}), 9 + 50, Some(7));
    check(Operation::Responses, json!({"input": "12345678"}), 9 + 1024, None);
    check(Operation::Embeddings, json!({"input": "12345678"}), 2, Some(0));
}

#[test]
fn a_count_of_tokens_is_a_request_without_tokens() {
    let host = host(vec![]);
    // More than the limit is used, as can happen when a reply is longer than was reserved.
    let mut spent = ask(&host, Operation::Messages, json!({"max_tokens": 9_000}));
    answered(&mut spent, Some(Usage { input: 5_000, output: 9_000, cached_input: 0 }));
    assert_eq!(refusal(&ask(&host, Operation::Messages, json!({"max_tokens": 1}))).status, 429);

    let before = (host.window(REQUESTS), host.window(TOKENS));
    let messages = json!([{"role": "user", "content": "12345678"}]);
    let mut ticket = ask(&host, Operation::CountTokens, json!({"messages": messages}));
    assert_eq!((host.window(REQUESTS), host.window(TOKENS)), (before.0 + 1, before.1));
    answered(&mut ticket, None);
    assert_eq!((host.window(REQUESTS), host.window(TOKENS)), (before.0 + 1, before.1));
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Json, &mut log);
    let record: Value = serde_json::from_slice(&log).unwrap();
    assert_eq!((&record["path"], &record["outcome"]), (&json!("/v1/messages/count_tokens"), &json!("ok")));
    assert!(record.get("input_tokens").is_none());
    assert!(!host.sums().keys().any(|name| name.starts_with("edgeroute_tokens_total")));
}

#[test]
fn fields_that_cannot_be_served() {
    let host = host(vec![]);
    let check = |operation: Operation, fields: Value, field: &str, part: &str| {
        let ticket = ask(&host, operation, fields);
        let refusal = refusal(&ticket);
        assert_eq!((refusal.status, refusal.field), (400, Some(field)), "{}", refusal.message);
        assert!(refusal.message.contains(part), "{}", refusal.message);
    };
    check(Operation::Responses, json!({"background": true}), "background", "does not serve");
    check(Operation::Responses, json!({"background": "yes"}), "background", "true or false");
    check(Operation::Responses, json!({"max_output_tokens": -1}), "max_output_tokens", "whole number");
    check(
        Operation::ChatCompletions,
        json!({"max_completion_tokens": "1"}),
        "max_completion_tokens",
        "whole",
    );
    check(Operation::Completions, json!({"max_tokens": 0.5}), "max_tokens", "whole number");
    check(Operation::CountTokens, json!({"stream": 1}), "stream", "true or false");
    for fields in
        [json!({"background": false}), json!({"background": null, "max_tokens": "not this dialect's"})]
    {
        finish(ask(&host, Operation::Responses, fields));
    }
    finish(ask(&host, Operation::ChatCompletions, json!({"background": true})));
}

#[test]
fn stored_responses_are_not_served() {
    let host = host(vec![]);
    let check = |method: &str, path: &str, expected: &str| {
        let request = Request { method, path, ..chat(HEADERS, b"") };
        let ticket = host.decide(&request, AT, 0);
        assert_eq!((refusal(&ticket).status, ticket.dialect()), (404, Dialect::OpenAiChat), "{path}");
        assert!(refusal(&ticket).message.contains(expected), "{}", refusal(&ticket).message);
    };
    for path in ["/v1/responses/resp_1", "/openai/v1/responses/resp_1", "/responses/resp_1"] {
        check("GET", path, "keeps no responses");
        check("DELETE", path, "keeps no responses");
    }
    check("POST", "/v1/responses/resp_1/cancel", "keeps no responses");
    check("GET", "/v1/responses/resp_1/input_items", "keeps no responses");
    check(
        "POST",
        "/v1/response",
        "edgeroute serves /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses, /v1/messages, /v1/messages/count_tokens and /v1/models",
    );
}

#[test]
fn models_are_those_that_the_caller_s_dialect_reaches() {
    let host = host(vec![]);
    let check = |path: &str, headers: &[Field<'_>], expected: &str| {
        let headers: Vec<Field<'_>> = HEADERS.iter().chain(headers).copied().collect();
        let request = Request { method: "GET", path, ..chat(&headers, b"") };
        let ticket = host.decide(&request, AT, 0);
        let found = match ticket.step() {
            Step::List(names) => names.join(" "),
            Step::Describe(name) => name.clone(),
            Step::Refuse(refusal) => format!("{} {}", refusal.status, refusal.code.name()),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{path}");
    };
    let anthropic: &[Field<'_>] = &[(b"anthropic-version", b"2023-06-01")];
    check("/v1/models", &[], "claude-first gpt smart");
    check("/openai/v1/models", anthropic, "claude-first gpt smart");
    check("/v1/models", anthropic, "claude claude-first smart sonnet");
    check("/anthropic/v1/models", &[], "claude claude-first smart sonnet");
    check("/v1/models/claude", anthropic, "claude");
    check("/v1/models/claude", &[], "400 no_target_for_dialect");
    check("/v1/models/sonnet", &[], "400 no_target_for_dialect");
    check("/v1/models/claude-first", &[], "claude-first");
    check("/v1/models/claude/opus", &[], "400 no_target_for_dialect");
    check("/v1/models/claude/opus", anthropic, "claude/opus");
}

#[test]
fn a_team_s_own_names_are_listed_by_what_they_stand_for() {
    let claude = provider("claude", "anthropic-messages", &["http://c/v1"]);
    let models = vec![model("gpt", &["one/gpt-5"], &[]), model("claude", &["claude/opus"], &[])];
    let mut config = config(vec![openai("one"), claude], models, vec![], limits(None, None, None));
    config["teams"][0]["aliases"] = json!({"best": "gpt", "other": "claude", "claude": "gpt"});
    let host = Host::new(&config);
    let request = Request { method: "GET", path: "/v1/models", ..chat(HEADERS, b"") };
    let ticket = host.decide(&request, AT, 0);
    let Step::List(names) = ticket.step() else { panic!("{:?}", ticket.step()) };
    assert_eq!(names, &["best", "claude", "gpt"]);
}
