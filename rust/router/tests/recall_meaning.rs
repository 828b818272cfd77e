//! Answers by meaning: given where they are proven or the operator says so, compared otherwise, and explained.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, HEADERS, after};
use edgeroute_cache::Verdict;
use edgeroute_router::{Event, Explanation, Fill, Hit, Step, explain};
use recalled::{Cached, USAGE, chat, config, header, leave, record, settings};
use serde_json::{Value, json};

const STORED: &str = "How do I reset the password of the admin account?";
const ALIKE: &str = "how do i reset the password of the admin account";

fn asking(question: &str) -> String {
    chat(
        json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]}),
    )
}

/// A semantic cache that has the answer to `STORED`, and what was stored.
fn cached(serve: &str) -> (Cached, Fill) {
    let mut cached = Cached::with(json!({"mode": "semantic", "serve": serve}));
    let fill = cached.fill(&asking(STORED));
    assert_eq!(&*fill.meaning.as_ref().unwrap().text, STORED);
    (cached, fill)
}

#[test]
fn what_means_the_same_is_answered_where_the_operator_says_always() {
    let (cached, fill) = cached("always");
    let mut ticket = cached.decide(&common::chat(HEADERS, asking(ALIKE).as_bytes()), after(12_000));
    let Step::Answer(answer) = ticket.step() else { panic!("{:?}", ticket.step()) };
    let Hit::Semantic { similarity_permille } = answer.hit else { panic!("{:?}", answer.hit) };
    assert!(answer.key == fill.key && similarity_permille > 900);
    assert_ne!(ticket.recall_key(), Some(fill.key), "it has a key of its own");
    let similarity = f64::from(similarity_permille) / 1_000.0;
    let expected = format!("semantic; age=12; similarity={similarity}");
    assert_eq!(ticket.cache_header().unwrap(), expected);
    assert!(ticket.observed().is_none());
    ticket.advance(Event::Answered { usage: USAGE }, AT);
    let told = record(&ticket);
    assert_eq!((&told["cache"], &told["cache_age_ms"]), (&json!("semantic"), &json!(12_000)));
    assert_eq!(told["similarity"].as_f64(), Some(similarity));
    assert!(told.get("cache_refused").is_none());

    let check = |headers: &[(&'static str, &'static str)], question: &str, expected: &str| {
        let found = header(cached.ask_with(headers, &asking(question)));
        assert_eq!(found.split("; age").next().unwrap(), expected, "{question}");
    };
    check(&[], STORED, "hit");
    check(&[], ALIKE, "semantic");
    check(&[("x-edgeroute-cache", "exact")], ALIKE, "miss");
    check(&[("cache-control", "no-cache")], ALIKE, "bypass; reason=no-cache");
    check(&[], "What is the capital of Peru?", "miss");
    check(&[], "How do I reset the password of the admin account today?", "miss; reason=time-bound");
    let (cached, _) = self::cached("always");
    let other = chat(json!({"messages": [{"role": "user", "content": ALIKE}]}));
    assert_eq!(header(cached.ask(&other)), "miss", "the system prompt is another one");
}

#[test]
fn guards_tell_questions_apart() {
    let mut cached = Cached::with(json!({"mode": "semantic", "serve": "always", "threshold_permille": 1}));
    cached.fill(&asking("Can I return the jacket after 30 days?"));
    let ticket = cached.ask(&asking("Can I return the jacket after 60 days?"));
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!(ticket.cache_header().unwrap(), "miss; reason=numbers");
    assert!(ticket.observed().is_none());
    assert_eq!(record(&ticket)["cache_refused"], "numbers");
    leave(ticket);
    let refused = r#"edgeroute_cache_refused_total{reason="numbers"}"#;
    assert_eq!(cached.host.sums()[refused], 1);
}

