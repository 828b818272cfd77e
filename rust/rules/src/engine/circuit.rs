//! Conditions as two circuits each (dual rail): one tells whether the condition is true, the other whether it is
//! false. Where neither is, it cannot be evaluated; so nothing has to carry errors, and `&&` and `||` absorb them as
//! CEL demands. The circuits have no negation: both grow with what is true.

use crate::ast::{Logic, Unary};
use crate::engine::predicates::{Failure, Predicate, Predicates};
use crate::program::{Node, Operation};
use crate::types::Type;
use crate::value::Value;

/// A monotone circuit over predicates that are known to be true or known to be false.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Circuit {
    /// The predicate is known, and is this.
    Is(Predicate, bool),
    /// Every part; so without any, it is true.
    All(Vec<Circuit>),
    /// Some part; so without any, it is false.
    Any(Vec<Circuit>),
}

/// A rule as circuits.
#[derive(Debug)]
pub(crate) struct Rails {
    pub(crate) holds: Circuit,
    pub(crate) refuted: Circuit,
    /// How its evaluation can fail.
    pub(crate) failure: Failure,
}

/// Makes the circuits of a condition. With a scope, what is out of it is refuted, and so is what lacks the
/// attribute.
pub(crate) fn rails<'t>(
    predicates: &mut Predicates,
    source: &str,
    condition: &Node,
    scope: Option<Predicate>,
    declared: impl Fn(usize) -> Option<&'t Type>,
) -> Rails {
    let mut builder = Builder { predicates, source, failure: Failure::Never };
    let mut holds = builder.rail(condition, true);
    let mut refuted = builder.rail(condition, false);
    let mut failure = builder.failure;
    let mut named = Vec::new();
    holds.visit(&mut |predicate| named.push(predicate));
    refuted.visit(&mut |predicate| named.push(predicate));
    for predicate in &named {
        failure = failure.max(predicates.failure(*predicate, &declared));
    }
    if let Some(scope) = scope {
        holds = Circuit::all(vec![Circuit::Is(scope, true), holds]);
        let mut ways = vec![Circuit::Is(scope, false), refuted];
        if let Predicate::Equal(attribute, _) = scope {
            ways.push(Circuit::Is(Predicate::Present(attribute), false));
        }
        refuted = Circuit::any(ways);
        named.push(scope);
    }
    predicates.count(named);
    Rails { holds, refuted, failure }
}

struct Builder<'b> {
    predicates: &'b mut Predicates,
    source: &'b str,
    failure: Failure,
}

impl Builder<'_> {
    /// The circuit that is true where `node` is `wanted`.
    fn rail(&mut self, node: &Node, wanted: bool) -> Circuit {
        match &node.operation {
            Operation::Logic(logic, terms) => {
                let parts = terms.iter().map(|term| self.rail(term, wanted)).collect();
                let parts = self.cheapest_first(parts);
                if (*logic == Logic::And) == wanted { Circuit::all(parts) } else { Circuit::any(parts) }
            }
            Operation::Unary(Unary::Not, operand) => self.rail(operand, !wanted),
            Operation::Conditional(branches) if !branches.first().is_some_and(has_conditional) => {
                let [condition, yes, no] = &**branches;
                let chosen = vec![self.rail(condition, true), self.rail(yes, wanted)];
                let other = vec![self.rail(condition, false), self.rail(no, wanted)];
                // In this order, since the condition says which outcome may be evaluated.
                Circuit::any(vec![Circuit::all(chosen), Circuit::all(other)])
            }
            Operation::Constant(Value::Bool(truth)) if *truth == wanted => Circuit::TRUE,
            Operation::Constant(Value::Bool(_)) => Circuit::FALSE,
            Operation::Fail(kind) if kind.is_absence() => Circuit::FALSE,
            Operation::Constant(_) | Operation::Fail(_) => {
                self.failure = Failure::Possible;
                Circuit::FALSE
            }
            operation => {
                let (predicate, is) = self.predicates.of(node, self.source);
                let known = Circuit::Is(predicate, is == wanted);
                match (operation, predicate.attribute()) {
                    // What is kept has an answer there by itself.
                    (Operation::AttributeTest { if_absent: Some(absent), .. }, Some(attribute))
                        if *absent == wanted =>
                    {
                        Circuit::any(vec![Circuit::Is(Predicate::Present(attribute), false), known])
                    }
                    _ => known,
                }
            }
        }
    }

    /// `&&` and `||` are commutative in CEL. What costs the same stays in the order of the rule's author.
    fn cheapest_first(&self, mut parts: Vec<Circuit>) -> Vec<Circuit> {
        parts.sort_by_cached_key(|part| {
            let mut most = 0;
            part.visit(&mut |predicate| most = most.max(self.predicates.cost(predicate)));
            most
        });
        parts
    }
}

/// Whether there is a conditional among the conditions that a node is made of. One in the condition of another
/// would double the circuits each time, so that those are kept as predicates.
fn has_conditional(node: &Node) -> bool {
    match &node.operation {
        Operation::Conditional(_) => true,
        Operation::Logic(_, terms) => terms.iter().any(has_conditional),
        Operation::Unary(Unary::Not, operand) => has_conditional(operand),
        _ => false,
    }
}

impl Circuit {
    const TRUE: Self = Self::All(Vec::new());
    const FALSE: Self = Self::Any(Vec::new());

    /// Every part. Constants are only ever whole circuits, and no part is of the circuit's own kind.
    fn all(parts: Vec<Self>) -> Self {
        if parts.contains(&Self::FALSE) {
            return Self::FALSE;
        }
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(parts) => flat.extend(parts),
                part => flat.push(part),
            }
        }
        Self::All(flat)
    }

    /// Some part. As with [`Circuit::all`].
    fn any(parts: Vec<Self>) -> Self {
        if parts.contains(&Self::TRUE) {
            return Self::TRUE;
        }
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(parts) => flat.extend(parts),
                part => flat.push(part),
            }
        }
        Self::Any(flat)
    }

    /// The same circuit, in which what is asked of these attributes alone comes last where every part is needed.
    pub(crate) fn with_last(self, is_last: impl Fn(u16) -> bool) -> Self {
        let Self::All(mut parts) = self else { return self };
        parts.sort_by_key(|part| match part {
            Self::Is(predicate, _) => predicate.attribute().is_some_and(&is_last),
            _ => false,
        });
        Self::All(parts)
    }

    /// Calls `with` for every predicate, as often as it occurs.
    pub(crate) fn visit(&self, with: &mut impl FnMut(Predicate)) {
        match self {
            Self::Is(predicate, _) => with(*predicate),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(with)),
        }
    }
}
