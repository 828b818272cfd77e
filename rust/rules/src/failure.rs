//! Whether an expression can fail on some request: what is read may be absent, what is computed may not fit, and texts
//! may be longer than an evaluation reads. It errs on the side of "yes".

use crate::ast::{Arithmetic, Binary, Comparison, Expression, ExpressionKind, Logic, Span, Unary};
use crate::budget::{ELEMENT, MAXIMUM_BYTES, MAXIMUM_SIZE};
use crate::check::Types;
use crate::checked::Checked;
use crate::environment::{Callee, Environment, Form, Name};
use crate::functions::Pattern;
use crate::types::Type;
use crate::value::Value;

/// The first part of a checked expression that can fail, if there is one.
pub(crate) fn first_failure(environment: &Environment, types: &Types, root: &Expression) -> Option<Span> {
    Search::new(environment, types).expression(root)
}

/// Functions that give a result for all arguments of the types that they are declared for, unless reading them takes
/// too much.
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
    /// The variables of the macros around, with the most that their values may be, in bytes.
    locals: Vec<(&'s str, u64)>,
    /// Entries of variables that are there, or the part at hand decides nothing.
    present: Vec<(usize, &'s str)>,
    /// How often the part at hand is evaluated.
    rounds: u64,
    /// Bytes that the parts so far may read and pay for.
    read: u64,
}

impl<'s> Search<'s> {
    fn new(environment: &'s Environment, types: &'s Types) -> Self {
        Self { environment, types, locals: Vec::new(), present: Vec::new(), rounds: 1, read: 0 }
    }

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
                let failure =
                    self.expression(key).or(if *self.type_of(key) == Type::Dyn { own } else { None });
                let failure = failure.or_else(|| self.read(expression, operand, text_of(key), *optional));
                let paid = self.pay(expression, if text_of(key).is_some() { 0 } else { self.most(key) });
                failure.or(paid)
            }
            ExpressionKind::Has { operand, .. } => match self.type_of(operand) {
                Type::Map(..) => self.expression(operand),
                _ => own,
            },
            ExpressionKind::Map(entries) if entries.iter().any(|entry| text_of(&entry.key).is_none()) => own,
            ExpressionKind::List(_) | ExpressionKind::Map(_) => {
                let failure = self.children(expression).or_else(|| self.optional_element(expression));
                let paid =
                    self.pay(expression, if is_constant(expression) { 0 } else { self.most(expression) });
                failure.or(paid)
            }
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
                        let are_double = [left, right].map(|side| *self.type_of(side) == Type::Double);
                        are_double == [true, true] && *operator != Arithmetic::Remainder
                    }
                };
                let paid = match operator {
                    Binary::Comparison(_) if !self.is_plain_test(left, right) => {
                        self.pay(expression, self.most(left).saturating_add(self.most(right)))
                    }
                    _ => None,
                };
                failure.or(if defined { paid } else { own })
            }
            ExpressionKind::Sum(terms) if terms.iter().any(|term| *self.type_of(term) == Type::Dyn) => own,
            ExpressionKind::Sum(terms) => match self.type_of(expression) {
                Type::Double => self.children(expression),
                Type::String | Type::Bytes | Type::List(_) => {
                    let most = self.most(expression);
                    let failure = self.children(expression);
                    let fits = if most <= MAXIMUM_SIZE as u64 { None } else { own };
                    let paid = self.pay(expression, most.saturating_mul(terms.len() as u64));
                    failure.or(fits).or(paid)
                }
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
                    let range = &comprehension.range;
                    let most = self.most(range);
                    let failure = self.expression(range);
                    let mut elements = 0_u64;
                    range.kind.children(&mut |_| elements += 1);
                    let outer = self.rounds;
                    self.rounds = outer.saturating_mul(elements);
                    let locals = comprehension.variables.iter().map(|name| (&**name, most)).collect();
                    let within = self.within(locals, |search| {
                        let filter =
                            comprehension.filter.as_ref().and_then(|filter| search.expression(filter));
                        filter.or_else(|| search.expression(&comprehension.body))
                    });
                    self.rounds = outer;
                    failure.or(within)
                }
                _ => own,
            },
            ExpressionKind::Bind { variable, value: operand, body }
            | ExpressionKind::OptionalMap { operand, variable, body, .. } => {
                let most = self.most(operand);
                let failure = self.expression(operand);
                let failure =
                    failure.or_else(|| self.within(vec![(variable, most)], |search| search.expression(body)));
                let defined = match &expression.kind {
                    ExpressionKind::OptionalMap { flat, .. } => {
                        self.is_optional(operand) && (!flat || self.is_optional(body))
                    }
                    _ => true,
                };
                failure.or(if defined { None } else { own })
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

    fn is_optional(&self, expression: &Expression) -> bool {
        self.type_of(expression).optional_value().is_some()
    }

    /// The first element `?e` of a list or map that may be no optional.
    fn optional_element(&self, expression: &Expression) -> Option<Span> {
        let fails =
            |optional: bool, value: &Expression| (optional && !self.is_optional(value)).then_some(value.span);
        match &expression.kind {
            ExpressionKind::List(elements) => {
                elements.iter().find_map(|element| fails(element.optional, &element.value))
            }
            ExpressionKind::Map(entries) => {
                entries.iter().find_map(|entry| fails(entry.optional, &entry.value))
            }
            _ => None,
        }
    }

    fn name(&self, expression: &Expression) -> Option<Name> {
        self.environment.resolve(expression, self.locals.iter().map(|(name, _)| *name))
    }

    /// Reads so many bytes, each time that the part at hand is evaluated. It fails where that is more than may be read.
    fn pay(&mut self, expression: &Expression, bytes: u64) -> Option<Span> {
        self.read = self.read.saturating_add(bytes.saturating_mul(self.rounds));
        if self.read <= MAXIMUM_BYTES { None } else { Some(expression.span) }
    }

    /// The most bytes that a value may take. What is not known may take any number.
    fn most(&self, expression: &Expression) -> u64 {
        use Type::{Bool, Double, Duration, Int, Null, Timestamp, Uint};
        if matches!(
            self.type_of(expression),
            Bool | Double | Duration | Int | Null | Timestamp | Uint | Type::Type(_)
        ) {
            return ELEMENT as u64;
        }
        if let Some(name) = self.name(expression) {
            return match name {
                Name::Local(place) => self.locals.get(place).map_or(u64::MAX, |(_, most)| *most),
                Name::Variable(index) => {
                    self.environment.variable(index).map_or(u64::MAX, |variable| match variable.of_type {
                        Type::List(_) | Type::Map(..) => {
                            variable.size.saturating_mul(variable.text.saturating_add(2 * ELEMENT as u64))
                        }
                        _ => variable.size,
                    })
                }
                Name::Definition(_) | Name::Type(_) => u64::MAX,
            };
        }
        match &expression.kind {
            ExpressionKind::Literal(value) => (value.length() + ELEMENT) as u64,
            ExpressionKind::Select { operand, .. } | ExpressionKind::Index { operand, .. } => {
                match self.name(operand) {
                    Some(Name::Variable(index)) => {
                        self.environment.variable(index).map_or(u64::MAX, |variable| variable.text)
                    }
                    _ => self.most(operand),
                }
            }
            ExpressionKind::Comprehension(_)
            | ExpressionKind::Bind { .. }
            | ExpressionKind::OptionalMap { .. } => u64::MAX,
            // What functions that cannot fail give is no larger than what they are given.
            kind => {
                let mut most = ELEMENT as u64;
                kind.children(&mut |child| {
                    most = most.saturating_add(self.most(child)).saturating_add(ELEMENT as u64)
                });
                most
            }
        }
    }

    /// Whether a test of these two is one of an attribute against a constant, which is free outside of macros.
    fn is_plain_test(&self, left: &Expression, right: &Expression) -> bool {
        let plain = |attribute, constant| self.is_attribute(attribute) && is_constant(constant);
        self.rounds == 1 && (plain(left, right) || plain(right, left))
    }

    fn is_attribute(&self, expression: &Expression) -> bool {
        let of_variable = |operand: &Expression| matches!(self.name(operand), Some(Name::Variable(_)));
        of_variable(expression)
            || match &expression.kind {
                ExpressionKind::Select { operand, optional: false, .. } => of_variable(operand),
                ExpressionKind::Index { operand, key, optional: false } => {
                    text_of(key).is_some() && of_variable(operand)
                }
                _ => false,
            }
    }

    fn named(&mut self, expression: &Expression) -> Option<Span> {
        let definition = match self.name(expression) {
            Some(Name::Definition(index)) => self.environment.definition(index)?,
            Some(_) => return None,
            None => return Some(expression.span),
        };
        let Checked { root, types, .. } = &*definition.expression;
        let mut search = Search { read: self.read, ..Search::new(self.environment, types) };
        let failure = search.expression(root).map(|_| expression.span);
        self.read = search.read;
        failure
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
            return if is_container(container) { None } else { Some(expression.span) };
        }
        let is_present = match (self.name(operand), key) {
            (Some(Name::Variable(variable)), Some(key)) => {
                let declared = self.environment.variable(variable);
                let lowercase = declared.is_some_and(|declared| declared.form == Form::LowercaseKeys);
                let same = |name: &str| name == key || lowercase && name.eq_ignore_ascii_case(key);
                self.present.iter().any(|(known, name)| *known == variable && same(name))
            }
            _ => false,
        };
        if is_present { None } else { Some(expression.span) }
    }

    fn call(
        &mut self,
        expression: &Expression,
        function: &str,
        target: Option<&'s Expression>,
        arguments: &'s [Expression],
    ) -> Option<Span> {
        let own = Some(expression.span);
        let Some((callee, is_argument)) =
            self.environment.callee(function, target, self.locals.iter().map(|(name, _)| *name))
        else {
            return own;
        };
        if let Callee::Keyed(_) = callee {
            return None;
        }
        let given: Vec<&Expression> = target.filter(|_| is_argument).into_iter().chain(arguments).collect();
        let name = match target.and_then(Expression::qualified_name) {
            Some(namespace) if !is_argument => format!("{namespace}.{function}"),
            _ => function.to_owned(),
        };
        let known = given.iter().all(|argument| *self.type_of(argument) != Type::Dyn);
        let all = given.iter().fold(0, |sum: u64, argument| sum.saturating_add(self.most(argument)));
        // A constant pattern, and a test of an attribute against a constant, are paid for by the estimate of costs.
        let mut bytes = match (&*name, given.as_slice()) {
            ("contains" | "startsWith" | "endsWith", [text, part]) if self.is_plain_test(text, part) => 0,
            ("hasValue" | "orValue" | "or", _) => 0,
            _ => all,
        };
        let total = match (&*name, arguments) {
            ("matches", [pattern]) => match text_of(pattern).map(Pattern::compile) {
                Some(Ok(pattern)) => {
                    let cost = |bytes| pattern.cost(usize::try_from(bytes).unwrap_or(usize::MAX)) as u64;
                    bytes = if self.rounds == 1 { 0 } else { cost(all) };
                    true
                }
                _ => false,
            },
            ("string", [value]) => *self.type_of(value) != Type::Bytes,
            ("double", [value]) => *self.type_of(value) != Type::String,
            ("type" | "dyn" | "optional.of", _) => return None,
            _ => TOTAL.contains(&&*name),
        };
        let paid = self.pay(expression, bytes);
        if total && known { paid } else { own }
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
        locals: Vec<(&'s str, u64)>,
        search: impl FnOnce(&mut Self) -> Option<Span>,
    ) -> Option<Span> {
        let before = self.locals.len();
        self.locals.extend(locals);
        let found = search(self);
        self.locals.truncate(before);
        found
    }
}

/// Whether values of this type have elements or entries, of which there may be none, or are optionals of such.
fn is_container(of_type: &Type) -> bool {
    match of_type.optional_value() {
        Some(held) => is_container(held),
        None => matches!(of_type, Type::List(_) | Type::Map(..)),
    }
}

fn text_of(expression: &Expression) -> Option<&str> {
    match &expression.kind {
        ExpressionKind::Literal(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Whether an expression is written out, and so computed before any request.
fn is_constant(expression: &Expression) -> bool {
    match &expression.kind {
        ExpressionKind::Literal(_) => true,
        kind @ (ExpressionKind::List(_) | ExpressionKind::Map(_)) => {
            let mut constant = true;
            kind.children(&mut |child| constant = constant && is_constant(child));
            constant
        }
        _ => false,
    }
}
