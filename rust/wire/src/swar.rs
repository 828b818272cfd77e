//! Search of eight bytes at a time in one register ("SIMD within a register"), for short strings: there a hit is so
//! near that a block of 64 bytes costs more than it saves.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// What ends within so many bytes is short.
const SOON: usize = 16;

/// The first `"` or `\` at or after `at`, if it comes soon.
#[inline]
pub(crate) fn quote_or_backslash_soon(bytes: &[u8], at: usize) -> Option<usize> {
    find_soon(bytes, at, |word| equal(word, b'"') | equal(word, b'\\'))
}

/// The first `"`, `\` or control character at or after `at`, if it comes soon.
#[inline]
pub(crate) fn quote_backslash_or_control_soon(bytes: &[u8], at: usize) -> Option<usize> {
    find_soon(bytes, at, |word| equal(word, b'"') | equal(word, b'\\') | below(word, 0x20))
}

/// High bit set in the lowest byte that equals `byte`, none if no byte does; higher bits may be wrong.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (LOW * u64::from(byte)), 1)
}

/// High bit set in the lowest byte that is less than `limit` (≤ 128), none if no byte is; higher bits may be wrong.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(LOW * u64::from(limit)) & !word & HIGH
}

#[inline]
fn find_soon(bytes: &[u8], mut at: usize, hits: impl Fn(u64) -> u64) -> Option<usize> {
    let mut rest = bytes.get(at..bytes.len().min(at.saturating_add(SOON)))?;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let hits = hits(u64::from_le_bytes(*word));
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
        rest = after;
    }
    // Filled up with a byte that nothing looks for.
    let word = rest.iter().rev().fold(LOW * u64::from(b'.'), |word, byte| (word << 8) | u64::from(*byte));
    let hits = hits(word);
    (hits != 0).then(|| at + (hits.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &[u8], at: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
        (at..bytes.len()).find(|index| wanted(bytes[*index]))
    }

    proptest! {
        #[test]
        fn finds_what_a_loop_finds(
            bytes in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..200),
            at in 0_usize..200,
        ) {
            let soon = &bytes[..bytes.len().min(at + SOON)];
            prop_assert_eq!(quote_or_backslash_soon(&bytes, at), naive(soon, at, |byte| matches!(byte, b'"' | b'\\')));
            prop_assert_eq!(
                quote_backslash_or_control_soon(&bytes, at),
                naive(soon, at, |byte| matches!(byte, b'"' | b'\\' | 0..0x20))
            );
        }
    }
}
