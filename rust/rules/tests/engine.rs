//! The engine against what it must agree with: rules tried one by one by the general evaluator.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::cell::Cell;
use std::mem::discriminant;

use edgeroute_rules::{
    Attribute, Code, Diagnostic, Environment, ErrorKind, EvaluationError, Match, OnError, Rule, RuleSet,
    RuleSummary, Scalar, Source, Strategy, Summary, Type, Value,
};
use proptest::prelude::{
    BoxedStrategy, Just, ProptestConfig, Strategy as Generator, any, prop, prop_oneof, proptest,
};
use proptest::prelude::{prop_assert, prop_assert_eq};

const KEYS: [&str; 3] = ["a", "b", "c"];
const STRATEGIES: [Strategy; 3] = [Strategy::Scan, Strategy::Hash, Strategy::Bits];

/// Variables: `texts`, `numbers` and `flags` are maps of declared types, `anything` is a map of any values; `team` and
/// `count` are plain.
fn environment() -> Environment {
    Environment::new()
        .declare("texts", Type::map(Type::String, Type::String))
        .declare("numbers", Type::map(Type::String, Type::Double))
        .declare("flags", Type::map(Type::String, Type::Bool))
        .declare("anything", Type::map(Type::String, Type::Dyn))
        .declare("team", Type::String)
        .declare("count", Type::Int)
}

/// Values by variable and key; those of plain variables are under the first key.
#[derive(Debug, Clone)]
struct Request {
    values: [[Option<Value<'static>>; 3]; 6],
    typed: bool,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let values = &self.values[attribute.variable];
        match (&attribute.key, attribute.variable) {
            (Some(key), _) => values[KEYS.iter().position(|known| **known == **key)?].clone(),
            (None, 4 | 5) => values[0].clone(),
            (None, _) => {
                let entries = KEYS.iter().zip(values);
                let present = entries.filter_map(|(key, value)| Some((Value::from(*key), value.clone()?)));
                Some(Value::map(present.collect::<Vec<_>>()))
            }
        }
    }

    /// Under one key as they are, under another as bytes, else not at all.
    fn scalar(&self, attribute: &Attribute) -> Scalar<'_> {
        let [one, other, _] = &self.values[attribute.variable];
        match (attribute.key.as_deref(), attribute.variable) {
            (Some("a"), _) | (None, 4 | 5) => match one {
                None => Scalar::Absent,
                Some(Value::String(text)) => Scalar::Text(text),
                Some(Value::Int(number)) => Scalar::Number(*number as f64),
                Some(Value::Uint(number)) => Scalar::Number(*number as f64),
                Some(Value::Double(number)) => Scalar::Number(*number),
                Some(_) => Scalar::Other,
            },
            (Some("b"), _) => match other {
                Some(Value::String(text)) => Scalar::Bytes(text.as_bytes()),
                _ => Scalar::Other,
            },
            _ => Scalar::Other,
        }
    }

    fn is_typed(&self) -> bool {
        self.typed
    }
}

fn text() -> BoxedStrategy<Value<'static>> {
    prop::sample::select(vec!["x", "y", "z", "xy", "a", "a text of more than 16 bytes", "ä"])
        .prop_map(Value::from)
        .boxed()
}

fn number() -> BoxedStrategy<Value<'static>> {
    prop_oneof![
        (-1..4_i64).prop_map(Value::Int),
        (0..4_u64).prop_map(Value::Uint),
        prop::sample::select(vec![-0.0, 0.5, 1.0, 2.0, f64::NAN, 9_007_199_254_740_992.0])
            .prop_map(Value::Double),
        prop::sample::select(vec![9_007_199_254_740_993, 9_007_199_254_740_991, i64::MAX])
            .prop_map(Value::Int),
    ]
    .boxed()
}

fn anything() -> BoxedStrategy<Value<'static>> {
    prop_oneof![
        4 => text(),
        4 => number(),
        2 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(Value::list(vec![Value::Int(1)])),
    ]
    .boxed()
}

