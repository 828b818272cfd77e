//! Sixty-four bytes of JSON at a time, one bit for each byte (Langdale and Lemire, "Parsing Gigabytes of JSON per
//! Second", 2019, §3.1). Work per block hardly depends on what is in it, so irregular text costs no mispredicted
//! branches.
//!
//! NOTE: 20 kB of chat with an escape every 40 bytes scan at 10 GB/s, and at 2.2 with masks made eight bytes at a time
//! in one register, which is why `wide` (SSE2 and NEON behind a safe interface) is a dependency.

use wide::u8x16;

/// Bytes in a block.
pub(crate) const BLOCK: usize = 64;

/// What must be known of the block before.
#[derive(Debug, Default)]
pub(crate) struct Carry {
    /// 1 if the first byte is escaped.
    escaped: u64,
    /// All ones if the first byte is inside of a string.
    inside: u64,
}

/// Where the strings of a block are.
pub(crate) struct Strings {
    /// Quotes that begin or end a string.
    pub(crate) quotes: u64,
    /// Bytes inside of strings, the opening quote included.
    pub(crate) inside: u64,
    /// Bytes that a backslash escapes.
    pub(crate) escaped: u64,
    /// Those of them that are neither quotes nor backslashes.
    pub(crate) escaped_others: u64,
    /// Backslashes outside of strings, where JSON has none.
    pub(crate) stray: u64,
}

impl Carry {
    /// Inside of a string from the first byte on.
    pub(crate) fn in_string() -> Self {
        Self { escaped: 0, inside: u64::MAX }
    }

    /// The strings of the next block.
    #[inline]
    pub(crate) fn strings(&mut self, block: &[u8; BLOCK]) -> Strings {
        let backslashes = equal(block, b'\\');
        let escaped = self.escaped(backslashes);
        let all_quotes = equal(block, b'"');
        let quotes = all_quotes & !escaped;
        let inside = if quotes == 0 { self.inside } else { parity(quotes) ^ self.inside };
        self.inside = if inside >> 63 == 1 { u64::MAX } else { 0 };
        Strings {
            quotes,
            inside,
            escaped,
            escaped_others: escaped & !(all_quotes | backslashes),
            stray: backslashes & !inside,
        }
    }

    /// Bytes that the odd backslashes of every run escape.
    #[inline]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        if backslashes == 0 {
            return std::mem::take(&mut self.escaped);
        }
        // A subtraction that borrows through each run of backslashes tells runs apart by the parity of their length.
        let begins = backslashes & !self.escaped;
        let codes = ((begins << 1) | ODD).wrapping_sub(begins) ^ ODD;
        let escaped = codes ^ (backslashes | self.escaped);
        self.escaped = (codes & backslashes) >> 63;
        escaped
    }
}

/// The block that starts at `at`, filled up with spaces after the end; `None` if nothing is left.
#[inline]
pub(crate) fn block(bytes: &[u8], at: usize) -> Option<[u8; BLOCK]> {
    let rest = bytes.get(at..)?;
    if let Some(block) = rest.first_chunk() {
        return Some(*block);
    }
    last_block(rest)
}

fn last_block(rest: &[u8]) -> Option<[u8; BLOCK]> {
    let mut block = [b' '; BLOCK];
    block.get_mut(..rest.len())?.copy_from_slice(rest);
    (!rest.is_empty()).then_some(block)
}

/// Brackets and braces, which one bit tells apart.
#[inline]
pub(crate) fn brackets(block: &[u8; BLOCK]) -> u64 {
    let with_bit = |lane| lane | u8x16::splat(0x20);
    bits(block, |lane| with_bit(lane).cmp_eq(u8x16::splat(b'{')) | with_bit(lane).cmp_eq(u8x16::splat(b'}')))
}

/// Control characters.
#[inline]
pub(crate) fn controls(block: &[u8; BLOCK]) -> u64 {
    bits(block, |lane| lane.min(u8x16::splat(0x1f)).cmp_eq(lane))
}

/// Bit `n` is the parity of the bits up to `n`.
#[inline]
fn parity(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

/// The bytes that equal `byte`.
#[inline]
pub(crate) fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
    bits(block, |lane| lane.cmp_eq(u8x16::splat(byte)))
}

/// One bit for each byte; `hits` gives bytes of all ones or all zeros.
#[inline]
fn bits(block: &[u8; BLOCK], hits: impl Fn(u8x16) -> u8x16) -> u64 {
    let (lanes, _) = block.as_chunks::<16>();
    lanes
        .iter()
        .rev()
        .fold(0, |bits, lane| (bits << 16) | u64::from(hits(u8x16::new(*lane)).move_mask() as u16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(wanted: impl Fn(usize) -> bool) -> u64 {
        (0..BLOCK).filter(|index| wanted(*index)).fold(0, |bits, index| bits | (1 << index))
    }

    /// Bytes with many of those that matter.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), prop::sample::select(b"[]{}".to_vec())];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn masks_are_what_a_loop_finds(bytes in bytes()) {
            for at in (0..bytes.len()).step_by(BLOCK) {
                let block = block(&bytes, at).unwrap();
                for byte in [b'"', b'\\', b' ', 0, 0xff] {
                    let expected = naive(|index| block[index] == byte);
                    prop_assert_eq!(equal(&block, byte), expected);
                }
                let expected = naive(|index| b"[]{}".contains(&block[index]));
                prop_assert_eq!(brackets(&block), expected);
                prop_assert_eq!(controls(&block), naive(|index| block[index] < 0x20));
            }
        }

        #[test]
        fn strings_are_what_a_loop_finds(bytes in bytes(), mut inside: bool) {
            let mut carry = if inside { Carry::in_string() } else { Carry::default() };
            let mut escaped = false;
            for at in (0..bytes.len()).step_by(BLOCK) {
                let block = block(&bytes, at).unwrap();
                let strings = carry.strings(&block);
                for (index, byte) in block.into_iter().enumerate() {
                    prop_assert_eq!(strings.escaped >> index & 1 == 1, escaped);
                    let quote = byte == b'"' && !escaped;
                    inside ^= quote;
                    escaped = byte == b'\\' && !escaped;
                    prop_assert_eq!(strings.quotes >> index & 1 == 1, quote);
                    prop_assert_eq!(strings.inside >> index & 1 == 1, inside);
                }
            }
        }
    }
}
