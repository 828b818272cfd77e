//! Signatures of functions, in the notation of CEL: `string.charAt(int) -> string`, `math.abs(int) -> int`.

use crate::types::{Type, split};
use crate::value::{Kind, Value};

/// Types of arguments and result. The target of a method is its first parameter.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// As it was written.
    pub(crate) text: Box<str>,
    pub(crate) method: bool,
    pub(crate) parameters: Box<[Type]>,
    pub(crate) result: Type,
    /// What values each parameter takes; `None` for any.
    kinds: Box<[Option<Kind>]>,
}

impl Signature {
    /// The name of the function and its signature. What precedes the last dot of the name is the type of the target if
    /// it is a type, and otherwise part of the name.
    pub(crate) fn read(text: &str) -> Option<(&str, Self)> {
        let (head, result) = text.split_once(" -> ")?;
        let (before, arguments) = opening(head)?;
        let (name, target) = match last_dot(before) {
            Some((prefix, name)) => match Type::read(prefix, true) {
                Ok(target) => (name, Some(target)),
                Err(_) => (before, None),
            },
            None => (before, None),
        };
        let method = target.is_some();
        let arguments = Some(arguments).filter(|written| !written.is_empty());
        let arguments = arguments.into_iter().flat_map(split).map(|one| Type::read(one, true));
        let parameters: Box<[Type]> =
            target.into_iter().map(Ok).chain(arguments).collect::<Result<_, _>>().ok()?;
        let kinds = parameters.iter().map(Type::kind).collect();
        let result = Type::read(result, true).ok()?;
        Some((name, Self { text: text.into(), method, parameters, result, kinds }))
    }

    /// Whether these values are of the kinds that the parameters have.
    #[inline]
    pub(crate) fn takes(&self, arguments: &[Value<'_>]) -> bool {
        self.kinds.len() == arguments.len()
            && self
                .kinds
                .iter()
                .zip(arguments)
                .all(|(wanted, found)| wanted.is_none_or(|kind| kind == found.kind()))
    }
}

/// What stands before the parenthesis that opens the arguments, and what stands in it.
fn opening(head: &str) -> Option<(&str, &str)> {
    let inner = head.strip_suffix(')')?;
    let mut depth = 0_u32;
    for (at, character) in inner.char_indices().rev() {
        match character {
            ')' => depth += 1,
            '(' if depth == 0 => return Some((inner.get(..at)?, inner.get(at + 1..)?)),
            '(' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The type of the target and the name of a method. Dots in parentheses do not count.
fn last_dot(before: &str) -> Option<(&str, &str)> {
    let (prefix, name) = before.rsplit_once('.')?;
    (!name.contains(')')).then_some((prefix, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (text, name, method, parameters) in [
            ("size(string) -> int", "size", false, "string"),
            ("string.charAt(int) -> string", "charAt", true, "string, int"),
            ("math.abs(int) -> int", "math.abs", false, "int"),
            ("list(A).slice(int, int) -> list(A)", "slice", true, "list(A), int, int"),
            ("map(A, B).get(A) -> optional_type(B)", "get", true, "map(A, B), A"),
            ("net.IP.family() -> int", "family", true, "net.IP"),
            ("ip.isCanonical(string) -> bool", "ip.isCanonical", false, "string"),
            ("sort(tuple(T, T)) -> tuple(T, T)", "sort", false, "tuple(T, T)"),
            ("optional.none() -> optional_type(A)", "optional.none", false, ""),
        ] {
            let (found, signature) = Signature::read(text).unwrap();
            let types: Vec<String> = signature.parameters.iter().map(Type::to_string).collect();
            assert_eq!((found, signature.method, &*types.join(", ")), (name, method, parameters), "{text}");
        }
        for text in ["f", "f()", "f( -> int", "f(text) -> int", "f() -> "] {
            assert!(Signature::read(text).is_none(), "{text}");
        }
    }
}
