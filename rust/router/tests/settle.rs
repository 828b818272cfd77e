//! Money: whatever happens to requests, in whatever order, each is settled once, and at every moment the shared cells
//! hold exactly what naive bookkeeping says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, HEADERS, Host, chat, config, failed, limits, model, openai};
use edgeroute_router::{Content, End, Event, Failure, FailureKind, LogFormat, Step, Ticket};
use edgeroute_wire::Usage;
use proptest::prelude::*;
use serde_json::json;

/// Of `hello` in one message.
const PROMPT_TOKENS: u64 = 9;

#[derive(Clone, Debug)]
enum Action {
    /// A new request with this maximum.
    Start(u64),
    /// Something happens to one of the open tickets.
    Happens(usize, Happening),
    /// A ticket is lost.
    Drop(usize),
}

#[derive(Clone, Debug)]
enum Happening {
    Failed(FailureKind),
    Responded(u16, Content, Option<Usage>),
    Ended(u8, Option<Usage>, u64),
}

fn usage() -> impl Strategy<Value = Option<Usage>> {
    prop::option::of((0..50u64, 0..80u64).prop_map(|(input, output)| Usage {
        input,
        output,
        cached_input: 0,
    }))
}

fn action() -> impl Strategy<Value = Action> {
    use FailureKind::*;
    let kind = prop::sample::select(vec![Connect, ConnectTimeout, TotalTimeout, Protocol, Cut, TooLarge]);
    let status = prop::sample::select(vec![200, 200, 200, 204, 302, 400, 401, 408, 429, 500]);
    let content =
        prop::sample::select(vec![Content::Json, Content::Events, Content::Other("text/html".into())]);
    let happening = prop_oneof![
        kind.prop_map(Happening::Failed),
        (status, content, usage())
            .prop_map(|(status, content, usage)| Happening::Responded(status, content, usage)),
        (0..4u8, usage(), 0..20u64).prop_map(|(end, usage, events)| Happening::Ended(end, usage, events)),
    ];
    prop_oneof![
        3 => (0..200u64).prop_map(Action::Start),
        6 => (0..8usize, happening).prop_map(|(which, happening)| Action::Happens(which, happening)),
        1 => (0..8usize).prop_map(Action::Drop),
    ]
}

fn event(happening: &Happening) -> Event {
    match happening.clone() {
        Happening::Failed(kind) => failed(kind),
        Happening::Responded(status, content, usage) => Event::Responded { status, content, usage },
        Happening::Ended(end, usage, events) => {
            let cut = Failure { kind: FailureKind::Cut, detail: String::new() };
            let end = [End::Complete, End::ProviderError, End::Failed(cut), End::ClientGone]
                .into_iter()
                .nth(end.into())
                .unwrap();
            Event::Ended { end, usage, events }
        }
    }
}

/// A request and what naive bookkeeping knows of it.
struct Open {
    ticket: Ticket,
    reserved: u64,
    /// Whether an attempt is under way.
    trying: bool,
    /// The tokens it was settled with.
    settled: Option<u64>,
}

impl Open {
    /// What the documentation promises, in terms of the next step.
    fn happens(&mut self, happening: &Happening) {
        let relaying = matches!(self.ticket.step(), Step::Relay);
        self.ticket.advance(event(happening), AT);
        if !self.trying {
            return;
        }
        match (happening, self.ticket.step()) {
            (Happening::Ended(end, usage, events), _) => {
                let estimate = usage.map_or(PROMPT_TOKENS, |usage| usage.input)
                    + usage.map_or(0, |usage| usage.output).max(*events);
                let reported = usage.filter(|_| *end == 0).map(Usage::total);
                self.close(reported.unwrap_or(estimate));
            }
            (Happening::Failed(_), Step::Relay) => self.close(PROMPT_TOKENS),
            (Happening::Responded(..), _) if relaying => {}
            (Happening::Responded(200.., Content::Json, usage), Step::Relay) => {
                let status = self.ticket_status();
                self.close(if status < 300 { usage.map_or(self.reserved, Usage::total) } else { 0 });
            }
            (_, Step::Refuse(_)) => self.close(0),
            _ => {}
        }
    }

