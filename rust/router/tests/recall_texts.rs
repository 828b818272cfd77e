//! Embeddings of several texts: known ones come from the cache, the others from the model, and all in their order.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, HEADERS, acting, failed, limits, model, openai, spliced};
use edgeroute_cache::{Body, Reply};
use edgeroute_router::{
    FailureKind, Hit, Phase, Reason, Request, Step, Ticket, WrittenRequest, explain, fill,
};
use edgeroute_wire::Dialect;
use proptest::prelude::*;
use recalled::{Cached, leave, record, respond, settings, with_store};
use serde_json::{Value, json};

fn request(body: &[u8]) -> Request<'_> {
    Request { method: "POST", path: "/v1/embeddings", query: "", headers: HEADERS.into(), peer: "", body }
}

fn body(input: &Value) -> String {
    json!({"input": input, "model": "smart", "encoding_format": "float"}).to_string()
}

fn decide(cached: &Cached, body: &str) -> Ticket {
    cached.decide(&request(body.as_bytes()), AT)
}

/// The vector of a text, as our model has it.
fn vector(text: &Value) -> Value {
    let text = text.to_string();
    json!([text.len(), text.bytes().map(u64::from).sum::<u64>()])
}

/// What a provider answers to this body.
fn provider(body: &[u8]) -> Vec<u8> {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let texts = match &asked["input"] {
        Value::Array(texts) if texts.iter().all(|text| !text.is_number()) => texts.clone(),
        text => vec![text.clone()],
    };
    let data = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": vector(text)}));
    let data: Vec<Value> = data.rev().collect();
    let tokens = 2 * texts.len();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": "m-1", "usage": usage}).to_string().into()
}

fn kept(reply: &[u8]) -> Vec<u8> {
    let body = Body::Whole(reply);
    Reply { dialect: Dialect::OpenAiChat, content_type: b"application/json", usage: None, body }.encode()
}

/// Does what the gateway does: what is sent to the provider, if it is asked, and what the client gets.
fn exchange(cached: &mut Cached, body: &str) -> (Option<Value>, Value) {
    let mut ticket = decide(cached, body);
    if let Step::Answer(answer) = ticket.step() {
        assert_eq!(answer.hit, Hit::Exact);
        let entry = answer.known.body.clone().unwrap();
        let reply = serde_json::from_slice(Reply::decode(&entry).unwrap().body.bytes()).unwrap();
        leave(ticket);
        return (None, reply);
    }
    let sent = spliced(&ticket, body.as_bytes());
    let reply = provider(&sent);
    respond(&mut ticket);
    let whole = ticket.complete(&reply).unwrap();
    for (fill, usage, body) in ticket.fill_texts(&reply) {
        assert_eq!(usage.total(), 2);
        cached.keep(&fill, Some(&kept(&body)));
    }
    if let Some(fill) = ticket.fill() {
        cached.keep(&fill, Some(&kept(&reply)));
    }
    (
        Some(serde_json::from_slice(&sent).unwrap()),
        serde_json::from_slice(whole.as_deref().unwrap_or(&reply)).unwrap(),
    )
}

/// What the client must get.
fn expected(texts: &[Value]) -> Vec<Value> {
    texts.iter().map(vector).collect()
}

fn vectors(reply: &Value) -> Vec<Value> {
    let mut data = reply["data"].as_array().unwrap().clone();
    data.sort_by_key(|each| each["index"].as_u64());
    data.iter().map(|each| each["embedding"].clone()).collect()
}

#[test]
fn of_a_list_only_its_texts_are_kept() {
    let own_keys =
        "each text of `input` has an entry of its own, whose key is told of a request for it alone";
    let cached = Cached::with(json!({}));
    for (input, is_list) in [
        (json!("one"), false),
        (json!([1, 2]), false),
        (json!([]), false),
        (json!(["one"]), true),
        (json!(["one", "two"]), true),
        (json!([[1, 2], [3]]), true),
    ] {
        let written = json!({
            "path": "/v1/embeddings", "headers": {"authorization": "Bearer sk-test"},
            "body": {"model": "smart", "input": input},
        });
        let written = WrittenRequest::read(written.to_string().as_bytes()).unwrap();
        let filled = fill(&cached.host.snapshot, &written);
        let expected = "each text of `input` is looked for by itself: write one line per text";
        assert_eq!(filled.err(), is_list.then(|| expected.to_owned()), "{input}");
        let reasons = explain(&cached.host.snapshot, &written).reasons;
        assert_eq!(reasons.iter().any(|reason| reason.note == own_keys), is_list, "{input}");
        let is_recall = |reason: &Reason| reason.phase == Phase::Recall;
        assert_eq!(reasons.chunk_by(|one, next| is_recall(one) == is_recall(next)).count(), 3, "{input}");
    }
}

