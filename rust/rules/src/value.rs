//! Values, and the equality and order that CEL gives them.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::network::Cidr;
use crate::time::{Duration, Timestamp};

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
    /// The entries of a map, in the order of their keys; no key occurs twice. [`Value::map`] sees to both.
    Map(Ref<'a, [(Value<'a>, Value<'a>)]>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(Duration),
    /// What `type()` gives, without its parameters.
    Type(Kind),
    /// A value that may be missing.
    Optional(Option<Arc<Value<'a>>>),
    /// An address of the Internet protocol.
    Ip(IpAddr),
    /// A network of such addresses.
    Cidr(Cidr),
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
    Timestamp,
    Duration,
    Type,
    Optional,
    Ip,
    Cidr,
}

impl<'a> Value<'a> {
    /// A list.
    pub fn list(elements: impl Into<Arc<[Value<'a>]>>) -> Self {
        Self::List(Ref::Counted(elements.into()))
    }

    /// A map of these entries. Of several with one key, the first is taken.
    pub fn map(mut entries: Vec<(Value<'a>, Value<'a>)>) -> Self {
        entries.sort_by(|(left, _), (right, _)| left.key_order(right));
        entries.dedup_by(|(later, _), (earlier, _)| later.key_order(earlier).is_eq());
        Self::Map(Ref::Counted(entries.into()))
    }

    /// A map of these entries; an error if two have the same key.
    pub(crate) fn distinct_map(entries: Vec<(Value<'a>, Value<'a>)>) -> Result<Self, ErrorKind> {
        let written = entries.len();
        let map = Self::map(entries);
        match &map {
            Self::Map(kept) if kept.len() == written => Ok(map),
            _ => Err(ErrorKind::DuplicateKey),
        }
    }

    /// Counted text.
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::String(Ref::Counted(text.into()))
    }

    /// Counted bytes.
    pub(crate) fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(Ref::Counted(bytes.into()))
    }

    /// `optional.of(self)`
    pub(crate) fn into_optional(self) -> Self {
        Self::Optional(Some(Arc::new(self)))
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

    /// The same value, borrowing nothing. Parts that it shares are copied, so that it may be larger than what was made.
    pub(crate) fn into_owned(self, budget: &mut Budget) -> Result<Value<'static>, ErrorKind> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(number) => Value::Int(number),
            Self::Uint(number) => Value::Uint(number),
            Self::Double(number) => Value::Double(number),
            Self::String(text) => Value::String(Ref::Counted(text.into_counted())),
            Self::Bytes(bytes) => Value::Bytes(Ref::Counted(bytes.into_counted())),
            Self::List(elements) => {
                budget.make_list(elements.len())?;
                let elements = elements.iter().map(|element| element.clone().into_owned(budget));
                Value::list(elements.collect::<Result<Vec<_>, _>>()?)
            }
            Self::Map(entries) => {
                budget.make_list(2 * entries.len())?;
                let entries = entries.iter().map(|(key, value)| {
                    Ok((key.clone().into_owned(budget)?, value.clone().into_owned(budget)?))
                });
                Value::Map(Ref::Counted(entries.collect::<Result<Vec<_>, _>>()?.into()))
            }
            Self::Timestamp(time) => Value::Timestamp(time),
            Self::Duration(length) => Value::Duration(length),
            Self::Type(kind) => Value::Type(kind),
            Self::Optional(None) => Value::Optional(None),
            Self::Optional(Some(held)) => {
                budget.make_list(1)?;
                Value::clone(&held).into_owned(budget)?.into_optional()
            }
            Self::Ip(address) => Value::Ip(address),
            Self::Cidr(network) => Value::Cidr(network),
        })
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
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Duration(_) => Kind::Duration,
            Self::Type(_) => Kind::Type,
            Self::Optional(_) => Kind::Optional,
            Self::Ip(_) => Kind::Ip,
            Self::Cidr(_) => Kind::Cidr,
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
            // Keys are in one order on both sides.
            (Self::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right.iter()).all(|((left_key, left), (right_key, right))| {
                        left_key.equals(right_key) && left.equals(right)
                    })
            }
            (Self::Timestamp(left), Value::Timestamp(right)) => left == right,
            (Self::Duration(left), Value::Duration(right)) => left == right,
            (Self::Type(left), Value::Type(right)) => left == right,
            (Self::Optional(left), Value::Optional(right)) => match (left, right) {
                (Some(left), Some(right)) => left.equals(right),
                (left, right) => left.is_none() && right.is_none(),
            },
            (Self::Ip(left), Value::Ip(right)) => left == right,
            (Self::Cidr(left), Value::Cidr(right)) => left == right,
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
            (Self::Timestamp(left), Value::Timestamp(right)) => Some(Some(left.cmp(right))),
            (Self::Duration(left), Value::Duration(right)) => Some(Some(left.cmp(right))),
            _ => numeric_order(self, other),
        }
    }

    /// Bytes of text, elements of a list; 0 for other values.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(elements) => elements.len(),
            _ => 0,
        }
    }

    /// Bytes of text and elements of lists and maps, all together.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::List(elements) => elements.iter().map(|element| 1 + element.weight()).sum(),
            Self::Map(entries) => entries.iter().map(|(key, value)| 1 + key.weight() + value.weight()).sum(),
            Self::Optional(Some(held)) => 1 + held.weight(),
            other => other.length(),
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
            // What is selected from an optional is optional.
            Self::Optional(None) => Ok(Value::Optional(None)),
            Self::Optional(Some(held)) => held.optional_index(key),
            _ => Err(no_overload(self, key)),
        }
    }

    /// `self[?key]`: what is there, if it is there.
    pub(crate) fn optional_index(&self, key: &Value<'_>) -> Result<Value<'a>, ErrorKind> {
        match self.index(key) {
            Ok(value) if matches!(self, Self::Optional(_)) => Ok(value),
            Ok(value) => Ok(value.into_optional()),
            Err(ErrorKind::NoSuchKey | ErrorKind::IndexOutOfRange) => Ok(Value::Optional(None)),
            Err(other) => Err(other),
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
            Self::Optional(held) => held.as_ref().map_or(Ok(false), |held| held.has(field)),
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
        i64::try_from(size).map(Value::Int).map_err(|_| ErrorKind::Overflow)
    }

    /// The order of the keys of a map: bools, integers of either type, strings.
    pub(crate) fn key_order(&self, other: &Value<'_>) -> Ordering {
        let integer = |key: &Value<'_>| match *key {
            Value::Int(number) => Some(i128::from(number)),
            Value::Uint(number) => Some(i128::from(number)),
            _ => None,
        };
        match (self, other) {
            (Self::String(left), Value::String(right)) => (**left).cmp(&**right),
            (Self::Bool(left), Value::Bool(right)) => left.cmp(right),
            _ => match (integer(self), integer(other)) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => (self.kind() as u8).cmp(&(other.kind() as u8)),
            },
        }
    }

    /// Whether it may be the key of a map: a bool, an int, a uint or a string.
    pub(crate) fn is_key(&self) -> bool {
        matches!(self, Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::String(_))
    }
}

