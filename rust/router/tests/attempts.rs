//! What follows from what happens to an attempt: another one, the response, or an error for the client.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Host, after, attempt, failed, model, openai, refusal, simple, targets};
use edgeroute_router::{Content, End, Event, Failure, FailureKind, LogFormat, Now, Step, Ticket};
use edgeroute_wire::Usage;
use serde_json::json;

/// Three targets to try.
fn host() -> Host {
    let mut config = simple();
    config["providers"] = json!([openai("one"), openai("two")]);
    config["models"] =
        json!([model("smart", &["one/a", "two/b", "one/c"], &["more"]), model("more", &["two/d"], &[])]);
    Host::new(&config)
}

fn responded(status: u16, content: Content) -> Event {
    Event::Responded { status, content, usage: None }
}

/// What to do next, and how the request would be recorded if it ended here.
fn state(ticket: &mut Ticket) -> String {
    match ticket.step() {
        Step::Attempt => format!("attempt {}", attempt(ticket)),
        Step::Relay => format!("relay {}", recorded(ticket)),
        Step::Refuse(refusal) => {
            let (status, code) = (refusal.status, refusal.code.name());
            format!("refuse {status} {code} {}", recorded(ticket))
        }
        step => panic!("{step:?}"),
    }
}

/// Status and outcome in the log.
fn recorded(ticket: &Ticket) -> String {
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Json, &mut log);
    let record: serde_json::Value = serde_json::from_slice(&log).unwrap();
    format!("({} {})", record["status"], record["outcome"].as_str().unwrap())
}

#[test]
fn what_follows() {
    let next = "attempt two/b at http://two/v1";
    let check = |event: Event, expected: &str| {
        let shown = format!("{event:?}");
        let mut ticket = host().chat("smart");
        ticket.advance(event, AT);
        assert_eq!(state(&mut ticket), expected, "{shown}");
        targets(ticket);
    };
    for kind in [
        FailureKind::Connect,
        FailureKind::QueueFull,
        FailureKind::QueueTimeout,
        FailureKind::ConnectTimeout,
        FailureKind::FirstByteTimeout,
        FailureKind::GapTimeout,
        FailureKind::Protocol,
        FailureKind::Cut,
    ] {
        check(failed(kind), next);
    }
    check(failed(FailureKind::TotalTimeout), "refuse 504 upstream_timeout (504 upstream_error)");
    check(failed(FailureKind::TooLarge), "refuse 502 upstream_protocol_error (502 upstream_error)");
    check(failed(FailureKind::Unsendable), "refuse 500 internal_error (500 upstream_error)");

    for status in [401, 403, 408, 429, 500, 502, 503, 529, 599] {
        check(responded(status, Content::Json), next);
        check(responded(status, Content::Other("text/html".into())), next);
    }
    for status in [100, 204 + 100, 307] {
        check(responded(status, Content::Json), next);
    }
    check(responded(200, Content::Other("text/html".into())), next);
    check(responded(200, Content::Json), "relay (200 ok)");
    check(responded(201, Content::Json), "relay (201 ok)");
    check(responded(200, Content::Events), "relay (200 ok)");
    for status in [400, 404, 413, 422] {
        check(responded(status, Content::Json), &format!("relay ({status} client_error)"));
        let refused = format!("refuse {status} upstream_error ({status} client_error)");
        check(responded(status, Content::Other("text/html".into())), &refused);
    }
}