/// Requests that lack a third of everything; some give values of types that are not the declared ones.
fn requests() -> impl Generator<Value = Request> {
    let values = |of_type: BoxedStrategy<Value<'static>>, typed: bool| {
        let value = if typed { of_type } else { prop_oneof![3 => of_type, 1 => anything()].boxed() };
        prop::array::uniform3(prop::option::weighted(0.66, value))
    };
    let flags = || any::<bool>().prop_map(Value::from).boxed();
    any::<bool>()
        .prop_flat_map(move |typed| {
            let variables = (
                values(text(), typed),
                values(number(), typed),
                values(flags(), typed),
                values(anything(), true),
                values(text(), typed),
                values(number(), typed),
            );
            (variables, Just(typed))
        })
        .prop_map(|((texts, numbers, flags, anything, team, count), typed)| Request {
            values: [texts, numbers, flags, anything, team, count],
            typed,
        })
}

/// Tests of one attribute that the engine has its own code for, or an index.
fn equalities() -> impl Generator<Value = String> {
    let name =
        prop::sample::select(vec!["texts.a", "texts.b", "texts.c", "anything.a", "anything.b", "team"]);
    let text = prop::sample::select(vec!["x", "y", "z", "a text of more than 16 bytes"]);
    prop_oneof![
        4 => (name.clone(), text).prop_map(|(name, text)| format!("{name} == \"{text}\"")),
        1 => name.clone().prop_map(|name| format!("\"x\" != {name}")),
        1 => name.prop_map(|name| format!("{name} in [\"x\", \"xy\"]")),
        1 => prop::sample::select(vec![
            "texts.a in []",
            "anything.a in [\"x\", null]",
            "anything.a in [1, \"x\", true]",
            "numbers.a == 1",
            "2.0 == numbers.b",
            "numbers.b in [1u, 2.0]",
            "numbers.c == 9007199254740993",
            "count == 9007199254740991",
            "flags.a == true",
            "anything.b == [1]",
            "anything.c == null",
            "\"a\" in texts",
            "has(texts.b)",
            "!has(anything.a)",
            "texts[?\"a\"].orValue(\"\") == \"x\"",
            "texts[?\"b\"].orValue(\"x\") == \"x\"",
            "texts[?\"c\"].orValue(\"x\") != \"y\"",
            "\"x\" != anything[?\"a\"].orValue(\"x\")",
            "anything[?\"b\"].orValue(\"z\") in [\"x\", \"z\"]",
        ])
        .prop_map(String::from),
    ]
}

fn conditions() -> impl Generator<Value = String> {
    let others = prop::sample::select(vec![
        "true",
        "false",
        "flags.a",
        "flags.b",
        "anything.c",
        "numbers.a > 1",
        "numbers.b <= 2",
        "1.5 < count",
        "anything.a >= 1",
        "numbers.c < 9007199254740993",
        "texts.a.startsWith(\"x\")",
        "texts.b.contains(\"y\")",
        "anything.b.endsWith(\"y\")",
        "texts[?\"a\"].orValue(\"\").contains(\"y\")",
        "texts[?\"b\"].orValue(\"yes\").startsWith(\"y\")",
        "anything[?\"a\"].orValue(\"y\").endsWith(\"y\")",
        "numbers[?\"b\"].orValue(2.0) >= 2",
        "anything[?\"c\"].orValue(1) < 2",
        "anything[?\"c\"].orValue(\"1\") < 2",
        "texts.c < \"y\"",
        "anything.a < \"y\"",
        "10 / count == 5",
        "count + 1 > 2",
        "2 * count - 1 <= count",
        "count + count + 9223372036854775805 != 9223372036854775807",
        "count - 9223372036854775807 - 3 < -1",
        "numbers.a + numbers.b > 1.0",
        "anything.a + 1 >= 2",
        "dyn(count) == anything.b",
        "1 / 0 == 1",
        "size(texts.a) > 1",
        "texts.a + texts.b == \"xy\"",
        "size(texts) > 1",
        "texts[texts.a] == \"x\"",
        "numbers.a == numbers.b",
        "{\"x\": true}[texts.c]",
        "texts.b in dyn(1)",
        "dyn(1)",
    ])
    .prop_map(String::from);
    let leaf = prop_oneof![3 => equalities(), 2 => others];
    let joined = |operator: &'static str| {
        move |terms: Vec<String>| format!("({})", terms.join(&format!(" {operator} ")))
    };
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            2 => inner.clone().prop_map(|operand| format!("!({operand})")),
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(joined("&&")),
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(joined("||")),
            2 => [inner.clone(), inner.clone(), inner].prop_map(|[c, x, y]| format!("(({c}) ? ({x}) : ({y}))")),
        ]
    })
}

