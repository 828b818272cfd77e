//! What rules do: models by weight, bodies and headers, tags, fallbacks, pins, refusals, and rules that match again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use std::collections::BTreeMap;

use common::{
    AT, Field, HEADERS, Host, acting, chat, config, hash, limits, model, openai, provider, refusal, reject,
    rule, targets,
};
use edgeroute_router::{LogFormat, Step, Ticket, WrittenRequest, explain, forward};
use edgeroute_wire::Dialect;
use serde_json::{Value, json};

/// A second key, of no team.
const LONELY: &[Field<'static>] = &[(b"authorization", b"Bearer sk-lonely")];

fn host(rules: Vec<Value>) -> Host {
    let models = ["asked", "a", "b", "c"].iter().map(|name| model(name, &[&format!("one/{name}")], &[]));
    let mut models: Vec<Value> = models.collect();
    models.push(model("deep", &["one/deep"], &["a"]));
    models.push(model("one/*", &["one/*"], &[]));
    let mut config = config(vec![openai("one")], models, rules, limits(None, Some(1_000_000), None));
    config["providers"][0]["headers"] = json!([["x-own", "provider"]]);
    config["defaults"]["attempts"] = json!(16);
    let lonely = json!({"name": "lonely", "team": null, "hash": hash("sk-lonely"), "limits": limits(None, None, None)});
    config["virtual_keys"].as_array_mut().unwrap().push(lonely);
    Host::new(&config)
}

fn shares(weights: &[(&str, u32)]) -> Value {
    weights.iter().map(|(model, weight)| json!({"model": model, "weight": weight})).collect()
}

fn end(mut ticket: Ticket) -> Ticket {
    ticket.advance(common::complete(), AT);
    ticket
}

fn ask(host: &Host, headers: &[Field<'_>], body: &Value, seed: u64) -> Ticket {
    end(host.decide(&chat(headers, body.to_string().as_bytes()), AT, seed))
}

/// The model that answers each of these requests.
fn models(tickets: impl IntoIterator<Item = Ticket>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for ticket in tickets {
        *counts.entry(ticket.model().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn models_are_drawn_by_weight_and_seed() {
    let host = host(vec![acting("split", "true", json!({"models": shares(&[("a", 80), ("b", 20)])}))]);
    let body = json!({"model": "asked"});
    let counts = models((0..2_000).map(|seed| ask(&host, HEADERS, &body, seed)));
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!((340..460).contains(&counts["b"]), "{counts:?}");
    assert_eq!(models((0..10).map(|_| ask(&host, HEADERS, &body, 7))).len(), 1);
}

#[test]
fn sticky_draws_are_of_the_user_or_of_the_key() {
    let draw = |sticky: &str, headers, body: &dyn Fn(u64) -> Value| {
        let settings = json!({"models": shares(&[("a", 1), ("b", 1)]), "sticky": sticky});
        let host = host(vec![acting("split", "true", settings)]);
        models((0..200).map(|seed| ask(&host, headers, &body(seed), seed)))
    };
    let same_user = |_| json!({"model": "asked", "user": "alice"});
    let users = |seed| json!({"model": "asked", "user": format!("user-{seed}")});
    let safety = |seed| json!({"model": "asked", "safety_identifier": format!("user-{seed}")});
    let metadata = |seed| json!({"model": "asked", "metadata": {"user_id": format!("user-{seed}")}});
    let nobody = |_| json!({"model": "asked", "user": ""});
    assert_eq!(draw("user", HEADERS, &same_user).len(), 1);
    let by_user = draw("user", HEADERS, &users);
    assert!(by_user["a"] > 60 && by_user["b"] > 60, "{by_user:?}");
    for identity in [&safety as &dyn Fn(u64) -> Value, &metadata] {
        assert_eq!(draw("user", LONELY, identity), by_user, "whatever the name, and whoever asks");
    }
    assert_eq!(draw("user", HEADERS, &nobody).len(), 1, "the key, then");
    assert_eq!(draw("virtual_key", HEADERS, &users).len(), 1);
}

/// The body that leaves.
fn sent(rules: Vec<Value>, body: &str) -> (String, Value) {
    let host = host(rules);
    let mut ticket = host.decide(&chat(HEADERS, body.as_bytes()), AT, 0);
    assert!(matches!(ticket.step(), Step::Attempt), "{:?}", ticket.step());
    let out = common::spliced(&ticket, body.as_bytes());
    let reserved = host.window("limits/team/search/tokens_per_minute");
    ticket.advance(common::complete(), AT);
    (String::from_utf8(out).unwrap(), json!(reserved))
}

#[test]
fn fields_of_the_body_are_set_and_removed() {
    let check = |changes: Value, body: &str, expected: &str| {
        let rules = vec![acting("it", "true", json!({"body": changes}))];
        assert_eq!(sent(rules, body).0, expected, "{changes}");
    };
    check(
        json!([["temperature", "0.20"]]),
        r#"{"model":"asked"}"#,
        r#"{"temperature":0.20,"model":"asked"}"#,
    );
    check(
        json!([["temperature", "0.2"], ["top_p", null]]),
        r#"{"top_p":1, "model":"asked" ,"temperature":1e0}"#,
        r#"{"model":"asked" ,"temperature":0.2}"#,
    );
    check(
        json!([["top_p", null], ["stop", "[\"x\"]"]]),
        r#"{"top_p":1,"stream":true,"model":"asked"}"#,
        r#"{"stop":["x"],"stream_options":{"include_usage":true},"stream":true,"model":"asked"}"#,
    );
}

#[test]
fn the_last_rule_has_the_last_word() {
    let first =
        json!({"body": [["a", "1"], ["b", "1"]], "headers": [["x-a", "1"], ["x-b", "1"]], "continue": true});
    let second = json!({"body": [["b", null], ["c", "2"]], "headers": [["x-b", null], ["x-c", "2"]]});
    let rules = vec![acting("first", "true", first), acting("second", "true", second)];
    assert_eq!(sent(rules.clone(), r#"{"b":0,"model":"asked"}"#).0, r#"{"a":1,"c":2,"model":"asked"}"#);
    let host = host(rules);
    let ticket = host.chat("asked");
    let attempt = ticket.attempt(AT).unwrap();
    let headers = forward::attempt_headers(&attempt, &[]);
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["authorization", "x-own", "x-a", "x-c"]);
    drop(headers);
    end(ticket);
}

#[test]
fn what_rules_set_is_what_is_reserved() {
    let check = |changes: Value, body: &str, expected: u64| {
        let (_, reserved) = sent(vec![acting("it", "true", json!({"body": changes}))], body);
        assert_eq!(reserved, expected, "{changes} {body}");
    };
    let prompt = 3;
    check(json!([["temperature", "1"]]), r#"{"model":"asked","max_tokens":70}"#, prompt + 70);
    check(json!([["max_tokens", "50"]]), r#"{"model":"asked","max_tokens":70}"#, prompt + 50);
    check(json!([["max_tokens", "50"]]), r#"{"model":"asked"}"#, prompt + 50);
    check(json!([["max_tokens", null]]), r#"{"model":"asked","max_tokens":70}"#, prompt + 1024);
    check(
        json!([["max_tokens", "50"]]),
        r#"{"model":"asked","max_tokens":70,"max_completion_tokens":60}"#,
        prompt + 60,
    );
    check(json!([["n", "3"]]), r#"{"model":"asked","max_tokens":70,"n":9}"#, prompt + 210);
    check(json!([["n", null]]), r#"{"model":"asked","max_tokens":70,"n":9}"#, prompt + 70);
}

#[test]
fn headers_towards_the_provider() {
    let check = |changes: Value, client: &[(&'static str, Vec<u8>)], expected: &[(&str, &str)]| {
        let host = host(vec![acting("it", "true", json!({"headers": changes}))]);
        let ticket = host.chat("asked");
        let attempt = ticket.attempt(AT).unwrap();
        let fields = forward::attempt_headers(&attempt, client);
        let headers: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, std::str::from_utf8(value).unwrap())).collect();
        assert_eq!(headers[0], ("authorization", "Bearer sk-upstream"), "a credential stays");
        assert_eq!(headers[1..], *expected, "{changes}");
        drop(fields);
        end(ticket);
    };
    let beta = [("openai-beta", b"client".to_vec())];
    check(json!([["x-tenant", "acme"]]), &[], &[("x-own", "provider"), ("x-tenant", "acme")]);
    check(json!([["openai-beta", "rule"]]), &beta, &[("x-own", "provider"), ("openai-beta", "rule")]);
    check(json!([["openai-beta", null], ["x-own", "rule"]]), &beta, &[("x-own", "rule")]);
}

#[test]
fn rules_match_again_with_what_was_changed() {
    let check = |rules: Vec<Value>, model: &str, line: &str| {
        let host = host(rules);
        let ticket = end(host.chat("asked"));
        assert_eq!(ticket.model(), Some(model));
        let mut log = Vec::new();
        ticket.record("id", AT, LogFormat::Text, &mut log);
        let log = String::from_utf8(log).unwrap();
        assert!(log.contains(line), "{log}");
    };
    let continued = |name: &str, when: &str, model: &str| {
        acting(
            name,
            when,
            json!({"models": shares(&[(model, 1)]), "continue": true, "tag": format!("was-{name}")}),
        )
    };
    check(
        vec![rule("end", r#"model == "a" && "was-start" in tags"#, "b"), continued("start", "true", "a")],
        "b",
        "rule=end continued=start tags=was-start ",
    );
    check(
        vec![continued("start", "true", "a"), rule("never", r#"model == "asked""#, "b")],
        "a",
        "rule=start tags=was-start ",
    );
    // Each acts once.
    check(
        vec![continued("x", r#"model != "a""#, "a"), continued("y", r#"model == "a""#, "asked")],
        "asked",
        "rule=y continued=x tags=was-x,was-y ",
    );
    let chain: Vec<Value> =
        (0..12).map(|n| continued(&format!("r{n}"), "true", if n < 10 { "a" } else { "b" })).collect();
    check(chain, "a", "rule=r9 continued=r0,r1,r2,r3,r4,r5,r6,r7,r8 ");
}

#[test]
fn a_continued_rule_counts_and_a_later_one_may_refuse() {
    let host = host(vec![
        acting("tag", "true", json!({"tag": "t", "continue": true})),
        reject("no", r#""t" in tags"#, 429, "later"),
    ]);
    let ticket = end(host.chat("asked"));
    assert_eq!((refusal(&ticket).status, ticket.rule()), (429, Some("no")));
    ticket.record("id", AT, LogFormat::Text, &mut Vec::new());
    let sums = host.sums();
    for rule in ["tag", "no"] {
        assert_eq!(sums[&format!("edgeroute_rule_matches_total{{rule=\"{rule}\"}}")], 1);
    }
}

#[test]
fn scopes_then_priorities_then_the_order_of_the_file() {
    let scoped = |name: &str, settings: Value| {
        let mut all = json!({"models": shares(&[(name, 1)])});
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        acting(name, "true", all)
    };
    let check = |rules: Vec<Value>, of_team: &str, lonely: &str| {
        let host = host(rules);
        let model = |headers| ask(&host, headers, &json!({"model": "asked"}), 0).model().unwrap().to_owned();
        assert_eq!((&*model(HEADERS), &*model(LONELY)), (of_team, lonely));
    };
    let (key, team) = (json!({"virtual_key": "test"}), json!({"team": "search"}));
    check(vec![scoped("a", json!({})), scoped("b", team.clone()), scoped("c", key.clone())], "c", "a");
    check(vec![scoped("a", json!({"priority": -100})), scoped("b", team.clone())], "b", "a");
    check(vec![scoped("a", key), scoped("b", team)], "a", "asked");
    check(vec![scoped("a", json!({"priority": 1})), scoped("b", json!({}))], "b", "b");
    check(vec![scoped("a", json!({"priority": -1})), scoped("b", json!({}))], "a", "a");
    check(vec![scoped("a", json!({})), scoped("b", json!({}))], "a", "a");
}

#[test]
fn what_follows_from_a_condition_that_cannot_be_evaluated() {
    let failing = |on_error: &str, action: Value| {
        let mut settings = action;
        settings["on_error"] = json!(on_error);
        host(vec![acting("fails", r#"body.nothing == "x""#, settings), rule("last", "true", "b")])
    };
    let chosen = json!({"models": shares(&[("a", 1)])});
    let refused = json!({"reject": {"status": 451, "message": "no"}});
    // That a field is absent is no error, unless something follows from it.
    for (on_error, model, counted) in [("no_match", "b", None), ("match", "a", Some(1))] {
        let host = failing(on_error, chosen.clone());
        let ticket = end(host.chat("asked"));
        assert_eq!(ticket.model(), Some(model), "{on_error}");
        ticket.record("id", AT, LogFormat::Text, &mut Vec::new());
        let errors = host.sums().get("edgeroute_rule_errors_total{rule=\"fails\"}").copied();
        assert_eq!(errors, counted, "{on_error}");
    }
    let ticket = end(failing("reject", chosen).chat("asked"));
    assert_eq!((refusal(&ticket).status, refusal(&ticket).code.name()), (403, "rule_failed"));
    let ticket = end(failing("match", refused.clone()).chat("asked"));
    assert_eq!((refusal(&ticket).status, refusal(&ticket).code.name()), (451, "rejected_by_rule"));
    assert_eq!(end(failing("no_match", refused).chat("asked")).model(), Some("b"));
}

#[test]
fn a_pinned_target_is_the_only_one() {
    let check = |settings: Value, asked: &str, expected: &[&str]| {
        let ticket = host(vec![acting("it", "true", settings)]).chat(asked);
        assert_eq!(targets(ticket), expected);
    };
    let pin = |model: &str| json!({"provider": "one", "model": model});
    check(json!({"pin": pin("b")}), "deep", &["one/b"]);
    check(json!({"pin": pin("new")}), "deep", &["one/new"]);
    check(json!({"pin": pin("*")}), "deep", &["one/deep"]);
    check(
        json!({"pin": pin("new"), "fallbacks": {"add": true, "models": ["asked", "b"]}}),
        "asked",
        &["one/new", "one/asked", "one/b"],
    );
    let host = host(vec![
        acting("first", "true", json!({"pin": pin("new"), "continue": true})),
        rule("second", "true", "a"),
    ]);
    assert_eq!(targets(host.chat("asked")), ["one/a"], "a model that is chosen later");
}

#[test]
fn a_pinned_target_speaks_the_dialect() {
    let mut written = config(
        vec![openai("one"), provider("claude", "anthropic-messages", &["http://c/v1"])],
        vec![model("asked", &["one/asked"], &[])],
        vec![acting("it", "true", json!({"pin": {"provider": "claude", "model": "opus"}}))],
        limits(None, None, None),
    );
    let ticket = Host::new(&written).chat("asked");
    assert!(refusal(&ticket).message.contains("claude/opus speaks anthropic-messages"));
    assert_eq!(ticket.dialect(), Dialect::OpenAiChat);
    written["rules"] = json!([]);
    assert_eq!(targets(Host::new(&written).chat("asked")), ["one/asked"]);
}

#[test]
fn fallbacks_are_added_and_replaced() {
    let fallbacks = |add: bool, models: &[&str]| json!({"fallbacks": {"add": add, "models": models}});
    let check = |settings: &[Value], expected: &[&str]| {
        let rules = settings.iter().enumerate().map(|(index, settings)| {
            let mut settings = settings.clone();
            settings["continue"] = json!(true);
            acting(&format!("r{index}"), "true", settings)
        });
        assert_eq!(targets(host(rules.collect()).chat("deep")), expected);
    };
    check(&[], &["one/deep", "one/a"]);
    check(&[fallbacks(true, &["b"])], &["one/deep", "one/a", "one/b"]);
    check(&[fallbacks(false, &["b"])], &["one/deep", "one/b"]);
    check(&[fallbacks(false, &[])], &["one/deep"]);
    check(&[fallbacks(true, &["b"]), fallbacks(false, &["c"])], &["one/deep", "one/c"]);
    check(&[fallbacks(false, &["c"]), fallbacks(true, &["b", "c"])], &["one/deep", "one/c", "one/b"]);
    check(&[fallbacks(false, &["deep", "b"])], &["one/deep", "one/a", "one/b"]);
    check(&[fallbacks(false, &["one/x"])], &["one/deep", "one/x"]);
}

#[test]
fn definitions_are_shared_by_rules() {
    let models = vec![model("asked", &["one/asked"], &[]), model("a", &["one/a"], &[])];
    let rules = vec![rule("it", "is_long && !stream", "a")];
    let mut written = config(vec![openai("one")], models, rules, limits(None, None, None));
    written["definitions"] = json!([["many", "message_count > 2"], ["is_long", "many || max_tokens > 100"]]);
    let host = Host::new(&written);
    for (most, model) in [(10, "asked"), (200, "a")] {
        assert_eq!(
            ask(&host, HEADERS, &json!({"model": "asked", "max_tokens": most}), 0).model(),
            Some(model)
        );
    }
}

#[test]
fn buckets_follow_the_user() {
    let host = host(vec![rule("rollout", r#"bucket("rollout") < 30"#, "a")]);
    let body = |n: u64| json!({"model": "asked", "user": format!("user-{n}")});
    let counts = models((0..2_000).map(|n| ask(&host, HEADERS, &body(n), n)));
    assert!((500..700).contains(&counts["a"]), "{counts:?}");
    assert_eq!(models((0..50).map(|seed| ask(&host, HEADERS, &body(7), seed))).len(), 1);
    assert_eq!(models((0..50).map(|seed| ask(&host, HEADERS, &json!({"model": "asked"}), seed))).len(), 1);
}

#[test]
fn the_time_can_be_given() {
    let host = host(vec![rule("late", r#"now >= timestamp("2027-01-01T00:00:00+01:00")"#, "a")]);
    let explained = |now: &str| {
        let written = json!({
            "path": "/v1/chat/completions", "headers": {"authorization": "Bearer sk-test"}, "body": {"model": "asked"},
            "facts": {"now": now},
        });
        let written = serde_json::from_value::<WrittenRequest>(written).map_err(|error| error.to_string())?;
        Ok::<_, String>(explain(&host.snapshot, &written).decision.rule)
    };
    assert_eq!(explained("2026-12-31T22:59:59Z"), Ok(None));
    assert_eq!(explained("2026-12-31T23:00:00Z"), Ok(Some("late".into())));
    assert_eq!(explained("2026-12-31T23:30:00+04:00"), Ok(None));
    assert!(explained("yesterday").unwrap_err().contains("a time is written as in 2026-11-21T23:30:00Z"));
}

#[test]
fn everything_is_explained() {
    let host = host(vec![
        acting(
            "split",
            r#"model == "asked""#,
            json!({"models": shares(&[("a", 99), ("b", 1)]), "tag": "split", "continue": true}),
        ),
        acting(
            "rest",
            "true",
            json!({
                "body": [["temperature", "0.20"], ["top_p", null]], "headers": [["x-tenant", "acme"], ["x-own", null]],
                "pin": {"provider": "one", "model": "b"}, "fallbacks": {"add": false, "models": ["c"]},
            }),
        ),
    ]);
    let written: WrittenRequest = serde_json::from_value(json!({
        "path": "/v1/chat/completions", "headers": {"authorization": "Bearer sk-test"}, "body": {"model": "asked"},
        "seed": 1,
    }))
    .unwrap();
    let explained = serde_json::to_value(explain(&host.snapshot, &written)).unwrap();
    let notes: Vec<&str> =
        explained["reasons"].as_array().unwrap().iter().map(|each| each["note"].as_str().unwrap()).collect();
    for note in [
        "rule `split` matches: model `a`, drawn of `a` 99, `b` 1 by the request's seed; tag `split`; rules match again",
        "rule `rest` matches: pinned to one/b; sets `temperature` to 0.20; removes `top_p`; sets the header `x-tenant`; \
         removes the header `x-own`; fallbacks `c`",
    ] {
        assert!(notes.contains(&note), "{notes:#?}");
    }
    let decision = &explained["decision"];
    assert_eq!(decision["rule"], "rest");
    assert_eq!(decision["continued"], json!(["split"]));
    assert_eq!(decision["tags"], json!(["split"]));
    assert_eq!(decision["body"], json!({"temperature": 0.20, "top_p": null}));
    assert_eq!(decision["headers"], json!({"x-tenant": "acme", "x-own": null}));
    assert_eq!(decision["candidates"], json!(["one/b at http://one/v1", "one/c at http://one/v1"]));
}
