//! Regular expressions with the semantics of RE2: linear time, and classes such as `\d` that mean ASCII. The functions
//! are `matches` and the extension `regex` of CEL.

mod classes;
mod refusals;
#[cfg(test)]
mod tests;
mod translate;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use memchr::memmem::Finder;
use regex::{CaptureMatches, Captures, Regex, RegexBuilder};

pub(crate) use self::refusals::PatternError;
use self::refusals::{error, too_large};
use self::translate::{Plain, translate};
use super::strings::{Writer, slice};
use super::{Implementation, Table, mismatch};
use crate::budget::{Budget, ELEMENT};
use crate::error::ErrorKind;
use crate::value::{Ref, Value};

pub(super) const FUNCTIONS: Table = &[
    ("string.matches(string) -> bool", MATCHES),
    ("matches(string, string) -> bool", MATCHES),
    ("regex.extract(string, string) -> optional_type(string)", |budget, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = Pattern::with_one_group(budget, pattern)?;
            let found = pattern.captures(budget, text)?.next();
            let part = found.and_then(|captures| pattern.part(text, &captures));
            Ok(part.map_or(Value::Optional(None), Value::into_optional))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("regex.extractAll(string, string) -> list(string)", |budget, arguments| match arguments {
        [Value::String(text), Value::String(pattern)] => {
            let pattern = Pattern::with_one_group(budget, pattern)?;
            let mut parts = Vec::new();
            for captures in pattern.captures(budget, text)? {
                budget.spend(ELEMENT + pattern.cost_after(text, &captures))?;
                parts.extend(pattern.part(text, &captures));
            }
            Ok(Value::list(parts))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("regex.replace(string, string, string) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::String(pattern), Value::String(replacement)] => {
            replace(budget, text, pattern, replacement, usize::MAX)
        }
        _ => Err(mismatch(arguments)),
    }),
    ("regex.replace(string, string, string, int) -> string", |budget, arguments| match arguments {
        [Value::String(text), _, _, Value::Int(0)] => Ok(Value::String(text.clone())),
        [Value::String(text), Value::String(pattern), Value::String(replacement), Value::Int(limit)] => {
            replace(budget, text, pattern, replacement, usize::try_from(*limit).unwrap_or(usize::MAX))
        }
        _ => Err(mismatch(arguments)),
    }),
];

const MATCHES: Implementation = |budget, arguments| match arguments {
    [Value::String(text), Value::String(pattern)] => {
        let pattern = Pattern::computed(budget, pattern)?;
        budget.spend(pattern.cost(text.len()))?;
        Ok(Value::Bool(pattern.is_match(text)))
    }
    _ => Err(mismatch(arguments)),
};

/// A compiled pattern. Two are equal if they were written alike.
#[derive(Debug)]
pub(crate) struct Pattern {
    source: Box<str>,
    translated: Box<str>,
    matcher: Matcher,
    /// Compiled when it is first needed, which for plain text it seldom is.
    regex: OnceLock<Regex>,
    groups: usize,
    weight: usize,
}

/// How a text is tested.
#[derive(Debug)]
enum Matcher {
    Equal(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<Finder<'static>>),
    Regex,
}

/// Bytes that a compiled pattern may take.
const MAXIMUM_COMPILED: usize = 1 << 20;
/// Crate `regex` counts each group as up to four levels: group, repetition, alternation, sequence.
const MAXIMUM_NESTING: u32 = 4 * 64 + 8;
/// Patterns that are computed are kept compiled, so many on each thread.
const KEPT: usize = 64;
/// What a pattern that is computed costs, in bytes of the budget, once and for each unit of its weight. It is charged
/// whether it is still compiled from last time or not, lest a result depend on what was evaluated before.
const COMPILING: usize = 1024;
const COMPILING_UNIT: usize = 64;
/// Units of weight that cost as much as reading the text once. Most texts are read at one cost whatever the pattern,
/// but not those that defeat the automaton.
const READING_UNITS: usize = 64;
/// Where a match begins and ends takes so many times what it takes to see that there is one: the slowest engine of
/// crate `regex` finds it, at a few nanoseconds for each state of the pattern and byte of the text.
const LOCATING: usize = 8;
/// A search for the next match may read the rest of the text, and seldom does: it is charged for one byte of so many.
const SEARCHING: usize = 64;

thread_local! {
    static CACHE: RefCell<Vec<Arc<Pattern>>> = const { RefCell::new(Vec::new()) };
}

impl Pattern {
    /// Compiles a pattern. An error is the reason why RE2 has no such pattern.
    pub(crate) fn compile(source: &str) -> Result<Arc<Self>, PatternError> {
        let translation = translate(source)?;
        let (matcher, regex) = match translation.plain {
            Some(plain) => (plain.into(), OnceLock::new()),
            None => {
                let whole = 0..source.len();
                let regex = build(&translation.text).map_err(|cause| match cause {
                    regex::Error::CompiledTooBig(_) => too_large(whole),
                    other => {
                        let unknown =
                            translation.properties.iter().find(|property| build(&property.text).is_err());
                        match unknown {
                            Some(property) => {
                                error(property.span.clone(), "Unicode has no such category or script")
                            }
                            None => error(whole, &other.to_string()),
                        }
                    }
                })?;
                (Matcher::Regex, regex.into())
            }
        };
        Ok(Arc::new(Self {
            source: source.into(),
            translated: translation.text.into(),
            matcher,
            regex,
            groups: translation.groups,
            weight: translation.weight,
        }))
    }

    /// As [`Self::compile`], for patterns that come up again. The one that was used last is found first.
    fn computed(budget: &mut Budget, source: &str) -> Result<Arc<Self>, ErrorKind> {
        budget.spend(COMPILING + source.len())?;
        let pattern = CACHE.with_borrow_mut(|cache| {
            let pattern = match cache.iter().position(|known| *known.source == *source) {
                Some(place) => cache.remove(place),
                None => {
                    let pattern = Self::compile(source).map_err(|_| NO_PATTERN)?;
                    cache.truncate(KEPT - 1);
                    pattern
                }
            };
            cache.insert(0, Arc::clone(&pattern));
            Ok(pattern)
        })?;
        budget.spend(COMPILING_UNIT * pattern.weight)?;
        Ok(pattern)
    }

    /// As [`Self::computed`], for what extracts one part of each match.
    fn with_one_group(budget: &mut Budget, source: &str) -> Result<Arc<Self>, ErrorKind> {
        let pattern = Self::computed(budget, source)?;
        if pattern.groups > 1 {
            return Err(SEVERAL_GROUPS);
        }
        Ok(pattern)
    }

    /// Whether it matches somewhere in a text.
    #[inline]
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Matcher::Equal(wanted) => *text == **wanted,
            Matcher::Prefix(prefix) => text.starts_with(&**prefix),
            Matcher::Suffix(suffix) => text.ends_with(&**suffix),
            Matcher::Contains(part) => part.find(text.as_bytes()).is_some(),
            Matcher::Regex => self.regex.get().is_some_and(|regex| regex.is_match(text)),
        }
    }

    /// What it costs to test a text of so many bytes.
    pub(crate) fn cost(&self, length: usize) -> usize {
        length.saturating_add(length.saturating_mul(self.weight) / READING_UNITS)
    }

    /// What it costs to look for the next match.
    fn cost_after(&self, text: &str, captures: &Captures<'_>) -> usize {
        1 + self.cost(text.len() - captures.get_match().end()) / SEARCHING
    }

    /// The matches from left to right.
    fn captures<'p, 't>(
        &'p self,
        budget: &mut Budget,
        text: &'t str,
    ) -> Result<CaptureMatches<'p, 't>, ErrorKind> {
        budget.spend(self.cost(text.len()).saturating_mul(LOCATING))?;
        let regex = match self.regex.get() {
            Some(regex) => regex,
            None => {
                let regex = build(&self.translated).map_err(|_| NO_PATTERN)?;
                self.regex.get_or_init(|| regex)
            }
        };
        Ok(regex.captures_iter(text))
    }

    /// What is extracted from a match: its one group, or all of it. As in cel-go, a group that holds no text is none.
    fn part<'a>(&self, text: &Ref<'a, str>, captures: &Captures<'_>) -> Option<Value<'a>> {
        let found = captures.get(self.groups).filter(|found| self.groups == 0 || !found.is_empty());
        found.map(|found| slice(text, found.range()))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl From<Plain> for Matcher {
    fn from(plain: Plain) -> Self {
        match (plain.at_start, plain.at_end) {
            (true, true) => Self::Equal(plain.text.into()),
            (true, false) => Self::Prefix(plain.text.into()),
            (false, true) => Self::Suffix(plain.text.into()),
            (false, false) => Self::Contains(Finder::new(&plain.text).into_owned().into()),
        }
    }
}

fn build(translated: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(translated)
        .size_limit(MAXIMUM_COMPILED)
        .dfa_size_limit(MAXIMUM_COMPILED)
        .nest_limit(MAXIMUM_NESTING)
        .build()
}

const NO_PATTERN: ErrorKind = ErrorKind::Invalid("the pattern is not a regular expression of RE2");
const SEVERAL_GROUPS: ErrorKind = ErrorKind::Invalid(
    "the pattern has more than one group, so that it is open which part to extract; write (?: for others",
);
const NO_GROUP: ErrorKind = ErrorKind::Invalid("the replacement names a group that the pattern lacks");
const NO_REFERENCE: ErrorKind =
    ErrorKind::Invalid("in a replacement, \\ is followed by the digit of a group, or by \\ to mean itself");

fn replace<'a>(
    budget: &mut Budget,
    text: &str,
    pattern: &str,
    replacement: &str,
    limit: usize,
) -> Result<Value<'a>, ErrorKind> {
    let pattern = Pattern::computed(budget, pattern)?;
    let matches = pattern.captures(budget, text)?;
    let mut output = Writer::new(budget);
    let mut copied = 0;
    for captures in matches.take(limit) {
        let found = captures.get_match();
        output.budget.spend(replacement.len() + pattern.cost_after(text, &captures))?;
        output.push(text.get(copied..found.start()).unwrap_or_default())?;
        expand(&mut output, replacement, &captures)?;
        copied = found.end();
    }
    output.push(text.get(copied..).unwrap_or_default())?;
    Ok(output.finish())
}

/// Writes a replacement, in which `\1` is the text of the first group and `\0` that of the match.
fn expand(output: &mut Writer<'_>, replacement: &str, captures: &Captures<'_>) -> Result<(), ErrorKind> {
    let mut rest = replacement;
    while let Some((plain, reference)) = rest.split_once('\\') {
        output.push(plain)?;
        let mut characters = reference.chars();
        let next = characters.next().ok_or(NO_REFERENCE)?;
        if next == '\\' {
            output.push("\\")?;
        } else {
            let group = next.to_digit(10).ok_or(NO_REFERENCE)? as usize;
            if group >= captures.len() {
                return Err(NO_GROUP);
            }
            output.push(captures.get(group).map_or("", |found| found.as_str()))?;
        }
        rest = characters.as_str();
    }
    output.push(rest)
}
