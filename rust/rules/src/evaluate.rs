//! Evaluation of a program against one request.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::ast::{Arithmetic, Comparison, Logic, Span, Unary};
use crate::budget::Budget;
use crate::cells::{Cells, Empty};
use crate::comparison;
use crate::error::{ErrorKind, EvaluationError};
use crate::functions;
use crate::program::{Attribute, Element, Entry, Node, Operation, Test};
use crate::value::{Value, no_overload};

/// A request, as rules see it.
pub trait Source {
    /// The value of an attribute, or `None` if the request has none. It must be the same throughout a pass, which
    /// asks once for comparisons with constants, once for what else may be done with a value, and for each computation
    /// of integers, if [`Source::scalar`] says that it is a number.
    ///
    /// The attribute of a map variable without a key asks for the whole map, as `headers[model]` and
    /// `size(headers)` need it.
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>>;

    /// The same, as far as it matters to comparisons with constants. A pass may ask any number of times.
    ///
    /// NOTE: it owns nothing, so that nothing is dropped, and the pass keeps no numbers: with both, the first match of
    /// 100 rules took 103 ns instead of 128.
    #[inline]
    fn scalar(&self, _: &Attribute) -> Scalar<'_> {
        Scalar::Other
    }

    /// Whether every value given is of its variable's declared type, where any number counts as any other. A
    /// rule set then need not look for values that are not.
    fn is_typed(&self) -> bool {
        false
    }
}

/// A value that is compared with constants.
#[derive(Debug, Clone, Copy)]
pub enum Scalar<'a> {
    /// There is none.
    Absent,
    /// A text.
    Text(&'a str),
    /// A text that nobody has read as UTF-8 yet. It is the value if it is that, otherwise there is none.
    ///
    /// NOTE: few have to be read: one of up to 16 bytes that are ASCII, or that a rule names, does not.
    Bytes(&'a [u8]),
    /// A number, whatever its type.
    Number(f64),
    /// Anything else, which [`Source::attribute`] tells.
    Other,
}

/// A request without attributes, for expressions without variables.
impl Source for () {
    fn attribute(&self, _: &Attribute) -> Option<Value<'_>> {
        None
    }
}

/// The attributes read so far, and how to read the others.
pub(crate) struct Evaluation<'a, S> {
    attributes: &'a [Attribute],
    source: &'a S,
    slots: Cells<Slot<'a>>,
    /// The variables of comprehensions and bindings under way, innermost last.
    pub(crate) locals: Vec<Local<'a>>,
    /// The values of definitions, once they were asked for.
    definitions: Vec<Option<Result<Value<'a>, EvaluationError>>>,
    pub(crate) budget: Budget,
}

enum Slot<'a> {
    Unread,
    Absent,
    Value(Value<'a>),
}

impl Evaluation<'_, ()> {
    /// For an expression that reads nothing, not even the so many local variables around it.
    pub(crate) fn of_constant(around: usize) -> Self {
        let mut evaluation = Self::new(&[], &());
        let nowhere = EvaluationError { span: Span::new(0, 0), kind: ErrorKind::UnknownVariable };
        evaluation.locals.resize_with(around, || Local::Failed(nowhere));
        evaluation
    }
}

/// A variable of a comprehension or binding.
pub(crate) enum Local<'a> {
    Value(Value<'a>),
    /// Bound to an expression that was not asked for yet.
    Unread(&'a Node),
    Failed(EvaluationError),
}

impl Empty for Slot<'_> {
    const EMPTY: Self = Self::Unread;
}

impl<'a, S: Source> Evaluation<'a, S> {
    #[inline(always)]
    pub(crate) fn new(attributes: &'a [Attribute], source: &'a S) -> Self {
        Self {
            attributes,
            source,
            slots: Cells::new(),
            locals: Vec::new(),
            definitions: Vec::new(),
            budget: Budget::new(),
        }
    }

