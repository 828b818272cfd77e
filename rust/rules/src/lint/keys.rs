//! Entries of maps that requests may lack, or whose names are probably misspelt.

use std::collections::{HashMap, HashSet};

use super::claims::claim;
use super::{Names, Subject};
use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Logic, Span, Unary};
use crate::diagnostic::{Code, Diagnostic, distance, nearest};
use crate::environment::{Environment, Form, Known, Name};
use crate::program::{Attribute, Node, Operation};
use crate::value::Value;

/// Shorter names are too often near each other.
const SHORTEST: usize = 5;

/// Findings on entries that are read without asking whether they are there, the first place of each in a rule. A note
/// on what people mostly mean is enough for all rules together: `said` are the entries that had theirs.
pub(super) fn missing(
    subject: &Subject<'_>,
    names: Names<'_>,
    said: &mut HashSet<Attribute>,
) -> Vec<Diagnostic> {
    let mut search = Search { names, present: Vec::new(), read: Vec::new(), said, found: Vec::new() };
    search.visit(&subject.condition, true);
    search.found
}

struct Search<'n, 's> {
    names: Names<'n>,
    /// Entries that are there wherever the part at hand matters.
    present: Vec<usize>,
    /// Entries of which something was said in this rule.
    read: Vec<usize>,
    said: &'s mut HashSet<Attribute>,
    found: Vec<Diagnostic>,
}

impl Search<'_, '_> {
    /// `wanted` is what the node must be for the rule to match, as far as that is known.
    fn visit(&mut self, node: &Node, wanted: bool) {
        let before = self.present.len();
        match &node.operation {
            Operation::Attribute(slot)
            | Operation::AttributeTest { attribute: slot, if_absent: None, .. } => {
                self.read(*slot, node, wanted);
            }
            Operation::Unary(Unary::Not, inner) => self.visit(inner, !wanted),
            Operation::Logic(operator, parts) => {
                // The other terms do not matter where this one decides.
                let asked = parts.iter().filter_map(|part| presence(part, *operator == Logic::And));
                self.present.extend(asked);
                parts.iter().for_each(|part| self.visit(part, wanted));
            }
            Operation::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                self.visit(condition, wanted);
                for (outcome, holds) in [(yes, true), (no, false)] {
                    self.present.extend(presence(condition, holds));
                    self.visit(outcome, wanted);
                    self.present.truncate(before);
                }
            }
            operation => operation.children(&mut |child| self.visit(child, wanted)),
        }
        self.present.truncate(before);
    }

    fn read(&mut self, slot: usize, node: &Node, wanted: bool) {
        let Some(attribute) = self.names.attribute(slot) else { return };
        let Some(key) = &attribute.key else { return };
        let Some(variable) = self.names.environment.variable(attribute.variable) else { return };
        let is_settled = matches!(variable.known, Some(Known::Fields(_)));
        if variable.form == Form::Keyed
            || is_settled
            || self.present.contains(&slot)
            || self.read.contains(&slot)
        {
            return;
        }
        self.read.push(slot);
        let written = self.names.written(slot);
        let map = &variable.name;
        let instead = self.names.written_or(slot, "");
        if claim(node, wanted).is_some_and(|claim| claim.is_negative()) {
            let message = format!("a request without {written} does not match this either");
            let help = format!(
                "if it should, read {instead} instead; if not, write \"{key}\" in {map} && … before it"
            );
            self.found.push(Diagnostic::new(Code::NegatedMissingKey, node.span, message).with_help(help));
        } else if self.said.insert(attribute.clone()) {
            let message = format!("a request without {written} does not match this");
            let help = format!(
                "fine if that is meant; otherwise write {instead}, which is empty where it is absent"
            );
            self.found.push(Diagnostic::new(Code::MissingKey, node.span, message).with_help(help));
        }
    }
}

/// The entry that a node asks for: one that is there if the node is `truth`.
fn presence(node: &Node, truth: bool) -> Option<usize> {
    match &node.operation {
        Operation::Present(slot) => truth.then_some(*slot),
        Operation::Unary(Unary::Not, inner) => presence(inner, !truth),
        _ => None,
    }
}

/// A key that a rule writes out for a map whose keys are in lower case, or are known.
struct Use {
    rule: usize,
    span: Span,
    variable: usize,
    written: Box<str>,
}

