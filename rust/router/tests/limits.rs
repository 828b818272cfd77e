//! Limits of keys and teams: what they refuse, in whose name, and when to try again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, HEADERS, Host, after, body, chat, limits, model, openai, refusal, simple};
use edgeroute_router::{Content, End, Event, Now, Step, Ticket};
use edgeroute_wire::Usage;
use serde_json::{Value, json};

const NONE: Option<u64> = None;

/// Limits of the key and of its team.
fn host(key: Value, team: Value) -> Host {
    let mut config = simple();
    config["models"] = json!([model("smart", &["one/gpt-5"], &[])]);
    config["providers"] = json!([openai("one")]);
    config["virtual_keys"][0]["limits"] = key;
    config["teams"][0]["limits"] = team;
    Host::new(&config)
}

fn asks(host: &Host, max_tokens: u64, now: Now) -> Ticket {
    let body = json!({"model": "smart", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hello"}]});
    host.decide(&chat(HEADERS, body.to_string().as_bytes()), now, 0)
}

fn answer(ticket: &mut Ticket, usage: Option<Usage>) {
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage }, AT);
    assert!(matches!(ticket.step(), Step::Relay));
}

#[test]
fn whose_limit_refuses() {
    let check = |key: Value, team: Value, expected: (u16, &str, Option<u64>), part: &str, metric: &str| {
        let host = host(key, team);
        let mut first = asks(&host, 100, AT);
        let second = asks(&host, 100, AT);
        let refusal = refusal(&second);
        assert_eq!((refusal.status, refusal.code.name(), refusal.retry_after), expected, "{part}");
        assert!(refusal.message.contains(part), "{}", refusal.message);
        let name = format!("edgeroute_limit_refusals_total{{{metric}}}");
        assert_eq!(host.sums().get(&name), Some(&1), "{:?}", host.sums());
        assert_eq!(second.attempts(), 0);
        first.advance(common::complete(), AT);
        assert!(host.gauges().is_empty(), "what was reserved before the refusal is given back");
    };
    let free = || limits(NONE, NONE, NONE);
    // `AT` is 20 seconds before a minute is full.
    let exceeded = (429, "rate_limit_exceeded", Some(20));
    check(
        limits(Some(1), NONE, NONE),
        free(),
        exceeded,
        "requests_per_minute of virtual key `test` is used up (requests per minute: 1 asked for, 1 of 1 used); \
         try again in 20 s",
        r#"scope="virtual_key",name="test",limit="requests_per_minute""#,
    );
    check(
        free(),
        limits(Some(1), NONE, NONE),
        exceeded,
        "requests_per_minute of team `search` is used up",
        r#"scope="team",name="search",limit="requests_per_minute""#,
    );
    check(
        free(),
        limits(NONE, Some(150), NONE),
        exceeded,
        "tokens_per_minute of team `search` is used up (tokens per minute: 109 asked for, 109 of 150 used)",
        r#"scope="team",name="search",limit="tokens_per_minute""#,
    );
    check(
        limits(Some(9), Some(900), Some(1)),
        limits(Some(9), Some(900), Some(9)),
        (429, "rate_limit_exceeded", Some(1)),
        "concurrency of virtual key `test`",
        r#"scope="virtual_key",name="test",limit="concurrency""#,
    );
}

#[test]
fn a_request_that_is_larger_than_a_limit_is_told_so() {
    let host = host(limits(NONE, Some(100), NONE), limits(NONE, NONE, NONE));
    let ticket = asks(&host, 92, AT);
    let refusal = refusal(&ticket);
    assert_eq!(
        (refusal.status, refusal.code.name(), refusal.retry_after),
        (400, "request_exceeds_limit", None)
    );
    assert!(refusal.message.ends_with("ask for fewer tokens"), "{}", refusal.message);
    let mut ticket = asks(&host, 91, AT);
    assert!(matches!(ticket.step(), Step::Attempt));
    ticket.advance(common::complete(), AT);
}