/// The value under `key`, by bisection.
pub(crate) fn find<'m, 'a>(entries: &'m [(Value<'a>, Value<'a>)], key: &Value<'_>) -> Option<&'m Value<'a>> {
    let integer;
    let key = match *key {
        // A double is the key that it equals.
        Value::Double(number) => {
            integer = integer_of(number)?;
            &integer
        }
        _ if key.is_key() => key,
        _ => return None,
    };
    let at = entries.binary_search_by(|(candidate, _)| candidate.key_order(key)).ok()?;
    entries.get(at).map(|(_, value)| value)
}

/// The integer that equals a double.
fn integer_of(number: f64) -> Option<Value<'static>> {
    if number.fract() != 0.0 {
        return None;
    }
    // The upper bounds are 2^63 and 2^64, which do not fit themselves.
    if number >= i64::MIN as f64 && number < i64::MAX as f64 {
        return Some(Value::Int(number as i64));
    }
    (number > 0.0 && number < u64::MAX as f64).then_some(Value::Uint(number as u64))
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
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
            Self::Optional => "optional",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
        })
    }
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Null,
        Self::Bool,
        Self::Int,
        Self::Uint,
        Self::Double,
        Self::String,
        Self::Bytes,
        Self::List,
        Self::Map,
        Self::Timestamp,
        Self::Duration,
        Self::Type,
        Self::Optional,
        Self::Ip,
        Self::Cidr,
    ];

    /// The kind of which `name` is the [`Kind::type_name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_name() == name)
    }

    /// The name of the type in rules, as `type(null) == null_type`.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Type => "type",
            Self::Optional => "optional_type",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
        }
    }
}
