//! Values, and the equality, order and arithmetic that CEL gives them.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error::ErrorKind;

/// A CEL value. What comes from a request or from a compiled rule is borrowed; what was computed is counted.
///
/// Rust's `==` on it is exact (an int never equals a double); CEL's is [`Value::equals`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A signed integer of 64 bits.
    Int(i64),
    /// An unsigned integer of 64 bits.
    Uint(u64),
    /// A number of 64 bits as of IEEE 754.
    Double(f64),
    /// Text.
    String(Ref<'a, str>),
    /// Bytes.
    Bytes(Ref<'a, [u8]>),
    /// A list.
    List(Ref<'a, [Value<'a>]>),
    /// The entries of a map; no key occurs twice.
    Map(Ref<'a, [(Value<'a>, Value<'a>)]>),
}

/// Something borrowed from the request or a rule, or shared by count.
#[derive(Debug)]
pub enum Ref<'a, T: ?Sized> {
    /// Lent for the evaluation.
    Borrowed(&'a T),
    /// Computed in the evaluation.
    Counted(Arc<T>),
}

/// Which kind of value it is, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the variants of Value")]
pub enum Kind {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Map,
}

impl<'a> Value<'a> {
    /// A list.
    pub fn list(elements: impl Into<Arc<[Value<'a>]>>) -> Self {
        Self::List(Ref::Counted(elements.into()))
    }

    /// A map of these entries; the caller sees to it that no key occurs twice.
    pub fn map(entries: impl Into<Arc<[(Value<'a>, Value<'a>)]>>) -> Self {
        Self::Map(Ref::Counted(entries.into()))
    }

    /// The same value without counting a reference.
    #[inline]
    pub fn borrowed(&'a self) -> Value<'a> {
        match self {
            Self::String(text) => Value::String(Ref::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(Ref::Borrowed(bytes)),
            Self::List(elements) => Value::List(Ref::Borrowed(elements)),
            Self::Map(entries) => Value::Map(Ref::Borrowed(entries)),
            scalar => scalar.clone(),
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(number) => Value::Int(number),
            Self::Uint(number) => Value::Uint(number),
            Self::Double(number) => Value::Double(number),
            Self::String(text) => Value::String(Ref::Counted(text.into_counted())),
            Self::Bytes(bytes) => Value::Bytes(Ref::Counted(bytes.into_counted())),
            Self::List(elements) => {
                Value::list(elements.iter().map(|element| element.clone().into_owned()).collect::<Vec<_>>())
            }
            Self::Map(entries) => Value::map(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone().into_owned(), value.clone().into_owned()))
                    .collect::<Vec<_>>(),
            ),
        }
    }

    /// Which kind of value it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Uint(_) => Kind::Uint,
            Self::Double(_) => Kind::Double,
            Self::String(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }

    /// CEL's `==`: numbers compare by what they mean, values of unlike types differ.
    #[inline]
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::String(left), Value::String(right)) => **left == **right,
            (Self::Bytes(left), Value::Bytes(right)) => **left == **right,
            (Self::Bool(left), Value::Bool(right)) => left == right,
            (Self::Null, Value::Null) => true,
            (Self::List(left), Value::List(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right.iter()).all(|(left, right)| left.equals(right))
            }
            (Self::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, value)| find(right, key).is_some_and(|other| value.equals(other)))
            }
            _ => numeric_order(self, other) == Some(Some(Ordering::Equal)),
        }
    }

    /// How two values are ordered: `None` where CEL defines no order between such values, `Some(None)` where
    /// one is not a number.
    #[inline]
    pub(crate) fn order(&self, other: &Value<'_>) -> Option<Option<Ordering>> {
        match (self, other) {
            (Self::String(left), Value::String(right)) => Some(Some((**left).cmp(&**right))),
            (Self::Bytes(left), Value::Bytes(right)) => Some(Some((**left).cmp(&**right))),
            (Self::Bool(left), Value::Bool(right)) => Some(Some(left.cmp(right))),
            _ => numeric_order(self, other),
        }
    }

    pub(crate) fn add(&self, other: &Value<'a>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => checked(left.checked_add(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_add(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left + right)),
            (Self::String(left), Value::String(right)) => {
                Ok(Value::String(Ref::Counted([&**left, &**right].concat().into())))
            }
            (Self::Bytes(left), Value::Bytes(right)) => {
                Ok(Value::Bytes(Ref::Counted([&**left, &**right].concat().into())))
            }
            (Self::List(left), Value::List(right)) => Ok(Value::list([&**left, &**right].concat())),
            _ => Err(no_overload(self, other)),
        }
    }

    pub(crate) fn subtract(&self, other: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match (self, other) {
            (Self::Int(left), Value::Int(right)) => checked(left.checked_sub(*right).map(Value::Int)),
            (Self::Uint(left), Value::Uint(right)) => checked(left.checked_sub(*right).map(Value::Uint)),
            (Self::Double(left), Value::Double(right)) => Ok(Value::Double(left - right)),
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

    /// `self[key]`: an element of a list by position, an entry of a map by key.
    pub(crate) fn index(&self, key: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match self {
            Self::Map(entries) => find(entries, key).cloned().ok_or(ErrorKind::NoSuchKey),
            Self::List(elements) => {
                let position = position(key).ok_or_else(|| no_overload(self, key))?;
                usize::try_from(position)
                    .ok()
                    .and_then(|position| elements.get(position))
                    .cloned()
                    .ok_or(ErrorKind::IndexOutOfRange)
            }
            _ => Err(no_overload(self, key)),
        }
    }

    /// `self in container`.
    pub(crate) fn is_in(&self, container: &Value<'_>) -> Result<bool, ErrorKind> {
        match container {
            Value::List(elements) => Ok(elements.iter().any(|element| element.equals(self))),
            Value::Map(entries) => Ok(find(entries, self).is_some()),
            _ => Err(no_overload(self, container)),
        }
    }

    /// `has(self.field)`.
    pub(crate) fn has(&self, field: &str) -> Result<bool, ErrorKind> {
        match self {
            Self::Map(entries) => Ok(find(entries, &Value::from(field)).is_some()),
            _ => Err(ErrorKind::NoOverloadFor(self.kind())),
        }
    }

    /// Code points of a string, bytes, elements, entries.
    pub(crate) fn size(&self) -> Result<Value<'a>, ErrorKind> {
        let size = match self {
            Self::String(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(elements) => elements.len(),
            Self::Map(entries) => entries.len(),
            _ => return Err(ErrorKind::NoOverloadFor(self.kind())),
        };
        checked(i64::try_from(size).ok().map(Value::Int))
    }

    /// Whether it may be the key of a map: a bool, an int, a uint or a string.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::String(_))
    }
}

