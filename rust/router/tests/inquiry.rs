//! What edgeroute asks providers on its own behalf, and answers by vectors that somebody else makes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use std::sync::Arc;

use common::{AT, Host, after, attempt, failed, limits, openai, provider, spliced};
use edgeroute_cache::Entry;
use edgeroute_router::{
    Content, Event, FailureKind, Fill, LiveFacts, Snapshot, Step, Ticket, ask_for_vector, explain, vector_of,
};
use edgeroute_shared::{Cells, Layout};
use edgeroute_wire::Operation;
use recalled::{Cached, USAGE, chat, header, leave, respond};
use serde_json::{Value, json};

const STORED: &str = "How do I reset the router?";
const ALIKE: &str = "How do I restart the router?";
const EMBEDDER: &str = "two/small";

fn asking(question: &str) -> String {
    chat(json!({"messages": [{"role": "user", "content": question}]}))
}

fn embedder(provider: &str, wait_ms: u64) -> Value {
    json!({"target": {"provider": provider, "model": "small"}, "wait_ms": wait_ms})
}

fn config(cache: Value, wait_ms: u64) -> Value {
    let mut config = recalled::config(cache);
    config["providers"] = json!([openai("one"), openai("two")]);
    config["models"][0]["embedder"] = embedder("two", wait_ms);
    config
}

/// A cache whose index has the answer to `STORED`, with its vector.
fn cached(cache: Value, wait_ms: u64) -> (Cached, Fill) {
    let mut cached = Cached::new(&config(cache, wait_ms));
    let fill = cached.fill(&asking(STORED));
    assert!(fill.meaning.is_none(), "without its vector it is not found by meaning");
    learn(&mut cached, STORED, [1.0, 2.0]);
    keep(&mut cached, &fill);
    (cached, fill)
}

fn learn(cached: &mut Cached, text: &str, vector: [f32; 2]) {
    let ticket = cached.ask_with(&[("cache-control", "no-cache")], &asking(text));
    let partition = ticket.question().unwrap().asked().partition;
    leave(ticket);
    cached.index.learn(partition, text, &vector).unwrap();
}

/// Keeps the answer with the vector of its question.
fn keep(cached: &mut Cached, fill: &Fill) {
    let question = fill.question.as_ref().unwrap();
    let vector = cached.index.vector(question.asked().partition, question.asked().text);
    assert!(vector.is_some());
    let entry = Entry {
        key: fill.key,
        check: fill.check,
        tenant: fill.tenant,
        model: fill.model,
        stored_ms: AT.unix_ms,
        expires_ms: AT.unix_ms + fill.ttl_ms,
        body: Some(Arc::from(&b"answer"[..])),
        meaning: Some(question.key(vector)),
    };
    cached.index.insert(entry, AT.unix_ms);
}

fn semantic(serve: &str) -> Value {
    json!({"mode": "semantic", "serve": serve, "threshold_permille": 900})
}

fn embedded(cached: &Cached, ticket: &mut Ticket) {
    let facts = LiveFacts {
        cells: &cached.host.cells,
        unix_ms: AT.unix_ms,
        cache: Some(&cached.index),
        flights: Some(&cached.under_way),
    };
    ticket.embedded(&facts, after(30));
}

#[test]
fn nobody_waits_for_a_vector_that_is_not_wanted_at_once() {
    let (mut cached, fill) = cached(semantic("always"), 0);
    let ticket = cached.ask(&asking(ALIKE));
    assert!(matches!(ticket.step(), Step::Attempt));
    let question = ticket.question().unwrap();
    assert_eq!((question.asked().text, &*question.embedder().unwrap().name), (ALIKE, EMBEDDER));
    assert_eq!(header(ticket), "miss; reason=no-vector");
    learn(&mut cached, ALIKE, [-2.0, 1.0]);
    assert_eq!(header(cached.ask(&asking(ALIKE))), "miss");
    learn(&mut cached, ALIKE, [1.0, 2.1]);
    let ticket = cached.ask(&asking(ALIKE));
    let Step::Answer(answer) = ticket.step() else { panic!("{:?}", ticket.step()) };
    assert_eq!(answer.key, fill.key);
    assert!(ticket.question().is_none(), "nobody has to embed it");
    assert!(header(ticket).starts_with("semantic; "));

    let check = |headers: &[(&'static str, &'static str)], question: &str, expected: &str, is_asked: bool| {
        let ticket = cached.ask_with(headers, &asking(question));
        assert_eq!(ticket.question().is_some(), is_asked, "{question}");
        assert_eq!(header(ticket), expected);
    };
    check(&[], STORED, "hit; age=0", false);
    check(&[("cache-control", "no-store")], ALIKE, "bypass; reason=no-store", false);
    check(&[("cache-control", "no-cache")], ALIKE, "bypass; reason=no-cache", true);
    check(&[("x-edgeroute-cache", "exact")], ALIKE, "miss", false);
    check(&[], "What is my account number?", "miss; reason=personal", false);
    check(&[], "How do I reset the router of 1999?", "miss; reason=no-vector", true);
}

