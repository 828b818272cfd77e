//! Texts written out in a rule that cannot be what a function makes of them: these are errors, since the rule would
//! fail for every request.

use crate::ast::{Expression, ExpressionKind, Span};
use crate::budget::Budget;
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Callee, Environment};
use crate::error::ErrorKind;
use crate::functions::{self, Pattern, PatternError};
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
                Pattern::compile(text).err().map(|error| invalid_pattern(source, argument.span, text, error)),
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

/// The finding of a pattern, with the part of it that is wrong where that stands in the source as it is: where no escape
/// comes before it.
fn invalid_pattern(source: &str, literal: Span, pattern: &str, error: PatternError) -> Diagnostic {
    let inside = inside(source, literal);
    let is_verbatim = source.get(inside.range()) == Some(pattern);
    let span = match is_verbatim {
        true => inside.start as usize + error.span.start..inside.start as usize + error.span.end,
        false => inside.range(),
    };
    let (message, help) = match error.message.split_once("; ") {
        Some((message, help)) => (message.to_owned(), help.to_owned()),
        None => (error.message, "see https://github.com/google/re2/wiki/Syntax".to_owned()),
    };
    Diagnostic::new(Code::InvalidPattern, span, message).with_help(help)
}
