//! Rules that earlier ones outrun: whenever the later would match, the earlier does.

use std::collections::HashMap;

use super::Subject;
use super::claims::{Says, Term, claim, conflict, terms};
use crate::ast::Logic;
use crate::diagnostic::{Code, Diagnostic};
use crate::program::{Attribute, Node, Operation};
use crate::value::Value;

/// Earlier rules that one rule is compared with.
const COMPARED: usize = 64;
/// Alternatives of a condition that are looked at.
const ALTERNATIVES: usize = 16;

/// One way in which an earlier rule holds: all of these terms do.
struct Way<'s> {
    subject: &'s Subject<'s>,
    terms: Vec<Term>,
}

/// What a rule must have to be compared with an earlier one. Of a rule with several such, one is enough, since a rule
/// that it outruns has all of them.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// An attribute with this value.
    Value(usize, String),
    /// Anything about an attribute.
    Attribute(usize),
    Other(Box<str>, bool),
    /// Nothing: it always holds.
    Always,
}

pub(super) fn outrun(subjects: &[Subject<'_>]) -> Vec<(usize, Diagnostic)> {
    let mut numbers: HashMap<&Attribute, usize> = HashMap::new();
    let mut ways: Vec<Way<'_>> = Vec::new();
    let mut places: HashMap<Key, Vec<usize>> = HashMap::new();
    let mut found = Vec::new();
    for subject in subjects {
        // What never holds is said to elsewhere.
        if matches!(subject.condition.operation, Operation::Constant(Value::Bool(false))) {
            continue;
        }
        let mut alternatives = alternatives(subject.rule.condition, &subject.condition);
        for term in alternatives.iter_mut().flatten() {
            if let Term::Claim(claim) = term
                && let Some(attribute) = subject.attributes.get(claim.attribute)
            {
                let next = numbers.len();
                claim.attribute = *numbers.entry(attribute).or_insert(next);
            }
        }
        let mut compared = 0;
        let mut first = None;
        let covered = alternatives.iter().all(|terms| {
            let mut near = keys(terms).into_iter().filter_map(|key| places.get(&key)).flatten();
            near.find(|place| {
                let way = ways.get(**place).filter(|way| reaches(way.subject, subject));
                compared += 1;
                compared <= COMPARED
                    && way.is_some_and(|way| way.terms.iter().all(|term| is_implied(term, terms)))
            })
            .and_then(|place| ways.get(*place))
            .map(|way| first.get_or_insert(way))
            .is_some()
        });
        if let (true, Some(way)) = (covered, first) {
            // They outrun each other if what the earlier one says follows from the later one and the other way round.
            let is_same = alternatives.len() == 1
                && ways.iter().filter(|other| other.subject.index == way.subject.index).count() == 1
                && alternatives.iter().flatten().all(|term| is_implied(term, &way.terms));
            found.push((subject.index, finding(subject, way.subject, is_same)));
        }
        if !subject.is_last {
            continue;
        }
        for terms in alternatives {
            let place = ways.len();
            for key in guard(&terms) {
                places.entry(key).or_default().push(place);
            }
            ways.push(Way { subject, terms });
        }
    }
    found
}

/// Whether the earlier rule takes part wherever the later does.
fn reaches(earlier: &Subject<'_>, later: &Subject<'_>) -> bool {
    earlier.rule.scope.is_none() || earlier.rule.scope == later.rule.scope
}

fn finding(subject: &Subject<'_>, earlier: &Subject<'_>, is_same: bool) -> Diagnostic {
    let name = earlier.name;
    let is_constant = matches!(earlier.condition.operation, Operation::Constant(_));
    let span = subject.root.span;
    if is_same && !is_constant {
        return Diagnostic::new(
            Code::DuplicateRule,
            span,
            format!("this rule can never match: \"{name}\" before it has the same condition"),
        )
        .with_help("remove one of them, or change its condition");
    }
    let message = if is_constant {
        format!("this rule can never match: \"{name}\" before it matches every request")
    } else {
        format!("this rule can never match: \"{name}\" before it matches whatever this one does")
    };
    Diagnostic::new(Code::UnreachableRule, span, message)
        .with_help(format!("move it before \"{name}\", as an exception from it, or remove it"))
}

/// The ways in which a condition holds, without those that contradict themselves. A condition with too many is taken as
/// a whole.
fn alternatives(source: &str, condition: &Node) -> Vec<Vec<Term>> {
    let mut ways = match &condition.operation {
        Operation::Constant(_) => vec![Vec::new()],
        Operation::Logic(Logic::Or, parts)
            if parts.len() <= ALTERNATIVES && claim(condition, true).is_none() =>
        {
            parts.iter().map(|part| terms(source, part, true)).collect()
        }
        _ => vec![terms(source, condition, true)],
    };
    ways.retain(|terms| {
        let claims = terms.iter().filter_map(|term| match term {
            Term::Claim(claim) => Some(claim.clone()),
            Term::Other { .. } => None,
        });
        conflict(&claims.collect::<Vec<_>>()).is_none()
    });
    ways
}

fn is_implied(wanted: &Term, terms: &[Term]) -> bool {
    terms.iter().any(|term| match (term, wanted) {
        (Term::Claim(claim), Term::Claim(wanted)) => claim.implies(wanted),
        (Term::Other { text, wanted: truth }, Term::Other { text: other, wanted: other_truth }) => {
            text == other && truth == other_truth
        }
        _ => false,
    })
}

/// The keys under which a way is found: those of its most selective term.
fn guard(terms: &[Term]) -> Vec<Key> {
    let values = terms.iter().find_map(|term| match term {
        Term::Claim(claim) => match &claim.says {
            Says::Among(values) => {
                Some(values.iter().map(|value| Key::Value(claim.attribute, value_key(value))).collect())
            }
            _ => None,
        },
        Term::Other { .. } => None,
    });
    values.unwrap_or_else(|| match terms.first() {
        None => vec![Key::Always],
        Some(Term::Claim(claim)) => vec![Key::Attribute(claim.attribute)],
        Some(Term::Other { text, wanted }) => vec![Key::Other(text.clone(), *wanted)],
    })
}

/// The keys under which the ways are that could outrun one with these terms.
fn keys(terms: &[Term]) -> Vec<Key> {
    let mut keys = vec![Key::Always];
    for term in terms {
        match term {
            Term::Claim(claim) => {
                if let Says::Among(values) = &claim.says {
                    // A way that allows all of the values allows the first.
                    keys.extend(values.first().map(|value| Key::Value(claim.attribute, value_key(value))));
                }
                keys.push(Key::Attribute(claim.attribute));
            }
            Term::Other { text, wanted } => keys.push(Key::Other(text.clone(), *wanted)),
        }
    }
    keys
}

/// Numbers that are equal have one key, whatever their types.
fn value_key(value: &Value<'_>) -> String {
    match value {
        Value::Int(number) => format!("{}", *number as f64),
        Value::Uint(number) => format!("{}", *number as f64),
        Value::Double(number) => format!("{number}"),
        other => format!("{other:?}"),
    }
}