    #[inline]
    pub(crate) fn attribute(&mut self, index: usize) -> Option<&Value<'a>> {
        let slot = self.slots.get_mut(index, self.attributes.len())?;
        if let Slot::Unread = slot {
            let value = self.attributes.get(index).and_then(|attribute| self.source.attribute(attribute));
            *slot = value.map_or(Slot::Absent, Slot::Value);
        }
        match slot {
            Slot::Value(value) => Some(value),
            _ => None,
        }
    }

    /// The error of an attribute that the request lacks.
    #[cold]
    fn absent(&self, index: usize, span: Span) -> EvaluationError {
        let is_entry = self.attributes.get(index).is_some_and(|attribute| attribute.key.is_some());
        let kind = if is_entry { ErrorKind::NoSuchKey } else { ErrorKind::NoValue };
        EvaluationError { span, kind }
    }

    /// Evaluates a condition.
    pub(crate) fn truth(&mut self, node: &'a Node) -> Result<bool, EvaluationError> {
        match &node.operation {
            Operation::Logic(operator, terms) => self.logic(*operator, terms),
            Operation::AttributeTest { test, attribute, read_at, constant, if_absent } => {
                let repeated = !self.locals.is_empty();
                let answer = match self.attribute(*attribute) {
                    Some(value) if repeated => {
                        let value = value.clone();
                        ask_again(&mut self.budget, *test, &value, constant)
                    }
                    Some(value) => ask(*test, value, constant),
                    None => return if_absent.ok_or_else(|| self.absent(*attribute, read_at.0)),
                };
                answer.map_err(|kind| fail(node, kind))
            }
            Operation::Test(comparison, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                let answer = comparison::compare(&mut self.budget, *comparison, &left, &right);
                answer.map_err(|kind| fail(node, kind))
            }
            Operation::Matches(text, pattern) => match self.value(text)? {
                Value::String(text) => {
                    // Once, it is paid for by the estimate: a long text must not make a rule fail.
                    if !self.locals.is_empty() {
                        self.budget.spend(pattern.cost(text.len())).map_err(|kind| fail(node, kind))?;
                    }
                    Ok(pattern.is_match(&text))
                }
                other => Err(fail(node, ErrorKind::NoOverloadFor(other.kind()))),
            },
            Operation::Unary(Unary::Not, operand) => Ok(!self.truth(operand)?),
            Operation::Present(index) => Ok(self.attribute(*index).is_some()),
            Operation::Has(operand, field) => {
                self.value(operand)?.has(field).map_err(|kind| fail(node, kind))
            }
            Operation::Conditional(branches) => {
                let [condition, yes, no] = &**branches;
                if self.truth(condition)? { self.truth(yes) } else { self.truth(no) }
            }
            _ => match self.value(node)? {
                Value::Bool(truth) => Ok(truth),
                other => Err(fail(node, ErrorKind::NoOverloadFor(other.kind()))),
            },
        }
    }

    /// An operand that decides the result makes up for operands that fail, on either side of it. Of several that
    /// fail the first tells why, but what is wrong goes before what is only absent.
    fn logic(&mut self, operator: Logic, terms: &'a [Node]) -> Result<bool, EvaluationError> {
        let decisive = operator == Logic::Or;
        let mut failure: Option<EvaluationError> = None;
        for term in terms {
            match self.truth(term) {
                Ok(truth) if truth == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(error) => match failure {
                    Some(known) if !known.kind.is_absence() || error.kind.is_absence() => {}
                    _ => failure = Some(error),
                },
            }
        }
        failure.map_or(Ok(!decisive), Err)
    }

    /// Evaluates any expression.
    pub(crate) fn value(&mut self, node: &'a Node) -> Result<Value<'a>, EvaluationError> {
        let result = match &node.operation {
            Operation::Constant(value) => return Ok(value.borrowed()),
            Operation::Attribute(index) => {
                return match self.attribute(*index) {
                    Some(value) => Ok(value.clone()),
                    None => Err(self.absent(*index, node.span)),
                };
            }
            Operation::Arithmetic(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.value(left)?, self.value(right)?);
                calculate(*operator, &left, &right)
            }
            Operation::Unary(Unary::Negate, operand) => self.value(operand)?.negate(),
            Operation::Conditional(branches) => {
                let [condition, yes, no] = &**branches;
                return if self.truth(condition)? { self.value(yes) } else { self.value(no) };
            }
            Operation::Index(operands) => {
                let [operand, key] = &**operands;
                let (operand, key) = (self.value(operand)?, self.value(key)?);
                self.budget.spend(key.length()).and_then(|()| operand.index(&key))
            }
            Operation::OptionalIndex(operands) => {
                let [operand, key] = &**operands;
                let (operand, key) = (self.value(operand)?, self.value(key)?);
                self.budget.spend(key.length()).and_then(|()| operand.optional_index(&key))
            }
            Operation::OptionalAttribute(index) => {
                let value = self.attribute(*index).cloned();
                return Ok(value.map_or(Value::Optional(None), Value::into_optional));
            }
            Operation::AttributeOr(index, other) => {
                let value = self.attribute(*index).cloned();
                return Ok(value.unwrap_or_else(|| other.borrowed()));
            }
            Operation::Local(place) => return self.local(*place, node),
            Operation::Definition(index, definition) => {
                // Its own places are in another text.
                return self.definition(*index, definition).map_err(|error| fail(node, error.kind));
            }
            Operation::Sum(terms) => return self.sum(node, terms),
            Operation::Call(overloads, nodes) => {
                let arguments = nodes.iter().map(|node| self.value(node));
                let arguments = arguments.collect::<Result<SmallVec<[Value<'a>; 4]>, _>>()?;
                functions::call(overloads, &mut self.budget, &arguments)
            }
            Operation::OrElse(overloads, nodes) => {
                let [optional, other] = &**nodes;
                let optional = self.value(optional)?;
                let other = match optional {
                    Value::Optional(Some(_)) => Value::Optional(None),
                    _ => self.value(other)?,
                };
                functions::call(overloads, &mut self.budget, &[optional, other])
            }
            Operation::Lowercase(operand) => Ok(match self.value(operand)? {
                Value::String(text) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                    Value::text(text.to_ascii_lowercase())
                }
                other => other,
            }),
            Operation::List(elements) => return self.list(node, elements),
            Operation::Map(entries) => return self.map(node, entries),
            Operation::Comprehension(comprehension) => return self.comprehension(comprehension),
            Operation::Bind(nodes) => {
                let [value, body] = &**nodes;
                return self.with_local(Local::Unread(value), body);
            }
            Operation::OptionalMap { nodes, flat } => {
                let [operand, body] = &**nodes;
                match self.value(operand)? {
                    Value::Optional(None) => Ok(Value::Optional(None)),
                    Value::Optional(Some(held)) => {
                        let result = self.with_local(Local::Value(Value::clone(&held)), body)?;
                        match (flat, &result) {
                            (false, _) => Ok(result.into_optional()),
                            (true, Value::Optional(_)) => Ok(result),
                            (true, other) => Err(ErrorKind::NoOverloadFor(other.kind())),
                        }
                    }
                    other => Err(ErrorKind::NoOverloadFor(other.kind())),
                }
            }
            Operation::Fail(kind) => Err(*kind),
            Operation::Logic(..)
            | Operation::Test(..)
            | Operation::Matches(..)
            | Operation::AttributeTest { .. }
            | Operation::Unary(Unary::Not, _)
            | Operation::Present(_)
            | Operation::Has(..) => return self.truth(node).map(Value::Bool),
        };
        result.map_err(|kind| fail(node, kind))
    }

    /// As [`Self::value`], to keep.
    pub(crate) fn owned(&mut self, node: &'a Node) -> Result<Value<'static>, EvaluationError> {
        let value = self.value(node)?;
        value.into_owned(&mut self.budget).map_err(|kind| fail(node, kind))
    }

    fn sum(&mut self, node: &Node, terms: &'a [Node]) -> Result<Value<'a>, EvaluationError> {
        let mut total: Option<Value<'a>> = None;
        for term in terms {
            let value = self.value(term)?;
            total = Some(match total {
                None => value,
                Some(before) => {
                    let size = before.length() + value.length();
                    let made = match &before {
                        Value::List(_) => self.budget.make_list(size),
                        _ => self.budget.make(size),
                    };
                    let sum = made.and_then(|()| before.add(&value));
                    sum.map_err(|kind| fail(node, kind))?
                }
            });
        }
        total.ok_or_else(|| fail(node, ErrorKind::UnknownFunction))
    }

    fn definition(&mut self, index: usize, node: &'a Node) -> Result<Value<'a>, EvaluationError> {
        if let Some(Some(known)) = self.definitions.get(index) {
            return known.clone();
        }
        // A definition is written outside of every comprehension.
        let locals = std::mem::take(&mut self.locals);
        let result = self.value(node);
        self.locals = locals;
        if self.definitions.len() <= index {
            self.definitions.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.definitions.get_mut(index) {
            *slot = Some(result.clone());
        }
        result
    }

    /// What is bound is evaluated when it is asked for, once: an error in it counts only where it is used.
    fn local(&mut self, place: usize, node: &Node) -> Result<Value<'a>, EvaluationError> {
        let bound = match self.locals.get(place) {
            Some(Local::Value(value)) => return Ok(value.clone()),
            Some(Local::Failed(error)) => return Err(*error),
            Some(Local::Unread(bound)) => *bound,
            None => return Err(fail(node, ErrorKind::UnknownVariable)),
        };
        // It sees the variables around the binding.
        let within = self.locals.split_off(place);
        let result = self.value(bound);
        self.locals.push(match &result {
            Ok(value) => Local::Value(value.clone()),
            Err(error) => Local::Failed(*error),
        });
        self.locals.extend(within.into_iter().skip(1));
        result
    }

    fn with_local(&mut self, local: Local<'a>, body: &'a Node) -> Result<Value<'a>, EvaluationError> {
        self.locals.push(local);
        let result = self.value(body);
        self.locals.pop();
        result
    }

    fn list(&mut self, node: &Node, nodes: &'a [Element]) -> Result<Value<'a>, EvaluationError> {
        self.budget.make_list(nodes.len()).map_err(|kind| fail(node, kind))?;
        let mut elements = Vec::with_capacity(nodes.len());
        for element in nodes {
            let value = self.value(&element.value)?;
            elements.extend(if element.optional { held(&element.value, value)? } else { Some(value) });
        }
        Ok(Value::list(elements))
    }

    fn map(&mut self, node: &Node, nodes: &'a [Entry]) -> Result<Value<'a>, EvaluationError> {
        self.budget.make_list(2 * nodes.len()).map_err(|kind| fail(node, kind))?;
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(nodes.len());
        for entry in nodes {
            let key = self.value(&entry.key)?;
            if !key.is_key() {
                return Err(fail(&entry.key, ErrorKind::InvalidKey(key.kind())));
            }
            let value = self.value(&entry.value)?;
            let value = if entry.optional { held(&entry.value, value)? } else { Some(value) };
            entries.extend(value.map(|value| (key, value)));
        }
        Value::distinct_map(entries).map_err(|kind| fail(node, kind))
    }
}

/// What an optional element holds.
fn held<'a>(node: &Node, value: Value<'a>) -> Result<Option<Value<'a>>, EvaluationError> {
    match value {
        Value::Optional(held) => Ok(held.map(|held| Value::clone(&held))),
        other => Err(fail(node, ErrorKind::NoOverloadFor(other.kind()))),
    }
}

#[cold]
pub(crate) fn fail(node: &Node, kind: ErrorKind) -> EvaluationError {
    EvaluationError { span: node.span, kind }
}

/// The answer to a question about two values.
pub(crate) fn ask(test: Test, left: &Value<'_>, right: &Value<'_>) -> Result<bool, ErrorKind> {
    match test {
        Test::Comparison(comparison) => compare(comparison, left, right),
        Test::StartsWith | Test::EndsWith | Test::Contains => match (left, right) {
            (Value::String(left), Value::String(right)) => Ok(ask_text(test, left, right)),
            _ => Err(no_overload(left, right)),
        },
    }
}

/// The answer to a question about a text and a part of it.
pub(crate) fn ask_text(test: Test, text: &str, part: &str) -> bool {
    match test {
        Test::StartsWith => text.starts_with(part),
        Test::EndsWith => text.ends_with(part),
        Test::Contains => text.contains(part),
        Test::Comparison(_) => false,
    }
}

/// As [`ask`], in a loop, where it is counted what is read.
fn ask_again(
    budget: &mut Budget,
    test: Test,
    left: &Value<'_>,
    right: &Value<'_>,
) -> Result<bool, ErrorKind> {
    match test {
        Test::Comparison(comparison) => comparison::compare(budget, comparison, left, right),
        Test::Contains => budget.spend(left.length()).and_then(|()| ask(test, left, right)),
        Test::StartsWith | Test::EndsWith => {
            budget.spend(right.length()).and_then(|()| ask(test, left, right))
        }
    }
}

fn compare(comparison: Comparison, left: &Value<'_>, right: &Value<'_>) -> Result<bool, ErrorKind> {
    let accepted: fn(Ordering) -> bool = match comparison {
        Comparison::Equal => return Ok(left.equals(right)),
        Comparison::NotEqual => return Ok(!left.equals(right)),
        Comparison::In => return left.is_in(right),
        Comparison::Less => Ordering::is_lt,
        Comparison::LessOrEqual => Ordering::is_le,
        Comparison::Greater => Ordering::is_gt,
        Comparison::GreaterOrEqual => Ordering::is_ge,
    };
    let order = left.order(right).ok_or_else(|| no_overload(left, right))?;
    Ok(order.is_some_and(accepted))
}

fn calculate<'a>(operator: Arithmetic, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, ErrorKind> {
    match operator {
        Arithmetic::Add => left.add(right),
        Arithmetic::Subtract => left.subtract(right),
        Arithmetic::Multiply => left.multiply(right),
        Arithmetic::Divide => left.divide(right),
        Arithmetic::Remainder => left.remainder(right),
    }
}
