//! The lines of an event stream and the fields of one event (WHATWG HTML §9.2.6).

use std::borrow::Cow;

use crate::blocks::{self, BLOCK};

/// The lines of some bytes. A line ends with LF, CR LF or CR.
pub(crate) struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where a block begins, and the line ends in it that have not been passed.
    block: usize,
    ends: u64,
}

/// The fields of one event that matter here.
#[derive(Default)]
pub(crate) struct Event<'e> {
    pub(crate) name: &'e [u8],
    data: Option<Cow<'e, [u8]>>,
}

impl<'b> Lines<'b> {
    pub(crate) fn new(bytes: &'b [u8], at: usize) -> Self {
        Self { bytes, at, block: at, ends: line_ends(bytes, at).unwrap_or_default() }
    }

    /// Where the next line begins.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next line that ends, without its end.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&'b [u8]> {
        let end = self.next_end()?;
        let line = part(self.bytes, self.at, end);
        self.at = end + 1;
        if self.bytes.get(end..end + 2) == Some(b"\r\n") {
            self.at = self.next_end()? + 1;
        }
        Some(line)
    }

    #[inline]
    fn next_end(&mut self) -> Option<usize> {
        while self.ends == 0 {
            self.block += BLOCK;
            self.ends = line_ends(self.bytes, self.block)?;
        }
        let end = self.block + self.ends.trailing_zeros() as usize;
        self.ends &= self.ends - 1;
        Some(end)
    }
}

impl<'e> Event<'e> {
    pub(crate) fn read(bytes: &'e [u8]) -> Self {
        let mut event = Self::default();
        let mut lines = Lines::new(bytes, 0);
        while let Some(line) = lines.next() {
            event.add(line);
        }
        event.add(part(bytes, lines.at, bytes.len()));
        event
    }

    #[inline]
    pub(crate) fn add(&mut self, line: &'e [u8]) {
        if let Some(value) = value_of(line, b"data") {
            match &mut self.data {
                None => self.data = Some(Cow::Borrowed(value)),
                Some(data) => {
                    let data = data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            }
        } else if let Some(value) = value_of(line, b"event") {
            self.name = value;
        }
    }

    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    /// Whether the data stands on several lines, so that what belongs together may lie apart.
    pub(crate) fn has_several_lines(&self) -> bool {
        matches!(self.data, Some(Cow::Owned(_)))
    }
}

/// The LF and CR of the block that starts at `at`.
#[inline]
fn line_ends(bytes: &[u8], at: usize) -> Option<u64> {
    let block = blocks::block(bytes, at)?;
    Some(blocks::equal(&block, b'\n') | blocks::equal(&block, b'\r'))
}

/// The value of a line of this field; a line without a colon has an empty one.
fn value_of<'l>(line: &'l [u8], field: &[u8]) -> Option<&'l [u8]> {
    let rest = line.strip_prefix(field)?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The bytes from `start` to `end`, none if there are none.
#[inline]
pub(crate) fn part(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end).unwrap_or_default()
}
