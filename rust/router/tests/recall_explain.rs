//! What `explain` tells of the cache is what `decide` does with the same facts, and both do it again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, HEADERS, Host, chat};
use edgeroute_router::{Step, WrittenRequest, decide, explain};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What was done, and what the header says.
fn decided(
    host: &Host,
    written: &WrittenRequest,
    head: (&'static str, &'static str),
    seed: u64,
) -> (String, Value) {
    let body = written.body.as_deref().unwrap().get();
    let headers = [HEADERS, &[(head.0.as_bytes(), head.1.as_bytes())]].concat();
    let ticket =
        decide(&host.snapshot, &host.row, &written.facts, &chat(&headers, body.as_bytes()), AT, seed);
    let step = match ticket.step() {
        Step::Attempt => "attempt",
        Step::Answer(_) => "answer",
        Step::Join => "join",
        step => panic!("{step:?}"),
    };
    let header = ticket.cache_header();
    recalled::leave(ticket);
    (step.into(), json!(header))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn explain_tells_what_decide_does(
        (mode, serve) in (prop::sample::select(vec!["exact", "semantic"]), prop::sample::select(vec!["observe", "always"])),
        share in any::<bool>(),
        turns in 0..3_u32,
        cached in prop::option::weighted(0.3, 0..100_000_u64),
        similar in prop::option::weighted(0.7, (0.9..1.0_f32, 0..100_000_u64, any::<bool>(), any::<bool>())),
        in_flight in any::<bool>(),
        head in prop::sample::select(vec![
            ("x-other", "1"), ("cache-control", "no-cache"), ("cache-control", "max-age=50"),
            ("x-edgeroute-cache", "exact"), ("x-edgeroute-cache", "bypass"), ("x-edgeroute-cache-ttl", "0"),
        ]),
        question in prop::sample::select(vec!["How far is the moon?", "What is the weather today?", "\u{1f600}", ""]),
        temperature in prop::sample::select(vec![json!(null), json!(0), json!(1.5)]),
        seed in any::<u64>(),
    ) {
        let cache = json!({"mode": mode, "serve": serve, "share": share, "turns": turns});
        let host = Host::new(&recalled::config(cache));
        let body = json!({"model": "smart", "temperature": temperature, "messages": [{"role": "user", "content": question}]});
        let similar = similar.map(|(similarity, age_ms, proven, veto)| {
            json!({"similarity": similarity, "age_ms": age_ms, "proven": proven, "veto": veto.then_some("numbers")})
        });
        let written = json!({
            "path": "/v1/chat/completions",
            "headers": {"authorization": "Bearer sk-test", head.0: head.1},
            "body": body, "seed": seed,
            "facts": {"cached_age_ms": cached, "similar": similar, "in_flight": in_flight},
        });
        let written = WrittenRequest::read(written.to_string().as_bytes()).unwrap();
        let explanation = explain(&host.snapshot, &written);
        prop_assert!(host.gauges().is_empty() && host.sums().is_empty(), "explain touches nothing");
        let (step, header) = decided(&host, &written, head, seed);
        prop_assert_eq!(json!(explanation.decision.cache), header.clone());
        let text = header.as_str().unwrap();
        let expected = match text.split(';').next().unwrap() {
            "hit" | "semantic" => "answer",
            "joined" => "join",
            _ => "attempt",
        };
        prop_assert_eq!(&step, expected);
        prop_assert_eq!(explanation.decision.reserve_tokens == 0, step != "attempt");
        prop_assert_eq!(decided(&host, &written, head, seed), (step, header), "what happened before does not matter");
    }
}
