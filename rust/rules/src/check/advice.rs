//! What is said about names that stand for nothing, and what all advice is made with.

use super::Checker;
use std::ops::Range;

use super::foreign::equivalent;
use crate::ast::{Expression, ExpressionKind};
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::functions;
use crate::types::Type;

/// Constants of other languages, in small letters.
const CONSTANTS: [(&str, &str); 9] = [
    ("true", "true"),
    ("yes", "true"),
    ("false", "false"),
    ("no", "false"),
    ("null", "null"),
    ("none", "null"),
    ("nil", "null"),
    ("undefined", "null"),
    ("nan", "double(\"NaN\")"),
];

/// Errors of one expression for which a near name is looked for. Beyond, it would cost more than it helps.
const SUGGESTIONS: usize = 20;
/// Names that a help line lists.
const LISTED: usize = 24;
/// Bytes of source that a help line repeats.
const REPEATED: usize = 60;

impl<'e> Checker<'e> {
    /// The text of an expression as help repeats it.
    pub(super) fn text(&self, expression: &Expression) -> &'e str {
        let text = self.source.get(expression.span.range()).unwrap_or("…");
        if text.len() > REPEATED || text.contains('\n') { "…" } else { text }
    }

    /// A type with its article.
    pub(super) fn a(&self, of_type: &Type) -> String {
        match self.inference.settle(of_type) {
            Type::Int => "an int".into(),
            Type::Null => "null".into(),
            Type::Bytes => "bytes".into(),
            other if other.optional_value().is_some() => format!("an {other}"),
            other => format!("a {other}"),
        }
    }

    pub(super) fn near<'n>(&self, word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        if self.diagnostics.len() < SUGGESTIONS { nearest(word, names) } else { None }
    }

    /// Names that can stand where a value is expected.
    fn names(&self) -> Vec<&'e str> {
        self.locals.iter().map(|(name, _)| *name).chain(self.environment.names()).collect()
    }

    /// Whether the first part of a name stands for something. What is no name is known.
    pub(super) fn is_known(&self, expression: &Expression) -> bool {
        let Some((first, _)) = expression.first_name() else { return true };
        let belongs =
            |name: &str| name == first || name.strip_prefix(first).is_some_and(|rest| rest.starts_with('.'));
        let locals = self.locals.iter().map(|(name, _)| *name);
        locals.chain(self.environment.names()).any(belongs)
    }

    /// Where the name of a field or function stands that follows `target`, or begins the expression.
    pub(super) fn place(
        &self,
        expression: &Expression,
        target: Option<&Expression>,
        name: &str,
    ) -> Range<usize> {
        let whole = expression.span.range();
        let from = target.map_or(whole.start, |target| target.span.range().end);
        match self.source.get(from..whole.end).and_then(|rest| rest.find(name)) {
            Some(at) => from + at..from + at + name.len(),
            None => whole,
        }
    }

    #[cold]
    pub(super) fn unknown_variable(&self, expression: &Expression, name: &str) -> Diagnostic {
        let error =
            Diagnostic::new(Code::UnknownVariable, expression.span, format!("there is no variable `{name}`"));
        if let Some((_, constant)) = CONSTANTS.iter().find(|(foreign, _)| name.eq_ignore_ascii_case(foreign))
        {
            return error.with_help(format!("write {constant}"));
        }
        let known = self.names();
        if let Some(near) = self.near(name, known.iter().copied()) {
            return error.with_help(format!("did you mean `{near}`?"));
        }
        let prefix = format!("{name}.");
        let fields: Vec<&str> = known.iter().copied().filter(|known| known.starts_with(&prefix)).collect();
        if !fields.is_empty() {
            return error.with_help(format!("there is {}", listed(&fields)));
        }
        error.with_help(match known.as_slice() {
            [] => format!("write \"{name}\" if it is text"),
            known => format!("write \"{name}\" if it is text; variables are {}", listed(known)),
        })
    }

    /// The error of `first.field` where there is no `first`, if there is something to say about both together.
    #[cold]
    fn dotted(&self, expression: &Expression, field: &str) -> Option<Diagnostic> {
        let whole = expression.qualified_name()?;
        let error = Diagnostic::new(
            Code::UnknownVariable,
            expression.span,
            format!("there is no variable `{whole}`"),
        );
        let known = self.names();
        let near = self.near(&whole, known.iter().copied().filter(|name| name.contains('.')));
        let near = near.or_else(|| known.iter().copied().find(|name| *name == field));
        near.map(|near| error.with_help(format!("did you mean `{near}`?")))
    }

    pub(super) fn unknown_dotted(
        &self,
        expression: &Expression,
        operand: &Expression,
        field: &str,
    ) -> Option<Diagnostic> {
        let ExpressionKind::Variable { name, .. } = &operand.kind else { return None };
        let locals = self.locals.iter().map(|(name, _)| *name);
        if self.environment.resolve(operand, locals).is_some() {
            return None;
        }
        // The variable that was nearly written is the better guess.
        let nearly = self.near(name, self.names().into_iter().filter(|known| !known.contains('.')));
        if nearly.is_some() { None } else { self.dotted(expression, field) }
    }

    #[cold]
    pub(super) fn unknown_field(
        &self,
        expression: &Expression,
        operand: &Expression,
        found: &Type,
        field: &str,
    ) -> Diagnostic {
        let (text, found_text) = (self.text(operand), self.a(found));
        let message = format!("{found_text} has no field `{field}`");
        let place = self.place(expression, Some(operand), field);
        let error = Diagnostic::new(Code::UnknownField, place, message)
            .with_label(operand.span, format!("this is {found_text}"));
        if let Some(written) = equivalent(field, &[text]) {
            return error.with_help(format!("write {written}"));
        }
        if functions::find(field, true).is_some() {
            return error.with_help(format!("it is a function: write {text}.{field}(…)"));
        }
        let names = self.names();
        match self.near(field, names.iter().copied()) {
            Some(variable) if variable == field => error.with_help(format!("write {variable} alone")),
            _ => error.with_help("only maps have fields, as headers and params"),
        }
    }
}

/// Names between commas, and whether there are more.
pub(super) fn listed(names: &[&str]) -> String {
    let (shown, more) = names.split_at(names.len().min(LISTED));
    shown.join(", ") + if more.is_empty() { "" } else { ", …" }
}
