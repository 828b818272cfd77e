//! The functions of the language. Each is written as a signature in CEL's own notation and the code that computes it;
//! the checker, the evaluator and the reference page all read the same tables.

mod conversions;
mod encoders;
mod format;
mod lists;
mod math;
mod network;
mod optionals;
mod regex;
mod sets;
mod strings;
mod time;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use regex::{Pattern, PatternError};

use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::signature::Signature;
use crate::value::Value;

/// Computes a function from its arguments, the target of a method first. They fit the signature as far as kinds go:
/// what a list holds is for the function to check.
pub(crate) type Implementation =
    for<'a> fn(budget: &mut Budget, arguments: &[Value<'a>]) -> Result<Value<'a>, ErrorKind>;

/// Functions of one subject: signature and code of each.
type Table = &'static [(&'static str, Implementation)];

/// One form of a function.
#[derive(Debug)]
pub(crate) struct Overload {
    pub(crate) signature: Signature,
    pub(crate) compute: Implementation,
}

impl PartialEq for Overload {
    fn eq(&self, other: &Self) -> bool {
        self.signature.text == other.signature.text
    }
}

/// The forms of one name, written in one way (as a method or not).
pub(crate) type Overloads = [Overload];

const TABLES: [Table; 11] = [
    conversions::FUNCTIONS,
    strings::FUNCTIONS,
    format::FUNCTIONS,
    regex::FUNCTIONS,
    math::FUNCTIONS,
    time::FUNCTIONS,
    lists::FUNCTIONS,
    sets::FUNCTIONS,
    encoders::FUNCTIONS,
    network::FUNCTIONS,
    optionals::FUNCTIONS,
];

/// The forms of each name: those that are not methods, and those that are.
static LIBRARY: LazyLock<HashMap<&'static str, [Vec<Overload>; 2]>> = LazyLock::new(|| {
    let mut library: HashMap<_, [Vec<Overload>; 2]> = HashMap::new();
    for (text, compute) in TABLES.into_iter().flatten() {
        // A signature that cannot be read is left out, which a test sees.
        if let Some((name, signature)) = Signature::read(text) {
            let [functions, methods] = library.entry(name).or_default();
            let forms = if signature.method { methods } else { functions };
            forms.push(Overload { signature, compute: *compute });
        }
    }
    library
});

/// The forms of a function, or of a method.
pub(crate) fn find(name: &str, method: bool) -> Option<&'static Overloads> {
    let [functions, methods] = LIBRARY.get(name)?;
    Some(if method { methods } else { functions }.as_slice()).filter(|forms| !forms.is_empty())
}

/// Every name, each once, in alphabetical order.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = LIBRARY.keys().copied().collect();
    names.sort_unstable();
    names
}

/// Computes the first form that takes these arguments.
pub(crate) fn call<'a>(
    overloads: &Overloads,
    budget: &mut Budget,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, ErrorKind> {
    match overloads.iter().find(|overload| overload.signature.takes(arguments)) {
        Some(overload) => (overload.compute)(budget, arguments),
        None => Err(mismatch(arguments)),
    }
}

/// The error of arguments for which there is no form.
#[cold]
pub(crate) fn mismatch(arguments: &[Value<'_>]) -> ErrorKind {
    match arguments {
        [one] => ErrorKind::NoOverloadFor(one.kind()),
        [one, other] => ErrorKind::NoOverload(one.kind(), other.kind()),
        [first, ..] => ErrorKind::NoOverloadOf(first.kind()),
        [] => ErrorKind::UnknownFunction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_can_be_read() {
        for (text, _) in TABLES.into_iter().flatten() {
            assert!(Signature::read(text).is_some(), "{text}");
        }
    }
}
