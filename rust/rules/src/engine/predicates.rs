//! The tests that rules are made of, each known once however many rules make it.

use std::collections::HashMap;

use crate::ast::Comparison;
use crate::engine::constants::{Constants, Naming, exact};
use crate::program::{Attribute, Node, Operation, Test};
use crate::types::Type;
use crate::value::Value;

/// A test. It is true or false, or neither where what it reads is absent or unfit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Predicate {
    /// The attribute has a value. Never neither.
    Present(u16),
    /// The attribute is a bool, and true.
    True(u16),
    /// The attribute equals the constant of this number.
    Equal(u16, u32),
    /// The attribute equals one of the constants of this set.
    AnyOf(u16, u32),
    /// The attribute is a number so related to the double of these bits.
    Order(u16, Relation, u64),
    /// Anything else: kept as it was lowered, and evaluated at most once per pass.
    Kept(u32),
}

/// How two numbers are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How an evaluation can fail, other than by the absence of what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failure {
    Never,
    /// Only if the source gives a value that is not of the declared type.
    IfUntyped,
    Possible,
}

/// Every predicate of the rules compiled so far.
#[derive(Debug, Default)]
pub(crate) struct Predicates {
    namings: Vec<Naming>,
    sets: Vec<Box<[u32]>>,
    set_numbers: HashMap<Box<[u32]>, u32>,
    kept: Vec<Node>,
    /// Where among the kept ones those with this text are. Equal text is not enough: what it means can depend on
    /// what surrounds it.
    kept_texts: HashMap<Box<str>, Vec<u32>>,
    /// How often each was named.
    uses: HashMap<Predicate, u32>,
}

/// What is left of the predicates when every rule is compiled.
#[derive(Debug)]
pub(crate) struct Tables {
    /// Of each attribute.
    pub(crate) constants: Box<[Constants]>,
    /// Numbers of constants in order.
    pub(crate) sets: Box<[Box<[u32]>]>,
    pub(crate) kept: Box<[Node]>,
    /// Of each variable, which attribute it is as a whole, if it is one.
    wholes: Box<[Option<u16>]>,
    /// How many predicates there are, and how many of them several rules share.
    pub(crate) predicates: usize,
    pub(crate) shared: usize,
}

impl Tables {
    /// The attribute that a whole variable is.
    pub(crate) fn whole(&self, variable: u16) -> Option<u16> {
        *self.wholes.get(usize::from(variable))?
    }
}

impl Predicates {
    /// The predicate of a node and whether it must be true for the node to be.
    pub(crate) fn of(&mut self, node: &Node, source: &str) -> (Predicate, bool) {
        self.simple(node).unwrap_or_else(|| (Predicate::Kept(self.keep(node, source)), true))
    }

    /// The predicate that the attribute is this text. `None` where there are too many attributes or constants.
    pub(crate) fn is_text(&mut self, attribute: usize, text: &str) -> Option<Predicate> {
        Some(Predicate::Equal(u16::try_from(attribute).ok()?, self.name(attribute, &Value::from(text))?))
    }

    /// The numbers of the constants of a set.
    pub(crate) fn set(&self, set: u32) -> &[u32] {
        self.sets.get(set as usize).map_or(&[], |numbers| numbers)
    }

    /// How expensive a predicate is: reading an attribute, searching its text, or anything.
    pub(crate) fn cost(&self, predicate: Predicate) -> u8 {
        let Predicate::Kept(kept) = predicate else { return 0 };
        match self.kept.get(kept as usize).map(|node| &node.operation) {
            Some(Operation::AttributeTest { .. }) => 1,
            _ => 2,
        }
    }

