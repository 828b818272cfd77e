//! Short texts as two words, which are compared and hashed without a loop.

/// First and last bytes of a text, and its length: all that there is of one of up to 16 bytes. Of a longer one the
/// first are mixed with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ends {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) length: u32,
}

impl Ends {
    pub(crate) fn of(text: &[u8]) -> Self {
        Self::of_short(text).unwrap_or_else(|| {
            let (words, _) = text.as_chunks::<8>();
            let first = words.iter().fold(0_u64, |mixed, word| {
                (mixed ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
            });
            let last = text.last_chunk().map_or(0, |last| u64::from_le_bytes(*last));
            Self { first, last, length: text.len() as u32 }
        })
    }

    /// Of a text of up to 16 bytes.
    #[inline(always)]
    pub(crate) fn of_short(text: &[u8]) -> Option<Self> {
        let (first, last) = match text.len() {
            8..=16 => (u64::from_le_bytes(*text.first_chunk()?), u64::from_le_bytes(*text.last_chunk()?)),
            4..8 => (
                u32::from_le_bytes(*text.first_chunk()?).into(),
                u32::from_le_bytes(*text.last_chunk()?).into(),
            ),
            0..4 => {
                let byte = |place: usize| text.get(place).copied().map_or(0, u64::from);
                (byte(0) | byte(1) << 8, byte(2))
            }
            _ => return None,
        };
        Some(Self { first, last, length: text.len() as u32 })
    }

    /// Whether they are the same.
    ///
    /// NOTE: one branch, which is nearly always predicted; three are not.
    #[inline(always)]
    pub(crate) fn are(self, others: Self) -> bool {
        (self.first ^ others.first) | (self.last ^ others.last) | u64::from(self.length ^ others.length) == 0
    }

    /// Whether they are ASCII.
    #[inline]
    pub(crate) fn are_ascii(self) -> bool {
        (self.first | self.last) & 0x8080_8080_8080_8080 == 0
    }
}
