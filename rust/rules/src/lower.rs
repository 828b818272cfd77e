//! Checked trees to programs: names become attribute slots, constants are folded.

use std::sync::Arc;

use crate::ast::{Binary, Comparison, Expression, ExpressionKind, Logic, Span};
use crate::check::Types;
use crate::environment::{Callee, Definition, Environment, Form, Name};
use crate::error::ErrorKind;
use crate::evaluate::{Evaluation, ask};
use crate::functions::Pattern;
use crate::program::{Attribute, Comprehension, Element, Entry, Node, Operation, ReadAt, Test};
use crate::registry::Registry;
use crate::types::Type;
use crate::value::Value;

/// Nodes of a definition that is repeated where it is used.
const LONGEST_INLINED: usize = 64;

/// Bytes of text and elements of lists that a computed constant may have, to be kept for as long as the rule.
const HEAVIEST_FOLDED: usize = 64 * 1024;

/// Lowers one expression; the attributes it reads join those already registered.
pub(crate) fn lower(
    environment: &Environment,
    types: &Types,
    attributes: &mut Registry,
    root: &Expression,
) -> Node {
    Lowering { environment, types, attributes, locals: Vec::new(), used_at: None }.lower(root)
}

struct Lowering<'l> {
    environment: &'l Environment,
    types: &'l Types,
    attributes: &'l mut Registry,
    /// The variables of the comprehensions around, innermost last.
    locals: Vec<&'l str>,
    /// In the expression of a definition: where the rule uses it.
    used_at: Option<Span>,
}

