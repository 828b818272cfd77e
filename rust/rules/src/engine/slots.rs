//! What one pass has found out about its request.

use crate::ast::{Arithmetic, Comparison};
use crate::cells::{Cells, Empty};
use crate::engine::code::{Step, Test};
use crate::engine::constants::{ABSENT, Constants, number};
use crate::engine::index::{FEW_WORDS, Rows, States};
use crate::engine::predicates::{Relation, Tables};
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Scalar, Source, ask_text};
use crate::program::{Attribute, Node, Operation, Test as Question};
use crate::value::Value;

/// Bytes of a text that is read as UTF-8 for each question about it.
const SHORT: usize = 128;
/// Stands for an attribute that was not read.
const UNREAD: u32 = u32::MAX;

/// Attributes as numbers of constants, and outcomes of kept predicates; each found when first asked for.
pub(crate) struct Slots<'a, S> {
    tables: &'a Tables,
    attributes: &'a [Attribute],
    source: &'a S,
    /// The numbers of constants, or [`UNREAD`].
    constants: Cells<u32>,
    outcomes: Cells<Outcome>,
    /// For what the engine has no code for.
    evaluation: Option<Box<Evaluation<'a, S>>>,
}

impl Empty for u32 {
    const EMPTY: Self = UNREAD;
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

impl From<Option<bool>> for Outcome {
    fn from(truth: Option<bool>) -> Self {
        match truth {
            Some(true) => Self::True,
            Some(false) => Self::False,
            None => Self::Neither,
        }
    }
}

impl<'a, S: Source> Slots<'a, S> {
    #[inline(always)]
    pub(crate) fn new(tables: &'a Tables, attributes: &'a [Attribute], source: &'a S) -> Self {
        Self { tables, attributes, source, constants: Cells::new(), outcomes: Cells::new(), evaluation: None }
    }

    /// The number of the constant that the attribute equals.
    #[inline(always)]
    pub(crate) fn number(&mut self, attribute: u16) -> u32 {
        match self.constants.get_mut(attribute.into(), self.attributes.len()) {
            Some(number) if *number != UNREAD => *number,
            _ => self.look_up(attribute),
        }
    }

    #[inline(never)]
    fn look_up(&mut self, attribute: u16) -> u32 {
        self.number_here(attribute)
    }

    /// Finds the states of attributes.
    ///
    /// NOTE: all that an index asks for at once, which takes 20 instructions less for each.
    #[inline(never)]
    pub(crate) fn read(&mut self, states: &States, typed: bool, found: &mut [u32]) {
        let states = states.find(typed, |attribute| self.number_here(attribute));
        found.iter_mut().zip(states).for_each(|(found, state)| *found = state);
    }

    /// Finds the rules, of few, that the states of attributes do not rule out.
    ///
    /// NOTE: states that are not remembered first: of 100 rules the first match takes 56 ns instead of 58, and with all
    /// eight words of a block 12 ns more.
    #[inline(never)]
    pub(crate) fn intersection(&mut self, rows: &Rows, typed: bool) -> [u64; FEW_WORDS] {
        let mut left = [u64::MAX; FEW_WORDS];
        let states = rows.states().find(typed, |attribute| self.number_here(attribute));
        states.for_each(|state| rows.narrow(&mut left, state, 0));
        left
    }

    /// The same as [`Slots::number`], with all of the way there inlined.
    #[inline(always)]
    fn number_here(&mut self, attribute: u16) -> u32 {
        let place = usize::from(attribute);
        let Some(constants) = self.tables.constants.get(place) else { return ABSENT };
        let Some(number) = self.constants.get_mut(place, self.tables.constants.len()) else { return ABSENT };
        if *number == UNREAD {
            *number = find(self.source, constants);
        }
        *number
    }

