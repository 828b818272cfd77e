//! Texts written out in a rule that cannot be what a function makes of them: these are errors, since the rule would
//! fail for every request.

use crate::ast::{Expression, ExpressionKind, Span};
use crate::budget::Budget;
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Callee, Environment};
use crate::error::ErrorKind;
use crate::functions::{self, Pattern};
use crate::value::Value;

/// Functions of one text that not every text suits.
const CONVERSIONS: [&str; 9] =
    ["timestamp", "duration", "ip", "cidr", "int", "uint", "double", "bool", "matches"];

/// The errors of constant texts in an expression.
pub(crate) fn invalid(environment: &Environment, source: &str, root: &Expression) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    visit(environment, source, root, &mut found);
    found
}

fn visit(environment: &Environment, source: &str, expression: &Expression, found: &mut Vec<Diagnostic>) {
    if let ExpressionKind::Call { function, target, arguments } = &expression.kind
        && CONVERSIONS.contains(&&**function)
        && let Some((Callee::Library(overloads), _)) =
            environment.callee(function, target.as_deref(), [].into_iter())
        && let [argument] = arguments.as_slice()
        && let ExpressionKind::Literal(value @ Value::String(text)) = &argument.kind
    {
        if &**function == "matches" {
            found.extend(
                Pattern::compile(text)
                    .err()
                    .map(|reason| invalid_pattern(source, argument.span, text, &reason)),
            );
        } else if target.is_none()
            && let Err(ErrorKind::Invalid(reason)) =
                functions::call(overloads, &mut Budget::new(), std::slice::from_ref(value))
        {
            let error = Diagnostic::new(Code::InvalidConstant, inside(source, argument.span), reason);
            found.push(error.with_help(example(function)));
        }
    }
    expression.kind.children(&mut |child| visit(environment, source, child, found));
}

/// What a function takes.
fn example(function: &str) -> &'static str {
    match function {
        "timestamp" => "write date, time and zone, as in 2026-11-21T09:30:00Z or 2026-11-21T10:30:00+01:00",
        "duration" => "write numbers with units (h, m, s, ms), as in 1h30m or 0.5s",
        "ip" => "write an address without a port, as in 10.0.0.1 or 2001:db8::1",
        "cidr" => "write an address and the length of its prefix, as in 10.0.0.0/8",
        "bool" => "write true or false",
        "double" => "write a number such as 0.75",
        _ => "write digits alone, as in 75",
    }
}

/// What stands between the quotes of a literal.
fn inside(source: &str, literal: Span) -> Span {
    let text = source.get(literal.range()).unwrap_or("");
    let before = text.find(['"', '\'']).map_or(0, |quote| quote + 1);
    if text.len() <= before + 1 {
        return literal;
    }
    Span::new(literal.start as usize + before, literal.end as usize - 1)
}

fn invalid_pattern(source: &str, literal: Span, pattern: &str, reason: &str) -> Diagnostic {
    let (place, message, help) = foreign_pattern(pattern).unwrap_or_else(|| {
        (0..pattern.len(), short(reason), "see https://github.com/google/re2/wiki/Syntax".to_owned())
    });
    let inside = inside(source, literal);
    // What has no escapes stands in the source as it is.
    let span = match source.get(inside.range()) {
        Some(text) if text == pattern => {
            inside.start as usize + place.start..inside.start as usize + place.end
        }
        _ => inside.range(),
    };
    Diagnostic::new(Code::InvalidPattern, span, message).with_help(help)
}

/// What other kinds of regular expressions have and this one does not, since it would not take linear time.
fn foreign_pattern(pattern: &str) -> Option<(std::ops::Range<usize>, String, String)> {
    let bytes = pattern.as_bytes();
    let mut at = 0;
    let mut in_class = false;
    while let Some(byte) = bytes.get(at) {
        let rest = pattern.get(at..).unwrap_or("");
        match byte {
            b'\\' => {
                if !in_class && matches!(bytes.get(at + 1), Some(b'1'..=b'9')) {
                    let message = "a pattern cannot refer back to what a group matched";
                    let help = "back-references take exponential time on some texts; compare the parts outside of the pattern";
                    return Some((at..at + 2, message.to_owned(), help.to_owned()));
                }
                at += 1;
            }
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => {
                let around = [("(?<=", "behind"), ("(?<!", "behind"), ("(?=", "ahead"), ("(?!", "ahead")];
                if let Some((opening, side)) =
                    around.into_iter().find(|(opening, _)| rest.starts_with(opening))
                {
                    let message = format!("a pattern cannot look {side}");
                    let help = "look-around would not take linear time; use two conditions, as in \
                                a.matches(\"^gpt-\") && !a.contains(\"mini\")";
                    return Some((at..at + opening.len(), message, help.to_owned()));
                }
                if rest.starts_with("(?>") {
                    let help = "matching never goes back here, so a plain group does the same";
                    return Some((at..at + 3, "there are no atomic groups".to_owned(), help.to_owned()));
                }
            }
            b'*' | b'+' | b'?' | b'}'
                if !in_class && rest.get(1..).is_some_and(|rest| rest.starts_with('+')) =>
            {
                let help = "matching never goes back here, so the `+` after it can be left out";
                return Some((at..at + 2, "there are no possessive repetitions".to_owned(), help.to_owned()));
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The last line of a reason of several, which says what is wrong.
fn short(reason: &str) -> String {
    let line = reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(reason);
    format!("this is no regular expression: {}", line.trim().trim_start_matches("error: "))
}
