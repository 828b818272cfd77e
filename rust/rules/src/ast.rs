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
    List(Vec<Element>),
    Map(Vec<Entry>),
    /// `absolute` names begin with a dot: neither a container nor a comprehension gives them another meaning.
    Variable {
        name: Box<str>,
        absolute: bool,
    },
    /// `operand.field`, or `operand.?field`, which is optional.
    Select {
        operand: Box<Expression>,
        field: Box<str>,
        optional: bool,
    },
    /// The macro `has(operand.field)`.
    Has {
        operand: Box<Expression>,
        field: Box<str>,
    },
    /// `operand[key]`, or `operand[?key]`, which is optional.
    Index {
        operand: Box<Expression>,
        key: Box<Expression>,
        optional: bool,
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
    /// `a + b + c`, for the same reason.
    Sum(Vec<Expression>),
    Conditional {
        condition: Box<Expression>,
        yes: Box<Expression>,
        no: Box<Expression>,
    },
    Comprehension(Box<Comprehension>),
    /// The macro `cel.bind(variable, value, body)`.
    Bind {
        variable: Box<str>,
        value: Box<Expression>,
        body: Box<Expression>,
    },
    /// `operand.optMap(variable, body)`, or with `flat` `operand.optFlatMap(variable, body)`.
    OptionalMap {
        operand: Box<Expression>,
        variable: Box<str>,
        body: Box<Expression>,
        flat: bool,
    },
}

/// An element of a list. An optional one is in the list if it has a value.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) optional: bool,
    pub(crate) value: Expression,
}

/// An entry of a map. An optional one is in the map if it has a value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) optional: bool,
    pub(crate) key: Expression,
    pub(crate) value: Expression,
}

/// A macro that evaluates its body for each element of a list or entry of a map.
#[derive(Debug)]
pub(crate) struct Comprehension {
    pub(crate) fold: Fold,
    pub(crate) range: Expression,
    /// One: the element of a list, the key of a map. Two: index and element, key and value.
    pub(crate) variables: Vec<Box<str>>,
    /// Which elements take part, for the macros that may say so beside their body.
    pub(crate) filter: Option<Expression>,
    pub(crate) body: Expression,
}

/// What a comprehension makes of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// `map` and `transformList`
    List,
    /// `transformMap`
    Values,
    /// `transformMapEntry`
    Entries,
    /// `sortBy`
    SortBy,
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

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.range()
    }
}

impl Expression {
    /// The dotted name that `a` or `a.b.c` may be: a variable can be declared under such a name.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            ExpressionKind::Variable { name, .. } => Some(name.to_string()),
            ExpressionKind::Select { operand, field, optional: false } => {
                Some(operand.qualified_name()? + "." + field)
            }
            _ => None,
        }
    }

    /// The first part of such a name, and whether a dot precedes it.
    pub(crate) fn first_name(&self) -> Option<(&str, bool)> {
        match &self.kind {
            ExpressionKind::Variable { name, absolute } => Some((name, *absolute)),
            ExpressionKind::Select { operand, .. } => operand.first_name(),
            _ => None,
        }
    }
}

impl ExpressionKind {
    /// Calls `visit` with each expression that this one is made of.
    pub(crate) fn children<'e>(&'e self, visit: &mut dyn FnMut(&'e Expression)) {
        match self {
            Self::Literal(_) | Self::Variable { .. } => {}
            Self::List(elements) => elements.iter().for_each(|element| visit(&element.value)),
            Self::Map(entries) => entries.iter().for_each(|entry| {
                visit(&entry.key);
                visit(&entry.value);
            }),
            Self::Select { operand, .. } | Self::Has { operand, .. } | Self::Unary { operand, .. } => {
                visit(operand);
            }
            Self::Index { operand, key, .. } => {
                visit(operand);
                visit(key);
            }
            Self::Call { target, arguments, .. } => {
                target.iter().for_each(|target| visit(target));
                arguments.iter().for_each(visit);
            }
            Self::Binary { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::Logic { terms, .. } | Self::Sum(terms) => terms.iter().for_each(visit),
            Self::Conditional { condition, yes, no } => {
                [condition, yes, no].into_iter().for_each(|one| visit(one))
            }
            Self::Comprehension(comprehension) => {
                visit(&comprehension.range);
                comprehension.filter.iter().for_each(&mut *visit);
                visit(&comprehension.body);
            }
            Self::Bind { value: operand, body, .. } | Self::OptionalMap { operand, body, .. } => {
                visit(operand);
                visit(body);
            }
        }
    }

    /// Levels of the tree below a node of this kind.
    pub(crate) fn height(&self) -> usize {
        // What is bound is evaluated within the body, where it is asked for.
        if let Self::Bind { value, body, .. } = self {
            return value.height + body.height;
        }
        let mut height = 0;
        self.children(&mut |child| height = height.max(child.height));
        height
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