    /// Whether the outcome of a step's test is known to be the one that it wants.
    ///
    /// NOTE: most steps that are run compare a constant, and find that it is another.
    #[inline(always)]
    pub(crate) fn holds(&mut self, step: &Step) -> bool {
        match step.test {
            Test::Equal => u64::from(self.number(step.attribute)) == step.operand,
            Test::VariableOrder(relation) => {
                match self.source.scalar(&Attribute::whole(step.attribute.into())) {
                    Scalar::Number(number) => relation.holds(number, f64::from_bits(step.operand)),
                    _ => self.holds_otherwise(step),
                }
            }
            _ => self.holds_otherwise(step),
        }
    }

    #[inline(never)]
    fn holds_otherwise(&mut self, step: &Step) -> bool {
        match step.test {
            Test::Always => true,
            Test::Equal => u64::from(self.number(step.attribute)) == step.operand,
            Test::NotEqual => {
                let number = self.number(step.attribute);
                number != ABSENT && u64::from(number) != step.operand
            }
            Test::VariableOrder(relation) => {
                let attribute = self.tables.whole(step.attribute);
                attribute.and_then(|attribute| self.is_ordered(attribute, step, relation)) == Some(true)
            }
            Test::Order(relation) => self.is_ordered(step.attribute, step, relation) == Some(true),
            Test::NotOrder(relation) => self.is_ordered(step.attribute, step, relation) == Some(false),
            Test::AnyOf => self.is_any_of(step) == Some(true),
            Test::NoneOf => self.is_any_of(step) == Some(false),
            Test::Present => self.number(step.attribute) != ABSENT,
            Test::Absent => self.number(step.attribute) == ABSENT,
            Test::True => self.is_bool(step, true),
            Test::False => self.is_bool(step, false),
            Test::Kept(wanted) => {
                self.outcome(step.operand) == if wanted { Outcome::True } else { Outcome::False }
            }
        }
    }

    /// Evaluates a condition, remembering what it reads.
    pub(crate) fn truth(&mut self, node: &'a Node) -> Result<bool, EvaluationError> {
        self.evaluation().truth(node)
    }

    /// Whether an attribute has this text as its value.
    pub(crate) fn is_text(&mut self, attribute: usize, wanted: &str) -> bool {
        matches!(self.evaluation().attribute(attribute), Some(Value::String(text)) if **text == *wanted)
    }

    /// Whether an attribute that is a number is so related to the constant of a step.
    fn is_ordered(&mut self, attribute: u16, step: &Step, relation: Relation) -> Option<bool> {
        let number = match self.source.scalar(self.attributes.get(usize::from(attribute))?) {
            Scalar::Number(number) => number,
            Scalar::Other => number(self.evaluation().attribute(attribute.into())?)?,
            _ => return None,
        };
        Some(relation.holds(number, f64::from_bits(step.operand)))
    }

    fn is_any_of(&mut self, step: &Step) -> Option<bool> {
        let number = self.number(step.attribute);
        let set = self.tables.sets.get(step.operand as usize)?;
        (number != ABSENT).then(|| set.binary_search(&number).is_ok())
    }

    fn is_bool(&mut self, step: &Step, wanted: bool) -> bool {
        let attribute = self.attributes.get(usize::from(step.attribute));
        attribute.and_then(|attribute| self.source.attribute(attribute)) == Some(Value::Bool(wanted))
    }

    fn outcome(&mut self, kept: u64) -> Outcome {
        let known = self
            .outcomes
            .get_mut(kept as usize, self.tables.kept.len())
            .map_or(Outcome::Neither, |outcome| *outcome);
        let Some(node) = self.tables.kept.get(kept as usize).filter(|_| known == Outcome::Unknown) else {
            return known;
        };
        let outcome = match self.test(node) {
            Outcome::Unknown => self.evaluation().truth(node).ok().into(),
            outcome => outcome,
        };
        if let Some(cell) = self.outcomes.get_mut(kept as usize, self.tables.kept.len()) {
            *cell = outcome;
        }
        outcome
    }

