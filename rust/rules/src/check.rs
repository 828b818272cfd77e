//! Types and names of a parsed expression. Finds every error, not the first.

mod advice;
mod calls;
mod foreign;
mod operators;

use crate::ast::{Arithmetic, Binary, Comparison, Comprehension, Expression, ExpressionKind, Fold, Unary};
use crate::diagnostic::{Code, Diagnostic};
use crate::environment::{Callee, Environment, Name};
use crate::inference::Inference;
use crate::parse::Parsed;
use crate::signature::Signature;
use crate::types::{CIDR, IP, Type};
use crate::value::{Kind, Value};

/// What the checker knows of an expression: the type of each of its nodes, by id.
#[derive(Debug)]
pub(crate) struct Types(Vec<Type>);

impl Types {
    /// Nothing is known: every node is `dyn`.
    pub(crate) fn unknown(parsed: &Parsed) -> Self {
        Self(vec![Type::Dyn; parsed.count])
    }

    pub(crate) fn of(&self, expression: &Expression) -> &Type {
        self.0.get(expression.id).unwrap_or(&Type::Dyn)
    }
}

pub(crate) fn check(environment: &Environment, parsed: &Parsed) -> Result<Types, Vec<Diagnostic>> {
    let mut checker = Checker::new(environment, parsed);
    checker.check(&parsed.root);
    if !checker.diagnostics.is_empty() {
        return Err(checker.diagnostics);
    }
    let inference = checker.inference;
    Ok(Types(checker.types.0.into_iter().map(|found| inference.settle(&found)).collect()))
}

/// The error of a rule that is not a condition.
pub(crate) fn not_a_rule(environment: &Environment, parsed: &Parsed, found: &Type) -> Diagnostic {
    Checker::new(environment, parsed).not_a_condition(&parsed.root, found, "rules are", None)
}

struct Checker<'e> {
    environment: &'e Environment,
    source: &'e str,
    types: Types,
    inference: Inference,
    /// The variables of the comprehensions around, innermost last.
    locals: Vec<(&'e str, Type)>,
    diagnostics: Vec<Diagnostic>,
}

