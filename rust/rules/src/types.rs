//! Types, gradual: `dyn` fits everything and is checked when the rule runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The type of a variable or an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Known only at run time.
    Dyn,
    /// The type of `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A signed integer of 64 bits.
    Int,
    /// An unsigned integer of 64 bits.
    Uint,
    /// A number of 64 bits as of IEEE 754.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A list of elements of one type.
    List(Arc<Type>),
    /// A map from keys of one type to values of one type.
    Map(Arc<Type>, Arc<Type>),
}

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// `map(key, value)`
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// The type that covers both, or `None` if nothing but `dyn` does.
    pub(crate) fn join(&self, other: &Type) -> Option<Type> {
        match (self, other) {
            (left, right) if left == right => Some(left.clone()),
            (Self::Dyn, _) | (_, Self::Dyn) => Some(Self::Dyn),
            (Self::List(left), Self::List(right)) => Some(Self::list(left.join(right)?)),
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                Some(Self::map(left_key.join(right_key)?, left.join(right)?))
            }
            _ => None,
        }
    }

    /// Whether values of the two types can be equal: the same type, or two numbers.
    pub(crate) fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::List(left), Self::List(right)) => left.comparable(right),
            (Self::Map(left_key, left), Self::Map(right_key, right)) => {
                left_key.comparable(right_key) && left.comparable(right)
            }
            (left, right) => (left.is_number() && right.is_number()) || left.join(right).is_some(),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether `<` may be defined for such values.
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_number() || matches!(self, Self::Bool | Self::String | Self::Bytes | Self::Dyn)
    }

    /// Whether a value of this type may turn out to be a `wanted`.
    pub(crate) fn may_be(&self, wanted: &Type) -> bool {
        self.join(wanted).is_some()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => formatter.write_str("dyn"),
            Self::Null => formatter.write_str("null"),
            Self::Bool => formatter.write_str("bool"),
            Self::Int => formatter.write_str("int"),
            Self::Uint => formatter.write_str("uint"),
            Self::Double => formatter.write_str("double"),
            Self::String => formatter.write_str("string"),
            Self::Bytes => formatter.write_str("bytes"),
            Self::List(element) => write!(formatter, "list({element})"),
            Self::Map(key, value) => write!(formatter, "map({key}, {value})"),
        }
    }
}

/// A text that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a type; there are bool, int, uint, double, string, bytes, null, dyn, list(T) and map(K, V)"
)]
pub struct UnknownType(String);

/// Reads what `Display` writes.
impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let text = text.trim();
        let unknown = || UnknownType(text.to_owned());
        // Which bounds how deep types are nested.
        if text.len() > 200 {
            return Err(unknown());
        }
        if let Some((constructor, rest)) = text.split_once('(') {
            let inner = rest.strip_suffix(')').ok_or_else(unknown)?;
            return match constructor.trim() {
                "list" => Ok(Self::list(inner.parse()?)),
                "map" => {
                    // A key is a scalar, so the first comma ends it.
                    let (key, value) = inner.split_once(',').ok_or_else(unknown)?;
                    Ok(Self::map(key.parse()?, value.parse()?))
                }
                _ => Err(unknown()),
            };
        }
        Ok(match text {
            "dyn" => Self::Dyn,
            "null" => Self::Null,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Type;

    #[test]
    fn what_is_written_is_read() {
        for text in
            ["dyn", "null", "bool", "int", "uint", "double", "string", "bytes", "list(map(int, list(dyn)))"]
        {
            assert_eq!(text.parse::<Type>().unwrap().to_string(), text);
        }
        for text in
            ["", "text", "list", "list(", "list()", "map(string)", "map(string, )", "set(int)", "int)"]
        {
            assert!(text.parse::<Type>().is_err(), "{text}");
        }
    }
}
