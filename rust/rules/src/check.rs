//! Types and names of a parsed expression. Finds every error, not the first.

use crate::ast::{Arithmetic, Binary, Comparison, Expression, ExpressionKind, Unary};
use crate::diagnostic::{Diagnostic, nearest};
use crate::environment::Environment;
use crate::parse::Parsed;
use crate::types::Type;
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
    let mut checker = Checker { environment, types: Types::unknown(parsed), diagnostics: Vec::new() };
    checker.check(&parsed.root);
    if checker.diagnostics.is_empty() { Ok(checker.types) } else { Err(checker.diagnostics) }
}

struct Checker<'e> {
    environment: &'e Environment,
    types: Types,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
    /// Reports an error. The type that follows is `dyn`, so that one mistake is reported once.
    #[cold]
    fn report(&mut self, expression: &Expression, message: String, help: Option<String>) -> Type {
        self.diagnostics.push(Diagnostic { span: expression.span.range(), message, help });
        Type::Dyn
    }

    fn check(&mut self, expression: &Expression) -> Type {
        let found = self.type_of(expression);
        if let Some(slot) = self.types.0.get_mut(expression.id) {
            *slot = found.clone();
        }
        found
    }

    fn type_of(&mut self, expression: &Expression) -> Type {
        match &expression.kind {
            ExpressionKind::Literal(value) => type_of_literal(value),
            ExpressionKind::List(elements) => {
                let types: Vec<Type> = elements.iter().map(|element| self.check(element)).collect();
                Type::list(join_all(types))
            }
            ExpressionKind::Map(entries) => self.map(entries),
            ExpressionKind::Variable(name) => self.variable(expression, name),
            ExpressionKind::Select { operand, field } => {
                let declared = expression.qualified_name().and_then(|name| self.environment.find(&name));
                match declared {
                    Some((_, variable)) => variable.of_type.clone(),
                    None => self.select(expression, operand, field),
                }
            }
            ExpressionKind::Has { operand, field } => {
                self.select(expression, operand, field);
                Type::Bool
            }
            ExpressionKind::Index { operand, key } => self.index(operand, key),
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
            ExpressionKind::Conditional { condition, yes, no } => {
                self.want_bool(condition, "`?` asks for");
                let (yes, no) = (self.check(yes), self.check(no));
                yes.join(&no).unwrap_or_else(|| {
                    self.report(
                        expression,
                        format!("the two outcomes differ in type: {yes} and {no}"),
                        Some("wrap one in dyn() if that is meant".into()),
                    )
                })
            }
        }
    }

    fn want_bool(&mut self, expression: &Expression, context: &str) {
        let found = self.check(expression);
        if !found.may_be(&Type::Bool) {
            let help = match found {
                Type::String => Some("compare it, as in … == \"…\"".into()),
                _ if found.is_number() => Some("compare it, as in … > 0".into()),
                _ => None,
            };
            self.report(
                expression,
                format!("{context} conditions of type bool; this is {}", a(&found)),
                help,
            );
        }
    }

    fn map(&mut self, entries: &[(Expression, Expression)]) -> Type {
        let mut keys = Vec::with_capacity(entries.len());
        let mut values = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key_type = self.check(key);
            if !matches!(key_type, Type::Dyn | Type::Bool | Type::Int | Type::Uint | Type::String) {
                let message = format!("{} cannot be the key of a map", a(&key_type));
                self.report(key, message, Some("keys are bool, int, uint or string".into()));
            }
            keys.push(key_type);
            values.push(self.check(value));
        }
        Type::map(join_all(keys), join_all(values))
    }

    fn variable(&mut self, expression: &Expression, name: &str) -> Type {
        if let Some((_, variable)) = self.environment.find(name) {
            return variable.of_type.clone();
        }
        let constant =
            ["true", "false", "null"].into_iter().find(|constant| name.eq_ignore_ascii_case(constant));
        let help = match constant.or_else(|| nearest(name, self.environment.names())) {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None => self.available("variables are", self.environment.names()),
        };
        self.report(expression, format!("there is no variable `{name}`"), help)
    }

    fn available<'n>(&self, label: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        let names: Vec<&str> = names.collect();
        (!names.is_empty()).then(|| format!("{label} {}", names.join(", ")))
    }

    fn select(&mut self, expression: &Expression, operand: &Expression, field: &str) -> Type {
        match self.check(operand) {
            Type::Map(key, value) if key.may_be(&Type::String) => (*value).clone(),
            Type::Dyn => Type::Dyn,
            other => self.report(
                expression,
                format!("only maps with string keys have fields; {} has no field `{field}`", a(&other)),
                None,
            ),
        }
    }

    fn index(&mut self, operand: &Expression, key: &Expression) -> Type {
        let container = self.check(operand);
        let key_type = self.check(key);
        match container {
            Type::List(element) => {
                if !matches!(key_type, Type::Int | Type::Dyn) {
                    self.report(key, format!("a list is indexed by an int; this is {}", a(&key_type)), None);
                }
                (*element).clone()
            }
            Type::Map(wanted, value) => {
                if !wanted.comparable(&key_type) {
                    self.report(
                        key,
                        format!("the keys of this map are {wanted}; this is {}", a(&key_type)),
                        None,
                    );
                }
                (*value).clone()
            }
            Type::Dyn => Type::Dyn,
            other => self.report(operand, format!("{} cannot be indexed", a(&other)), None),
        }
    }

    fn call(
        &mut self,
        expression: &Expression,
        function: &str,
        target: Option<&Expression>,
        arguments: &[Expression],
    ) -> Type {
        let types: Vec<Type> =
            target.into_iter().chain(arguments).map(|argument| self.check(argument)).collect();
        let known: Vec<&Signature> =
            SIGNATURES.iter().filter(|signature| signature.name == function).collect();
        if known.is_empty() {
            let help = match nearest(function, SIGNATURES.iter().map(|signature| signature.name)) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None => {
                    self.available("functions are has,", SIGNATURES.iter().map(|signature| signature.name))
                }
            };
            return self.report(expression, format!("there is no function `{function}`"), help);
        }
        let fitting = known.iter().find(|signature| {
            (if target.is_some() { signature.method } else { signature.function })
                && signature.parameters.len() == types.len()
                && signature.parameters.iter().zip(&types).all(|(wanted, found)| wanted.accepts(found))
        });
        if let Some(signature) = fitting {
            return signature.result.clone();
        }
        let given: Vec<String> = types.iter().map(Type::to_string).collect();
        let uses: Vec<&str> = known.iter().map(|signature| signature.usage).collect();
        let message = format!("`{function}` is not defined for ({})", given.join(", "));
        self.report(expression, message, Some(format!("write {}", uses.join(" or "))))
    }

    fn unary(&mut self, expression: &Expression, operator: Unary, operand: &Expression) -> Type {
        let found = self.check(operand);
        let fits = match operator {
            Unary::Not => found.may_be(&Type::Bool),
            Unary::Negate => matches!(found, Type::Int | Type::Double | Type::Dyn),
        };
        if fits {
            return if operator == Unary::Not { Type::Bool } else { found };
        }
        self.report(expression, format!("`{}` is not defined for {}", operator.symbol(), a(&found)), None)
    }

    fn binary(
        &mut self,
        expression: &Expression,
        operator: Binary,
        left: &Expression,
        right: &Expression,
    ) -> Type {
        let (left_type, right_type) = (self.check(left), self.check(right));
        let result = match operator {
            Binary::Comparison(comparison) => {
                is_comparison_defined(comparison, &left_type, &right_type).then_some(Type::Bool)
            }
            Binary::Arithmetic(arithmetic) => type_of_arithmetic(arithmetic, &left_type, &right_type),
        };
        result.unwrap_or_else(|| {
            let message = format!(
                "`{}` is not defined for {} and {}",
                operator.symbol(),
                a(&left_type),
                a(&right_type)
            );
            let help = mismatch_help(operator, (left, &left_type), (right, &right_type));
            self.report(expression, message, help)
        })
    }
}

