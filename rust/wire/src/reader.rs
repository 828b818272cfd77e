//! JSON value by value, strictly, for who must read nested values whole.

use crate::cursor::skip_whitespace;
use crate::scalar;

/// A position in a text. What it passes is checked (RFC 8259 §6 and §7); the order is up to who reads. Methods return
/// `None` at the end, and where something else comes.
#[derive(Debug, Clone)]
pub struct JsonReader<'b> {
    text: &'b str,
    at: usize,
}

impl<'b> JsonReader<'b> {
    /// At the start of `text`.
    pub fn new(text: &'b str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte that comes next, after white space. It is passed.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        self.at = skip_whitespace(self.text.as_bytes(), self.at);
        let byte = self.text.as_bytes().get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    /// The content of the string whose opening quote was passed, escapes not decoded, and whether it has any.
    ///
    /// NOTE: inlined, for the processor waits where two halves that have just been written are read as one: of
    /// definitions of tools, the key of 4 kB takes 10.9 µs instead of 15.1 (a name and its length are such halves).
    #[inline(always)]
    pub fn string(&mut self) -> Option<(&'b str, bool)> {
        let (end, escaped) = scalar::end_of_string(self.text.as_bytes(), self.at).ok()?;
        let content = self.text.get(self.at..end - 1)?;
        self.at = end;
        Some((content, escaped))
    }

    /// The number whose first byte was passed.
    pub fn number(&mut self) -> Option<&'b str> {
        let start = self.at.checked_sub(1)?;
        self.at = scalar::end_of_number(self.text.as_bytes(), start).ok()?;
        self.text.get(start..self.at)
    }

    /// The literal whose first byte was passed.
    pub fn literal(&mut self, literal: &'static str) -> Option<()> {
        self.at = scalar::end_of_literal(self.text.as_bytes(), self.at.checked_sub(1)?, literal).ok()?;
        Some(())
    }

    /// Whether nothing but white space is left.
    pub fn is_at_end(&self) -> bool {
        skip_whitespace(self.text.as_bytes(), self.at) == self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values_and_stops_at_what_is_none() {
        let mut reader = JsonReader::new(" { \"é\" : \"a\\n\" , -1.5e+3 true\n] ");
        assert_eq!((reader.byte(), reader.byte()), (Some(b'{'), Some(b'"')));
        assert_eq!(
            (reader.string(), reader.byte(), reader.byte()),
            (Some(("é", false)), Some(b':'), Some(b'"'))
        );
        assert_eq!(
            (reader.string(), reader.byte(), reader.byte()),
            (Some((r"a\n", true)), Some(b','), Some(b'-'))
        );
        assert_eq!((reader.number(), reader.byte()), (Some("-1.5e+3"), Some(b't')));
        assert_eq!((reader.literal("true"), reader.byte(), reader.is_at_end()), (Some(()), Some(b']'), true));
        assert_eq!((reader.byte(), reader.number(), reader.literal("null")), (None, None, None));
        for wrong in ["01", "-", "1.", "+1", "x"] {
            let mut reader = JsonReader::new(wrong);
            assert!(reader.byte().is_some() && reader.number().is_none(), "{wrong}");
        }
        for wrong in ["\"a", r#""\x""#, "\"\n\"", r#""\ud8""#] {
            let mut reader = JsonReader::new(wrong);
            assert!(reader.byte().is_some() && reader.string().is_none(), "{wrong}");
        }
        assert_eq!(JsonReader::new("").string(), None);
    }
}