#[test]
fn until_it_is_proven_the_model_answers_and_the_answers_are_compared() {
    let (mut cached, fill) = cached("observe");
    let ticket = cached.ask(&asking(ALIKE));
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!(ticket.cache_header().unwrap(), "miss; reason=not-proven");
    let observed = ticket.observed().unwrap();
    assert_eq!((observed.key, observed.model), (fill.key, fill.model));
    assert!(cached.answer(ticket).unwrap().meaning.is_some());

    // The answer of a fallback says nothing about the model's.
    let mut config = recalled::config(json!({"mode": "semantic"}));
    config["providers"].as_array_mut().unwrap().push(common::openai("two"));
    let other = common::model("other", &["two/m"], &[]);
    config["models"].as_array_mut().unwrap().push(other);
    config["models"][0]["fallbacks"] = json!(["other"]);
    let mut failing = Cached::new(&config);
    failing.fill(&asking(STORED));
    let mut ticket = failing.ask(&asking(ALIKE));
    assert!(ticket.observed().is_some());
    ticket.advance(common::failed(edgeroute_router::FailureKind::Connect), AT);
    assert_eq!(ticket.target().unwrap(), "two/m");
    recalled::respond(&mut ticket);
    assert!(ticket.observed().is_none() && ticket.fill().is_none());

    let (mut cached, _) = self::cached("observe");
    let compared = |cached: &mut Cached, verdict, times| {
        for _ in 0..times {
            let (key, model, similarity) = (observed.key, observed.model, observed.similarity);
            let observation = cached.index.observe(key, model, similarity, verdict, AT.unix_ms);
            cached.index.apply(&observation.unwrap());
        }
    };
    compared(&mut cached, Verdict::Correct, 2_000);
    let hits = |cached: &Cached| {
        let ask = |seed| {
            let facts = edgeroute_router::LiveFacts {
                cells: &cached.host.cells,
                unix_ms: AT.unix_ms,
                cache: Some(&cached.index),
                flights: None,
            };
            let body = asking(ALIKE);
            let request = common::chat(HEADERS, body.as_bytes());
            edgeroute_router::decide(&cached.host.snapshot, &cached.host.row, &facts, &request, AT, seed)
        };
        let hits = (0..400).map(|seed| header(ask(seed))).filter(|header| header.starts_with("semantic"));
        hits.count()
    };
    let before = hits(&cached);
    assert!((300..400).contains(&before), "{before}: it is proven, and tested now and then");
    compared(&mut cached, Verdict::Wrong, 50);
    assert_eq!(hits(&cached), 0, "it falls back by itself");
}

fn explained(cache: Value, facts: Value, headers: Value, body: Value) -> Explanation {
    let cached = Cached::new(&config(cache));
    let mut all = json!({"authorization": "Bearer sk-test"});
    for (name, value) in headers.as_object().unwrap() {
        all[name] = value.clone();
    }
    let body: Value = serde_json::from_str(&chat(body)).unwrap();
    let written = json!({"path": "/v1/chat/completions", "headers": all, "body": body, "facts": facts});
    let explanation = explain(&cached.host.snapshot, &serde_json::from_value(written).unwrap());
    assert!(cached.host.gauges().is_empty() && cached.host.sums().is_empty(), "explain touches nothing");
    explanation
}

