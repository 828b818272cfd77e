//! A hash for maps whose keys come from the configuration or are our own. Who may only look keys up cannot make them
//! collide, so it need not resist anybody.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map with that hash.
///
/// NOTE: the name of a metric takes 28 instructions, with SipHash 310; a request looks up eight.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<FastHasher>>;

/// Multiplies its state by what it is given, eight bytes at a time, and folds the upper half of the product into the
/// lower (as wyhash does). The factor is that of SplitMix64.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FastHasher(u64);

impl Hasher for FastHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, after)) = rest.split_first_chunk::<8>() {
            self.write_u64(u64::from_le_bytes(*word));
            rest = after;
        }
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(1, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9E37_79B9_7F4A_7C15;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::{BuildHasher, BuildHasherDefault};

    use super::FastHasher;

    /// Of names that differ little, the lowest 16 bits and the highest 7 are about as often the same as by chance.
    fn check(hashes: impl Iterator<Item = u64>) {
        let hashes: Vec<u64> = hashes.collect();
        let count = hashes.len();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), count);
        let places = hashes.iter().map(|hash| hash & 0xffff).collect::<HashSet<_>>().len() as f64;
        let by_chance = 65_536.0 * (1.0 - (-(count as f64) / 65_536.0).exp());
        assert!(places > 0.95 * by_chance, "{places} places, by chance {by_chance}");
        let marks = hashes.iter().map(|hash| hash >> 57).collect::<HashSet<_>>().len();
        assert!(marks > 100, "{marks}");
    }

    #[test]
    fn names_that_differ_little_are_spread() {
        let hash = BuildHasherDefault::<FastHasher>::default();
        check((0..20_000).map(|number| hash.hash_one(format!("team-{number}/model"))));
        check((0..20_000).map(|number| hash.hash_one(format!("{number:09}"))));
        check((0..20_000_u16).map(|number| hash.hash_one((Some(number % 100), number / 100, 200_u16))));
        check((0..20_000_u32).map(|number| hash.hash_one(number << 12)));
        check((0..2_000).map(|length| hash.hash_one("a".repeat(length))));
    }
}
