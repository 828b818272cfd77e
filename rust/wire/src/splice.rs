//! Changing spans of a body and nothing else.

use crate::document::{Document, Field, Kind, Span};
use crate::error::ScanError;
use crate::scalar::quote;

/// New bytes for a span; an empty span inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit<'a> {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub with: &'a [u8],
}

/// Edits that do not lie in the body one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("edit {index} (from 0) overlaps the one before it, is out of order or past the end of the body")]
pub struct SpliceError {
    /// Which edit.
    pub index: usize,
}

/// Appends `body` with its `edits` to `out`; every other byte is unchanged. Edits must be sorted by position and must
/// not overlap. After an error `out` is as it was.
pub fn splice(body: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) -> Result<(), SpliceError> {
    let before = out.len();
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let removed: usize =
        edits.iter().map(|edit| edit.span.end.saturating_sub(edit.span.start) as usize).sum();
    out.reserve_exact((body.len() + added).saturating_sub(removed));
    let mut copied = 0;
    for (index, edit) in edits.iter().enumerate() {
        let (start, end) = (edit.span.start as usize, edit.span.end as usize);
        let kept = body.get(copied..start).filter(|_| start <= end && end <= body.len());
        let Some(kept) = kept else {
            out.truncate(before);
            return Err(SpliceError { index });
        };
        out.extend_from_slice(kept);
        out.extend_from_slice(edit.with);
        copied = end;
    }
    out.extend_from_slice(body.get(copied..).unwrap_or_default());
    Ok(())
}

/// A top-level field and its new value as JSON; without one the field is removed.
pub type Change<'a> = (&'a str, Option<&'a str>);

/// The edits that set and remove top-level fields, in the order of the body. A field that is not there yet comes before
/// all others. No name may stand twice among the changes, and at least one field must remain.
pub fn change_fields(document: &Document<'_>, changes: &[Change<'_>]) -> Vec<(Span, Box<[u8]>)> {
    if changes.is_empty() {
        return Vec::new();
    }
    let mut edits = Vec::with_capacity(changes.len());
    let start = Span { start: document.inside(), end: document.inside() };
    for (name, value) in changes {
        if let (Some(value), None) = (value, document.get(name)) {
            let mut field = Vec::with_capacity(name.len() + value.len() + 4);
            quote(name, &mut field);
            field.extend([b":", value.as_bytes(), b","].concat());
            edits.push((start, field.into()));
        }
    }
    // A field that goes takes the comma before it along, or, where none before it remains, the comma after it.
    let (mut end_of_previous, mut one_remains) = (None, false);
    for (index, field) in document.fields().iter().enumerate() {
        let name = document.key(field);
        match changes.iter().find(|(changed, _)| *changed == name) {
            Some((_, None)) => {
                let key = field.key.start - 1;
                let next = document.fields().get(index + 1).map(|next| next.key.start - 1);
                let span = match end_of_previous.filter(|_| one_remains) {
                    Some(end) => Span { start: end, end: field.value.end },
                    None => Span { start: key, end: next.unwrap_or(field.value.end) },
                };
                edits.push((span, Box::default()));
            }
            Some((_, Some(value))) => {
                one_remains = true;
                edits.push((field.value, value.as_bytes().into()));
            }
            None => one_remains = true,
        }
        end_of_previous = Some(field.value.end);
    }
    edits
}

/// The edit that makes an OpenAI stream report its usage; `None` if it does so already.
///
/// # Errors
/// When `stream_options` is neither an object nor null, or its `include_usage` is not a boolean or null.
pub fn include_usage(document: &Document<'_>) -> Result<Option<Edit<'static>>, ScanError> {
    let Some(options) = document.get("stream_options") else {
        let with: &[u8] = if document.fields().is_empty() {
            br#""stream_options":{"include_usage":true}"#
        } else {
            br#""stream_options":{"include_usage":true},"#
        };
        return Ok(Some(insert(document, with)));
    };
    if options.kind == Kind::Null {
        return Ok(Some(replace(options, br#"{"include_usage":true}"#)));
    }
    let options = document.nested(options)?;
    let Some(include) = options.get("include_usage") else {
        let with: &[u8] = if options.fields().is_empty() {
            br#""include_usage":true"#
        } else {
            br#""include_usage":true,"#
        };
        return Ok(Some(insert(&options, with)));
    };
    match options.boolean("include_usage")? {
        Some(true) => Ok(None),
        Some(false) | None => Ok(Some(replace(include, b"true"))),
    }
}

impl<'a> Edit<'a> {
    /// The edit that replaces the value of a field, such as `model` by a string from [`quote`](crate::quote).
    pub fn value(field: &Field, with: &'a [u8]) -> Self {
        Self { span: field.value, with }
    }
}

fn replace(field: &Field, with: &'static [u8]) -> Edit<'static> {
    Edit::value(field, with)
}

fn insert(document: &Document<'_>, with: &'static [u8]) -> Edit<'static> {
    Edit { span: Span { start: document.inside(), end: document.inside() }, with }
}
