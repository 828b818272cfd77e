//! What is said about operands that do not suit their operator.

use super::Checker;
use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Unary};
use crate::diagnostic::{Code, Diagnostic};
use crate::types::{CIDR, IP, Type};
use crate::value::Value;

impl Checker<'_> {
    #[cold]
    pub(super) fn wrong_position(&self, list: &Expression, key: &Expression, found: &Type) -> Diagnostic {
        let message = format!("the elements of a list are numbered from 0; this is {}", self.a(found));
        let error = Diagnostic::new(Code::TypeMismatch, key.span, message);
        match found {
            Type::String => error.with_help(format!("write {} in {}", self.text(key), self.text(list))),
            _ => error.with_help("write a whole number"),
        }
    }

    #[cold]
    pub(super) fn different_outcomes(
        &self,
        (yes, yes_type): (&Expression, &Type),
        (no, no_type): (&Expression, &Type),
    ) -> Diagnostic {
        let span = yes.span.to(no.span);
        Diagnostic::new(Code::TypeMismatch, span, "the two outcomes of a choice must be of one type")
            .with_label(yes.span, format!("this is {}", self.a(yes_type)))
            .with_label(no.span, format!("this is {}", self.a(no_type)))
            .with_help("write both alike, or wrap one in dyn() if they are meant to differ")
    }

    /// `context` is what wants a condition, as "`&&` joins".
    #[cold]
    pub(super) fn not_a_condition(
        &self,
        expression: &Expression,
        found: &Type,
        context: &str,
        before: Option<&Expression>,
    ) -> Diagnostic {
        let message = format!("{context} conditions, which are true or false; this is {}", self.a(found));
        let error = Diagnostic::new(Code::NotACondition, expression.span, message);
        let text = self.text(expression);
        if let Some(ExpressionKind::Binary { operator: Binary::Comparison(comparison), left, right }) =
            before.map(|before| &before.kind)
            && matches!(expression.kind, ExpressionKind::Literal(_))
        {
            let (left, right, symbol) =
                (self.text(left), self.text(right), Binary::Comparison(*comparison).symbol());
            let list = match comparison {
                Comparison::Equal => format!(", or list the values: {left} in [{right}, {text}]"),
                _ => String::new(),
            };
            return error.with_help(format!("repeat the comparison: {left} {symbol} {text}{list}"));
        }
        error.with_help(match found {
            Type::String => format!("compare it, as in {text} == \"…\""),
            Type::List(_) | Type::Map(..) | Type::Bytes => {
                format!("ask for its size, as in size({text}) > 0")
            }
            number if number.is_number() => format!("compare it, as in {text} > 0"),
            optional if optional.optional_value().is_some() => {
                format!("write {text}.hasValue() or {text}.orValue(…)")
            }
            _ => format!("compare it, as in {text} == …"),
        })
    }

    #[cold]
    pub(super) fn not_negatable(
        &self,
        expression: &Expression,
        operator: Unary,
        operand: &Expression,
        found: &Type,
    ) -> Diagnostic {
        let text = self.text(operand);
        let this = format!("this is {}", self.a(found));
        match operator {
            Unary::Not => Diagnostic::new(
                Code::NotACondition,
                expression.span,
                format!("`{}` stands before conditions, which are true or false", operator.symbol()),
            )
            .with_label(operand.span, this)
            .with_help(match found {
                Type::List(_) | Type::Map(..) => format!("write size({text}) == 0"),
                Type::String => {
                    format!("compare with `!=`, as in {text} != \"…\", or negate a whole comparison: !(…)")
                }
                _ => "compare with `!=`, or negate a whole comparison: !(…)".to_owned(),
            }),
            Unary::Negate => Diagnostic::new(
                Code::TypeMismatch,
                expression.span,
                format!("`{}` stands before numbers", operator.symbol()),
            )
            .with_label(operand.span, this),
        }
    }

    #[cold]
    pub(super) fn mismatch(
        &self,
        expression: &Expression,
        operator: Binary,
        (left, left_type): (&Expression, &Type),
        (right, right_type): (&Expression, &Type),
    ) -> Diagnostic {
        if let Some(help) = self.chained(operator, left, right) {
            return Diagnostic::new(Code::TypeMismatch, expression.span, "comparisons do not chain")
                .with_label(left.span, "this is true or false")
                .with_help(help);
        }
        let (a, b) = (self.a(left_type), self.a(right_type));
        let message = match operator {
            Binary::Comparison(Comparison::In) => match right_type {
                Type::List(_) | Type::Map(..) => format!("{a} is never in {b}"),
                _ => format!("`in` looks in lists and maps, not in {b}"),
            },
            Binary::Comparison(Comparison::Equal | Comparison::NotEqual) => format!("{a} never equals {b}"),
            Binary::Comparison(_) if left_type == right_type => {
                format!("`{}` cannot compare {a} with another", operator.symbol())
            }
            Binary::Comparison(_) => format!("`{}` cannot compare {a} with {b}", operator.symbol()),
            Binary::Arithmetic(_) => format!("`{}` cannot compute with {a} and {b}", operator.symbol()),
        };
        let help = self.mismatch_help(operator, (left, left_type), (right, right_type));
        let error = Diagnostic::new(Code::TypeMismatch, expression.span, message)
            .with_label(left.span, format!("this is {a}"))
            .with_label(right.span, format!("this is {b}"));
        Diagnostic { help, ..error }
    }

    /// How to write `a < b < c`.
    fn chained(&self, operator: Binary, left: &Expression, right: &Expression) -> Option<String> {
        let (Binary::Comparison(_), ExpressionKind::Binary { operator: inner, left: first, right: middle }) =
            (operator, &left.kind)
        else {
            return None;
        };
        let [first, middle, right] = [first, middle, right].map(|part| self.text(part));
        matches!(inner, Binary::Comparison(_)).then(|| {
            format!("write {first} {} {middle} && {middle} {} {right}", inner.symbol(), operator.symbol())
        })
    }

    /// What the author of `left operator right` probably meant.
    fn mismatch_help(
        &self,
        operator: Binary,
        (left, left_type): (&Expression, &Type),
        (right, right_type): (&Expression, &Type),
    ) -> Option<String> {
        let symbol = operator.symbol();
        let (l, r) = (self.text(left), self.text(right));
        match (operator, left_type, right_type) {
            (Binary::Comparison(Comparison::In), Type::String, Type::String) => {
                let items = match &right.kind {
                    ExpressionKind::Literal(Value::String(text)) if text.contains(',') => text
                        .split(',')
                        .map(|item| format!("\"{}\"", item.trim()))
                        .collect::<Vec<_>>()
                        .join(", "),
                    _ => return Some(format!("a part of a text is looked for so: {r}.contains({l})")),
                };
                return Some(format!("write a list: {l} in [{items}]"));
            }
            (Binary::Comparison(Comparison::Equal), _, Type::List(_)) => {
                return Some(format!("write {l} in {r}"));
            }
            (Binary::Comparison(Comparison::NotEqual), _, Type::List(_)) => {
                return Some(format!("write !({l} in {r})"));
            }
            _ => {}
        }
        let sides = [((left, left_type), (right, right_type)), ((right, right_type), (left, left_type))];
        sides.into_iter().find_map(|((one, of_one), (other, of_other))| {
            let written = self.converted(operator, (one, of_one), (other, of_other))?;
            Some(match written {
                Written::Whole(help) => help,
                Written::Operand(new) if std::ptr::eq(one, left) => format!("write {new} {symbol} {r}"),
                Written::Operand(new) => format!("write {l} {symbol} {new}"),
            })
        })
    }

    /// How to write `one`, or the whole, so that it suits `other`.
    fn converted(
        &self,
        operator: Binary,
        (one, of_one): (&Expression, &Type),
        (other, of_other): (&Expression, &Type),
    ) -> Option<Written> {
        use Written::{Operand, Whole};
        let (text, other_text) = (self.text(one), self.text(other));
        let compares = matches!(operator, Binary::Comparison(_));
        Some(match (&one.kind, of_one, of_other) {
            (ExpressionKind::Literal(Value::String(literal)), _, Type::Bool) if compares => {
                match &**literal {
                    "true" => Whole(format!("write {other_text} alone: it is true or false")),
                    "false" => Whole(format!("write !{other_text}: it is true or false")),
                    _ => return None,
                }
            }
            (ExpressionKind::Literal(Value::Int(_)), _, Type::Bool) if compares => {
                Whole(format!("write {other_text} alone, or !{other_text} for the contrary"))
            }
            (ExpressionKind::Literal(Value::String(literal)), _, number) if number.is_number() => {
                match literal.parse::<f64>() {
                    Ok(_) => Operand(literal.to_string()),
                    Err(_) if literal.trim_end_matches('%').parse::<f64>().is_ok() => {
                        Operand(literal.trim_end_matches('%').to_owned())
                    }
                    Err(_) => Whole(format!("compare {other_text} with a number")),
                }
            }
            (_, Type::String, number) if number.is_number() => {
                let numeric = Operand(format!("{number}({text})"));
                match (operator, &other.kind, numeric) {
                    (
                        Binary::Comparison(Comparison::Equal | Comparison::NotEqual),
                        ExpressionKind::Literal(_),
                        Operand(new),
                    ) => Whole(format!(
                        "write {new} {} {other_text} to compare numbers, or \"{other_text}\" to compare texts",
                        operator.symbol()
                    )),
                    (Binary::Comparison(_), _, numeric) => numeric,
                    _ => Whole(format!(
                        "write string({other_text}) to join texts, or {number}({text}) to compute"
                    )),
                }
            }
            (ExpressionKind::Literal(Value::Int(number)), _, Type::Double) => Operand(format!("{number}.0")),
            (ExpressionKind::Literal(Value::Int(number)), _, Type::Uint) if *number >= 0 => {
                Operand(format!("{number}u"))
            }
            (ExpressionKind::Literal(Value::Double(number)), _, Type::Int) if number.fract() == 0.0 => {
                Operand(format!("{number}"))
            }
            (_, Type::Int | Type::Uint, Type::Double) => Operand(format!("double({text})")),
            (_, Type::Uint, Type::Int) => Operand(format!("int({text})")),
            (_, Type::Null, _) if compares => match &other.kind {
                ExpressionKind::Index { operand, key, .. } => {
                    let (map, key) = (self.text(operand), self.text(key));
                    Whole(match operator {
                        Binary::Comparison(Comparison::Equal) => {
                            format!("ask whether it is absent: !({key} in {map})")
                        }
                        _ => format!("ask whether it is there: {key} in {map}"),
                    })
                }
                _ => match of_other {
                    Type::String => Operand("\"\"".to_owned()),
                    _ => Whole(format!("{other_text} always has a value: leave the comparison out")),
                },
            },
            (ExpressionKind::Literal(Value::String(_)), _, Type::Timestamp) => {
                Operand(format!("timestamp({text})"))
            }
            (ExpressionKind::Literal(Value::String(_)), _, Type::Duration) => {
                Operand(format!("duration({text})"))
            }
            (ExpressionKind::Literal(Value::Int(number)), _, Type::Duration) => {
                Operand(format!("duration(\"{number}s\")"))
            }
            (_, Type::String, Type::Opaque(name, _)) if **name == *IP => Operand(format!("ip({text})")),
            (_, Type::String, Type::Opaque(name, _)) if **name == *CIDR => {
                Whole(format!("write {other_text}.containsIP({text})"))
            }
            _ => return None,
        })
    }
}

/// What to write instead.
enum Written {
    /// Of one operand.
    Operand(String),
    /// A whole sentence.
    Whole(String),
}
