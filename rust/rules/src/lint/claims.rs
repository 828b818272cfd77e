//! What a part of a condition says about one attribute, and what follows from it.

use std::cmp::Ordering;

use crate::ast::{Comparison, Logic, Span, Unary};
use crate::evaluate::ask;
use crate::lex::lex;
use crate::program::{Node, Operation, Test};
use crate::value::Value;

/// Terms of a conjunction that are looked at.
const TERMS: usize = 64;

/// A statement about one attribute. All but [`Says::Absent`] are true only of an attribute that is there.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) attribute: usize,
    pub(super) span: Span,
    pub(super) says: Says,
}

#[derive(Debug, Clone)]
pub(super) enum Says {
    Present,
    Absent,
    Among(Vec<Value<'static>>),
    NotAmong(Vec<Value<'static>>),
    /// `<`, `<=`, `>` or `>=`
    Order(Comparison, Value<'static>),
    /// A question about a text, and its answer.
    Text(Test, Value<'static>, bool),
}

/// One of the terms that must all be true.
#[derive(Debug, Clone)]
pub(super) enum Term {
    Claim(Claim),
    /// Anything else, by its tokens, which are the same however it is spaced.
    Other {
        text: Box<str>,
        wanted: bool,
    },
}

/// The terms that must all hold for a node to be as `wanted`.
pub(super) fn terms(source: &str, node: &Node, wanted: bool) -> Vec<Term> {
    let mut found = Vec::new();
    collect(node, wanted, "", &mut |node, wanted, way| {
        found.push(match claim(node, wanted) {
            Some(claim) => Term::Claim(claim),
            None => Term::Other { text: (tokens(source, node.span) + way).into(), wanted },
        });
        found.len() < TERMS
    });
    found
}

/// As [`terms`], those that are claims.
pub(super) fn claims(node: &Node, wanted: bool) -> Vec<Claim> {
    let mut found = Vec::new();
    collect(node, wanted, "", &mut |node, wanted, _| {
        found.extend(claim(node, wanted));
        found.len() < TERMS
    });
    found
}

/// Calls `take` for each term until it has enough, with the `way` to it from what is written where it is: of a
/// definition that has become part of the rule, nothing but its name is.
fn collect(node: &Node, wanted: bool, way: &str, take: &mut dyn FnMut(&Node, bool, &str) -> bool) -> bool {
    let way_to = |part: &Node, step: usize| match part.span == node.span {
        true => format!("{way}/{step}"),
        false => String::new(),
    };
    match &node.operation {
        Operation::Unary(Unary::Not, inner) => collect(inner, !wanted, &way_to(inner, 0), take),
        Operation::Logic(operator, parts)
            if (*operator == Logic::And) == wanted && claim(node, wanted).is_none() =>
        {
            parts.iter().enumerate().all(|(step, part)| collect(part, wanted, &way_to(part, step), take))
        }
        _ => take(node, wanted, way),
    }
}

/// What a node says that is as `wanted`, if it is about one attribute.
pub(super) fn claim(node: &Node, wanted: bool) -> Option<Claim> {
    let (attribute, says) = match &node.operation {
        Operation::Unary(Unary::Not, inner) => return claim(inner, !wanted),
        Operation::Attribute(attribute) => (*attribute, Says::Among(vec![Value::Bool(wanted)])),
        Operation::Present(attribute) => (*attribute, if wanted { Says::Present } else { Says::Absent }),
        // True of an attribute that is not there, too.
        Operation::AttributeTest { if_absent: Some(absent), .. } if *absent == wanted => return None,
        Operation::AttributeTest { test, attribute, constant, .. } => {
            (*attribute, says(*test, constant, wanted)?)
        }
        // A choice of values of one attribute.
        Operation::Logic(operator, parts) if (*operator == Logic::Or) == wanted => {
            let mut values = Vec::new();
            let mut attribute = None;
            for part in parts {
                match claim(part, wanted)? {
                    Claim { attribute: of_part, says: Says::Among(some), .. }
                        if attribute.is_none_or(|known| known == of_part) =>
                    {
                        attribute = Some(of_part);
                        values.extend(some);
                    }
                    _ => return None,
                }
            }
            (attribute?, Says::Among(values))
        }
        _ => return None,
    };
    Some(Claim { attribute, span: node.span, says })
}

fn says(test: Test, constant: &Value<'static>, wanted: bool) -> Option<Says> {
    let among = |values: Vec<Value<'static>>, wanted| match wanted {
        true => Says::Among(values),
        false => Says::NotAmong(values),
    };
    Some(match (test, constant) {
        (Test::Comparison(Comparison::Equal), constant) => among(vec![constant.clone()], wanted),
        (Test::Comparison(Comparison::NotEqual), constant) => among(vec![constant.clone()], !wanted),
        (Test::Comparison(Comparison::In), Value::List(elements)) => among(elements.to_vec(), wanted),
        (Test::Comparison(Comparison::In), _) => return None,
        // Of a double that is no number neither side is true; it is not worth a difference here.
        (Test::Comparison(order), constant) if wanted => Says::Order(order, constant.clone()),
        (Test::Comparison(order), constant) => Says::Order(contrary(order), constant.clone()),
        (test, constant) => Says::Text(test, constant.clone(), wanted),
    })
}

fn contrary(order: Comparison) -> Comparison {
    match order {
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Greater => Comparison::LessOrEqual,
        _ => Comparison::Less,
    }
}

impl Claim {
    /// Whether it asks for a value to be another than some.
    pub(super) fn is_negative(&self) -> bool {
        matches!(self.says, Says::NotAmong(_) | Says::Text(_, _, false))
    }

    /// Whether it is true if the attribute has this value.
    pub(super) fn holds(&self, value: &Value<'_>) -> bool {
        match &self.says {
            Says::Present => true,
            Says::Absent => false,
            Says::Among(values) => values.iter().any(|one| one.equals(value)),
            Says::NotAmong(values) => !values.iter().any(|one| one.equals(value)),
            Says::Order(order, bound) => ask(Test::Comparison(*order), value, bound) == Ok(true),
            Says::Text(test, part, wanted) => ask(*test, value, part) == Ok(*wanted),
        }
    }

    /// Whether another claim on the same attribute must be true where this one is.
    pub(super) fn implies(&self, other: &Claim) -> bool {
        if self.attribute != other.attribute {
            return false;
        }
        match (&self.says, &other.says) {
            (Says::Absent, Says::Absent) => true,
            (Says::Absent, _) | (_, Says::Absent) => false,
            (_, Says::Present) => true,
            (Says::Present, _) => false,
            (Says::Among(values), _) => values.iter().all(|value| other.holds(value)),
            (_, Says::NotAmong(values)) => !values.iter().any(|value| self.holds(value)),
            (Says::Order(order, bound), Says::Order(other_order, other_bound)) => {
                let is_lower = |order| matches!(order, Comparison::Greater | Comparison::GreaterOrEqual);
                let is_strict = |order| matches!(order, Comparison::Greater | Comparison::Less);
                let compared = bound.order(other_bound).flatten();
                is_lower(*order) == is_lower(*other_order)
                    && match compared {
                        Some(Ordering::Equal) => is_strict(*order) || !is_strict(*other_order),
                        Some(Ordering::Greater) => is_lower(*order),
                        Some(Ordering::Less) => !is_lower(*order),
                        None => false,
                    }
            }
            (Says::Text(test, part, true), Says::Text(other_test, other_part, true)) => {
                text_implies((*test, part), (*other_test, other_part))
            }
            (Says::Text(test, part, false), Says::Text(other_test, other_part, false)) => {
                text_implies((*other_test, other_part), (*test, part))
            }
            _ => false,
        }
    }

    /// Whether this and another claim are never true together, for a reason that the two alone give.
    fn excludes(&self, other: &Claim) -> bool {
        match (&self.says, &other.says) {
            (Says::Absent, Says::Absent) => false,
            (Says::Absent, _) | (_, Says::Absent) => true,
            (Says::Among(values), _) => !values.iter().any(|value| other.holds(value)),
            (_, Says::Among(values)) => !values.iter().any(|value| self.holds(value)),
            (Says::Order(order, bound), Says::Order(other_order, other_bound)) => {
                let beyond =
                    Claim { says: Says::Order(contrary(*other_order), other_bound.clone()), ..self.clone() };
                // On the other side of the bound, and the bound itself is not allowed by both.
                bound.order(other_bound).flatten().is_some()
                    && order_differs(*order, *other_order)
                    && self.implies(&beyond)
            }
            (
                Says::Text(Test::StartsWith, Value::String(one), true),
                Says::Text(Test::StartsWith, Value::String(two), true),
            ) => !one.starts_with(&**two) && !two.starts_with(&**one),
            (
                Says::Text(Test::EndsWith, Value::String(one), true),
                Says::Text(Test::EndsWith, Value::String(two), true),
            ) => !one.ends_with(&**two) && !two.ends_with(&**one),
            (Says::Text(test, part, wanted), Says::Text(other_test, other_part, other_wanted)) => {
                match (wanted, other_wanted) {
                    (true, false) => text_implies((*test, part), (*other_test, other_part)),
                    (false, true) => text_implies((*other_test, other_part), (*test, part)),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

fn order_differs(one: Comparison, other: Comparison) -> bool {
    let is_lower = |order| matches!(order, Comparison::Greater | Comparison::GreaterOrEqual);
    is_lower(one) != is_lower(other)
}

/// Whether a text of which the first question is answered with yes has that answer to the second.
fn text_implies((test, part): (Test, &Value<'_>), (other_test, other_part): (Test, &Value<'_>)) -> bool {
    (test == other_test || other_test == Test::Contains) && ask(other_test, part, other_part) == Ok(true)
}

/// Two claims of a conjunction that are never true together. For one that contradicts several others, the first of
/// them is named.
pub(super) fn conflict(claims: &[Claim]) -> Option<(Span, Span)> {
    for (position, claim) in claims.iter().enumerate() {
        let of_attribute = || claims.iter().filter(|other| other.attribute == claim.attribute);
        if claims.iter().take(position).any(|earlier| earlier.attribute == claim.attribute) {
            continue;
        }
        // What is left of a choice of values when each claim took away what it excludes.
        if let Some(choice) = of_attribute().find(|one| matches!(one.says, Says::Among(_)))
            && let Says::Among(values) = &choice.says
        {
            let mut left: Vec<&Value<'_>> = values.iter().collect();
            for other in of_attribute() {
                left.retain(|value| other.holds(value));
                if left.is_empty() {
                    return Some((choice.span, other.span));
                }
            }
        }
        for (place, one) in of_attribute().enumerate() {
            if let Some(other) = of_attribute().skip(place + 1).find(|other| one.excludes(other)) {
                return Some((one.span, other.span));
            }
        }
    }
    None
}

/// The tokens of a part of a source, the same for parts that differ in spaces, comments and quotes alone.
fn tokens(source: &str, span: Span) -> String {
    let text = source.get(span.range()).unwrap_or("");
    match lex(text) {
        Ok(tokens) => tokens.iter().map(|token| format!("{:?} ", token.kind)).collect(),
        Err(_) => text.into(),
    }
}
