//! What one pass has found out about its request.

use crate::cells::{Cells, Empty};
use crate::engine::code::{Step, Test};
use crate::engine::constants::{ABSENT, number};
use crate::engine::predicates::Tables;
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Source};
use crate::program::{Attribute, Node};
use crate::value::Value;

/// Stands for an attribute that was not read.
const UNREAD: u32 = u32::MAX;

/// Attributes as numbers of constants, and outcomes of kept predicates; each found when first asked for.
pub(crate) struct Slots<'a, S> {
    tables: &'a Tables,
    evaluation: Evaluation<'a, S>,
    numbers: Cells<Number>,
    outcomes: Cells<Outcome>,
}

/// The number of a constant, or [`UNREAD`].
struct Number(u32);

impl Empty for Number {
    const EMPTY: Self = Self(UNREAD);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unknown,
    True,
    False,
    Neither,
}

impl Empty for Outcome {
    const EMPTY: Self = Self::Unknown;
}

impl<'a, S: Source> Slots<'a, S> {
    #[inline(always)]
    pub(crate) fn new(tables: &'a Tables, attributes: &'a [Attribute], source: &'a S) -> Self {
        Self {
            tables,
            evaluation: Evaluation::new(attributes, source),
            numbers: Cells::new(attributes.len()),
            outcomes: Cells::new(tables.kept.len()),
        }
    }

    /// The number of the constant that the attribute equals.
    #[inline(always)]
    pub(crate) fn number(&mut self, attribute: u16) -> u32 {
        match self.numbers.get_mut(attribute.into()) {
            Some(Number(number)) if *number != UNREAD => *number,
            _ => self.look_up(attribute),
        }
    }

    /// Whether the outcome of a step's test is known to be the one that it wants.
    ///
    /// NOTE: most steps that are run compare a constant, and find that it is another.
    #[inline(always)]
    pub(crate) fn holds(&mut self, step: &Step) -> bool {
        match step.test {
            Test::Equal => u64::from(self.number(step.attribute)) == step.operand,
            _ => self.holds_otherwise(step),
        }
    }

    #[inline(never)]
    fn holds_otherwise(&mut self, step: &Step) -> bool {
        match step.test {
            Test::Equal => u64::from(self.number(step.attribute)) == step.operand,
            Test::NotEqual => {
                let number = self.number(step.attribute);
                number != ABSENT && u64::from(number) != step.operand
            }
            Test::Order(relation) => {
                self.ordered(step).is_some_and(|left| relation.holds(left, f64::from_bits(step.operand)))
            }
            Test::NotOrder(relation) => {
                self.ordered(step).is_some_and(|left| !relation.holds(left, f64::from_bits(step.operand)))
            }
            Test::AnyOf => self.is_any_of(step) == Some(true),
            Test::NoneOf => self.is_any_of(step) == Some(false),
            Test::Present => self.evaluation.attribute(step.attribute.into()).is_some(),
            Test::Absent => self.evaluation.attribute(step.attribute.into()).is_none(),
            Test::True => self.is_bool(step, true),
            Test::False => self.is_bool(step, false),
            Test::Kept(wanted) => {
                self.outcome(step.operand) == if wanted { Outcome::True } else { Outcome::False }
            }
        }
    }

    /// Evaluates a condition, remembering what it reads.
    pub(crate) fn truth(&mut self, node: &'a Node) -> Result<bool, EvaluationError> {
        self.evaluation.truth(node)
    }

    /// Whether an attribute has this text as its value.
    pub(crate) fn is_text(&mut self, attribute: usize, wanted: &str) -> bool {
        matches!(self.evaluation.attribute(attribute), Some(Value::String(text)) if **text == *wanted)
    }

    #[inline(never)]
    fn look_up(&mut self, attribute: u16) -> u32 {
        let attribute = usize::from(attribute);
        let constants = self.tables.constants.get(attribute);
        let number = match (self.evaluation.attribute(attribute), constants) {
            (Some(value), Some(constants)) => constants.find(value),
            _ => ABSENT,
        };
        if let Some(slot) = self.numbers.get_mut(attribute) {
            *slot = Number(number);
        }
        number
    }

    #[inline]
    fn ordered(&mut self, step: &Step) -> Option<f64> {
        number(self.evaluation.attribute(step.attribute.into())?)
    }

    fn is_any_of(&mut self, step: &Step) -> Option<bool> {
        let number = self.number(step.attribute);
        let set = self.tables.sets.get(step.operand as usize)?;
        (number != ABSENT).then(|| set.binary_search(&number).is_ok())
    }

    fn is_bool(&mut self, step: &Step, wanted: bool) -> bool {
        matches!(self.evaluation.attribute(step.attribute.into()), Some(Value::Bool(truth)) if *truth == wanted)
    }

    fn outcome(&mut self, kept: u64) -> Outcome {
        let (Some(outcome), Some(node)) =
            (self.outcomes.get_mut(kept as usize), self.tables.kept.get(kept as usize))
        else {
            return Outcome::Neither;
        };
        if *outcome == Outcome::Unknown {
            *outcome = match self.evaluation.truth(node) {
                Ok(true) => Outcome::True,
                Ok(false) => Outcome::False,
                Err(_) => Outcome::Neither,
            };
        }
        *outcome
    }
}
