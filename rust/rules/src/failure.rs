//! Whether an expression can fail on some request: what is read may be absent, what is computed may not fit. It errs on
//! the side of "yes".

use crate::ast::{Arithmetic, Binary, Comparison, Expression, ExpressionKind, Logic, Span, Unary};
use crate::check::Types;
use crate::checked::Checked;
use crate::environment::{Callee, Environment, Name};
use crate::functions::Pattern;
use crate::types::Type;
use crate::value::Value;

/// The first part of a checked expression that can fail, if there is one.
pub(crate) fn first_failure(environment: &Environment, types: &Types, root: &Expression) -> Option<Span> {
    Search { environment, types, locals: Vec::new(), present: Vec::new() }.expression(root)
}

/// Functions that give a result for all arguments of the types that they are declared for, however long.
const TOTAL: [&str; 21] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "trim",
    "type",
    "dyn",
    "hasValue",
    "orValue",
    "or",
    "optional.of",
    "optional.none",
    "optional.ofNonZeroValue",
    "isIP",
    "isCIDR",
    "sets.contains",
    "sets.intersects",
    "sets.equivalent",
    "math.isNaN",
    "math.isInf",
    "math.isFinite",
];

struct Search<'s> {
    environment: &'s Environment,
    types: &'s Types,
    locals: Vec<&'s str>,
    /// Entries of variables that are there, or the part at hand decides nothing.
    present: Vec<(usize, &'s str)>,
}

impl<'s> Search<'s> {
    fn expression(&mut self, expression: &'s Expression) -> Option<Span> {
        let own = Some(expression.span);
        match &expression.kind {
            ExpressionKind::Literal(_) => None,
            ExpressionKind::Variable { .. } => self.named(expression),
            ExpressionKind::Select { operand, field, optional } => {
                if self.name(expression).is_some() {
                    return self.named(expression);
                }
                self.read(expression, operand, Some(field), *optional)
            }
            ExpressionKind::Index { operand, key, optional } => {
                let failure = self.expression(key);
                failure.or_else(|| self.read(expression, operand, text_of(key), *optional))
            }
            ExpressionKind::Has { operand, .. } => match self.type_of(operand) {
                Type::Map(..) => self.expression(operand),
                _ => own,
            },
            ExpressionKind::Map(entries) if entries.iter().any(|entry| text_of(&entry.key).is_none()) => own,
            ExpressionKind::List(_) | ExpressionKind::Map(_) => self.children(expression),
            ExpressionKind::Call { function, target, arguments } => {
                let failure = self.children(expression);
                failure.or_else(|| self.call(expression, function, target.as_deref(), arguments))
            }
            ExpressionKind::Unary { operator: Unary::Not, operand } => self.condition(operand),
            ExpressionKind::Unary { operator: Unary::Negate, operand } => match self.type_of(operand) {
                Type::Double => self.expression(operand),
                _ => own,
            },
            ExpressionKind::Binary { operator, left, right } => {
                let failure = self.expression(left).or_else(|| self.expression(right));
                let defined = match operator {
                    Binary::Comparison(Comparison::Equal | Comparison::NotEqual) => true,
                    Binary::Comparison(Comparison::In) => {
                        matches!(self.type_of(right), Type::List(_) | Type::Map(..))
                    }
                    Binary::Comparison(_) => {
                        *self.type_of(left) != Type::Dyn && *self.type_of(right) != Type::Dyn
                    }
                    Binary::Arithmetic(operator) => {
                        *self.type_of(expression) == Type::Double && *operator != Arithmetic::Remainder
                    }
                };
                failure.or(if defined { None } else { own })
            }
            ExpressionKind::Sum(_) => match self.type_of(expression) {
                Type::Double | Type::String | Type::Bytes | Type::List(_) => self.children(expression),
                _ => own,
            },
            ExpressionKind::Logic { operator, terms } => {
                // A term that decides makes up for terms that fail: `has(a.b) && a.b == c` does not.
                let decided_by_absence = *operator == Logic::And;
                self.knowing(
                    |search| terms.iter().for_each(|term| search.learn(term, decided_by_absence)),
                    |search| terms.iter().find_map(|term| search.condition(term)),
                )
            }
            ExpressionKind::Conditional { condition, yes, no } => {
                let failure = self.condition(condition);
                let failure = failure.or_else(|| {
                    self.knowing(|search| search.learn(condition, true), |search| search.expression(yes))
                });
                failure.or_else(|| {
                    self.knowing(|search| search.learn(condition, false), |search| search.expression(no))
                })
            }
            // The length of what a request holds may take more steps than there are.
            ExpressionKind::Comprehension(comprehension) => match &comprehension.range.kind {
                ExpressionKind::List(_) | ExpressionKind::Map(_) => {
                    let locals = comprehension.variables.iter().map(|name| &**name).collect();
                    self.within(locals, |search| search.children(expression))
                }
                _ => own,
            },
            ExpressionKind::Bind { variable, value, body } => {
                let failure = self.expression(value);
                failure.or_else(|| self.within(vec![variable], |search| search.expression(body)))
            }
            ExpressionKind::OptionalMap { operand, variable, body, .. } => {
                let failure = self.expression(operand);
                failure.or_else(|| self.within(vec![variable], |search| search.expression(body)))
            }
        }
    }

