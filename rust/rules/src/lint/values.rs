//! Comparisons with values that a variable never has, and of numbers as text.

use super::claims::claim;
use super::{Names, Subject};
use crate::ast::Comparison;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::environment::Known;
use crate::program::{Node, Operation, Test};
use crate::value::Value;

pub(super) fn impossible(subject: &Subject<'_>, names: Names<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    walk(&subject.condition, &mut |node| {
        found.extend(text_order(node, names));
        found.extend(never_has(node, names));
    });
    found
}

fn walk(node: &Node, visit: &mut dyn FnMut(&Node)) {
    visit(node);
    node.operation.children(&mut |child| walk(child, visit));
}

/// `headers["x-count"] > "9"`, which "10" is not.
fn text_order(node: &Node, names: Names<'_>) -> Option<Diagnostic> {
    let Operation::AttributeTest {
        test: Test::Comparison(order),
        attribute,
        constant: Value::String(text),
        if_absent,
        ..
    } = &node.operation
    else {
        return None;
    };
    let is_order = !matches!(order, Comparison::Equal | Comparison::NotEqual | Comparison::In);
    if !is_order || text.parse::<f64>().is_err() {
        return None;
    }
    let name = match if_absent {
        Some(_) => names.written_or(*attribute, "0"),
        None => names.written(*attribute),
    };
    let conversion = if text.contains('.') { "double" } else { "int" };
    let message = "this compares texts letter by letter: \"10\" comes before \"9\"";
    Some(
        Diagnostic::new(Code::TextOrder, node.span, message)
            .with_help(format!("compare numbers: {conversion}({name}) and {} without quotes", &**text)),
    )
}

fn never_has(node: &Node, names: Names<'_>) -> Option<Diagnostic> {
    let Operation::AttributeTest { test, attribute, constant, .. } = &node.operation else { return None };
    let of_attribute = names.attribute(*attribute)?;
    let variable =
        names.environment.variable(of_attribute.variable).filter(|_| of_attribute.key.is_none())?;
    let known = variable.known?;
    let values = match (test, constant) {
        (Test::Comparison(Comparison::In), Value::List(elements)) => elements.to_vec(),
        _ => vec![constant.clone()],
    };
    let name = &variable.name;
    let error = |message: String| Diagnostic::new(Code::ImpossibleValue, node.span, message);
    match known {
        Known::OneOf(possible) => {
            let is_equality =
                matches!(test, Test::Comparison(Comparison::Equal | Comparison::NotEqual | Comparison::In));
            let wrong = values.iter().find_map(|value| match value {
                Value::String(text) if !possible.contains(&&**text) => Some(&**text),
                _ => None,
            });
            let wanted = claim(node, true)?;
            match wrong {
                Some(text) if is_equality => Some(
                    error(format!("`{name}` is never \"{text}\"")).with_help(
                        match nearest(text, possible.iter().copied())
                            .or_else(|| possible.iter().copied().find(|one| one.starts_with(text)))
                        {
                            Some(near) => format!("did you mean \"{near}\"?"),
                            None => format!("it is one of {}", possible.join(", ")),
                        },
                    ),
                ),
                _ if possible.iter().any(|one| wanted.holds(&Value::from(*one))) => None,
                _ => Some(
                    error(format!("this holds for no value of `{name}`"))
                        .with_help(format!("it is one of {}", possible.join(", "))),
                ),
            }
        }
        Known::BeginsWith(prefix) => {
            let fits = |text: &str| {
                text.starts_with(prefix) || (*test == Test::StartsWith && prefix.starts_with(text))
            };
            let wrong = values.iter().find_map(|value| match value {
                Value::String(text) if !fits(text) => Some(&**text),
                _ => None,
            });
            let text = wrong.filter(|_| !matches!(test, Test::EndsWith | Test::Contains))?;
            Some(
                error(format!("`{name}` always begins with {prefix}"))
                    .with_help(format!("write \"{prefix}{text}\"")),
            )
        }
        Known::AtLeast(least) => {
            let number = match values.as_slice() {
                [Value::Int(number)] => *number as f64,
                [Value::Uint(number)] => *number as f64,
                [Value::Double(number)] => *number,
                _ => return None,
            };
            let message = match test {
                Test::Comparison(Comparison::Less) if number <= least => "this never holds",
                Test::Comparison(Comparison::LessOrEqual | Comparison::Equal) if number < least => {
                    "this never holds"
                }
                Test::Comparison(Comparison::GreaterOrEqual) if number <= least => "this always holds",
                Test::Comparison(Comparison::Greater | Comparison::NotEqual) if number < least => {
                    "this always holds"
                }
                _ => return None,
            };
            Some(
                error(format!("{message}: `{name}` is never less than {least}"))
                    .with_help("change the number, or leave the comparison out"),
            )
        }
        Known::Keys(_) | Known::Fields(_) => None,
    }
}
