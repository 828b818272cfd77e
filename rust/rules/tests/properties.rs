//! Properties of any rule: it never panics, and logic agrees with a naive evaluator of three values.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use edgeroute_rules::{Attribute, Environment, Expression, RuleSet, Source, Type, Value};
use proptest::prelude::*;

/// A condition, as the naive evaluator knows it.
#[derive(Debug, Clone)]
enum Condition {
    Constant(bool),
    Error,
    /// A bool of the request, which may lack it.
    Flag(usize),
    /// A comparison of a number of the request, which may lack it.
    Number(usize, Relation, i64),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    If(Box<[Condition; 3]>),
}

type Relation = (&'static str, fn(&i64, &i64) -> bool);

const RELATIONS: [Relation; 6] =
    [("==", i64::eq), ("!=", i64::ne), ("<", i64::lt), ("<=", i64::le), (">", i64::gt), (">=", i64::ge)];

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
struct Request {
    flags: [Option<bool>; 4],
    numbers: [Option<i64>; 4],
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let index = NAMES.iter().position(|name| Some(*name) == attribute.key.as_deref())?;
        match attribute.variable {
            0 => self.flags[index].map(Value::from),
            _ => self.numbers[index].map(Value::from),
        }
    }
}

fn environment() -> Environment {
    Environment::new()
        .declare("flags", Type::map(Type::String, Type::Bool))
        .declare("numbers", Type::map(Type::String, Type::Dyn))
}

/// The value of a condition; `None` if it has none.
fn naive(condition: &Condition, request: &Request) -> Option<bool> {
    let decided = |terms: &[Condition], decisive: bool| {
        let values: Vec<Option<bool>> = terms.iter().map(|term| naive(term, request)).collect();
        if values.contains(&Some(decisive)) {
            Some(decisive)
        } else if values.contains(&None) {
            None
        } else {
            Some(!decisive)
        }
    };
    match condition {
        Condition::Constant(truth) => Some(*truth),
        Condition::Error => None,
        Condition::Flag(index) => request.flags[*index],
        Condition::Number(index, (_, relation), constant) => {
            request.numbers[*index].map(|number| relation(&number, constant))
        }
        Condition::Not(operand) => naive(operand, request).map(|truth| !truth),
        Condition::And(terms) => decided(terms, false),
        Condition::Or(terms) => decided(terms, true),
        Condition::If(branches) => {
            if naive(&branches[0], request)? {
                naive(&branches[1], request)
            } else {
                naive(&branches[2], request)
            }
        }
    }
}

fn write(condition: &Condition) -> String {
    let joined = |terms: &[Condition], operator: &str| {
        format!("({})", terms.iter().map(write).collect::<Vec<_>>().join(operator))
    };
    match condition {
        Condition::Constant(truth) => truth.to_string(),
        Condition::Error => "1 / 0 == 1".into(),
        Condition::Flag(index) => format!("flags.{}", NAMES[*index]),
        // Both sides, so that exchanging them is tested too.
        Condition::Number(index, (symbol, _), constant) if constant % 2 == 0 => {
            format!("numbers[\"{}\"] {symbol} {constant}", NAMES[*index])
        }
        Condition::Number(index, (symbol, _), constant) => {
            let mirrored = symbol.replace('<', "?").replace('>', "<").replace('?', ">");
            format!("{constant}.0 {mirrored} numbers.{}", NAMES[*index])
        }
        Condition::Not(operand) => format!("!({})", write(operand)),
        Condition::And(terms) => joined(terms, " && "),
        Condition::Or(terms) => joined(terms, " || "),
        Condition::If(branches) => {
            format!("({} ? {} : {})", write(&branches[0]), write(&branches[1]), write(&branches[2]))
        }
    }
}

