//! What is refused before a model is looked for: which path, who asks, what the body looks like.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Field, HEADERS, Host, body, chat, model, openai, provider, refusal, simple};
use edgeroute_router::{Request, Step};
use edgeroute_wire::Dialect;
use serde_json::json;

const OPENAI: Dialect = Dialect::OpenAiChat;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;

/// Serves both dialects.
fn host() -> Host {
    let mut config = simple();
    config["providers"] = json!([openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])]);
    config["models"] = json!([model("smart", &["one/gpt-5", "claude/opus"], &[])]);
    config["max_body"] = json!(200);
    Host::new(&config)
}

#[test]
fn endpoints_by_path() {
    let host = host();
    let check = |method: &str, path: &str, dialect: Dialect, expected: &str| {
        let body = body("smart");
        let request =
            Request { method, path, query: "", headers: HEADERS.into(), peer: "", body: body.as_bytes() };
        let ticket = host.decide(&request, AT, 0);
        let found = match ticket.step() {
            Step::Attempt => ticket.attempt(AT).unwrap().path.to_owned(),
            Step::List(names) => names.join(","),
            Step::Describe(name) => format!("describe {name}"),
            Step::Refuse(refusal) => format!("{} {}", refusal.status, refusal.code.name()),
            step => format!("{step:?}"),
        };
        assert_eq!((found.as_str(), ticket.dialect()), (expected, dialect), "{method} {path}");
        drop_quietly(ticket);
    };
    check("POST", "/v1/chat/completions", OPENAI, "/chat/completions");
    check("POST", "/chat/completions", OPENAI, "/chat/completions");
    check("POST", "/openai/v1/chat/completions", OPENAI, "/chat/completions");
    check("POST", "/openai/chat/completions", OPENAI, "/chat/completions");
    check("POST", "/v1/embeddings", OPENAI, "/embeddings");
    check("POST", "/openai/embeddings", OPENAI, "/embeddings");
    check("POST", "/v1/messages", ANTHROPIC, "/messages");
    check("POST", "/anthropic/v1/messages", ANTHROPIC, "/messages");
    check("POST", "/messages", ANTHROPIC, "/messages");
    check("POST", "/v1/completions", OPENAI, "/completions");
    check("POST", "/openai/completions", OPENAI, "/completions");
    check("POST", "/v1/responses", RESPONSES, "/responses");
    check("POST", "/openai/v1/responses", RESPONSES, "/responses");
    check("POST", "/v1/messages/count_tokens", ANTHROPIC, "/messages/count_tokens");
    check("POST", "/anthropic/messages/count_tokens", ANTHROPIC, "/messages/count_tokens");
    check("GET", "/v1/models", OPENAI, "smart");
    check("GET", "/models", OPENAI, "smart");
    check("GET", "/anthropic/v1/models", ANTHROPIC, "smart");
    check("GET", "/v1/models/smart", OPENAI, "describe smart");
    check("GET", "/v1/models/none", OPENAI, "404 model_not_found");

    for path in [
        "/",
        "",
        "/v1",
        "/v1/",
        "/v1/models/",
        "/v1/chat",
        "/v2/chat/completions",
        "/v1/chat/completions/",
        "/v1/v1/models",
        "/openaiv1/models",
        "/openai/v1/messages",
        "/V1/models",
        "/v1/completion",
        "/openai/v1/messages/count_tokens",
    ] {
        let dialect =
            if path.ends_with("/messages") && !path.starts_with("/openai") { ANTHROPIC } else { OPENAI };
        check("POST", path, dialect, "404 unknown_path");
    }
    check("POST", "/anthropic/v1/chat/completions", ANTHROPIC, "404 unknown_path");
    check("POST", "/anthropic/nothing", ANTHROPIC, "404 unknown_path");
    check("GET", "/v1/chat/completions", OPENAI, "405 method_not_allowed");
    check("DELETE", "/v1/messages", ANTHROPIC, "405 method_not_allowed");
    check("GET", "/v1/messages/count_tokens", ANTHROPIC, "405 method_not_allowed");
    check("GET", "/v1/messages/batches", ANTHROPIC, "404 unknown_path");
    check("GET", "/v1/responses", OPENAI, "405 method_not_allowed");
    check("POST", "/anthropic/v1/responses", ANTHROPIC, "404 unknown_path");
    check("POST", "/v1/models", OPENAI, "405 method_not_allowed");
}