#[test]
fn only_missing_texts_go_to_the_model() {
    let mut cached = Cached::with(json!({}));
    let mut check = |input: Value, asked: Option<Value>, header: &str| {
        let ticket = decide(&cached, &body(&input));
        assert_eq!(ticket.cache_header().unwrap(), header, "{input}");
        assert_eq!(record(&ticket)["cache"], header.split(';').next().unwrap());
        leave(ticket);
        let (sent, reply) = exchange(&mut cached, &body(&input));
        assert_eq!(sent.map(|sent| sent["input"].clone()), asked, "{input}");
        let texts = if let Value::Array(texts) = &input { texts.clone() } else { vec![input.clone()] };
        assert_eq!(vectors(&reply), expected(&texts), "{input}");
        let tokens = 2 * texts.len();
        assert_eq!(reply["usage"], json!({"prompt_tokens": tokens, "total_tokens": tokens}), "{input}");
        assert_eq!(reply["model"], "m-1");
    };
    check(json!(["a", "b"]), Some(json!(["a", "b"])), "miss; texts=0/2");
    check(json!(["a", "b"]), None, "hit; age=0");
    check(json!(["b", "a", "a"]), None, "hit; age=0");
    check(json!(["c", "a", "d", "b"]), Some(json!(["c", "d"])), "miss; texts=2/4");
    check(json!(["a", "b", "c", "d"]), None, "hit; age=0");
    // One text by itself is the same text.
    check(json!("a"), None, "hit; age=0");
    check(json!(["a"]), None, "hit; age=0");
    check(json!("e"), Some(json!("e")), "miss");
    check(json!(["e", "f", "e"]), Some(json!(["f"])), "miss; texts=2/3");
    check(json!([[1, 2], [3]]), Some(json!([[1, 2], [3]])), "miss; texts=0/2");
    check(json!([[3], [1, 2], [4]]), Some(json!([[4]])), "miss; texts=2/3");
}

#[test]
fn the_rest_of_the_request_is_part_of_each_key() {
    let mut cached = Cached::with(json!({}));
    exchange(&mut cached, &body(&json!(["a", "b"])));
    let check = |body: Value, header: &str| {
        assert_eq!(recalled::header(decide(&cached, &body.to_string())), header, "{body}");
    };
    check(json!({"input": ["a"], "model": "smart"}), "hit; age=0");
    check(json!({"input": ["a"], "model": "smart", "user": "ann"}), "hit; age=0");
    check(json!({"input": ["a"], "model": "smart", "dimensions": 7}), "miss; texts=0/1");
    check(json!({"input": ["a"], "model": "smart", "encoding_format": "base64"}), "miss; texts=0/1");
    check(json!({"input": "a", "model": "smart", "x": 1}), "miss");
    check(json!({"input": ["A"], "model": "smart"}), "miss; texts=0/1");
    // What is no text, or too many texts, is one thing.
    check(json!({"input": ["a", 1], "model": "smart"}), "miss");
    check(json!({"input": [], "model": "smart"}), "miss");
    check(json!({"input": vec!["a"; 256], "model": "smart"}), "hit; age=0");
    check(json!({"input": vec!["a"; 257], "model": "smart"}), "miss");
}

#[test]
fn who_wants_new_vectors_gets_them_all() {
    let mut cached = Cached::with(json!({}));
    let body = body(&json!(["a", "b"]));
    exchange(&mut cached, &body);
    let headers = recalled::headers(&[("cache-control", "no-cache")]);
    let mut ticket =
        cached.decide(&Request { headers: headers.as_slice().into(), ..request(body.as_bytes()) }, AT);
    assert_eq!(ticket.cache_header().unwrap(), "bypass; reason=no-cache; texts=0/2");
    let sent = spliced(&ticket, body.as_bytes());
    respond(&mut ticket);
    assert_eq!(ticket.complete(&provider(&sent)), Ok(None));
    assert_eq!(ticket.fill_texts(&provider(&sent)).len(), 2);
}

