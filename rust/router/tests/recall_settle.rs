//! What a request that the cache answers, or that shares an answer, counts for: settled exactly once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[allow(dead_code, unreachable_pub)]
mod recalled;

use common::{AT, after, complete, limits, refusal};
use edgeroute_router::{
    Code, Content, End, Event, Failure, FailureKind, Joined, Outcome, Refusal, Step, Ticket,
};
use recalled::{Cached, USAGE, chat, config, leave, record, respond};
use serde_json::{Value, json};

/// A cache in a team that has limits.
fn limited(cache: Value, limits: Value) -> Cached {
    let mut config = config(cache);
    config["teams"][0]["limits"] = limits;
    Cached::new(&config)
}

/// Requests and tokens of the minute, and requests at this time.
fn used(cached: &Cached) -> (u64, u64, u64) {
    let window = |what: &str| cached.host.window(&format!("limits/team/search/{what}"));
    let open = cached.host.gauges().get("limits/team/search/concurrency").copied();
    (window("requests_per_minute"), window("tokens_per_minute"), open.unwrap_or(0))
}

fn ended(end: End) -> Event {
    Event::Ended { end, usage: USAGE, events: 3 }
}

fn body() -> String {
    chat(json!({"max_tokens": 100}))
}

/// A host whose cache has the answer to `body`, or only knows of it.
fn known(cache: Value, limits: Value, in_memory: bool) -> Cached {
    let mut cached = limited(cache, limits);
    let fill = cached.fill(&body());
    if !in_memory {
        cached.keep(&fill, None);
    }
    cached
}

#[test]
fn a_hit_counts_as_a_request_and_not_as_tokens() {
    let check = |cache: Value,
                 in_memory,
                 while_open: (u64, u64, u64),
                 event: fn() -> Event,
                 settled: (u64, u64, u64)| {
        let cached = known(cache.clone(), limits(Some(100), Some(10_000), Some(5)), in_memory);
        let before = used(&cached);
        let since = |(requests, tokens, open): (u64, u64, u64)| {
            (requests - before.0, tokens - before.1, open - before.2)
        };
        let mut ticket = cached.ask(&body());
        assert!(matches!(ticket.step(), Step::Answer(_)));
        assert_eq!(since(used(&cached)), while_open, "{cache}");
        ticket.advance(event(), AT);
        assert_eq!(since(used(&cached)), settled, "{cache}");
        // What comes later changes nothing.
        ticket.advance(ended(End::ClientGone), AT);
        ticket.advance(Event::Answered { usage: USAGE }, AT);
        assert_eq!(since(used(&cached)), settled, "{cache}");
        drop(ticket);
        assert!(!cached.host.sums().keys().any(|name| name.contains("dropped")), "{cache}");
    };
    let free = || json!({});
    let counted = || json!({"count_tokens": true});
    let answered = || Event::Answered { usage: USAGE };
    for in_memory in [true, false] {
        check(free(), in_memory, (1, 0, 1), answered, (1, 0, 0));
        check(free(), in_memory, (1, 0, 1), || ended(End::ClientGone), (1, 0, 0));
        check(free(), in_memory, (1, 0, 1), || ended(End::Complete), (1, 0, 0));
        // Reserved like any request, settled by what the answer had used.
        check(counted(), in_memory, (1, 112, 1), answered, (1, 42, 0));
        check(counted(), in_memory, (1, 112, 1), || ended(End::ClientGone), (1, 42, 0));
    }
}

#[test]
fn limits_of_requests_hold_for_hits_and_those_of_tokens_do_not() {
    let body = body();
    let cached = known(json!({}), limits(Some(2), Some(150), None), true);
    let mut first = cached.ask(&body);
    first.advance(Event::Answered { usage: USAGE }, AT);
    let ticket = cached.ask(&body);
    assert_eq!(refusal(&ticket).code, Code::LimitExceeded);
    assert!(refusal(&ticket).message.starts_with("requests_per_minute of team `search`"));

    // The tokens are used up: others are refused, and hits are not.
    let cached = known(json!({}), limits(None, Some(150), None), true);
    let other = cached.ask(&chat(json!({"max_tokens": 101})));
    assert_eq!(refusal(&other).code, Code::LimitExceeded);
    leave(cached.ask(&body));
    let counted = known(json!({"count_tokens": true}), limits(None, Some(150), None), true);
    assert_eq!(refusal(&counted.ask(&body)).code, Code::LimitExceeded);

    let cached = known(json!({}), limits(None, None, Some(1)), true);
    let first = cached.ask(&body);
    assert!(refusal(&cached.ask(&body)).message.starts_with("concurrency of team `search`"));
    leave(first);
    leave(cached.ask(&body));
}