    /// The outcome of what needs no evaluator, whose memory and code are cold where rules ask for nothing else of it:
    /// questions about texts that the source has as scalars, and comparisons of integers.
    fn test(&self, node: &Node) -> Outcome {
        match &node.operation {
            Operation::AttributeTest {
                test: test @ (Question::StartsWith | Question::EndsWith | Question::Contains),
                attribute,
                constant: Value::String(part),
                if_absent,
                ..
            } => {
                let scalar = self.attributes.get(*attribute).map(|attribute| self.source.scalar(attribute));
                let text = match scalar {
                    Some(Scalar::Text(text)) => Some(text),
                    // The evaluator reads a long one as UTF-8 once, not for each question.
                    Some(Scalar::Bytes(bytes)) if bytes.len() <= SHORT => str::from_utf8(bytes).ok(),
                    Some(Scalar::Absent) => None,
                    _ => return Outcome::Unknown,
                };
                text.map_or(*if_absent, |text| Some(ask_text(*test, text, part))).into()
            }
            Operation::Test(comparison, operands) => self
                .compare_integers(*comparison, operands)
                .map_or(Outcome::Unknown, |truth| Some(truth).into()),
            _ => Outcome::Unknown,
        }
    }

    fn compare_integers(&self, comparison: Comparison, [left, right]: &[Node; 2]) -> Option<bool> {
        let order = self.integer(left)?.cmp(&self.integer(right)?);
        Some(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
            Comparison::In => return None,
        })
    }

    /// What a node is, if it is an integer made of attributes and constants. Of all else the evaluator tells.
    fn integer(&self, node: &Node) -> Option<i64> {
        let held = |value: &Value<'_>| if let Value::Int(number) = value { Some(*number) } else { None };
        match &node.operation {
            Operation::Constant(value) => held(value),
            Operation::Attribute(attribute) => {
                let attribute = self.attributes.get(*attribute)?;
                match self.source.scalar(attribute) {
                    Scalar::Number(_) => held(&self.source.attribute(attribute)?),
                    _ => None,
                }
            }
            Operation::Sum(terms) => {
                terms.iter().try_fold(0, |sum: i64, term| sum.checked_add(self.integer(term)?))
            }
            Operation::Arithmetic(operator, operands) => {
                let [left, right] = &**operands;
                let (left, right) = (self.integer(left)?, self.integer(right)?);
                match operator {
                    Arithmetic::Add => left.checked_add(right),
                    Arithmetic::Subtract => left.checked_sub(right),
                    Arithmetic::Multiply => left.checked_mul(right),
                    Arithmetic::Divide | Arithmetic::Remainder => None,
                }
            }
            _ => None,
        }
    }

    fn evaluation(&mut self) -> &mut Evaluation<'a, S> {
        self.evaluation.get_or_insert_with(|| Box::new(Evaluation::new(self.attributes, self.source)))
    }
}

/// The number of the constant that an attribute equals. (`Err` is a number that is known, so that the code that looks
/// texts up is there once.)
///
/// NOTE: the value itself is not kept: without room for values of 32 bytes, a pass that reads nothing takes two thirds
/// of the time.
#[inline(always)]
fn find<S: Source>(source: &S, constants: &Constants) -> u32 {
    let text = match source.scalar(constants.attribute()) {
        Scalar::Text(text) => Ok((text.as_bytes(), true)),
        Scalar::Bytes(bytes) => Ok((bytes, false)),
        Scalar::Absent => Err(ABSENT),
        Scalar::Number(number) => Err(constants.find_number(number)),
        Scalar::Other => Err(find_other(source, constants)),
    };
    match text {
        Ok((text, checked)) => constants.find_text(text, checked),
        Err(number) => number,
    }
}

#[cold]
fn find_other<S: Source>(source: &S, constants: &Constants) -> u32 {
    source.attribute(constants.attribute()).map_or(ABSENT, |value| constants.find(&value))
}
