//! What is wrong with a JSON body, and where.

use std::fmt;

use crate::document::{Kind, MAX_FIELDS};

/// A JSON body that cannot be routed: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at line {line}, column {column}")]
pub struct ScanError {
    /// What is wrong.
    pub kind: ScanErrorKind,
    /// Byte offset from the start of the body.
    pub offset: usize,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// What is wrong with a JSON body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanErrorKind {
    /// No byte but white space.
    #[error("the body is empty, expected a JSON object")]
    Empty,
    /// More bytes than a span can address.
    #[error("the body is larger than 4 GiB")]
    TooLarge,
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// The body is some other JSON value.
    #[error("expected a JSON object, found {0}")]
    NotObject(Kind),
    /// The same top-level key twice, escapes decoded.
    #[error("duplicate field `{0}`")]
    DuplicateField(Excerpt),
    /// More top-level fields than allowed.
    #[error("more than {MAX_FIELDS} fields in one object")]
    TooManyFields,
    /// Nested deeper than allowed.
    #[error("nested deeper than {} levels", crate::cursor::MAX_DEPTH)]
    TooDeep,
    /// A bracket closes one of the other kind.
    #[error("`{0}` closes a bracket of the other kind")]
    Mismatched(char),
    /// The body ends before the object does.
    #[error("the JSON is truncated, it ends")]
    Truncated,
    /// Something follows the object.
    #[error("unexpected bytes after the JSON object")]
    TrailingBytes,
    /// Another byte than the grammar allows here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What the grammar allows.
        expected: &'static str,
        /// What is there.
        found: Excerpt,
    },
    /// A control character that is not escaped, in a string.
    #[error("control character {0:#04x} in a string must be escaped")]
    ControlCharacter(u8),
    /// A backslash sequence that JSON does not have.
    #[error("malformed escape sequence in a string")]
    MalformedEscape,
    /// A surrogate without its partner.
    #[error("escaped surrogate without its partner in a string")]
    LoneSurrogate,
    /// Not a JSON number.
    #[error("malformed number")]
    MalformedNumber,
    /// A field has another type, or a value out of range.
    #[error("field `{field}` must be {expected}, found {found}")]
    WrongType {
        /// The field's key.
        field: Excerpt,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: Excerpt,
    },
}

/// A short piece of the client's own text in an error: at most 40 characters, control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

/// What is wrong and at which offset; becomes a [`ScanError`] once the body is at hand.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ScanErrorKind,
    pub(crate) offset: usize,
}

impl Excerpt {
    const CHARACTERS: usize = 40;

    /// An excerpt of `text`.
    #[cold]
    pub(crate) fn new(text: &str) -> Self {
        let mut short = String::new();
        for character in text.chars().take(Self::CHARACTERS) {
            match character {
                '"' | '\'' | '\\' => short.push(character),
                _ => short.extend(character.escape_debug()),
            }
        }
        if text.chars().nth(Self::CHARACTERS).is_some() {
            short.push('…');
        }
        Self(short.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Fault {
    #[cold]
    pub(crate) fn new(kind: ScanErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// The byte at `offset` is not what the grammar allows; also tells when there is none.
    #[cold]
    pub(crate) fn unexpected(expected: &'static str, bytes: &[u8], offset: usize) -> Self {
        let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else {
            return Self::new(ScanErrorKind::Truncated, bytes.len());
        };
        let shown = rest.get(..4).unwrap_or(rest);
        let found = match String::from_utf8_lossy(shown).chars().next() {
            Some('`') => Excerpt::new("a backtick"),
            Some(found) => Excerpt::new(&format!("`{found}`")),
            None => Excerpt::new("nothing"),
        };
        Self::new(ScanErrorKind::Unexpected { expected, found }, offset)
    }

    #[cold]
    pub(crate) fn locate(self, body: &[u8]) -> ScanError {
        let before = body.get(..self.offset).unwrap_or(body);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let characters = before.iter().skip(line_start).filter(|byte| (**byte as i8) >= -64).count();
        ScanError { kind: self.kind, offset: self.offset, line, column: characters + 1 }
    }
}
