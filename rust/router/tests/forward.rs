//! What leaves for a provider and what comes back: bytes and headers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Field, HEADERS, Host, chat, model, openai, provider, simple};
use edgeroute_router::{Request, Step, forward};
use edgeroute_wire::Dialect;
use proptest::prelude::*;
use serde_json::json;

fn host() -> Host {
    let mut config = simple();
    config["providers"] = json!([openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])]);
    config["models"] = json!([model("smart", &["one/gpt-5", "claude/opus"], &[])]);
    Host::new(&config)
}

/// The body upstream, and whether usage is hidden from the client.
fn sent(host: &Host, path: &str, body: &[u8]) -> (String, bool) {
    let mut ticket = host.decide(&Request { path, ..chat(HEADERS, body) }, AT, 0);
    assert!(matches!(ticket.step(), Step::Attempt), "{:?}", ticket.step());
    let out = common::spliced(&ticket, body);
    ticket.advance(common::complete(), AT);
    (String::from_utf8(out).unwrap(), ticket.hides_usage())
}

#[test]
fn the_body_but_for_what_must_differ() {
    let host = host();
    let check = |path: &str, body: &str, expected: &str, hides: bool| {
        assert_eq!(sent(&host, path, body.as_bytes()), (expected.to_owned(), hides), "{path} {body}");
    };
    let chat = "/v1/chat/completions";
    check(chat, r#"{"model":"smart"}"#, r#"{"model":"gpt-5"}"#, false);
    check(
        chat,
        " {\n\t\"x\" : 1e5 , \"model\" : \"sm\\u0061rt\",\"\\u00e4\":[ ] } \n",
        " {\n\t\"x\" : 1e5 , \"model\" : \"gpt-5\",\"\\u00e4\":[ ] } \n",
        false,
    );
    check(
        chat,
        r#"{"model":"smart","stream":true}"#,
        r#"{"stream_options":{"include_usage":true},"model":"gpt-5","stream":true}"#,
        true,
    );
    check(
        chat,
        r#"{"stream":true,"stream_options":{"x":1},"model":"smart"}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true,"x":1},"model":"gpt-5"}"#,
        true,
    );
    check(
        chat,
        r#"{"model":"smart","stream":true,"stream_options":{"include_usage":false}}"#,
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#,
        true,
    );
    check(
        chat,
        r#"{"model":"smart","stream":true,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true}}"#,
        false,
    );
    check(chat, r#"{"model":"smart","stream":false}"#, r#"{"model":"gpt-5","stream":false}"#, false);
    check(
        "/v1/embeddings",
        r#"{"model":"smart","stream":true}"#,
        r#"{"model":"gpt-5","stream":true}"#,
        false,
    );
    for path in ["/v1/messages", "/v1/messages/count_tokens"] {
        check(path, r#"{"model":"smart","stream":true}"#, r#"{"model":"opus","stream":true}"#, false);
    }
    check("/v1/responses", r#"{"model":"smart","stream":true}"#, r#"{"model":"gpt-5","stream":true}"#, false);
    check(
        "/v1/completions",
        r#"{"model":"smart","stream":true}"#,
        r#"{"stream_options":{"include_usage":true},"model":"gpt-5","stream":true}"#,
        true,
    );
}

/// JSON text of any shape, as some client might write it.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""\ud83d\ude00\/ \u0000""#.to_owned()),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let space = prop::sample::select(vec!["", " ", "\n\t"]);
        (prop::collection::vec(inner, 0..4), space, any::<bool>()).prop_map(|(items, space, object)| {
            if object {
                let fields: Vec<String> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| format!("\"k{index}\"{space}:{item}"))
                    .collect();
                format!("{{{space}{}}}", fields.join(&format!("{space},")))
            } else {
                format!("[{}{space}]", items.join(&format!(",{space}")))
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn all_other_bytes_are_the_clients(before in value(), after in value(), stream: bool, space in "[ \n\t]{0,3}") {
        let host = HOST.with(|host| host.clone());
        let tail = format!(",{space}\"stream\":{stream},\"after\":{after}}}{space}");
        let body = format!("{{{space}\"before\":{before},{space}\"model\"{space}:\"smart\"{tail}");
        let option = if stream { r#""stream_options":{"include_usage":true},"# } else { "" };
        let expected = format!("{{{option}{space}\"before\":{before},{space}\"model\"{space}:\"gpt-5\"{tail}");
        let (sent, hides) = sent(&host, "/v1/chat/completions", body.as_bytes());
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(hides, stream);
    }
}

thread_local! {
    static HOST: std::rc::Rc<Host> = std::rc::Rc::new(host());
}

#[test]
fn only_allowed_headers_leave() {
    let headers: &[Field<'_>] = &[
        (b"authorization", b"Bearer sk-test"),
        (b"x-api-key", b"sk-test"),
        (b"cookie", b"session=1"),
        (b"x-edgeroute-trace", b"1"),
        (b"x-forwarded-for", b"10.0.0.1"),
        (b"openai-organization", b"org"),
        (b"openai-beta", b"assistants=v2"),
        (b"idempotency-key", b"again"),
        (b"anthropic-beta", b"tools"),
        (b"anthropic-version", b"2024-01-01"),
    ];
    let check = |dialect: Dialect, headers: &[Field<'_>], expected: &[(&str, &str)]| {
        let found = forward::client_headers(dialect, &chat(headers, b""));
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap())).collect();
        assert_eq!(found, expected);
    };
    check(Dialect::OpenAiChat, headers, &[("openai-beta", "assistants=v2")]);
    check(Dialect::OpenAiResponses, headers, &[("openai-beta", "assistants=v2")]);
    check(
        Dialect::AnthropicMessages,
        headers,
        &[("anthropic-beta", "tools"), ("anthropic-version", "2024-01-01")],
    );
    check(Dialect::OpenAiChat, &[], &[]);
    check(Dialect::AnthropicMessages, &[], &[("anthropic-version", "2023-06-01")]);
}

#[test]
fn credentials_as_each_dialect_sends_them() {
    let host = host();
    check_headers(&host, "/v1/chat/completions", &[], &["authorization: Bearer sk-upstream"]);
    let version = "anthropic-version: 2023-06-01";
    check_headers(&host, "/v1/messages", &[], &["x-api-key: sk-upstream", version]);

    let mut config = simple();
    config["providers"][0]["credentials"] = json!([]);
    check_headers(&Host::new(&config), "/v1/chat/completions", &[], &[]);
}

#[test]
fn a_provider_s_own_headers_win() {
    let mut config = simple();
    config["providers"] = json!([openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])]);
    config["models"] = json!([model("smart", &["one/gpt-5", "claude/opus"], &[])]);
    config["providers"][0]["headers"] = json!([["openai-organization", "org-1"], ["openai-beta", "ours"]]);
    config["providers"][1]["headers"] = json!([["anthropic-version", "2099-01-01"]]);
    let host = Host::new(&config);
    let (chat, messages) = ("/v1/chat/completions", "/v1/messages");
    let credential = "authorization: Bearer sk-upstream";
    let expected = [credential, "openai-organization: org-1", "openai-beta: ours"];
    check_headers(&host, chat, &[], &expected);
    let theirs: &[Field<'_>] = &[(b"openai-beta", b"theirs"), (b"openai-organization", b"org-2")];
    check_headers(&host, chat, theirs, &expected);
    let expected = ["x-api-key: sk-upstream", "anthropic-version: 2099-01-01"];
    check_headers(&host, messages, &[], &expected);
    check_headers(&host, messages, &[(b"anthropic-version", b"2024-01-01")], &expected);
    let expected = ["x-api-key: sk-upstream", "anthropic-beta: tools", "anthropic-version: 2099-01-01"];
    check_headers(&host, messages, &[(b"anthropic-beta", b"tools")], &expected);

    // A provider that wants its credential in a field of another form.
    config["providers"][0]["headers"] = json!([["authorization", "Basic abc"]]);
    check_headers(&Host::new(&config), chat, &[], &["authorization: Basic abc"]);
}

/// The header fields of the first attempt, for a client who sends `sent` besides its key.
fn check_headers(host: &Host, path: &str, sent: &[Field<'_>], expected: &[&str]) {
    let headers: Vec<Field<'_>> = HEADERS.iter().chain(sent).copied().collect();
    let request = Request { path, ..chat(&headers, br#"{"model":"smart"}"#) };
    let mut ticket = host.decide(&request, AT, 0);
    let client = forward::client_headers(ticket.dialect(), &request);
    let attempt = ticket.attempt(AT).unwrap();
    let fields: Vec<String> = forward::attempt_headers(&attempt, &client)
        .iter()
        .map(|(name, value)| format!("{name}: {}", std::str::from_utf8(value).unwrap()))
        .collect();
    assert_eq!(fields, expected, "{path}");
    ticket.advance(common::complete(), AT);
}

#[test]
fn what_stays_behind_on_the_way_back() {
    for name in ["content-type", "retry-after", "x-ratelimit-remaining-tokens", "openai-processing-ms"] {
        assert!(forward::passes_back(name), "{name}");
    }
    for name in [
        "openai-organization",
        "set-cookie",
        "server",
        "date",
        "x-request-id",
        "x-edgeroute-model",
        "alt-svc",
    ] {
        assert!(!forward::passes_back(name), "{name}");
    }
}

#[test]
fn errors_that_repeat_a_credential_stay_here() {
    let check = |headers: &[(&str, &str)], error: &str, expected: bool| {
        let mut config = simple();
        config["providers"][0]["headers"] = json!(headers);
        let ticket = Host::new(&config).chat("smart");
        let attempt = ticket.attempt(AT).unwrap();
        assert_eq!(
            forward::why_withheld(&attempt, error.as_bytes()).is_none(),
            expected,
            "{headers:?} {error}"
        );
    };
    check(&[], "the key is wrong", true);
    check(&[], "the key sk-upstream is wrong", false);
    check(&[], "", true);
    let bearer = [("authorization", "Bearer x7-secret")];
    check(&bearer, "there is no Bearer token", true);
    check(&bearer, "x7-secret is wrong", false);
    let cookies = [("cookie", "a=123456; b=234567")];
    check(&cookies, "a=123456 is wrong", false);
    check(&cookies, "b=234567 is wrong", false);
    for name in ["api-key", "x-auth-token", "client-secret", "proxy-authorization"] {
        check(&[(name, "q7654321")], "not a q7654321", false);
        check(&[(name, "q7654321")], "another", true);
        // Placeholders, where a provider wants any value.
        for placeholder in ["EMPTY", "none", "mock", "ollama", "1234567"] {
            check(&[(name, placeholder)], &format!("the model {placeholder} is unknown"), true);
        }
    }
    check(&[("x-team", "blue")], "the team blue is unknown", true);
    check(&[("x-team", "blue skies, 16 bytes")], "blue skies, 16 bytes is unknown", false);
    check(&[("x-team", "blue skies, 16 bytes")], "the team of 16 bytes is unknown", true);
    check(&[], &"x".repeat(1 << 20), true);
    check(&[], &"x".repeat((1 << 20) + 1), false);
}