#[test]
fn an_entry_that_is_gone_leaves_the_model() {
    let cached = known(json!({}), limits(Some(100), Some(10_000), Some(5)), false);
    let before = used(&cached);
    let mut ticket = cached.ask(&body());
    cached.missing(&mut ticket);
    assert!(matches!(ticket.step(), Step::Attempt));
    assert_eq!((ticket.attempts(), ticket.cache_header().as_deref()), (1, Some("miss")));
    assert_eq!(used(&cached), (before.0 + 1, before.1 + 112, 1), "the tokens are reserved now");
    respond(&mut ticket);
    assert!(ticket.fill().is_some());
    assert_eq!(used(&cached), (before.0 + 1, before.1 + 42, 0));

    let cached = known(json!({}), limits(None, Some(150), None), false);
    let mut ticket = cached.ask(&body());
    cached.missing(&mut ticket);
    assert_eq!(refusal(&ticket).code, Code::LimitExceeded);

    let cached = known(json!({}), limits(None, None, None), true);
    let mut ticket = cached.ask(&body());
    cached.missing(&mut ticket);
    assert_eq!(refusal(&ticket).code, Code::Internal, "what is in memory cannot be gone");
}

/// The exchange of the identical request has brought a response.
fn shared(status: u16, outcome: Outcome, whole: bool) -> Event {
    Event::Joined(Joined::Response { status, outcome, usage: USAGE.filter(|_| whole), whole })
}

/// A host where an identical request is under way, and a ticket that shares its exchange.
fn joined(limits: Value) -> (Cached, Ticket) {
    joined_with(json!({"share": true}), limits)
}

fn joined_with(cache: Value, limits: Value) -> (Cached, Ticket) {
    let mut cached = limited(cache, limits);
    let leader = cached.ask(&body());
    assert!(leader.shares());
    cached.under_way.0.insert(leader.recall_key().unwrap());
    leave(leader);
    let ticket = cached.ask(&body());
    assert!(matches!(ticket.step(), Step::Join));
    assert!(!ticket.shares() && ticket.fill().is_none());
    assert_eq!(ticket.cache_header().as_deref(), Some("joined"));
    (cached, ticket)
}

#[test]
fn who_shares_an_exchange_counts_as_a_request() {
    let some = || limits(Some(100), Some(10_000), Some(5));
    let response = |whole| shared(200, Outcome::Ok, whole);
    let (cached, mut ticket) = joined(some());
    let before = used(&cached);
    ticket.advance(response(true), AT);
    assert!(matches!(ticket.step(), Step::Relay) && ticket.fill().is_none());
    assert_eq!(used(&cached), (before.0, before.1, 0));
    let told = record(&ticket);
    assert_eq!(
        (&told["outcome"], &told["cache"], &told["attempts"]),
        (&json!("ok"), &json!("joined"), &json!(0))
    );
    assert!(told.get("input_tokens").is_none(), "the usage is the other request's");

    // A stream is settled when it ends, however it does.
    let cut = || End::Failed(Failure { kind: FailureKind::Protocol, detail: String::new() });
    let check = |end: End, outcome: &str| {
        let (cached, mut ticket) = joined(some());
        ticket.advance(response(false), AT);
        ticket.first_event(AT);
        assert_eq!(used(&cached).2, 1);
        ticket.advance(ended(end), AT);
        assert_eq!(used(&cached).2, 0, "{outcome}");
        assert_eq!(record(&ticket)["outcome"], outcome);
    };
    check(End::Complete, "ok");
    check(End::ProviderError, "upstream_error");
    check(cut(), "cut");
    check(End::ClientGone, "disconnected");

    // Whoever leaves while it waits has left.
    let (cached, mut ticket) = joined(some());
    ticket.advance(ended(End::ClientGone), AT);
    assert_eq!((used(&cached).2, record(&ticket)["status"].clone()), (0, json!(499)));

    // The exchange fails for all alike.
    let (cached, mut ticket) = joined(some());
    let failed = Refusal::new(Code::UpstreamUnreachable, "nobody answers");
    ticket.advance(Event::Joined(Joined::Refused(failed.clone(), Outcome::UpstreamError)), AT);
    assert_eq!((refusal(&ticket), used(&cached).2), (&failed, 0));
    assert_eq!(record(&ticket)["outcome"], "upstream_error");

    for (status, outcome) in [(404, Outcome::ClientError), (429, Outcome::UpstreamError)] {
        let (_cached, mut ticket) = joined(some());
        ticket.advance(shared(status, outcome, true), AT);
        let told = record(&ticket);
        assert_eq!((&told["outcome"], &told["status"]), (&json!(outcome.name()), &json!(status)));
    }

    // There is nothing to join any more.
    let (mut cached, mut ticket) = joined(some());
    cached.under_way.0.clear();
    cached.missing(&mut ticket);
    respond(&mut ticket);
    assert!(ticket.shares() && ticket.fill().is_some());
    assert_eq!(record(&ticket)["cache"], "miss");
}

#[test]
fn the_tokens_of_a_shared_exchange_count_where_those_of_hits_do() {
    let some = || limits(Some(100), Some(10_000), Some(5));
    for whole in [true, false] {
        let (cached, mut ticket) = joined_with(json!({"share": true, "count_tokens": true}), some());
        let (_, reserved, _) = used(&cached);
        ticket.advance(shared(200, Outcome::Ok, whole), AT);
        if !whole {
            ticket.advance(ended(End::Complete), AT);
        }
        let (_, tokens, open) = used(&cached);
        assert_eq!((reserved - tokens, open), (112 - 42, 0), "{whole}");
    }
}

