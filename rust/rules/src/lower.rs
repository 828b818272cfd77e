//! Checked trees to programs: names become attribute slots, constants are folded.

use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Logic, Span};
use crate::check::Types;
use crate::environment::Environment;
use crate::error::ErrorKind;
use crate::evaluate::Evaluation;
use crate::program::{Attribute, Node, Operation, Test};
use crate::registry::Registry;
use crate::types::Type;
use crate::value::{Ref, Value};

/// Lowers one expression; the attributes it reads join those already registered.
pub(crate) fn lower(
    environment: &Environment,
    types: &Types,
    attributes: &mut Registry,
    root: &Expression,
) -> Node {
    Lowering { environment, types, attributes }.lower(root)
}

struct Lowering<'l> {
    environment: &'l Environment,
    types: &'l Types,
    attributes: &'l mut Registry,
}

impl Lowering<'_> {
    fn lower(&mut self, expression: &Expression) -> Node {
        let operation = match &expression.kind {
            ExpressionKind::Literal(value) => Operation::Constant(value.clone()),
            ExpressionKind::List(elements) => Operation::List(self.lower_all(elements)),
            ExpressionKind::Map(entries) => Operation::Map(
                entries.iter().map(|(key, value)| (self.lower(key), self.lower(value))).collect(),
            ),
            ExpressionKind::Variable(_) => {
                self.variable(expression).unwrap_or(Operation::Fail(ErrorKind::UnknownVariable))
            }
            ExpressionKind::Select { operand, field } => {
                self.variable(expression).unwrap_or_else(|| self.select(expression.span, operand, field))
            }
            ExpressionKind::Has { operand, field } => match self.entry(operand, field) {
                Some(slot) => Operation::Present(slot),
                None => Operation::Has(self.lower(operand).into(), field.clone()),
            },
            ExpressionKind::Index { operand, key } => self.index(operand, key),
            ExpressionKind::Call { function, target, arguments } => {
                self.call(function, target.as_deref(), arguments)
            }
            ExpressionKind::Unary { operator, operand } => {
                Operation::Unary(*operator, self.lower(operand).into())
            }
            ExpressionKind::Binary { operator, left, right } => self.binary(*operator, left, right),
            ExpressionKind::Logic { operator, terms } => {
                return self.logic(expression.span, *operator, terms);
            }
            ExpressionKind::Conditional { condition, yes, no } => {
                let condition = self.lower(condition);
                match condition.operation {
                    Operation::Constant(Value::Bool(true)) => return self.lower(yes),
                    Operation::Constant(Value::Bool(false)) => return self.lower(no),
                    _ => Operation::Conditional([condition, self.lower(yes), self.lower(no)].into()),
                }
            }
        };
        fold(Node { span: expression.span, operation })
    }

    fn lower_all(&mut self, expressions: &[Expression]) -> Box<[Node]> {
        expressions.iter().map(|expression| self.lower(expression)).collect()
    }

    fn variable(&mut self, expression: &Expression) -> Option<Operation> {
        let (variable, _) = self.environment.find(&expression.qualified_name()?)?;
        Some(Operation::Attribute(self.attributes.place(Attribute { variable, key: None })))
    }

    /// The slot of the entry `key` of a declared map, if that is what `operand` is.
    fn entry(&mut self, operand: &Expression, key: &str) -> Option<usize> {
        let (variable, declared) = self.environment.find(&operand.qualified_name()?)?;
        let Type::Map(key_type, _) = &declared.of_type else { return None };
        if **key_type != Type::String {
            return None;
        }
        let key = if declared.lowercase_keys { key.to_ascii_lowercase().into() } else { key.into() };
        Some(self.attributes.place(Attribute { variable, key: Some(key) }))
    }

    fn select(&mut self, span: Span, operand: &Expression, field: &str) -> Operation {
        if let Some(slot) = self.entry(operand, field) {
            return Operation::Attribute(slot);
        }
        let key = Operation::Constant(Value::String(Ref::Counted(field.into())));
        Operation::Index([self.lower(operand), Node { span, operation: key }].into())
    }

    fn index(&mut self, operand: &Expression, key: &Expression) -> Operation {
        let key = self.lower(key);
        if let Operation::Constant(Value::String(text)) = &key.operation
            && let Some(slot) = self.entry(operand, text)
        {
            return Operation::Attribute(slot);
        }
        let key = self.key_of(operand, key);
        Operation::Index([self.lower(operand), key].into())
    }

    /// A key computed per request, in lower case if those of the map are.
    fn key_of(&mut self, map: &Expression, key: Node) -> Node {
        let declared = map.qualified_name().and_then(|name| self.environment.find(&name));
        match declared {
            Some((_, variable)) if variable.lowercase_keys => {
                Node { span: key.span, operation: Operation::Lowercase(key.into()) }
            }
            _ => key,
        }
    }

    fn binary(&mut self, operator: Binary, left: &Expression, right: &Expression) -> Operation {
        match operator {
            Binary::Comparison(Comparison::In) => self.membership(left, right),
            Binary::Comparison(operator) => {
                test(Test::Comparison(operator), self.lower(left), self.lower(right))
            }
            Binary::Arithmetic(operator) => {
                Operation::Arithmetic(operator, [self.lower(left), self.lower(right)].into())
            }
        }
    }

    fn membership(&mut self, element: &Expression, container: &Expression) -> Operation {
        let element = self.lower(element);
        if let Operation::Constant(Value::String(text)) = &element.operation
            && let Some(slot) = self.entry(container, text)
        {
            return Operation::Present(slot);
        }
        let element = self.key_of(container, element);
        test(Test::Comparison(Comparison::In), element, self.lower(container))
    }

    /// A constant that decides the whole drops the other terms; one that decides nothing is dropped.
    fn logic(&mut self, span: Span, operator: Logic, terms: &[Expression]) -> Node {
        let decisive = operator == Logic::Or;
        let mut kept = Vec::with_capacity(terms.len());
        let mut all_bool = true;
        for term in terms {
            let node = self.lower(term);
            match node.operation {
                Operation::Constant(Value::Bool(truth)) if truth == decisive => {
                    return Node { span, operation: Operation::Constant(Value::Bool(decisive)) };
                }
                Operation::Constant(Value::Bool(_)) => {}
                _ => {
                    all_bool &= *self.types.of(term) == Type::Bool;
                    kept.push(node);
                }
            }
        }
        match (kept.pop(), kept.is_empty()) {
            (None, _) => Node { span, operation: Operation::Constant(Value::Bool(!decisive)) },
            (Some(only), true) if all_bool => only,
            (Some(last), _) => {
                kept.push(last);
                Node { span, operation: Operation::Logic(operator, kept.into()) }
            }
        }
    }

    fn call(&mut self, function: &str, target: Option<&Expression>, arguments: &[Expression]) -> Operation {
        match (function, target, arguments) {
            ("size", Some(operand), []) | ("size", None, [operand]) => {
                Operation::Size(self.lower(operand).into())
            }
            ("dyn", None, [operand]) => self.lower(operand).operation,
            (_, Some(text), [part]) => {
                let question = match function {
                    "startsWith" => Test::StartsWith,
                    "endsWith" => Test::EndsWith,
                    "contains" => Test::Contains,
                    _ => return Operation::Fail(ErrorKind::UnknownFunction),
                };
                test(question, self.lower(text), self.lower(part))
            }
            _ => Operation::Fail(ErrorKind::UnknownFunction),
        }
    }
}

