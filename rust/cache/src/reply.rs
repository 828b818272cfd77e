//! The bytes that a reply is kept as. They may come from a disk or from another host, so nothing of them is believed
//! before it is checked: what makes no sense is no reply.
//!
//! Numbers are little-endian. A version (1 byte), the dialect (1), whether it is a stream (1), the usage (3 × 8 bytes;
//! all ones for none), the content type (length in 1 byte, then its bytes). A whole reply's body follows. Of a stream
//! there follow the number of its pieces (4), of each its time and its length (4 + 4), and then the events.

use edgeroute_wire::{Dialect, Usage};

use crate::recording::Piece;

/// Of this layout. What has another is no reply.
const VERSION: u8 = 1;
const NO_USAGE: u64 = u64::MAX;

/// A reply that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The protocol of its bytes.
    pub dialect: Dialect,
    /// The response's `content-type`.
    pub content_type: &'a [u8],
    /// What the provider counted.
    pub usage: Option<Usage>,
    /// Its bytes.
    pub body: Body<'a>,
}

/// The bytes of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// The body of a whole reply.
    Whole(&'a [u8]),
    /// A stream.
    Stream {
        /// All of its events.
        events: &'a [u8],
        /// Of those that came together: when, in milliseconds since the first, and how many bytes.
        pieces: Vec<(u32, u32)>,
    },
}

impl<'a> Reply<'a> {
    /// The bytes to keep. A content type of more than 255 bytes is left out.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.body.size());
        out.extend([VERSION, code(self.dialect), u8::from(matches!(self.body, Body::Stream { .. }))]);
        let usage = self.usage.map_or([NO_USAGE; 3], |usage| [usage.input, usage.output, usage.cached_input]);
        usage.iter().for_each(|count| out.extend(count.to_le_bytes()));
        let length = u8::try_from(self.content_type.len()).unwrap_or(0);
        out.push(length);
        out.extend(self.content_type.iter().take(length.into()));
        match &self.body {
            Body::Whole(body) => out.extend_from_slice(body),
            Body::Stream { events, pieces } => {
                out.extend(u32::try_from(pieces.len()).unwrap_or(u32::MAX).to_le_bytes());
                for (at_ms, length) in pieces {
                    out.extend(at_ms.to_le_bytes());
                    out.extend(length.to_le_bytes());
                }
                out.extend_from_slice(events);
            }
        }
        out
    }

    /// Reads what [`Self::encode`] has written; none if it has not.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let [version, dialect, stream] = rest.array()?;
        if version != VERSION {
            return None;
        }
        let dialect = Dialect::ALL.into_iter().find(|each| code(*each) == dialect)?;
        let [input, output, cached_input] = [rest.long()?, rest.long()?, rest.long()?];
        let usage = (input != NO_USAGE).then_some(Usage { input, output, cached_input });
        let [length] = rest.array()?;
        let content_type = rest.take(length.into())?;
        let body = match stream {
            0 => Body::Whole(rest.0),
            1 => rest.stream()?,
            _ => return None,
        };
        Some(Self { dialect, content_type, usage, body })
    }
}

impl Body<'_> {
    /// The bytes of the reply or of its events.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Stream { events: bytes, .. } => bytes,
        }
    }

    /// The pieces of a stream, copied; none of a whole reply.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        let (mut rest, pieces) = match self {
            Self::Whole(_) => ([].as_slice(), [].as_slice()),
            Self::Stream { events, pieces } => (*events, pieces.as_slice()),
        };
        pieces.iter().map_while(move |(at_ms, length)| {
            let (events, after) = rest.split_at_checked(usize::try_from(*length).ok()?)?;
            rest = after;
            Some(Piece::new(*at_ms, events))
        })
    }

    fn size(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Stream { events, pieces } => 4 + pieces.len() * 8 + events.len(),
        }
    }
}

/// What has not been read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The stream that is all that is left. Its pieces are as long as its events.
    fn stream(mut self) -> Option<Body<'a>> {
        let count = usize::try_from(self.short()?).ok()?;
        let mut table = Rest(self.take(count.checked_mul(8)?)?);
        let mut pieces = Vec::with_capacity(count);
        let mut size = 0_u64;
        while !table.0.is_empty() {
            let (at_ms, length) = (table.short()?, table.short()?);
            size += u64::from(length);
            pieces.push((at_ms, length));
        }
        (size == self.0.len() as u64).then_some(Body::Stream { events: self.0, pieces })
    }
}

/// The number that stands for a dialect: those of dialects that are gone are not given to others.
fn code(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::OpenAiChat => 1,
        Dialect::OpenAiResponses => 2,
        Dialect::AnthropicMessages => 3,
    }
}
