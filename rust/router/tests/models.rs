//! Which model answers: names, aliases, wildcards, what a team may ask for, and what a snapshot refuses.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{
    AT, HEADERS, Host, acting, alias, chat, config, limits, model, openai, pool, refusal, rule, targets,
};
use edgeroute_router::{Request, Snapshot, Step};
use edgeroute_shared::{Cells, Layout};
use serde_json::{Value, json};

/// Three providers and models of all kinds, for a team that may use anything.
fn everything() -> Value {
    config(
        vec![openai("one"), openai("two"), openai("three")],
        vec![
            model("fast", &["one/small"], &[]),
            model("smart", &["one/large", "two/large"], &["fast"]),
            alias("gpt-4o", "best"),
            alias("best", "smart"),
            model("one/*", &["one/*"], &[]),
            model("one/gpt-*", &["two/openai/gpt-*"], &[]),
            model("one/gpt-5", &["three/fixed"], &[]),
            model("any-*", &["one/small"], &["two-*"]),
            model("two-*", &["two/*"], &[]),
            alias("my-*", "one/*"),
            alias("mine", "one/llama"),
            model("both", &["one/a"], &["one/b", "my-c", "two-*"]),
        ],
        vec![],
        limits(None, None, None),
    )
}

#[test]
fn names_lead_to_targets() {
    let mut config = everything();
    config["defaults"]["attempts"] = json!(16);
    config["teams"][0]["aliases"] = json!({"ours": "smart", "fast": "one/gpt-6"});
    let host = Host::new(&config);
    let check = |name: &str, expected: &[&str]| {
        let ticket = host.chat(name);
        assert!(matches!(ticket.step(), Step::Attempt), "{name}: {:?}", ticket.step());
        assert_eq!(targets(ticket), expected, "{name}");
    };
    check("smart", &["one/large", "two/large", "one/small"]);
    check("best", &["one/large", "two/large", "one/small"]);
    check("gpt-4o", &["one/large", "two/large", "one/small"]);
    // The longest prefix wins, an exact name before it; the rest stands for the `*`.
    check("one/gpt-5", &["three/fixed"]);
    check("one/gpt-4.1", &["two/openai/gpt-4.1"]);
    check("one/gpt-", &["two/openai/gpt-"]);
    check("one/llama/8b", &["one/llama/8b"]);
    check("any-thing", &["one/small", "two/thing"]);
    check("my-llama", &["one/llama"]);
    check("mine", &["one/llama"]);
    // Fallbacks by name have a rest of their own; a pattern takes the client's name.
    check("both", &["one/a", "one/b", "one/c", "two/both"]);
    // A team's own names come first.
    check("ours", &["one/large", "two/large", "one/small"]);
    check("fast", &["two/openai/gpt-6"]);
}

#[test]
fn the_body_names_the_model_as_its_provider_does() {
    let host = Host::new(&everything());
    for (name, expected) in [("gpt-4o", "large"), ("one/gpt-4.1", "openai/gpt-4.1"), ("one/\"x\"", "\"x\"")] {
        let body = common::body(name);
        let mut ticket = host.chat(name);
        let out = common::spliced(&ticket, body.as_bytes());
        let sent: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(sent["model"], expected, "{name}");
        ticket.advance(common::complete(), AT);
    }
}

#[test]
fn unknown_names_get_near_ones() {
    let host = Host::new(&everything());
    let check = |name: &str, part: &str| {
        let ticket = host.chat(name);
        let refusal = refusal(&ticket);
        assert_eq!((refusal.status, refusal.code.name()), (404, "model_not_found"));
        assert_eq!(refusal.field, Some("model"));
        assert!(refusal.message.contains(part), "{}", refusal.message);
    };
    check("smrt", "there is no model `smrt`; did you mean `smart`");
    check("gpt4o", "did you mean `gpt-4o`?");
    check("something-else-entirely", "GET /v1/models lists");
    check("", "there is no model ``");
    check(&"y".repeat(1_000), &format!("`{}…`", "y".repeat(80)));
}