/// A test, with an attribute on its left and a constant on its right where it can be put so.
fn test(test: Test, left: Node, right: Node) -> Operation {
    match (left.operation, right.operation) {
        (Operation::Attribute(attribute), Operation::Constant(constant)) => {
            Operation::AttributeTest { test, attribute, read_at: left.span, constant }
        }
        (Operation::Constant(constant), Operation::Attribute(attribute)) if test.mirrored().is_some() => {
            let test = test.mirrored().unwrap_or(test);
            Operation::AttributeTest { test, attribute, read_at: right.span, constant }
        }
        (left_operation, right_operation) => {
            let left = Node { span: left.span, operation: left_operation };
            let right = Node { span: right.span, operation: right_operation };
            Operation::Test(test, [left, right].into())
        }
    }
}

/// Computes a node whose operands are constant. One that fails is left to fail when it is evaluated, since
/// `&&` and `||` may absorb that.
fn fold(node: Node) -> Node {
    let constant = |node: &Node| matches!(node.operation, Operation::Constant(_));
    let foldable = match &node.operation {
        Operation::Unary(_, operand) | Operation::Has(operand, _) | Operation::Size(operand) => {
            constant(operand)
        }
        Operation::Test(_, operands) | Operation::Arithmetic(_, operands) | Operation::Index(operands) => {
            operands.iter().all(constant)
        }
        Operation::List(elements) => elements.iter().all(constant),
        Operation::Map(entries) => entries.iter().all(|(key, value)| constant(key) && constant(value)),
        _ => false,
    };
    if !foldable {
        return node;
    }
    let result = Evaluation::new(&[], &()).value(&node).map(Value::into_owned);
    match result {
        Ok(value) => Node { span: node.span, operation: Operation::Constant(value) },
        Err(_) => node,
    }
}
