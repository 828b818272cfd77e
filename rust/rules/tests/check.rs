//! What the checker says about rules that cannot be meant.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use edgeroute_rules::{Environment, Expression, RuleSet, Type};

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("params", Type::map(Type::String, Type::Dyn))
        .declare("model", Type::String)
        .declare("tokens_used", Type::Double)
        .declare("prompt_tokens", Type::Int)
        .declare("stream", Type::Bool)
        .declare("tags", Type::list(Type::String))
        .declare("team.name", Type::String)
}

#[test]
fn mistakes_are_found_where_they_stand() {
    use edgeroute_rules::Code::*;
    // What is said is in tests/golden; here is where it is said, and under which code.
    for (source, culprit, code) in [
        ("headrs[\"x\"] == \"a\"", "headrs", UnknownVariable),
        ("True", "True", UnknownVariable),
        ("team.nam == \"a\"", "team.nam", UnknownVariable),
        ("req.headers.a == \"a\"", "req.headers", UnknownVariable),
        ("stream || tokens_used > \"75\"", "tokens_used > \"75\"", TypeMismatch),
        ("headers[\"x-count\"] > 5", "headers[\"x-count\"] > 5", TypeMismatch),
        ("tokens_used * 2 > 1", "tokens_used * 2", TypeMismatch),
        ("prompt_tokens % 2u == 0", "prompt_tokens % 2u", TypeMismatch),
        ("model == null", "model == null", TypeMismatch),
        ("stream - stream", "stream - stream", TypeMismatch),
        ("\"gpt\" in model", "\"gpt\" in model", TypeMismatch),
        ("tags < tags", "tags < tags", TypeMismatch),
        ("1 in tags", "1 in tags", TypeMismatch),
        ("1 < prompt_tokens < 3", "1 < prompt_tokens < 3", TypeMismatch),
        ("model && stream", "model", NotACondition),
        ("stream || prompt_tokens", "prompt_tokens", NotACondition),
        ("!model", "!model", NotACondition),
        ("-model == model", "-model", TypeMismatch),
        ("model.startswith(\"a\")", "startswith", UnknownFunction),
        ("contains(model, \"a\")", "contains", UnknownFunction),
        ("tags.all(tag == \"a\")", "all", UnknownFunction),
        ("any(tags, tag, tag == \"a\")", "any", UnknownFunction),
        ("tokens_used.contains(\"a\")", "contains", WrongArgument),
        ("model.contains()", "contains", WrongArgument),
        ("size(1) > 0", "size", WrongArgument),
        ("model.size == 1", "size", UnknownField),
        ("headers[1] == \"a\"", "1", TypeMismatch),
        ("tags[\"a\"] == \"a\"", "\"a\"", TypeMismatch),
        ("model[0] == \"a\"", "model", TypeMismatch),
        ("{1.5: 2} == {}", "1.5", TypeMismatch),
        ("(stream ? 1 : \"a\") == 1", "1 : \"a\"", TypeMismatch),
        ("params.a + 1 == \"a\"", "params.a + 1 == \"a\"", TypeMismatch),
        ("params.a * 2.0 == \"a\"", "params.a * 2.0 == \"a\"", TypeMismatch),
        ("(\"a\" + params.a)[0] == \"a\"", "(\"a\" + params.a)", TypeMismatch),
        ("duration(\"1s\") - params.a == \"a\"", "duration(\"1s\") - params.a == \"a\"", TypeMismatch),
        ("model", "model", NotACondition),
        ("model.matches(\"(\")", "(", InvalidPattern),
        ("model.matches(r\"(?<=a)\")", "(?<=", InvalidPattern),
        ("timestamp(\"today\") == timestamp(\"now\")", "today", InvalidConstant),
    ] {
        let errors = RuleSet::compile(&environment(), [source]).unwrap_err();
        let (0, error) = &errors[0] else { panic!("{source}: {errors:?}") };
        assert_eq!(error.code, code, "{source}");
        // The culprit is what is marked.
        assert_eq!(&source[error.span.clone()], culprit, "{source}");
        assert!(error.help.is_some() || !error.labels.is_empty(), "{source}");
    }
}