#[test]
fn guards_look_at_vectors_of_others_too() {
    let (mut cached, _) = cached(semantic("always"), 0);
    for (question, expected) in [
        ("How do I reset the router?!", "semantic; age=0; similarity=1"),
        ("How do I reset router 2?", "miss; reason=numbers"),
        // Whether other words say the same, the embedder knows better.
        (ALIKE, "semantic; age=0; similarity=1"),
    ] {
        learn(&mut cached, question, [1.0, 2.0]);
        assert_eq!(header(cached.ask(&asking(question))).replace("0.999", "1"), expected, "{question}");
    }
}

#[test]
fn embedders_share_nothing() {
    let partition = |config: &Value| {
        let mut cached = Cached::new(config);
        let fill = cached.fill(&asking(STORED));
        fill.question.map_or_else(|| fill.meaning.unwrap().partition, |question| question.asked().partition)
    };
    let with = |embedder: Value| {
        let mut config = config(semantic("always"), 0);
        config["models"][0]["embedder"] = embedder;
        partition(&config)
    };
    let other_model = json!({"target": {"provider": "two", "model": "large"}, "wait_ms": 0});
    let all = [with(Value::Null), with(embedder("one", 0)), with(embedder("two", 0)), with(other_model)];
    assert!((1..4).all(|at| !all[..at].contains(&all[at])), "{all:?}");
    assert_eq!(with(embedder("two", 500)), all[2], "how long somebody waits changes no answer");
}

#[test]
fn what_one_tenant_asks_tells_another_nothing() {
    let mut config = config(semantic("always"), 0);
    let other = json!({"name": "other", "team": null, "hash": common::hash("sk-other"), "limits": limits(None, None, None)});
    config["virtual_keys"].as_array_mut().unwrap().push(other);
    let mut cached = Cached::new(&config);
    let fill = cached.fill(&asking(STORED));
    learn(&mut cached, STORED, [1.0, 2.0]);
    keep(&mut cached, &fill);
    learn(&mut cached, ALIKE, [1.0, 2.0]);
    assert!(header(cached.ask(&asking(ALIKE))).starts_with("semantic"));
    for question in [STORED, ALIKE, "Has nobody asked this before?"] {
        let (body, headers) = (asking(question), [(&b"authorization"[..], &b"Bearer sk-other"[..])]);
        let ticket = cached.decide(&common::chat(&headers, body.as_bytes()), AT);
        assert_eq!(header(ticket), "miss; reason=no-vector", "{question}");
    }
}

#[test]
fn who_waits_is_answered_when_the_vector_comes() {
    let (mut cached, fill) = cached(semantic("always"), 50);
    let mut ticket = cached.ask(&asking(ALIKE));
    assert!(matches!(ticket.step(), Step::Embed));
    assert_eq!(ticket.question().unwrap().embedder().unwrap().wait_ms, 50);
    assert!(cached.host.gauges().is_empty(), "no provider is asked yet");
    learn(&mut cached, ALIKE, [1.0, 2.0]);
    embedded(&cached, &mut ticket);
    let Step::Answer(answer) = ticket.step() else { panic!("{:?}", ticket.step()) };
    assert_eq!(answer.key, fill.key);
    embedded(&cached, &mut ticket);
    assert!(matches!(ticket.step(), Step::Answer(_)), "it may be told twice");
    ticket.advance(Event::Answered { usage: USAGE }, AT);
    assert_eq!(recalled::record(&ticket)["cache"], "semantic");
    let ticket = cached.ask(&asking("Are there moons without a vector?"));
    leave(ticket);
    assert!(cached.host.gauges().is_empty());
}

