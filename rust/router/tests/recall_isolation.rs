//! No two requests that differ in anything that changes the answer, or in who asks, share an answer or a partition; and
//! those that differ in nothing of that kind do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use std::collections::HashMap;

use common::{AT, acting, alias, hash, limits, model, openai, provider};
use edgeroute_router::{Hit, Request, Step};
use proptest::prelude::*;
use recalled::{Cached, leave, settings, with_store};
use serde_json::{Map, Value, json};

/// Keys `sk-a` and `sk-b` of team `one`, `sk-c` of team `two`, and `sk-d` of none. The models differ in their targets or
/// in their names; rules change what a header says.
fn host(scope: &str) -> Cached {
    let cache = settings(json!({"mode": "semantic", "scope": scope, "serve": "always", "turns": 9,
                                "max_temperature_permille": 2_000}));
    let mut models = vec![
        model("smart", &["p/a"], &[]),
        model("same", &["p/a"], &[]),
        model("other", &["p/b"], &[]),
        model("p/*", &["p/*"], &[]),
        model("claude", &["anthropic/c"], &[]),
    ];
    for model in &mut models {
        model["cache"] = cache.clone();
    }
    models.push(alias("alias", "smart"));
    let on = |header: &str, settings: Value| {
        acting(header, &format!("headers[\"x-rule\"] == \"{header}\""), settings)
    };
    let rules = vec![
        on("seed", json!({"body": [["seed", "1"]]})),
        on("other-seed", json!({"body": [["seed", "2"]]})),
        on("no-seed", json!({"body": [["seed", null]]})),
        on("beta", json!({"headers": [["x-upstream", "beta"]]})),
        on("gamma", json!({"headers": [["x-upstream", "gamma"]]})),
        on("no-header", json!({"headers": [["x-upstream", null]]})),
        on("pin", json!({"pin": {"provider": "p", "model": "pinned"}})),
        on("model", json!({"models": [{"model": "other", "weight": 1}]})),
    ];
    let providers = vec![openai("p"), provider("anthropic", "anthropic-messages", &["http://anthropic/v1"])];
    let mut config = with_store(common::config(providers, models, rules, limits(None, None, None)));
    let team =
        |name: &str| json!({"name": name, "models": null, "aliases": {}, "limits": limits(None, None, None)});
    config["teams"] = json!([team("one"), team("two")]);
    let key = |name: &str, team: Value| json!({"name": name, "team": team, "hash": hash(&format!("sk-{name}")), "limits": limits(None, None, None)});
    config["virtual_keys"] = json!([
        key("a", json!("one")),
        key("b", json!("one")),
        key("c", json!("two")),
        key("d", json!(null))
    ]);
    Cached::new(&config)
}

/// A request, written down.
#[derive(Clone, Debug)]
struct Asked {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Asked {
    /// Everything that can differ, with a value of its own.
    fn base() -> Self {
        let body = json!({
            "model": "smart",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the moon?"},
                {"role": "assistant", "content": "A rock."},
                {"role": "user", "content": "How far is it?"},
            ],
            "response_format": {"type": "json_object"},
            "temperature": 0.25, "top_p": 0.5, "max_tokens": 100, "stop": ["\n"], "seed": 7, "stream": false,
            "logit_bias": {"50256": -100}, "unknown": {"deep": [1, 2, {"x": "y"}]},
        });
        let headers = vec![("authorization", "Bearer sk-a".into()), ("openai-beta", "v1".into())];
        Self { path: "/v1/chat/completions", headers, body }
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self
    }

    /// Sets what the pointer leads to.
    fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match self.body.pointer_mut(parent).unwrap() {
            Value::Object(fields) => _ = fields.insert(name.into(), value),
            Value::Array(elements) => elements[name.parse::<usize>().unwrap()] = value,
            _ => panic!("{pointer}"),
        }
        self
    }

    fn remove(mut self, name: &str) -> Self {
        self.body.as_object_mut().unwrap().remove(name).unwrap();
        self
    }

    /// Keys of its answer: that of the request, and of what it means.
    fn keys(&self, host: &mut Cached) -> (u128, Option<u128>) {
        let ticket = decide(host, self, self.body.to_string().as_bytes());
        let key = ticket.recall_key().unwrap_or_else(|| panic!("no key: {self:?} {:?}", ticket.step()));
        if let Step::Answer(answer) = ticket.step() {
            panic!("{self:?} is answered by {:?}", answer.hit);
        }
        let fill = host.answer(ticket).unwrap();
        host.index.clear();
        (key, fill.meaning.map(|meaning| meaning.partition))
    }
}