/// A rule's condition, what its scope wants the team to be, and whether it stops.
type Written = (String, Option<&'static str>, bool);

fn rules() -> impl Generator<Value = Vec<Written>> {
    let guarded = (equalities(), equalities(), conditions())
        .prop_map(|(first, second, rest)| format!("{first} && {second} && ({rest})"));
    let partly = (equalities(), conditions()).prop_map(|(first, rest)| format!("({rest}) && {first}"));
    let condition = prop_oneof![4 => guarded, 3 => partly, 2 => conditions()];
    let scope = prop::option::weighted(0.2, prop::sample::select(vec!["x", "y"]));
    let rule = (condition, scope, prop::bool::weighted(0.1)).boxed();
    // The many are more than the bits of few rules.
    prop_oneof![9 => prop::collection::vec(rule.clone(), 1..40), 1 => prop::collection::vec(rule, 130..200)]
}

fn compile(rules: &[Written], strategy: Option<Strategy>) -> RuleSet {
    let rules = rules.iter().map(|(condition, scope, stops)| Rule {
        condition,
        scope: scope.map(|wanted| ("team", wanted)),
        on_error: if *stops { OnError::Stop } else { OnError::Pass },
    });
    RuleSet::compile_with(&environment(), rules, strategy).unwrap()
}

type Report = Vec<(usize, ErrorKind, std::ops::Range<usize>)>;

/// What a search must find, rule by rule.
fn one_by_one(
    set: &RuleSet,
    rules: &[Written],
    request: &Request,
    except: &[usize],
) -> (Option<Match>, Report) {
    let mut pass = set.pass(request);
    let mut report = Vec::new();
    for (index, (_, scope, stops)) in rules.iter().enumerate() {
        let team = &request.values[4][0];
        if except.contains(&index) || scope.is_some_and(|wanted| *team != Some(Value::from(wanted))) {
            continue;
        }
        match pass.evaluate(index) {
            Ok(true) => return (Some(Match { rule: index, error: None }), report),
            Ok(false) => {}
            Err(error) => {
                if *stops || !matches!(error.kind, ErrorKind::NoSuchKey | ErrorKind::NoValue) {
                    report.push((index, error.kind, error.span()));
                }
                if *stops {
                    return (Some(Match { rule: index, error: Some(error.into()) }), report);
                }
            }
        }
    }
    (None, report)
}

fn searched(set: &RuleSet, request: &impl Source, except: &[usize]) -> (Option<Match>, Report) {
    let mut report = Vec::new();
    let found =
        set.pass(request).first_match(except, |index, error| report.push((index, error.kind, error.span())));
    (found, report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_way_to_search_finds_and_reports_the_same(
        rules in rules(),
        requests in prop::collection::vec(requests(), 6),
        except in prop::collection::vec(0..40_usize, 0..4),
    ) {
        let set = compile(&rules, None);
        let expected: Vec<_> =
            requests.iter().map(|request| one_by_one(&set, &rules, request, &except)).collect();
        for strategy in [None].into_iter().chain(STRATEGIES.map(Some)) {
            let set = compile(&rules, strategy);
            for (request, expected) in requests.iter().zip(&expected) {
                let found = searched(&set, request, &except);
                prop_assert_eq!(&found, expected, "{:?} {:#?} {:?}", strategy, &rules, request);
                let found = searched(&set, &WithoutScalars { request, reads: Cell::new(0) }, &except);
                prop_assert_eq!(&found, expected, "no scalars: {:?} {:#?} {:?}", strategy, &rules, request);
            }
        }
    }

    /// What an attribute is instead of being absent, as an expression that the engine does not see through.
    #[test]
    fn another_value_is_a_choice(
        request in requests(),
        attribute in prop::sample::select(vec![
            ("texts", "a"), ("texts", "b"), ("texts", "c"), ("numbers", "a"), ("anything", "a"), ("anything", "b"),
        ]),
        other in prop::sample::select(vec!["\"\"", "\"x\"", "\"yes\"", "1", "2.0", "true", "null", "[1]"]),
        test in prop::sample::select(vec![
            "$ == \"x\"", "\"x\" == $", "$ != \"x\"", "$ in [\"x\", 1]", "$ < 2", "2 <= $", "$ > \"w\"", "$ == null",
            "$.contains(\"x\")", "$.startsWith(\"x\")", "$.endsWith(\"s\")", "\"yes\".contains($)",
        ]),
    ) {
        let (map, key) = attribute;
        let written = |value: String| (test.replace('$', &value), None, false);
        let rules = [
            written(format!("dyn({map}[?\"{key}\"].orValue(dyn({other})))")),
            written(format!("dyn(has({map}.{key}) ? {map}.{key} : dyn({other}))")),
            written(format!("{map}[?\"{key}\"].orValue({other})")),
        ];
        let rules: Vec<Written> = rules.into_iter().filter(|rule| {
            RuleSet::compile(&environment(), [&*rule.0]).is_ok()
        }).collect();
        prop_assert!(rules.len() >= 2, "{:?}", rules);
        let set = compile(&rules, None);
        let mut pass = set.pass(&request);
        // Of two types that do not fit, either may be named first.
        let kind = |outcome: Result<bool, EvaluationError>| outcome.map_err(|error| discriminant(&error.kind));
        let expected = kind(pass.evaluate(1));
        for (index, rule) in rules.iter().enumerate() {
            prop_assert_eq!(kind(pass.evaluate(index)), expected, "{:?} {:?}", rule, &request);
            for strategy in STRATEGIES {
                let set = compile(std::slice::from_ref(rule), Some(strategy));
                let found = searched(&set, &request, &[]).0;
                prop_assert_eq!(found.is_some(), expected == Ok(true), "{:?} {:?}", rule, &request);
            }
        }
    }

    #[test]
    fn guards_are_necessary(rules in rules(), requests in prop::collection::vec(requests(), 6)) {
        let set = compile(&rules, None);
        let summary = set.summary();
        for request in &requests {
            for (index, rule) in summary.rules.iter().enumerate() {
                let Some((attribute, values)) = &rule.guard else { continue };
                let outcome = set.pass(request).evaluate(index);
                match request.attribute(attribute) {
                    Some(found) if !values.iter().any(|value| value.equals(&found)) => {
                        prop_assert_eq!(outcome, Ok(false), "{:?}", rules[index]);
                    }
                    None if !rule.tried_if_absent => {
                        prop_assert!(outcome != Ok(true), "{:?}", rules[index]);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn one_rule_is_tried_and_more_are_indexed() {
    let check = |count: usize, rule: fn(usize) -> String, expected: Strategy| {
        let rules: Vec<String> = (0..count).map(rule).collect();
        assert_eq!(RuleSet::compile(&environment(), &rules).unwrap().summary().strategy, expected, "{count}");
    };
    let guarded = |number: usize| format!("texts.a == \"{number}\" && count > {number}");
    check(0, guarded, Strategy::Scan);
    check(1, guarded, Strategy::Scan);
    check(2, guarded, Strategy::Hash);
    check(5_000, |number| format!("texts.a == \"{number}\""), Strategy::Hash);
    check(
        5_000,
        |number| format!("texts.a == \"{}\" && team == \"{}\"", number % 7, number % 9),
        Strategy::Bits,
    );
    check(100, |number| format!("count > {number}"), Strategy::Scan);
}

#[test]
fn the_same_question_is_one_wherever_it_is_written() {
    let rules = [
        r#"texts[?"a"].orValue("").contains("x")"#,
        r#"flags.a && texts[?"a"].orValue("").contains("x")"#,
        r#"flags.a && texts.a.contains("x")"#,
        r#"texts.a.contains("x")"#,
    ];
    assert_eq!(RuleSet::compile(&environment(), rules).unwrap().summary().predicates, 3);
}

#[test]
fn computed_integers_are_compared_like_others() {
    for operator in ["==", "!=", "<", "<=", ">", ">="] {
        for sum in ["count + 1", "count - -1", "2 * count - count + 1"] {
            let rules = [format!("{sum} {operator} 3"), format!("count + 2 {operator} {sum} + 3 - 2")];
            let simple = [format!("count {operator} 2"), format!("2 {operator} 2")];
            for (rule, simple) in rules.iter().zip(&simple) {
                for count in [1, 2, 3] {
                    let mut request = Request { values: Default::default(), typed: true };
                    request.values[5][0] = Some(Value::Int(count));
                    let matches = |rule: &String| {
                        let set = RuleSet::compile(&environment(), [rule]).unwrap();
                        searched(&set, &request, &[]).0.is_some()
                    };
                    assert_eq!(matches(rule), matches(simple), "{rule} where count is {count}");
                }
            }
        }
    }
}

#[test]
fn the_summary_says_how_each_rule_is_found() {
    let rules = [
        r#"texts.a == "x" && count > 75"#,
        r#"texts.a in ["x", "y"] && texts.b == "z""#,
        r#"texts.a == "x" || texts.a == "y" && flags.a"#,
        r#"texts.a == "x" || texts.b == "y""#,
        r#"texts.a != "x""#,
        r#"!(texts.a != "y" || count > 75)"#,
        r#"texts.a == "y" && 10 / count > 1"#,
        r#"has(texts.a) && texts.a == "x" && 10 / count > 1"#,
        r#"flags.a ? team == "x" : team == "y""#,
        r#"team == "x" ? flags.a : false"#,
        r#"team in ["x", "y"] && team in ["y", "z"] && !has(texts.c)"#,
    ];
    let summary = RuleSet::compile(&environment(), rules).unwrap().summary();
    assert_eq!(
        ways(&summary),
        [
            (guard(0, Some("a"), "x"), false),
            // The other one is rarer, but would have to be read for this rule alone.
            (guard(0, Some("a"), "x y"), false),
            (guard(0, Some("a"), "x y"), false),
            (None, false),
            (None, false),
            (guard(0, Some("a"), "y"), false),
            // The division may fail, whether or not the text is there; with `has` it does not come to that.
            (guard(0, Some("a"), "y"), true),
            (guard(0, Some("a"), "x"), false),
            (None, false),
            (guard(4, None, "x"), false),
            // That a text is absent would be necessary too, but that is no rare thing.
            (guard(4, None, "y"), false),
        ]
    );
    assert_eq!((summary.predicates, summary.shared), (14, 6));
}

#[test]
fn rules_that_say_what_is_read_instead_are_indexed_too() {
    let rules = [
        r#"texts[?"a"].orValue("") in ["x", "y"] && count > 75"#,
        r#"texts[?"a"].orValue("x") == "x""#,
        r#"texts[?"a"].orValue("") != "x""#,
    ];
    let summary = RuleSet::compile(&environment(), rules).unwrap().summary();
    let expected = [(guard(0, Some("a"), "x y"), false), (guard(0, Some("a"), "x"), true), (None, false)];
    assert_eq!(ways(&summary), expected);
}

type Guard = (usize, Option<String>, String);

fn guard(variable: usize, key: Option<&str>, values: &str) -> Option<Guard> {
    Some((variable, key.map(str::to_owned), values.to_owned()))
}

/// How each rule is found: its guard, and whether it is tried where that attribute is absent.
fn ways(summary: &Summary) -> Vec<(Option<Guard>, bool)> {
    let way = |rule: &RuleSummary| {
        let guard = rule.guard.as_ref().and_then(|(attribute, values)| {
            let values: Vec<String> = values
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.to_string(),
                    other => format!("{other:?}"),
                })
                .collect();
            guard(attribute.variable, attribute.key.as_deref(), &values.join(" "))
        });
        (guard, rule.tried_if_absent)
    };
    summary.rules.iter().map(way).collect()
}

/// Tells no scalars, and counts how often attributes are read.
struct WithoutScalars<'r> {
    request: &'r Request,
    reads: Cell<usize>,
}

impl Source for WithoutScalars<'_> {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        self.reads.set(self.reads.get() + 1);
        self.request.attribute(attribute)
    }
}

/// The same of a source that tells scalars, too, which are not counted.
struct WithScalars<'r>(WithoutScalars<'r>);

impl Source for WithScalars<'_> {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        self.0.attribute(attribute)
    }

    fn scalar(&self, attribute: &Attribute) -> Scalar<'_> {
        self.0.request.scalar(attribute)
    }
}