/// The value under `key`. Maps in rules and requests are small, so entries are searched in order.
pub(crate) fn find<'m, 'a>(entries: &'m [(Value<'a>, Value<'a>)], key: &Value<'_>) -> Option<&'m Value<'a>> {
    entries.iter().find(|(candidate, _)| candidate.equals(key)).map(|(_, value)| value)
}

/// The position that a value used as the index of a list stands for.
fn position(key: &Value<'_>) -> Option<i64> {
    match *key {
        Value::Int(position) => Some(position),
        Value::Uint(position) => Some(i64::try_from(position).unwrap_or(i64::MAX)),
        // Beyond 2^53 the cast saturates or rounds, which is out of the range of any list.
        Value::Double(position) if position.fract() == 0.0 => Some(position as i64),
        _ => None,
    }
}

fn checked<T>(result: Option<T>) -> Result<T, ErrorKind> {
    result.ok_or(ErrorKind::Overflow)
}

#[cold]
pub(crate) fn no_overload(left: &Value<'_>, right: &Value<'_>) -> ErrorKind {
    ErrorKind::NoOverload(left.kind(), right.kind())
}

#[inline]
fn numeric_order(left: &Value<'_>, right: &Value<'_>) -> Option<Option<Ordering>> {
    let order = match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Double(left), Value::Double(right)) => left.partial_cmp(right),
        (Value::Uint(left), Value::Uint(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Uint(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Uint(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        // The specification compares an integer with a double as doubles, so from 2^53 on neighbours are equal.
        (Value::Int(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Uint(left), Value::Double(right)) => (*left as f64).partial_cmp(right),
        (Value::Double(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Double(left), Value::Uint(right)) => left.partial_cmp(&(*right as f64)),
        _ => return None,
    };
    Some(order)
}

impl<T: ?Sized> Ref<'_, T>
where
    Arc<T>: for<'t> From<&'t T>,
{
    fn into_counted(self) -> Arc<T> {
        match self {
            Self::Borrowed(value) => value.into(),
            Self::Counted(value) => value,
        }
    }
}

impl<T: ?Sized> Clone for Ref<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(value) => Self::Borrowed(value),
            Self::Counted(value) => Self::Counted(Arc::clone(value)),
        }
    }
}

impl<T: ?Sized> Deref for Ref<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(value) => value,
            Self::Counted(value) => value,
        }
    }
}

impl<T: ?Sized + PartialEq> PartialEq for Ref<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::String(Ref::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::String(Ref::Counted(text.into()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Ref::Borrowed(bytes))
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
        })
    }
}
