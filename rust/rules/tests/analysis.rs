//! What is known of an expression before any request: whether it can fail, and what it can cost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

use edgeroute_rules::{Environment, Expression, Type, first_failure};

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("params", Type::map(Type::String, Type::Dyn))
        .declare("model", Type::String)
        .declare("text", Type::String)
        .of_size(20_000_000)
        .declare("tokens_used", Type::Double)
        .declare("max_tokens", Type::Int)
        .declare("tags", Type::list(Type::String))
        .of_size(200)
        .declare("fields", Type::map(Type::String, Type::Dyn))
        .of_size(1_000)
        .with_texts_of(20_000_000)
        .declare_keyed("bucket", Type::Int)
        .define("is_premium", "headers['x-tier'] == 'premium'")
        .unwrap()
        .define("is_known", "'x-tier' in headers")
        .unwrap()
}

#[test]
fn what_can_fail() {
    let check = |condition: &str, expected: Option<&str>| {
        let span = first_failure(&environment(), condition)
            .unwrap_or_else(|errors| panic!("{condition}: {errors:?}"));
        assert_eq!(span.map(|span| &condition[span]), expected, "{condition}");
    };
    for certain in [
        "model == 'a' && tokens_used > 75.0 || max_tokens != 3",
        "tokens_used > 75",
        "tokens_used * 2.0 > 75.0",
        "has(headers.tier) && headers.tier == 'a'",
        "headers.tier == 'a' && has(headers.tier)",
        "'x-tier' in headers && headers['X-Tier'] == 'a'",
        "!has(headers.tier) || headers.tier == 'a'",
        "!('x' in headers && 'y' in headers) || headers.x == headers.y",
        "has(headers.tier) ? headers.tier == 'a' : false",
        "!has(headers.tier) ? false : headers.tier == 'a'",
        "headers[?'x-tier'].orValue('') == 'premium'",
        "model in ['a', 'b'] && !(model in {'c': 1})",
        "model.startsWith('gpt') && model.matches('^g.t')",
        "[1, 2].exists(x, x < 3)",
        "size(tags) > 2",
        "bucket('rollout') < 10",
        "is_known",
        "model + 'a' == 'b'",
        // Texts may be long where an attribute is tested against a constant, or a pattern is.
        "text.contains('a') || text == 'b' || 'c' == text || text in ['d'] || text.matches('e+')",
        "['a', 'b'].exists(each, model.contains(each))",
        "headers[?'user-agent'].orValue('').contains('a')",
        "has(fields.User) && fields.User == 'a'",
        "tags[?0].orValue('') == 'a'",
        "[tags][?0][?1].optMap(tag, tag == 'a').orValue(false)",
        "size([?tags[?0]]) < 2 && size({?'a': headers[?'b']}) < 2",
    ] {
        check(certain, None);
    }
    for (condition, part) in [
        ("headers['x-tier'] == 'premium'", "headers['x-tier']"),
        ("model == 'a' && headers.tier == 'b'", "headers.tier"),
        ("has(headers.tier) || headers.tier == 'a'", "headers.tier"),
        ("has(headers.other) && headers.tier == 'a'", "headers.tier"),
        ("has(headers.tier) ? false : headers.tier == 'a'", "headers.tier"),
        ("(has(headers.tier) && true) == (headers.tier == 'a')", "headers.tier"),
        ("headers[model] == 'a'", "headers[model]"),
        ("has(params.user) && params.user < 3", "params.user < 3"),
        ("has(params.user) && params.user", "params.user"),
        ("max_tokens + 1 > 3", "max_tokens + 1"),
        ("max_tokens * 2 > 3", "max_tokens * 2"),
        ("-max_tokens > 3", "-max_tokens"),
        ("dyn(model) + 1.0 > 3.0", "dyn(model) + 1.0"),
        ("dyn(model) * 1.0 > 3.0", "dyn(model) * 1.0"),
        ("dyn(1) + 'a' == 'b'", "dyn(1) + 'a'"),
        ("max_tokens % 2 == 1", "max_tokens % 2"),
        ("tags[0] == 'a'", "tags[0]"),
        ("tags.exists(tag, tag == 'a')", "tags.exists(tag, tag == 'a')"),
        ("[1].exists(x, x / max_tokens > 3)", "x / max_tokens"),
        ("model.matches(text)", "model.matches(text)"),
        ("int(model) > 3", "int(model)"),
        ("is_premium", "is_premium"),
        // What is longer than an evaluation reads makes it fail.
        ("text.contains(model)", "text.contains(model)"),
        ("text == model + 'a'", "text == model + 'a'"),
        ("['a', 'b'].exists(each, text.contains(each))", "text.contains(each)"),
        ("model == 'a' || text + 'b' == 'c'", "text + 'b'"),
        ("text < model", "text < model"),
        ("size(text) > 3", "size(text)"),
        ("{'a': 1}[?text].hasValue()", "{'a': 1}[?text]"),
        ("has(fields.User) && fields.user == 'a'", "fields.user"),
        // What may be anything has no elements, is no optional, and is no place in a list.
        ("params[?'b'].or in [1, 2u, 3.0]", "params[?'b'].or"),
        ("params[?'b'][?'c'].hasValue()", "params[?'b'][?'c']"),
        ("tags[?dyn(model)].hasValue()", "tags[?dyn(model)]"),
        ("size([?dyn(model)]) > 0", "dyn(model)"),
        ("size({?'a': dyn(model)}) > 0", "dyn(model)"),
        ("dyn(model).optMap(text, text == 'a').orValue(false)", "dyn(model).optMap(text, text == 'a')"),
        ("headers[?'a'].optFlatMap(text, dyn(text)).hasValue()", "headers[?'a'].optFlatMap(text, dyn(text))"),
    ] {
        check(condition, Some(part));
    }
}