#[test]
fn texts_that_are_compared_are_read_once_however_many_rules_compare_them() {
    let long = |place: usize| Some(Value::from("a long text ".repeat(20 + place)));
    let request = Request { values: std::array::from_fn(|_| std::array::from_fn(long)), typed: false };
    let rules: Vec<String> = (0..100)
        .map(|number| {
            format!(
                "texts.a == texts.b + \"{number}\" || texts.b.startsWith(\"{number}\") || texts.a == texts.b"
            )
        })
        .collect();
    let set = RuleSet::compile(&environment(), &rules).unwrap();
    let source = WithScalars(WithoutScalars { request: &request, reads: Cell::new(0) });
    assert_eq!(set.pass(&source).first_match(&[], |_, _| {}), None);
    assert_eq!(source.0.reads.get(), 2);
}

#[test]
fn attributes_are_read_once_however_many_rules_ask() {
    let values = std::array::from_fn(|_| std::array::from_fn(|_| Some(Value::from("x"))));
    let request = Request { values, typed: false };
    // More than fit the pass without allocation.
    let names = (0..40).map(|number| format!("texts.k{number} == \"x\""));
    let rules: Vec<String> = names
        .cycle()
        .zip(0..200)
        .map(|(name, number)| format!("{name} && texts.a == \"{number}\""))
        .collect();
    for strategy in STRATEGIES {
        let set = RuleSet::compile_with(&environment(), &rules, Some(strategy)).unwrap();
        let source = WithoutScalars { request: &request, reads: Cell::new(0) };
        let mut pass = set.pass(&source);
        for _ in 0..2 {
            assert_eq!(pass.first_match(&[], |_, _| {}), None);
        }
        assert!(source.reads.get() <= 41, "{strategy:?}: {}", source.reads.get());
    }
}

