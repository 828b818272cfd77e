//! What an expression can cost at most, judged before any request from how large the things it reads may be.
//!
//! The unit is about the work of comparing two numbers; text counts one unit for every 16 bytes that are read.

use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Span};
use crate::budget::{MAXIMUM_SIZE, MAXIMUM_STEPS};
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Environment, Name};
use crate::value::Value;

/// Units that an expression may cost: some tens of milliseconds.
const MOST: u64 = 10_000_000;
/// Bytes of text that one unit pays for.
const BYTES_PER_UNIT: u64 = 16;

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

/// Upper bounds: the work to evaluate an expression, and the bytes or elements of its value.
#[derive(Clone, Copy)]
struct Bound {
    cost: u64,
    size: u64,
}

struct Estimate<'e> {
    environment: &'e Environment,
    /// Variables of the comprehensions around, with the size of their values.
    locals: Vec<(&'e str, u64)>,
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
                size: match value {
                    Value::String(_) | Value::Bytes(_) => value.length() as u64,
                    _ => 1,
                },
            },
            ExpressionKind::List(elements) => {
                let parts = self.children(expression);
                Bound {
                    cost: parts.cost + elements.len() as u64,
                    size: (elements.len() as u64).max(parts.size),
                }
            }
            ExpressionKind::Map(entries) => {
                let parts = self.children(expression);
                Bound {
                    cost: parts.cost + 4 * entries.len() as u64,
                    size: (entries.len() as u64).max(parts.size),
                }
            }
            ExpressionKind::Binary { operator, left, right } => {
                let (left, right) = (self.expression(left), self.expression(right));
                let compared = match operator {
                    Binary::Comparison(Comparison::In) => right.size,
                    _ => left.size.min(right.size) / BYTES_PER_UNIT,
                };
                Bound { cost: total([left.cost, right.cost, compared, 1]), size: left.size.max(right.size) }
            }
            ExpressionKind::Sum(terms) => {
                let mut sum = Bound { cost: 0, size: 0 };
                for term in terms {
                    let term = self.expression(term);
                    sum.size = total([sum.size, term.size]).min(MAXIMUM_SIZE as u64);
                    sum.cost = total([sum.cost, term.cost, sum.size / BYTES_PER_UNIT, 1]);
                }
                sum
            }
            ExpressionKind::Call { .. } => {
                let mut cost = 2_u64;
                let mut size = 0_u64;
                expression.kind.children(&mut |argument| {
                    let argument = self.expression(argument);
                    size = total([size, argument.size]);
                    cost = total([cost, argument.cost, argument.size / BYTES_PER_UNIT]);
                });
                Bound { cost, size: size.min(MAXIMUM_SIZE as u64) }
            }
            ExpressionKind::Comprehension(comprehension) => {
                let range = self.expression(&comprehension.range);
                let rounds = range.size.min(u64::from(MAXIMUM_STEPS));
                let before = self.locals.len();
                self.locals.extend(comprehension.variables.iter().map(|name| (&**name, range.size)));
                let filter = comprehension.filter.as_ref().map_or(0, |filter| self.expression(filter).cost);
                let body = self.expression(&comprehension.body);
                self.locals.truncate(before);
                let each = total([filter, body.cost, 2]);
                Bound { cost: total([range.cost, each.saturating_mul(rounds)]), size: range.size }
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

    /// The costs of all parts together, and the size of the largest.
    fn children(&mut self, expression: &'e Expression) -> Bound {
        let mut parts = Bound { cost: 0, size: 1 };
        expression.kind.children(&mut |child| {
            let child = self.expression(child);
            parts = Bound { cost: total([parts.cost, child.cost]), size: parts.size.max(child.size) };
        });
        parts
    }

    /// The size of what a name stands for.
    fn named(&self, expression: &Expression) -> Option<u64> {
        let locals = self.locals.iter().map(|(name, _)| *name);
        Some(match self.environment.resolve(expression, locals)? {
            Name::Local(place) => self.locals.get(place)?.1,
            Name::Variable(index) => self.environment.variable(index)?.size,
            Name::Definition(_) => MAXIMUM_SIZE as u64,
            Name::Type(_) => 1,
        })
    }
}

fn total<const N: usize>(parts: [u64; N]) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