    /// How a predicate can fail, given the declared types of attributes.
    pub(crate) fn failure<'t>(
        &self,
        predicate: Predicate,
        declared: impl Fn(usize) -> Option<&'t Type>,
    ) -> Failure {
        let typed = |attribute: usize, fits: fn(&Type) -> bool| {
            if declared(attribute).is_some_and(fits) { Failure::IfUntyped } else { Failure::Possible }
        };
        match predicate {
            Predicate::Present(_) | Predicate::Equal(..) | Predicate::AnyOf(..) => Failure::Never,
            Predicate::True(attribute) => typed(attribute.into(), |of_type| *of_type == Type::Bool),
            Predicate::Order(attribute, ..) => typed(attribute.into(), Type::is_number),
            Predicate::Kept(kept) => match self.kept.get(kept as usize).map(|node| &node.operation) {
                Some(Operation::AttributeTest { test, attribute, constant, .. }) => match (test, constant) {
                    (Test::Comparison(Comparison::Equal | Comparison::NotEqual), _) => Failure::Never,
                    (Test::Comparison(Comparison::In), Value::List(_) | Value::Map(_)) => Failure::Never,
                    (Test::Comparison(Comparison::In), _) => Failure::Possible,
                    (_, Value::String(_)) => typed(*attribute, |of_type| *of_type == Type::String),
                    (_, Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                        typed(*attribute, Type::is_number)
                    }
                    _ => Failure::Possible,
                },
                _ => Failure::Possible,
            },
        }
    }

    /// Counts one rule that names these predicates.
    pub(crate) fn count(&mut self, named: impl IntoIterator<Item = Predicate>) {
        let mut named: Vec<Predicate> = named.into_iter().collect();
        named.sort_unstable_by_key(|predicate| predicate.order());
        named.dedup();
        for predicate in named {
            *self.uses.entry(predicate).or_default() += 1;
        }
    }

    pub(crate) fn finish(mut self, attributes: &[Attribute]) -> Tables {
        self.namings.resize_with(attributes.len(), Naming::default);
        let namings = self.namings.into_iter().zip(attributes);
        let mut wholes = Vec::new();
        for (attribute, whole) in (0..).zip(attributes).filter(|(_, attribute)| attribute.key.is_none()) {
            wholes.resize(wholes.len().max(whole.variable + 1), None);
            if let Some(place) = wholes.get_mut(whole.variable) {
                *place = Some(attribute);
            }
        }
        Tables {
            constants: namings.map(|(naming, attribute)| naming.finish(attribute.clone())).collect(),
            sets: self.sets.into(),
            kept: self.kept.into(),
            wholes: wholes.into(),
            predicates: self.uses.len(),
            shared: self.uses.values().filter(|uses| **uses > 1).count(),
        }
    }

    fn simple(&mut self, node: &Node) -> Option<(Predicate, bool)> {
        Some(match &node.operation {
            Operation::Present(attribute) => (Predicate::Present(u16::try_from(*attribute).ok()?), true),
            Operation::Attribute(attribute) => (Predicate::True(u16::try_from(*attribute).ok()?), true),
            Operation::AttributeTest { test: Test::Comparison(comparison), attribute, constant, .. } => {
                let place = u16::try_from(*attribute).ok()?;
                let order = |relation| Some(Predicate::Order(place, relation, exact(constant)?.to_bits()));
                let predicate = match comparison {
                    Comparison::Equal | Comparison::NotEqual => {
                        Predicate::Equal(place, self.name(*attribute, constant)?)
                    }
                    Comparison::In => {
                        let Value::List(elements) = constant else { return None };
                        self.any_of(*attribute, place, elements)?
                    }
                    Comparison::Less => order(Relation::Less)?,
                    Comparison::LessOrEqual => order(Relation::LessOrEqual)?,
                    Comparison::Greater => order(Relation::Greater)?,
                    Comparison::GreaterOrEqual => order(Relation::GreaterOrEqual)?,
                };
                (predicate, *comparison != Comparison::NotEqual)
            }
            _ => return None,
        })
    }

    fn name(&mut self, attribute: usize, constant: &Value<'_>) -> Option<u32> {
        if attribute >= self.namings.len() {
            self.namings.resize_with(attribute + 1, Naming::default);
        }
        self.namings.get_mut(attribute)?.name(constant)
    }

    fn any_of(&mut self, attribute: usize, place: u16, elements: &[Value<'_>]) -> Option<Predicate> {
        let numbers: Option<Vec<u32>> =
            elements.iter().map(|element| self.name(attribute, element)).collect();
        let mut numbers = numbers?;
        numbers.sort_unstable();
        numbers.dedup();
        if let [only] = *numbers {
            return Some(Predicate::Equal(place, only));
        }
        let next = u32::try_from(self.sets.len()).ok()?;
        let set = *self.set_numbers.entry(numbers.into()).or_insert_with_key(|numbers| {
            self.sets.push(numbers.clone());
            next
        });
        Some(Predicate::AnyOf(place, set))
    }

    fn keep(&mut self, node: &Node, source: &str) -> u32 {
        let text = source.get(node.span.range()).unwrap_or_default();
        let same = self.kept_texts.entry(text.into()).or_default();
        let known = same.iter().find(|kept| self.kept.get(**kept as usize) == Some(node));
        if let Some(kept) = known {
            return *kept;
        }
        let kept = self.kept.len() as u32;
        same.push(kept);
        self.kept.push(node.clone());
        kept
    }
}

impl Predicate {
    /// The attribute that it reads, unless it may read any.
    pub(crate) fn attribute(self) -> Option<u16> {
        match self {
            Self::Present(attribute)
            | Self::True(attribute)
            | Self::Equal(attribute, _)
            | Self::AnyOf(attribute, _)
            | Self::Order(attribute, ..) => Some(attribute),
            Self::Kept(_) => None,
        }
    }

    /// Any order in which equal ones are neighbours.
    fn order(self) -> (u8, u64, u64) {
        match self {
            Self::Present(attribute) => (0, attribute.into(), 0),
            Self::True(attribute) => (1, attribute.into(), 0),
            Self::Equal(attribute, number) => (2, attribute.into(), number.into()),
            Self::AnyOf(attribute, set) => (3, attribute.into(), set.into()),
            Self::Order(attribute, relation, bits) => (4 + relation as u8, attribute.into(), bits),
            Self::Kept(kept) => (8, kept.into(), 0),
        }
    }
}

impl Relation {
    /// Whether `left` and `right` are so related; what is not a number is related to nothing.
    ///
    /// NOTE: no `match`, whose table of jumps is far from the code: of 1,000 rules the first match takes a tenth less
    /// where caches are cold.
    #[inline]
    pub(crate) fn holds(self, left: f64, right: f64) -> bool {
        let is_less = matches!(self, Self::Less | Self::LessOrEqual);
        let (small, large) = if is_less { (left, right) } else { (right, left) };
        small < large || small == large && matches!(self, Self::LessOrEqual | Self::GreaterOrEqual)
    }
}