#[test]
fn explain_tells_what_was_found_and_why_not() {
    let check = |cache: Value, facts: Value, headers: Value, body: Value, header: &str, notes: &[&str]| {
        let explanation = explained(cache, facts, headers, body);
        assert_eq!(explanation.decision.cache.as_deref(), Some(header));
        let is_of = |reason: &&edgeroute_router::Reason| json!(reason.phase) == "recall";
        let told: Vec<&str> = explanation.reasons.iter().filter(is_of).map(|reason| &*reason.note).collect();
        // Keys are hashes: their length says enough.
        let told: Vec<String> = told
            .iter()
            .map(|note| {
                let is_hash = |word: &&str| word.trim_matches(',').len() == 32;
                note.split(' ')
                    .map(|word| if is_hash(&word) { "…" } else { word })
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        assert_eq!(told, notes);
    };
    let (none, exact) = (|| json!({}), "cache exact, answers of virtual key `test`, for 3600 s");
    let semantic = "cache semantic from 0.95, serve observe, answers of team `search`, for 60 s";
    let team = || json!({"mode": "semantic", "scope": "team", "ttl_ms": 60_000});
    check(
        none(),
        none(),
        none(),
        none(),
        "miss",
        &[exact, "key …", "no entry is known that answers: no running router is asked"],
    );
    check(
        none(),
        json!({"cached_age_ms": 1_500}),
        none(),
        none(),
        "hit; age=1",
        &[exact, "key …", "an entry of the same request answers, 1.5 s old"],
    );
    check(
        json!({"share": true}),
        json!({"in_flight": true}),
        none(),
        none(),
        "joined",
        &[exact, "key …", "an identical request is under way and shares its answer"],
    );
    check(
        none(),
        none(),
        json!({"cache-control": "no-store"}),
        none(),
        "bypass; reason=no-store",
        &[exact, "bypassed, no-store: the client wants it neither answered from the cache nor kept"],
    );
    let asked = ["key …", "partition … a question of 20 characters"];
    check(
        team(),
        none(),
        none(),
        none(),
        "miss",
        &[&[semantic], &asked[..], &["no entry is known that answers: no running router is asked"]].concat(),
    );
    let similar = |more: Value| {
        let mut similar = json!({"similarity": 0.97, "age_ms": 2_000});
        for (name, value) in more.as_object().unwrap() {
            similar[name] = value.clone();
        }
        json!({"similar": similar})
    };
    let near = "the nearest question has a cosine of 0.970";
    check(
        team(),
        similar(none()),
        none(),
        none(),
        "miss; reason=not-proven",
        &[
            &[near, semantic],
            &asked[..],
            &["no entry answers, not-proven: an entry means the same, but there is not yet enough evidence that it \
               answers this too: the model answers, and the answers are compared"],
        ]
        .concat(),
    );
    check(
        team(),
        similar(json!({"proven": true})),
        none(),
        none(),
        "semantic; age=2; similarity=0.97",
        &[&[near, semantic], &asked[..], &["an entry that means the same answers, 2 s old, similarity 0.97"]]
            .concat(),
    );
    check(
        team(),
        similar(json!({"veto": "numbers"})),
        none(),
        none(),
        "miss; reason=numbers",
        &[
            &[near, semantic],
            &asked[..],
            &["no entry answers, numbers: an entry is similar, but the guards tell the questions apart"],
        ]
        .concat(),
    );
}

#[test]
fn explain_tells_what_follows_from_an_answer() {
    // A body is looked for in the store: should it be gone, the model answers.
    let explanation = explained(json!({}), json!({"cached_age_ms": 0}), json!({}), json!({"max_tokens": 10}));
    let decision = explanation.decision;
    assert_eq!((decision.candidates.len(), decision.reserve_tokens), (1, 0));
    let counted = explained(
        json!({"count_tokens": true}),
        json!({"cached_age_ms": 0}),
        json!({}),
        json!({"max_tokens": 10}),
    );
    assert_eq!(counted.decision.reserve_tokens, 10);

    let mut config = recalled::with_store(common::simple());
    let host = |config: &Value| Cached::new(config);
    let written = json!({"path": "/v1/chat/completions", "headers": {"authorization": "Bearer sk-test"},
                         "body": {"model": "smart", "messages": []}});
    let told = |config: &Value| {
        let host = host(config);
        let explanation = explain(&host.host.snapshot, &serde_json::from_value(written.clone()).unwrap());
        let is_of = |reason: &edgeroute_router::Reason| json!(reason.phase) == "recall";
        explanation.reasons.into_iter().filter(is_of).map(|reason| reason.note).collect::<Vec<_>>()
    };
    assert_eq!(told(&config), ["model `smart` has no cache"], "another has one");
    config["cache"] = json!(null);
    assert!(told(&config).is_empty());
    let mut rule = common::acting("fresh", "true", json!({}));
    rule["cache"] = json!({"mode": "off", "ttl_ms": null});
    config["rules"] = json!([rule]);
    config["models"][0]["cache"] = settings(json!({}));
    let told = told(&config);
    assert_eq!(told.last().unwrap(), "bypassed, rule: a rule has switched the cache off");
}

#[test]
fn a_veto_is_written_by_its_name() {
    let written = json!({"path": "/", "facts": {"similar": {"similarity": 1.0, "veto": "nonsense"}}});
    let error =
        edgeroute_router::WrittenRequest::read(written.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.starts_with("a veto is one of language, length, "), "{error}");
}
