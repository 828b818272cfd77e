//! What is said about calls of functions that do not exist, or not with such arguments.

use super::Checker;
use super::advice::listed;
use super::foreign::equivalent;
use crate::ast::{Expression, ExpressionKind};
use crate::diagnostic::{Code, Diagnostic};
use crate::functions;
use crate::signature::Signature;
use crate::types::Type;

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

impl<'e> Checker<'e> {
    /// Whether the arguments of a call of an unknown function may be names for the elements of a list.
    pub(super) fn takes_names(&self, function: &str) -> bool {
        MACROS.contains(&function)
            || equivalent(function, &[]).is_some_and(|written| written.contains("(x, "))
    }

    #[cold]
    pub(super) fn unknown_function(
        &self,
        expression: &Expression,
        function: &str,
        target: Option<&'e Expression>,
        of_target: Option<(&'e Expression, Type)>,
        arguments: &'e [Expression],
    ) -> Diagnostic {
        let place = self.place(expression, target, function);
        let error =
            Diagnostic::new(Code::UnknownFunction, place, format!("there is no function `{function}`"));
        let operands: Vec<&str> =
            target.into_iter().chain(arguments).map(|operand| self.text(operand)).collect();
        let (first, rest) =
            operands.split_first().map_or(("…", [].as_slice()), |(first, rest)| (*first, rest));
        let others = rest.join(", ");
        // It exists, and is written in another way.
        let is_macro = MACROS.contains(&function);
        if target.is_some() && functions::find(function, false).is_some() {
            return error.with_help(format!("write {function}({})", operands.join(", ")));
        }
        if target.is_none() && functions::find(function, true).is_some() {
            return error.with_help(format!("it follows a dot: write {first}.{function}({others})"));
        }
        if is_macro && target.is_none() && arguments.len() > 1 {
            return error.with_help(format!("it follows a dot: write {first}.{function}({others})"));
        }
        if is_macro && function != "exists" {
            return error.with_help(match function {
                "has" => format!("write {} in {first}", rest.first().unwrap_or(&"…")),
                _ => format!("write {first}.{function}(x, …), where x is each element in turn"),
            });
        }
        if let Some(written) = equivalent(function, &operands) {
            return error.with_help(format!("write {written}"));
        }
        let namespaced =
            target.and_then(Expression::qualified_name).map(|space| format!("{space}.{function}"));
        let library = functions::names();
        let declared = self.environment.function_names();
        let known: Vec<&str> = library.iter().copied().chain(MACROS).chain(declared).collect();
        let near = namespaced.as_deref().and_then(|name| self.near(name, known.iter().copied()));
        if let Some(near) = near.or_else(|| self.near(function, known.iter().copied())) {
            let is_method = target.is_some() && functions::find(near, true).is_some();
            return error.with_help(match is_method {
                true => format!("did you mean {first}.{near}({others})?"),
                false => format!("did you mean {near}({})?", operands.join(", ")),
            });
        }
        if target.is_none() && self.environment.names().any(|name| name == function) {
            return error.with_help(format!("it is a variable: write {function} without parentheses"));
        }
        let methods: Vec<&str> = match &of_target {
            Some((_, found)) => library.iter().copied().filter(|name| has_method(name, found)).collect(),
            None => Vec::new(),
        };
        match (of_target, methods.as_slice()) {
            (None, _) | (_, []) => error.with_help("the reference of rules lists every function"),
            (Some((_, found)), methods) => {
                error.with_help(format!("{} has {}", self.a(&found), listed(methods)))
            }
        }
    }

    /// The error of a call whose operands no form of the function takes. It is about the form that is nearest.
    #[cold]
    pub(super) fn wrong_argument(
        &mut self,
        expression: &Expression,
        function: &str,
        is_method: bool,
        operands: &[&Expression],
        types: &[Type],
        signatures: &[&Signature],
    ) -> Diagnostic {
        let mut nearest: Option<((bool, usize), &Signature, Vec<bool>)> = None;
        for signature in signatures {
            let (parameters, _) = self.inference.instantiate(&signature.parameters, &signature.result);
            let pairs = types.iter().zip(&parameters);
            let fits: Vec<bool> = pairs.map(|(found, wanted)| self.inference.fits(found, wanted)).collect();
            let score = (parameters.len() == types.len(), fits.iter().filter(|fit| **fit).count());
            if nearest.as_ref().is_none_or(|(best, ..)| score > *best) {
                nearest = Some((score, signature, fits));
            }
        }
        let place = self.place(expression, operands.first().filter(|_| is_method).copied(), function);
        let Some(((same_count, _), signature, fits)) = nearest else {
            return Diagnostic::new(Code::WrongArgument, place, format!("`{function}` takes other values"));
        };
        let others = match signatures.len() {
            0 | 1 => String::new(),
            2 => ", and one more form".to_owned(),
            count => format!(", and {} more forms", count - 1),
        };
        let form = format!("there is {}{others}", signature.text);
        if !same_count {
            let wanted = signature.parameters.len() - usize::from(is_method);
            let given = types.len() - usize::from(is_method);
            let plural = if wanted == 1 { "" } else { "s" };
            let message = format!("`{function}` takes {wanted} argument{plural}; here are {given}");
            return Diagnostic::new(Code::WrongArgument, place, message).with_help(form);
        }
        let at = fits.iter().position(|fit| !fit).unwrap_or(0);
        let (Some(operand), Some(found), Some(wanted)) =
            (operands.get(at), types.get(at), signature.parameters.get(at))
        else {
            return Diagnostic::new(Code::WrongArgument, place, format!("`{function}` takes other values"));
        };
        let found_text = self.a(found);
        let message = match (is_method, at) {
            (true, 0) => format!("{found_text} has no function `{function}`"),
            _ if signatures.len() == 1 => {
                format!("`{function}` takes {} here, not {found_text}", self.a(wanted))
            }
            _ => format!("`{function}` does not take {found_text} here"),
        };
        let text = self.text(operand);
        let argument = operands.get(1).map_or("…", |argument| self.text(argument));
        let help = match (function, &operand.kind, found, wanted) {
            ("contains", _, Type::List(_) | Type::Map(..), _) => format!("write {argument} in {text}"),
            _ if signatures.len() > 1 => form,
            (_, ExpressionKind::Literal(_), number, Type::String) if number.is_number() => {
                format!("write \"{text}\"; {form}")
            }
            (_, _, number, Type::String) if number.is_number() => {
                format!("convert it with string({text}); {form}")
            }
            (_, _, Type::String, number) if number.is_number() => {
                format!("convert it with {number}({text}); {form}")
            }
            _ => form,
        };
        Diagnostic::new(Code::WrongArgument, place, message)
            .with_label(operand.span, format!("this is {found_text}"))
            .with_help(help)
    }
}

/// Whether a method takes a target of this type.
fn has_method(name: &str, target: &Type) -> bool {
    let same = |wanted: &Type| match (wanted, target) {
        (Type::List(_), Type::List(_)) | (Type::Map(..), Type::Map(..)) => true,
        (wanted, target) => wanted == target,
    };
    let overloads = functions::find(name, true).unwrap_or(&[]);
    overloads.iter().any(|overload| overload.signature.parameters.first().is_some_and(same))
}