/// Findings about the names of entries: capital letters, and names that are almost others.
pub(super) fn unlikely(environment: &Environment, subjects: &[Subject<'_>]) -> Vec<(usize, Diagnostic)> {
    let mut uses = Vec::new();
    for subject in subjects {
        keys(environment, &subject.root, &mut |span, variable, written| {
            uses.push(Use { rule: subject.index, span, variable, written: written.into() });
        });
    }
    let mut counts: HashMap<(usize, String), usize> = HashMap::new();
    for one in &uses {
        *counts.entry((one.variable, one.written.to_ascii_lowercase())).or_default() += 1;
    }
    let mut found = Vec::new();
    for one in &uses {
        let key = one.written.to_ascii_lowercase();
        let Some(variable) = environment.variable(one.variable) else { continue };
        if let Some(Known::Fields(fields)) = variable.known {
            found.extend(no_field(one, &variable.name, fields).map(|warning| (one.rule, warning)));
            continue;
        }
        if key != *one.written {
            let message = format!("the names of {} are in small letters", variable.name);
            let note = Diagnostic::new(Code::UppercaseKey, one.span, message);
            found.push((one.rule, note.with_help(format!("\"{key}\" is the same and plainer"))));
        }
        let known = match variable.known {
            Some(Known::Keys(known)) => known,
            _ => &[],
        };
        if known.contains(&&*key) || counts.get(&(one.variable, key.clone())) != Some(&1) {
            continue;
        }
        let of_others =
            || counts.iter().filter(|((variable, _), count)| *variable == one.variable && **count > 1);
        let near = known.iter().copied().find(|known| is_near(&key, known));
        // NOTE: a map of all keys by their length would make this linear; rule sets name few keys.
        let near = near.or_else(|| {
            let mut near: Vec<&str> = of_others()
                .take(1_000)
                .map(|((_, other), _)| &**other)
                .filter(|other| is_near(&key, other))
                .collect();
            near.sort_unstable();
            near.first().copied()
        });
        if let Some(near) = near {
            let message = format!("\"{}\" is almost \"{near}\", and written nowhere else", one.written);
            let warning = Diagnostic::new(Code::UnlikelyKey, one.span, message);
            found.push((one.rule, warning.with_help(format!("did you mean \"{near}\"?"))));
        }
    }
    found
}

/// The finding of a key that a map never has.
fn no_field(one: &Use, map: &str, fields: &[&str]) -> Option<Diagnostic> {
    let written = &*one.written;
    if fields.contains(&written) {
        return None;
    }
    let warning = Diagnostic::new(Code::UnlikelyKey, one.span, format!("`{map}` never has \"{written}\""));
    Some(warning.with_help(match nearest(written, fields.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("it has {}", fields.join(", ")),
    }))
}

/// Whether a name is probably another one misspelt: one letter differs, or the marks between words do.
fn is_near(key: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(['-', '_'], "");
    if key == other || key.len() < SHORTEST || key.len().abs_diff(other.len()) > 3 {
        return false;
    }
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let is_plural = format!("{key}s") == other || format!("{other}s") == key;
    plain(key) == plain(other) || (distance(key, other) == 1 && digits(key) == digits(other) && !is_plural)
}

/// Calls `found` with each key that is written out for such a map.
fn keys(environment: &Environment, expression: &Expression, found: &mut dyn FnMut(Span, usize, &str)) {
    let map = |operand: &Expression| match environment.resolve(operand, [].into_iter())? {
        Name::Variable(index) => {
            let variable = environment.variable(index)?;
            let is_known = matches!(variable.known, Some(Known::Fields(_)));
            (is_known || variable.form == Form::LowercaseKeys).then_some(index)
        }
        _ => None,
    };
    match &expression.kind {
        ExpressionKind::Select { operand, field, .. } | ExpressionKind::Has { operand, field } => {
            if let Some(variable) = map(operand) {
                found(expression.span, variable, field);
            }
        }
        ExpressionKind::Index { operand, key, .. } => {
            if let (Some(variable), ExpressionKind::Literal(Value::String(text))) = (map(operand), &key.kind)
            {
                found(key.span, variable, text);
            }
        }
        ExpressionKind::Binary { operator: Binary::Comparison(Comparison::In), left, right } => {
            if let (Some(variable), ExpressionKind::Literal(Value::String(text))) = (map(right), &left.kind) {
                found(left.span, variable, text);
            }
        }
        _ => {}
    }
    expression.kind.children(&mut |child| keys(environment, child, found));
}
