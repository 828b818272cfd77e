//! What an expression can cost at most, judged before any request from how large the things it reads may be.
//!
//! The unit is about the work of comparing two numbers; text counts one unit for every 16 bytes that are read,
//! or 64 that are searched.

use crate::ast::{Binary, Comparison, Comprehension, Expression, ExpressionKind, Fold, Span};
use crate::budget::{MAXIMUM_SIZE, MAXIMUM_STEPS};
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Environment, Name};
use crate::parse::Parsed;
use crate::types::Type;
use crate::value::Value;

/// Units that an expression may cost: some tens of milliseconds.
const MOST: u64 = 10_000_000;
/// Bytes of text that one unit pays for.
const BYTES_PER_UNIT: u64 = 16;
/// Bytes that a search for a text passes for one.
const BYTES_SEARCHED_PER_UNIT: u64 = 64;
/// Parts that an expression may have, and how deep it may nest, with the definitions that it uses put in.
const MOST_PARTS: usize = 65_536;
const MOST_HEIGHT: usize = 128;

/// What is known of an expression before it is evaluated, with the definitions that it uses put in, each as often as
/// it is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    parts: usize,
    height: usize,
    bound: Bound,
}

/// Refuses an expression that can cost too much, and shows what in it does.
pub(crate) fn bound(environment: &Environment, parsed: &Parsed) -> Result<Cost, Diagnostic> {
    let (cost, dearest) = estimate(environment, parsed)?;
    if cost.bound.cost <= MOST {
        return Ok(cost);
    }
    let (span, dearest) = dearest.unwrap_or((parsed.root.span, cost.bound.cost));
    let message = format!("this can take {} times the work that a rule may", dearest.div_ceil(MOST).max(2));
    let help = "loop over less, or not within another loop";
    Err(Diagnostic::new(Code::TooCostly, span, message).with_help(help))
}

/// Refuses an expression that grows too large with the definitions that it uses.
pub(crate) fn expand(environment: &Environment, parsed: &Parsed) -> Result<(), Diagnostic> {
    estimate(environment, parsed).map(|_| ())
}

fn estimate(environment: &Environment, parsed: &Parsed) -> Result<(Cost, Option<(Span, u64)>), Diagnostic> {
    let mut estimate =
        Estimate { environment, locals: Vec::new(), dearest: None, parts: parsed.count, deepest: 0 };
    let bound = estimate.expression(&parsed.root);
    let height = parsed.root.height + estimate.deepest;
    if estimate.parts > MOST_PARTS || height > MOST_HEIGHT {
        let message = "with the definitions that it uses, this is too large for one expression";
        let help = "use fewer definitions that use each other";
        return Err(Diagnostic::new(Code::TooCostly, parsed.root.span, message).with_help(help));
    }
    Ok((Cost { parts: estimate.parts, height, bound }, estimate.dearest))
}

/// Upper bounds.
#[derive(Debug, Clone, Copy)]
struct Bound {
    /// The work to evaluate an expression.
    cost: u64,
    /// The bytes or elements of its value.
    size: u64,
    /// The bytes or elements of any value within its value.
    inner: u64,
}

impl Bound {
    /// A value of which nothing is known but its size.
    fn of_size(size: u64) -> Self {
        Self { cost: 1, size, inner: size }
    }

    /// A value of a type whose texts, lists and maps are at most so large.
    fn of_type(of_type: &Type, size: u64) -> Self {
        match of_type {
            Type::String | Type::Bytes => Self { cost: 1, size, inner: 1 },
            Type::List(element) => Self::of_type(element, size).within(size),
            Type::Map(key, value) => Self::of_type(key, size).or(Self::of_type(value, size)).within(size),
            Type::Dyn | Type::Opaque(..) | Type::Parameter(_) | Type::Variable(_) => Self::of_size(size),
            _ => Self::of_size(1),
        }
    }

    /// A list or map of so many of these.
    fn within(self, size: u64) -> Self {
        Self { size, inner: self.size.max(self.inner), ..self }
    }

