//! Necessary conditions: for which values of an attribute a rule is refuted, whatever else the request holds. An
//! index passes over such rules.

use std::collections::BTreeMap;

use crate::engine::circuit::{Circuit, Rails};
use crate::engine::constants::ABSENT;
use crate::engine::predicates::{Predicate, Predicates};

/// A rule is refuted by an attribute that is present, unless it has one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) attribute: u16,
    /// Numbers of constants, in order.
    pub(crate) values: Vec<u32>,
    pub(crate) if_absent: IfAbsent,
}

/// What is known of a rule where the attribute of a guard is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfAbsent {
    Refuted,
    /// It does not hold, but may fail.
    NotHolding,
    Unknown,
}

/// The guards of a rule.
pub(crate) fn guards(predicates: &Predicates, rails: &Rails) -> Vec<Guard> {
    let Certain::For(states) = certain(predicates, &rails.refuted) else { return Vec::new() };
    let guard = |(attribute, states)| {
        let States::AllBut(mut values) = states else { return None };
        if values.first() != Some(&ABSENT) {
            return Some(Guard { attribute, values, if_absent: IfAbsent::Refuted });
        }
        values.remove(0);
        let holding = may_hold_without(&rails.holds, attribute);
        Some(Guard {
            attribute,
            values,
            if_absent: if holding { IfAbsent::Unknown } else { IfAbsent::NotHolding },
        })
    };
    states.into_iter().filter_map(guard).collect()
}

/// Whether a circuit may be true where an attribute is absent.
fn may_hold_without(circuit: &Circuit, attribute: u16) -> bool {
    match circuit {
        Circuit::Is(Predicate::Present(of), wanted) if *of == attribute => !wanted,
        Circuit::Is(predicate, _) => predicate.attribute() != Some(attribute),
        Circuit::All(parts) => parts.iter().all(|part| may_hold_without(part, attribute)),
        Circuit::Any(parts) => parts.iter().any(|part| may_hold_without(part, attribute)),
    }
}

impl Guard {
    /// Whether the rule must be tried where the attribute is absent.
    pub(crate) fn tried_if_absent(&self, watched: bool) -> bool {
        match self.if_absent {
            IfAbsent::Refuted => false,
            IfAbsent::NotHolding => watched,
            IfAbsent::Unknown => true,
        }
    }
}

/// When a circuit is true for certain.
enum Certain {
    Always,
    /// If any of these attributes is in one of these states.
    For(BTreeMap<u16, States>),
}

/// A set of numbers, each list in order. Whatever no rule names is in none of the lists.
enum States {
    Only(Vec<u32>),
    AllBut(Vec<u32>),
}

fn certain(predicates: &Predicates, circuit: &Circuit) -> Certain {
    match circuit {
        Circuit::Is(predicate, wanted) => {
            Certain::For(states(predicates, *predicate, *wanted).into_iter().collect())
        }
        Circuit::All(parts) => joined(predicates, parts, Certain::and).unwrap_or(Certain::Always),
        Circuit::Any(parts) => {
            joined(predicates, parts, Certain::or).unwrap_or(Certain::For(BTreeMap::new()))
        }
    }
}

/// Joins parts in halves, so that long chains take no quadratic time.
fn joined(
    predicates: &Predicates,
    parts: &[Circuit],
    join: fn(Certain, Certain) -> Certain,
) -> Option<Certain> {
    match parts {
        [] => return None,
        [only] => return Some(certain(predicates, only)),
        _ => {}
    }
    let (left, right) = parts.split_at(parts.len() / 2);
    Some(join(joined(predicates, left, join)?, joined(predicates, right, join)?))
}

impl Certain {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, other) | (other, Self::Always) => other,
            (Self::For(left), Self::For(mut right)) => Self::For(
                left.into_iter()
                    .filter_map(|(attribute, states)| {
                        Some((attribute, states.intersection(right.remove(&attribute)?)))
                    })
                    .collect(),
            ),
        }
    }

    fn or(self, other: Self) -> Self {
        let (Self::For(mut left), Self::For(right)) = (self, other) else { return Self::Always };
        for (attribute, states) in right {
            let known = left.remove(&attribute).unwrap_or(States::Only(Vec::new()));
            left.insert(attribute, known.union(states));
        }
        Self::For(left)
    }
}

/// The states of its attribute in which a predicate is known to be as wanted.
fn states(predicates: &Predicates, predicate: Predicate, wanted: bool) -> Option<(u16, States)> {
    let (attribute, values) = match predicate {
        Predicate::Equal(attribute, number) => (attribute, vec![number]),
        Predicate::AnyOf(attribute, set) => (attribute, predicates.set(set).to_vec()),
        Predicate::Present(attribute) if wanted => return Some((attribute, States::AllBut(vec![ABSENT]))),
        Predicate::Present(attribute) => return Some((attribute, States::Only(vec![ABSENT]))),
        Predicate::True(_) | Predicate::Order(..) | Predicate::Kept(_) => return None,
    };
    if wanted {
        return Some((attribute, States::Only(values)));
    }
    Some((attribute, States::AllBut(merge(&[ABSENT], &values))))
}

impl States {
    fn union(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(merge(&left, &right)),
            (Self::AllBut(left), Self::AllBut(right)) => Self::AllBut(common(&left, &right)),
            (Self::Only(some), Self::AllBut(none)) | (Self::AllBut(none), Self::Only(some)) => {
                Self::AllBut(without(&none, &some))
            }
        }
    }

    fn intersection(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(left), Self::Only(right)) => Self::Only(common(&left, &right)),
            (Self::AllBut(left), Self::AllBut(right)) => Self::AllBut(merge(&left, &right)),
            (Self::Only(some), Self::AllBut(none)) | (Self::AllBut(none), Self::Only(some)) => {
                Self::Only(without(&some, &none))
            }
        }
    }
}

fn merge(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut both = [left, right].concat();
    both.sort_unstable();
    both.dedup();
    both
}

fn common(left: &[u32], right: &[u32]) -> Vec<u32> {
    left.iter().copied().filter(|number| right.binary_search(number).is_ok()).collect()
}

fn without(left: &[u32], right: &[u32]) -> Vec<u32> {
    left.iter().copied().filter(|number| right.binary_search(number).is_err()).collect()
}
