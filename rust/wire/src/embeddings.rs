//! Requests for embeddings of several texts, and their replies: what belongs to each text, so that each can be known by
//! itself. Everything stays as the bytes that it is.

use crate::cursor::Cursor;
use crate::document::{Document, Kind};

/// The embeddings of a reply, in the order of the request's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embeddings<'b> {
    /// Name of the model that made them, as JSON; empty if the reply does not say.
    pub model: &'b [u8],
    /// Each vector, as JSON.
    pub vectors: Vec<&'b [u8]>,
    /// Tokens of all texts, as the provider counted them.
    pub tokens: u64,
}

/// The texts of `input`, each as JSON: a string, or an array of token numbers. None if it is one text, or nothing that a
/// provider takes.
pub fn texts(input: &[u8]) -> Option<Vec<&[u8]>> {
    let mut texts = Vec::new();
    Cursor::new(input).array(|cursor| {
        let is_text = matches!(cursor.peek()?, b'"' | b'[');
        texts.push(cursor.skip()?);
        is_text.then_some(())
    })?;
    (!texts.is_empty()).then_some(texts)
}

/// Reads the reply to a request of so many texts. None if there is not exactly one vector for each.
pub fn read(reply: &[u8], texts: usize) -> Option<Embeddings<'_>> {
    let document = Document::scan(reply).ok()?;
    let data = document.get("data").filter(|data| data.kind == Kind::Array)?;
    let mut vectors: Vec<Option<&[u8]>> = vec![None; texts];
    let mut next = 0_usize;
    let mut count = 0;
    Cursor::new(data.value.of(reply)).array(|cursor| {
        let (mut index, mut vector) = (next, None);
        cursor.object(|cursor, key| {
            match key {
                b"index" => index = str::from_utf8(cursor.skip()?).ok()?.parse().ok()?,
                b"embedding" if matches!(cursor.peek()?, b'[' | b'"') => vector = Some(cursor.skip()?),
                _ => drop(cursor.skip()?),
            }
            Some(())
        })?;
        next = index.checked_add(1)?;
        count += 1;
        let place = vectors.get_mut(index).filter(|place| place.is_none())?;
        *place = Some(vector?);
        Some(())
    })?;
    if count != texts {
        return None;
    }
    let usage = document.get("usage").and_then(|usage| document.nested(usage).ok());
    let tokens = usage.and_then(|usage| usage.unsigned("prompt_tokens").ok()?);
    let model = document.get("model").filter(|model| model.kind == Kind::String);
    Some(Embeddings {
        model: model.map_or(&[], |model| model.value.of(reply)),
        vectors: vectors.into_iter().collect::<Option<_>>()?,
        tokens: tokens.unwrap_or(0),
    })
}

impl Embeddings<'_> {
    /// The reply that has them.
    pub fn write(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(200 + self.vectors.iter().map(|vector| vector.len() + 60).sum::<usize>());
        out.extend_from_slice(br#"{"object":"list","data":["#);
        for (index, vector) in self.vectors.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(
                format!(r#"{{"object":"embedding","index":{index},"embedding":"#).as_bytes(),
            );
            out.extend_from_slice(vector);
            out.push(b'}');
        }
        out.extend_from_slice(b"]");
        if !self.model.is_empty() {
            out.extend_from_slice(br#","model":"#);
            out.extend_from_slice(self.model);
        }
        let tokens = self.tokens;
        out.extend_from_slice(
            format!(r#","usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#).as_bytes(),
        );
        out
    }
}

/// An input of these texts.
pub fn input<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Vec<u8> {
    let mut out = vec![b'['];
    for text in texts {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(text);
    }
    out.push(b']');
    out
}
