//! The form in which an expression is evaluated: names are attribute slots, what is constant is computed.

use crate::ast::{Arithmetic, Comparison, Logic, Span, Unary};
use crate::error::ErrorKind;
use crate::value::Value;

/// Something a rule reads from the request: a variable, or one entry of a variable that is a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribute {
    /// Which variable, in the order of declaration.
    pub variable: usize,
    /// Which entry of it; `None` for the variable itself.
    pub key: Option<Box<str>>,
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
    /// Whether the attribute has a value.
    Present(usize),
    /// An operand that cannot be evaluated, known before any request.
    Fail(ErrorKind),
    Logic(Logic, Box<[Node]>),
    Unary(Unary, Box<Node>),
    Test(Test, Box<[Node; 2]>),
    /// A test of an attribute, on the left, against a constant: what most rules are made of.
    AttributeTest {
        test: Test,
        attribute: usize,
        read_at: Span,
        constant: Value<'static>,
    },
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    /// Condition and the two outcomes.
    Conditional(Box<[Node; 3]>),
    Has(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Size(Box<Node>),
    /// The operand in lower case, if it is text: a key of a map whose keys are.
    Lowercase(Box<Node>),
    List(Box<[Node]>),
    Map(Box<[(Node, Node)]>),
}

/// A question about two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Comparison(Comparison),
    StartsWith,
    EndsWith,
    Contains,
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
