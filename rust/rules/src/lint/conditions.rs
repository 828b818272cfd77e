//! Conditions, or parts of them, that never or always hold, and those that no index finds.

use super::claims::{Claim, Says, claim, claims, conflict};
use super::{Names, Subject};
use crate::ast::{ExpressionKind, Logic, Span, Unary};
use crate::diagnostic::{Code, Diagnostic};
use crate::program::{Node, Operation};
use crate::value::Value;

/// Sets of so many rules are tried one by one whatever their conditions are.
pub(super) const SCANNED: usize = 16;

/// Parts of the condition of a rule that are always the same, the largest of them.
pub(super) fn decided(subject: &Subject<'_>, names: Names<'_>) -> Vec<Diagnostic> {
    let is_written_out = matches!(subject.root.kind, ExpressionKind::Literal(Value::Bool(true)));
    let mut found = Vec::new();
    if !is_written_out {
        review(&subject.condition, true, names, &mut found);
    }
    found
}

fn review(node: &Node, is_whole: bool, names: Names<'_>, found: &mut Vec<Diagnostic>) {
    let subject = if is_whole { "this condition" } else { "this part" };
    if let Some(reason) = never(node, true) {
        let error = Diagnostic::new(Code::AlwaysFalse, node.span, format!("{subject} never holds"));
        found.push(match reason {
            Reason::Constant => {
                error.with_help("whatever the request is, the result is false; change it, or remove it")
            }
            Reason::Conflict(first, second) => error
                .with_label(first, "if this holds")
                .with_label(second, "this does not")
                .with_help("change one of them, or join them with `||` if one is enough"),
        });
    } else if let Some(reason) = never(node, false) {
        let scope = if reads_entries(node, names) { " that has what it reads" } else { "" };
        let error =
            Diagnostic::new(Code::AlwaysTrue, node.span, format!("{subject} holds for every request{scope}"));
        found.push(match reason {
            Reason::Constant => error.with_help("write true if that is meant"),
            Reason::Conflict(first, second) => error
                .with_label(first, "where this does not hold")
                .with_label(second, "this does")
                .with_help("join them with `&&` if both are meant, or write true"),
        });
    } else {
        match &node.operation {
            Operation::Logic(_, parts) => parts.iter().for_each(|part| review(part, false, names, found)),
            Operation::Conditional(parts) => parts.iter().for_each(|part| review(part, false, names, found)),
            Operation::Unary(Unary::Not, inner) => review(inner, false, names, found),
            _ => {}
        }
    }
}

/// Why something is always the same.
enum Reason {
    Constant,
    /// Two parts exclude each other.
    Conflict(Span, Span),
}

/// Why a node is never as `wanted`, if it never is.
fn never(node: &Node, wanted: bool) -> Option<Reason> {
    match &node.operation {
        Operation::Constant(Value::Bool(truth)) => (*truth != wanted).then_some(Reason::Constant),
        Operation::Unary(Unary::Not, inner) => never(inner, !wanted),
        Operation::Logic(operator, parts) if (*operator == Logic::And) == wanted => {
            let part = parts.iter().find_map(|part| never(part, wanted));
            part.or_else(|| {
                conflict(&claims(node, wanted)).map(|(first, second)| Reason::Conflict(first, second))
            })
        }
        Operation::Logic(_, parts) => every(parts, wanted),
        Operation::Conditional(parts) => {
            let [_, yes, no] = &**parts;
            let reason = never(yes, wanted)?;
            never(no, wanted).map(|_| reason)
        }
        _ => None,
    }
}

/// Why no part is ever as `wanted`.
fn every(parts: &[Node], wanted: bool) -> Option<Reason> {
    let mut reason = None;
    for part in parts {
        reason = Some(never(part, wanted)?);
    }
    reason
}

fn reads_entries(node: &Node, names: Names<'_>) -> bool {
    let is_entry = |slot: &usize| names.attribute(*slot).is_some_and(|attribute| attribute.key.is_some());
    match &node.operation {
        Operation::Attribute(slot) | Operation::AttributeTest { attribute: slot, if_absent: None, .. } => {
            is_entry(slot)
        }
        operation => {
            let mut found = false;
            operation.children(&mut |child| found = found || reads_entries(child, names));
            found
        }
    }
}

/// A note on a rule that holds for certain values of no attribute alone.
pub(super) fn not_indexed(subject: &Subject<'_>) -> Option<Diagnostic> {
    if matches!(subject.condition.operation, Operation::Constant(_))
        || !guards(&subject.condition, true).is_empty()
    {
        return None;
    }
    let message = "this rule is tried for every request: no `==` or `in` must hold for it to match";
    Some(Diagnostic::new(Code::NotIndexed, subject.root.span, message).with_help(
        "harmless for a few rules; with thousands, add a comparison such as model == \"gpt-5\" && …",
    ))
}

/// Attributes that must have one of certain values for a node to be as `wanted`.
fn guards(node: &Node, wanted: bool) -> Vec<usize> {
    if let Some(Claim { attribute, says: Says::Among(_), .. }) = claim(node, wanted) {
        // An index of two entries finds half of the rules.
        return if matches!(node.operation, Operation::Attribute(_)) { Vec::new() } else { vec![attribute] };
    }
    match &node.operation {
        Operation::Unary(Unary::Not, inner) => guards(inner, !wanted),
        Operation::Logic(operator, parts) if (*operator == Logic::And) == wanted => {
            parts.iter().flat_map(|part| guards(part, wanted)).collect()
        }
        Operation::Logic(_, parts) => {
            let mut common: Option<Vec<usize>> = None;
            for part in parts {
                let of_part = guards(part, wanted);
                common = Some(match common {
                    None => of_part,
                    Some(before) => {
                        before.into_iter().filter(|attribute| of_part.contains(attribute)).collect()
                    }
                });
            }
            common.unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
