//! What a message says: the JSON of a content, and its text when somebody asks.

use std::borrow::Cow;
use std::fmt;

use crate::cursor::Cursor;
use crate::document::{Document, Field};
use crate::scalar::decode_lossy;

/// A content as it stands in the body: a string, a part, or an array of strings and parts. It prints its size alone.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Content<'b>(pub(crate) &'b [u8]);

impl<'b> Content<'b> {
    /// The value of a field.
    pub fn of(document: &Document<'b>, field: &Field) -> Self {
        Self(field.value.of(document.bytes()))
    }

    /// Its text, escapes decoded; that of several parts has a line break between them. Media have none, and neither
    /// have token numbers. U+FFFD stands for escapes that are no characters.
    pub fn text(self) -> Cow<'b, str> {
        if let [b'"', plain @ .., b'"'] = self.0 {
            return simdutf8::basic::from_utf8(plain).map(decode_lossy).unwrap_or_default();
        }
        let mut texts = Vec::new();
        // What is malformed ends it; a content that was counted is not.
        _ = collect(&mut Cursor::new(self.0), &mut texts);
        if texts.len() > 1 {
            return Cow::Owned(texts.join("\n"));
        }
        texts.pop().unwrap_or_default()
    }
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Content({} bytes)", self.0.len())
    }
}

fn collect<'b>(cursor: &mut Cursor<'b>, texts: &mut Vec<Cow<'b, str>>) -> Option<()> {
    match cursor.peek()? {
        b'"' => {
            texts.push(decode_lossy(simdutf8::basic::from_utf8(cursor.string()?).ok()?));
            Some(())
        }
        b'[' => cursor.array(|cursor| collect(cursor, texts)),
        b'{' => cursor.object(|cursor, key| match (key, cursor.peek()?) {
            (b"text", b'"') => collect(cursor, texts),
            _ => cursor.skip().map(drop),
        }),
        _ => cursor.skip().map(drop),
    }
}
