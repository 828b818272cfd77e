//! What is kept of a request: its log line, its metrics, and nothing of its content.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, HEADERS, Host, after, body, chat, config, failed, limits, model, openai, rule, simple};
use edgeroute_router::{Content, End, Event, FailureKind, LogFormat, Now, Snapshot, Ticket};
use edgeroute_wire::Usage;
use serde_json::{Value, json};

fn host() -> Host {
    Host::new(&config(
        vec![openai("one"), openai("two")],
        vec![model("smart", &["one/a", "two/b"], &[]), model("chosen", &["one/c"], &[])],
        vec![
            rule("broken", "size(headers) / 0 == 1", "smart"),
            rule("premium", r#""x-tier" in headers"#, "chosen"),
        ],
        limits(Some(9), Some(1 << 20), None),
    ))
}

fn line(ticket: &Ticket, now: Now, format: LogFormat) -> String {
    let mut log = b"before\n".to_vec();
    ticket.record("req_1", now, format, &mut log);
    let log = String::from_utf8(log).unwrap();
    let line = log.strip_prefix("before\n").unwrap().strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'));
    line.to_owned()
}

/// A stream that two attempts were needed for.
fn streamed(host: &Host) -> Ticket {
    let body = json!({
        "model": "smart", "stream": true, "user": "canary-user",
        "messages": [{"role": "user", "content": "canary-prompt"}],
    })
    .to_string();
    let mut ticket = host.decide(&chat(HEADERS, body.as_bytes()), AT, 0);
    ticket.attempt_started(AT);
    ticket.advance(failed(FailureKind::Cut), after(10));
    ticket.attempt_started(after(10));
    ticket.advance(Event::Responded { status: 200, content: Content::Events, usage: None }, after(60));
    ticket.handed(after(61));
    ticket.first_event(after(70));
    ticket.first_event(after(80));
    let usage = Some(Usage { input: 11, output: 5, cached_input: 0 });
    ticket.advance(Event::Ended { end: End::Complete, usage, events: 5 }, after(1_500));
    ticket
}

#[test]
fn a_line_of_text() {
    assert_eq!(
        line(&streamed(&host()), after(1_500), LogFormat::Text),
        "2026-11-18T11:06:41.500Z 200 ok id=req_1 path=/v1/chat/completions client=203.0.113.9 key=test requested=smart model=smart target=two/b \
         rule_errors=broken failed=\"one/a: cut\" attempts=2 stream=true input_tokens=11 output_tokens=5 ttft_ms=70.000 \
         duration_ms=1500.000 overhead_us=1000"
    );
}

#[test]
fn a_line_of_json() {
    let line = line(&streamed(&host()), after(1_500), LogFormat::Json);
    assert_eq!(
        line,
        r#"{"time_ms":1795000001500,"id":"req_1","status":200,"outcome":"ok","path":"/v1/chat/completions","client":"203.0.113.9","key":"test","requested":"smart","model":"smart","target":"two/b","rule_errors":["broken"],"failed":["one/a: cut"],"attempts":2,"stream":true,"input_tokens":11,"output_tokens":5,"ttft_ms":70.000,"duration_ms":1500.000,"overhead_us":1000}"#
    );
}

#[test]
fn a_line_of_a_refusal() {
    let host = host();
    let ticket = host.decide(&chat(HEADERS, body("none").as_bytes()), AT, 0);
    assert_eq!(
        line(&ticket, AT, LogFormat::Text),
        "2026-11-18T11:06:40.000Z 404 refused id=req_1 path=/v1/chat/completions client=203.0.113.9 key=test requested=none rule_errors=broken \
         error=model_not_found attempts=0 stream=false duration_ms=0.000"
    );
    let ticket = host.decide(&chat(&[], b"{}"), AT, 0);
    assert_eq!(
        line(&ticket, AT, LogFormat::Json),
        r#"{"time_ms":1795000000000,"id":"req_1","status":401,"outcome":"refused","path":"/v1/chat/completions","client":"203.0.113.9","error":"missing_api_key","attempts":0,"stream":false,"duration_ms":0.000}"#
    );
}

#[test]
fn no_content_and_no_credential_is_kept() {
    let host = host();
    let ticket = streamed(&host);
    for format in [LogFormat::Text, LogFormat::Json] {
        let line = line(&ticket, AT, format);
        assert!(!line.contains("canary") && !line.contains("sk-"), "{line}");
    }
    assert!(!format!("{:?}", host.sums()).contains("canary"));
}

#[test]
fn a_client_cannot_forge_a_line_or_a_field() {
    let host = host();
    let forged = "x status=200 key=admin\n2026 200 ok \u{1b}[31m \u{2028}\"";
    let ticket = host.chat(forged);
    let text = line(&ticket, AT, LogFormat::Text);
    assert!(
        text.contains(r#" requested="x status=200 key=admin\n2026 200 ok \u{1b}[31m \u{2028}\"" "#),
        "{text}"
    );
    assert!(!text.contains(char::is_control));
    let json: Value = serde_json::from_str(&line(&ticket, AT, LogFormat::Json)).unwrap();
    assert_eq!((json["requested"].as_str(), json["key"].as_str()), (Some(forged), Some("test")));
    let long = line(&host.chat(&"y".repeat(10_000)), AT, LogFormat::Text);
    assert!(long.len() < 400, "{long}");
}

#[test]
fn metrics_of_a_request() {
    let host = host();
    let ticket = streamed(&host);
    let log = line(&ticket, after(1_500), LogFormat::Text);
    assert!(log.contains("attempts=2"));
    let sums = host.sums();
    let check =
        |name: &str, expected: u64| assert_eq!(sums.get(name), Some(&expected), "{name} in {sums:#?}");
    check(r#"edgeroute_attempts_total{target="one/a",outcome="cut"}"#, 1);
    check(r#"edgeroute_attempts_total{target="two/b",outcome="ok"}"#, 1);
    check(r#"edgeroute_requests_total{model="smart",target="two/b",status="200",outcome="ok"}"#, 1);
    check(r#"edgeroute_tokens_total{model="smart",direction="input"}"#, 11);
    check(r#"edgeroute_tokens_total{model="smart",direction="output"}"#, 5);
    check(r#"edgeroute_rule_errors_total{rule="broken"}"#, 1);
    // Sums of durations are kept in microseconds.
    check(r#"edgeroute_request_duration_seconds_sum{model="smart"}"#, 1_500_000);
    check(r#"edgeroute_request_duration_seconds_count{model="smart"}"#, 1);
    check(r#"edgeroute_request_duration_seconds_bucket{model="smart",le="2.5"}"#, 1);
    check(r#"edgeroute_request_duration_seconds_bucket{model="smart",le="+Inf"}"#, 1);
    assert!(!sums.contains_key(r#"edgeroute_request_duration_seconds_bucket{model="smart",le="1"}"#));
    check(r#"edgeroute_time_to_first_token_seconds_bucket{model="smart",le="0.1"}"#, 1);
    check("edgeroute_overhead_seconds_sum", 1_000);
    check(r#"edgeroute_overhead_seconds_bucket{le="0.001"}"#, 1);
    assert!(!sums.contains_key(r#"edgeroute_overhead_seconds_bucket{le="0.0005"}"#));
    assert!(sums.keys().all(|name| !name.contains("dropped")));
}

#[test]
fn metrics_of_a_refusal_have_no_target() {
    let host = host();
    line(&host.chat("none"), AT, LogFormat::Text);
    let name = r#"edgeroute_requests_total{model="",target="",status="404",outcome="refused"}"#;
    assert_eq!(host.sums().get(name), Some(&1), "{:?}", host.sums());
}

#[test]
fn long_and_odd_names_still_count() {
    for name in ["é".repeat(100), "\"\\\n".repeat(40), "x".repeat(100)] {
        let mut config = config(
            vec![openai("one")],
            vec![model(&name, &["one/a"], &[])],
            vec![],
            limits(None, None, None),
        );
        config["models"][0]["targets"][0]["model"] = json!(name);
        let host = Host::new(&config);
        let mut ticket = host.chat(&name);
        ticket.advance(common::complete(), AT);
        line(&ticket, AT, LogFormat::Text);
        let sums = host.sums();
        assert!(sums.keys().any(|name| name.starts_with("edgeroute_requests_total")), "{sums:?}");
        assert!(sums.keys().all(|name| !name.contains("dropped") && !name.contains('\n')), "{sums:?}");
    }
}

#[test]
fn metrics_that_find_no_room_are_told_of() {
    let names: Vec<String> = (0..60).map(|index| format!("model-{index}")).collect();
    let models = names.iter().map(|name| model(name, &["one/a"], &[])).collect();
    let host = Host::new(&config(vec![openai("one")], models, vec![], limits(None, None, None)));
    let dropped = || host.sums().get(r#"edgeroute_dropped_total{what="metric"}"#).copied().unwrap_or(0);
    let ask_all = || {
        for name in &names {
            let mut ticket = host.chat(name);
            ticket.advance(common::complete(), AT);
            line(&ticket, AT, LogFormat::Text);
        }
    };
    assert_eq!(dropped(), 0);
    ask_all();
    let first = dropped();
    assert!(first > 0);
    ask_all();
    assert_eq!(dropped(), 2 * first, "every time");
}

#[test]
fn without_room_to_tell_of_it_nothing_is_loaded() {
    let host = host();
    let cells =
        edgeroute_shared::Cells::anonymous(edgeroute_shared::Layout { sums: 1, ..host.cells.layout() });
    let error = Snapshot::compile(simple().to_string().as_bytes(), &cells.unwrap(), 1, 0).unwrap_err();
    assert!(error.to_string().contains("edgeroute_dropped_total"), "{error}");
}

#[test]
fn long_names_that_begin_alike_are_counted_apart() {
    let names = ["a", "b"].map(|end| format!("{}{end}", "organisation/".repeat(5)));
    let models = names.iter().map(|name| model(name, &[&format!("one/{name}")], &[])).collect();
    let host = Host::new(&config(vec![openai("one")], models, vec![], limits(None, None, None)));
    let mut tickets = names.each_ref().map(|name| host.chat(name));
    assert_eq!(host.gauges().values().collect::<Vec<_>>(), [&1, &1]);
    for ticket in &mut tickets {
        ticket.advance(common::complete(), AT);
        line(ticket, AT, LogFormat::Text);
    }
    let sums = host.sums();
    let requests: Vec<_> = sums.iter().filter(|(name, _)| name.contains("requests_total")).collect();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(
        requests.iter().all(|(name, _)| name.contains("model=\"organisation/organisation/organisation/~"))
    );
}