#[test]
fn an_answer_to_the_same_request_that_comes_meanwhile_is_a_hit() {
    let (mut cached, _) = cached(semantic("always"), 50);
    let mut waiting = cached.ask(&asking(ALIKE));
    assert!(matches!(waiting.step(), Step::Embed));
    let hurried = cached.ask_with(&[("cache-control", "no-cache")], &asking(ALIKE));
    let fill = cached.answer(hurried).unwrap();
    learn(&mut cached, ALIKE, [1.0, 2.0]);
    keep(&mut cached, &fill);
    embedded(&cached, &mut waiting);
    assert_eq!(header(waiting), "hit; age=0");
}

#[test]
fn who_has_waited_in_vain_is_answered_by_the_model() {
    let (mut cached, _) = cached(semantic("observe"), 50);
    let mut ticket = cached.ask(&asking(ALIKE));
    embedded(&cached, &mut ticket);
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!(ticket.cache_header().unwrap(), "miss; reason=no-vector");
    assert!(ticket.compares_late() && ticket.observed().is_none());
    respond(&mut ticket);
    assert!(ticket.fill().unwrap().question.is_some());
    drop(ticket);

    let mut ticket = cached.ask(&asking(ALIKE));
    learn(&mut cached, ALIKE, [1.0, 2.0]);
    embedded(&cached, &mut ticket);
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!(ticket.cache_header().unwrap(), "miss; reason=not-proven");
    assert!(!ticket.compares_late() && ticket.observed().is_some());
    leave(ticket);
    assert!(!cached.host.sums().keys().any(|name| name.contains("dropped")), "{:?}", cached.host.sums());
}

#[test]
fn limits_count_a_request_that_waits_once() {
    let mut config = config(semantic("always"), 50);
    config["teams"][0]["limits"] = limits(Some(10), Some(10_000), Some(2));
    let mut cached = Cached::new(&config);
    let fill = cached.fill(&asking(STORED));
    learn(&mut cached, STORED, [1.0, 2.0]);
    keep(&mut cached, &fill);
    let requests = |cached: &Cached| cached.host.window("limits/team/search/requests_per_minute");
    let before = requests(&cached);
    let mut ticket = cached.ask(&asking(ALIKE));
    assert_eq!(requests(&cached), before + 1);
    embedded(&cached, &mut ticket);
    assert_eq!(requests(&cached), before + 1, "the model answers");
    leave(ticket);
    let ticket = cached.ask(&asking(ALIKE));
    leave(ticket);
    assert_eq!(requests(&cached), before + 2, "its client did not wait");
}

#[test]
fn identical_requests_that_wait_share_one_exchange() {
    let mut cache = semantic("always");
    cache["share"] = json!(true);
    let (mut cached, _) = cached(cache, 50);
    let mut ticket = cached.ask(&asking(ALIKE));
    cached.under_way.0.insert(ticket.recall_key().unwrap());
    embedded(&cached, &mut ticket);
    assert!(matches!(ticket.step(), Step::Join));
    assert_eq!(header(ticket), "joined; reason=no-vector");
}

#[test]
fn explain_tells_who_embeds() {
    let told = |wait_ms, facts: Value| {
        let cached = Cached::new(&config(semantic("always"), wait_ms));
        let written = json!({"path": "/v1/chat/completions", "headers": {"authorization": "Bearer sk-test"},
            "body": serde_json::from_str::<Value>(&asking(STORED)).unwrap(), "facts": facts});
        let explanation = explain(&cached.host.snapshot, &serde_json::from_value(written).unwrap());
        assert_eq!(explanation.decision.candidates.len(), 1);
        let notes = explanation.reasons.into_iter().map(|reason| reason.note);
        (
            explanation.decision.cache.unwrap(),
            explanation.decision.reserve_tokens,
            notes.collect::<Vec<_>>().join("\n"),
        )
    };
    let (cache, tokens, notes) = told(0, json!({}));
    assert_eq!(cache, "miss; reason=no-vector");
    assert!(notes.contains("its vector is made by `two/small`, for which it does not wait"), "{notes}");
    let (waiting, tokens_of_waiting, notes) = told(50, json!({}));
    assert_eq!((waiting, tokens_of_waiting), (cache, tokens), "the model may have to answer");
    assert!(notes.contains("for which it waits 50 ms at most"), "{notes}");
    let (cache, tokens, _) = told(50, json!({"similar": {"similarity": 0.97}}));
    assert_eq!((&*cache, tokens), ("semantic; age=0; similarity=0.97", 0));
}