#[test]
fn what_is_reserved_and_what_is_counted() {
    const TOKENS: &str = "limits/team/search/tokens_per_minute";
    let check = |body: Value, reserved: u64, usage: Option<Usage>, counted: u64| {
        let host = host(limits(NONE, NONE, NONE), limits(NONE, Some(1 << 30), NONE));
        let mut ticket = host.decide(&chat(HEADERS, body.to_string().as_bytes()), AT, 0);
        assert_eq!(host.window(TOKENS), reserved, "{body}");
        answer(&mut ticket, usage);
        assert_eq!(host.window(TOKENS), counted, "{body}");
    };
    let messages = json!([{"role": "user", "content": "hello"}]);
    let usage = Some(Usage { input: 10, output: 30, cached_input: 5 });
    check(json!({"model": "smart", "messages": messages}), 9 + 1024, usage, 40);
    check(json!({"model": "smart", "messages": messages, "max_tokens": 50}), 59, usage, 40);
    let both = json!({"model": "smart", "messages": messages, "max_tokens": 50, "max_completion_tokens": 60});
    check(both, 69, usage, 40);
    // More than was reserved is counted all the same; without a report, what was reserved.
    let more = Some(Usage { input: 10, output: 3_000, cached_input: 0 });
    check(json!({"model": "smart", "messages": messages, "max_tokens": 50}), 59, more, 3_010);
    check(json!({"model": "smart", "messages": messages, "max_tokens": 50}), 59, None, 59);
    check(
        json!({"model": "smart", "messages": messages, "max_tokens": 1u64 << 29}),
        (1 << 29) + 9,
        None,
        (1 << 29) + 9,
    );
}

#[test]
fn a_stream_that_breaks_counts_what_was_relayed() {
    const TOKENS: &str = "limits/team/search/tokens_per_minute";
    let usage = |input, output| Some(Usage { input, output, cached_input: 0 });
    let check = |end: End, usage: Option<Usage>, events: u64, counted: u64| {
        let shown = format!("{end:?} {usage:?} {events}");
        let host = host(limits(NONE, NONE, NONE), limits(NONE, Some(10_000), NONE));
        let mut ticket = asks(&host, 100, AT);
        ticket.advance(Event::Responded { status: 200, content: Content::Events, usage: None }, AT);
        assert_eq!(host.window(TOKENS), 109, "{shown}");
        ticket.advance(Event::Ended { end, usage, events }, AT);
        assert_eq!(host.window(TOKENS), counted, "{shown}");
    };
    check(End::Complete, usage(20, 5), 9, 25);
    check(End::Complete, None, 7, 9 + 7);
    check(End::ClientGone, None, 0, 9);
    check(End::ClientGone, None, 12, 9 + 12);
    // Anthropic reports the prompt first and the reply as it grows.
    check(End::ClientGone, usage(20, 1), 12, 20 + 12);
    check(End::ProviderError, usage(20, 40), 12, 20 + 40);
}

#[test]
fn windows_begin_anew() {
    let host = host(limits(Some(1), NONE, NONE), limits(NONE, NONE, NONE));
    for (ms, admitted) in
        [(0, true), (1, false), (19_999, false), (20_000, true), (79_999, false), (80_000, true)]
    {
        let mut ticket = asks(&host, 1, after(ms));
        assert_eq!(matches!(ticket.step(), Step::Attempt), admitted, "after {ms} ms");
        ticket.advance(common::complete(), after(ms));
    }
}

#[test]
fn embeddings_reserve_no_output() {
    let host = host(limits(NONE, Some(1_000), NONE), limits(NONE, NONE, NONE));
    let body = json!({"model": "smart", "input": "12345678"}).to_string();
    let request = edgeroute_router::Request { path: "/v1/embeddings", ..chat(HEADERS, body.as_bytes()) };
    let mut ticket = host.decide(&request, AT, 0);
    assert_eq!(host.window("limits/key/test/tokens_per_minute"), 2);
    ticket.advance(common::complete(), AT);
}

