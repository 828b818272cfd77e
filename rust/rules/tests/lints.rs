//! What lints say is true: compared with the evaluation of random rules for every request of a small world.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use edgeroute_rules::{
    Attribute, Code, Environment, NamedRule, OnError, Rule, RuleSet, Source, Type, Value, lint,
};
use proptest::prelude::*;

const MODEL: usize = 0;
const COUNT: usize = 1;
const STREAM: usize = 2;
const HEADERS: usize = 3;

fn environment() -> Environment {
    Environment::new()
        .declare("model", Type::String)
        .declare("count", Type::Int)
        .declare("stream", Type::Bool)
        .declare_map_lowercase("headers", Type::String)
}

struct Request {
    model: &'static str,
    count: i64,
    stream: bool,
    tier: Option<&'static str>,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        Some(match attribute.variable {
            MODEL => Value::from(self.model),
            COUNT => Value::Int(self.count),
            STREAM => Value::Bool(self.stream),
            HEADERS => Value::from(self.tier?),
            _ => return None,
        })
    }
}

fn world() -> Vec<Request> {
    let mut requests = Vec::new();
    for model in ["", "a", "b", "ab", "ba", "abc"] {
        for count in -1..4 {
            for stream in [true, false] {
                for tier in [None, Some("a"), Some("ab"), Some("c")] {
                    requests.push(Request { model, count, stream, tier });
                }
            }
        }
    }
    requests
}

#[test]
fn parts_of_a_definition_are_not_taken_for_the_whole() {
    let environment = environment().define("small", "!(size(model) > 3) && !(size(model) < 1)").unwrap();
    let found = |rules: [&str; 2]| {
        let named = |(index, condition)| NamedRule {
            name: ["first", "second"][index],
            rule: Rule::from(condition),
            is_last: true,
        };
        let found = lint(&environment, rules.into_iter().enumerate().map(named));
        found.iter().map(|(index, diagnostic)| (*index, diagnostic.code)).collect::<Vec<_>>()
    };
    assert_eq!(found(["small", "!small"]), []);
    assert_eq!(found(["small", "stream && small"]), [(1, Code::UnreachableRule)]);
    assert_eq!(found(["small", "small"]), [(1, Code::DuplicateRule)]);
}