impl<'l> Lowering<'l> {
    fn lower(&mut self, expression: &'l Expression) -> Node {
        let span = self.used_at.unwrap_or(expression.span);
        let operation = match &expression.kind {
            ExpressionKind::Literal(value) => Operation::Constant(value.clone()),
            ExpressionKind::List(elements) => {
                let element = |one: &'l crate::ast::Element| Element {
                    optional: one.optional,
                    value: self.lower(&one.value),
                };
                Operation::List(elements.iter().map(element).collect())
            }
            ExpressionKind::Map(entries) => {
                let entry = |one: &'l crate::ast::Entry| Entry {
                    optional: one.optional,
                    key: self.lower(&one.key),
                    value: self.lower(&one.value),
                };
                Operation::Map(entries.iter().map(entry).collect())
            }
            ExpressionKind::Variable { .. } => {
                self.named(expression, span).unwrap_or(Operation::Fail(ErrorKind::UnknownVariable))
            }
            ExpressionKind::Select { operand, field, optional } => match self.named(expression, span) {
                Some(operation) => operation,
                None => self.select(span, operand, field, *optional),
            },
            ExpressionKind::Has { operand, field } => match self.entry(operand, field) {
                Some(slot) => Operation::Present(slot),
                None => Operation::Has(self.lower(operand).into(), field.clone()),
            },
            ExpressionKind::Index { operand, key, optional } => self.index(operand, key, *optional),
            ExpressionKind::Call { function, target, arguments } => {
                self.call(function, target.as_deref(), arguments)
            }
            ExpressionKind::Unary { operator, operand } => {
                Operation::Unary(*operator, self.lower(operand).into())
            }
            ExpressionKind::Binary { operator, left, right } => match operator {
                Binary::Comparison(Comparison::In) => self.membership(left, right),
                Binary::Comparison(operator) => {
                    test(Test::Comparison(*operator), self.lower(left), self.lower(right))
                }
                Binary::Arithmetic(operator) => {
                    Operation::Arithmetic(*operator, [self.lower(left), self.lower(right)].into())
                }
            },
            ExpressionKind::Sum(terms) => Operation::Sum(self.lower_all(terms)),
            ExpressionKind::Logic { operator, terms } => return self.logic(span, *operator, terms),
            ExpressionKind::Conditional { condition, yes, no } => {
                let condition = self.lower(condition);
                match condition.operation {
                    Operation::Constant(Value::Bool(true)) => return self.lower(yes),
                    Operation::Constant(Value::Bool(false)) => return self.lower(no),
                    _ => Operation::Conditional([condition, self.lower(yes), self.lower(no)].into()),
                }
            }
            ExpressionKind::Comprehension(comprehension) => self.comprehension(comprehension),
            ExpressionKind::Bind { variable, value, body } => {
                let value = self.lower(value);
                Operation::Bind([value, self.within(&[variable], body)].into())
            }
            ExpressionKind::OptionalMap { operand, variable, body, flat } => {
                let operand = self.lower(operand);
                let nodes = [operand, self.within(&[variable], body)].into();
                Operation::OptionalMap { nodes, flat: *flat }
            }
        };
        fold(Node { span, operation }, self.locals.len())
    }

    fn lower_all(&mut self, expressions: &'l [Expression]) -> Box<[Node]> {
        expressions.iter().map(|expression| self.lower(expression)).collect()
    }

    /// Lowers with further local variables.
    fn within(&mut self, locals: &[&'l str], body: &'l Expression) -> Node {
        let before = self.locals.len();
        self.locals.extend_from_slice(locals);
        let node = self.lower(body);
        self.locals.truncate(before);
        node
    }

    fn comprehension(&mut self, comprehension: &'l crate::ast::Comprehension) -> Operation {
        let range = self.lower(&comprehension.range);
        let locals: Vec<&str> = comprehension.variables.iter().map(|name| &**name).collect();
        let filter = comprehension.filter.as_ref().map(|filter| self.within(&locals, filter));
        let body = self.within(&locals, &comprehension.body);
        let pairs = locals.len() == 2;
        Operation::Comprehension(
            Comprehension { fold: comprehension.fold, range, pairs, filter, body }.into(),
        )
    }

    /// What a name means, if the expression is one.
    fn named(&mut self, expression: &Expression, span: Span) -> Option<Operation> {
        Some(match self.environment.resolve(expression, self.locals.iter().copied())? {
            Name::Local(place) => Operation::Local(place),
            Name::Variable(variable) => {
                Operation::Attribute(self.attributes.place(Attribute::new(variable, None)))
            }
            Name::Definition(index) => self.definition(index, span)?,
            Name::Type(kind) => Operation::Constant(Value::Type(kind)),
        })
    }

    /// A definition. A short condition becomes part of the rule, so that all that is known of rules is known of it;
    /// what else there is, is evaluated once.
    fn definition(&mut self, index: usize, span: Span) -> Option<Operation> {
        let definition = self.environment.definition(index)?;
        let node = match self.attributes.definition(index) {
            Some(node) => node,
            None => {
                let node = Arc::new(self.lower_definition(definition, None));
                self.attributes.define(index, Arc::clone(&node));
                node
            }
        };
        if let Operation::Constant(value) = &node.operation {
            return Some(Operation::Constant(value.clone()));
        }
        let is_condition = *definition.expression.result_type() == Type::Bool;
        Some(if is_condition && self.locals.is_empty() && node.size() <= LONGEST_INLINED {
            self.lower_definition(definition, Some(span)).operation
        } else {
            Operation::Definition(index, node)
        })
    }

    fn lower_definition(&mut self, definition: &'l Definition, used_at: Option<Span>) -> Node {
        let mut lowering = Lowering {
            environment: self.environment,
            types: &definition.expression.types,
            attributes: self.attributes,
            locals: Vec::new(),
            used_at,
        };
        lowering.lower(&definition.expression.root)
    }

    /// The variable that an expression names.
    fn variable(&self, expression: &Expression) -> Option<usize> {
        match self.environment.resolve(expression, self.locals.iter().copied())? {
            Name::Variable(variable) => Some(variable),
            _ => None,
        }
    }

    /// The slot of the entry `key` of a declared map, if that is what `operand` is.
    fn entry(&mut self, operand: &Expression, key: &str) -> Option<usize> {
        let variable = self.variable(operand)?;
        let declared = self.environment.variable(variable)?;
        let Type::Map(key_type, _) = &declared.of_type else { return None };
        if **key_type != Type::String {
            return None;
        }
        let lowercase = declared.form == Form::LowercaseKeys;
        let key = if lowercase { key.to_ascii_lowercase().into() } else { key.into() };
        Some(self.attributes.place(Attribute::new(variable, Some(key))))
    }

    fn select(&mut self, span: Span, operand: &'l Expression, field: &str, optional: bool) -> Operation {
        match (self.entry(operand, field), optional) {
            (Some(slot), false) => return Operation::Attribute(slot),
            (Some(slot), true) => return Operation::OptionalAttribute(slot),
            (None, _) => {}
        }
        let key = Node { span, operation: Operation::Constant(Value::text(field)) };
        let operands = [self.lower(operand), key].into();
        if optional { Operation::OptionalIndex(operands) } else { Operation::Index(operands) }
    }

    fn index(&mut self, operand: &'l Expression, key: &'l Expression, optional: bool) -> Operation {
        let key = self.lower(key);
        if let Operation::Constant(Value::String(text)) = &key.operation
            && let Some(slot) = self.entry(operand, text)
        {
            return if optional { Operation::OptionalAttribute(slot) } else { Operation::Attribute(slot) };
        }
        let key = self.key_of(operand, key);
        let operands = [self.lower(operand), key].into();
        if optional { Operation::OptionalIndex(operands) } else { Operation::Index(operands) }
    }

    /// A key computed per request, in lower case if those of the map are.
    fn key_of(&mut self, map: &Expression, key: Node) -> Node {
        let declared = self.variable(map).and_then(|variable| self.environment.variable(variable));
        match declared {
            Some(variable) if variable.form == Form::LowercaseKeys => {
                Node { span: key.span, operation: Operation::Lowercase(key.into()) }
            }
            _ => key,
        }
    }

    fn membership(&mut self, element: &'l Expression, container: &'l Expression) -> Operation {
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
    fn logic(&mut self, span: Span, operator: Logic, terms: &'l [Expression]) -> Node {
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

    fn call(
        &mut self,
        function: &str,
        target: Option<&'l Expression>,
        arguments: &'l [Expression],
    ) -> Operation {
        let callee = self.environment.callee(function, target, self.locals.iter().copied());
        let target = target.filter(|_| callee.is_some_and(|(_, is_argument)| is_argument));
        let mut nodes: Vec<Node> =
            target.into_iter().chain(arguments).map(|argument| self.lower(argument)).collect();
        match callee {
            Some((Callee::Keyed(variable), _)) => match nodes.as_slice() {
                [Node { operation: Operation::Constant(Value::String(key)), .. }] => {
                    let attribute = Attribute::new(variable, Some((**key).into()));
                    Operation::Attribute(self.attributes.place(attribute))
                }
                _ => Operation::Fail(ErrorKind::UnknownFunction),
            },
            Some((Callee::Library(overloads), _)) => {
                if let Some(test) = question(function).filter(|_| target.is_some() && nodes.len() == 2)
                    && let (Some(part), Some(text)) = (nodes.pop(), nodes.pop())
                {
                    return match attribute_test(test, text, part) {
                        Ok(operation) => operation,
                        Err(nodes) => Operation::Call(overloads, nodes as Box<[Node]>),
                    };
                }
                if let ("matches", [_, Node { operation: Operation::Constant(Value::String(pattern)), .. }]) =
                    (function, nodes.as_slice())
                    && let Ok(pattern) = Pattern::compile(pattern)
                {
                    nodes.truncate(1);
                    if let Some(text) = nodes.pop() {
                        return Operation::Matches(text.into(), pattern);
                    }
                }
                if let (
                    "orValue",
                    [
                        Node { operation: Operation::OptionalAttribute(attribute), .. },
                        Node { operation: Operation::Constant(other), .. },
                    ],
                ) = (function, nodes.as_slice())
                {
                    return Operation::AttributeOr(*attribute, other.clone());
                }
                match <[Node; 2]>::try_from(nodes) {
                    Ok(nodes) if target.is_some() && matches!(function, "or" | "orValue") => {
                        Operation::OrElse(overloads, nodes.into())
                    }
                    Ok(nodes) => Operation::Call(overloads, nodes.into()),
                    Err(nodes) => Operation::Call(overloads, nodes.into()),
                }
            }
            Some((Callee::Declared(_), _)) | None => Operation::Fail(ErrorKind::UnknownFunction),
        }
    }
}

/// The functions that may test an attribute.
fn question(function: &str) -> Option<Test> {
    Some(match function {
        "startsWith" => Test::StartsWith,
        "endsWith" => Test::EndsWith,
        "contains" => Test::Contains,
        _ => return None,
    })
}

/// A test of an attribute against a constant, or the two nodes back.
fn attribute_test(test: Test, left: Node, right: Node) -> Result<Operation, Box<[Node; 2]>> {
    let of = |test: Test, node: &Node, constant: &Value<'static>| {
        let (attribute, if_absent) = match &node.operation {
            Operation::Attribute(attribute) => (*attribute, None),
            Operation::AttributeOr(attribute, other) => (*attribute, Some(ask(test, other, constant).ok()?)),
            _ => return None,
        };
        let constant = constant.clone();
        Some(Operation::AttributeTest { test, attribute, read_at: ReadAt(node.span), constant, if_absent })
    };
    let found = match (&left.operation, &right.operation) {
        (_, Operation::Constant(constant)) => of(test, &left, constant),
        (Operation::Constant(constant), _) => {
            test.mirrored().and_then(|mirrored| of(mirrored, &right, constant))
        }
        _ => None,
    };
    found.ok_or_else(|| Box::new([left, right]))
}

fn test(test: Test, left: Node, right: Node) -> Operation {
    match (attribute_test(test, left, right), test) {
        (Ok(operation), _) => operation,
        (Err(nodes), Test::Comparison(comparison)) => Operation::Test(comparison, nodes),
        (Err(_), _) => Operation::Fail(ErrorKind::UnknownFunction),
    }
}

/// Computes a node whose operands are constant. One that fails is left to fail when it is evaluated, since
/// `&&` and `||` may absorb that. So many local variables are around it.
fn fold(node: Node, around: usize) -> Node {
    let foldable = match &node.operation {
        Operation::Constant(_)
        | Operation::Attribute(_)
        | Operation::OptionalAttribute(_)
        | Operation::AttributeOr(..)
        | Operation::Present(_)
        | Operation::Local(_)
        | Operation::Definition(..)
        | Operation::Fail(_)
        | Operation::AttributeTest { .. }
        | Operation::Logic(..)
        | Operation::Conditional(_) => false,
        Operation::Comprehension(_) | Operation::Bind(_) | Operation::OptionalMap { .. } => {
            is_closed(&node, around)
        }
        operation => {
            let mut constant = true;
            operation.children(&mut |child| constant &= matches!(child.operation, Operation::Constant(_)));
            constant
        }
    };
    if !foldable {
        return node;
    }
    let result = Evaluation::of_constant(around).owned(&node);
    match result {
        Ok(value) if value.weight() <= HEAVIEST_FOLDED => {
            Node { span: node.span, operation: Operation::Constant(value) }
        }
        _ => node,
    }
}

/// Whether a node reads nothing but constants and the local variables from `locals` on, which are its own.
fn is_closed(node: &Node, locals: usize) -> bool {
    match &node.operation {
        Operation::Attribute(_)
        | Operation::OptionalAttribute(_)
        | Operation::AttributeOr(..)
        | Operation::Present(_)
        | Operation::Definition(..)
        | Operation::AttributeTest { .. }
        | Operation::Fail(_) => false,
        Operation::Local(place) => *place >= locals,
        operation => {
            let mut closed = true;
            operation.children(&mut |child| closed = closed && is_closed(child, locals));
            closed
        }
    }
}
