//! An expression over random values ends within the bounds; one that the checker accepts has a value of its type and,
//! if it is said that it cannot fail, has one; a rule set says the same as the expression. The first byte chooses the
//! values.
#![no_main]

use edgeroute_rules::{Attribute, Environment, ErrorKind, Expression, RuleSet, Source, Timestamp, Type, Value, first_failure};
use libfuzzer_sys::fuzz_target;

struct Request(u8);

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let choice = self.0;
        let text = ["", "a", "é😀", "premium"][usize::from(choice & 3)];
        let number = [0, 1, i64::MAX, i64::MIN][usize::from(choice >> 2 & 3)];
        match (attribute.variable, attribute.key.as_deref()) {
            (0, None) => Some(Value::map(vec![("x-tier".into(), text.into())])),
            (0, Some("x-tier")) => Some(text.into()),
            (1, None) => Some(Value::map(vec![("a".into(), number.into()), ("b".into(), Value::Null)])),
            (1, Some("a")) => Some(number.into()),
            (1, Some("b")) => Some(Value::Null),
            (2, None) => Some(Value::list(vec![text.into(), "b".into()])),
            (3, None) => Some(number.into()),
            (4, None) => Timestamp::from_unix(1_700_000_000, 5).map(Value::Timestamp),
            (5, Some(_)) => Some(Value::Int(42)),
            (6, None) => Some(Value::Double([0.0, -0.0, f64::NAN, f64::INFINITY][usize::from(choice >> 4 & 3)])),
            (7, None) => Some(Value::Bool(choice & 64 == 0)),
            _ => None,
        }
    }
}

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("params", Type::map(Type::String, Type::Dyn))
        .declare("tags", Type::list(Type::String))
        .declare("n", Type::Int)
        .declare("t", Type::Timestamp)
        .declare_keyed("bucket", Type::Int)
        .declare("d", Type::Double)
        .declare("p", Type::Bool)
}

fuzz_target!(|input: (u8, &str)| {
    let (choice, source) = input;
    let (request, environment) = (Request(choice), environment());
    if let Ok(expression) = Expression::compile_unchecked(&environment, source) {
        let (result, work) = expression.measure(&request);
        assert!(work.steps <= 10_000 && work.bytes <= 16 << 20, "{work:?}");
        if let Err(error) = result {
            assert!(source.get(error.span()).is_some());
        }
    }
    let Ok(expression) = Expression::compile(&environment, source) else { return };
    let result = expression.evaluate(&request);
    let Ok(rules) = RuleSet::compile(&environment, [source]) else { return };
    let ruled = rules.pass(&request).evaluate(0);
    let spent = |kind: ErrorKind| matches!(kind, ErrorKind::TooMuchWork | ErrorKind::TooLarge);
    match (&result, &ruled) {
        (Ok(Value::Bool(one)), Ok(other)) => assert_eq!(one, other),
        (Ok(Value::Bool(_)), Err(error)) => panic!("{error}"),
        (Err(_), Ok(truth)) => panic!("{truth}"),
        _ => {}
    }
    if let (Err(error), Ok(None)) = (result, first_failure(&environment, source)) {
        assert!(spent(error.kind), "it cannot fail, and does: {error}");
    }
});