#[test]
fn near_names_are_found_among_thousands() {
    let models = (0..5_000).map(|index| model(&format!("team-{index:04}/model"), &["one/a"], &[]));
    let models = models.chain([model("claude-sonnet", &["one/b"], &[])]).collect();
    let host = Host::new(&config(vec![openai("one")], models, vec![], limits(None, None, None)));
    for (name, near) in [("claude-sonet", "claude-sonnet"), ("team4321/model", "team-4321/model")] {
        let ticket = host.chat(name);
        let message = &refusal(&ticket).message;
        assert!(message.contains(&format!("did you mean `{near}`")), "{message}");
    }
}

/// A team that may use some models, with an alias.
fn confined() -> Host {
    let mut config = everything();
    config["teams"][0]["models"] = json!(["fast", "gpt-4o", "one/gpt-*"]);
    config["teams"][0]["aliases"] = json!({"ours": "fast", "theirs": "smart"});
    config["rules"] = json!([rule("tier", r#"headers["x-tier"] == "premium""#, "smart")]);
    Host::new(&config)
}

#[test]
fn a_team_asks_for_its_models_only() {
    let host = confined();
    let check = |name: &str, expected: &str| {
        let ticket = host.chat(name);
        let found = match ticket.step() {
            Step::Refuse(refusal) => format!("{} {}", refusal.status, refusal.code.name()),
            _ => ticket.target().unwrap().into_owned(),
        };
        assert_eq!(found, expected, "{name}");
        targets(ticket);
    };
    check("fast", "one/small");
    check("gpt-4o", "one/large");
    check("ours", "one/small");
    check("theirs", "403 model_not_allowed");
    check("one/gpt-9", "two/openai/gpt-9");
    check("smart", "403 model_not_allowed");
    check("best", "403 model_not_allowed");
    check("one/llama", "403 model_not_allowed");
    // Only what the team may use is told.
    let message = refusal(&host.chat("smar")).message.clone();
    assert!(!message.contains("`smart`"), "{message}");
}

#[test]
fn a_rule_may_choose_what_the_team_may_not_ask_for() {
    let headers = [HEADERS[0], (b"x-tier", b"premium")];
    let ticket = confined().decide(&chat(&headers, common::body("fast").as_bytes()), AT, 0);
    assert_eq!((ticket.rule(), ticket.model()), (Some("tier"), Some("smart")));
    targets(ticket);
}

#[test]
fn the_models_of_a_key() {
    let check = |host: &Host, expected: &[&str]| {
        let request = Request {
            method: "GET",
            path: "/v1/models",
            query: "",
            headers: HEADERS.into(),
            peer: "",
            body: b"",
        };
        let ticket = host.decide(&request, AT, 0);
        let Step::List(names) = ticket.step() else { panic!("{:?}", ticket.step()) };
        assert_eq!(names, expected);
    };
    check(&Host::new(&everything()), &["best", "both", "fast", "gpt-4o", "mine", "one/gpt-5", "smart"]);
    check(&confined(), &["fast", "gpt-4o", "one/gpt-5", "ours"]);
}

#[test]
fn configurations_that_cannot_be_enforced() {
    let check = |change: &dyn Fn(&mut Value), expected: &str| {
        let mut config = everything();
        change(&mut config);
        let cells = Cells::anonymous(Layout::default()).unwrap();
        let error = Snapshot::compile(config.to_string().as_bytes(), &cells, 1, 0).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} instead of {expected:?}");
    };
    let add = |config: &mut Value, model: Value| config["models"].as_array_mut().unwrap().push(model);
    let cycle = "form a cycle";
    check(&|config| add(config, alias("self", "self")), cycle);
    check(
        &|config| {
            add(config, alias("left", "right"));
            add(config, alias("right", "left"));
        },
        cycle,
    );
    check(&|config| add(config, model("own", &["one/a"], &["own"])), "model `own` form a cycle");
    check(
        &|config| {
            add(config, model("ping", &["one/a"], &["pong"]));
            add(config, alias("pong", "p2"));
            add(config, model("p2", &["one/a"], &["fast", "ping"]));
        },
        cycle,
    );
    check(&|config| add(config, alias("x", "nothing")), "names the model `nothing`, which does not exist");
    check(&|config| add(config, model("x", &["one/a"], &["nothing"])), "model `x` names the model `nothing`");
    check(&|config| add(config, model("x", &["nobody/a"], &[])), "names the provider `nobody`");
    check(&|config| add(config, model("fast", &["one/a"], &[])), "the model `fast` stands there twice");
    check(&|config| add(config, pool("x", &[("one", "a", 0)], true, &[])), "no target has a weight above 0");
    check(
        &|config| config["rules"] = json!([rule("r", "true", "nothing")]),
        "rule `r` names the model `nothing`",
    );
    check(&|config| config["rules"] = json!([rule("r", "size(1)", "fast")]), "rule `r`: ");
    check(&|config| config["rules"] = json!([rule("r", "unknown == 1", "fast")]), "unknown");
    check(&|config| config["rules"] = json!([acting("r", "true", json!({}))]), "rule `r` has no action");
    let with = |settings: Value| {
        move |config: &mut Value| {
            config["rules"] = json!([acting("r", "true", settings.clone())]);
        }
    };
    check(&with(json!({"tag": "t", "team": "none"})), "rule `r` names the team `none`");
    check(&with(json!({"tag": "t", "virtual_key": "none"})), "rule `r` names the virtual key `none`");
    check(&with(json!({"tag": "t", "virtual_key": "test", "team": "search"})), "rule `r` has two scopes");
    check(&with(json!({"pin": {"provider": "none", "model": "a"}})), "rule `r` names the provider `none`");
    check(&with(json!({"fallbacks": {"add": true, "models": ["none"]}})), "rule `r` names the model `none`");
    check(&|config| config["teams"][0]["aliases"] = json!({"a": "nothing"}), "team `search` names the model");
    check(&|config| config["virtual_keys"][0]["team"] = json!("none"), "names the team `none`");
    check(&|config| config["virtual_keys"][0]["hash"] = json!("+f".repeat(32)), "not 64 hex digits");
    check(
        &|config| {
            let mut second = config["virtual_keys"][0].clone();
            second["name"] = json!("second");
            config["virtual_keys"].as_array_mut().unwrap().push(second);
        },
        "virtual key `second` has the hash of another key",
    );
    check(&|config| config["providers"][0]["dialect"] = json!("gopher"), "names the dialect `gopher`");
    check(&|config| config["providers"][0]["dialect"] = json!("openai-responses"), "names the dialect");
    check(&|config| config["defaults"]["attempts"] = json!(0), "attempts must be 1 or more");
    check(&|config| config["surprise"] = json!(1), "unknown field `surprise`");
    check(&|config| config["models"] = json!(7), "cannot be read");
}

#[test]
fn fallbacks_that_meet_again_are_no_cycle() {
    let mut config = everything();
    config["models"] = json!([
        model("top", &["one/top"], &["left", "right"]),
        model("left", &["one/left"], &["end"]),
        model("right", &["one/right"], &["end"]),
        model("end", &["one/end"], &[]),
    ]);
    config["defaults"]["attempts"] = json!(16);
    assert_eq!(targets(Host::new(&config).chat("top")), ["one/top", "one/left", "one/end", "one/right"]);
}

#[test]
fn long_chains_compile() {
    let mut config = everything();
    let name = |index: usize| format!("m{index}");
    let chain = (0..400).map(|index| {
        let next = name(index + 1);
        if index % 2 == 0 { alias(&name(index), &next) } else { model(&name(index), &["one/a"], &[&next]) }
    });
    config["models"] = chain.chain([model(&name(400), &["one/end"], &[])]).collect();
    assert_eq!(targets(Host::new(&config).chat("m399")), ["one/a", "one/end"]);
}

#[test]
fn secrets_do_not_print() {
    let mut config = everything();
    config["providers"][0]["credentials"] = json!(["sk-very-secret"]);
    let host = Host::new(&config);
    let printed = format!("{:?} {:?}", host.snapshot, host.chat("nothing"));
    assert!(printed.contains("Secret(…)") && !printed.contains("very-secret"));
}