#[test]
fn attributes_are_left_unread_where_others_find_the_same_rules() {
    let request = |text| {
        let values = std::array::from_fn(|_| std::array::from_fn(|_| Some(Value::from(text))));
        Request { values, typed: false }
    };
    let by_one = (0..20).map(|number| format!("texts.a == \"{number}\""));
    let by_either =
        (0..2).map(|number| format!("texts.a in [\"0\", \"1\", \"2\"] && texts.b == \"{number}\""));
    let by_other = (0..20).map(|number| format!("texts.b == \"{number}\""));
    let check = |rules: Vec<String>, text: &'static str, expected: usize| {
        let set = RuleSet::compile_with(&environment(), &rules, Some(Strategy::Hash)).unwrap();
        let request = request(text);
        let source = WithoutScalars { request: &request, reads: Cell::new(0) };
        set.pass(&source).first_match(&[], |_, _| {});
        assert_eq!(source.reads.get(), expected, "{rules:?} {text}");
    };
    let without_other: Vec<String> = by_one.chain(by_either).collect();
    let with_other: Vec<String> = without_other.iter().cloned().chain(by_other).collect();
    check(without_other.clone(), "unknown", 1);
    check(without_other, "2", 1);
    check(with_other, "unknown", 2);
}

#[test]
fn every_rule_of_many_is_found() {
    // Up to more than a block of bits has, found by more attributes than a search has room for without allocation.
    struct Named(usize);
    impl Source for Named {
        fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
            let of_rule = format!("k{}", self.0 % 20);
            let text =
                if attribute.key.as_deref() == Some(&of_rule) { self.0.to_string() } else { "other".into() };
            Some(Value::from(text))
        }
    }
    for (count, strategy) in
        [1, 64, 65, 128, 129, 1_100].into_iter().flat_map(|count| STRATEGIES.map(|each| (count, each)))
    {
        let rules: Vec<String> = (0..count)
            .map(|number| format!("texts.k{} == \"{number}\" && team == \"other\"", number % 20))
            .collect();
        let set = RuleSet::compile_with(&environment(), &rules, Some(strategy)).unwrap();
        for number in [0, 1, 63, 64, 127, 128, 511, 512, 575, 1_023, 1_024, 1_099, 1_100] {
            let expected = (number < count).then_some(Match { rule: number, error: None });
            let source = Named(number);
            let first = |except: &[usize]| set.pass(&source).first_match(except, |_, _| {});
            assert_eq!(first(&[]), expected, "{strategy:?} {number} of {count}");
            assert_eq!(first(&[number]), None, "{strategy:?} {number} of {count}");
            assert_eq!(first(&[number + 1]), expected, "{strategy:?} {number} of {count}");
        }
    }
}

