//! Regular expressions with the semantics of RE2: linear time, and classes such as `\d` that mean ASCII.

use std::cell::RefCell;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::{Table, mismatch};
use crate::error::ErrorKind;
use crate::value::Value;

pub(super) const FUNCTIONS: Table =
    &[("string.matches(string) -> bool", |budget, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            budget.spend(text.len())?;
            Pattern::cached(pattern).map(|pattern| Value::Bool(pattern.is_match(text)))
        }
        _ => Err(mismatch(arguments)),
    })];

/// A compiled pattern. Two are equal if they were written alike.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    regex: Regex,
}

/// Bytes that a compiled pattern may take.
const MAXIMUM_COMPILED: usize = 1 << 20;
/// How deep a pattern may nest.
const MAXIMUM_NESTING: u32 = 64;
/// Patterns that are computed are kept compiled, so many on each thread.
const KEPT: usize = 64;

thread_local! {
    static CACHE: RefCell<Vec<Arc<Pattern>>> = const { RefCell::new(Vec::new()) };
}

impl Pattern {
    /// Compiles a pattern. An error is the reason why RE2 has no such pattern, in one line.
    pub(crate) fn compile(source: &str) -> Result<Arc<Self>, String> {
        let translated = translate(source);
        let regex = RegexBuilder::new(&translated)
            .size_limit(MAXIMUM_COMPILED)
            .dfa_size_limit(MAXIMUM_COMPILED)
            .nest_limit(MAXIMUM_NESTING)
            .build()
            .map_err(|error| reason(&error))?;
        Ok(Arc::new(Self { source: source.into(), regex }))
    }

    /// As [`Self::compile`], for patterns that come up again. The one that was used last is found first.
    pub(crate) fn cached(source: &str) -> Result<Arc<Self>, ErrorKind> {
        CACHE.with_borrow_mut(|cache| {
            let pattern = match cache.iter().position(|known| *known.source == *source) {
                Some(place) => cache.remove(place),
                None => {
                    cache.truncate(KEPT - 1);
                    Self::compile(source)
                        .map_err(|_| ErrorKind::Invalid("this is not a regular expression"))?
                }
            };
            cache.insert(0, Arc::clone(&pattern));
            Ok(pattern)
        })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn translate(source: &str) -> String {
    source.to_owned()
}

fn reason(error: &regex::Error) -> String {
    error.to_string()
}
