//! Numbers.

use std::cmp::Ordering;

use super::{Implementation, Table, mismatch};
use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::value::{Value, no_overload};

pub(super) const FUNCTIONS: Table = &[
    // Several arguments reach these as one list.
    ("math.greatest(int) -> int", GREATEST),
    ("math.greatest(uint) -> uint", GREATEST),
    ("math.greatest(double) -> double", GREATEST),
    ("math.greatest(list(int)) -> int", GREATEST),
    ("math.greatest(list(uint)) -> uint", GREATEST),
    ("math.greatest(list(double)) -> double", GREATEST),
    ("math.least(int) -> int", LEAST),
    ("math.least(uint) -> uint", LEAST),
    ("math.least(double) -> double", LEAST),
    ("math.least(list(int)) -> int", LEAST),
    ("math.least(list(uint)) -> uint", LEAST),
    ("math.least(list(double)) -> double", LEAST),
    ("math.ceil(double) -> double", |_, arguments| double(arguments).map(|x| Value::Double(x.ceil()))),
    ("math.floor(double) -> double", |_, arguments| double(arguments).map(|x| Value::Double(x.floor()))),
    // Halves away from 0.
    ("math.round(double) -> double", |_, arguments| double(arguments).map(|x| Value::Double(x.round()))),
    ("math.trunc(double) -> double", |_, arguments| double(arguments).map(|x| Value::Double(x.trunc()))),
    ("math.isInf(double) -> bool", |_, arguments| double(arguments).map(|x| Value::Bool(x.is_infinite()))),
    ("math.isNaN(double) -> bool", |_, arguments| double(arguments).map(|x| Value::Bool(x.is_nan()))),
    ("math.isFinite(double) -> bool", |_, arguments| double(arguments).map(|x| Value::Bool(x.is_finite()))),
    ("math.sqrt(int) -> double", SQUARE_ROOT),
    ("math.sqrt(uint) -> double", SQUARE_ROOT),
    ("math.sqrt(double) -> double", SQUARE_ROOT),
    ("math.abs(int) -> int", ABSOLUTE),
    ("math.abs(uint) -> uint", ABSOLUTE),
    ("math.abs(double) -> double", ABSOLUTE),
    ("math.sign(int) -> int", SIGN),
    ("math.sign(uint) -> uint", SIGN),
    ("math.sign(double) -> double", SIGN),
    ("math.bitAnd(int, int) -> int", |_, arguments| bits(arguments, |x, y| x & y)),
    ("math.bitAnd(uint, uint) -> uint", |_, arguments| bits(arguments, |x, y| x & y)),
    ("math.bitOr(int, int) -> int", |_, arguments| bits(arguments, |x, y| x | y)),
    ("math.bitOr(uint, uint) -> uint", |_, arguments| bits(arguments, |x, y| x | y)),
    ("math.bitXor(int, int) -> int", |_, arguments| bits(arguments, |x, y| x ^ y)),
    ("math.bitXor(uint, uint) -> uint", |_, arguments| bits(arguments, |x, y| x ^ y)),
    ("math.bitNot(int) -> int", COMPLEMENT),
    ("math.bitNot(uint) -> uint", COMPLEMENT),
    ("math.bitShiftLeft(int, int) -> int", |_, arguments| shift(arguments, u64::checked_shl)),
    ("math.bitShiftLeft(uint, int) -> uint", |_, arguments| shift(arguments, u64::checked_shl)),
    // The sign of an int is a bit like the others.
    ("math.bitShiftRight(int, int) -> int", |_, arguments| shift(arguments, u64::checked_shr)),
    ("math.bitShiftRight(uint, int) -> uint", |_, arguments| shift(arguments, u64::checked_shr)),
];

const GREATEST: Implementation = |budget, arguments| extreme(budget, arguments, Ordering::Greater);
const LEAST: Implementation = |budget, arguments| extreme(budget, arguments, Ordering::Less);

