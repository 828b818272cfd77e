//! Types and names of a parsed expression. Finds every error, not the first.

use crate::ast::{Arithmetic, Binary, Comparison, Comprehension, Expression, ExpressionKind, Fold, Unary};
use crate::diagnostic::{Diagnostic, nearest};
use crate::environment::{Callee, Environment, Name};
use crate::functions;
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
    let mut checker = Checker {
        environment,
        types: Types::unknown(parsed),
        inference: Inference::default(),
        locals: Vec::new(),
        diagnostics: Vec::new(),
    };
    checker.check(&parsed.root);
    if !checker.diagnostics.is_empty() {
        return Err(checker.diagnostics);
    }
    let inference = checker.inference;
    Ok(Types(checker.types.0.into_iter().map(|found| inference.settle(&found)).collect()))
}

struct Checker<'e> {
    environment: &'e Environment,
    types: Types,
    inference: Inference,
    /// The variables of the comprehensions around, innermost last.
    locals: Vec<(&'e str, Type)>,
    diagnostics: Vec<Diagnostic>,
}

impl<'e> Checker<'e> {
    /// Reports an error. The type that follows is `dyn`, so that one mistake is reported once.
    #[cold]
    fn report(&mut self, expression: &Expression, message: String, help: Option<String>) -> Type {
        self.diagnostics.push(Diagnostic { span: expression.span.range(), message, help });
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
                self.named(expression).unwrap_or_else(|| self.unknown_variable(expression, name))
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
                for term in terms {
                    self.want_bool(term, &format!("`{}` joins", operator.symbol()));
                }
                Type::Bool
            }
            ExpressionKind::Sum(terms) => self.sum(expression, terms),
            ExpressionKind::Conditional { condition, yes, no } => {
                self.want_bool(condition, "`?` asks for");
                let (yes, no) = (self.check(yes), self.check(no));
                self.inference.join(&yes, &no).unwrap_or_else(|| {
                    let message = format!(
                        "the two outcomes differ in type: {} and {}",
                        self.inference.settle(&yes),
                        self.inference.settle(&no)
                    );
                    self.report(expression, message, Some("wrap one in dyn() if that is meant".into()))
                })
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

    fn want_bool(&mut self, expression: &'e Expression, context: &str) {
        let found = self.check(expression);
        if !self.inference.fits(&found, &Type::Bool) {
            let help = match found {
                Type::String => Some("compare it, as in … == \"…\"".into()),
                _ if found.is_number() => Some("compare it, as in … > 0".into()),
                _ => None,
            };
            let message = format!("{context} conditions of type bool; this is {}", self.a(&found));
            self.report(expression, message, help);
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
            self.report(key, message, Some("keys are bool, int, uint or string".into()));
        }
        found
    }

    /// What an optional element holds.
    fn held(&mut self, expression: &Expression, found: &Type) -> Type {
        let held = self.inference.unknown();
        if self.inference.fits(found, &Type::optional(held.clone())) {
            return if *found == Type::Dyn { Type::Dyn } else { held };
        }
        let message = format!("an optional is wanted here; this is {}", self.a(found));
        self.report(expression, message, Some("write optional.of(…)".into()))
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

    fn unknown_variable(&mut self, expression: &Expression, name: &str) -> Type {
        let constant =
            ["true", "false", "null"].into_iter().find(|constant| name.eq_ignore_ascii_case(constant));
        let locals = self.locals.iter().map(|(name, _)| *name);
        let known: Vec<&str> = locals.chain(self.environment.names()).collect();
        let help = match constant.or_else(|| nearest(name, known.iter().copied())) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => (!known.is_empty()).then(|| format!("variables are {}", known.join(", "))),
        };
        self.report(expression, format!("there is no variable `{name}`"), help)
    }

    fn select(
        &mut self,
        expression: &Expression,
        operand: &'e Expression,
        field: &str,
        optional: bool,
    ) -> Type {
        let found = self.check(operand);
        let (container, optional) = match found.optional_value() {
            Some(held) => (self.inference.resolve(held), true),
            None => (found, optional),
        };
        let value = match container {
            Type::Map(key, value) if self.inference.fits(&Type::String, &key) => (*value).clone(),
            Type::Dyn | Type::Variable(_) => Type::Dyn,
            other => {
                let message = format!(
                    "only maps with string keys have fields; {} has no field `{field}`",
                    self.a(&other)
                );
                return self.report(expression, message, None);
            }
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
                    let message = format!("a list is indexed by an int; this is {}", self.a(&key_type));
                    self.report(key, message, None);
                }
                (*element).clone()
            }
            Type::Map(wanted, value) => {
                if !self.are_comparable(&wanted, &key_type) {
                    let wanted = self.inference.settle(&wanted);
                    let message = format!("the keys of this map are {wanted}; this is {}", self.a(&key_type));
                    self.report(key, message, None);
                }
                (*value).clone()
            }
            Type::Dyn | Type::Variable(_) => Type::Dyn,
            other => {
                let message = format!("{} cannot be indexed", self.a(&other));
                return self.report(operand, message, None);
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
                (self.report(range, message, None), Type::Dyn)
            }
        };
        let before = self.locals.len();
        self.locals.extend(variables.iter().map(|name| &**name).zip([first.clone(), second]));
        if let Some(filter) = filter {
            self.want_bool(filter, "this macro asks for");
        }
        let result = match fold {
            Fold::All | Fold::Exists | Fold::ExistsOne => {
                self.want_bool(body, "this macro asks for");
                Type::Bool
            }
            Fold::Filter => {
                self.want_bool(body, "this macro asks for");
                Type::list(first.clone())
            }
            Fold::List => Type::list(self.check(body)),
            Fold::Values => Type::map(first.clone(), self.check(body)),
            Fold::Entries => match self.check(body) {
                map @ (Type::Map(..) | Type::Dyn) => map,
                other => {
                    let message = format!("a map of one entry is wanted here; this is {}", self.a(&other));
                    self.report(body, message, Some("write {key: value}".into()))
                }
            },
            Fold::SortBy => {
                let key = self.check(body);
                if !key.is_ordered() {
                    let message = format!("{} has no order to sort by", self.a(&key));
                    self.report(body, message, None);
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
            target.map(|target| self.check(target));
            self.check_all(arguments);
            return self.unknown_function(expression, function, target);
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
        result.unwrap_or_else(|| {
            let given: Vec<String> =
                types.iter().map(|found| self.inference.settle(found).to_string()).collect();
            let uses: Vec<&str> = signatures.iter().map(|signature| &*signature.text).collect();
            let message = format!("`{function}` is not defined for ({})", given.join(", "));
            self.report(expression, message, Some(format!("there is {}", uses.join(", "))))
        })
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
                self.report(expression, message, Some(format!("write {function}(\"…\")")))
            }
        }
    }

