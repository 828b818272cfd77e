//! Walking JSON without building anything: ends of strings and containers, and a cursor over nested values.

use crate::blocks::{self, BLOCK, Carry};
use crate::error::{Fault, ScanErrorKind};
use crate::scalar::decode_lossy;
use crate::swar;

/// How deep objects and arrays may nest, the outermost counted.
pub const MAX_DEPTH: u32 = 128;

/// The position of the next byte that is not white space.
#[inline]
pub(crate) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The end (after the closing quote) of a string whose content starts at `at`; `None` if it has none.
#[inline]
pub(crate) fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    // Keys, roles and the like end soon.
    if let Some(hit) = swar::quote_or_backslash_soon(bytes, at)
        && bytes.get(hit) == Some(&b'"')
    {
        return Some(hit + 1);
    }
    skip_long_string(bytes, at)
}

fn skip_long_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut carry = Carry::in_string();
    while let Some(block) = blocks::block(bytes, at) {
        let quotes = carry.strings(&block).quotes;
        if quotes != 0 {
            return Some(at + quotes.trailing_zeros() as usize + 1);
        }
        at += BLOCK;
    }
    None
}

/// The end of the object or array that starts at `at`, a value of a top-level field. Brackets must match.
pub(crate) fn skip_container(bytes: &[u8], mut at: usize) -> Result<usize, Fault> {
    let mut carry = Carry::default();
    let mut open = Open::default();
    while let Some(block) = blocks::block(bytes, at) {
        let strings = carry.strings(&block);
        // NOTE: most of a chat is text. Passing it here made a scan of 20 kB 1.5 times as fast.
        if strings.inside == u64::MAX {
            at += BLOCK;
            continue;
        }
        if strings.stray != 0 {
            // It would make the quote after it look escaped.
            return Err(Fault::unexpected(
                "a JSON value",
                bytes,
                at + strings.stray.trailing_zeros() as usize,
            ));
        }
        let mut brackets = blocks::brackets(&block) & !strings.inside;
        while brackets != 0 {
            let hit = at + brackets.trailing_zeros() as usize;
            if open.pass(bytes, hit)? {
                return Ok(hit + 1);
            }
            brackets &= brackets - 1;
        }
        at += BLOCK;
    }
    Err(Fault::new(ScanErrorKind::Truncated, bytes.len()))
}

/// The containers that are open, inside of a top-level object.
#[derive(Default)]
struct Open {
    /// One bit each, the innermost lowest: 1 is an array.
    kinds: u128,
    depth: u32,
}

impl Open {
    /// Passes the bracket at `at`; whether it closes the outermost container.
    #[inline]
    fn pass(&mut self, bytes: &[u8], at: usize) -> Result<bool, Fault> {
        let bracket = bytes.get(at).copied().unwrap_or_default();
        // Of `[`, `]`, `{` and `}` the braces have this bit, and those that open the other one.
        let is_array = bracket & 0x20 == 0;
        if bracket & 0x02 != 0 {
            self.depth += 1;
            if self.depth >= MAX_DEPTH {
                return Err(Fault::new(ScanErrorKind::TooDeep, at));
            }
            self.kinds = (self.kinds << 1) | u128::from(is_array);
            return Ok(false);
        }
        if (self.kinds & 1 == 1) != is_array {
            return Err(Fault::new(ScanErrorKind::Mismatched(char::from(bracket)), at));
        }
        self.kinds >>= 1;
        self.depth -= 1;
        Ok(self.depth == 0)
    }
}

