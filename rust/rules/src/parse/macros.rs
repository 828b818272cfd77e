//! Macros: calls whose arguments are not values but fields, names and bodies. They are known by their name and the
//! number of their arguments, so a function may have the name of a macro with other arguments.

use super::Parser;
use crate::ast::{Comprehension, Element, Expression, ExpressionKind, Fold, Span};
use crate::diagnostic::Diagnostic;

impl Parser<'_> {
    pub(super) fn has(
        &mut self,
        span: Span,
        mut arguments: Vec<Expression>,
    ) -> Result<Expression, Diagnostic> {
        let argument = arguments.pop().filter(|_| arguments.is_empty()).map(|argument| argument.kind);
        match argument {
            Some(ExpressionKind::Select { operand, field, optional: false }) => {
                self.node(span, ExpressionKind::Has { operand, field })
            }
            _ => Err(Diagnostic::new(span.range(), "has() takes one field, as in has(headers.tier)")
                .with_help("ask for any other key with `in`, as in \"x-tier\" in headers")),
        }
    }

    /// `target.name(arguments)`: a macro, or the call of a function.
    pub(super) fn method(
        &mut self,
        span: Span,
        target: Expression,
        name: Box<str>,
        arguments: Vec<Expression>,
    ) -> Result<Expression, Diagnostic> {
        if !self.macros {
            let target = Some(target.into());
            return self.node(span, ExpressionKind::Call { function: name, target, arguments });
        }
        if matches!(&target.kind, ExpressionKind::Variable { name: namespace, .. } if **namespace == *"cel")
            && &*name == "bind"
            && arguments.len() == 3
        {
            return self.bind(span, arguments);
        }
        if matches!(&target.kind, ExpressionKind::Variable { name: namespace, .. } if **namespace == *"math")
            && matches!(&*name, "greatest" | "least")
            && arguments.len() > 1
        {
            // Of any number of arguments, which makes a list of them.
            let elements = arguments.into_iter().map(|value| Element { optional: false, value }).collect();
            let list = self.node(span, ExpressionKind::List(elements))?;
            let (target, arguments) = (Some(target.into()), vec![list]);
            return self.node(span, ExpressionKind::Call { function: name, target, arguments });
        }
        let flat = &*name == "optFlatMap";
        if (flat || &*name == "optMap") && arguments.len() == 2 {
            return self.optional_map(span, target, arguments, flat);
        }
        if let Some((fold, variables)) = comprehension(&name, arguments.len()) {
            return self.comprehension(span, target, &name, fold, variables, arguments);
        }
        self.node(span, ExpressionKind::Call { function: name, target: Some(target.into()), arguments })
    }

    fn bind(&mut self, span: Span, arguments: Vec<Expression>) -> Result<Expression, Diagnostic> {
        let mut arguments = arguments.into_iter();
        let (Some(variable), Some(value), Some(body)) =
            (arguments.next(), arguments.next(), arguments.next())
        else {
            return Err(Diagnostic::new(span.range(), "cel.bind takes a name, its value and an expression"));
        };
        let variable = name_of(&variable, "cel.bind(NAME, value, expression)")?;
        self.node(span, ExpressionKind::Bind { variable, value: value.into(), body: body.into() })
    }

    fn optional_map(
        &mut self,
        span: Span,
        operand: Expression,
        arguments: Vec<Expression>,
        flat: bool,
    ) -> Result<Expression, Diagnostic> {
        let mut arguments = arguments.into_iter();
        let (Some(variable), Some(body)) = (arguments.next(), arguments.next()) else {
            return Err(Diagnostic::new(span.range(), "optMap takes a name and an expression"));
        };
        let variable = name_of(&variable, "optional.optMap(NAME, expression)")?;
        let kind = ExpressionKind::OptionalMap { operand: operand.into(), variable, body: body.into(), flat };
        self.node(span, kind)
    }

    fn comprehension(
        &mut self,
        span: Span,
        range: Expression,
        name: &str,
        fold: Fold,
        count: usize,
        arguments: Vec<Expression>,
    ) -> Result<Expression, Diagnostic> {
        let usage = format!("list.{name}({}expression)", "NAME, ".repeat(count));
        let mut arguments = arguments.into_iter();
        let mut variables: Vec<Box<str>> = Vec::with_capacity(count);
        for argument in arguments.by_ref().take(count) {
            let variable = name_of(&argument, &usage)?;
            if variables.contains(&variable) {
                let message = format!("two variables of `{name}` are called `{variable}`");
                return Err(Diagnostic::new(argument.span.range(), message).with_help("rename one of them"));
            }
            variables.push(variable);
        }
        let mut rest = arguments.collect::<Vec<_>>().into_iter().rev();
        let (Some(body), filter) = (rest.next(), rest.next()) else {
            return Err(Diagnostic::new(span.range(), format!("write {usage}")));
        };
        let comprehension = Comprehension { fold, range, variables, filter, body };
        self.node(span, ExpressionKind::Comprehension(comprehension.into()))
    }
}

/// What a macro on a list or map folds, and how many variables it names, by its name and number of arguments.
fn comprehension(name: &str, arguments: usize) -> Option<(Fold, usize)> {
    Some(match (name, arguments) {
        ("all", 2 | 3) => (Fold::All, arguments - 1),
        ("exists", 2 | 3) => (Fold::Exists, arguments - 1),
        ("exists_one" | "existsOne", 2 | 3) => (Fold::ExistsOne, arguments - 1),
        ("filter", 2) => (Fold::Filter, 1),
        ("map", 2 | 3) => (Fold::List, 1),
        ("transformList", 3 | 4) => (Fold::List, 2),
        ("transformMap", 3 | 4) => (Fold::Values, 2),
        ("transformMapEntry", 3 | 4) => (Fold::Entries, 2),
        ("sortBy", 2) => (Fold::SortBy, 1),
        _ => return None,
    })
}

fn name_of(argument: &Expression, usage: &str) -> Result<Box<str>, Diagnostic> {
    match &argument.kind {
        ExpressionKind::Variable { name, absolute: false } => Ok(name.clone()),
        _ => Err(Diagnostic::new(argument.span.range(), "this must be a plain name")
            .with_help(format!("write {usage}"))),
    }
}
