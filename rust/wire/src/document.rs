//! The top level of a JSON object: where each field lies in the body.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use smallvec::SmallVec;

use crate::cursor::{skip_container, skip_whitespace};
use crate::error::{Excerpt, Fault, ScanError, ScanErrorKind};
use crate::scalar;

/// The most fields that one object may have.
pub const MAX_FIELDS: usize = 1_024;

/// Fields kept without allocation; up to here duplicates are found by comparing every pair.
const INLINE_FIELDS: usize = 24;

/// A range of bytes in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// After the last byte.
    pub end: u32,
}

/// What sort of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`.
    Null,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// One field of an object, as spans of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The key without its quotes, escapes not decoded.
    pub key: Span,
    /// The value, a string with its quotes.
    pub value: Span,
    /// What sort of value it is.
    pub kind: Kind,
    key_escaped: bool,
}

/// The fields of one JSON object, in the order of the body.
///
/// The scan reads every byte once. It checks the object's own grammar, its scalars included, and refuses duplicate
/// keys, more than [`MAX_FIELDS`] fields, more than [`MAX_DEPTH`](crate::MAX_DEPTH) levels, invalid UTF-8 anywhere and
/// anything after the object. Inside *nested* objects and arrays only strings must end and brackets must match;
/// [`Document::nested`] scans such an object with the same rules.
#[derive(Debug, Clone)]
pub struct Document<'b> {
    body: &'b str,
    open: u32,
    fields: SmallVec<[Field; INLINE_FIELDS]>,
}

impl Span {
    /// The bytes of this span in the body it was taken from; empty if the body is shorter.
    #[inline]
    pub fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The number of bytes.
    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// `end` fits: a scan refuses larger bodies first.
    #[inline]
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }
}

impl Kind {
    /// The name with its article, for sentences.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl<'b> Document<'b> {
    /// Scans a whole body.
    pub fn scan(body: &'b [u8]) -> Result<Self, ScanError> {
        let mut document = Self { body: "", open: 0, fields: SmallVec::new() };
        match document.read_whole(body) {
            Ok(()) => Ok(document),
            Err(fault) => Err(fault.locate(body)),
        }
    }

    /// Scans the value of an object field. Spans are of the same body.
    pub fn nested(&self, field: &Field) -> Result<Self, ScanError> {
        if field.kind != Kind::Object {
            return Err(self.wrong_type(field, "an object"));
        }
        let mut document = Self { body: self.body, open: field.value.start, fields: SmallVec::new() };
        match document.read_fields() {
            Ok(_) => Ok(document),
            Err(fault) => Err(fault.locate(self.bytes())),
        }
    }

