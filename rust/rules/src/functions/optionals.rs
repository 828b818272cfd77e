//! Values that may be missing.

use super::{Implementation, Table, mismatch};
use crate::error::ErrorKind;
use crate::time::Timestamp;
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("optional.of(A) -> optional_type(A)", |_, arguments| one(arguments).map(Value::into_optional)),
    ("optional.none() -> optional_type(A)", |_, _| Ok(Value::Optional(None))),
    ("optional.ofNonZeroValue(A) -> optional_type(A)", |_, arguments| {
        let value = one(arguments)?;
        Ok(if is_zero(&value) { Value::Optional(None) } else { value.into_optional() })
    }),
    ("optional.unwrap(list(optional_type(A))) -> list(A)", UNWRAP),
    ("list(optional_type(A)).unwrapOpt() -> list(A)", UNWRAP),
    ("optional_type(A).hasValue() -> bool", |_, arguments| match arguments {
        [Value::Optional(held)] => Ok(Value::Bool(held.is_some())),
        _ => Err(mismatch(arguments)),
    }),
    ("optional_type(A).value() -> A", |_, arguments| match arguments {
        [Value::Optional(Some(held))] => Ok(Value::clone(held)),
        [Value::Optional(None)] => Err(ErrorKind::NoneValue),
        _ => Err(mismatch(arguments)),
    }),
    ("optional_type(A).orValue(A) -> A", |_, arguments| match arguments {
        [Value::Optional(Some(held)), _] => Ok(Value::clone(held)),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => Err(mismatch(arguments)),
    }),
    ("optional_type(A).or(optional_type(A)) -> optional_type(A)", |_, arguments| match arguments {
        [Value::Optional(None), other] => Ok(other.clone()),
        [held, _] => Ok(held.clone()),
        _ => Err(mismatch(arguments)),
    }),
];

const UNWRAP: Implementation = |budget, arguments| {
    let [Value::List(elements)] = arguments else { return Err(mismatch(arguments)) };
    budget.make_list(elements.len())?;
    let held = elements.iter().filter_map(|element| match element {
        Value::Optional(held) => held.as_ref().map(|held| Ok(Value::clone(held))),
        other => Some(Err(ErrorKind::NoOverloadFor(other.kind()))),
    });
    held.collect::<Result<Vec<_>, _>>().map(Value::list)
};

fn one<'a>(arguments: &[Value<'a>]) -> Result<Value<'a>, ErrorKind> {
    arguments.first().cloned().ok_or_else(|| mismatch(arguments))
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Int(number) => *number == 0,
        Value::Uint(number) => *number == 0,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(elements) => elements.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Duration(length) => length.nanoseconds() == 0,
        Value::Timestamp(time) => Timestamp::from_unix(0, 0) == Some(*time),
        Value::Type(_) | Value::Optional(_) | Value::Ip(_) | Value::Cidr(_) => false,
    }
}