#[test]
fn every_reply_that_is_asked_for_is_reserved() {
    let check = |path: &'static str, body: Value, reserved: u64| {
        let host = host(limits(NONE, Some(1 << 30), NONE), limits(NONE, NONE, NONE));
        let text = body.to_string();
        let request = edgeroute_router::Request { path, ..chat(HEADERS, text.as_bytes()) };
        let mut ticket = host.decide(&request, AT, 0);
        assert_eq!(host.window("limits/key/test/tokens_per_minute"), reserved, "{body}");
        ticket.advance(common::complete(), AT);
    };
    let completion = |prompt: Value, n: Value, best_of: Value, reserved| {
        let body = json!({"model": "smart", "prompt": prompt, "max_tokens": 100, "n": n, "best_of": best_of});
        check("/v1/completions", body, reserved);
    };
    let ten = || json!(vec!["test"; 10]);
    let null = || Value::Null;
    completion(json!("test"), null(), null(), 101);
    completion(ten(), null(), null(), 10 + 1_000);
    completion(ten(), json!(2), null(), 10 + 2_000);
    completion(ten(), json!(2), json!(5), 10 + 5_000);
    completion(json!("test"), json!(0), json!(3), 301);
    completion(json!([1, 2, 3]), null(), null(), 103);
    completion(json!([[1, 2, 3], [4]]), null(), null(), 204);
    completion(json!([]), json!(2), null(), 200);
    check("/v1/completions", json!({"model": "smart", "prompt": ten()}), 10 + 10 * 1_024);
    let chat = |more: Value, reserved| {
        let mut body = json!({"model": "smart", "messages": [{"role": "user", "content": "hello"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        check("/v1/chat/completions", body, reserved);
    };
    chat(json!({"max_tokens": 100, "n": 4}), 409);
    chat(json!({"n": 4}), 9 + 4 * 1_024);
    // Neither dialect has such a field.
    check("/v1/responses", json!({"model": "smart", "input": "test", "max_output_tokens": 100, "n": 4}), 108);
}

#[test]
fn no_number_of_replies_is_too_large_to_be_refused() {
    let host = host(limits(NONE, Some(500), NONE), limits(NONE, NONE, NONE));
    let check = |n: Value, code: &str| {
        let body = json!({"model": "smart", "max_tokens": 100, "n": n, "messages": []}).to_string();
        let ticket = host.decide(&chat(HEADERS, body.as_bytes()), AT, 0);
        assert_eq!(refusal(&ticket).code.name(), code, "{n}");
        assert_eq!(host.window("limits/key/test/tokens_per_minute"), 0, "{n}");
    };
    check(json!(5), "request_exceeds_limit");
    check(json!(u64::MAX), "request_exceeds_limit");
    check(json!(-1), "invalid_field");
    check(json!("5"), "invalid_field");
    check(json!(1.5), "invalid_field");
}

#[test]
fn a_ticket_that_is_dropped_gives_back_what_it_holds_and_counts_as_a_bug() {
    let host = host(limits(Some(9), Some(9_000), Some(9)), limits(Some(9), Some(9_000), Some(9)));
    let ticket = asks(&host, 100, AT);
    assert_eq!(host.gauges().values().sum::<u64>(), 3, "{:?}", host.gauges());
    drop(ticket);
    assert!(host.gauges().is_empty(), "{:?}", host.gauges());
    for scope in ["key/test", "team/search"] {
        assert_eq!(host.window(&format!("limits/{scope}/tokens_per_minute")), 0);
        assert_eq!(host.window(&format!("limits/{scope}/requests_per_minute")), 0);
    }
    let expected = [
        (r#"edgeroute_attempts_total{target="one/gpt-5",outcome="dropped"}"#.to_owned(), 1),
        (r#"edgeroute_dropped_total{what="ticket"}"#.to_owned(), 1),
    ];
    assert_eq!(host.sums().into_iter().collect::<Vec<_>>(), expected);
    drop(host.decide(&chat(HEADERS, body("none").as_bytes()), AT, 0));
    assert_eq!(host.sums().len(), 2, "a refused ticket holds nothing");
}
