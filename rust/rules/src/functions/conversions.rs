//! Conversions between types, and what values of several types have in common.

use super::{Implementation, Table, mismatch};
use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::time::{Duration, Timestamp};
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("dyn(A) -> dyn", IDENTITY),
    ("type(A) -> type(A)", |_, arguments| match arguments {
        [value] => Ok(Value::Type(value.kind())),
        _ => Err(mismatch(arguments)),
    }),
    ("size(string) -> int", SIZE),
    ("size(bytes) -> int", SIZE),
    ("size(list(A)) -> int", SIZE),
    ("size(map(A, B)) -> int", SIZE),
    ("string.size() -> int", SIZE),
    ("bytes.size() -> int", SIZE),
    ("list(A).size() -> int", SIZE),
    ("map(A, B).size() -> int", SIZE),
    ("bool(bool) -> bool", IDENTITY),
    ("bool(string) -> bool", |_, arguments| match arguments {
        [Value::String(text)] => match &**text {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(ErrorKind::Invalid("this text is neither true nor false")),
        },
        _ => Err(mismatch(arguments)),
    }),
    ("bytes(bytes) -> bytes", IDENTITY),
    ("bytes(string) -> bytes", |budget, arguments| match arguments {
        [Value::String(text)] => budget.make(text.len()).map(|()| Value::bytes(text.as_bytes())),
        _ => Err(mismatch(arguments)),
    }),
    ("double(double) -> double", IDENTITY),
    ("double(int) -> double", |_, arguments| match arguments {
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        _ => Err(mismatch(arguments)),
    }),
    ("double(uint) -> double", |_, arguments| match arguments {
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        _ => Err(mismatch(arguments)),
    }),
    ("double(string) -> double", |budget, arguments| {
        let number = text(budget, arguments)?.parse();
        number.map(Value::Double).map_err(|_| ErrorKind::Invalid("this text is not a number"))
    }),
    ("int(int) -> int", IDENTITY),
    ("int(uint) -> int", |_, arguments| match arguments {
        [Value::Uint(number)] => i64::try_from(*number).map(Value::Int).map_err(|_| ErrorKind::Overflow),
        _ => Err(mismatch(arguments)),
    }),
    ("int(double) -> int", |_, arguments| match arguments {
        // Strictly between the bounds: ±2^63 as doubles, the lower of which is refused as the specification has it.
        [Value::Double(number)] if *number > i64::MIN as f64 && *number < i64::MAX as f64 => {
            Ok(Value::Int(*number as i64))
        }
        [Value::Double(_)] => Err(ErrorKind::Overflow),
        _ => Err(mismatch(arguments)),
    }),
    ("int(string) -> int", |budget, arguments| {
        let number = text(budget, arguments)?.parse();
        number.map(Value::Int).map_err(|_| ErrorKind::Invalid("this text is not an int"))
    }),
    ("int(timestamp) -> int", |_, arguments| match arguments {
        [Value::Timestamp(time)] => Ok(Value::Int(time.unix_seconds())),
        _ => Err(mismatch(arguments)),
    }),
    ("int(duration) -> int", |_, arguments| match arguments {
        [Value::Duration(length)] => Ok(Value::Int(length.nanoseconds())),
        _ => Err(mismatch(arguments)),
    }),
    ("uint(uint) -> uint", IDENTITY),
    ("uint(int) -> uint", |_, arguments| match arguments {
        [Value::Int(number)] => u64::try_from(*number).map(Value::Uint).map_err(|_| ErrorKind::Overflow),
        _ => Err(mismatch(arguments)),
    }),
    ("uint(double) -> uint", |_, arguments| match arguments {
        [Value::Double(number)] if *number >= 0.0 && *number < u64::MAX as f64 => {
            Ok(Value::Uint(*number as u64))
        }
        [Value::Double(_)] => Err(ErrorKind::Overflow),
        _ => Err(mismatch(arguments)),
    }),
    ("uint(string) -> uint", |budget, arguments| {
        let number = text(budget, arguments)?.parse();
        number.map(Value::Uint).map_err(|_| ErrorKind::Invalid("this text is not a uint"))
    }),
    ("string(string) -> string", IDENTITY),
    ("string(bool) -> string", |_, arguments| match arguments {
        [Value::Bool(truth)] => Ok(Value::from(if *truth { "true" } else { "false" })),
        _ => Err(mismatch(arguments)),
    }),
    ("string(int) -> string", |_, arguments| match arguments {
        [Value::Int(number)] => Ok(Value::text(number.to_string())),
        _ => Err(mismatch(arguments)),
    }),
    ("string(uint) -> string", |_, arguments| match arguments {
        [Value::Uint(number)] => Ok(Value::text(number.to_string())),
        _ => Err(mismatch(arguments)),
    }),
    ("string(double) -> string", |_, arguments| match arguments {
        [Value::Double(number)] => Ok(Value::text(text_of_double(*number))),
        _ => Err(mismatch(arguments)),
    }),
    ("string(bytes) -> string", |budget, arguments| match arguments {
        [Value::Bytes(bytes)] => {
            budget.make(bytes.len())?;
            let text = std::str::from_utf8(bytes);
            text.map(Value::text).map_err(|_| ErrorKind::Invalid("these bytes are not UTF-8"))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("string(timestamp) -> string", |_, arguments| match arguments {
        [Value::Timestamp(time)] => Ok(Value::text(time.to_string())),
        _ => Err(mismatch(arguments)),
    }),
    ("string(duration) -> string", |_, arguments| match arguments {
        [Value::Duration(length)] => Ok(Value::text(length.to_string())),
        _ => Err(mismatch(arguments)),
    }),
    ("timestamp(timestamp) -> timestamp", IDENTITY),
    ("timestamp(string) -> timestamp", |budget, arguments| {
        Timestamp::parse(text(budget, arguments)?).map(Value::Timestamp).ok_or(NO_TIMESTAMP)
    }),
    ("timestamp(int) -> timestamp", |_, arguments| match arguments {
        [Value::Int(seconds)] => {
            Timestamp::from_unix(*seconds, 0).map(Value::Timestamp).ok_or(ErrorKind::Overflow)
        }
        _ => Err(mismatch(arguments)),
    }),
    ("duration(duration) -> duration", IDENTITY),
    ("duration(string) -> duration", |budget, arguments| {
        Duration::parse(text(budget, arguments)?).map(Value::Duration).ok_or(NO_DURATION)
    }),
    ("duration(int) -> duration", |_, arguments| match arguments {
        [Value::Int(nanoseconds)] => Ok(Value::Duration(Duration::from_nanoseconds(*nanoseconds))),
        _ => Err(mismatch(arguments)),
    }),
];

const NO_TIMESTAMP: ErrorKind =
    ErrorKind::Invalid("this text is not a timestamp of the years 1 to 9999, as 2026-11-21T09:30:00Z is");
const NO_DURATION: ErrorKind =
    ErrorKind::Invalid("this text is not a duration of at most 292 years, as 1h30m is");

const IDENTITY: Implementation = |_, arguments| match arguments {
    [value] => Ok(value.clone()),
    _ => Err(mismatch(arguments)),
};

const SIZE: Implementation = |budget, arguments| match arguments {
    [value @ Value::String(text)] => budget.spend(text.len()).and_then(|()| value.size()),
    [value] => value.size(),
    _ => Err(mismatch(arguments)),
};

/// The one argument, which is read to its end.
fn text<'v>(budget: &mut Budget, arguments: &'v [Value<'_>]) -> Result<&'v str, ErrorKind> {
    let [Value::String(text)] = arguments else { return Err(mismatch(arguments)) };
    budget.spend(text.len())?;
    Ok(text)
}

/// The shortest text that reads back as the number, with an exponent from 10^21 on and below 10^-6, as in JSON.
pub(super) fn text_of_double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        return two_digit_exponent(format!("{number:e}"));
    }
    format!("{number}")
}

/// A number whose exponent is written as Go and C write it: with its sign and at least two digits.
pub(super) fn two_digit_exponent(number: String) -> String {
    match number.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => number,
    }
}