fn type_of_literal(value: &Value<'_>) -> Type {
    match value.kind() {
        Kind::Null => Type::Null,
        Kind::Bool => Type::Bool,
        Kind::Int => Type::Int,
        Kind::Uint => Type::Uint,
        Kind::Double => Type::Double,
        Kind::String => Type::String,
        Kind::Bytes => Type::Bytes,
        Kind::List | Kind::Map => Type::Dyn,
    }
}

/// The type of elements that are written together: what covers all, `dyn` for none or a mixture.
fn join_all(types: Vec<Type>) -> Type {
    types.into_iter().map(Some).reduce(|left, right| left?.join(&right?)).flatten().unwrap_or(Type::Dyn)
}

fn is_comparison_defined(operator: Comparison, left: &Type, right: &Type) -> bool {
    match operator {
        Comparison::Equal | Comparison::NotEqual => left.comparable(right),
        Comparison::In => match right {
            Type::List(member) | Type::Map(member, _) => member.comparable(left),
            other => *other == Type::Dyn,
        },
        _ => left.is_ordered() && right.is_ordered() && left.comparable(right),
    }
}

/// The type of `left operator right`, if that is defined. Numbers do not mix: CEL converts nothing silently.
fn type_of_arithmetic(operator: Arithmetic, left: &Type, right: &Type) -> Option<Type> {
    let defined = |side: &Type| match side {
        Type::Dyn | Type::Int | Type::Uint => true,
        Type::Double => operator != Arithmetic::Remainder,
        Type::String | Type::Bytes | Type::List(_) => operator == Arithmetic::Add,
        Type::Null | Type::Bool | Type::Map(..) => false,
    };
    left.join(right).filter(|_| defined(left) && defined(right))
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

/// A type with its article.
fn a(of_type: &Type) -> String {
    match of_type {
        Type::Int => "an int".into(),
        Type::Null => "null".into(),
        Type::Bytes => "bytes".into(),
        other => format!("a {other}"),
    }
}

/// A form of a function. The target of a method is its first parameter.
struct Signature {
    name: &'static str,
    method: bool,
    function: bool,
    parameters: &'static [Parameter],
    result: Type,
    usage: &'static str,
}

enum Parameter {
    Any,
    Sized,
    Of(Type),
}

impl Parameter {
    fn accepts(&self, found: &Type) -> bool {
        match self {
            Self::Any => true,
            Self::Sized => {
                matches!(found, Type::String | Type::Bytes | Type::List(_) | Type::Map(..) | Type::Dyn)
            }
            Self::Of(wanted) => found.may_be(wanted),
        }
    }
}

const TEXTS: &[Parameter] = &[Parameter::Of(Type::String), Parameter::Of(Type::String)];

const SIGNATURES: [Signature; 5] = [
    Signature {
        name: "size",
        method: true,
        function: true,
        parameters: &[Parameter::Sized],
        result: Type::Int,
        usage: "size(text, bytes, list or map)",
    },
    Signature {
        name: "startsWith",
        method: true,
        function: false,
        parameters: TEXTS,
        result: Type::Bool,
        usage: "text.startsWith(\"prefix\")",
    },
    Signature {
        name: "endsWith",
        method: true,
        function: false,
        parameters: TEXTS,
        result: Type::Bool,
        usage: "text.endsWith(\"suffix\")",
    },
    Signature {
        name: "contains",
        method: true,
        function: false,
        parameters: TEXTS,
        result: Type::Bool,
        usage: "text.contains(\"part\")",
    },
    Signature {
        name: "dyn",
        method: false,
        function: true,
        parameters: &[Parameter::Any],
        result: Type::Dyn,
        usage: "dyn(value)",
    },
];
