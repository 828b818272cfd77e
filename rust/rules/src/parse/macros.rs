//! Macros: calls whose arguments are not values but fields, names and bodies. They are known by their name and the
//! number of their arguments, so a function may have the name of a macro with other arguments.

use super::Parser;
use crate::ast::{Comprehension, Element, Expression, ExpressionKind, Fold, Span};
use crate::diagnostic::{Code, Diagnostic};

/// How to ask for what has() cannot be asked.
const ASK_BY_KEY: &str = "ask for a header so: \"x-tier\" in headers";

impl Parser<'_> {
    pub(super) fn has(
        &mut self,
        span: Span,
        mut arguments: Vec<Expression>,
    ) -> Result<Expression, Diagnostic> {
        let argument = arguments.pop().filter(|_| arguments.is_empty());
        let (place, help) = match argument {
            Some(Expression { kind: ExpressionKind::Select { operand, field, optional: false }, .. }) => {
                return self.node(span, ExpressionKind::Has { operand, field });
            }
            Some(Expression { span: place, kind: ExpressionKind::Index { operand, key, .. }, .. }) => {
                let [map, key] = [operand.span, key.span].map(|part| self.source.get(part.range()));
                let [map, key] = [map, key].map(Option::unwrap_or_default);
                (place, format!("write {key} in {map}"))
            }
            Some(other) => (other.span, ASK_BY_KEY.to_owned()),
            None => (span, ASK_BY_KEY.to_owned()),
        };
        Err(Diagnostic::new(
            Code::InvalidMacro,
            place,
            "has() takes one field after a dot, as in has(params.user)",
        )
        .with_help(help))
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
            return Err(Diagnostic::new(
                Code::InvalidMacro,
                span,
                "cel.bind takes a name, its value and an expression",
            ));
        };
        let variable = name_of(&variable, "cel.bind(x, value, expression that uses x)")?;
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
            return Err(Diagnostic::new(Code::InvalidMacro, span, "optMap takes a name and an expression"));
        };
        let variable = name_of(&variable, "optional.optMap(x, expression that uses x)")?;
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
        let usage = format!("list.{name}({}condition)", if count == 1 { "x, " } else { "i, x, " });
        let mut arguments = arguments.into_iter();
        let mut variables: Vec<Box<str>> = Vec::with_capacity(count);
        for argument in arguments.by_ref().take(count) {
            let variable = name_of(&argument, &usage)?;
            if variables.contains(&variable) {
                let message = format!("two variables of `{name}` are called `{variable}`");
                return Err(Diagnostic::new(Code::InvalidMacro, argument.span, message)
                    .with_help("rename one of them"));
            }
            variables.push(variable);
        }
        let mut rest = arguments.collect::<Vec<_>>().into_iter().rev();
        let (Some(body), filter) = (rest.next(), rest.next()) else {
            return Err(Diagnostic::new(Code::InvalidMacro, span, format!("write {usage}")));
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
        _ => {
            let message = "a name of your choice stands here, for each element in turn";
            Err(Diagnostic::new(Code::InvalidMacro, argument.span, message)
                .with_help(format!("write {usage}")))
        }
    }
}
