//! The twins: what the kernels compute, as plainly as it can be said.

use crate::{BLOCK, Code, Group, PLACES, ROW, Radii};

/// As [`crate::scan`].
pub fn scan(first: &[Group], second: &[Group], query: [u64; 2], radii: Radii, found: &mut dyn FnMut(usize)) {
    let [one, other] = query;
    let words = first.iter().zip(second).flat_map(|(first, second)| first.0.into_iter().zip(second.0));
    for (position, (first, second)) in words.enumerate() {
        let near = (first ^ one).count_ones();
        if near <= radii.first && near + (second ^ other).count_ones() <= radii.both {
            found(position);
        }
    }
}

/// As [`Code::apart`]. Inlined, it counts as fast as its caller's processor features allow.
#[inline(always)]
#[must_use]
pub fn apart(left: Code, right: Code) -> u32 {
    left.0.iter().zip(right.0).map(|(left, right)| (left ^ right).count_ones()).sum()
}

/// As [`crate::dot`].
#[must_use]
pub fn dot(left: &[i8], right: &[i8]) -> i32 {
    let products = left.iter().zip(right).map(|(left, right)| i32::from(*left) * i32::from(*right));
    products.fold(0, i32::wrapping_add)
}

/// As [`crate::signs`].
#[must_use]
pub fn signs(values: &[i8]) -> Code {
    let mut words = [0; 4];
    for (word, values) in words.iter_mut().zip(values.chunks(64)) {
        for (byte, eight) in values.chunks(8).enumerate() {
            let mut padded = [0; 8];
            padded.iter_mut().zip(eight).for_each(|(to, from)| *to = from.cast_unsigned());
            // The multiplication moves the eighth bits of eight bytes side by side.
            let bits = u64::from_le_bytes(padded) & 0x8080_8080_8080_8080;
            *word |= (bits.wrapping_mul(0x0002_0408_1020_4081) >> 56) << (byte * 8);
        }
    }
    Code(words)
}

/// As [`crate::words`].
#[must_use]
pub fn words(block: &[u8; BLOCK]) -> u64 {
    let bits = block.iter().map(|byte| u64::from(byte.is_ascii_alphanumeric() || !byte.is_ascii()));
    bits.rev().fold(0, |words, bit| words << 1 | bit)
}

/// As [`crate::places`].
#[must_use]
pub fn places(bytes: &[u8; PLACES], byte: u8) -> u32 {
    bytes.iter().rev().fold(0, |places, at| places << 1 | u32::from(*at == byte))
}

/// As [`crate::add_rows`].
pub fn add_rows(table: &[u8], starts: &[u32], times: i32, total: &mut [i32; ROW]) {
    add_rows_by::<ROW>(table, starts, times, total);
}

/// As [`add_rows`], so many values of all rows after the other, because their sums stay in registers.
#[inline(always)]
pub(crate) fn add_rows_by<const LANES: usize>(
    table: &[u8],
    starts: &[u32],
    times: i32,
    total: &mut [i32; ROW],
) {
    let (parts, _) = total.as_chunks_mut::<LANES>();
    for (part, total) in parts.iter_mut().enumerate() {
        let mut sums = [0i16; LANES];
        for &start in starts {
            let row = table.get(start as usize..).and_then(|rest| rest.first_chunk::<ROW>());
            let Some(row) = row.and_then(|row| row.as_chunks::<LANES>().0.get(part)) else { continue };
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum = sum.wrapping_add(i16::from(value.cast_signed()));
            }
        }
        for (total, sum) in total.iter_mut().zip(sums) {
            *total = total.wrapping_add(i32::from(sum).wrapping_mul(times));
        }
    }
}