#[test]
fn anthropics_header_sets_the_dialect_of_what_the_path_leaves_open() {
    let host = host();
    let headers: &[Field<'_>] = &[(b"x-api-key", b"sk-test"), (b"anthropic-version", b"2023-06-01")];
    for (path, expected) in
        [("/v1/models", ANTHROPIC), ("/nowhere", ANTHROPIC), ("/openai/v1/models", OPENAI)]
    {
        let request =
            Request { method: "GET", path, query: "", headers: headers.into(), peer: "", body: b"" };
        assert_eq!(host.decide(&request, AT, 0).dialect(), expected, "{path}");
    }
}

#[test]
fn who_asks() {
    let host = host();
    let body = body("smart");
    let check = |headers: &[Field<'_>], expected: &str| {
        let ticket = host.decide(&chat(headers, body.as_bytes()), AT, 0);
        let found = match ticket.step() {
            Step::Refuse(refusal) => format!("{} {}", refusal.status, refusal.code.name()),
            _ => "known".into(),
        };
        assert_eq!(found, expected, "{headers:?}");
        drop_quietly(ticket);
    };
    let known = "known";
    let (missing, invalid) = ("401 missing_api_key", "401 invalid_api_key");
    check(&[(b"authorization", b"Bearer sk-test")], known);
    check(&[(b"authorization", b"bearer  sk-test ")], known);
    check(&[(b"x-api-key", b"sk-test")], known);
    check(&[(b"authorization", b"Basic dXNlcg=="), (b"x-api-key", b"sk-test")], known);
    check(&[(b"authorization", b"Bearer "), (b"x-api-key", b"sk-test")], known);
    check(&[(b"authorization", b"Bearer sk-other"), (b"x-api-key", b"sk-test")], invalid);
    check(&[(b"authorization", b"Bearer sk-tes")], invalid);
    check(&[(b"x-api-key", b"SK-TEST")], invalid);
    check(&[], missing);
    check(&[(b"authorization", b"sk-test")], missing);
    check(&[(b"authorization", b"Bearer")], missing);
    check(&[(b"authorization", b"Bearer  ")], missing);
    check(&[(b"x-api-key", b"")], missing);
    check(&[(b"x-api-key", b"\xff\xfe")], missing);
}

#[test]
fn an_invalid_key_is_not_repeated() {
    let ticket = host().decide(&chat(&[(b"x-api-key", b"sk-secret-typo")], b"{}"), AT, 0);
    assert!(!format!("{:?}", ticket.step()).contains("secret"));
}

#[test]
fn what_the_body_must_be() {
    let host = host();
    let check = |headers: &[Field<'_>], body: &[u8], expected: &str, part: &str| {
        let headers: Vec<Field<'_>> = HEADERS.iter().chain(headers).copied().collect();
        let ticket = host.decide(&chat(&headers, body), AT, 0);
        let refusal = refusal(&ticket);
        let found = format!("{} {} {}", refusal.status, refusal.code.name(), refusal.field.unwrap_or("-"));
        let shown = String::from_utf8_lossy(body);
        assert_eq!(found, expected, "{shown}: {}", refusal.message);
        assert!(refusal.message.contains(part), "{shown}: {}", refusal.message);
    };
    let large = vec![b' '; 201];
    check(&[], &large, "413 body_too_large -", "larger than 200 bytes");
    check(&[(b"content-length", b"201")], b"{}", "413 body_too_large -", "200");
    check(&[(b"content-type", b"text/plain")], b"{}", "415 unsupported_media_type -", "not `text/plain`");
    check(&[(b"content-type", b"json")], b"{}", "415 unsupported_media_type -", "application/json");
    check(&[], b"", "400 invalid_body -", "empty");
    check(&[], b"  ", "400 invalid_body -", "empty");
    check(&[], b"{\"model\": \"smart\"", "400 invalid_body -", "truncated");
    check(&[], b"[]", "400 invalid_body -", "an array");
    check(&[], b"{} {}", "400 invalid_body -", "after the JSON object");
    check(&[], br#"{"model":"a","model":"b"}"#, "400 invalid_body -", "duplicate field `model`");
    check(&[], b"{\"model\":\"\xff\"}", "400 invalid_body -", "UTF-8");
    check(&[], &[&b"{\"x\":"[..], &[b'['; 190]].concat(), "400 invalid_body -", "deeper than 128");
    check(&[], b"{}", "400 invalid_field model", "/v1/models");
    check(&[], br#"{"model":7}"#, "400 invalid_field model", "must be a string, found 7");
    check(&[], br#"{"model":null}"#, "400 invalid_field model", "must be a string");
    check(&[], br#"{"model":"smart","stream":"yes"}"#, "400 invalid_field stream", "true or false");
    check(&[], br#"{"model":"smart","max_tokens":-1}"#, "400 invalid_field max_tokens", "whole number");
    check(&[], br#"{"model":"smart","max_tokens":1.5}"#, "400 invalid_field max_tokens", "found 1.5");
    check(
        &[],
        br#"{"model":"smart","stream":true,"stream_options":1}"#,
        "400 invalid_field stream_options",
        "an object",
    );
}

#[test]
fn content_types_of_json() {
    let host = host();
    for media in
        ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json", "a/b+JSON"]
    {
        let headers = [HEADERS[0], (b"content-type", media.as_bytes())];
        let ticket = host.decide(&chat(&headers, body("smart").as_bytes()), AT, 0);
        assert!(matches!(ticket.step(), Step::Attempt), "{media}");
        drop_quietly(ticket);
    }
}

#[test]
fn the_key_comes_before_the_body() {
    let ticket = host().decide(&chat(&[], b"not json"), AT, 0);
    assert_eq!(refusal(&ticket).code.name(), "missing_api_key");
}

#[test]
fn messages_hold_no_more_than_an_excerpt_of_what_a_client_sent() {
    let host = host();
    let long = format!("/{}", "x".repeat(100_000));
    let request =
        Request { method: "POST", path: &long, query: "", headers: HEADERS.into(), peer: "", body: b"" };
    assert!(refusal(&host.decide(&request, AT, 0)).message.len() < 400);
    let request = Request {
        method: &long,
        path: "/v1/models",
        query: "",
        headers: HEADERS.into(),
        peer: "",
        body: b"",
    };
    assert!(refusal(&host.decide(&request, AT, 0)).message.len() < 400);
    let headers = [HEADERS[0], (b"content-type".as_slice(), long.as_bytes())];
    assert!(refusal(&host.decide(&chat(&headers, b"{}"), AT, 0)).message.len() < 400);
}

/// Ends a ticket whose attempt is of no interest.
fn drop_quietly(mut ticket: edgeroute_router::Ticket) {
    ticket.advance(common::complete(), AT);
}
