//! JSON scalars: their ends, strictly checked, the text of strings, and quoting.

use std::borrow::Cow;
use std::convert::Infallible;

use crate::error::{Fault, ScanErrorKind};
use crate::swar;

/// The end of the scalar (no string) that starts at `at`.
#[inline]
pub(crate) fn end_of_literal(bytes: &[u8], at: usize, literal: &'static str) -> Result<usize, Fault> {
    if bytes.get(at..).is_some_and(|rest| rest.starts_with(literal.as_bytes())) {
        return Ok(at + literal.len());
    }
    Err(Fault::unexpected("a JSON value", bytes, at))
}

/// The end of the number that starts at `at` (RFC 8259 §6).
#[inline]
pub(crate) fn end_of_number(bytes: &[u8], start: usize) -> Result<usize, Fault> {
    let at = |index: usize| bytes.get(index).copied();
    let digits = |from: usize| {
        let mut index = from;
        while at(index).is_some_and(|byte| byte.is_ascii_digit()) {
            index += 1;
        }
        if index == from { Err(malformed(bytes, start, from)) } else { Ok(index) }
    };
    let whole = start + usize::from(at(start) == Some(b'-'));
    let mut end = digits(whole)?;
    if at(whole) == Some(b'0') && end > whole + 1 {
        return Err(malformed(bytes, start, end));
    }
    if at(end) == Some(b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = at(end) {
        let signed = matches!(at(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(signed))?;
    }
    Ok(end)
}

#[cold]
fn malformed(bytes: &[u8], start: usize, reached: usize) -> Fault {
    if reached >= bytes.len() {
        return Fault::new(ScanErrorKind::Truncated, bytes.len());
    }
    Fault::new(ScanErrorKind::MalformedNumber, start)
}

/// The end (after the closing quote) of the string whose content starts at `at`, and whether it has escapes.
#[inline]
pub(crate) fn end_of_string(bytes: &[u8], mut at: usize) -> Result<(usize, bool), Fault> {
    let mut escaped = false;
    loop {
        let Some(hit) = swar::quote_backslash_or_control(bytes, at) else {
            return Err(Fault::new(ScanErrorKind::Truncated, bytes.len()));
        };
        match bytes.get(hit) {
            Some(b'"') => return Ok((hit + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = end_of_escape(bytes, hit)?;
            }
            Some(control) => return Err(Fault::new(ScanErrorKind::ControlCharacter(*control), hit)),
            None => return Err(Fault::new(ScanErrorKind::Truncated, bytes.len())),
        }
    }
}

#[inline]
fn end_of_escape(bytes: &[u8], backslash: usize) -> Result<usize, Fault> {
    match bytes.get(backslash + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(backslash + 2),
        Some(b'u') => match bytes.get(backslash + 2..backslash + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(backslash + 6),
            Some(_) => Err(Fault::new(ScanErrorKind::MalformedEscape, backslash)),
            None => Err(Fault::new(ScanErrorKind::Truncated, bytes.len())),
        },
        Some(_) => Err(Fault::new(ScanErrorKind::MalformedEscape, backslash)),
        None => Err(Fault::new(ScanErrorKind::Truncated, bytes.len())),
    }
}

/// The text of a string's content; `offset` is where the content starts in the body, for the error.
pub(crate) fn decode(content: &str, offset: usize) -> Result<Cow<'_, str>, Fault> {
    decode_or(content, |kind, at| Err(Fault::new(kind, offset + at)))
}

/// The same where nothing has checked the string yet: U+FFFD stands for what is no character.
pub(crate) fn decode_lossy(content: &str) -> Cow<'_, str> {
    decode_or(content, |_, _| Ok::<_, Infallible>(())).unwrap_or_else(|never| match never {})
}

/// `malformed` is told of each escape that is none, and where it is.
fn decode_or<E>(
    content: &str,
    mut malformed: impl FnMut(ScanErrorKind, usize) -> Result<(), E>,
) -> Result<Cow<'_, str>, E> {
    if !content.contains('\\') {
        return Ok(Cow::Borrowed(content));
    }
    let mut text = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (character, after) = match escaped(escape) {
            Ok(decoded) => decoded,
            Err(kind) => {
                let digits = if kind == ScanErrorKind::LoneSurrogate { "uXXXX".len() } else { 0 };
                malformed(kind, content.len() - escape.len() - 1)?;
                (char::REPLACEMENT_CHARACTER, escape.get(digits..).unwrap_or_default())
            }
        };
        text.push(character);
        rest = after;
    }
    text.push_str(rest);
    Ok(Cow::Owned(text))
}

/// The character that an escape stands for, without its backslash, and what follows it.
fn escaped(escape: &str) -> Result<(char, &str), ScanErrorKind> {
    let mut following = escape.chars();
    let character = match following.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(same @ ('"' | '\\' | '/')) => same,
        Some('u') => return unicode_escape(following.as_str()),
        _ => return Err(ScanErrorKind::MalformedEscape),
    };
    Ok((character, following.as_str()))
}

/// The character of an escape whose digits come first in `digits`, a surrogate pair together, and what follows it.
fn unicode_escape(digits: &str) -> Result<(char, &str), ScanErrorKind> {
    let (first, after) = hexadecimal(digits).ok_or(ScanErrorKind::MalformedEscape)?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, after));
    }
    let (second, after) =
        after.strip_prefix("\\u").and_then(hexadecimal).ok_or(ScanErrorKind::LoneSurrogate)?;
    if !(0xd800..0xdc00).contains(&first) || !(0xdc00..0xe000).contains(&second) {
        return Err(ScanErrorKind::LoneSurrogate);
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code).map(|character| (character, after)).ok_or(ScanErrorKind::LoneSurrogate)
}

fn hexadecimal(digits: &str) -> Option<(u32, &str)> {
    let (four, after) = digits.split_at_checked(4)?;
    // `from_str_radix` would take a sign.
    four.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    Some((u32::from_str_radix(four, 16).ok()?, after))
}

/// Appends `text` as a JSON string, quotes included.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => {
                let low = HEXADECIMAL.get(usize::from(byte & 15)).copied().unwrap_or_default();
                out.extend([b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