    fn close(&mut self, tokens: u64) {
        self.settled = Some(tokens);
        self.trying = false;
    }

    fn ticket_status(&self) -> u64 {
        let mut log = Vec::new();
        self.ticket.record("id", AT, LogFormat::Json, &mut log);
        serde_json::from_slice::<serde_json::Value>(&log).unwrap()["status"].as_u64().unwrap()
    }
}

fn host() -> Host {
    let all = || limits(Some(40), Some(5_000), Some(5));
    let mut config = config(
        vec![openai("one"), openai("two")],
        vec![model("smart", &["one/a", "two/b"], &["more"]), model("more", &["one/c", "two/d"], &[])],
        vec![],
        all(),
    );
    config["virtual_keys"][0]["limits"] = all();
    Host::new(&config)
}

fn check(host: &Host, open: &[Open], past: (u64, u64)) -> Result<(), TestCaseError> {
    let requests = past.0 + open.len() as u64;
    let tokens = past.1 + open.iter().map(|each| each.settled.unwrap_or(each.reserved)).sum::<u64>();
    let held = open.iter().filter(|each| each.settled.is_none()).count() as u64;
    let in_flight = open.iter().filter(|each| each.trying).count() as u64;
    let gauges = host.gauges();
    for scope in ["limits/key/test", "limits/team/search"] {
        prop_assert_eq!(host.window(&format!("{scope}/requests_per_minute")), requests);
        prop_assert_eq!(host.window(&format!("{scope}/tokens_per_minute")), tokens);
        prop_assert_eq!(gauges.get(&format!("{scope}/concurrency")).copied().unwrap_or(0), held);
    }
    let flying = gauges.iter().filter(|(name, _)| name.starts_with("edgeroute_in_flight"));
    prop_assert_eq!(flying.map(|(_, count)| count).sum::<u64>(), in_flight);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_request_is_settled_once(actions in prop::collection::vec(action(), 1..50)) {
        let host = host();
        let mut open = Vec::<Open>::new();
        // Requests and tokens of tickets that are gone.
        let mut past = (0, 0);
        let mut lost = 0;
        for action in actions {
            match action {
                Action::Start(most) => {
                    let messages = json!([{"role": "user", "content": "hello"}]);
                    let body = json!({"model": "smart", "messages": messages, "max_tokens": most}).to_string();
                    let ticket = host.decide(&chat(HEADERS, body.as_bytes()), AT, most);
                    let reserved = PROMPT_TOKENS + if most == 0 { 1_024 } else { most };
                    match ticket.step() {
                        Step::Attempt => open.push(Open { ticket, reserved, trying: true, settled: None }),
                        Step::Refuse(refusal) => prop_assert_eq!(refusal.code.name(), "rate_limit_exceeded"),
                        step => panic!("{step:?}"),
                    }
                }
                Action::Happens(which, happening) => {
                    if let Some(open) = open.get_mut(which) {
                        open.happens(&happening);
                    }
                }
                Action::Drop(which) if which < open.len() => {
                    let gone = open.swap_remove(which);
                    match gone.settled {
                        Some(tokens) => past = (past.0 + 1, past.1 + tokens),
                        None => lost += 1,
                    }
                }
                Action::Drop(_) => {}
            }
            check(&host, &open, past)?;
        }
        for gone in open.drain(..) {
            match gone.settled {
                Some(tokens) => past = (past.0 + 1, past.1 + tokens),
                None => lost += 1,
            }
        }
        check(&host, &[], past)?;
        prop_assert!(host.gauges().is_empty());
        let dropped = host.sums().get(r#"edgeroute_dropped_total{what="ticket"}"#).copied();
        prop_assert_eq!(dropped.unwrap_or(0), lost);
    }
}