fn decide(host: &Cached, asked: &Asked, body: &[u8]) -> edgeroute_router::Ticket {
    let headers: Vec<common::Field<'_>> =
        asked.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let request = Request {
        method: "POST",
        path: asked.path,
        query: "",
        headers: headers.as_slice().into(),
        peer: "",
        body,
    };
    host.decide(&request, AT)
}

/// Requests of which each differs from all others in something that changes the answer.
fn different() -> Vec<(&'static str, Asked)> {
    let base = Asked::base;
    let tool = |name: &str| json!([{"type": "function", "function": {"name": name}}]);
    let turns = |turns: Value| base().set("/messages", turns);
    vec![
        ("base", base()),
        ("key of the same team", base().header("authorization", "Bearer sk-b")),
        ("key of another team", base().header("authorization", "Bearer sk-c")),
        ("key of no team", base().header("authorization", "Bearer sk-d")),
        ("model", base().set("/model", json!("other"))),
        ("model with the same targets", base().set("/model", json!("same"))),
        ("rest of a pattern", base().set("/model", json!("p/x"))),
        ("other rest of a pattern", base().set("/model", json!("p/y"))),
        ("client's header", base().header("openai-beta", "v2")),
        ("no client's header", base().without_header("openai-beta")),
        ("empty client's header", base().header("openai-beta", "")),
        ("system", base().set("/messages/0/content", json!("Be long."))),
        ("developer", base().set("/messages/0/role", json!("developer"))),
        ("prior question", base().set("/messages/1/content", json!("What is Mars?"))),
        ("prior answer", base().set("/messages/2/content", json!("A stone."))),
        ("prior name", base().set("/messages/2/name", json!("bot"))),
        ("fewer turns", turns(json!([{"role": "user", "content": "How far is it?"}]))),
        (
            "turns in another order",
            turns(json!([
                {"role": "user", "content": "What is the moon?"}, {"role": "system", "content": "Be brief."},
                {"role": "assistant", "content": "A rock."}, {"role": "user", "content": "How far is it?"},
            ])),
        ),
        (
            "turns that run into each other",
            turns(json!([
                {"role": "system", "content": "Be brief.What is the moon?"}, {"role": "user", "content": ""},
                {"role": "assistant", "content": "A rock."}, {"role": "user", "content": "How far is it?"},
            ])),
        ),
        ("name of the user", base().set("/messages/3/name", json!("ann"))),
        ("tools", base().set("/tools", tool("f"))),
        ("other tools", base().set("/tools", tool("g"))),
        ("functions", base().set("/functions", json!([{"name": "f"}]))),
        ("tool_choice", base().set("/tools", tool("f")).set("/tool_choice", json!("required"))),
        ("response_format", base().set("/response_format", json!({"type": "text", "x": 1}))),
        ("temperature", base().set("/temperature", json!(0.26))),
        ("no temperature", base().remove("temperature")),
        ("top_p", base().set("/top_p", json!(0.4))),
        ("n", base().set("/n", json!(2))),
        ("max_tokens", base().set("/max_tokens", json!(101))),
        ("max_completion_tokens", base().remove("max_tokens").set("/max_completion_tokens", json!(100))),
        ("stop", base().set("/stop", json!(["\n", "."]))),
        ("stop as text", base().set("/stop", json!("\n"))),
        ("seed", base().set("/seed", json!(8))),
        ("large seed", base().set("/seed", json!(9_007_199_254_740_992_u64))),
        ("next large seed", base().set("/seed", json!(9_007_199_254_740_993_u64))),
        ("stream", base().set("/stream", json!(true))),
        ("logit_bias", base().set("/logit_bias", json!({"50256": -99}))),
        ("logprobs", base().set("/logprobs", json!(true))),
        ("deep in an unknown field", base().set("/unknown/deep/2/x", json!("z"))),
        ("null in an unknown field", base().set("/unknown", json!(null))),
        ("no unknown field", base().remove("unknown")),
        ("another unknown field", base().set("/unknown2", json!(false))),
        ("text for a number", base().set("/seed", json!("7"))),
        ("rule sets the body", base().header("x-rule", "other-seed")),
        ("rule removes from the body", base().header("x-rule", "no-seed")),
        ("rule sets the body as well", base().header("x-rule", "seed")),
        ("rule sets a header", base().header("x-rule", "beta")),
        ("rule sets another header", base().header("x-rule", "gamma")),
        ("rule removes a header", base().header("x-rule", "no-header")),
        ("rule pins", base().header("x-rule", "pin")),
        ("path", {
            let mut asked = base();
            asked.path = "/v1/responses";
            asked.set("/input", json!("How far is it?"))
        }),
        ("older path", {
            let mut asked = base();
            asked.path = "/v1/completions";
            asked.set("/prompt", json!("How far is it?"))
        }),
    ]
}

