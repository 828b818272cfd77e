//! Lists as sets: the order of their elements and how often they occur do not matter.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use smallvec::SmallVec;

use super::{Table, mismatch};
use crate::budget::Budget;
use crate::error::ErrorKind;
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("sets.contains(list(A), list(A)) -> bool", |budget, arguments| {
        let (all, part) = lists(arguments)?;
        has_all(budget, all, part).map(Value::Bool)
    }),
    ("sets.equivalent(list(A), list(A)) -> bool", |budget, arguments| {
        let (left, right) = lists(arguments)?;
        Ok(Value::Bool(has_all(budget, left, right)? && has_all(budget, right, left)?))
    }),
    ("sets.intersects(list(A), list(A)) -> bool", |budget, arguments| {
        let (left, right) = lists(arguments)?;
        let set = Set::of(budget, left)?;
        for element in right {
            if set.contains(budget, element)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
];

/// What an entry of a hash table costs, in bytes that are read.
const INSERTION: usize = 64;

/// A list that is looked into again and again.
enum Set<'m, 'a> {
    /// Elements that hold no others.
    Few(&'m [Value<'a>]),
    Many(Members<'m, 'a>),
}

/// NOTE: to intersect three texts with two takes 0.24 µs when each is compared with each, 0.38 µs by their digests.
const FEW: usize = 8;

impl<'m, 'a> Set<'m, 'a> {
    fn of(budget: &mut Budget, elements: &'m [Value<'a>]) -> Result<Self, ErrorKind> {
        let nests = |value: &Value<'_>| matches!(value, Value::List(_) | Value::Map(_) | Value::Optional(_));
        if elements.len() <= FEW && !elements.iter().any(nests) {
            return Ok(Self::Few(elements));
        }
        // All of them, since of two that are equal only one may equal a third: 2^53 + 1, 2^53 as a double, and 2^53.
        let mut members = Members::default();
        for element in elements {
            budget.spend(INSERTION)?;
            members.0.entry(digest(budget, element)?.0).or_default().push(element);
        }
        Ok(Self::Many(members))
    }

    fn contains(&self, budget: &mut Budget, value: &Value<'_>) -> Result<bool, ErrorKind> {
        match self {
            Self::Few(elements) => {
                budget.spend(elements.len() * (1 + value.length()))?;
                Ok(elements.iter().any(|element| element.equals(value)))
            }
            Self::Many(members) => {
                let (digest, size) = digest(budget, value)?;
                let alike = members.0.get(&digest);
                alike.map_or(Ok(false), |alike| has_equal(budget, alike, value, size))
            }
        }
    }
}

/// Values that are found in constant time by what they equal.
#[derive(Default)]
pub(super) struct Members<'m, 'a>(HashMap<u64, SmallVec<[&'m Value<'a>; 1]>>);

impl<'m, 'a> Members<'m, 'a> {
    /// Adds a value that equals none so far, and says whether it was such a value.
    pub(super) fn insert(&mut self, budget: &mut Budget, value: &'m Value<'a>) -> Result<bool, ErrorKind> {
        budget.spend(INSERTION)?;
        let (digest, size) = digest(budget, value)?;
        let alike = self.0.entry(digest).or_default();
        let is_new = !has_equal(budget, alike, value, size)?;
        if is_new {
            alike.push(value);
        }
        Ok(is_new)
    }
}

/// Whether one of the values with the same digest is equal, to which so much of `value` is compared.
fn has_equal(
    budget: &mut Budget,
    alike: &[&Value<'_>],
    value: &Value<'_>,
    size: usize,
) -> Result<bool, ErrorKind> {
    for other in alike {
        budget.spend(size)?;
        if other.equals(value) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_all(budget: &mut Budget, all: &[Value<'_>], part: &[Value<'_>]) -> Result<bool, ErrorKind> {
    let set = Set::of(budget, all)?;
    for element in part {
        if !set.contains(budget, element)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A number that equal values share, and how much had to be read for it.
fn digest(budget: &mut Budget, value: &Value<'_>) -> Result<(u64, usize), ErrorKind> {
    let mut hasher = DefaultHasher::new();
    let size = feed(budget, &mut hasher, value)?;
    Ok((hasher.finish(), size))
}

fn feed(budget: &mut Budget, hasher: &mut DefaultHasher, value: &Value<'_>) -> Result<usize, ErrorKind> {
    let mut size = 1 + value.length();
    budget.spend(size)?;
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(truth) => (1_u8, truth).hash(hasher),
        // Numbers of different types are equal if they are as doubles. There are two zeros, which adding one unites.
        Value::Int(number) => (2_u8, (*number as f64).to_bits()).hash(hasher),
        Value::Uint(number) => (2_u8, (*number as f64).to_bits()).hash(hasher),
        Value::Double(number) => (2_u8, (number + 0.0).to_bits()).hash(hasher),
        Value::String(text) => (3_u8, &**text).hash(hasher),
        Value::Bytes(bytes) => (4_u8, &**bytes).hash(hasher),
        Value::List(elements) => {
            (5_u8, elements.len()).hash(hasher);
            for element in elements.iter() {
                size += feed(budget, hasher, element)?;
            }
        }
        Value::Map(entries) => {
            (6_u8, entries.len()).hash(hasher);
            for (key, value) in entries.iter() {
                size += feed(budget, hasher, key)? + feed(budget, hasher, value)?;
            }
        }
        Value::Timestamp(time) => (7_u8, time).hash(hasher),
        Value::Duration(length) => (8_u8, length).hash(hasher),
        Value::Type(kind) => (9_u8, *kind as u8).hash(hasher),
        Value::Optional(None) => 10_u8.hash(hasher),
        Value::Optional(Some(held)) => {
            11_u8.hash(hasher);
            size += feed(budget, hasher, held)?;
        }
        Value::Ip(address) => (12_u8, address).hash(hasher),
        Value::Cidr(network) => (13_u8, network).hash(hasher),
    }
    Ok(size)
}

fn lists<'v, 'a>(arguments: &'v [Value<'a>]) -> Result<(&'v [Value<'a>], &'v [Value<'a>]), ErrorKind> {
    match arguments {
        [Value::List(left), Value::List(right)] => Ok((left, right)),
        _ => Err(mismatch(arguments)),
    }
}