    fn unknown_function(
        &mut self,
        expression: &Expression,
        function: &str,
        target: Option<&Expression>,
    ) -> Type {
        let namespaced =
            target.and_then(Expression::qualified_name).map(|space| format!("{space}.{function}"));
        let library = functions::names();
        let known: Vec<&str> =
            library.iter().copied().chain(MACROS).chain(self.environment.function_names()).collect();
        let near = namespaced.as_deref().and_then(|name| nearest(name, known.iter().copied()));
        let near = near.or_else(|| nearest(function, known.iter().copied()));
        let help = match near {
            Some(near) if near == function && target.is_some() => format!("write {function}(…)"),
            Some(near) if near == function => format!("write ….{function}(…)"),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("functions are {}", known.join(", ")),
        };
        self.report(expression, format!("there is no function `{function}`"), Some(help))
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
        let message = format!("`{}` is not defined for {}", operator.symbol(), self.a(&found));
        self.report(expression, message, None)
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
                        return self.mismatch(expression, operator, (last, &before), (term, &of_term));
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
            None => self.mismatch(expression, operator, (left, &left_type), (right, &right_type)),
        }
    }

    #[cold]
    fn mismatch(
        &mut self,
        expression: &Expression,
        operator: Binary,
        (left, left_type): (&Expression, &Type),
        (right, right_type): (&Expression, &Type),
    ) -> Type {
        let symbol = operator.symbol();
        let message =
            format!("`{symbol}` is not defined for {} and {}", self.a(left_type), self.a(right_type));
        let help = mismatch_help(operator, (left, left_type), (right, right_type));
        self.report(expression, message, help)
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
            (Arithmetic::Add, Timestamp, Duration) | (Arithmetic::Add, Duration, Timestamp) => {
                return Some(Timestamp);
            }
            (Arithmetic::Subtract, Timestamp, Duration) => return Some(Timestamp),
            (Arithmetic::Subtract, Timestamp, Timestamp) => return Some(Duration),
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
        self.inference.join(left, right)
    }

    /// A type with its article.
    fn a(&self, of_type: &Type) -> String {
        match self.inference.settle(of_type) {
            Type::Int => "an int".into(),
            Type::Null => "null".into(),
            Type::Bytes => "bytes".into(),
            other if other.optional_value().is_some() => format!("an {other}"),
            other => format!("a {other}"),
        }
    }
}

/// What the parser makes of calls by name.
const MACROS: [&str; 14] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "map",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "sortBy",
    "optMap",
    "optFlatMap",
    "cel.bind",
];

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

/// What the author of `left operator right` probably meant.
fn mismatch_help(
    operator: Binary,
    left: (&Expression, &Type),
    right: (&Expression, &Type),
) -> Option<String> {
    for ((literal, _), (_, other)) in [(left, right), (right, left)] {
        match (&literal.kind, other) {
            (ExpressionKind::Literal(Value::String(text)), other)
                if other.is_number() && text.parse::<f64>().is_ok() =>
            {
                return Some(format!("write {} without quotes", &**text));
            }
            (ExpressionKind::Literal(Value::Int(number)), Type::Double) => {
                return Some(format!("write {number}.0"));
            }
            (ExpressionKind::Literal(Value::Int(number)), Type::Uint) if *number >= 0 => {
                return Some(format!("write {number}u"));
            }
            (ExpressionKind::Literal(Value::Int(_) | Value::Double(_)), Type::String) => {
                return Some("put the number in quotes to compare it as text".into());
            }
            _ => {}
        }
    }
    match (operator, right.1) {
        (Binary::Comparison(Comparison::In), Type::String) => {
            Some("`in` looks in lists and maps; for text write ….contains(…)".into())
        }
        _ => None,
    }
}