#[test]
fn no_two_different_requests_share() {
    for scope in ["virtual_key", "team", "everybody"] {
        let mut host = host(scope);
        let (mut keys, mut partitions) = (HashMap::new(), HashMap::new());
        for (what, asked) in different() {
            // Who is of the same scope shares, and that is what it is for.
            let same = match scope {
                "virtual_key" => false,
                "team" => what == "key of the same team",
                _ => what.starts_with("key of"),
            };
            let (key, partition) = asked.keys(&mut host);
            let other = keys.insert(key, what);
            assert_eq!(other.is_some(), same, "{scope}: {what} and {other:?}");
            if let Some(partition) = partition {
                let other = partitions.insert(partition, what);
                assert_eq!(other.is_some(), same, "{scope}: {what} and {other:?}");
            }
        }
        assert!(partitions.len() > 30, "{}", partitions.len());
    }
}

#[test]
fn what_changes_no_answer_shares() {
    let base = Asked::base;
    let shared = [
        ("alias", base().set("/model", json!("alias"))),
        ("user", base().set("/user", json!("ann"))),
        ("metadata", base().set("/metadata", json!({"trace": "1"}))),
        ("default", base().set("/n", json!(1))),
        ("number", base().set("/temperature", json!(2.5e-1))),
        ("header that stays here", base().header("x-anything", "1")),
        ("own header", base().header("x-edgeroute-cache", "semantic")),
        ("time", base().header("x-edgeroute-cache-ttl", "60")),
        ("mount", {
            let mut asked = base();
            asked.path = "/openai/chat/completions";
            asked
        }),
    ];
    let mut host = host("virtual_key");
    let expected = base().keys(&mut host);
    for (what, asked) in shared {
        let found = asked.keys(&mut host);
        assert_eq!(found, expected, "{what}");
    }
    // A rule that chooses a model gives what asking for it gives.
    let ruled = base().header("x-rule", "model").keys(&mut host);
    assert_eq!(ruled, base().set("/model", json!("other")).keys(&mut host));
}

#[test]
fn another_question_changes_the_key_and_not_the_partition() {
    let mut host = host("virtual_key");
    let (key, partition) = Asked::base().keys(&mut host);
    let (other, same) =
        Asked::base().set("/messages/3/content", json!("How far away is it?")).keys(&mut host);
    assert_ne!(key, other);
    assert_eq!(partition, same);
}