#[test]
fn a_rule_that_holds_is_not_evaluated_again_because_a_later_one_failed() {
    // Twice would be too much work.
    let costly = "lists.range(6000).all(i, i >= 0 || flags.a)";
    let rules = [
        Rule { condition: costly, scope: None, on_error: OnError::Stop },
        Rule { condition: r#"texts.a == "x" && 10 / count == 5"#, scope: None, on_error: OnError::Stop },
    ];
    let mut request = Request { values: std::array::from_fn(|_| [None, None, None]), typed: true };
    request.values[0][0] = Some(Value::from("x"));
    request.values[5][0] = Some(Value::Int(0));
    for strategy in STRATEGIES {
        let set = RuleSet::compile_with(&environment(), rules, Some(strategy)).unwrap();
        let found =
            set.pass(&request).first_match(&[], |rule, error| panic!("{strategy:?} {rule}: {error:?}"));
        assert_eq!(found, Some(Match { rule: 0, error: None }), "{strategy:?}");
    }
}

#[test]
fn a_scope_must_be_a_variable_of_text() {
    let check = |scope: &str, expected: Result<(), (&str, Option<&str>)>| {
        let rule = Rule { condition: "true", scope: Some((scope, "x")), on_error: OnError::Pass };
        let found = RuleSet::compile(&environment(), [rule]).map(|_| ());
        let expected = expected.map_err(|(message, help)| {
            vec![(
                0,
                Diagnostic {
                    code: Code::InvalidScope,
                    span: 0..0,
                    message: message.into(),
                    labels: Vec::new(),
                    help: help.map(Into::into),
                },
            )]
        });
        assert_eq!(found, expected, "{scope}");
    };
    check("team", Ok(()));
    check(
        "tem",
        Err(("there is no variable `tem` for the scope of this rule", Some("did you mean `team`?"))),
    );
    check("customer", Err(("there is no variable `customer` for the scope of this rule", None)));
    check("count", Err(("a scope is a variable of type string; `count` is int", None)));
}

#[test]
fn what_is_wrong_goes_before_what_is_absent() {
    let request = Request { values: std::array::from_fn(|_| [None, None, None]), typed: true };
    for (source, expected) in [
        ("texts.a == \"x\" && 1 / 0 == 1", ErrorKind::DivisionByZero),
        ("1 / 0 == 1 && texts.a == \"x\"", ErrorKind::DivisionByZero),
        ("texts.a == \"x\" || (count > 1 && dyn(1))", ErrorKind::NoOverloadFor(edgeroute_rules::Kind::Int)),
        ("dyn(1) || 1 / 0 == 1", ErrorKind::NoOverloadFor(edgeroute_rules::Kind::Int)),
        ("count > 1 || texts.a == \"x\"", ErrorKind::NoValue),
        ("texts.a == \"x\" ? 1 / 0 == 1 : true", ErrorKind::NoSuchKey),
    ] {
        let rules = RuleSet::compile(&environment(), [source]).unwrap();
        assert_eq!(rules.pass(&request).evaluate(0).unwrap_err().kind, expected, "{source}");
    }
}