fn inquire(host: &Host, body: &[u8]) -> Option<Ticket> {
    Ticket::inquire(&host.snapshot, &host.row, 1, Operation::Embeddings, body, AT)
}

#[test]
fn an_inquiry_is_an_exchange_like_any_other() {
    let mut config = config(semantic("always"), 0);
    config["providers"][1] = provider("two", "openai-chat", &["http://two/v1", "http://three/v1"]);
    let host = Host::new(&config);
    let body = ask_for_vector("a \"text\"\n");
    let mut ticket = inquire(&host, &body).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&spliced(&ticket, &body)).unwrap(),
        json!({"model": "small", "input": "a \"text\"\n"})
    );
    let sent = ticket.attempt(AT).unwrap();
    assert_eq!((sent.path, sent.connect_ms, sent.total_ms), ("/embeddings", 2_000, 900_000));
    assert!(sent.credential.is_some());
    let mut tried = vec![attempt(&ticket)];
    assert_eq!(host.gauges().len(), 1);
    ticket.advance(failed(FailureKind::Connect), AT);
    tried.push(attempt(&ticket));
    tried.sort();
    assert_eq!(tried, ["two/small at http://three/v1", "two/small at http://two/v1"]);
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage: None }, AT);
    assert!(matches!(ticket.step(), Step::Relay));
    drop(ticket);
    assert!(host.gauges().is_empty());
    let sums = host.sums();
    let told: Vec<&str> = sums.keys().map(String::as_str).collect();
    assert_eq!(
        told,
        [
            r#"edgeroute_attempts_total{target="two/small",outcome="connect"}"#,
            r#"edgeroute_attempts_total{target="two/small",outcome="ok"}"#
        ],
        "it is no request of a client"
    );
    for body in [&b"{}"[..], b"", b"[]", br#"{"input":"x"}"#] {
        assert!(inquire(&host, body).is_none());
    }
}

#[test]
fn an_inquiry_ends_when_all_have_failed() {
    let host = Host::new(&config(semantic("always"), 0));
    let body = ask_for_vector("x");
    let mut ticket = inquire(&host, &body).unwrap();
    ticket.advance(Event::Responded { status: 503, content: Content::Json, usage: None }, AT);
    assert!(matches!(ticket.step(), Step::Relay | Step::Refuse(_)), "{:?}", ticket.step());
    assert_ne!(ticket.outcome(), edgeroute_router::Outcome::Ok);
    drop(ticket);
    assert!(host.gauges().is_empty());
}

#[test]
fn what_is_a_vector() {
    let check = |reply: &str, expected: Option<&[f32]>| {
        assert_eq!(vector_of(reply.as_bytes()).as_deref(), expected, "{reply}");
    };
    check(r#"{"data":[{"index":0,"embedding":[1,-0.5e0,2]}],"model":"m"}"#, Some(&[1.0, -0.5, 2.0]));
    check(r#"{"data":[{"embedding":[0.25]}]}"#, Some(&[0.25]));
    check(r#"{"data":[{"embedding":"AACAPw=="}]}"#, None);
    check(r#"{"data":[{"embedding":[1]},{"embedding":[1]}]}"#, None);
    check(r#"{"data":[{"embedding":[[1]]}]}"#, None);
    check(r#"{"data":[{"embedding":[null]}]}"#, None);
    check(r#"{"data":[]}"#, None);
    check("", None);
    let long = format!(r#"{{"data":[{{"embedding":[{}1]}}]}}"#, "1,".repeat(1 << 20));
    assert!(vector_of(long.as_bytes()).is_none());
}

#[test]
fn who_is_no_embedder() {
    let check = |config: &Value, expected: &str| {
        let cells = Cells::anonymous(Layout { exact: 512, gauges: 128, sums: 256, rows: 2 }).unwrap();
        let error = Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap_err().to_string();
        assert_eq!(error, expected);
    };
    let mut config = config(semantic("always"), 0);
    config["models"][0]["embedder"] = embedder("three", 0);
    check(&config, "the cache of model `smart` names the provider `three`, which does not exist");
    config["models"][0]["embedder"] = embedder("two", 0);
    config["providers"][1] = provider("two", "anthropic-messages", &["http://two"]);
    check(
        &config,
        "the cache of model `smart` names the embedder `two/small`, which does not speak openai-chat",
    );
}
