//! Circuits as flat code: each step tests one predicate and says where to go on. A pass neither recurses nor
//! allocates, and the steps of a rule are neighbours in memory.

use crate::engine::circuit::Circuit;
use crate::engine::predicates::{Predicate, Relation};

/// The target of a jump that ends with true.
const YES: u16 = u16::MAX;
/// The target of a jump that ends with false.
const NO: u16 = u16::MAX - 1;

/// One test: 16 bytes, of which four share a cache line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) test: Test,
    pub(crate) attribute: u16,
    on_true: u16,
    on_false: u16,
    /// What the test is about: number of a constant, set or kept predicate, or the bits of a double.
    pub(crate) operand: u64,
}

/// A predicate that must be known, and with what outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    NotEqual,
    Order(Relation),
    NotOrder(Relation),
    AnyOf,
    NoneOf,
    Present,
    Absent,
    True,
    False,
    Kept(bool),
}

/// Where the code of a circuit is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Routine {
    start: u32,
    length: u16,
    /// The first step; a circuit without steps is true or false.
    entry: u16,
}

/// Appends the code of a circuit, which must not be too long for its jumps: see [`fits`].
pub(crate) fn emit(code: &mut Vec<Step>, circuit: &Circuit) -> Routine {
    let mut backwards = Vec::new();
    let entry = emit_to(&mut backwards, circuit, YES, NO);
    let length = backwards.len() as u16;
    let forwards = |target: u16| if target >= NO { target } else { length - 1 - target };
    let start = code.len() as u32;
    code.extend(backwards.iter().rev().map(|step| Step {
        on_true: forwards(step.on_true),
        on_false: forwards(step.on_false),
        ..*step
    }));
    Routine { start, length, entry: forwards(entry) }
}

/// Whether code for a circuit can be written.
pub(crate) fn fits(circuit: &Circuit) -> bool {
    let mut steps = 0_usize;
    circuit.visit(&mut |_| steps += 1);
    steps < usize::from(NO)
}

/// Appends the code of a circuit, the last step first, so that the targets of jumps are known. Returns where it
/// begins.
fn emit_to(backwards: &mut Vec<Step>, circuit: &Circuit, yes: u16, no: u16) -> u16 {
    match circuit {
        Circuit::Is(predicate, wanted) => {
            let (test, attribute, operand) = encode(*predicate, *wanted);
            backwards.push(Step { test, attribute, on_true: yes, on_false: no, operand });
            (backwards.len() - 1) as u16
        }
        Circuit::All(parts) => parts.iter().rev().fold(yes, |next, part| emit_to(backwards, part, next, no)),
        Circuit::Any(parts) => parts.iter().rev().fold(no, |next, part| emit_to(backwards, part, yes, next)),
    }
}

fn encode(predicate: Predicate, wanted: bool) -> (Test, u16, u64) {
    let either = |yes, no| if wanted { yes } else { no };
    match predicate {
        Predicate::Present(attribute) => (either(Test::Present, Test::Absent), attribute, 0),
        Predicate::True(attribute) => (either(Test::True, Test::False), attribute, 0),
        Predicate::Equal(attribute, number) => {
            (either(Test::Equal, Test::NotEqual), attribute, number.into())
        }
        Predicate::AnyOf(attribute, set) => (either(Test::AnyOf, Test::NoneOf), attribute, set.into()),
        Predicate::Order(attribute, relation, bits) => {
            (either(Test::Order(relation), Test::NotOrder(relation)), attribute, bits)
        }
        Predicate::Kept(kept) => (Test::Kept(wanted), 0, kept.into()),
    }
}

impl Routine {
    /// Runs it.
    #[inline(always)]
    pub(crate) fn run(self, code: &[Step], mut holds: impl FnMut(&Step) -> bool) -> bool {
        let start = self.start as usize;
        let steps = code.get(start..start + usize::from(self.length)).unwrap_or_default();
        let mut at = self.entry;
        while let Some(step) = steps.get(usize::from(at)) {
            at = if holds(step) { step.on_true } else { step.on_false };
        }
        at == YES
    }
}
