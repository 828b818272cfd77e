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
    /// Passes the byte at `at`, perhaps a bracket; whether it closes the outermost container.
    #[inline]
    fn pass(&mut self, bytes: &[u8], at: usize) -> Result<bool, Fault> {
        match bytes.get(at) {
            Some(byte @ (b'{' | b'[')) => {
                self.depth += 1;
                if self.depth >= MAX_DEPTH {
                    return Err(Fault::new(ScanErrorKind::TooDeep, at));
                }
                self.kinds = (self.kinds << 1) | u128::from(*byte == b'[');
                Ok(false)
            }
            Some(byte @ (b'}' | b']')) => {
                if (self.kinds & 1 == 1) != (*byte == b']') {
                    return Err(Fault::new(ScanErrorKind::Mismatched(char::from(*byte)), at));
                }
                self.kinds >>= 1;
                self.depth -= 1;
                Ok(self.depth == 0)
            }
            _ => Ok(false),
        }
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
            let key = self.string()?;
            self.take(b':')?;
            // Else a key that is written in another way would hide its value from us, and not from the provider.
            match key.contains(&b'\\') {
                true => each(self, decode_lossy(str::from_utf8(key).ok()?).as_bytes())?,
                false => each(self, key)?,
            }
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
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