#[test]
fn what_a_models_targets_are_is_part_of_the_key() {
    let key = |targets: &[&str]| {
        let mut config = with_store(common::config(
            vec![openai("one"), openai("two")],
            vec![model("smart", targets, &[])],
            vec![],
            limits(None, None, None),
        ));
        config["models"][0]["cache"] = settings(json!({}));
        let cached = Cached::new(&config);
        let ticket = cached.ask(&recalled::chat(json!({})));
        let key = ticket.recall_key().unwrap();
        leave(ticket);
        key
    };
    assert_eq!(key(&["one/a", "two/b"]), key(&["two/b", "one/a"]));
    assert_ne!(key(&["one/a"]), key(&["one/b"]));
    assert_ne!(key(&["one/a"]), key(&["two/a"]));
    assert_ne!(key(&["one/a"]), key(&["one/a", "two/b"]));
}

#[test]
fn a_key_that_is_the_same_by_chance_does_not_answer() {
    let mut host = host("everybody");
    let asked = Asked::base();
    let body = asked.body.to_string();
    let ticket = decide(&host, &asked, body.as_bytes());
    let mut fill = host.answer(ticket).unwrap();
    fill.check ^= 1;
    fill.raw = None;
    fill.meaning = None;
    host.keep(&fill, Some(b"of somebody else"));
    let ticket = decide(&host, &asked, body.as_bytes());
    assert!(matches!(ticket.step(), Step::Attempt), "{:?}", ticket.step());
    leave(ticket);
}

/// Values that are easily taken for others.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![json!(0), json!(-1), json!(1), json!(10), json!(0.1), json!(1e300)]),
        "[ab\"\\\\\u{e9}0,:{}]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]{0,2}", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = prop::sample::select(vec![
        "seed",
        "stop",
        "tools",
        "response_format",
        "x",
        "y",
        "top_p",
        "max_tokens",
    ]);
    let fields = prop::collection::vec((name, value()), 0..3);
    let keys = prop::sample::select(vec!["a", "b", "c", "d"]);
    let models = prop::sample::select(vec!["smart", "same", "other", "p/x"]);
    let beta = prop::sample::select(vec!["", "v1", "v2"]);
    (fields, keys, models, beta, value(), value()).prop_map(|(fields, key, model, beta, system, prior)| {
        let mut asked = Asked::base().set("/model", json!(model)).header("openai-beta", beta);
        asked = asked.header("authorization", &format!("Bearer sk-{key}"));
        asked = asked.set("/messages/0/content", system).set("/messages/2/content", prior);
        fields.into_iter().fold(asked, |asked, (name, value)| match value {
            Value::Number(_) | Value::Null if name == "max_tokens" => asked,
            value if name == "max_tokens" => asked.set("/stop", value),
            value => asked.set(&format!("/{name}"), value),
        })
    })
}

/// What must be the same for two requests to share.
fn all_of(asked: &Asked) -> (Value, Vec<(&'static str, String)>) {
    let mut headers = asked.headers.clone();
    headers.sort();
    let mut body = asked.body.clone();
    // Numbers are the same however they are written; `top_p` is 1 where it is not given.
    let fields = body.as_object_mut().unwrap();
    let is_default = |name: &str, value: &Value| match name {
        "top_p" => value.as_f64() == Some(1.0) || value.is_null(),
        _ => false,
    };
    fields.retain(|name, value| !is_default(name, value));
    (body, headers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn different_requests_never_share(one in asked(), other in asked()) {
        let mut host = host("virtual_key");
        let key_of = |host: &mut Cached, asked: &Asked| {
            let body = asked.body.to_string();
            let ticket = decide(host, asked, body.as_bytes());
            let key = ticket.recall_key();
            // An answer to the first may answer the second only if they are the same request.
            let hit = match ticket.step() {
                Step::Answer(answer) => Some(answer.hit),
                _ => None,
            };
            if let Step::Attempt = ticket.step() {
                host.answer(ticket);
            } else {
                leave(ticket);
            }
            (key, hit)
        };
        let (first, none) = key_of(&mut host, &one);
        prop_assert_eq!(none, None);
        let (second, hit) = key_of(&mut host, &other);
        if all_of(&one) != all_of(&other) {
            prop_assert!(first != second || first.is_none());
            prop_assert_eq!(hit, None);
        }
        if let (again, Some(hit)) = key_of(&mut host, &one) {
            prop_assert_eq!(again, first);
            prop_assert_eq!(hit, Hit::Exact);
        }
    }
}