/// A position in a value that a scan has passed: its brackets match and its strings end, the rest is not known to be
/// JSON. Methods return `None` where it is not.
pub(crate) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The first byte of the next value.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.at = skip_whitespace(self.bytes, self.at);
        self.bytes.get(self.at).copied()
    }

    /// The bytes from `start`, an earlier position, to here.
    pub(crate) fn since(&self, start: usize) -> &'b [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    /// Where it is.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Calls `each` with the key of every field; it must move past the value.
    #[inline]
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &[u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let (key, escaped) = self.key()?;
            self.take(b':')?;
            // Else a key that is written in another way would hide its value from us, and not from the provider.
            match escaped {
                true => each(self, decode_lossy(str::from_utf8(key).ok()?).as_bytes())?,
                false => each(self, key)?,
            }
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    /// The key that comes next, and whether it has escapes.
    #[inline]
    fn key(&mut self) -> Option<(&'b [u8], bool)> {
        self.take(b'"')?;
        let start = self.at;
        if let Some(hit) = swar::quote_or_backslash_soon(self.bytes, start)
            && self.bytes.get(hit) == Some(&b'"')
        {
            self.at = hit + 1;
            return Some((self.bytes.get(start..hit)?, false));
        }
        self.at = skip_long_string(self.bytes, start)?;
        let key = self.bytes.get(start..self.at - 1)?;
        Some((key, key.contains(&b'\\')))
    }

    /// Calls `each` for every element; it must move past the element.
    #[inline]
    pub(crate) fn array(&mut self, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b']'),
            }
        }
    }

    /// The content of the string that comes next, escapes not decoded.
    #[inline]
    pub(crate) fn string(&mut self) -> Option<&'b [u8]> {
        self.take(b'"')?;
        let start = self.at;
        self.at = skip_string(self.bytes, start)?;
        self.bytes.get(start..self.at - 1)
    }

    /// Moves past the value that comes next and returns its bytes.
    #[inline]
    pub(crate) fn skip(&mut self) -> Option<&'b [u8]> {
        let first = self.peek()?;
        let start = self.at;
        self.at = match first {
            b'"' => skip_string(self.bytes, start + 1)?,
            b'{' | b'[' => skip_container(self.bytes, start).ok()?,
            _ => {
                let rest = self.bytes.get(start..)?;
                let ends =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t');
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                if length == 0 {
                    return None;
                }
                start + length
            }
        };
        self.bytes.get(start..self.at)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive_string(bytes: &[u8], mut at: usize) -> Option<usize> {
        loop {
            match bytes.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    fn naive_container(bytes: &[u8], mut at: usize) -> Option<usize> {
        let mut open = Vec::new();
        loop {
            match bytes.get(at)? {
                b'"' => at = naive_string(bytes, at + 1)? - 1,
                b'\\' => return None,
                byte @ (b'[' | b'{') => {
                    open.push(byte + 2);
                    if open.len() as u32 >= MAX_DEPTH {
                        return None;
                    }
                }
                byte @ (b']' | b'}') => {
                    if open.pop() != Some(*byte) {
                        return None;
                    }
                    if open.is_empty() {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn check(bytes: &[u8], at: usize) {
        assert_eq!(skip_string(bytes, at), naive_string(bytes, at), "{bytes:?} from {at}");
        if !matches!(bytes.get(at), Some(b'[' | b'{')) {
            return;
        }
        let (found, expected) = (skip_container(bytes, at).ok(), naive_container(bytes, at));
        // A backslash after it, outside of a string, is refused a little earlier than it is reached.
        let refused = found.is_none() && expected.is_some_and(|end| bytes[end..].contains(&b'\\'));
        assert!(found == expected || refused, "{found:?}, expected {expected:?}: {bytes:?} from {at}");
    }

    #[test]
    fn values_end_alike_at_every_length_and_alignment() {
        let ends = [
            "\"]",
            "\\\"\"]",
            "\\\\\"]",
            "\"}",
            "\",{\"a\":[]}]",
            "\\\\\\\"]\"]]]",
            "\"",
            "\\",
            "\"\\]",
            "\"Y_y\x7f]",
        ];
        for end in ends {
            for length in 0..=200 {
                for lead in 0..16 {
                    let bytes = [" ".repeat(lead).as_str(), "[\"", &"[".repeat(length), end].concat();
                    check(bytes.as_bytes(), lead);
                    check(bytes.as_bytes(), lead + 2);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn values_end_where_a_loop_ends_them(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "x", "xx", "\"", "\"", "\"", r"\", r#"\""#, r"\\", "[", "]", "{", "}", "[", "]", "{", "}", r#""[]""#, "_",
                ]),
                0..200,
            ),
        ) {
            let bytes = pieces.concat().into_bytes();
            for at in 0..bytes.len() {
                check(&bytes, at);
            }
        }

        #[test]
        fn nested_values_end_where_a_loop_ends_them(
            parts in prop::collection::vec((0_usize..6, 0_usize..130), 0..60),
        ) {
            let mut bytes = vec![b'['];
            let mut open = vec![b']'];
            for (part, length) in parts {
                match part {
                    0 => (bytes.push(b'['), open.push(b']')),
                    1 => (bytes.push(b'{'), open.push(b'}')),
                    2 if open.len() > 1 => (bytes.extend(open.pop()), ()),
                    3 => (bytes.extend([b"\"".as_slice(), &vec![b'}'; length], b"\\\\\\\"\""].concat()), ()),
                    _ => (bytes.extend(vec![b' '; length]), ()),
                };
            }
            bytes.extend(open.iter().rev());
            prop_assert_eq!(skip_container(&bytes, 0).ok(), Some(bytes.len()));
            check(&bytes, 0);
            bytes.pop();
            check(&bytes, 0);
        }
    }
}
