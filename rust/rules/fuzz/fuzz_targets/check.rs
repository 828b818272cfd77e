//! What the checker accepts has a type that can be read back, and what it refuses is shown in the text. The first line
//! is a definition that the rest may use.
#![no_main]

use edgeroute_rules::{Environment, Expression, Type, first_failure};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let environment = Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("params", Type::map(Type::String, Type::Dyn))
        .declare("tags", Type::list(Type::String))
        .declare("n", Type::Int)
        .declare("t", Type::Timestamp)
        .declare_keyed("bucket", Type::Int);
    let (definition, source) = text.split_once('\n').unwrap_or(("n > 1", text));
    let environment = environment.clone().define("defined", definition).unwrap_or(environment);
    match Expression::compile(&environment, source) {
        Ok(expression) => {
            let written = expression.result_type().to_string();
            assert_eq!(written.parse::<Type>().ok().as_ref(), Some(expression.result_type()), "{written}");
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(source.get(error.span.clone()).is_some(), "{error:?}");
            }
        }
    }
    let _ = first_failure(&environment, source);
});
