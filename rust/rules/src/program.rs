//! The form in which an expression is evaluated: names are attribute slots, what is constant is computed.

use std::sync::Arc;

use crate::ast::{Arithmetic, Comparison, Fold, Logic, Span, Unary};
use crate::ends::Ends;
use crate::error::ErrorKind;
use crate::functions::{Overloads, Pattern};
use crate::value::Value;

/// Something a rule reads from the request: a variable, or one entry of a variable that is a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// Which variable, in the order of declaration.
    pub variable: usize,
    /// Which entry of it; `None` for the variable itself.
    pub key: Option<Box<str>>,
    mark: u8,
    /// Of the key.
    ends: Ends,
}

impl Attribute {
    /// A variable, or one entry of it.
    pub fn new(variable: usize, key: Option<Box<str>>) -> Self {
        let Some(key) = key else { return Self::whole(variable) };
        let (mark, ends) = (mark(key.as_bytes()), Ends::of(key.as_bytes()));
        Self { variable, key: Some(key), mark, ends }
    }

    /// A variable.
    #[inline(always)]
    pub(crate) fn whole(variable: usize) -> Self {
        Self { variable, key: None, mark: 0, ends: Ends { first: 0, last: 0, length: 0 } }
    }

    /// Whether this is the key, which there must be.
    #[inline(always)]
    pub fn is_key(&self, name: &[u8]) -> bool {
        match Ends::of_short(name) {
            Some(ends) => ends.are(self.ends),
            None => self.key.as_deref().is_some_and(|key| key.as_bytes() == name),
        }
    }

    /// The [`mark`] of the key.
    #[inline]
    pub fn mark(&self) -> u8 {
        self.mark
    }
}

/// A byte that differs among the names of a usual request's header fields: to find one among them.
///
/// NOTE: of 64 usual names, 1 of 2,016 pairs shares its own; 8 would if it were drawn. The third byte, since names
/// begin with `x-`, and the last but one, since they end alike.
#[inline]
pub fn mark(name: &[u8]) -> u8 {
    let byte = |place: usize| name.get(place).copied().unwrap_or_default();
    let (third, length, last_but_one) = (byte(2), name.len() as u8, byte(name.len().wrapping_sub(2)));
    third.wrapping_add(last_but_one.wrapping_mul(25)).wrapping_add(length.wrapping_mul(43))
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) operation: Operation,
}

/// Two nodes are equal if they compute the same, wherever they are written.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.operation == other.operation
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    Constant(Value<'static>),
    /// The value of an attribute, by its place among the attributes.
    Attribute(usize),
    /// The value of an attribute as an optional.
    OptionalAttribute(usize),
    /// The value of an attribute, or this where it has none: `headers[?"x-tier"].orValue("")`.
    AttributeOr(usize, Value<'static>),
    /// Whether the attribute has a value.
    Present(usize),
    /// A variable of a comprehension, by how many such variables enclose it.
    Local(usize),
    /// An expression with a name, evaluated once.
    Definition(usize, Arc<Node>),
    /// An operand that cannot be evaluated, known before any request.
    Fail(ErrorKind),
    Logic(Logic, Box<[Node]>),
    Unary(Unary, Box<Node>),
    Test(Comparison, Box<[Node; 2]>),
    /// A test of an attribute, on the left, against a constant: what most rules are made of.
    AttributeTest {
        test: Test,
        attribute: usize,
        read_at: ReadAt,
        constant: Value<'static>,
        /// What it is where the attribute has no value; `None` if that is an error.
        if_absent: Option<bool>,
    },
    /// `matches` with a constant pattern.
    Matches(Box<Node>, Arc<Pattern>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Sum(Box<[Node]>),
    /// Condition and the two outcomes.
    Conditional(Box<[Node; 3]>),
    Has(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    OptionalIndex(Box<[Node; 2]>),
    /// The operand in lower case, if it is text: a key of a map whose keys are.
    Lowercase(Box<Node>),
    List(Box<[Element]>),
    Map(Box<[Entry]>),
    Call(&'static Overloads, Box<[Node]>),
    /// A function of an optional and of what is asked for only if it has no value.
    OrElse(&'static Overloads, Box<[Node; 2]>),
    Comprehension(Box<Comprehension>),
    /// The value of a local variable, and the expression that it is for.
    Bind(Box<[Node; 2]>),
    /// An optional, and what is made of its value.
    OptionalMap {
        nodes: Box<[Node; 2]>,
        flat: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Element {
    pub(crate) optional: bool,
    pub(crate) value: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) optional: bool,
    pub(crate) key: Node,
    pub(crate) value: Node,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comprehension {
    pub(crate) fold: Fold,
    pub(crate) range: Node,
    /// Whether it names two variables: index and element, or key and value.
    pub(crate) pairs: bool,
    pub(crate) filter: Option<Node>,
    pub(crate) body: Node,
}

/// Where an attribute is read, for errors: it makes no difference to what is computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadAt(pub(crate) Span);

impl PartialEq for ReadAt {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A question about two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Comparison(Comparison),
    StartsWith,
    EndsWith,
    Contains,
}

impl Node {
    /// How many nodes it is made of, itself included.
    pub(crate) fn size(&self) -> usize {
        let mut size = 1;
        self.operation.children(&mut |child| size += child.size());
        size
    }
}

impl Operation {
    /// Calls `visit` with each node that this one is made of.
    pub(crate) fn children(&self, visit: &mut dyn FnMut(&Node)) {
        match self {
            Self::Constant(_)
            | Self::Attribute(_)
            | Self::OptionalAttribute(_)
            | Self::AttributeOr(..)
            | Self::Present(_)
            | Self::Local(_)
            | Self::Fail(_)
            | Self::AttributeTest { .. } => {}
            // Evaluated once, however often it is used.
            Self::Definition(..) => {}
            Self::Unary(_, node) | Self::Matches(node, _) | Self::Has(node, _) | Self::Lowercase(node) => {
                visit(node)
            }
            Self::Logic(_, nodes) | Self::Sum(nodes) | Self::Call(_, nodes) => nodes.iter().for_each(visit),
            Self::Test(_, nodes)
            | Self::Arithmetic(_, nodes)
            | Self::Index(nodes)
            | Self::OptionalIndex(nodes)
            | Self::Bind(nodes)
            | Self::OrElse(_, nodes)
            | Self::OptionalMap { nodes, .. } => nodes.iter().for_each(visit),
            Self::Conditional(nodes) => nodes.iter().for_each(visit),
            Self::List(elements) => elements.iter().for_each(|element| visit(&element.value)),
            Self::Map(entries) => entries.iter().for_each(|entry| {
                visit(&entry.key);
                visit(&entry.value);
            }),
            Self::Comprehension(comprehension) => {
                visit(&comprehension.range);
                comprehension.filter.iter().for_each(&mut *visit);
                visit(&comprehension.body);
            }
        }
    }
}

impl Test {
    /// The same question with its two values exchanged, if there is one.
    pub(crate) fn mirrored(self) -> Option<Self> {
        let Self::Comparison(comparison) = self else { return None };
        let mirrored = match comparison {
            Comparison::Equal | Comparison::NotEqual => comparison,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::In => return None,
        };
        Some(Self::Comparison(mirrored))
    }
}