#[test]
fn the_last_answer_is_the_clients() {
    let check = |event: fn() -> Event, expected: &str| {
        let mut ticket = host().chat("smart");
        (0..3).for_each(|_| ticket.advance(event(), AT));
        assert_eq!(state(&mut ticket), expected);
        assert_eq!(ticket.attempts(), 3, "the limit of attempts, though there is a fourth target");
    };
    check(|| failed(FailureKind::Connect), "refuse 502 upstream_unreachable (502 upstream_error)");
    check(|| failed(FailureKind::QueueTimeout), "refuse 504 upstream_timeout (504 upstream_error)");
    check(|| failed(FailureKind::ConnectTimeout), "refuse 504 upstream_timeout (504 upstream_error)");
    check(|| failed(FailureKind::FirstByteTimeout), "refuse 504 upstream_timeout (504 upstream_error)");
    check(|| failed(FailureKind::GapTimeout), "refuse 504 upstream_timeout (504 upstream_error)");
    check(|| failed(FailureKind::Protocol), "refuse 502 upstream_protocol_error (502 upstream_error)");
    check(|| failed(FailureKind::Cut), "refuse 502 upstream_cut (502 upstream_error)");
    check(|| responded(429, Content::Json), "relay (429 upstream_error)");
    check(|| responded(500, Content::Json), "relay (500 upstream_error)");
    check(
        || responded(503, Content::Other("text/html".into())),
        "refuse 502 upstream_error (502 upstream_error)",
    );
    check(
        || responded(429, Content::Other("text/html".into())),
        "refuse 429 upstream_error (429 upstream_error)",
    );
    check(|| responded(401, Content::Json), "refuse 502 upstream_authentication (502 upstream_error)");
    check(
        || responded(403, Content::Other("text/html".into())),
        "refuse 502 upstream_authentication (502 upstream_error)",
    );
    check(|| responded(302, Content::Json), "refuse 502 upstream_protocol_error (502 upstream_error)");
}

#[test]
fn the_log_says_why_an_answer_was_withheld() {
    let check = |status: u16, content: Content, expected: Option<&str>| {
        let mut ticket = host().chat("smart");
        (0..3).for_each(|_| ticket.advance(responded(status, content.clone()), AT));
        let mut log = Vec::new();
        ticket.record("id", AT, LogFormat::Json, &mut log);
        let record: serde_json::Value = serde_json::from_slice(&log).unwrap();
        assert_eq!(record.get("detail").and_then(|detail| detail.as_str()), expected, "{record}");
    };
    check(503, Content::Other("text/html".into()), Some("text/html"));
    check(400, Content::Other("it repeats a credential".into()), Some("it repeats a credential"));
    check(500, Content::Events, Some("text/event-stream"));
    check(500, Content::Json, None);
    let neither = "answered with neither JSON nor an event stream: text/html";
    check(200, Content::Other("text/html".into()), Some(neither));
}

#[test]
fn attempts_are_limited_by_the_configuration_and_by_candidates() {
    for (most, expected) in [(1, 1), (2, 2), (4, 4), (16, 4)] {
        let mut config = simple();
        config["providers"] = json!([openai("one")]);
        config["models"] = json!([model("smart", &["one/a", "one/b", "one/c", "one/d"], &[])]);
        config["defaults"]["attempts"] = json!(most);
        assert_eq!(targets(Host::new(&config).chat("smart")).len(), expected, "at most {most}");
    }
}

#[test]
fn no_attempt_begins_after_the_total_deadline() {
    let mut ticket = host().chat("smart");
    assert_eq!(ticket.attempt(after(0)).unwrap().total_ms, 900_000);
    assert_eq!(ticket.attempt(after(899_999)).unwrap().total_ms, 1);
    ticket.advance(failed(FailureKind::Cut), after(900_000));
    assert_eq!(refusal(&ticket).code.name(), "upstream_cut");
    assert_eq!(ticket.attempts(), 1);
}

#[test]
fn deadlines_of_a_target_are_its_own_or_the_default_ones() {
    let mut config = simple();
    let own = &mut config["models"][0]["targets"][0];
    (own["first_byte_ms"], own["gap_ms"]) = (json!(5), json!(7));
    let attempts = [simple(), config].map(|config| {
        let mut ticket = Host::new(&config).chat("smart");
        let attempt = ticket.attempt(after(1)).unwrap();
        let found = (attempt.connect_ms, attempt.first_byte_ms, attempt.gap_ms, attempt.total_ms);
        ticket.advance(common::complete(), AT);
        found
    });
    assert_eq!(attempts, [(2_000, 120_000, 60_000, 899_999), (2_000, 5, 7, 899_999)]);
}

#[test]
fn a_provider_s_words_about_our_credential_stay_here() {
    let mut ticket = Host::new(&simple()).chat("smart");
    ticket.advance(responded(401, Content::Json), AT);
    assert_eq!(
        refusal(&ticket).message,
        "provider `one` refused edgeroute's own credential (status 401); its api_key must be checked by the operator"
    );
}

