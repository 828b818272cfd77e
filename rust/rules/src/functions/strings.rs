//! Text: the extension `strings` of CEL. Positions count code points.

use std::ops::Range;

use super::{Table, mismatch};
use crate::budget::{Budget, ELEMENT, MAXIMUM_SIZE};
use crate::error::ErrorKind;
use crate::value::{Ref, Value};

pub(super) const FUNCTIONS: Table = &[
    ("string.contains(string) -> bool", |budget, arguments| match arguments {
        [Value::String(text), Value::String(part)] => {
            budget.spend(text.len())?;
            Ok(Value::Bool(text.contains(&**part)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.startsWith(string) -> bool", |budget, arguments| match arguments {
        [Value::String(text), Value::String(prefix)] => {
            budget.spend(prefix.len())?;
            Ok(Value::Bool(text.starts_with(&**prefix)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.endsWith(string) -> bool", |budget, arguments| match arguments {
        [Value::String(text), Value::String(suffix)] => {
            budget.spend(suffix.len())?;
            Ok(Value::Bool(text.ends_with(&**suffix)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.charAt(int) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::Int(position)] => {
            budget.spend(text.len())?;
            let start = byte_of(text, *position)?;
            let length = text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            Ok(slice(text, start..start + length))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.indexOf(string) -> int", |budget, arguments| match arguments {
        [Value::String(text), Value::String(part)] => index_of(budget, text, part, 0),
        _ => Err(mismatch(arguments)),
    }),
    ("string.indexOf(string, int) -> int", |budget, arguments| match arguments {
        [Value::String(text), Value::String(part), Value::Int(from)] => index_of(budget, text, part, *from),
        _ => Err(mismatch(arguments)),
    }),
    ("string.lastIndexOf(string) -> int", |budget, arguments| match arguments {
        [Value::String(text), Value::String(part)] => {
            budget.spend(text.len() + part.len())?;
            Ok(position_of(text, text.rfind(&**part)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.lastIndexOf(string, int) -> int", |budget, arguments| match arguments {
        [Value::String(text), Value::String(part), Value::Int(last)] => {
            budget.spend(text.len() + part.len())?;
            let mut end = (byte_of(text, *last)? + part.len()).min(text.len());
            // A match that ends within a character there is none.
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            Ok(position_of(text, text.get(..end).and_then(|head| head.rfind(&**part))))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("list(string).join() -> string", |budget, arguments| match arguments {
        [Value::List(elements)] => join(budget, elements, ""),
        _ => Err(mismatch(arguments)),
    }),
    ("list(string).join(string) -> string", |budget, arguments| match arguments {
        [Value::List(elements), Value::String(separator)] => join(budget, elements, separator),
        _ => Err(mismatch(arguments)),
    }),
    ("string.lowerAscii() -> string", |budget, arguments| match arguments {
        [Value::String(text)] => {
            budget.make(text.len())?;
            Ok(Value::text(text.to_ascii_lowercase()))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.upperAscii() -> string", |budget, arguments| match arguments {
        [Value::String(text)] => {
            budget.make(text.len())?;
            Ok(Value::text(text.to_ascii_uppercase()))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.replace(string, string) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::String(old), Value::String(new)] => replace(budget, text, old, new, -1),
        _ => Err(mismatch(arguments)),
    }),
    ("string.replace(string, string, int) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(limit)] => {
            replace(budget, text, old, new, *limit)
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.split(string) -> list(string)", |budget, arguments| match arguments {
        [Value::String(text), Value::String(separator)] => split(budget, text, separator, -1),
        _ => Err(mismatch(arguments)),
    }),
    ("string.split(string, int) -> list(string)", |budget, arguments| match arguments {
        [Value::String(text), Value::String(separator), Value::Int(limit)] => {
            split(budget, text, separator, *limit)
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.substring(int) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::Int(start)] => {
            budget.spend(text.len())?;
            Ok(slice(text, byte_of(text, *start)?..text.len()))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.substring(int, int) -> string", |budget, arguments| match arguments {
        [Value::String(text), Value::Int(start), Value::Int(end)] => {
            budget.spend(text.len())?;
            if start > end {
                return Err(ErrorKind::Invalid("this part of a text would end before it starts"));
            }
            Ok(slice(text, byte_of(text, *start)?..byte_of(text, *end)?))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.trim() -> string", |budget, arguments| match arguments {
        [Value::String(text)] => {
            budget.spend(text.len())?;
            let kept = text.trim_end().len();
            Ok(slice(text, kept - text.trim().len()..kept))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string.reverse() -> string", |budget, arguments| match arguments {
        [Value::String(text)] => {
            budget.make(text.len())?;
            Ok(Value::text(text.chars().rev().collect::<String>()))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("strings.quote(string) -> string", |budget, arguments| match arguments {
        [Value::String(text)] => quote(budget, text),
        _ => Err(mismatch(arguments)),
    }),
];

const NO_POSITION: ErrorKind = ErrorKind::Invalid("the text has no such position");

/// A text that is being made, within what may be made.
pub(super) struct Writer<'b> {
    pub(super) budget: &'b mut Budget,
    text: String,
}

impl<'b> Writer<'b> {
    pub(super) fn new(budget: &'b mut Budget) -> Self {
        Self { budget, text: String::new() }
    }

    pub(super) fn push(&mut self, part: &str) -> Result<(), ErrorKind> {
        if self.text.len() + part.len() > MAXIMUM_SIZE {
            return Err(ErrorKind::TooLarge);
        }
        self.budget.spend(part.len())?;
        self.text.push_str(part);
        Ok(())
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn finish(self) -> Value<'static> {
        Value::text(self.text)
    }
}

/// A part of a text, which is not copied if it belongs to the request or the rule.
pub(super) fn slice<'a>(text: &Ref<'a, str>, part: Range<usize>) -> Value<'a> {
    match text {
        Ref::Borrowed(text) => Value::from(text.get(part).unwrap_or_default()),
        Ref::Counted(text) => Value::text(text.get(part).unwrap_or_default()),
    }
}

/// The byte at which the code point of this position begins; the position after the last one is allowed.
fn byte_of(text: &str, position: i64) -> Result<usize, ErrorKind> {
    let position = usize::try_from(position).map_err(|_| NO_POSITION)?;
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.nth(position).ok_or(NO_POSITION)
}

/// The position of the code point that begins at a byte; -1 for none.
fn position_of(text: &str, byte: Option<usize>) -> Value<'static> {
    let before = byte.and_then(|byte| text.get(..byte));
    Value::Int(before.map_or(-1, |before| before.chars().count() as i64))
}

fn index_of<'a>(budget: &mut Budget, text: &str, part: &str, from: i64) -> Result<Value<'a>, ErrorKind> {
    budget.spend(text.len() + part.len())?;
    let start = byte_of(text, from)?;
    let found = text.get(start..).and_then(|rest| rest.find(part));
    Ok(position_of(text, found.map(|at| start + at)))
}

fn join<'a>(budget: &mut Budget, elements: &[Value<'_>], separator: &str) -> Result<Value<'a>, ErrorKind> {
    budget.spend(elements.len())?;
    let mut joined = Writer::new(budget);
    for (index, element) in elements.iter().enumerate() {
        let Value::String(part) = element else { return Err(ErrorKind::NoOverloadFor(element.kind())) };
        if index > 0 {
            joined.push(separator)?;
        }
        joined.push(part)?;
    }
    Ok(joined.finish())
}

/// A limit as the extension has it: no limit if it is negative.
fn limit(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn replace<'a>(
    budget: &mut Budget,
    text: &str,
    old: &str,
    new: &str,
    most: i64,
) -> Result<Value<'a>, ErrorKind> {
    budget.spend(text.len() + old.len())?;
    let count = text.match_indices(old).take(limit(most)).count();
    budget.make((text.len() - count * old.len()).saturating_add(count.saturating_mul(new.len())))?;
    Ok(Value::text(text.replacen(old, new, count)))
}

fn split<'a>(
    budget: &mut Budget,
    text: &Ref<'a, str>,
    separator: &str,
    most: i64,
) -> Result<Value<'a>, ErrorKind> {
    budget.spend(text.len() + separator.len())?;
    let most = limit(most);
    // An empty separator stands between all code points, and not at the ends.
    let inner = text
        .match_indices(separator)
        .filter(|(at, found)| !found.is_empty() || (*at > 0 && *at < text.len()));
    let mut parts = Vec::new();
    let mut start = 0;
    if most > 0 && !(text.is_empty() && separator.is_empty()) {
        for (at, found) in inner.take(most - 1) {
            budget.spend(ELEMENT)?;
            parts.push(slice(text, start..at));
            start = at + found.len();
        }
        parts.push(slice(text, start..text.len()));
    }
    Ok(Value::list(parts))
}

/// The text between double quotes, with the escapes of a literal.
fn quote<'a>(budget: &mut Budget, text: &str) -> Result<Value<'a>, ErrorKind> {
    let mut quoted = Writer::new(budget);
    quoted.push("\"")?;
    let mut rest = text;
    while let Some(at) = rest.find(|character| escape(character).is_some()) {
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        let mut characters = special.chars();
        quoted.push(plain)?;
        quoted.push(characters.next().and_then(escape).unwrap_or_default())?;
        rest = characters.as_str();
    }
    quoted.push(rest)?;
    quoted.push("\"")?;
    Ok(quoted.finish())
}

fn escape(character: char) -> Option<&'static str> {
    Some(match character {
        '\x07' => r"\a",
        '\x08' => r"\b",
        '\x0c' => r"\f",
        '\n' => r"\n",
        '\r' => r"\r",
        '\t' => r"\t",
        '\x0b' => r"\v",
        '\\' => r"\\",
        '"' => r#"\""#,
        _ => return None,
    })
}
