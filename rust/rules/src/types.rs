//! Types, gradual: `dyn` fits everything and is checked when the rule runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::value::Kind;

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
    /// A point in time.
    Timestamp,
    /// A length of time.
    Duration,
    /// A list of elements of one type.
    List(Arc<Type>),
    /// A map from keys of one type to values of one type.
    Map(Arc<Type>, Arc<Type>),
    /// The type of a type, as `int` is a value of `type(int)`.
    Type(Arc<Type>),
    /// A type known by its name, such as `net.IP`, with parameters, such as those of `optional_type(int)`.
    Opaque(Arc<str>, Arc<[Type]>),
    /// In the signature of a function: any type, the same wherever the name occurs.
    Parameter(Arc<str>),
    /// A parameter of one use of a function, which the checker determines.
    #[doc(hidden)]
    Variable(usize),
}

/// How `optional.of(x)` types its result.
pub(crate) const OPTIONAL: &str = "optional_type";
/// The type of `ip("…")`.
pub(crate) const IP: &str = "net.IP";
/// The type of `cidr("…")`.
pub(crate) const CIDR: &str = "net.CIDR";

/// Types without parameters by their names, and how else they may be written.
const NAMED: [(&str, Type); 13] = [
    ("dyn", Type::Dyn),
    ("null", Type::Null),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("uint", Type::Uint),
    ("double", Type::Double),
    ("string", Type::String),
    ("bytes", Type::Bytes),
    ("timestamp", Type::Timestamp),
    ("duration", Type::Duration),
    ("null_type", Type::Null),
    ("google.protobuf.Timestamp", Type::Timestamp),
    ("google.protobuf.Duration", Type::Duration),
];

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// `map(key, value)`
    pub fn map(key: Type, value: Type) -> Self {
        Self::Map(Arc::new(key), Arc::new(value))
    }

    /// `optional_type(value)`
    pub fn optional(value: Type) -> Self {
        Self::Opaque(OPTIONAL.into(), [value].into())
    }

    /// Which kind its values are of; `None` for any.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Dyn | Self::Parameter(_) | Self::Variable(_) => return None,
            Self::Null => Kind::Null,
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Uint => Kind::Uint,
            Self::Double => Kind::Double,
            Self::String => Kind::String,
            Self::Bytes => Kind::Bytes,
            Self::Timestamp => Kind::Timestamp,
            Self::Duration => Kind::Duration,
            Self::List(_) => Kind::List,
            Self::Map(..) => Kind::Map,
            Self::Type(_) => Kind::Type,
            Self::Opaque(name, _) => match &**name {
                OPTIONAL => Kind::Optional,
                IP => Kind::Ip,
                CIDR => Kind::Cidr,
                _ => return None,
            },
        })
    }

    /// What an optional may hold, if it is one.
    pub(crate) fn optional_value(&self) -> Option<&Type> {
        match self {
            Self::Opaque(name, parameters) if **name == *OPTIONAL => parameters.first(),
            _ => None,
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether `<` may be defined for such values.
    pub(crate) fn is_ordered(&self) -> bool {
        use Type::{Bool, Bytes, Duration, Dyn, String, Timestamp, Variable};
        self.is_number() || matches!(self, Bool | String | Bytes | Timestamp | Duration | Dyn | Variable(_))
    }

    /// The type with each part replaced for which `replace` has something.
    pub(crate) fn replace(&self, replace: &mut impl FnMut(&Type) -> Option<Type>) -> Type {
        if let Some(replaced) = replace(self) {
            return replaced;
        }
        match self {
            Self::List(element) => Self::list(element.replace(replace)),
            Self::Map(key, value) => Self::map(key.replace(replace), value.replace(replace)),
            Self::Type(of) => Self::Type(of.replace(replace).into()),
            Self::Opaque(name, parameters) => {
                Self::Opaque(name.clone(), parameters.iter().map(|one| one.replace(replace)).collect())
            }
            plain => plain.clone(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(formatter, "list({element})"),
            Self::Map(key, value) => write!(formatter, "map({key}, {value})"),
            Self::Type(of) => write!(formatter, "type({of})"),
            Self::Opaque(name, parameters) => {
                formatter.write_str(name)?;
                for (index, parameter) in parameters.iter().enumerate() {
                    write!(formatter, "{}{parameter}", if index == 0 { "(" } else { ", " })?;
                }
                formatter.write_str(if parameters.is_empty() { "" } else { ")" })
            }
            Self::Parameter(name) => formatter.write_str(name),
            Self::Variable(_) => formatter.write_str("dyn"),
            plain => {
                let name = NAMED.iter().find(|(_, named)| named == plain).map_or("dyn", |(name, _)| name);
                formatter.write_str(name)
            }
        }
    }
}

/// A text that names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a type; there are bool, int, uint, double, string, bytes, timestamp, duration, null, dyn, list(T), map(K, V) and optional_type(T)"
)]
pub struct UnknownType(String);

impl UnknownType {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Reads what `Display` writes of the types that a variable may have.
impl FromStr for Type {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        Self::read(text, false)
    }
}

impl Type {
    /// Reads a type; `in_signature`, it may be a parameter (`A`) or have a name that only functions know.
    pub(crate) fn read(text: &str, in_signature: bool) -> Result<Self, UnknownType> {
        let text = text.trim();
        let unknown = || UnknownType(text.to_owned());
        // Which bounds how deep types are nested.
        if text.len() > 200 {
            return Err(unknown());
        }
        if let Some((_, of_type)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(of_type.clone());
        }
        let Some((name, rest)) = text.split_once('(') else {
            return match text {
                IP | CIDR => Ok(Self::Opaque(text.into(), [].into())),
                _ if in_signature && matches!(text.as_bytes(), [b'A'..=b'Z']) => {
                    Ok(Self::Parameter(text.into()))
                }
                _ => Err(unknown()),
            };
        };
        let inner = rest.strip_suffix(')').ok_or_else(unknown)?;
        let parameters: Vec<Type> =
            split(inner).map(|one| Self::read(one, in_signature)).collect::<Result<_, _>>()?;
        match (name.trim(), parameters.as_slice()) {
            ("list", [element]) => Ok(Self::list(element.clone())),
            ("map", [key, value]) => Ok(Self::map(key.clone(), value.clone())),
            ("type", [of]) => Ok(Self::Type(of.clone().into())),
            (name @ OPTIONAL, [_]) => Ok(Self::Opaque(name.into(), parameters.into())),
            ("list" | "map" | "type" | OPTIONAL, _) => Err(unknown()),
            (name, _) if in_signature => Ok(Self::Opaque(name.into(), parameters.into())),
            _ => Err(unknown()),
        }
    }
}

/// The parts of a text between commas that stand in no parentheses.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::Type;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "dyn",
            "null",
            "bool",
            "int",
            "uint",
            "double",
            "string",
            "bytes",
            "timestamp",
            "duration",
            "list(map(int, list(dyn)))",
            "map(string, map(int, bool))",
            "type(int)",
            "optional_type(list(int))",
            "net.IP",
        ] {
            assert_eq!(text.parse::<Type>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "text",
            "list",
            "list(",
            "list()",
            "list(int, int)",
            "map(string)",
            "map(string, )",
            "int)",
            "optional_type",
            "set(int)",
            "A",
        ] {
            assert!(text.parse::<Type>().is_err(), "{text}");
        }
        for text in ["A", "tuple(T, list(U), int)"] {
            assert_eq!(Type::read(text, true).unwrap().to_string(), text);
        }
    }
}
