//! What rules and expressions come to.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;

use edgeroute_rules::{
    Attribute, Diagnostic, Environment, ErrorKind, Expression, Kind, Match, RuleSet, Source, Type, Value,
};

const HEADERS: usize = 0;
const MODEL: usize = 1;
const TOKENS_USED: usize = 2;
const PARAMS: usize = 3;

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("model", Type::String)
        .declare("tokens_used", Type::Double)
        .declare("params", Type::map(Type::String, Type::Dyn))
        .declare("unset", Type::Bool)
}

/// A request that notes what it was asked for.
#[derive(Default)]
struct Request {
    headers: Vec<(&'static str, &'static str)>,
    tokens_used: f64,
    asked: RefCell<Vec<Attribute>>,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        self.asked.borrow_mut().push(attribute.clone());
        match (attribute.variable, attribute.key.as_deref()) {
            (HEADERS, Some(key)) => {
                self.headers.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).into())
            }
            (HEADERS, None) => {
                let entries = self.headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
                Some(Value::map(entries.collect::<Vec<_>>()))
            }
            (MODEL, None) => Some("gpt-5-mini".into()),
            (TOKENS_USED, None) => Some(self.tokens_used.into()),
            (PARAMS, Some("temperature")) => Some(0.5.into()),
            (PARAMS, Some("tags")) => Some(Value::list(vec!["a".into(), "b".into()])),
            (PARAMS, Some("metadata")) => Some(Value::map(vec![("tier".into(), "gold".into())])),
            (PARAMS, Some("n")) => Some(2_i64.into()),
            _ => None,
        }
    }
}

fn request() -> Request {
    Request {
        headers: vec![("x-tier", "premium"), ("x-empty", ""), ("gpt-5-mini", "named")],
        tokens_used: 80.0,
        ..Request::default()
    }
}

