//! Which requests the cache answers, which it does not and why, and what is kept.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, HEADERS, acting, after, model, openai, refusal};
use edgeroute_router::{Answer, Content, Event, FailureKind, Hit, Request, Step, Ticket};
use recalled::{Cached, chat, config, header, headers, leave, record, respond, settings, with_store};
use serde_json::{Value, json};

fn answer(ticket: &Ticket) -> &Answer {
    match ticket.step() {
        Step::Answer(answer) => answer,
        step => panic!("not answered but {step:?}"),
    }
}

#[test]
fn what_was_answered_is_answered_again() {
    let mut cached = Cached::with(json!({}));
    let body = chat(json!({"max_tokens": 10, "temperature": 0.2}));
    let ticket = cached.ask(&body);
    assert_eq!(ticket.cache_header().as_deref(), Some("miss"));
    let fill = cached.answer(ticket).unwrap();
    assert_eq!((fill.ttl_ms, fill.stream, &fill.meaning), (3_600_000, false, &None));

    // The same bytes, found by their hash.
    let again = cached.decide(&common::chat(HEADERS, body.as_bytes()), after(12_345));
    let found = answer(&again);
    assert_eq!((found.key, found.hit, found.known.age_ms), (fill.key, Hit::Exact, 12_345));
    assert_eq!(found.known.body.as_deref(), Some(&b"answer"[..]));
    assert_eq!(again.recall_key(), Some(fill.key));
    assert_eq!(again.cache_header().as_deref(), Some("hit; age=12"));
    assert_eq!(again.attempts(), 0);
    leave(again);

    // Other bytes that mean the same, found by the key.
    let written = r#" {"temperature":2e-1, "messages":[{"content":"How far is the \u006doon?","role":"user"}], "max_tokens":10,"user":"me", "model":"smart"} "#;
    let again = cached.ask(written);
    assert_eq!((answer(&again).key, again.cache_header().as_deref()), (fill.key, Some("hit; age=0")));
    let (raw, keys) = again.remembered().unwrap();
    assert_eq!((keys, Some(raw) == fill.raw), ((fill.key, fill.check), false));
    leave(again);

    // When it has expired, it is asked anew.
    let late = cached.decide(&common::chat(HEADERS, body.as_bytes()), after(3_600_000));
    assert_eq!(header(late), "miss");
}

#[test]
fn models_without_a_cache_have_nothing_to_do_with_it() {
    let cached = Cached::new(&with_store(common::simple()));
    let ticket = cached.ask_with(&[("x-edgeroute-cache", "nonsense")], &chat(json!({})));
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!((ticket.cache_header(), ticket.recall_key(), ticket.remembered()), (None, None, None));
    assert!(!ticket.shares() && ticket.observed().is_none() && record(&ticket).get("cache").is_none());
    leave(ticket);
}