    /// An element of it.
    fn element(self) -> Self {
        Self { cost: 1, size: self.inner, inner: self.inner }
    }

    /// Either of the two, after the work of both.
    fn or(self, other: Self) -> Self {
        Self {
            cost: total([self.cost, other.cost]),
            size: self.size.max(other.size),
            inner: self.inner.max(other.inner),
        }
    }
}

struct Estimate<'e> {
    environment: &'e Environment,
    /// Variables of the comprehensions around, with what is known of their values.
    locals: Vec<(&'e str, Bound)>,
    /// The smallest part that alone costs too much.
    dearest: Option<(Span, u64)>,
    /// Parts, with those of definitions.
    parts: usize,
    /// Height of the tallest definition.
    deepest: usize,
}

impl<'e> Estimate<'e> {
    fn expression(&mut self, expression: &'e Expression) -> Bound {
        let bound = self.of_kind(expression);
        if bound.cost > MOST && self.dearest.is_none() {
            self.dearest = Some((expression.span, bound.cost));
        }
        bound
    }

    fn of_kind(&mut self, expression: &'e Expression) -> Bound {
        if let Some(known) = self.named(expression) {
            return known;
        }
        match &expression.kind {
            ExpressionKind::Literal(value) => match value {
                Value::String(_) | Value::Bytes(_) => {
                    Bound { cost: 0, size: value.length() as u64, inner: 1 }
                }
                _ => Bound { cost: 0, ..Bound::of_size(1) },
            },
            ExpressionKind::List(elements) => {
                let length = elements.len() as u64;
                let parts = self.children(expression).within(length);
                Bound { cost: total([parts.cost, length]), ..parts }
            }
            ExpressionKind::Map(entries) => {
                let length = entries.len() as u64;
                let parts = self.children(expression).within(length);
                Bound { cost: total([parts.cost, 4 * length]), ..parts }
            }
            ExpressionKind::Select { operand, .. } => {
                let operand = self.expression(operand);
                Bound { cost: total([operand.cost, 1]), ..operand.element() }
            }
            ExpressionKind::Index { operand, key, .. } => {
                let (operand, key) = (self.expression(operand), self.expression(key));
                Bound { cost: total([operand.cost, key.cost, 1]), ..operand.element() }
            }
            ExpressionKind::Binary { operator, left, right } => {
                let (left, right) = (self.expression(left), self.expression(right));
                let compared = match operator {
                    Binary::Comparison(Comparison::In) => right.size,
                    _ => left.size.min(right.size) / BYTES_PER_UNIT,
                };
                Bound { cost: total([left.cost, right.cost, compared, 1]), ..Bound::of_size(1) }
            }
            ExpressionKind::Sum(terms) => {
                let mut sum = Bound { cost: 0, size: 0, inner: 1 };
                for term in terms {
                    let term = self.expression(term);
                    sum.size = total([sum.size, term.size]).min(MAXIMUM_SIZE as u64);
                    sum.inner = sum.inner.max(term.inner);
                    sum.cost = total([sum.cost, term.cost, sum.size / BYTES_PER_UNIT, 1]);
                }
                sum
            }
            ExpressionKind::Call { function, arguments, .. } => {
                let mut call = Bound { cost: 2, size: 0, inner: 1 };
                let (mut read, mut smallest) = (0, u64::MAX);
                expression.kind.children(&mut |argument| {
                    let argument = self.expression(argument);
                    call.size = total([call.size, argument.size]).min(MAXIMUM_SIZE as u64);
                    call.inner = call.inner.max(argument.size).max(argument.inner);
                    call.cost = total([call.cost, argument.cost]);
                    read = total([read, argument.size]);
                    smallest = smallest.min(argument.size);
                });
                let reading = match &**function {
                    "contains" => read / BYTES_SEARCHED_PER_UNIT,
                    "startsWith" | "endsWith" => smallest / BYTES_PER_UNIT,
                    _ => read / BYTES_PER_UNIT,
                };
                call.cost = total([call.cost, reading]);
                // The one function whose result is as large as its argument says.
                match (&**function, arguments.as_slice()) {
                    ("range", [argument]) => Bound { size: range_of(argument), ..call },
                    _ => call,
                }
            }
            ExpressionKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExpressionKind::Bind { variable, value: operand, body }
            | ExpressionKind::OptionalMap { operand, variable, body, .. } => {
                let operand = self.expression(operand);
                self.locals.push((variable, Bound { cost: 1, ..operand }));
                let body = self.expression(body);
                self.locals.pop();
                Bound { cost: total([operand.cost, body.cost, 1]), ..body }
            }
            ExpressionKind::Logic { .. } | ExpressionKind::Unary { .. } | ExpressionKind::Has { .. } => {
                Bound { cost: total([self.children(expression).cost, 1]), ..Bound::of_size(1) }
            }
            _ => {
                let parts = self.children(expression);
                Bound { cost: total([parts.cost, 1]), ..parts }
            }
        }
    }