#[test]
fn what_turns_out_to_be_missing_joins_a_request_that_asks_the_model() {
    let mut cached = known(json!({"share": true}), limits(Some(100), Some(10_000), Some(5)), false);
    let mut first = cached.ask(&body());
    let mut second = cached.ask(&body());
    let before = used(&cached);
    cached.missing(&mut first);
    assert!(matches!(first.step(), Step::Attempt) && first.shares());
    cached.under_way.0.insert(first.recall_key().unwrap());
    cached.missing(&mut second);
    assert!(matches!(second.step(), Step::Join));
    assert_eq!(used(&cached), (before.0, before.1 + 112, before.2), "the tokens of one of them");
    leave(first);
    leave(second);
}

#[test]
fn who_is_refused_by_a_limit_has_no_hit() {
    let cached = known(json!({}), limits(Some(1), None, None), true);
    let ticket = cached.ask(&body());
    assert_eq!((refusal(&ticket).code, ticket.cache_header()), (Code::LimitExceeded, None));
    assert!(record(&ticket).get("cache").is_none());
    assert!(!cached.host.sums().keys().any(|name| name.contains(r#"result="hit""#)));
}

#[test]
fn who_waits_is_told_that_the_process_stops() {
    let (cached, mut ticket) = joined(limits(None, None, Some(1)));
    ticket.advance(common::failed(FailureKind::Stopping), AT);
    assert_eq!((refusal(&ticket).code, used(&cached).2), (Code::Stopping, 0));
}

#[test]
fn nobody_joins_who_wants_a_new_answer_or_whose_model_does_not_share() {
    let mut cached = limited(json!({"share": true}), limits(None, None, None));
    let leader = cached.ask(&body());
    cached.under_way.0.insert(leader.recall_key().unwrap());
    leave(leader);
    for head in
        [("cache-control", "no-cache"), ("cache-control", "no-store"), ("x-edgeroute-cache", "bypass")]
    {
        let ticket = cached.ask_with(&[head], &body());
        assert!(matches!(ticket.step(), Step::Attempt) && !ticket.shares(), "{head:?}");
        leave(ticket);
    }
    let mut alone = limited(json!({}), limits(None, None, None));
    std::mem::swap(&mut alone.under_way, &mut cached.under_way);
    let ticket = alone.ask(&body());
    assert!(matches!(ticket.step(), Step::Attempt) && !ticket.shares());
    leave(ticket);
}

#[test]
fn time_spent_waiting_for_a_shared_exchange_is_no_overhead() {
    let (_cached, mut ticket) = joined(limits(None, None, None));
    ticket.advance(shared(200, Outcome::Ok, true), after(250));
    assert_eq!(ticket.handed(after(251)), 1_000);
}

#[test]
fn what_is_dropped_is_given_back_and_counted() {
    let cached = known(json!({}), limits(Some(100), Some(10_000), Some(5)), true);
    let before = used(&cached);
    drop(cached.ask(&body()));
    assert_eq!(used(&cached), before);
    assert_eq!(cached.host.sums()[r#"edgeroute_dropped_total{what="ticket"}"#], 1);
}

#[test]
fn metrics_tell_hits_from_misses() {
    let mut cached = limited(json!({"share": true}), limits(None, None, None));
    let finish = |mut ticket: Ticket| {
        if let Step::Attempt = ticket.step() {
            ticket.advance(Event::Responded { status: 200, content: Content::Json, usage: USAGE }, AT);
        }
        ticket.advance(Event::Answered { usage: USAGE }, AT);
        ticket.advance(shared(200, Outcome::Ok, true), AT);
        ticket.advance(complete(), AT);
        record(&ticket);
    };
    cached.fill(&body());
    finish(cached.ask(&body()));
    finish(cached.ask(&body()));
    finish(cached.ask(&chat(json!({}))));
    finish(cached.ask_with(&[("x-edgeroute-cache", "bypass")], &body()));
    let leader = cached.ask(&chat(json!({"seed": 1})));
    cached.under_way.0.insert(leader.recall_key().unwrap());
    finish(cached.ask(&chat(json!({"seed": 1}))));
    finish(leader);
    let told: Vec<(String, u64)> =
        cached.host.sums().into_iter().filter(|(name, _)| name.contains("cache")).collect();
    let requests =
        |result: &str| format!("edgeroute_cache_requests_total{{model=\"smart\",result={result:?}}}");
    let mut expected = vec![
        (r#"edgeroute_cache_refused_total{reason="header"}"#.to_owned(), 1),
        (requests("bypass"), 1),
        (requests("hit"), 2),
        (requests("joined"), 1),
        (requests("miss"), 2),
    ];
    expected.sort();
    assert_eq!(told, expected);
    let tokens = |direction: &str| {
        cached.host.sums()[&format!("edgeroute_tokens_total{{model=\"smart\",direction={direction:?}}}")]
    };
    assert_eq!((tokens("input"), tokens("output")), (3 * 30, 3 * 12), "hits use none");
}