fn conditions() -> impl Strategy<Value = Condition> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Condition::Constant),
        Just(Condition::Error),
        (0..4_usize).prop_map(Condition::Flag),
        (0..4_usize, prop::sample::select(&RELATIONS[..]), -2..3_i64)
            .prop_map(|(index, relation, constant)| Condition::Number(index, relation, constant)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operand| Condition::Not(operand.into())),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Condition::And),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Condition::Or),
            [inner.clone(), inner.clone(), inner].prop_map(|branches| Condition::If(branches.into())),
        ]
    })
}

fn requests() -> impl Strategy<Value = Request> {
    (any::<[Option<bool>; 4]>(), prop::array::uniform4(prop::option::of(-2..3_i64)))
        .prop_map(|(flags, numbers)| Request { flags, numbers })
}

/// Pieces of rules in any order, most of them no rule.
fn soups() -> impl Strategy<Value = String> {
    const PIECES: [&str; 46] = [
        "flags",
        "numbers",
        ".a",
        "[\"b\"]",
        "[0]",
        "x",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        ".",
        "`k-k`",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        " in ",
        "true",
        "null",
        "1",
        "2u",
        "1.5",
        "0x",
        "1e",
        "'a'",
        "'''",
        "\"",
        "\\",
        "b'\\x",
        "size(",
        ".contains(",
        "has(",
        "ä",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40).prop_map(|pieces| pieces.concat())
}

/// Compiles and evaluates whatever it is; only a panic or a span outside the source is wrong.
fn survive(source: &str) {
    let request =
        Request { flags: [Some(true), None, Some(false), None], numbers: [Some(1), None, Some(2), None] };
    match Expression::compile(&environment(), source) {
        Ok(expression) => drop(expression.evaluate(&request)),
        Err(errors) => {
            for error in errors {
                assert!(source.get(error.span.clone()).is_some(), "{source:?}: {error:?}");
                assert!(error.render(source).contains(&error.message));
            }
        }
    }
    if let Ok(expression) = Expression::compile_unchecked(&environment(), source)
        && let Err(error) = expression.evaluate(&request)
    {
        assert!(source.get(error.span()).is_some(), "{source:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn logic_agrees_with_the_naive_evaluator(
        conditions in prop::collection::vec(conditions(), 1..4),
        request in requests(),
    ) {
        let sources: Vec<String> = conditions.iter().map(write).collect();
        let expected: Vec<Option<bool>> = conditions.iter().map(|condition| naive(condition, &request)).collect();
        let rules = RuleSet::compile(&environment(), &sources).unwrap();
        let mut pass = rules.pass(&request);
        let found: Vec<Option<bool>> = (0..rules.len()).map(|index| pass.evaluate(index).ok()).collect();
        prop_assert_eq!(&found, &expected, "{:?}", sources);
        let mut failed = Vec::new();
        let first = pass.first_match(&[], |index, _| failed.push(index)).map(|found| found.rule);
        prop_assert_eq!(first, expected.iter().position(|value| *value == Some(true)));
        let before = first.unwrap_or(expected.len());
        let mut wrong = |index: usize| pass.evaluate(index).is_err_and(|error| !error.kind.is_absence());
        let errors: Vec<usize> = (0..before).filter(|index| wrong(*index)).collect();
        prop_assert_eq!(failed, errors);
        for (source, expected) in sources.iter().zip(expected) {
            let unchecked = Expression::compile_unchecked(&environment(), source).unwrap();
            prop_assert_eq!(unchecked.evaluate(&request).ok(), expected.map(Value::Bool), "{}", source);
        }
    }

    #[test]
    fn no_text_makes_it_panic(source in any::<String>()) {
        survive(&source);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_soup_makes_it_panic(source in soups()) {
        survive(&source);
    }

    #[test]
    fn a_broken_rule_does_not_make_it_panic(condition in conditions(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut source = write(&condition);
        source.insert(at.index(source.len()), with);
        survive(&source);
        let cut: String = source.chars().take(at.index(source.len())).collect();
        survive(&cut);
    }
}