    /// The body that was scanned, also of a nested document.
    pub fn bytes(&self) -> &'b [u8] {
        self.body.as_bytes()
    }

    /// The offset after the object's opening brace, where a field can be inserted.
    pub fn inside(&self) -> u32 {
        self.open + 1
    }

    /// All fields in the order of the body.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| {
            if field.key_escaped {
                return self.key(field) == name;
            }
            field.key.len() == name.len() && field.key.of(self.bytes()) == name.as_bytes()
        })
    }

    /// The key of a field, escapes decoded.
    pub fn key(&self, field: &Field) -> Cow<'b, str> {
        let raw = self.text(field.key);
        // The scan has refused keys that cannot be decoded.
        scalar::decode(raw, 0).unwrap_or(Cow::Borrowed(raw))
    }

    /// What stands in a span of the body.
    pub fn text(&self, span: Span) -> &'b str {
        self.body.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The text of a string field, escapes decoded; `None` if it is absent.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'b, str>>, ScanError> {
        let Some(field) = self.get(name) else { return Ok(None) };
        if field.kind != Kind::String {
            return Err(self.wrong_type(field, "a string"));
        }
        let content = Span { start: field.value.start + 1, end: field.value.end - 1 };
        let decoded = scalar::decode(self.text(content), content.start as usize);
        decoded.map(Some).map_err(|fault| fault.locate(self.bytes()))
    }

    /// The value of a boolean field; `None` if it is absent or null.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ScanError> {
        match self.get(name) {
            None | Some(Field { kind: Kind::Null, .. }) => Ok(None),
            Some(field @ Field { kind: Kind::Boolean, .. }) => {
                Ok(Some(field.value.of(self.bytes()) == b"true"))
            }
            Some(field) => Err(self.wrong_type(field, "true or false")),
        }
    }

    /// The value of a field that counts something; `None` if it is absent or null.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, ScanError> {
        let field = match self.get(name) {
            None | Some(Field { kind: Kind::Null, .. }) => return Ok(None),
            Some(field) => field,
        };
        let digits = if field.kind == Kind::Number { self.text(field.value) } else { "" };
        match digits.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(self.wrong_type(field, "a whole number, 0 or more")),
        }
    }

    /// The error that a field is not `expected`.
    #[cold]
    pub fn wrong_type(&self, field: &Field, expected: &'static str) -> ScanError {
        let found = match field.kind {
            Kind::Number | Kind::Boolean => Excerpt::new(self.text(field.value)),
            other => Excerpt::new(other.name()),
        };
        let kind = ScanErrorKind::WrongType { field: Excerpt::new(&self.key(field)), expected, found };
        Fault::new(kind, field.value.start as usize).locate(self.bytes())
    }

    // Documents are read in place: moving one copies half a kilobyte.

    fn read_whole(&mut self, body: &'b [u8]) -> Result<(), Fault> {
        if u32::try_from(body.len()).is_err() {
            return Err(Fault::new(ScanErrorKind::TooLarge, 0));
        }
        self.body = text_of(body)?;
        let start = skip_whitespace(body, 0);
        if body.get(start) != Some(&b'{') {
            return Err(not_an_object(body, start));
        }
        self.open = start as u32;
        let end = skip_whitespace(body, self.read_fields()?);
        if end != body.len() {
            return Err(Fault::new(ScanErrorKind::TrailingBytes, end));
        }
        Ok(())
    }

    /// Reads the object whose opening brace is at `open`; returns its end.
    fn read_fields(&mut self) -> Result<usize, Fault> {
        let bytes = self.body.as_bytes();
        let mut escaped = false;
        let mut at = skip_whitespace(bytes, self.inside() as usize);
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        let end = loop {
            let (field, end) = field(bytes, at)?;
            if self.fields.len() == MAX_FIELDS {
                return Err(Fault::new(ScanErrorKind::TooManyFields, at));
            }
            escaped |= field.key_escaped;
            self.fields.push(field);
            at = skip_whitespace(bytes, end);
            match bytes.get(at) {
                Some(b',') => at = skip_whitespace(bytes, at + 1),
                Some(b'}') => break at + 1,
                _ => return Err(Fault::unexpected("`,` or `}`", bytes, at)),
            }
        };
        self.refuse_duplicates(escaped)?;
        Ok(end)
    }

    fn refuse_duplicates(&self, escaped: bool) -> Result<(), Fault> {
        if escaped || self.fields.len() > INLINE_FIELDS {
            return self.refuse_duplicates_among_many();
        }
        for (index, field) in self.fields.iter().enumerate() {
            let key = field.key.of(self.bytes());
            let before = self.fields.iter().take(index);
            if before
                .into_iter()
                .any(|other| other.key.len() == key.len() && other.key.of(self.bytes()) == key)
            {
                return Err(self.duplicate(field));
            }
        }
        Ok(())
    }

    #[cold]
    fn refuse_duplicates_among_many(&self) -> Result<(), Fault> {
        let mut seen = HashSet::with_capacity(self.fields.len());
        for field in &self.fields {
            let key = scalar::decode(self.text(field.key), field.key.start as usize)?;
            if !seen.insert(key) {
                return Err(self.duplicate(field));
            }
        }
        Ok(())
    }

    #[cold]
    fn duplicate(&self, field: &Field) -> Fault {
        // The offset is that of the key's opening quote.
        let kind = ScanErrorKind::DuplicateField(Excerpt::new(&self.key(field)));
        Fault::new(kind, field.key.start as usize - 1)
    }
}

/// The field whose key starts at `at`, and its end.
#[inline]
fn field(bytes: &[u8], at: usize) -> Result<(Field, usize), Fault> {
    if bytes.get(at) != Some(&b'"') {
        return Err(Fault::unexpected("a field name in double quotes", bytes, at));
    }
    let (key_end, key_escaped) = scalar::end_of_string(bytes, at + 1)?;
    let colon = skip_whitespace(bytes, key_end);
    if bytes.get(colon) != Some(&b':') {
        return Err(Fault::unexpected("`:`", bytes, colon));
    }
    let start = skip_whitespace(bytes, colon + 1);
    let (kind, end) = match bytes.get(start) {
        Some(b'"') => (Kind::String, scalar::end_of_string(bytes, start + 1)?.0),
        Some(b'{') => (Kind::Object, skip_container(bytes, start)?),
        Some(b'[') => (Kind::Array, skip_container(bytes, start)?),
        Some(b't') => (Kind::Boolean, scalar::end_of_literal(bytes, start, "true")?),
        Some(b'f') => (Kind::Boolean, scalar::end_of_literal(bytes, start, "false")?),
        Some(b'n') => (Kind::Null, scalar::end_of_literal(bytes, start, "null")?),
        Some(b'-' | b'0'..=b'9') => (Kind::Number, scalar::end_of_number(bytes, start)?),
        _ => return Err(Fault::unexpected("a JSON value", bytes, start)),
    };
    let field =
        Field { key: Span::new(at + 1, key_end - 1), value: Span::new(start, end), kind, key_escaped };
    Ok((field, end))
}

/// NOTE: 20 kB of French scan at 5.0 GB/s, and at 0.4 with the standard library's check, which mispredicts a branch at
/// every accent; 20 kB of Chinese at 5.0 and 0.6.
#[inline]
fn text_of(body: &[u8]) -> Result<&str, Fault> {
    simdutf8::basic::from_utf8(body).map_err(|_| not_utf8(body))
}

#[cold]
fn not_utf8(body: &[u8]) -> Fault {
    let valid_up_to = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    Fault::new(ScanErrorKind::InvalidUtf8, valid_up_to)
}

#[cold]
fn not_an_object(body: &[u8], start: usize) -> Fault {
    let found = match body.get(start) {
        None => return Fault::new(ScanErrorKind::Empty, start),
        Some(b'"') => Kind::String,
        Some(b'[') => Kind::Array,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        Some(_) => return Fault::unexpected("a JSON object", body, start),
    };
    Fault::new(ScanErrorKind::NotObject(found), start)
}
