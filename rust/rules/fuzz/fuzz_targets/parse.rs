//! Any text is parsed or refused, and what is refused is shown in the text.
#![no_main]

use edgeroute_rules::{Environment, Expression};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    if let Err(error) = Expression::compile_unchecked(&Environment::new(), source) {
        assert!(source.get(error.span.clone()).is_some(), "{error:?}");
        assert!(error.render("input", source).contains(&error.message));
    }
});