    /// As [`Self::expression`]; a value that may not be a bool fails too.
    fn condition(&mut self, expression: &'s Expression) -> Option<Span> {
        let failure = self.expression(expression);
        failure.or(if *self.type_of(expression) == Type::Bool { None } else { Some(expression.span) })
    }

    fn children(&mut self, expression: &'s Expression) -> Option<Span> {
        let mut found = None;
        expression.kind.children(&mut |child| {
            if found.is_none() {
                found = self.expression(child);
            }
        });
        found
    }

    fn type_of(&self, expression: &Expression) -> &'s Type {
        self.types.of(expression)
    }

    fn name(&self, expression: &Expression) -> Option<Name> {
        self.environment.resolve(expression, self.locals.iter().copied())
    }

    fn named(&self, expression: &Expression) -> Option<Span> {
        let definition = match self.name(expression) {
            Some(Name::Definition(index)) => self.environment.definition(index)?,
            Some(_) => return None,
            None => return Some(expression.span),
        };
        let Checked { root, types, .. } = &*definition.expression;
        first_failure(self.environment, types, root).map(|_| expression.span)
    }

    /// `operand[key]`, where `key` is the text it is if it is constant.
    fn read(
        &mut self,
        expression: &Expression,
        operand: &'s Expression,
        key: Option<&str>,
        optional: bool,
    ) -> Option<Span> {
        if let Some(failure) = self.expression(operand) {
            return Some(failure);
        }
        let container = self.type_of(operand);
        if optional || container.optional_value().is_some() {
            return if *container == Type::Dyn { Some(expression.span) } else { None };
        }
        let is_present = match (self.name(operand), key) {
            (Some(Name::Variable(variable)), Some(key)) => {
                self.present.iter().any(|(known, name)| *known == variable && name.eq_ignore_ascii_case(key))
            }
            _ => false,
        };
        if is_present { None } else { Some(expression.span) }
    }

    fn call(
        &self,
        expression: &Expression,
        function: &str,
        target: Option<&'s Expression>,
        arguments: &'s [Expression],
    ) -> Option<Span> {
        let own = Some(expression.span);
        let Some((callee, is_argument)) =
            self.environment.callee(function, target, self.locals.iter().copied())
        else {
            return own;
        };
        if let Callee::Keyed(_) = callee {
            return None;
        }
        let mut given = target.filter(|_| is_argument).into_iter().chain(arguments);
        let name = match target.and_then(Expression::qualified_name) {
            Some(namespace) if !is_argument => format!("{namespace}.{function}"),
            _ => function.to_owned(),
        };
        let known = |argument: &Expression| *self.type_of(argument) != Type::Dyn;
        let total = match (&*name, arguments) {
            ("matches", [pattern]) => text_of(pattern).is_some_and(|text| Pattern::compile(text).is_ok()),
            ("string", [value]) => *self.type_of(value) != Type::Bytes,
            ("double", [value]) => *self.type_of(value) != Type::String,
            ("type" | "dyn" | "optional.of", _) => return None,
            _ => TOTAL.contains(&&*name),
        };
        if total && given.all(known) { None } else { own }
    }

    /// Remembers which entries are there if a condition is `truth`.
    fn learn(&mut self, condition: &'s Expression, truth: bool) {
        let entry = match &condition.kind {
            ExpressionKind::Unary { operator: Unary::Not, operand } => return self.learn(operand, !truth),
            ExpressionKind::Logic { operator, terms } if (*operator == Logic::And) == truth => {
                return terms.iter().for_each(|term| self.learn(term, truth));
            }
            ExpressionKind::Has { operand, field } if truth => Some((operand, &**field)),
            ExpressionKind::Binary { operator: Binary::Comparison(Comparison::In), left, right } if truth => {
                text_of(left).map(|key| (right, key))
            }
            _ => None,
        };
        if let Some((operand, key)) = entry
            && let Some(Name::Variable(variable)) = self.name(operand)
        {
            self.present.push((variable, key));
        }
    }

    /// Searches with more that is known to be there.
    fn knowing(
        &mut self,
        learn: impl FnOnce(&mut Self),
        search: impl FnOnce(&mut Self) -> Option<Span>,
    ) -> Option<Span> {
        let before = self.present.len();
        learn(self);
        let found = search(self);
        self.present.truncate(before);
        found
    }

    /// Searches with further local variables.
    fn within(
        &mut self,
        locals: Vec<&'s str>,
        search: impl FnOnce(&mut Self) -> Option<Span>,
    ) -> Option<Span> {
        let before = self.locals.len();
        self.locals.extend(locals);
        let found = search(self);
        self.locals.truncate(before);
        found
    }
}

fn text_of(expression: &Expression) -> Option<&str> {
    match &expression.kind {
        ExpressionKind::Literal(Value::String(text)) => Some(text),
        _ => None,
    }
}