const SQUARE_ROOT: Implementation = |_, arguments| match arguments {
    [Value::Int(number)] => Ok(Value::Double((*number as f64).sqrt())),
    [Value::Uint(number)] => Ok(Value::Double((*number as f64).sqrt())),
    [Value::Double(number)] => Ok(Value::Double(number.sqrt())),
    _ => Err(mismatch(arguments)),
};

const ABSOLUTE: Implementation = |_, arguments| match arguments {
    [Value::Int(number)] => number.checked_abs().map(Value::Int).ok_or(ErrorKind::Overflow),
    [Value::Uint(number)] => Ok(Value::Uint(*number)),
    [Value::Double(number)] => Ok(Value::Double(number.abs())),
    _ => Err(mismatch(arguments)),
};

const SIGN: Implementation = |_, arguments| match arguments {
    [Value::Int(number)] => Ok(Value::Int(number.signum())),
    [Value::Uint(number)] => Ok(Value::Uint(u64::from(*number > 0))),
    // Unlike signum, which knows two zeros.
    [Value::Double(number)] if *number == 0.0 => Ok(Value::Double(0.0)),
    [Value::Double(number)] => Ok(Value::Double(number.signum())),
    _ => Err(mismatch(arguments)),
};

const COMPLEMENT: Implementation = |_, arguments| match arguments {
    [Value::Int(number)] => Ok(Value::Int(!number)),
    [Value::Uint(number)] => Ok(Value::Uint(!number)),
    _ => Err(mismatch(arguments)),
};

/// The number that stands on this side of all others, the first of equal ones.
fn extreme<'a>(
    budget: &mut Budget,
    arguments: &[Value<'a>],
    wanted: Ordering,
) -> Result<Value<'a>, ErrorKind> {
    let numbers = match arguments {
        [Value::List(elements)] => elements,
        scalar => scalar,
    };
    budget.spend(numbers.len())?;
    let Some((first, rest)) = numbers.split_first() else {
        return Err(ErrorKind::Invalid("an empty list has no greatest and no least number"));
    };
    let is_number = |value: &Value<'_>| matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_));
    if let Some(other) = numbers.iter().find(|value| !is_number(value)) {
        return Err(ErrorKind::NoOverloadFor(other.kind()));
    }
    let mut found = first;
    for number in rest {
        let order = number.order(found).ok_or_else(|| no_overload(found, number))?;
        if order == Some(wanted) {
            found = number;
        }
    }
    Ok(found.clone())
}

fn double(arguments: &[Value<'_>]) -> Result<f64, ErrorKind> {
    match arguments {
        [Value::Double(number)] => Ok(*number),
        _ => Err(mismatch(arguments)),
    }
}

/// Joins the bits of two integers of one type.
fn bits<'a>(arguments: &[Value<'a>], join: fn(u64, u64) -> u64) -> Result<Value<'a>, ErrorKind> {
    match arguments {
        [Value::Int(left), Value::Int(right)] => {
            Ok(Value::Int(join(left.cast_unsigned(), right.cast_unsigned()).cast_signed()))
        }
        [Value::Uint(left), Value::Uint(right)] => Ok(Value::Uint(join(*left, *right))),
        _ => Err(mismatch(arguments)),
    }
}

/// Shifts the bits of an integer. From 64 places on nothing is left of it.
fn shift<'a>(arguments: &[Value<'a>], shift: fn(u64, u32) -> Option<u64>) -> Result<Value<'a>, ErrorKind> {
    let shifted = |bits: u64, places: i64| match u32::try_from(places) {
        Ok(places) => Ok(shift(bits, places).unwrap_or(0)),
        Err(_) if places < 0 => Err(ErrorKind::Invalid("bits cannot be shifted by a negative number")),
        Err(_) => Ok(0),
    };
    match arguments {
        [Value::Int(number), Value::Int(places)] => {
            shifted(number.cast_unsigned(), *places).map(|bits| Value::Int(bits.cast_signed()))
        }
        [Value::Uint(number), Value::Int(places)] => shifted(*number, *places).map(Value::Uint),
        _ => Err(mismatch(arguments)),
    }
}
