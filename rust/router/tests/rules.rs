//! Rules: the first that matches acts; one that cannot be evaluated does not match, and is told of.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{AT, Field, HEADERS, Host, chat, config, limits, model, openai, refusal, reject, rule};
use edgeroute_router::{End, Event, LogFormat, Request, Snapshot, Ticket};
use edgeroute_shared::{Cells, Layout};
use serde_json::{Value, json};

fn host(rules: Vec<Value>) -> Host {
    let models = ["asked", "chosen", "other"];
    let models = models.iter().map(|name| model(name, &[&format!("one/{name}")], &[])).collect();
    Host::new(&config(vec![openai("one")], models, rules, limits(Some(10), Some(100_000), None)))
}

fn finish(mut ticket: Ticket) {
    ticket.advance(Event::Ended { end: End::ClientGone, usage: None, events: 0 }, AT);
}

#[test]
fn every_variable() {
    let body = json!({
        "model": "asked", "stream": true, "max_tokens": 50,
        "messages": [{"role": "system", "content": "1234"}, {"role": "user", "content": "5678"}],
        "temperature": 0.5, "n": 2, "logprobs": false, "stop": null, "user": "al\u{ef}ce", "tools": [{}],
    })
    .to_string();
    let check = |when: &str, expected: bool| {
        let host = host(vec![rule("it", when, "chosen")]);
        let headers: &[Field<'_>] = &[HEADERS[0], (b"x-tier", b"premium"), (b"x-tier", b"second")];
        let query = "variant=b&Empty=&space=a+b%21&bad=%zz&sign=%+5&variant=c";
        let request = Request {
            method: "POST",
            path: "/v1/chat/completions",
            query,
            headers: headers.into(),
            peer: "203.0.113.9",
            body: body.as_bytes(),
        };
        let ticket = host.decide(&request, AT, 0);
        assert_eq!(ticket.rule().is_some(), expected, "{when}");
        assert_eq!(ticket.model(), Some(if expected { "chosen" } else { "asked" }), "{when}");
        finish(ticket);
    };
    check(r#"headers["x-tier"] == "premium, second""#, true);
    check(r#"headers["X-Tier"] == "premium, second""#, true);
    check(r#"headers["x-tier"] == "premium""#, false);
    check(r#"headers["x-none"] == "premium""#, false);
    check(r#"has(headers.authorization) && !("x-none" in headers)"#, true);
    check("size(headers) == 2", true);
    check(r#"params.variant == "b""#, true);
    check(r#"params.empty == "" && params["space"] == "a b!""#, true);
    check("has(params.bad) || has(params.sign)", false);
    check("size(params) == 3", true);
    check(r#"model == "asked""#, true);
    check(r#"request_type == "chat_completion""#, true);
    check(r#"path.endsWith("/chat/completions")"#, true);
    check(r#"virtual_key_name == "test" && team_name == "search""#, true);
    check("tokens_used == 0.0 && requests_used == 0.0 && request == 0.0", true);
    // 3 for the prompt, 4 for each message, 8 bytes of text.
    check("prompt_tokens == 14 && message_count == 2", true);
    check(r#"last_user_text == "5678" && system_text == "1234""#, true);
    check("has_tools && !has_images", true);
    check(r#"key.name == "test" && team.name == "search" && user == "alïce""#, true);
    check(
        r#"body.temperature == 0.5 && body["n"] == 2 && body.logprobs == false && body.stop == null"#,
        true,
    );
    check(r#"body.user == "alïce" && !has(body.messages) && !has(body.tools) && !has(body.top_p)"#, true);
    check("size(body) == 8", true);
    check("body.top_p > 0.0", false);
    check("size(tags) == 0", true);
    check(r#"now == timestamp("2026-11-18T11:06:40Z")"#, true);
    check(r#"bucket("a") == bucket("a") && bucket("a") >= 0 && bucket("a") < 100"#, true);
    check("max_tokens == 50", true);
    check("stream", true);
    check("!stream", false);
    check(r#"client_ip == "203.0.113.9""#, true);
}

#[test]
fn fields_and_parameters_as_a_whole() {
    let check = |condition: &str, headers: &[Field<'_>], query: &str, matches: bool| {
        let host = host(vec![rule("it", condition, "chosen")]);
        let headers = [HEADERS, headers].concat();
        let body = common::body("asked");
        let ticket = host.decide(&Request { query, ..chat(&headers, body.as_bytes()) }, AT, 0);
        assert_eq!(ticket.rule(), matches.then_some("it"), "{condition}");
        finish(ticket);
    };
    let mixed: &[Field<'_>] =
        &[(b"x-b", b"1"), (b"x-a", b"2"), (b"x-b", b"3"), (b"x-c", b"\xff"), (b"x-a", b"4"), (b"x-b", b"")];
    check(
        r#"headers.exists(k, v, k == "x-b" && v == "1, 3, ") && headers["x-b"] == "1, 3, ""#,
        mixed,
        "",
        true,
    );
    check(
        r#"headers.exists(k, v, k == "x-a" && v == "2, 4") && !headers.exists(k, k == "x-c")"#,
        mixed,
        "",
        true,
    );
    check("size(headers) == 3", mixed, "", true);
    check(
        r#"size(params) == 2 && params.all(k, v, v == "1" || v == "3")"#,
        &[],
        "B=1&b=2&%zz=4&a=3&b=%zz",
        true,
    );
    // As many as a request may have: what is slower than linear would be noticed here.
    let same: Vec<Field<'_>> = vec![(b"x-same", b"abcdefgh"); 1_000 - HEADERS.len()];
    let (first, most) = ("a=1", (0..999).map(|each| format!("&p{each}=1")).collect::<String>());
    check(
        r#"headers.exists(k, v, v.size() > 9000) && size(headers) == 2 && size(params) == 1000"#,
        &same,
        &format!("{first}{most}"),
        true,
    );
}

#[test]
fn requests_with_too_many_fields_or_parameters_are_refused() {
    let check = |fields: usize, parameters: usize, part: Option<&str>| {
        let host = host(vec![]);
        let body = common::body("asked");
        let headers = [HEADERS, &vec![(&b"x-same"[..], &b""[..]); fields - HEADERS.len()]].concat();
        let query = vec!["a"; parameters].join("&");
        let ticket = host.decide(&Request { query: &query, ..chat(&headers, body.as_bytes()) }, AT, 0);
        match part {
            None => finish(ticket),
            Some(part) => {
                let refusal = common::refusal(&ticket);
                assert_eq!((refusal.status, refusal.code.name()), (431, "too_many_fields"));
                assert!(refusal.message.contains(part), "{}", refusal.message);
            }
        }
    };
    check(1_000, 1_000, None);
    check(1_001, 0, Some("1000 header fields"));
    check(10, 1_001, Some("1000 query parameters"));
}

#[test]
fn what_rules_read_may_be_as_large_as_the_body() {
    let check = |condition: &str, allowed: bool| {
        let compiled = edgeroute_rules::RuleSet::compile(&edgeroute_router::environment(), [condition]);
        assert_eq!(compiled.is_ok(), allowed, "{condition}");
    };
    for text in ["last_user_text", "system_text", "body.user"] {
        check(&format!("{text}.contains('x')"), true);
        check(&format!("{text}.matches('x.*y')"), true);
        check(&format!("{text}.startsWith('x') || {text} == 'y'"), true);
        check(&format!("['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].exists(word, {text}.contains(word))"), true);
        check(&format!("headers.exists(name, {text}.contains(name))"), false);
        check(&format!("params.exists(name, {text}.matches(params[name]))"), false);
    }
    check("headers.exists(name, name.startsWith('x-'))", true);
    check("headers.exists(name, headers[name].contains('x'))", true);
    check("body.exists(name, name == 'user')", true);
}

#[test]
fn a_client_behind_a_trusted_proxy() {
    let mut written = config(
        vec![openai("one")],
        vec![model("asked", &["one/asked"], &[]), model("chosen", &["one/chosen"], &[])],
        vec![rule("office", r#"client_ip.startsWith("198.51.100.")"#, "chosen")],
        limits(None, None, None),
    );
    written["trusted_proxies"] = json!(["10.0.0.0/8", "::1"]);
    let host = Host::new(&written);
    let headers: &[Field<'_>] = &[HEADERS[0], (b"x-forwarded-for", b"198.51.100.7")];
    let check = |peer: &str, rule: Option<&str>, client: &str| {
        let ticket = host.decide(&Request { peer, ..chat(headers, common::body("asked").as_bytes()) }, AT, 0);
        assert_eq!(ticket.rule(), rule, "{peer}");
        finish_and_record(&host, ticket, client);
    };
    check("10.1.2.3:80", Some("office"), " client=198.51.100.7 ");
    check("[::1]:80", Some("office"), " client=198.51.100.7 ");
    check("11.1.2.3:80", None, " client=11.1.2.3 ");
    check("", None, "path=/v1/chat/completions key=test");
}

#[test]
fn networks_of_trusted_proxies_are_checked() {
    let mut written = config(vec![], vec![], vec![], limits(None, None, None));
    written["trusted_proxies"] = json!(["10.0.0.0/8", "10.0.0.0/33"]);
    let cells = Cells::anonymous(Layout { exact: 8, gauges: 8, sums: 8, rows: 1 }).unwrap();
    let error = Snapshot::compile(written.to_string().as_bytes(), &cells, 1, 0).unwrap_err();
    assert_eq!(error.to_string(), "trusted_proxies: `10.0.0.0/33` is not a network like 10.0.0.0/8");
}

#[test]
fn the_first_match_acts() {
    let check = |rules: Vec<Value>, expected: (Option<&str>, &str)| {
        let host = host(rules);
        let ticket = host.chat("asked");
        assert_eq!((ticket.rule(), ticket.model().unwrap()), expected);
        finish(ticket);
    };
    check(vec![], (None, "asked"));
    check(vec![rule("a", "false", "other")], (None, "asked"));
    check(vec![rule("a", "true", "chosen"), rule("b", "true", "other")], (Some("a"), "chosen"));
    check(vec![rule("a", "false", "other"), rule("b", "true", "chosen")], (Some("b"), "chosen"));
    check(vec![reject("a", "stream", 403, "no"), rule("b", "true", "chosen")], (Some("b"), "chosen"));
}

#[test]
fn a_rule_that_cannot_be_evaluated_does_not_match_and_is_told_of() {
    let host = host(vec![
        rule("absent", r#"headers["x-none"] == "a""#, "other"),
        rule("zero", "1 / message_count > 0 && 1 / max_tokens > 0", "other"),
        rule("last", "true", "chosen"),
    ]);
    let ticket = host.chat("asked");
    assert_eq!(ticket.rule(), Some("last"));
    finish_and_record(&host, ticket, "rule_errors=zero ");
    let sums = host.sums();
    let errors = |rule: &str| sums.get(&format!("edgeroute_rule_errors_total{{rule=\"{rule}\"}}")).copied();
    assert_eq!(
        (errors("absent").unwrap_or(0), errors("zero")),
        (0, Some(1)),
        "an absent header is no mistake"
    );
    assert_eq!(sums["edgeroute_rule_matches_total{rule=\"last\"}"], 1);
}

#[test]
fn a_rule_refuses_with_its_own_words() {
    let host = host(vec![reject("blocked", r#"model.startsWith("ask")"#, 451, "not in this country")]);
    let ticket = host.chat("asked");
    let refusal = refusal(&ticket);
    assert_eq!(
        (refusal.status, refusal.code.name(), refusal.message.as_str()),
        (451, "rejected_by_rule", "not in this country")
    );
    assert_eq!((ticket.rule(), ticket.attempts()), (Some("blocked"), 0));
    finish_and_record(
        &host,
        ticket,
        "451 refused id=id path=/v1/chat/completions client=203.0.113.9 key=test requested=asked rule=blocked",
    );
    assert_eq!(host.window("limits/team/search/requests_per_minute"), 0, "nothing was reserved");
}

#[test]
fn what_is_used_counts_what_is_reserved() {
    let host = host(vec![
        rule("tokens", "tokens_used > 75", "other"),
        rule("requests", "requests_used >= 20", "chosen"),
    ]);
    let body = json!({"model": "asked", "max_tokens": 40_000, "messages": []}).to_string();
    let mut open = Vec::new();
    for expected in ["asked", "asked", "other"] {
        let ticket = match expected {
            "other" => host.chat("asked"),
            _ => host.decide(&chat(HEADERS, body.as_bytes()), AT, 0),
        };
        assert_eq!(ticket.model(), Some(expected));
        open.push(ticket);
    }
    open.into_iter().for_each(finish);
    let ticket = host.chat("asked");
    assert_eq!(ticket.model(), Some("chosen"), "tokens were given back, requests count");
    finish(ticket);
}

fn finish_and_record(host: &Host, mut ticket: Ticket, expected: &str) {
    let mut log = Vec::new();
    ticket.advance(common::complete(), AT);
    ticket.record("id", AT, LogFormat::Text, &mut log);
    let line = String::from_utf8(log).unwrap();
    assert!(line.contains(expected), "{line}");
    assert!(host.gauges().is_empty());
}
