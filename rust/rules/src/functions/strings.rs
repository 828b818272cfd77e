//! Text.

use super::{Table, mismatch};
use crate::error::ErrorKind;
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("string.contains(string) -> bool", |budget, arguments| {
        let (text, part) = texts(arguments)?;
        budget.spend(text.len())?;
        Ok(Value::Bool(text.contains(part)))
    }),
    ("string.startsWith(string) -> bool", |_, arguments| {
        texts(arguments).map(|(text, prefix)| Value::Bool(text.starts_with(prefix)))
    }),
    ("string.endsWith(string) -> bool", |_, arguments| {
        texts(arguments).map(|(text, suffix)| Value::Bool(text.ends_with(suffix)))
    }),
];

fn texts<'v>(arguments: &'v [Value<'_>]) -> Result<(&'v str, &'v str), ErrorKind> {
    match arguments {
        [Value::String(text), Value::String(other)] => Ok((text, other)),
        _ => Err(mismatch(arguments)),
    }
}