#[test]
fn what_costs_too_much() {
    let check = |source: &str, expected: Option<&str>| {
        let found = Expression::compile(&environment(), source).err().map(|errors| {
            assert!(errors[0].message.contains("times the work that a rule may"), "{source}: {errors:?}");
            source[errors[0].span.clone()].to_owned()
        });
        assert_eq!(found.as_deref(), expected, "{source}");
    };
    check("text.contains('needle') && text.matches('hay.*stack')", None);
    check("tags.all(a, tags.exists(b, a == b))", None);
    // Few elements, however long each is.
    check("[model, headers['x-model']].exists(a, ['gpt', 'claude'].exists(b, a.contains(b)))", None);
    check("['a', 'b'].map(a, tags).all(a, ['c'].all(b, a.exists(c, c == b)))", None);
    check("lists.range(2).all(a, tags.exists(b, b == model))", None);
    check(
        "lists.range(100000).all(a, tags.exists(b, tags.all(c, b == model)))",
        Some("lists.range(100000).all(a, tags.exists(b, tags.all(c, b == model)))"),
    );
    check("tags.exists(tag, text.contains(tag))", Some("tags.exists(tag, text.contains(tag))"));
    check("fields.user.contains('needle') || fields['user'].matches('hay.*stack')", None);
    check("fields.exists(name, name.startsWith('x-')) && fields.exists(name, name == 'a')", None);
    check("tags.exists(tag, text.startsWith(tag))", None);
    check("tags.exists(tag, tag.contains('a'))", None);
    for searched in ["fields.user", "[fields.user][0]", "{'a': fields['user']}.a", "(true ? text : model)"] {
        let condition = format!("tags.exists(tag, {searched}.contains(tag))");
        check(&condition, Some(&condition));
    }
    check(
        "model == 'a' && tags.all(a, tags.all(b, tags.all(c, a == c)))",
        Some("tags.all(a, tags.all(b, tags.all(c, a == c)))"),
    );
}

#[test]
fn definitions_are_part_of_the_language() {
    let environment = environment().declare("n", Type::Int).define("twice", "n * 2").unwrap();
    assert_eq!(*Expression::compile(&environment, "twice + 1").unwrap().result_type(), Type::Int);
    let errors = environment.clone().define("broken", "twice && nothing").unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    let errors = Expression::compile(&environment, "twise + 1").unwrap_err();
    assert_eq!(errors[0].help.as_deref(), Some("did you mean `twice`?"));
    // A definition weighs what it is made of, as often as it is used.
    for (first, next) in [("n + 1", "D + D"), ("n == 1", "D || D"), ("[n]", "[D, D]")] {
        let mut environment = environment.clone().define("d0", first).unwrap();
        let refusal = (1..100).find_map(|level| {
            let source = next.replace('D', &format!("d{}", level - 1));
            match environment.clone().define(&format!("d{level}"), &source) {
                Ok(larger) => {
                    environment = larger;
                    None
                }
                Err(errors) => Some((level, errors[0].message.clone())),
            }
        });
        let (level, message) = refusal.unwrap();
        assert!(level < 20 && message.contains("too large for one expression"), "{level}: {message}");
        assert!(Expression::compile_unchecked(&environment, &format!("d{}", level - 1)).is_ok());
        assert!(
            Expression::compile_unchecked(&environment, &next.replace('D', &format!("d{}", level - 1)))
                .is_err()
        );
    }
}
