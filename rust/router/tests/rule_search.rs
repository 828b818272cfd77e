//! How the rules of a configuration are searched, told in the words of its conditions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;

use common::{Host, config, limits, model, openai, rule};
use edgeroute_router::RuleSearch;
use serde_json::json;

fn search(rules: &[(String, String)]) -> RuleSearch {
    let rules = rules.iter().map(|(name, when)| rule(name, when, "smart")).collect();
    let config = config(
        vec![openai("one")],
        vec![model("smart", &["one/large"], &[])],
        rules,
        limits(None, None, None),
    );
    RuleSearch::of(&Host::new(&config).snapshot)
}

#[test]
fn each_rule_is_told_with_its_guard() {
    let conditions = [
        r#"headers["x-tier"] == "premium""#,
        r#"model in ["a", "b"] && tokens_used > 75"#,
        "tokens_used > 75",
        r#"bucket("new") == 7"#,
        r#"headers["x-tier"] == "gold" && 1 / message_count > 0"#,
    ];
    let named: Vec<_> =
        conditions.iter().zip('a'..).map(|(when, name)| (name.to_string(), (*when).to_owned())).collect();
    assert_eq!(
        serde_json::to_value(search(&named)).unwrap(),
        json!({"strategy": "hash", "predicates": 6, "shared": 1, "rules": [
            {"name": "a", "guard": {"attribute": "headers[\"x-tier\"]", "values": ["\"premium\""]}, "tried_if_absent": false},
            {"name": "b", "guard": {"attribute": "model", "values": ["\"a\"", "\"b\""]}, "tried_if_absent": false},
            {"name": "c", "guard": null, "tried_if_absent": false},
            {"name": "d", "guard": {"attribute": "bucket(\"new\")", "values": ["7"]}, "tried_if_absent": false},
            {"name": "e", "guard": {"attribute": "headers[\"x-tier\"]", "values": ["\"gold\""]}, "tried_if_absent": true},
        ]})
    );
}

#[test]
fn many_rules_are_searched_by_an_index() {
    let rules: Vec<_> =
        (0..100).map(|number| (format!("r{number}"), format!(r#"model == "m{number}""#))).collect();
    assert_eq!(search(&rules).strategy, "hash");
    assert_eq!(search(&[]).rules, []);
}