#[test]
fn why_the_cache_is_not_asked() {
    let check = |cache: Value, head: &[(&'static str, &'static str)], body: Value, expected: &str| {
        let mut cached = Cached::with(cache);
        let body = chat(body);
        // The entry would be there.
        let ticket = cached.ask_with(head, &body);
        let fills = cached.answer(ticket).is_some();
        let ticket = cached.ask_with(head, &body);
        assert_eq!(ticket.cache_header().unwrap(), expected, "{head:?} {body}");
        let is_answered = matches!(ticket.step(), Step::Answer(_));
        assert_eq!(is_answered, expected.starts_with("hit"), "{head:?} {body}");
        assert_eq!(
            fills,
            !expected.starts_with("bypass") || expected.ends_with("no-cache"),
            "{head:?} {body}"
        );
        assert_eq!(ticket.recall_key().is_some(), fills, "{head:?} {body}");
        let told = record(&ticket);
        let result = expected.split(';').next().unwrap();
        assert_eq!(told["cache"], result, "{head:?} {body}");
        let reason = expected.split_once("reason=").map(|(_, reason)| reason);
        assert_eq!(told.get("cache_refused").and_then(Value::as_str), reason, "{head:?} {body}");
        leave(ticket);
    };
    let none = || json!({});
    check(none(), &[], none(), "hit; age=0");
    // What the client says.
    check(none(), &[("x-edgeroute-cache", "bypass")], none(), "bypass; reason=header");
    check(none(), &[("x-edgeroute-cache", "exact")], none(), "hit; age=0");
    check(none(), &[("x-edgeroute-cache", "semantic")], none(), "hit; age=0");
    check(none(), &[("x-edgeroute-cache-ttl", "0")], none(), "bypass; reason=no-store");
    check(none(), &[("x-edgeroute-cache-ttl", "5")], none(), "hit; age=0");
    for no_store in ["no-store", "No-Store , max-age=5", "max-age=5,no-store", "no-cache, no-store"] {
        check(none(), &[("cache-control", no_store)], none(), "bypass; reason=no-store");
    }
    for no_cache in ["no-cache", "private, NO-CACHE", "no-cache=\"x\""] {
        check(none(), &[("cache-control", no_cache)], none(), "bypass; reason=no-cache");
    }
    check(
        none(),
        &[("cache-control", "private"), ("cache-control", "no-store")],
        none(),
        "bypass; reason=no-store",
    );
    for nothing in ["max-age=0", "max-age=1", "private, max-stale=5", "", ",,=", "max-age=\"5\""] {
        check(none(), &[("cache-control", nothing)], none(), "hit; age=0");
    }
    // What the request is.
    check(none(), &[], json!({"temperature": 0.31}), "bypass; reason=temperature");
    check(none(), &[], json!({"temperature": 1}), "bypass; reason=temperature");
    check(none(), &[], json!({"temperature": "hot"}), "bypass; reason=temperature");
    check(none(), &[], json!({"temperature": 0.3}), "hit; age=0");
    check(none(), &[], json!({"temperature": null}), "hit; age=0");
    check(json!({"max_temperature_permille": 2_000}), &[], json!({"temperature": 1}), "hit; age=0");
    check(none(), &[], json!({"filler": "x".repeat(64 << 10)}), "bypass; reason=too-long");
    check(none(), &[], json!({"previous_response_id": "r"}), "bypass; reason=stateful");
    check(none(), &[], json!({"n": 3}), "hit; age=0");
    // With a semantic cache, the same request is still found by its key.
    check(json!({"mode": "semantic"}), &[], json!({"n": 3}), "hit; age=0");
    check(json!({"mode": "semantic"}), &[], json!({"tools": [{"type": "function"}]}), "hit; age=0");
}

#[test]
fn why_it_is_not_looked_for_by_meaning() {
    let check = |cache: Value, head: &[(&'static str, &'static str)], body: Value, expected: &str| {
        let mut cache = cache;
        cache["mode"] = json!("semantic");
        let mut cached = Cached::with(cache);
        let ticket = cached.ask_with(head, &chat(body.clone()));
        assert_eq!(ticket.cache_header().unwrap(), expected, "{body}");
        // It may be found by meaning exactly if it was looked for by meaning.
        let fill = cached.answer(ticket).unwrap();
        assert_eq!(fill.meaning.is_some(), expected == "miss", "{body}");
    };
    let none = || json!({});
    let said = |role: &str, text: Value| json!({"role": role, "content": text});
    check(none(), &[], none(), "miss");
    check(none(), &[("x-edgeroute-cache", "semantic")], none(), "miss");
    check(none(), &[], json!({"n": 1}), "miss");
    check(none(), &[], json!({"n": 2}), "miss; reason=several-answers");
    check(none(), &[], json!({"tools": [{"type": "function"}]}), "miss; reason=tools");
    check(none(), &[], json!({"tools": []}), "miss");
    let image =
        json!([{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "what?"}]);
    check(none(), &[], json!({"messages": [said("user", image)]}), "miss; reason=images");
    let turns = json!([said("user", json!("a")), said("assistant", json!("b")), said("user", json!("c"))]);
    check(none(), &[], json!({"messages": turns}), "miss; reason=turns");
    check(json!({"turns": 2}), &[], json!({"messages": turns}), "miss");
    let other = json!([said("user", json!("a")), said("assistant", json!("b"))]);
    check(none(), &[], json!({"messages": other}), "miss; reason=no-question");
}

