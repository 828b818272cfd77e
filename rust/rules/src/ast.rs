//! The tree of a parsed expression.

use std::ops::Range;

use crate::value::Value;

/// Bytes of the source, from `start` to before `end`. Sources are far smaller than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Debug)]
pub(crate) struct Expression {
    /// Position among the expressions of one source; what the checker finds is kept under it.
    pub(crate) id: usize,
    /// Levels of the tree from here down. The parser bounds it, so that recursion over a tree is safe.
    pub(crate) height: usize,
    pub(crate) span: Span,
    pub(crate) kind: ExpressionKind,
}

#[derive(Debug)]
pub(crate) enum ExpressionKind {
    Literal(Value<'static>),
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
    Variable(Box<str>),
    Select {
        operand: Box<Expression>,
        field: Box<str>,
    },
    /// The macro `has(operand.field)`.
    Has {
        operand: Box<Expression>,
        field: Box<str>,
    },
    Index {
        operand: Box<Expression>,
        key: Box<Expression>,
    },
    Call {
        function: Box<str>,
        target: Option<Box<Expression>>,
        arguments: Vec<Expression>,
    },
    Unary {
        operator: Unary,
        operand: Box<Expression>,
    },
    Binary {
        operator: Binary,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// `a && b && c` is one node, so that long chains neither recurse nor nest.
    Logic {
        operator: Logic,
        terms: Vec<Expression>,
    },
    Conditional {
        condition: Box<Expression>,
        yes: Box<Expression>,
        no: Box<Expression>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Negate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Or,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Comparison(Comparison),
    Arithmetic(Arithmetic),
}

/// Operators whose result is a bool. All bind equally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    pub(crate) fn to(self, end: Span) -> Self {
        Self { start: self.start, end: end.end }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Expression {
    /// The dotted name that `a` or `a.b.c` may be: a variable can be declared under such a name.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            ExpressionKind::Variable(name) => Some(name.to_string()),
            ExpressionKind::Select { operand, field } => Some(operand.qualified_name()? + "." + field),
            _ => None,
        }
    }
}

impl ExpressionKind {
    /// Levels of the tree below a node of this kind.
    pub(crate) fn height(&self) -> usize {
        let tallest =
            |expressions: &[Expression]| expressions.iter().map(|one| one.height).max().unwrap_or(0);
        match self {
            Self::Literal(_) | Self::Variable(_) => 0,
            Self::List(elements) => tallest(elements),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| key.height.max(value.height)).max().unwrap_or(0)
            }
            Self::Select { operand, .. } | Self::Has { operand, .. } | Self::Unary { operand, .. } => {
                operand.height
            }
            Self::Index { operand, key } => operand.height.max(key.height),
            Self::Call { target, arguments, .. } => {
                tallest(arguments).max(target.as_ref().map_or(0, |target| target.height))
            }
            Self::Binary { left, right, .. } => left.height.max(right.height),
            Self::Logic { terms, .. } => tallest(terms),
            Self::Conditional { condition, yes, no } => condition.height.max(yes.height).max(no.height),
        }
    }
}

impl Unary {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Not => "!",
            Self::Negate => "-",
        }
    }
}

impl Logic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::And => "&&",
            Self::Or => "||",
        }
    }
}

impl Binary {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Comparison(Comparison::Equal) => "==",
            Self::Comparison(Comparison::NotEqual) => "!=",
            Self::Comparison(Comparison::Less) => "<",
            Self::Comparison(Comparison::LessOrEqual) => "<=",
            Self::Comparison(Comparison::Greater) => ">",
            Self::Comparison(Comparison::GreaterOrEqual) => ">=",
            Self::Comparison(Comparison::In) => "in",
            Self::Arithmetic(Arithmetic::Add) => "+",
            Self::Arithmetic(Arithmetic::Subtract) => "-",
            Self::Arithmetic(Arithmetic::Multiply) => "*",
            Self::Arithmetic(Arithmetic::Divide) => "/",
            Self::Arithmetic(Arithmetic::Remainder) => "%",
        }
    }
}