#[test]
fn clients_do_not_see_the_operator_s_details() {
    let mut ticket = host().chat("smart");
    let kind = FailureKind::TotalTimeout;
    ticket.advance(Event::Failed(Failure { kind, detail: "10.1.2.3:443 resets".into() }), AT);
    assert_eq!(refusal(&ticket).message, "provider `one` did not finish in time");
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Text, &mut log);
    assert!(
        String::from_utf8(log).unwrap().contains(r#"error=upstream_timeout detail="10.1.2.3:443 resets""#)
    );
}

/// A stream of which something has been relayed.
fn relaying(now: Now) -> Ticket {
    let mut ticket = host().chat("smart");
    ticket.advance(responded(200, Content::Events), now);
    ticket.handed(now);
    ticket.first_event(now);
    ticket
}

#[test]
fn nothing_is_tried_again_once_something_was_relayed() {
    let check = |event: Event, expected: &str| {
        let shown = format!("{event:?}");
        let mut ticket = relaying(AT);
        ticket.advance(event, AT);
        assert_eq!(state(&mut ticket), expected, "{shown}");
        assert_eq!(ticket.attempts(), 1);
    };
    let ended = |end| Event::Ended { end, usage: None, events: 1 };
    let cut = Failure { kind: FailureKind::Cut, detail: String::new() };
    check(ended(End::Complete), "relay (200 ok)");
    check(ended(End::ProviderError), "relay (200 upstream_error)");
    check(ended(End::Failed(cut)), "relay (200 cut)");
    check(ended(End::ClientGone), "relay (200 disconnected)");
    check(failed(FailureKind::Cut), "relay (200 cut)");
}

#[test]
fn what_comes_late_changes_nothing() {
    let late: [fn() -> Event; 5] = [
        || failed(FailureKind::Connect),
        || responded(200, Content::Json),
        || responded(500, Content::Json),
        common::complete,
        || Event::Ended { end: End::ProviderError, usage: Some(Usage::default()), events: 9 },
    ];
    let ends: [fn() -> Event; 3] = [
        || responded(200, Content::Json),
        || responded(404, Content::Other("text/html".into())),
        || failed(FailureKind::TooLarge),
    ];
    for end in ends {
        let mut ticket = host().chat("smart");
        ticket.advance(end(), AT);
        let before = state(&mut ticket);
        for event in late {
            ticket.advance(event(), AT);
            assert_eq!(state(&mut ticket), before);
        }
    }
}

#[test]
fn a_client_who_leaves_before_the_answer_is_handed_over_keeps_its_usage() {
    let host = host();
    let mut ticket = host.chat("smart");
    let usage = Usage { input: 7, output: 2, cached_input: 0 };
    ticket.advance(Event::Responded { status: 200, content: Content::Json, usage: Some(usage) }, AT);
    ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, AT);
    let mut log = Vec::new();
    ticket.record("id", AT, LogFormat::Text, &mut log);
    let line = String::from_utf8(log).unwrap();
    assert!(line.contains("499 disconnected") && line.contains("input_tokens=7 output_tokens=2"), "{line}");
}

#[test]
fn events_that_the_client_cannot_have_are_a_cut_even_after_the_provider_has_finished() {
    let mut ticket = relaying(AT);
    ticket.advance(common::complete(), AT);
    let failure = Failure { kind: FailureKind::TooLarge, detail: String::new() };
    ticket.advance(Event::Ended { end: End::Failed(failure), usage: None, events: 0 }, AT);
    assert_eq!(state(&mut ticket), "relay (200 cut)");
}

#[test]
fn overhead_leaves_out_the_wait_for_providers() {
    let mut ticket = host().chat("smart");
    let at = |us: u64| Now { monotonic_us: AT.monotonic_us + us, ..AT };
    ticket.attempt_started(at(100));
    ticket.advance(failed(FailureKind::Cut), at(5_100));
    ticket.attempt_started(at(5_150));
    ticket.advance(responded(200, Content::Json), at(95_150));
    assert_eq!(ticket.handed(at(95_200)), 200);
    assert_eq!(ticket.handed(at(99_999)), 200, "the first time counts");
}
