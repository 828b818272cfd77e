//! The same facts, request and seed give the same decision, and `explain` tells that decision.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Field, Host, config, failed, limits, model, openai, pool, provider, reject, rule};
use edgeroute_router::{
    Explanation, FailureKind, GivenFacts, LogFormat, Phase, Request, Step, Ticket, WrittenRequest, decide,
    explain,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn host() -> Host {
    let mut config = config(
        vec![
            openai("one"),
            provider("two", "openai-chat", &["http://2a/v1", "http://2b/v1", "http://2c/v1"]),
        ],
        vec![
            pool("split", &[("one", "a", 3), ("two", "b", 2), ("two", "c", 1)], true, &["smart"]),
            model("smart", &["one/large"], &[]),
            model("one/*", &["one/*"], &["two/x"]),
            model("two/*", &["two/*"], &[]),
        ],
        vec![
            rule("broken", "size(headers) / 0 == 1", "smart"),
            rule("premium", r#"headers["x-tier"] == "premium""#, "smart"),
            rule("full", "tokens_used > 75 || requests_used > 90", "one/overflow"),
            reject("forbidden", r#"params.mode == "forbidden""#, 403, "not today"),
        ],
        limits(Some(1_000), Some(1_000_000), None),
    );
    config["defaults"]["attempts"] = json!(16);
    Host::new(&config)
}

/// What `decide` makes of a written request, in the words of `explain`.
fn decided(host: &Host, written: &Value) -> Value {
    let request: WrittenRequest = serde_json::from_value(written.clone()).unwrap();
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let headers: Vec<Field<'_>> =
        request.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let body = request.body.as_deref().map_or("", |body| body.get());
    let facts: &GivenFacts = &request.facts;
    let read = Request {
        method: &request.method,
        path,
        query,
        headers: headers.as_slice().into(),
        peer: &request.peer,
        body: body.as_bytes(),
    };
    let mut ticket = decide(&host.snapshot, &host.row, facts, &read, AT, request.seed);
    let refusal = match ticket.step() {
        Step::Refuse(refusal) => {
            json!({"status": refusal.status, "code": refusal.code.name(), "message": refusal.message})
        }
        _ => Value::Null,
    };
    let mut candidates = Vec::new();
    while let Step::Attempt = ticket.step() {
        candidates.push(common::attempt(&ticket));
        ticket.advance(failed(FailureKind::Protocol), AT);
    }
    let record = record(&ticket);
    let mut decision = json!({
        "key": record["key"], "requested": record["requested"], "rule": record["rule"], "model": record["model"],
        "candidates": candidates, "refusal": refusal,
    });
    decision.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    decision
}

fn record(ticket: &Ticket) -> Value {
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Json, &mut log);
    serde_json::from_slice(&log).unwrap()
}

fn explained(host: &Host, written: &Value) -> Explanation {
    explain(&host.snapshot, &serde_json::from_value(written.clone()).unwrap())
}

fn written() -> impl Strategy<Value = Value> {
    let model = prop::sample::select(vec!["split", "smart", "one/x", "two/y", "none"]);
    let tier = prop::sample::select(vec!["premium", "basic"]);
    let mode = prop::sample::select(vec!["", "?mode=forbidden", "?mode=other"]);
    let key =
        prop::sample::select(vec!["Bearer sk-test", "Bearer sk-test", "Bearer sk-test", "Bearer sk-wrong"]);
    (model, tier, mode, key, 0.0..120.0f64, 0..9u64, any::<u64>()).prop_map(
        |(model, tier, mode, key, used, turn, seed)| {
            json!({
                "path": format!("/v1/chat/completions{mode}"),
                "headers": {"authorization": key, "x-tier": tier},
                "body": {"model": model, "messages": [{"role": "user", "content": "hello"}]},
                "facts": {"tokens_used": used, "turn": turn},
                "seed": seed,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn explain_tells_what_decide_does(written in written()) {
        let host = host();
        let explanation = explained(&host, &written);
        prop_assert!(host.gauges().is_empty() && host.sums().is_empty(), "explain touches nothing");
        let mut told = serde_json::to_value(&explanation.decision).unwrap();
        told.as_object_mut().unwrap().remove("reserve_tokens");
        told.as_object_mut().unwrap().retain(|_, value| value != "");
        let first = decided(&host, &written);
        prop_assert_eq!(&told, &first);
        prop_assert_eq!(decided(&host, &written), first, "what happened before does not matter");
    }
}

#[test]
fn reasons_in_the_order_of_the_phases() {
    let explanation = explained(
        &host(),
        &json!({
            "path": "/v1/chat/completions",
            "headers": {"Authorization": "Bearer sk-test", "X-Tier": "basic"},
            "body": {"model": "one/gpt-5", "max_tokens": 10, "messages": [{"role": "user", "content": "hello"}]},
            "peer": "198.51.100.1:4711",
            "facts": {"turn": 1},
        }),
    );
    let reasons: Vec<String> = explanation
        .reasons
        .iter()
        .map(|reason| format!("{}: {}", json!(reason.phase).as_str().unwrap(), reason.note))
        .collect();
    let expected = [
        "read: POST /v1/chat/completions, which speaks openai-chat, from 198.51.100.1",
        "identify: virtual key `test` of team `search`",
        "scan: model `one/gpt-5`, stream false, max_tokens 10, 84 bytes",
        "match: rule `broken` does not match: `size(headers) / 0`: an integer cannot be divided by zero",
        "match: rule `premium` does not match: false",
        "match: rule `full` does not match: false",
        "match: rule `forbidden` does not match: `params.mode`: there is no such key",
        "match: none of 4 rules matches",
        "place: candidate one/gpt-5 at http://one/v1 (model `one/*`)",
        "place: candidate two/x at http://2b/v1 (model `two/*`)",
        "place: candidate two/x at http://2c/v1 (model `two/*`)",
        "place: candidate two/x at http://2a/v1 (model `two/*`)",
        "admit: would reserve 1 request and 19 tokens of team `search`: requests_per_minute 1000, \
         tokens_per_minute 1000000",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(
        serde_json::to_value(&explanation.decision).unwrap(),
        json!({
            "key": "test", "requested": "one/gpt-5", "model": "one/*", "reserve_tokens": 19,
            "candidates": [
                "one/gpt-5 at http://one/v1", "two/x at http://2b/v1", "two/x at http://2c/v1", "two/x at http://2a/v1",
            ],
        })
    );
}

/// What is said of rules, for a request without headers but its key's.
fn of_rules(rules: Vec<Value>) -> Vec<String> {
    let models = vec![model("smart", &["one/large"], &[])];
    let mut config = config(vec![openai("one")], models, rules, limits(None, None, None));
    let mut other = config["teams"][0].clone();
    other["name"] = json!("other");
    config["teams"].as_array_mut().unwrap().push(other);
    let host = Host::new(&config);
    let written = json!({
        "path": "/v1/chat/completions",
        "headers": {"authorization": "Bearer sk-test"},
        "body": {"model": "smart", "messages": []},
    });
    let reasons = explained(&host, &written).reasons;
    reasons.into_iter().filter(|reason| reason.phase == Phase::Match).map(|reason| reason.note).collect()
}

#[test]
fn why_rules_before_the_match_do_not() {
    let tier = |name: &str| rule(name, r#"headers["x-tier"] == "premium""#, "smart");
    let mut counts = tier("counts");
    counts["on_error"] = json!("match");
    let rules =
        vec![tier("absent"), rule("false", "stream", "smart"), counts, rule("after", "stream", "smart")];
    let expected = [
        "rule `absent` does not match: `headers[\"x-tier\"]`: there is no such key",
        "rule `false` does not match: false",
        "rule `counts` counts as a match: `headers[\"x-tier\"]`: there is no such key",
        "rule `counts` matches: model `smart`",
    ];
    assert_eq!(of_rules(rules), expected);

    let mut other = rule("other", "true", "smart");
    other["team"] = json!("other");
    let mut own = rule("own", "stream", "smart");
    own["virtual_key"] = json!("test");
    let told = of_rules(vec![own, other]);
    let expected = [
        "rule `own` does not match: false",
        "rule `other` does not match: it is for team `other`",
        "none of 2 rules matches",
    ];
    assert_eq!(told, expected);

    let mut first = rule("first", "true", "smart");
    first["continue"] = json!(true);
    let rules = vec![tier("absent"), first, rule("second", "true", "smart")];
    let expected = [
        "rule `absent` does not match: `headers[\"x-tier\"]`: there is no such key",
        "rule `first` matches: model `smart`; rules match again",
        "rule `second` matches: model `smart`",
    ];
    assert_eq!(of_rules(rules), expected);
}

#[test]
fn a_trace_of_many_rules_has_an_end() {
    let told = of_rules((0..300).map(|each| rule(&format!("r{each}"), "stream", "smart")).collect());
    assert_eq!(told.len(), 102);
    assert_eq!(told[100..], ["nor do 200 more rules", "none of 300 rules matches"]);
}

#[test]
fn a_written_request_is_checked() {
    let check = |written: Value, part: &str| {
        let error = WrittenRequest::read(written.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    check(json!([]), "invalid type: sequence, expected an object");
    check(json!(["GET", "/v1/models", {}, "", null, {}, 1]), "invalid type: sequence, expected an object");
    check(json!("/"), "expected an object");
    check(json!({"path": "/", "facts": [1.0, 2.0, 3, null]}), "invalid type: sequence, expected an object");
    let body = r#"{"path": "/", "body": {"a":  0.10}} "#;
    assert_eq!(WrittenRequest::read(body.as_bytes()).unwrap().body.unwrap().get(), r#"{"a":  0.10}"#);
    assert!(WrittenRequest::read(format!("{body}{body}").as_bytes()).is_err());
    check(json!({}), "missing field `path`");
    check(json!({"path": "/", "surprise": 1}), "unknown field `surprise`");
    check(json!({"path": "/", "facts": {"tokens": 1}}), "unknown field `tokens`");
}

#[test]
fn limits_are_told_of_key_and_team() {
    let check = |of_key: Value, of_team: Value, expected: &[&str]| {
        let mut config = config(vec![openai("one")], vec![model("smart", &["one/a"], &[])], vec![], of_team);
        config["virtual_keys"][0]["limits"] = of_key;
        let explanation = explained(
            &Host::new(&config),
            &json!({
                "path": "/v1/chat/completions",
                "headers": {"authorization": "Bearer sk-test"},
                "body": {"model": "smart", "max_tokens": 10, "messages": []},
            }),
        );
        let admit = explanation.reasons.iter().filter(|reason| reason.phase == Phase::Admit);
        assert_eq!(admit.map(|reason| reason.note.as_str()).collect::<Vec<_>>(), expected);
    };
    let none = || limits(None, None, None);
    check(none(), none(), &["neither the virtual key nor its team has limits"]);
    check(
        limits(Some(5), None, Some(2)),
        limits(Some(7), None, None),
        &[
            "would reserve 1 request and 10 tokens of virtual key `test`: requests_per_minute 5, concurrency 2",
            "would reserve 1 request and 10 tokens of team `search`: requests_per_minute 7",
        ],
    );
}

#[test]
fn requests_do_not_print_secrets_or_content() {
    let written: WrittenRequest = serde_json::from_value(json!({
        "path": "/v1/messages?key=canary",
        "headers": {"x-api-key": "canary"},
        "body": {"model": "canary"},
    }))
    .unwrap();
    assert_eq!(
        format!("{written:?}"),
        "WrittenRequest { method: \"POST\", path: \"/v1/messages\", query_bytes: 10, headers: [\"x-api-key\"], \
         peer: \"\", body_bytes: 18, facts: GivenFacts { tokens_used: 0.0, requests_used: 0.0, turn: 0, loads: {}, engines: {}, latencies: {}, seen: {}, tokens_per_byte: None, prefill_rate: None, cached_age_ms: None, similar: None, in_flight: false, now: None }, seed: 0 }"
    );
    let headers: &[Field<'_>] = &[(b"x-api-key", b"canary"), (b"x-\xff", b"canary")];
    let request = Request {
        method: "POST",
        path: "/v1/messages",
        query: "key=canary",
        headers: headers.into(),
        peer: "10.0.0.1:9",
        body: b"canary",
    };
    assert_eq!(
        format!("{request:?}"),
        "Request { method: \"POST\", path: \"/v1/messages\", query_bytes: 10, \
         headers: [\"x-api-key\", \"x-\u{fffd}\"], peer: \"10.0.0.1:9\", body_bytes: 6 }"
    );
}

#[test]
fn a_key_that_is_missing_or_wrong_is_told_of() {
    let check = |headers: Value, code: &str, expected: &str| {
        let explanation = explained(&host(), &json!({"path": "/v1/chat/completions", "headers": headers}));
        let told = explanation.reasons.last().unwrap();
        assert_eq!((told.phase, told.note.as_str()), (Phase::Identify, expected), "{headers}");
        assert_eq!(explanation.decision.refusal.unwrap().code, code, "{headers}");
    };
    let wrong = |header: &str| format!("the key in `{header}` is none of the virtual keys");
    check(json!({"authorization": "Bearer sk-typo"}), "invalid_api_key", &wrong("authorization"));
    check(json!({"x-api-key": "sk-typo"}), "invalid_api_key", &wrong("x-api-key"));
    check(
        json!({"authorization": "Bearer ", "x-api-key": "sk-typo"}),
        "invalid_api_key",
        &wrong("x-api-key"),
    );
    let missing = "neither `authorization: Bearer …` nor `x-api-key` holds a key";
    check(json!({}), "missing_api_key", missing);
    check(json!({"authorization": "Basic abc"}), "missing_api_key", missing);
    check(json!({"authorization": "Bearer", "x-api-key": ""}), "missing_api_key", missing);
}

#[test]
fn a_refusal_is_explained_too() {
    let explanation = explained(&host(), &json!({"path": "/v1/models", "method": "GET"}));
    let decision = serde_json::to_value(&explanation.decision).unwrap();
    assert_eq!(decision["refusal"]["code"], "missing_api_key");
    assert_eq!(decision["candidates"], json!([]));
}
