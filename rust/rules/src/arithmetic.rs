//! The arithmetic of values. What does not fit is an error; numbers of different types do not mix.

use crate::error::ErrorKind;
use crate::value::{Value, no_overload};

impl<'a> Value<'a> {
    pub(crate) fn add(&self, other: &Value<'a>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => checked(left.checked_add(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_add(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
            (Self::String(left), Value::String(right)) => Ok(Value::text([&**left, &**right].concat())),
            (Self::Bytes(left), Value::Bytes(right)) => Ok(Value::bytes([&**left, &**right].concat())),
            (Self::List(left), Value::List(right)) => Ok(Value::list([&**left, &**right].concat())),
            (Self::Timestamp(time), Value::Duration(length))
            | (Self::Duration(length), Value::Timestamp(time)) => {
                checked(time.checked_add(*length).map(Value::Timestamp))
            }
            (Self::Duration(left), Value::Duration(right)) => {
                checked(left.checked_add(*right).map(Value::Duration))
            }
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn subtract(&self, other: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => checked(left.checked_sub(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_sub(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
            (Self::Timestamp(time), Value::Duration(length)) => checked(
                length.checked_neg().and_then(|length| time.checked_add(length)).map(Value::Timestamp),
            ),
            (Self::Timestamp(left), Value::Timestamp(right)) => {
                checked(left.since(*right).map(Value::Duration))
            }
            (Self::Duration(left), Value::Duration(right)) => {
                checked(right.checked_neg().and_then(|right| left.checked_add(right)).map(Value::Duration))
            }
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn multiply(&self, other: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => checked(left.checked_mul(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_mul(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left * right)),
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn divide(&self, other: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(_), Value::Int(0)) | (Self::Uint(_), Value::Uint(0)) => Err(ErrorKind::DivisionByZero),
            (Self::Int(left), Value::Int(right)) => checked(left.checked_div(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_div(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left / right)),
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn remainder(&self, other: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(_), Value::Int(0)) | (Self::Uint(_), Value::Uint(0)) => Err(ErrorKind::DivisionByZero),
            (Self::Int(left), Value::Int(right)) => checked(left.checked_rem(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_rem(*right).map(Value::Uint)),
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn negate(&self) -> Result<Value<'a>, ErrorKind> {
        match self {
            Self::Int(number) => checked(number.checked_neg().map(Value::Int)),
            Self::Double(number) => Ok(Value::Double(-number)),
            _ => Err(ErrorKind::NoOverloadFor(self.kind())),
        }
    }
}

fn checked<T>(result: Option<T>) -> Result<T, ErrorKind> {
    result.ok_or(ErrorKind::Overflow)
}