#[test]
fn headers_of_ours_that_are_wrong_are_refused() {
    let cached = Cached::with(json!({}));
    let check = |head: &[(&'static str, &'static str)], expected: &str| {
        let ticket = cached.ask_with(head, &chat(json!({})));
        let refused = refusal(&ticket);
        assert_eq!((refused.status, refused.field), (400, Some(head[0].0)), "{head:?}");
        assert_eq!(refused.message, expected, "{head:?}");
    };
    let mode = "the header `x-edgeroute-cache` must be `bypass`, `exact` or `semantic`, not ";
    check(&[("x-edgeroute-cache", "off")], &format!("{mode}`off`"));
    check(&[("x-edgeroute-cache", "")], &format!("{mode}``"));
    check(&[("x-edgeroute-cache", "EXACT")], &format!("{mode}`EXACT`"));
    check(
        &[("x-edgeroute-cache", "exact"), ("x-edgeroute-cache", "bypass")],
        "the header `x-edgeroute-cache` must stand there once",
    );
    let ttl = "the header `x-edgeroute-cache-ttl` must be a whole number of seconds, 0 or more, not ";
    for wrong in ["-5", "1.5", "60s", "", "1 2", "0x10", "+1"] {
        check(&[("x-edgeroute-cache-ttl", wrong)], &format!("{ttl}`{wrong}`"));
    }
    let hostile: &[common::Field<'_>] = &[HEADERS[0], (b"x-edgeroute-cache", b"\xff\xfe")];
    let ticket = cached.decide(&common::chat(hostile, chat(json!({})).as_bytes()), AT);
    assert_eq!(refusal(&ticket).message, "the header `x-edgeroute-cache` must be ASCII text");
}

#[test]
fn a_client_may_shorten_the_time_and_not_lengthen_it() {
    let check = |ttl: &'static str, expected: u64| {
        let mut cached = Cached::with(json!({"ttl_ms": 60_000}));
        let ticket = cached.ask_with(&[("x-edgeroute-cache-ttl", ttl)], &chat(json!({})));
        assert_eq!(cached.answer(ticket).unwrap().ttl_ms, expected, "{ttl}");
    };
    check("5", 5_000);
    check(" 5 ", 5_000);
    check("60", 60_000);
    check("61", 60_000);
    check("99999999999999999999999", 60_000);
}

#[test]
fn nothing_older_than_the_client_wants() {
    let mut cached = Cached::with(json!({}));
    let body = chat(json!({}));
    cached.fill(&body);
    let check = |value: &'static str, age_ms: u64, expected: &str| {
        let headers = headers(&[("cache-control", value)]);
        let ticket = cached.decide(&common::chat(&headers, body.as_bytes()), after(age_ms));
        assert_eq!(header(ticket), expected, "{value} after {age_ms}");
    };
    check("max-age=10", 10_000, "hit; age=10");
    check("max-age=10", 10_001, "miss; reason=max-age");
    check("max-age=0", 1, "miss; reason=max-age");
    check("max-age=ten", 1, "miss; reason=max-age");
    check("max-age", 1, "miss; reason=max-age");
    check("max-age=10, max-age=5", 7_000, "miss; reason=max-age");
    check("max-age=99999999999999999999", 1_000_000, "hit; age=1000");
}

