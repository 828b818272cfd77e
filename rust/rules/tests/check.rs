//! What the checker says about rules that cannot be meant.
#![allow(clippy::unwrap_used, reason = "tests")]

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
    let no_help = "";
    for (source, culprit, message, help) in [
        ("headrs[\"x\"] == \"a\"", "headrs", "there is no variable `headrs`", "did you mean `headers`?"),
        ("True", "True", "there is no variable `True`", "did you mean `true`?"),
        (
            "weather",
            "weather",
            "there is no variable `weather`",
            "variables are headers, params, model, tokens_used, prompt_tokens, stream, tags, team.name",
        ),
        (
            "stream || tokens_used > \"75\"",
            "tokens_used > \"75\"",
            "`>` is not defined for a double and a string",
            "write 75 without quotes",
        ),
        (
            "headers[\"x-count\"] > 5",
            "headers[\"x-count\"] > 5",
            "`>` is not defined for a string and an int",
            "put the number in quotes to compare it as text",
        ),
        ("tokens_used * 2 > 1", "tokens_used * 2", "`*` is not defined for a double and an int", "write 2.0"),
        (
            "prompt_tokens % 2u == 0",
            "prompt_tokens % 2u",
            "`%` is not defined for an int and a uint",
            no_help,
        ),
        ("model == null", "model == null", "`==` is not defined for a string and null", no_help),
        ("stream - stream", "stream - stream", "`-` is not defined for a bool and a bool", no_help),
        (
            "\"gpt\" in model",
            "\"gpt\" in model",
            "`in` is not defined for a string and a string",
            "`in` looks in lists and maps; for text write ….contains(…)",
        ),
        ("tags < tags", "tags < tags", "`<` is not defined for a list(string) and a list(string)", no_help),
        ("1 in tags", "1 in tags", "`in` is not defined for an int and a list(string)", no_help),
        (
            "model && stream",
            "model",
            "`&&` joins conditions of type bool; this is a string",
            "compare it, as in … == \"…\"",
        ),
        (
            "stream || prompt_tokens",
            "prompt_tokens",
            "`||` joins conditions of type bool; this is an int",
            "compare it, as in … > 0",
        ),
        ("!model", "!model", "`!` is not defined for a string", no_help),
        ("-model == model", "-model", "`-` is not defined for a string", no_help),
        (
            "model.startswith(\"a\")",
            "model.startswith(\"a\")",
            "there is no function `startswith`",
            "did you mean `startsWith`?",
        ),
        (
            "contains(model, \"a\")",
            "contains(model, \"a\")",
            "there is no function `contains`",
            "write ….contains(…)",
        ),
        (
            "tokens_used.contains(\"a\")",
            "tokens_used.contains(\"a\")",
            "`contains` is not defined for (double, string)",
            "there is string.contains(string) -> bool",
        ),
        (
            "size(1) > 0",
            "size(1)",
            "`size` is not defined for (int)",
            "there is size(string) -> int, size(bytes) -> int, size(list(A)) -> int, size(map(A, B)) -> int",
        ),
        (
            "model.size == 1",
            "model.size",
            "only maps with string keys have fields; a string has no field `size`",
            no_help,
        ),
        ("headers[1] == \"a\"", "1", "the keys of this map are string; this is an int", no_help),
        ("tags[\"a\"] == \"a\"", "\"a\"", "a list is indexed by an int; this is a string", no_help),
        ("model[0] == \"a\"", "model", "a string cannot be indexed", no_help),
        (
            "{1.5: 2} == {}",
            "1.5",
            "a double cannot be the key of a map",
            "keys are bool, int, uint or string",
        ),
        (
            "(stream ? 1 : \"a\") == 1",
            "(stream ? 1 : \"a\")",
            "the two outcomes differ in type: int and string",
            "wrap one in dyn() if that is meant",
        ),
        (
            "model",
            "model",
            "a rule must be true or false; this is of type string",
            "compare it with something",
        ),
    ] {
        let errors = RuleSet::compile(&environment(), [source]).unwrap_err();
        let [(0, error)] = &*errors else { panic!("{source}: {errors:?}") };
        assert_eq!(error.message, message, "{source}");
        assert_eq!(error.help.as_deref().unwrap_or(no_help), help, "{source}");
        // The culprit is what is marked, and where it occurs twice, its first place.
        assert_eq!(&source[error.span.clone()], culprit, "{source}");
        assert_eq!(error.span.start, source.find(culprit).unwrap(), "{source}");
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
    let rules = ["modl == \"a\" && tokens > 1", "stream", "model ==", "!tags"];
    let errors = RuleSet::compile(&environment(), rules).unwrap_err();
    let found: Vec<(usize, &str)> = errors.iter().map(|(index, error)| (*index, &*error.message)).collect();
    assert_eq!(
        found,
        [
            (0, "there is no variable `modl`"),
            (0, "there is no variable `tokens`"),
            (2, "the expression ends where an expression is expected"),
            (3, "`!` is not defined for a list(string)"),
        ]
    );
    let (_, first) = errors.first().unwrap();
    assert_eq!(
        first.render("modl == \"a\" && tokens > 1"),
        "error: there is no variable `modl`\n \
         --> line 1, column 1\n\
         1 | modl == \"a\" && tokens > 1\n  | ^^^^\n  = help: did you mean `model`?\n"
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
