//! What an expression can cost at most, judged before any request from how large the things it reads may be.
//!
//! The unit is about the work of comparing two numbers; text counts one unit for every 16 bytes that are read,
//! or 64 that are searched.

use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Span};
use crate::budget::{MAXIMUM_SIZE, MAXIMUM_STEPS};
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Environment, Name};
use crate::value::Value;

/// Units that an expression may cost: some tens of milliseconds.
const MOST: u64 = 10_000_000;
/// Bytes of text that one unit pays for.
const BYTES_PER_UNIT: u64 = 16;
/// Bytes that a search for a text passes for one.
const BYTES_SEARCHED_PER_UNIT: u64 = 64;

/// Refuses an expression that can cost too much, and shows what in it does.
pub(crate) fn bound(environment: &Environment, root: &Expression) -> Result<(), Diagnostic> {
    let mut estimate = Estimate { environment, locals: Vec::new(), dearest: None };
    let total = estimate.expression(root).cost;
    if total <= MOST {
        return Ok(());
    }
    let (span, cost) = estimate.dearest.unwrap_or((root.span, total));
    let message = format!("this can take {} times the work that a rule may", cost.div_ceil(MOST).max(2));
    let help = "loop over less, or not within another loop";
    Err(Diagnostic::new(Code::TooCostly, span, message).with_help(help))
}

/// Upper bounds: the work to evaluate an expression, and how large its value is.
#[derive(Clone, Copy)]
struct Bound {
    cost: u64,
    size: Size,
}

/// How large a value can be.
#[derive(Clone, Copy)]
struct Size {
    /// Bytes of a text, elements of a list or map.
    own: u64,
    /// The same of the largest thing in a list or map.
    inside: u64,
}

struct Estimate<'e> {
    environment: &'e Environment,
    /// Variables of the comprehensions around, with the size of their values.
    locals: Vec<(&'e str, Size)>,
    /// The smallest part that alone costs too much.
    dearest: Option<(Span, u64)>,
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
        if let Some(size) = self.named(expression) {
            return Bound { cost: 1, size };
        }
        match &expression.kind {
            ExpressionKind::Literal(value) => Bound {
                cost: 0,
                size: Size::of(match value {
                    Value::String(_) | Value::Bytes(_) => value.length() as u64,
                    _ => 1,
                }),
            },
            ExpressionKind::List(elements) => self.collection(expression, elements.len() as u64, 1),
            ExpressionKind::Map(entries) => self.collection(expression, entries.len() as u64, 4),
            ExpressionKind::Select { .. } | ExpressionKind::Index { .. } => {
                let parts = self.children(expression);
                Bound { cost: total([parts.cost, 1]), size: Size::of(parts.size.inside) }
            }
            ExpressionKind::Binary { operator, left, right } => {
                let (left, right) = (self.expression(left), self.expression(right));
                let compared = match operator {
                    Binary::Comparison(Comparison::In) => right.size.own,
                    _ => left.size.own.min(right.size.own) / BYTES_PER_UNIT,
                };
                Bound { cost: total([left.cost, right.cost, compared, 1]), size: left.size.max(right.size) }
            }
            ExpressionKind::Sum(terms) => {
                let mut sum = Bound { cost: 0, size: Size::of(0) };
                for term in terms {
                    let term = self.expression(term);
                    sum.size = sum.size.and(term.size);
                    sum.cost = total([sum.cost, term.cost, sum.size.own / BYTES_PER_UNIT, 1]);
                }
                sum
            }
            ExpressionKind::Call { function, .. } => {
                let mut cost = 2_u64;
                let mut size = Size::of(0);
                let mut read = 0_u64;
                let mut smallest = u64::MAX;
                expression.kind.children(&mut |argument| {
                    let argument = self.expression(argument);
                    cost = total([cost, argument.cost]);
                    size = size.and(argument.size);
                    read = total([read, argument.size.own]);
                    smallest = smallest.min(argument.size.own);
                });
                let reading = match &**function {
                    "contains" => read / BYTES_SEARCHED_PER_UNIT,
                    "startsWith" | "endsWith" => smallest / BYTES_PER_UNIT,
                    _ => read / BYTES_PER_UNIT,
                };
                Bound { cost: total([cost, reading]), size }
            }
            ExpressionKind::Comprehension(comprehension) => {
                let range = self.expression(&comprehension.range);
                let rounds = range.size.own.min(u64::from(MAXIMUM_STEPS));
                let before = self.locals.len();
                let element = Size::of(range.size.inside);
                self.locals.extend(comprehension.variables.iter().map(|name| (&**name, element)));
                let filter = comprehension.filter.as_ref().map_or(0, |filter| self.expression(filter).cost);
                let body = self.expression(&comprehension.body);
                self.locals.truncate(before);
                let each = total([filter, body.cost, 2]);
                let inside = range.size.inside.max(body.size.own).max(body.size.inside);
                let cost = total([range.cost, each.saturating_mul(rounds)]);
                Bound { cost, size: Size { own: range.size.own, inside } }
            }
            ExpressionKind::Bind { variable, value: operand, body }
            | ExpressionKind::OptionalMap { operand, variable, body, .. } => {
                let operand = self.expression(operand);
                self.locals.push((variable, operand.size));
                let body = self.expression(body);
                self.locals.pop();
                Bound { cost: total([operand.cost, body.cost, 1]), size: body.size }
            }
            _ => {
                let parts = self.children(expression);
                Bound { cost: total([parts.cost, 1]), size: parts.size }
            }
        }
    }

    /// A list or map that is written out; `each` is the cost of one more element.
    fn collection(&mut self, expression: &'e Expression, elements: u64, each: u64) -> Bound {
        let parts = self.children(expression);
        let inside = parts.size.own.max(parts.size.inside);
        Bound { cost: total([parts.cost, each * elements]), size: Size { own: elements, inside } }
    }

    /// The costs of all parts together, and the size of the largest.
    fn children(&mut self, expression: &'e Expression) -> Bound {
        let mut parts = Bound { cost: 0, size: Size::of(1) };
        expression.kind.children(&mut |child| {
            let child = self.expression(child);
            parts = Bound { cost: total([parts.cost, child.cost]), size: parts.size.max(child.size) };
        });
        parts
    }

    /// The size of what a name stands for.
    fn named(&self, expression: &Expression) -> Option<Size> {
        let locals = self.locals.iter().map(|(name, _)| *name);
        Some(match self.environment.resolve(expression, locals)? {
            Name::Local(place) => self.locals.get(place)?.1,
            Name::Variable(index) => {
                let variable = self.environment.variable(index)?;
                Size { own: variable.size, inside: variable.text }
            }
            Name::Definition(_) => Size { own: MAXIMUM_SIZE as u64, inside: MAXIMUM_SIZE as u64 },
            Name::Type(_) => Size::of(1),
        })
    }
}

impl Size {
    /// A text; or a thing of which nothing is known but that nothing in it is larger.
    fn of(most: u64) -> Self {
        Self { own: most, inside: most }
    }

    fn max(self, other: Self) -> Self {
        Self { own: self.own.max(other.own), inside: self.inside.max(other.inside) }
    }

    /// What is made of both.
    fn and(self, other: Self) -> Self {
        let own = total([self.own, other.own]).min(MAXIMUM_SIZE as u64);
        Self { own, inside: self.inside.max(other.inside) }
    }
}

fn total<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