#[test]
fn nothing_older_than_the_ttl_of_the_model_or_its_rule() {
    let mut config = config(json!({"ttl_ms": 60_000}));
    let mut cached = Cached::new(&config);
    let body = chat(json!({}));
    cached.fill(&body);
    let index = cached.index;
    // The operator has found that answers are stale sooner.
    config["models"][0]["cache"]["ttl_ms"] = json!(30_000);
    let mut rule = acting("fast", r#""x-fast" in headers"#, json!({}));
    rule["cache"] = json!({"mode": null, "ttl_ms": 10_000});
    config["rules"] = json!([rule]);
    let cached = Cached { index, ..Cached::new(&config) };
    let check = |more: &[(&'static str, &'static str)], age_ms: u64, expected: &str| {
        let headers = headers(more);
        let ticket = cached.decide(&common::chat(&headers, body.as_bytes()), after(age_ms));
        assert_eq!(header(ticket), expected, "{more:?} after {age_ms}");
    };
    check(&[], 30_000, "hit; age=30");
    check(&[], 30_001, "miss; reason=max-age");
    check(&[("x-fast", "yes")], 10_000, "hit; age=10");
    check(&[("x-fast", "yes")], 10_001, "miss; reason=max-age");
    check(&[("x-edgeroute-cache-ttl", "1")], 30_000, "hit; age=30");
}

#[test]
fn rules_change_the_cache() {
    let check = |cache: Value, rules: Vec<Value>, expected: &str, ttl_ms: Option<u64>| {
        let mut config = config(json!({"ttl_ms": 60_000}));
        config["models"][0]["cache"] = cache;
        config["rules"] = json!(rules);
        let mut cached = Cached::new(&config);
        let ticket = cached.ask(&chat(json!({})));
        assert_eq!(ticket.cache_header().as_deref().unwrap_or("none"), expected, "{rules:?}");
        assert_eq!(cached.answer(ticket).map(|fill| fill.ttl_ms), ttl_ms, "{rules:?}");
    };
    let rule = |mode: Value, ttl_ms: Value| {
        let mut rule = acting("cache", "true", json!({}));
        rule["cache"] = json!({"mode": mode, "ttl_ms": ttl_ms});
        rule
    };
    let own = || settings(json!({"ttl_ms": 60_000}));
    let null = || json!(null);
    check(own(), vec![], "miss", Some(60_000));
    check(own(), vec![rule(json!("off"), null())], "bypass; reason=rule", None);
    check(own(), vec![rule(null(), json!(30_000))], "miss", Some(30_000));
    check(own(), vec![rule(json!("semantic"), json!(90_000))], "miss", Some(90_000));
    check(null(), vec![], "none", None);
    check(null(), vec![rule(json!("off"), null())], "none", None);
    check(null(), vec![rule(null(), json!(30_000))], "none", None);
    check(null(), vec![rule(json!("exact"), null())], "miss", Some(3_600_000));
    let mut first = rule(json!("off"), json!(5_000));
    first["continue"] = json!(true);
    check(own(), vec![first, rule(json!("exact"), null())], "miss", Some(5_000));
}

#[test]
fn only_what_the_models_own_targets_answer_well_is_kept() {
    let fallback = || {
        let models = vec![model("smart", &["one/a"], &["spare"]), model("spare", &["two/b"], &[])];
        let mut config = with_store(common::config(
            vec![openai("one"), openai("two")],
            models,
            vec![],
            common::limits(None, None, None),
        ));
        config["models"][0]["cache"] = settings(json!({}));
        Cached::new(&config)
    };
    let responded = |cached: &Cached, status: u16, content: Content| {
        let mut ticket = cached.ask(&chat(json!({})));
        ticket.attempt_started(AT);
        ticket.advance(Event::Responded { status, content, usage: None }, AT);
        let kept = ticket.fill().is_some();
        leave(ticket);
        kept
    };
    let cached = fallback();
    assert!(responded(&cached, 200, Content::Json));
    assert!(responded(&cached, 200, Content::Events));
    assert!(!responded(&cached, 201, Content::Json));
    assert!(!responded(&cached, 400, Content::Json));
    assert!(!responded(&cached, 200, Content::Other("html".into())), "another target is tried");

    let mut ticket = cached.ask(&chat(json!({})));
    assert!(ticket.fill().is_none(), "there is no answer yet");
    ticket.attempt_started(AT);
    ticket.advance(common::failed(FailureKind::Connect), AT);
    assert_eq!(ticket.target().unwrap(), "two/b");
    respond(&mut ticket);
    assert!(ticket.fill().is_none(), "the fallback's answer is not the model's");
}

#[test]
fn an_answer_that_is_known_needs_no_target() {
    let mut config = config(json!({}));
    let mut cached = Cached::new(&config);
    let fill = cached.fill(&chat(json!({})));
    let index = cached.index;
    // None has been discovered.
    config["providers"][0]["replicas"] = json!([]);
    let mut cached = Cached { index, ..Cached::new(&config) };
    let refused = cached.ask(&chat(json!({"seed": 1})));
    assert_eq!(refusal(&refused).status, 502);
    assert_eq!(header(cached.ask(&chat(json!({})))), "hit; age=0");
    // The store has it, or not.
    cached.keep(&fill, None);
    let mut ticket = cached.ask(&chat(json!({})));
    assert!(answer(&ticket).known.body.is_none());
    cached.missing(&mut ticket);
    assert_eq!((refusal(&ticket).status, ticket.cache_header().as_deref()), (502, Some("miss")));
}

#[test]
fn operations_have_their_own_answers() {
    let mut cached = Cached::with(json!({}));
    let ask = |cached: &Cached, path: &str, body: &Value| {
        let body = body.to_string();
        let request = Request {
            method: "POST",
            path,
            query: "",
            headers: HEADERS.into(),
            peer: "",
            body: body.as_bytes(),
        };
        cached.decide(&request, AT)
    };
    let body = json!({"model": "smart", "prompt": "a", "input": "a", "messages": []});
    let paths = ["/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/chat/completions"];
    for path in paths {
        let ticket = ask(&cached, path, &body);
        assert_eq!(ticket.cache_header().unwrap(), "miss", "{path}");
        assert!(cached.answer(ticket).is_some(), "{path}");
    }
    for path in paths.iter().chain(&["/openai/v1/responses", "/chat/completions"]) {
        assert_eq!(header(ask(&cached, path, &body)), "hit; age=0", "{path}");
    }
}