#[test]
fn expressions_have_the_value_the_language_gives_them() {
    let text = |text: &'static str| Ok(Value::from(text));
    let bool = |truth: bool| Ok(Value::Bool(truth));
    let cases: Vec<(&str, Result<Value<'_>, ErrorKind>)> = vec![
        // Attributes.
        (r#"headers["x-tier"]"#, text("premium")),
        (r#"headers["X-Tier"]"#, text("premium")),
        ("headers.`x-tier`", text("premium")),
        (r#"headers["x-none"]"#, Err(ErrorKind::NoSuchKey)),
        ("headers[model]", text("named")),
        (r#"headers["X-" + "TIER"]"#, text("premium")),
        (r#"headers[model + "-X"]"#, Err(ErrorKind::NoSuchKey)),
        (r#""X-Tier" in headers"#, bool(true)),
        (r#""x-none" in headers"#, bool(false)),
        ("model in headers", bool(true)),
        ("has(headers.x)", bool(false)),
        ("has(headers.`x-empty`)", bool(true)),
        ("size(headers)", Ok(Value::Int(3))),
        ("params.temperature < 1", bool(true)),
        (r#"params.tags[1] + params["tags"][0]"#, text("ba")),
        (r#"params.metadata.tier == "gold" && has(params.metadata.tier)"#, bool(true)),
        ("has(params.metadata.other) || has(params.other)", bool(false)),
        ("has(params.n.other)", Err(ErrorKind::NoOverloadFor(Kind::Int))),
        ("unset", Err(ErrorKind::NoValue)),
        // Logic absorbs errors, on either side.
        ("unset || true", bool(true)),
        ("false && unset", bool(false)),
        ("unset && tokens_used < 1", bool(false)),
        ("tokens_used > 1 || unset", bool(true)),
        ("unset || tokens_used < 1", Err(ErrorKind::NoValue)),
        ("!unset", Err(ErrorKind::NoValue)),
        ("unset ? 1 : 2", Err(ErrorKind::NoValue)),
        ("tokens_used > 1 ? 1 : 1 / 0", Ok(Value::Int(1))),
        ("params.n || true", bool(true)),
        ("params.n || false", Err(ErrorKind::NoOverloadFor(Kind::Int))),
        // Numbers.
        ("7 / 2 * 2 + 7 % 2 - 1", Ok(Value::Int(6))),
        ("-7 / 2", Ok(Value::Int(-3))),
        ("-7 % 2", Ok(Value::Int(-1))),
        ("params.n / 0", Err(ErrorKind::DivisionByZero)),
        ("params.n % 0", Err(ErrorKind::DivisionByZero)),
        ("1.0 / 0.0 > 1e308", bool(true)),
        ("9223372036854775807 + 1", Err(ErrorKind::Overflow)),
        ("-9223372036854775808 / -1", Err(ErrorKind::Overflow)),
        ("-(-9223372036854775808)", Err(ErrorKind::Overflow)),
        ("1u - 2u", Err(ErrorKind::Overflow)),
        ("params.n + 1.5", Err(ErrorKind::NoOverload(Kind::Int, Kind::Double))),
        ("1 == 1.0 && 1u == 1 && 2u > 1.5 && -1 < 0u", bool(true)),
        ("75 < tokens_used && 80 == tokens_used && 80 >= tokens_used", bool(true)),
        ("0.0 / 0.0 == 0.0 / 0.0", bool(false)),
        ("0.0 / 0.0 < 1.0 || 0.0 / 0.0 >= 1.0", bool(false)),
        // Text, bytes, lists and maps.
        (r#"model.startsWith("gpt-") && model.endsWith("mini") && model.contains("-5-")"#, bool(true)),
        (r#"model.startsWith("GPT")"#, bool(false)),
        ("params.n.contains('a')", Err(ErrorKind::NoOverload(Kind::Int, Kind::String))),
        ("size('äö😀') + 'äö'.size() + size(b'ä')", Ok(Value::Int(7))),
        ("'a' < 'b' && b'a' < b'b' && false < true", bool(true)),
        (r#"model in ["gpt-5", "gpt-5-mini"]"#, bool(true)),
        ("1.0 in [1u, 2u] && !('a' in {'b': 1})", bool(true)),
        ("[1, [2.0]] == [1u, [2]] && [1] != [1, 1]", bool(true)),
        ("{'a': 1, 'b': 2} == {'b': 2.0, 'a': 1u}", bool(true)),
        ("{'a': 1}.a + {1: 2}[1u]", Ok(Value::Int(3))),
        ("dyn(1) == 'a'", bool(false)),
        ("dyn(1) < 'a'", Err(ErrorKind::NoOverload(Kind::Int, Kind::String))),
        ("[1, 2][2]", Err(ErrorKind::IndexOutOfRange)),
        ("[1, 2][-1]", Err(ErrorKind::IndexOutOfRange)),
        ("{'a': 1}['b']", Err(ErrorKind::NoSuchKey)),
        ("{model: 1, 'gpt-5-mini': 2}", Err(ErrorKind::DuplicateKey)),
        ("{params.temperature: 1}", Err(ErrorKind::InvalidKey(Kind::Double))),
        ("[model][0] + '!'", text("gpt-5-mini!")),
        // What is not asked for is not evaluated.
        ("cel.bind(a, unset, false && a)", bool(false)),
        ("cel.bind(a, 1 / 0, 2)", Ok(Value::Int(2))),
        ("cel.bind(a, 1 / 0, 0 < a)", Err(ErrorKind::DivisionByZero)),
        ("cel.bind(a, [1].map(x, x + 1), [5].map(x, a[0] + x)[0] + a[0])", Ok(Value::Int(9))),
        ("[1, 2].map(x, cel.bind(x, x + 1, cel.bind(y, x * 2, [0].map(x, y)[0])))[1]", Ok(Value::Int(6))),
        ("[1, 2].map(x, [0].map(y, x)[0])[1]", Ok(Value::Int(2))),
        ("[1, 2].map(x, [0].map(y, [3].map(z, z + y)[0])[0])[1]", Ok(Value::Int(3))),
        ("optional.none().orValue(1 / 0)", Err(ErrorKind::DivisionByZero)),
        // What is in an empty list may be of any type.
        ("timestamp(0) - [][0] == duration('1s')", Err(ErrorKind::IndexOutOfRange)),
    ];
    for (source, expected) in cases {
        let expression = Expression::compile(&environment(), source)
            .unwrap_or_else(|errors| panic!("{source} {errors:?}"));
        assert_eq!(expression.evaluate(&request()).map_err(|error| error.kind), expected, "{source}");
    }
}

#[test]
fn an_unchecked_expression_fails_when_it_is_evaluated() {
    for (source, expected) in [
        ("nothing || true", Ok(Value::Bool(true))),
        ("nothing", Err(ErrorKind::UnknownVariable)),
        ("model.nothing() || true", Ok(Value::Bool(true))),
        ("size(1, 2)", Err(ErrorKind::NoOverload(Kind::Int, Kind::Int))),
        ("false || 'a'", Err(ErrorKind::NoOverloadFor(Kind::String))),
        ("true ? 'a' : 1", Ok(Value::from("a"))),
        ("{'a': 1}.sortBy(k, k)", Err(ErrorKind::NoOverloadFor(Kind::Map))),
    ] {
        let expression = Expression::compile_unchecked(&environment(), source).unwrap();
        assert_eq!(expression.evaluate(&request()).map_err(|error| error.kind), expected, "{source}");
    }
}

#[test]
fn what_rules_share_is_one_attribute() {
    let rules = RuleSet::compile(
        &environment(),
        [
            r#"headers["x-tier"] == "free""#,
            r#"headers.`X-Tier` == "trial" && tokens_used > 10"#,
            r#""x-tier" in headers && headers["x-region"] == "eu" || 1 / 0 == 1"#,
            r#"headers["x-region"] == "us" || "premium" == headers["x-tier"] && tokens_used > 75"#,
        ],
    )
    .unwrap();
    let entry = |key: &str| Attribute::new(HEADERS, Some(key.into()));
    let tokens_used = Attribute::new(TOKENS_USED, None);
    assert_eq!(rules.attributes(), [entry("x-tier"), tokens_used.clone(), entry("x-region")]);
    assert_eq!((rules.uses(HEADERS), rules.uses(TOKENS_USED), rules.uses(MODEL)), (true, true, false));

    let request = request();
    let mut errors = Vec::new();
    let mut pass = rules.pass(&request);
    assert_eq!(
        pass.first_match(&[], |index, error| errors.push((index, error.kind, error.span()))),
        Some(Match { rule: 3, error: None })
    );
    // Rule 2 asks for a header that is absent, which goes without saying; rule 1 never gets as far as the tokens.
    assert_eq!(errors, [(2, ErrorKind::DivisionByZero, 54..59)]);
    // Each is read once to find the rule; why another cannot be evaluated is found by reading what that asks for again.
    let [tier, region] = [entry("x-tier"), entry("x-region")];
    assert_eq!(*request.asked.borrow(), [tier.clone(), region.clone(), tokens_used, tier, region]);
    assert_eq!(pass.evaluate(0), Ok(false));
    assert_eq!(pass.evaluate(9), Ok(false));
    assert_eq!(request.asked.borrow().len(), 5);
}

#[test]
fn a_map_read_as_a_whole_is_an_attribute_too() {
    let rules =
        RuleSet::compile(&environment(), ["headers[model] == \"named\" && size(headers) > 1"]).unwrap();
    assert_eq!(rules.attributes(), [Attribute::new(MODEL, None), Attribute::new(HEADERS, None)]);
    assert!(rules.uses(HEADERS));
    assert_eq!(rules.pass(&request()).first_match(&[], |_, _| {}), Some(Match { rule: 0, error: None }));
}

#[test]
fn what_is_constant_reads_nothing() {
    for (source, expected) in [
        ("1 + 1 == 2 || headers.x == \"a\"", true),
        ("\"a\" in [\"b\"] && headers.x == \"a\"", false),
        ("size(\"abc\") == 3 ? true : unset", true),
    ] {
        let rules = RuleSet::compile(&environment(), [source]).unwrap();
        assert_eq!(rules.attributes(), [], "{source}");
        assert_eq!(rules.pass(&()).evaluate(0), Ok(expected), "{source}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let source = "tokens_used > 75 &&\n  headers[\"x-none\"] == \"a\"";
    let rules = RuleSet::compile(&environment(), [source]).unwrap();
    let error = rules.pass(&request()).evaluate(0).unwrap_err();
    assert_eq!(error.to_string(), "there is no such key");
    assert_eq!(
        Diagnostic::from(error).render("absent", source),
        "ERROR: absent:2:3: there is no such key [evaluation_failed]\n \
         |   headers[\"x-none\"] == \"a\"\n \
         | ..^^^^^^^^^^^^^^^^^\n"
    );
}

#[test]
fn a_value_of_another_type_than_declared_is_an_error_of_the_rule() {
    struct Wrong;
    impl Source for Wrong {
        fn attribute(&self, _: &Attribute) -> Option<Value<'_>> {
            Some(Value::Null)
        }
    }
    for source in
        ["tokens_used > 75", "unset", "model.contains(\"a\")", "size(headers) > 1", "-tokens_used < 1"]
    {
        let rules = RuleSet::compile(&environment(), [source]).unwrap();
        assert!(rules.pass(&Wrong).evaluate(0).is_err(), "{source}");
    }
}