#[test]
fn replies_that_lack_a_vector_are_neither_given_nor_kept() {
    let mut cached = Cached::with(json!({}));
    exchange(&mut cached, &body(&json!(["a", "b"])));
    let mut ticket = decide(&cached, &body(&json!(["a", "c", "d"])));
    respond(&mut ticket);
    for wrong in ["", "{}", r#"{"data":[]}"#, r#"{"data":[{"index":0,"embedding":[1]}]}"#] {
        assert!(ticket.complete(wrong.as_bytes()).is_err(), "{wrong}");
        assert!(ticket.fill_texts(wrong.as_bytes()).is_empty(), "{wrong}");
    }
    assert!(ticket.fill().is_none());
}

/// Models of several targets, and of fallbacks.
fn pools() -> Cached {
    let models = vec![
        model("same", &["one/m", "two/m"], &["other"]),
        model("mixed", &["one/m", "two/n"], &[]),
        model("other", &["two/n"], &[]),
    ];
    let mut pin =
        acting("pin", r#"headers["x-pin"] == "yes""#, json!({"pin": {"provider": "two", "model": "n"}}));
    pin["priority"] = json!(1);
    let mut config = with_store(common::config(
        vec![openai("one"), openai("two")],
        models,
        vec![pin],
        limits(None, None, None),
    ));
    for model in config["models"].as_array_mut().unwrap() {
        model["cache"] = settings(json!({}));
    }
    Cached::new(&config)
}

#[test]
fn vectors_of_different_models_are_not_mixed() {
    let ask = |cached: &Cached, model: &str, input: Value| {
        let body = json!({"model": model, "input": input}).to_string();
        (decide(cached, &body), body)
    };
    let fill = |cached: &mut Cached, model: &str, input: Value| {
        let (mut ticket, body) = ask(cached, model, input);
        let reply = provider(&spliced(&ticket, body.as_bytes()));
        respond(&mut ticket);
        for (fill, _, body) in ticket.fill_texts(&reply) {
            cached.keep(&fill, Some(&kept(&body)));
        }
    };
    let sent = |ticket: &Ticket, body: &str| {
        serde_json::from_slice::<Value>(&spliced(ticket, body.as_bytes())).unwrap()["input"].clone()
    };
    let mut cached = pools();
    for model in ["same", "mixed"] {
        fill(&mut cached, model, json!(["a", "b"]));
    }
    // Both targets make the same vectors.
    let (mut ticket, body) = ask(&cached, "same", json!(["a", "c"]));
    assert_eq!(sent(&ticket, &body), json!(["c"]));
    ticket.advance(failed(FailureKind::Connect), AT);
    assert_eq!((ticket.target().unwrap().into_owned(), sent(&ticket, &body)), ("two/m".into(), json!(["c"])));
    // The fallback makes all of them itself, and nothing of it is kept.
    ticket.advance(failed(FailureKind::Connect), AT);
    assert_eq!(
        (ticket.target().unwrap().into_owned(), sent(&ticket, &body)),
        ("two/n".into(), json!(["a", "c"]))
    );
    respond(&mut ticket);
    let reply = provider(br#"{"input":["a","c"]}"#);
    assert_eq!((ticket.complete(&reply), ticket.fill_texts(&reply).len()), (Ok(None), 0));
    // Whoever answers here, its vectors may be others.
    let (ticket, body) = ask(&cached, "mixed", json!(["a", "c"]));
    assert_eq!(sent(&ticket, &body), json!(["a", "c"]));
    leave(ticket);
    let (ticket, _) = ask(&cached, "mixed", json!(["b", "a"]));
    assert!(matches!(ticket.step(), Step::Answer(_)));
    leave(ticket);

    // Entries that say that they are of different models do not stand in one answer.
    let (mut ticket, _) = ask(&cached, "same", json!(["d"]));
    respond(&mut ticket);
    let other = String::from_utf8(provider(br#"{"input":["d"]}"#)).unwrap().replace("m-1", "m-2");
    let (fill, _, reply) = ticket.fill_texts(other.as_bytes()).remove(0);
    cached.keep(&fill, Some(&kept(&reply)));
    let (ticket, body) = ask(&cached, "same", json!(["a", "d"]));
    assert_eq!(sent(&ticket, &body), json!(["d"]));
    leave(ticket);
}

#[test]
fn all_texts_are_asked_for_where_the_alias_of_a_model_has_moved() {
    let mut config = recalled::config(json!({}));
    config["teams"][0]["limits"] = limits(None, Some(10_000), None);
    let mut cached = Cached::new(&config);
    exchange(&mut cached, &body(&json!(["a", "b"])));
    let used = |cached: &Cached| cached.host.window("limits/team/search/tokens_per_minute");
    let before = used(&cached);

    let body = body(&json!(["a", "c", "b"]));
    let mut ticket = decide(&cached, &body);
    let moved = |sent: &[u8]| String::from_utf8(provider(sent)).unwrap().replace("m-1", "m-2").into_bytes();
    let first = spliced(&ticket, body.as_bytes());
    assert!(!ticket.asks_for_all_texts(&provider(&first), AT));
    assert!(ticket.asks_for_all_texts(&moved(&first), AT));
    assert!(matches!(ticket.step(), Step::Attempt));
    let second = spliced(&ticket, body.as_bytes());
    assert_eq!(serde_json::from_slice::<Value>(&second).unwrap()["input"], json!(["a", "c", "b"]));
    let reply = moved(&second);
    assert!(!ticket.asks_for_all_texts(&reply, AT));
    assert_eq!(ticket.complete(&reply), Ok(None));
    respond(&mut ticket);
    assert_eq!(ticket.attempts(), 1);
    assert_eq!(used(&cached) - before, 42 + 2, "the provider has counted both replies");
    for (fill, _, body) in ticket.fill_texts(&reply) {
        cached.keep(&fill, Some(&kept(&body)));
    }
    let (asked, reply) = exchange(&mut cached, &body);
    assert_eq!((asked, &reply["model"]), (None, &json!("m-2")));
}

#[test]
fn an_entry_that_cannot_be_read_is_missing() {
    let mut cached = Cached::with(json!({}));
    let body = body(&json!(["a", "b"]));
    let mut ticket = decide(&cached, &body);
    respond(&mut ticket);
    for (fill, _, _) in ticket.fill_texts(&provider(body.as_bytes())) {
        cached.keep(&fill, Some(b"nonsense"));
    }
    assert_eq!(recalled::header(decide(&cached, &body)), "miss; texts=0/2");
    for (fill, _, _) in ticket.fill_texts(&provider(body.as_bytes())) {
        cached.keep(&fill, None);
    }
    assert_eq!(
        recalled::header(decide(&cached, &body)),
        "miss; texts=0/2",
        "the store has them, memory has not"
    );
}

#[test]
fn identical_requests_for_several_texts_share_an_exchange() {
    let mut cached = Cached::with(json!({"share": true}));
    let body = body(&json!(["a", "b"]));
    let leader = decide(&cached, &body);
    cached.under_way.0.insert(leader.recall_key().unwrap());
    let ticket = decide(&cached, &body);
    assert!(matches!(ticket.step(), Step::Join));
    leave(ticket);
    leave(leader);
    let ticket = decide(&cached, &self::body(&json!(["b", "a"])));
    assert!(matches!(ticket.step(), Step::Attempt), "another order is another request");
    leave(ticket);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_text_gets_its_own_vector(
        requests in prop::collection::vec(prop::collection::vec("[abc\"\\\\\u{e9}]{0,2}", 1..6), 1..8),
    ) {
        let mut cached = Cached::with(json!({}));
        let mut seen = std::collections::HashSet::new();
        for texts in requests {
            let input: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
            let (sent, reply) = exchange(&mut cached, &body(&json!(input)));
            prop_assert_eq!(vectors(&reply), expected(&input));
            let missing: Vec<Value> = input.iter().filter(|text| !seen.contains(&text.to_string())).cloned().collect();
            prop_assert_eq!(sent.map(|sent| sent["input"].clone()), (!missing.is_empty()).then(|| json!(missing)));
            seen.extend(input.iter().map(Value::to_string));
        }
    }
}