#[test]
fn what_may_be_meant_is_accepted() {
    for source in [
        "tokens_used > 75",
        "75 < tokens_used",
        "prompt_tokens == 1.0",
        "params.temperature > 0.5",
        "params[\"a\"].b.c == null",
        "params.flag",
        "params.a + 1 == 2",
        "params.a + 1 > 2.5 && params.a + params.b == \"a\" && params.a + [1] == [\"a\", 1]",
        "[timestamp(\"2026-11-23T00:00:00Z\")].all(t, t - params.a == t && t - params.a == t - t && params.a + t == t)",
        "dyn(model) == 1",
        "model in [\"a\", \"b\"]",
        "\"x\" in tags || \"x\" in headers || \"x\" in params.list",
        "has(headers.tier) && headers[model] == tags[0]",
        "[1, \"a\"] == [2]",
        "(stream ? [] : [1]) == [1]",
        "team.name.startsWith(\"search\")",
    ] {
        RuleSet::compile(&environment(), [source]).unwrap_or_else(|errors| panic!("{source}: {errors:?}"));
    }
}

#[test]
fn every_error_of_every_rule_is_reported_at_once() {
    let rules = ["modl == \"a\" && tokens > 1 && model.matches(\"[\")", "stream", "model ==", "!tags"];
    let errors = RuleSet::compile(&environment(), rules).unwrap_err();
    let found: Vec<(usize, &str)> = errors.iter().map(|(index, error)| (*index, &*error.message)).collect();
    assert_eq!(
        found,
        [
            (0, "there is no variable `modl`"),
            (0, "there is no variable `tokens`"),
            (0, "this class is never closed"),
            (2, "there is nothing after `==`"),
            (3, "`!` stands before conditions, which are true or false"),
        ]
    );
    let (_, first) = errors.first().unwrap();
    assert_eq!(
        first.render("cheap", "modl == \"a\" && tokens > 1"),
        "ERROR: cheap:1:1: there is no variable `modl` [unknown_variable]\n \
         | modl == \"a\" && tokens > 1\n \
         | ^^^^\n \
         = help: did you mean `model`?\n"
    );
    assert_eq!(first.position("modl"), (1, 1));
}

#[test]
fn types_are_deduced() {
    for (source, expected) in [
        ("1 + 2", "int"),
        ("tags + [model]", "list(string)"),
        ("[1, 2.0]", "list(dyn)"),
        ("{model: tokens_used}", "map(string, double)"),
        ("headers.a", "string"),
        ("headers", "map(string, string)"),
        ("params.a", "dyn"),
        ("size(tags)", "int"),
        ("stream ? 1u : 2u", "uint"),
        ("b'' + b''", "bytes"),
        ("null", "null"),
        // What is in an empty list may be of any type, and what is made of it.
        ("timestamp(0) - [][0]", "dyn"),
        ("duration([][0])", "duration"),
    ] {
        assert_eq!(
            Expression::compile(&environment(), source).unwrap().result_type().to_string(),
            expected,
            "{source}"
        );
    }
}

#[test]
fn declared_functions_have_a_type() {
    let signatures =
        ["quota(string) -> int", "quota(int) -> string", "string.quota() -> bool", "com.first(list(A)) -> A"];
    let environment = signatures
        .into_iter()
        .fold(environment(), |environment, signature| environment.declare_function(signature).unwrap());
    for (source, expected) in [
        ("quota(model)", "int"),
        ("quota(1)", "string"),
        ("model.quota()", "bool"),
        ("com.first([1.5])", "double"),
        ("com.first(tags).quota()", "bool"),
    ] {
        let expression = Expression::compile(&environment, source).unwrap();
        assert_eq!(expression.result_type().to_string(), expected, "{source}");
    }
    for source in ["quota(1.5)", "quota()", "1.quota()", "first([1])"] {
        assert!(Expression::compile(&environment, source).is_err(), "{source}");
    }
    assert!(environment.declare_function("quota").is_err());
}

#[test]
fn without_macros_they_are_unknown_functions() {
    let environment = environment().without_macros();
    for source in
        ["has(params.a)", "tags.exists(t, t == model)", "cel.bind(a, 1, a)", "optional.of(1).optMap(a, a)"]
    {
        assert!(Expression::compile(&environment, source).is_err(), "{source}");
    }
    assert!(Expression::compile(&environment, "size(tags) > 1 && model.startsWith('a')").is_ok());
}

#[test]
fn declared_variables_are_told_with_their_types() {
    let environment = Environment::new()
        .declare_map_lowercase("headers", Type::Int)
        .declare("a.b", Type::Bool)
        .declare_keyed("bucket", Type::Uint);
    let told: Vec<(&str, String)> =
        environment.variables().map(|(name, of_type)| (name, of_type.to_string())).collect();
    let expected = [("headers", "map(string, int)"), ("a.b", "bool"), ("bucket", "map(string, uint)")];
    assert_eq!(told, expected.map(|(name, of_type)| (name, of_type.to_owned())));
}