fn condition() -> impl Strategy<Value = String> {
    let text = prop::sample::select(vec!["", "a", "b", "ab", "c"]);
    let subject = prop::sample::select(vec!["model", "headers.x", "headers[?\"x\"].orValue(\"a\")"]);
    let test = prop::sample::select(vec!["startsWith", "endsWith", "contains"]);
    let leaf = prop_oneof![
        (subject.clone(), prop::sample::select(vec!["==", "!="]), text.clone())
            .prop_map(|(subject, operator, text)| format!("{subject} {operator} \"{text}\"")),
        (subject.clone(), prop::collection::vec(text.clone(), 0..3))
            .prop_map(|(subject, texts)| format!("{subject} in {texts:?}")),
        (subject, test, text).prop_map(|(subject, test, text)| format!("{subject}.{test}(\"{text}\")")),
        (prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]), -1..4)
            .prop_map(|(operator, number)| format!("count {operator} {number}")),
        Just("stream".to_owned()),
        Just("stream == true".to_owned()),
        Just("\"x\" in headers".to_owned()),
        Just("size(model) > 1".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" && "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| format!("({})", all.join(" || "))),
            inner.clone().prop_map(|one| format!("!({one})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn named<'r>(rules: &'r [String]) -> impl Iterator<Item = NamedRule<'r>> {
    rules.iter().map(|rule| NamedRule { name: "named", rule: Rule::from(rule), is_last: true })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_is_true(rules in prop::collection::vec(condition(), 1..5)) {
        let set = RuleSet::compile(&environment(), &rules).unwrap();
        let found = lint(&environment(), named(&rules));
        for request in world() {
            let outcomes: Vec<_> = {
                let mut pass = set.pass(&request);
                (0..rules.len()).map(|index| pass.evaluate(index)).collect()
            };
            for (index, finding) in &found {
                let is_whole = finding.message.starts_with("this condition");
                match finding.code {
                    Code::AlwaysFalse if is_whole => prop_assert_ne!(&outcomes[*index], &Ok(true), "{}", rules[*index]),
                    Code::AlwaysTrue if is_whole => prop_assert_ne!(&outcomes[*index], &Ok(false), "{}", rules[*index]),
                    Code::UnreachableRule | Code::DuplicateRule if outcomes[*index] == Ok(true) => {
                        prop_assert!(outcomes[..*index].contains(&Ok(true)), "{rules:?}");
                    }
                    Code::NegatedMissingKey | Code::MissingKey => {
                        prop_assert!(rules[*index].contains("headers.x"), "{}", rules[*index]);
                    }
                    _ => {}
                }
            }
        }
    }

    /// A rule is outrun by itself, however it is spaced, and by any part of its conjunction.
    #[test]
    fn what_is_outrun_is_found(first in condition(), second in condition()) {
        let rules = [first.clone(), format!("  {first}"), format!("{second} && ({first})")];
        let set = RuleSet::compile(&environment(), &rules).unwrap();
        let holds = |index| world().iter().any(|request| set.pass(request).evaluate(index) == Ok(true));
        let found = lint(&environment(), named(&rules));
        let is_outrun = |index: usize| {
            found.iter().any(|(rule, finding)| {
                *rule == index
                    && matches!(finding.code, Code::UnreachableRule | Code::DuplicateRule | Code::AlwaysFalse)
            })
        };
        prop_assert!(is_outrun(1) || !holds(1), "{}", rules[1]);
    }
}

#[test]
fn what_decides_whether_rules_are_compared() {
    let rule = |condition, scope, is_last| NamedRule {
        name: "named",
        rule: Rule { condition, scope, on_error: OnError::Pass },
        is_last,
    };
    let (a, b) = (Some(("model", "a")), Some(("model", "b")));
    for (earlier, later, is_outrun) in [
        (rule("stream", None, true), rule("stream", None, true), true),
        (rule("stream", None, true), rule("stream", a, true), true),
        (rule("stream", a, true), rule("stream", a, true), true),
        (rule("stream", a, true), rule("stream", b, true), false),
        (rule("stream", a, true), rule("stream", None, true), false),
        (rule("stream", None, false), rule("stream", None, true), false),
    ] {
        let found = lint(&environment(), [earlier, later]);
        assert_eq!(
            found.iter().any(|(_, finding)| finding.code == Code::DuplicateRule),
            is_outrun,
            "{later:?}"
        );
    }
}

#[test]
fn rules_that_are_always_tried_are_noted_where_there_are_many() {
    let mut rules: Vec<String> = (0..20).map(|number| format!("model == \"m{number}\"")).collect();
    rules.push("count > 5".to_owned());
    let codes = |rules: &[String]| -> Vec<(usize, Code)> {
        lint(&environment(), named(rules)).iter().map(|(index, finding)| (*index, finding.code)).collect()
    };
    assert_eq!(codes(&rules), [(20, Code::NotIndexed)]);
    assert_eq!(codes(&rules[10..]), []);
}

#[test]
fn the_work_grows_as_the_rules_do() {
    let many = |number: usize| -> Vec<String> {
        (0..number)
            .map(|at| format!("headers[\"x-{at}\"] == \"v\" && count > {} && model != \"m\"", at % 7))
            .collect()
    };
    // All in one bucket, a chain of contradictory terms, and of alternatives.
    let alike: Vec<String> = (0..2_000).map(|at| format!("count > {at} && stream")).collect();
    let chain = vec![(0..900).map(|at| format!("count != {at}")).collect::<Vec<_>>().join(" && ")];
    let choice = vec![(0..900).map(|at| format!("model == \"m{at}\"")).collect::<Vec<_>>().join(" || ")];
    for rules in [many(2_000), alike, chain, choice] {
        let started = Instant::now();
        lint(&environment(), named(&rules));
        // A hang guard: seconds in a debug build, of what takes tenths of one.
        assert!(started.elapsed() < Duration::from_secs(60), "{}", rules[0]);
    }
}