    fn comprehension(&mut self, comprehension: &'e Comprehension) -> Bound {
        let range = self.expression(&comprehension.range);
        let rounds = range.size.min(u64::from(MAXIMUM_STEPS));
        let before = self.locals.len();
        self.locals.extend(comprehension.variables.iter().map(|name| (&**name, range.element())));
        let filter = comprehension.filter.as_ref().map_or(0, |filter| self.expression(filter).cost);
        let body = self.expression(&comprehension.body);
        self.locals.truncate(before);
        let each = total([filter, body.cost, 2]);
        let made = match comprehension.fold {
            Fold::All | Fold::Exists | Fold::ExistsOne => Bound::of_size(1),
            Fold::Filter | Fold::SortBy => range,
            Fold::List | Fold::Values => body.or(range.element()).within(rounds),
            Fold::Entries => {
                body.or(range.element()).within(rounds.saturating_mul(body.size).min(MAXIMUM_SIZE as u64))
            }
        };
        Bound { cost: total([range.cost, each.saturating_mul(rounds)]), ..made }
    }

    /// The costs of all parts together, and the size of the largest.
    fn children(&mut self, expression: &'e Expression) -> Bound {
        let mut parts = Bound { cost: 0, size: 1, inner: 1 };
        expression.kind.children(&mut |child| parts = parts.or(self.expression(child)));
        parts
    }

    /// What a name stands for.
    fn named(&mut self, expression: &Expression) -> Option<Bound> {
        let locals = self.locals.iter().map(|(name, _)| *name);
        Some(match self.environment.resolve(expression, locals)? {
            Name::Local(place) => self.locals.get(place)?.1,
            Name::Variable(index) => {
                let variable = self.environment.variable(index)?;
                let known = Bound::of_type(&variable.of_type, variable.size);
                match &variable.of_type {
                    Type::List(_) | Type::Map(..) => Bound { inner: known.inner.max(variable.text), ..known },
                    _ => known,
                }
            }
            Name::Definition(index) => {
                let definition = &self.environment.definition(index)?.expression;
                self.parts = self.parts.saturating_add(definition.cost.parts);
                self.deepest = self.deepest.max(definition.cost.height);
                // A condition becomes part of the expression; other values are computed once.
                let is_condition = *definition.result_type() == Type::Bool;
                let bound = definition.cost.bound;
                Bound { cost: if is_condition { bound.cost } else { 1 }, ..bound }
            }
            Name::Type(_) => Bound::of_size(1),
        })
    }
}

/// How many numbers `lists.range(argument)` has.
fn range_of(argument: &Expression) -> u64 {
    match argument.kind {
        ExpressionKind::Literal(Value::Int(length)) => length.clamp(0, MAXIMUM_SIZE as i64) as u64,
        _ => MAXIMUM_SIZE as u64,
    }
}

fn total<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