impl<'e> Checker<'e> {
    fn new(environment: &'e Environment, parsed: &'e Parsed) -> Self {
        Self {
            environment,
            source: &parsed.source,
            types: Types::unknown(parsed),
            inference: Inference::default(),
            locals: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// Reports an error. The type that follows is `dyn`, so that one mistake is reported once.
    #[cold]
    fn report(&mut self, diagnostic: Diagnostic) -> Type {
        self.diagnostics.push(diagnostic);
        Type::Dyn
    }

    fn check(&mut self, expression: &'e Expression) -> Type {
        let found = self.type_of(expression);
        let found = self.inference.resolve(&found);
        if let Some(slot) = self.types.0.get_mut(expression.id) {
            *slot = found.clone();
        }
        found
    }

    fn check_all(&mut self, expressions: &'e [Expression]) -> Vec<Type> {
        expressions.iter().map(|expression| self.check(expression)).collect()
    }

    fn type_of(&mut self, expression: &'e Expression) -> Type {
        match &expression.kind {
            ExpressionKind::Literal(value) => type_of_literal(value),
            ExpressionKind::List(elements) => {
                let mut types = Vec::with_capacity(elements.len());
                for element in elements {
                    let found = self.check(&element.value);
                    types.push(if element.optional { self.held(&element.value, &found) } else { found });
                }
                Type::list(self.join_all(types))
            }
            ExpressionKind::Map(entries) => {
                let mut keys = Vec::with_capacity(entries.len());
                let mut values = Vec::with_capacity(entries.len());
                for entry in entries {
                    keys.push(self.key(&entry.key));
                    let found = self.check(&entry.value);
                    values.push(if entry.optional { self.held(&entry.value, &found) } else { found });
                }
                Type::map(self.join_all(keys), self.join_all(values))
            }
            ExpressionKind::Variable { name, .. } => {
                self.named(expression).unwrap_or_else(|| self.report(self.unknown_variable(expression, name)))
            }
            ExpressionKind::Select { operand, field, optional } => match self.named(expression) {
                Some(found) => found,
                None => self.select(expression, operand, field, *optional),
            },
            ExpressionKind::Has { operand, field } => {
                self.select(expression, operand, field, false);
                Type::Bool
            }
            ExpressionKind::Index { operand, key, optional } => self.index(operand, key, *optional),
            ExpressionKind::Call { function, target, arguments } => {
                self.call(expression, function, target.as_deref(), arguments)
            }
            ExpressionKind::Unary { operator, operand } => self.unary(expression, *operator, operand),
            ExpressionKind::Binary { operator, left, right } => {
                self.binary(expression, *operator, left, right)
            }
            ExpressionKind::Logic { operator, terms } => {
                let context = format!("`{}` joins", operator.symbol());
                let mut before = None;
                for term in terms {
                    self.want_bool(term, &context, before);
                    before = Some(term);
                }
                Type::Bool
            }
            ExpressionKind::Sum(terms) => self.sum(expression, terms),
            ExpressionKind::Conditional { condition, yes, no } => {
                self.want_bool(condition, "before `?` stand", None);
                let (yes_type, no_type) = (self.check(yes), self.check(no));
                match self.inference.join(&yes_type, &no_type) {
                    Some(joined) => joined,
                    None => self.report(self.different_outcomes((yes, &yes_type), (no, &no_type))),
                }
            }
            ExpressionKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExpressionKind::Bind { variable, value, body } => {
                let found = self.check(value);
                self.within([(&**variable, found)], |checker| checker.check(body))
            }
            ExpressionKind::OptionalMap { operand, variable, body, flat } => {
                let found = self.check(operand);
                let held = self.held(operand, &found);
                let result = self.within([(&**variable, held)], |checker| checker.check(body));
                match flat {
                    true => Type::optional(self.held(body, &result)),
                    false => Type::optional(result),
                }
            }
        }
    }

    /// Checks with further local variables.
    fn within<const N: usize>(
        &mut self,
        locals: [(&'e str, Type); N],
        check: impl FnOnce(&mut Self) -> Type,
    ) -> Type {
        let before = self.locals.len();
        self.locals.extend(locals);
        let found = check(self);
        self.locals.truncate(before);
        found
    }

    /// `before` is the term before this one of a chain.
    fn want_bool(&mut self, expression: &'e Expression, context: &str, before: Option<&Expression>) {
        let found = self.check(expression);
        if !self.inference.fits(&found, &Type::Bool) {
            self.report(self.not_a_condition(expression, &found, context, before));
        }
    }

    /// The type of elements that are written together: what covers all, `dyn` for a mixture.
    fn join_all(&mut self, types: Vec<Type>) -> Type {
        let mut joined = None;
        for found in types {
            joined = match joined {
                None => Some(found),
                Some(before) => match self.inference.join(&before, &found) {
                    Some(both) => Some(both),
                    None => return Type::Dyn,
                },
            };
        }
        joined.unwrap_or_else(|| self.inference.unknown())
    }

    fn key(&mut self, key: &'e Expression) -> Type {
        let found = self.check(key);
        if !matches!(
            found,
            Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::String | Type::Variable(_)
        ) {
            let message = format!("{} cannot be the key of a map", self.a(&found));
            let help = "keys are bool, int, uint or string";
            self.report(Diagnostic::new(Code::TypeMismatch, key.span, message).with_help(help));
        }
        found
    }

    /// What an optional element holds.
    fn held(&mut self, expression: &Expression, found: &Type) -> Type {
        let held = self.inference.unknown();
        if self.inference.fits(found, &Type::optional(held.clone())) {
            return if *found == Type::Dyn { Type::Dyn } else { held };
        }
        let message = format!("an optional value is wanted here; this is {}", self.a(found));
        let help = format!("write optional.of({})", self.text(expression));
        self.report(Diagnostic::new(Code::TypeMismatch, expression.span, message).with_help(help))
    }

    /// The type of a name, if the expression is one.
    fn named(&mut self, expression: &Expression) -> Option<Type> {
        let locals = self.locals.iter().map(|(name, _)| *name);
        Some(match self.environment.resolve(expression, locals)? {
            Name::Local(place) => self.locals.get(place)?.1.clone(),
            Name::Variable(index) => self.environment.variable(index)?.of_type.clone(),
            Name::Definition(index) => self.environment.definition(index)?.expression.result_type().clone(),
            Name::Type(kind) => Type::Type(type_of_kind(kind).into()),
        })
    }

    fn select(
        &mut self,
        expression: &Expression,
        operand: &'e Expression,
        field: &str,
        optional: bool,
    ) -> Type {
        if let Some(diagnostic) = self.unknown_dotted(expression, operand, field) {
            return self.report(diagnostic);
        }
        let found = self.check(operand);
        let (container, optional) = match found.optional_value() {
            Some(held) => (self.inference.resolve(held), true),
            None => (found, optional),
        };
        let value = match container {
            Type::Map(key, value) if self.inference.fits(&Type::String, &key) => (*value).clone(),
            Type::Dyn | Type::Variable(_) => Type::Dyn,
            other => return self.report(self.unknown_field(expression, operand, &other, field)),
        };
        if optional { Type::optional(value) } else { value }
    }

    fn index(&mut self, operand: &'e Expression, key: &'e Expression, optional: bool) -> Type {
        let found = self.check(operand);
        let key_type = self.check(key);
        let (container, optional) = match found.optional_value() {
            Some(held) => (self.inference.resolve(held), true),
            None => (found, optional),
        };
        let value = match container {
            Type::List(element) => {
                if !matches!(key_type, Type::Int | Type::Dyn | Type::Variable(_)) {
                    self.report(self.wrong_position(operand, key, &key_type));
                }
                (*element).clone()
            }
            Type::Map(wanted, value) => {
                if !self.are_comparable(&wanted, &key_type) {
                    let wanted = self.inference.settle(&wanted);
                    let message = format!("the keys of this map are {wanted}; this is {}", self.a(&key_type));
                    let help = (wanted == Type::String).then(|| format!("write \"{}\"", self.text(key)));
                    self.report(Diagnostic {
                        help,
                        ..Diagnostic::new(Code::TypeMismatch, key.span, message)
                    });
                }
                (*value).clone()
            }
            Type::Dyn | Type::Variable(_) => Type::Dyn,
            other => {
                let message = format!("only lists and maps have elements; this is {}", self.a(&other));
                let error = Diagnostic::new(Code::TypeMismatch, operand.span, message);
                return self.report(match other {
                    Type::String => error.with_help("a part of a text is x.substring(0, 3)"),
                    _ => error,
                });
            }
        };
        if optional { Type::optional(value) } else { value }
    }

    fn comprehension(&mut self, comprehension: &'e Comprehension) -> Type {
        let Comprehension { fold, range, variables, filter, body } = comprehension;
        let found = self.check(range);
        let (first, second) = match self.inference.resolve(&found) {
            // One variable is the element of a list and the key of a map.
            Type::List(element) if variables.len() == 1 => ((*element).clone(), Type::Dyn),
            Type::List(element) => (Type::Int, (*element).clone()),
            Type::Map(key, value) if *fold != Fold::SortBy => ((*key).clone(), (*value).clone()),
            Type::Dyn | Type::Variable(_) => (Type::Dyn, Type::Dyn),
            other => {
                let wanted = if *fold == Fold::SortBy { "a list" } else { "a list or a map" };
                let message = format!("{wanted} is wanted here; this is {}", self.a(&other));
                (self.report(Diagnostic::new(Code::TypeMismatch, range.span, message)), Type::Dyn)
            }
        };
        let before = self.locals.len();
        self.locals.extend(variables.iter().map(|name| &**name).zip([first.clone(), second]));
        if let Some(filter) = filter {
            self.want_bool(filter, "this macro wants", None);
        }
        let result = match fold {
            Fold::All | Fold::Exists | Fold::ExistsOne => {
                self.want_bool(body, "this macro wants", None);
                Type::Bool
            }
            Fold::Filter => {
                self.want_bool(body, "this macro wants", None);
                Type::list(first.clone())
            }
            Fold::List => Type::list(self.check(body)),
            Fold::Values => Type::map(first.clone(), self.check(body)),
            Fold::Entries => match self.check(body) {
                map @ (Type::Map(..) | Type::Dyn) => map,
                other => {
                    let message = format!("a map of one entry is wanted here; this is {}", self.a(&other));
                    let error = Diagnostic::new(Code::TypeMismatch, body.span, message);
                    self.report(error.with_help("write {key: value}"))
                }
            },
            Fold::SortBy => {
                let key = self.check(body);
                if !key.is_ordered() {
                    let message = format!("{} has no order to sort by", self.a(&key));
                    self.report(Diagnostic::new(Code::TypeMismatch, body.span, message));
                }
                Type::list(first.clone())
            }
        };
        self.locals.truncate(before);
        result
    }

    fn call(
        &mut self,
        expression: &Expression,
        function: &str,
        target: Option<&'e Expression>,
        arguments: &'e [Expression],
    ) -> Type {
        let environment = self.environment;
        let locals = self.locals.iter().map(|(name, _)| *name);
        let Some((callee, is_argument)) = environment.callee(function, target, locals) else {
            // Of the target all may be unknown, if it is meant as a namespace.
            let of_target =
                target.filter(|target| self.is_known(target)).map(|target| (target, self.check(target)));
            if !self.takes_names(function) {
                self.check_all(arguments);
            }
            return self.report(self.unknown_function(expression, function, target, of_target, arguments));
        };
        let target = target.filter(|_| is_argument);
        let mut types: Vec<Type> = target.map(|target| self.check(target)).into_iter().collect();
        types.extend(self.check_all(arguments));
        let signatures: Vec<&Signature> = match callee {
            Callee::Keyed(index) => return self.keyed(expression, function, index, arguments),
            Callee::Library(overloads) => overloads.iter().map(|overload| &overload.signature).collect(),
            Callee::Declared(name) => environment.signatures(name, is_argument).collect(),
        };
        if signatures.len() > 1 {
            // Of a value that may be of any type, the first form would decide what it is.
            types = types.iter().map(|found| self.inference.settle(found)).collect();
        }
        let mut result: Option<Type> = None;
        for signature in &signatures {
            let (parameters, returned) = self.inference.instantiate(&signature.parameters, &signature.result);
            if self.inference.all_fit(&types, &parameters) {
                let returned = self.inference.resolve(&returned);
                result = match result {
                    // Which form it is shows when it runs.
                    Some(other) if other != returned => return Type::Dyn,
                    _ => Some(returned),
                };
            }
        }
        match result {
            Some(result) => result,
            None => {
                let operands: Vec<&Expression> = target.into_iter().chain(arguments).collect();
                let diagnostic = self.wrong_argument(
                    expression,
                    function,
                    target.is_some(),
                    &operands,
                    &types,
                    &signatures,
                );
                self.report(diagnostic)
            }
        }
    }

    /// A function of one constant text.
    fn keyed(
        &mut self,
        expression: &Expression,
        function: &str,
        index: usize,
        arguments: &[Expression],
    ) -> Type {
        match arguments {
            [argument] if matches!(&argument.kind, ExpressionKind::Literal(Value::String(_))) => {
                self.environment.variable(index).map_or(Type::Dyn, |variable| variable.of_type.clone())
            }
            _ => {
                let message = format!("`{function}` takes one text that is written out");
                let error = Diagnostic::new(Code::WrongArgument, expression.span, message);
                self.report(error.with_help(format!("write {function}(\"name\")")))
            }
        }
    }

    fn unary(&mut self, expression: &Expression, operator: Unary, operand: &'e Expression) -> Type {
        let found = self.check(operand);
        let fits = match operator {
            Unary::Not => self.inference.fits(&found, &Type::Bool),
            Unary::Negate => {
                matches!(found, Type::Int | Type::Double | Type::Duration | Type::Dyn | Type::Variable(_))
            }
        };
        if fits {
            return if operator == Unary::Not { Type::Bool } else { found };
        }
        self.report(self.not_negatable(expression, operator, operand, &found))
    }

    fn sum(&mut self, expression: &Expression, terms: &'e [Expression]) -> Type {
        let mut found: Option<(Type, &Expression)> = None;
        for term in terms {
            let of_term = self.check(term);
            found = Some(match found {
                None => (of_term, term),
                Some((before, last)) => match self.type_of_arithmetic(Arithmetic::Add, &before, &of_term) {
                    Some(sum) => (sum, term),
                    None => {
                        let operator = Binary::Arithmetic(Arithmetic::Add);
                        let diagnostic =
                            self.mismatch(expression, operator, (last, &before), (term, &of_term));
                        return self.report(diagnostic);
                    }
                },
            });
        }
        found.map_or(Type::Dyn, |(sum, _)| sum)
    }

    fn binary(
        &mut self,
        expression: &Expression,
        operator: Binary,
        left: &'e Expression,
        right: &'e Expression,
    ) -> Type {
        let (left_type, right_type) = (self.check(left), self.check(right));
        let result = match operator {
            Binary::Comparison(comparison) => {
                self.is_comparison_defined(comparison, &left_type, &right_type).then_some(Type::Bool)
            }
            Binary::Arithmetic(arithmetic) => self.type_of_arithmetic(arithmetic, &left_type, &right_type),
        };
        match result {
            Some(result) => result,
            None => {
                let diagnostic =
                    self.mismatch(expression, operator, (left, &left_type), (right, &right_type));
                self.report(diagnostic)
            }
        }
    }

    /// Whether values of the two types can be equal: types that fit each other, or two numbers.
    fn are_comparable(&mut self, left: &Type, right: &Type) -> bool {
        match (self.inference.resolve(left), self.inference.resolve(right)) {
            (left, right) if left.is_number() && right.is_number() => true,
            (Type::List(left), Type::List(right)) => self.are_comparable(&left, &right),
            (Type::Map(left_key, left), Type::Map(right_key, right)) => {
                self.are_comparable(&left_key, &right_key) && self.are_comparable(&left, &right)
            }
            (left, right) => self.inference.fits(&left, &right),
        }
    }

    fn is_comparison_defined(&mut self, operator: Comparison, left: &Type, right: &Type) -> bool {
        match operator {
            Comparison::Equal | Comparison::NotEqual => self.are_comparable(left, right),
            Comparison::In => match right {
                Type::List(member) | Type::Map(member, _) => self.are_comparable(member, left),
                other => matches!(other, Type::Dyn | Type::Variable(_)),
            },
            _ => left.is_ordered() && right.is_ordered() && self.are_comparable(left, right),
        }
    }

    /// The type of `left operator right`, if that is defined. Numbers do not mix: CEL converts nothing silently.
    fn type_of_arithmetic(&mut self, operator: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
        use Type::{Bytes, Double, Duration, Dyn, Int, List, String, Timestamp, Uint, Variable};
        match (operator, left, right) {
            (Arithmetic::Add, Timestamp, Duration | Dyn) | (Arithmetic::Add, Duration | Dyn, Timestamp) => {
                return Some(Timestamp);
            }
            (Arithmetic::Subtract, Timestamp, Duration) => return Some(Timestamp),
            (Arithmetic::Subtract, Timestamp | Dyn, Timestamp) => return Some(Duration),
            (Arithmetic::Subtract, Duration, Dyn) => return Some(Duration),
            (Arithmetic::Add | Arithmetic::Subtract, Timestamp | Duration, Dyn | Variable(_))
            | (Arithmetic::Add | Arithmetic::Subtract, Dyn | Variable(_), Timestamp | Duration) => {
                return Some(Dyn);
            }
            _ => {}
        }
        let defined = |side: &Type| match side {
            Dyn | Variable(_) | Int | Uint => true,
            Double => operator != Arithmetic::Remainder,
            Duration => matches!(operator, Arithmetic::Add | Arithmetic::Subtract),
            String | Bytes | List(_) => operator == Arithmetic::Add,
            _ => false,
        };
        if !defined(left) || !defined(right) {
            return None;
        }
        match (left, right) {
            // Nothing else can be computed with one of these, so that there is a value only if the other is one, too.
            (Dyn, known @ (Int | Uint | Double | String | Bytes))
            | (known @ (Int | Uint | Double | String | Bytes), Dyn) => Some(known.clone()),
            _ => self.inference.join(left, right),
        }
    }
}

fn type_of_literal(value: &Value<'_>) -> Type {
    match value.kind() {
        Kind::List | Kind::Map => Type::Dyn,
        kind => type_of_kind(kind),
    }
}

/// The type that the name of a kind stands for. Of parameters nothing is known.
fn type_of_kind(kind: Kind) -> Type {
    match kind {
        Kind::Null => Type::Null,
        Kind::Bool => Type::Bool,
        Kind::Int => Type::Int,
        Kind::Uint => Type::Uint,
        Kind::Double => Type::Double,
        Kind::String => Type::String,
        Kind::Bytes => Type::Bytes,
        Kind::List => Type::list(Type::Dyn),
        Kind::Map => Type::map(Type::Dyn, Type::Dyn),
        Kind::Timestamp => Type::Timestamp,
        Kind::Duration => Type::Duration,
        Kind::Type => Type::Type(Type::Dyn.into()),
        Kind::Optional => Type::optional(Type::Dyn),
        Kind::Ip => Type::Opaque(IP.into(), [].into()),
        Kind::Cidr => Type::Opaque(CIDR.into(), [].into()),
    }
}
