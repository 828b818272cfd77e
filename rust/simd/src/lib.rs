//! Kernels over vectors of bytes and bits, each beside a safe twin that gives the same result: which of the two runs is
//! decided by what the processor can do, found out once. It knows no embedding, no cache and no threshold, only
//! numbers. A kernel is `unsafe` to call on a processor without its features, and to hand memory that is not there;
//! both are settled here, and nothing unsafe leaves the crate.
//!
//! The twins are also what runs on processors other than x86-64, and what the tests compare with ([`safe`]).

mod accumulate;
pub mod safe;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use accumulate::{MOST_ROWS, ROW, add_rows};

/// Bits of a code.
pub const CODE_BITS: u32 = 256;

/// A code of 256 bits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Code(pub [u64; 4]);

impl Code {
    /// In how many bits the two differ.
    #[must_use]
    pub fn apart(self, other: Self) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if let Some(bits) = x86::apart(self, other) {
            return bits;
        }
        safe::apart(self, other)
    }
}

/// Codes of a group.
pub const GROUP: usize = 32;

/// One word each of so many codes, where processors load them fastest.
///
/// NOTE: vectors that lie across two cache lines are loaded at half the speed: without the alignment 10,000 words took
/// 1.2 µs instead of 0.8.
#[repr(align(64))]
#[derive(Clone, Copy, Debug)]
pub struct Group(pub [u64; GROUP]);

/// How many bits may differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Radii {
    /// In the first word, of 64 bits.
    pub first: u32,
    /// In the first two.
    pub both: u32,
}

/// Calls `found` with the position of each code whose first two words are within the radii of the query's, in rising
/// order. A group of `first` and one of `second` are those words of the same codes; every word of them counts.
pub fn scan(first: &[Group], second: &[Group], query: [u64; 2], radii: Radii, found: &mut dyn FnMut(usize)) {
    #[cfg(target_arch = "x86_64")]
    if x86::scan(first, second, query, radii, found) {
        return;
    }
    safe::scan(first, second, query, radii, found);
}

/// The sum of the products; what one side has more than the other counts as zero. Exact up to 131,071 values.
#[must_use]
pub fn dot(left: &[i8], right: &[i8]) -> i32 {
    #[cfg(target_arch = "x86_64")]
    if let Some(sum) = x86::dot(left, right) {
        return sum;
    }
    safe::dot(left, right)
}

/// The signs of the first 256 values: bit i is set where value i is below zero, and not where there is none.
#[must_use]
pub fn signs(values: &[i8]) -> Code {
    #[cfg(target_arch = "x86_64")]
    if let Some(words) = values.first_chunk().and_then(x86::signs) {
        return Code(words);
    }
    safe::signs(values)
}

/// Bytes that are looked at together.
pub const BLOCK: usize = 64;

/// Which of the bytes belong to words: bit i is set where byte i is a letter or digit of ASCII, or not of ASCII.
#[inline]
#[must_use]
pub fn words(block: &[u8; BLOCK]) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return x86::words(block);
    #[cfg(not(target_arch = "x86_64"))]
    safe::words(block)
}

/// Bytes among which one is looked for at once.
pub const PLACES: usize = 32;

/// Where a byte is: bit i is set where byte i is it.
#[inline]
#[must_use]
pub fn places(bytes: &[u8; PLACES], byte: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    return x86::places(bytes, byte);
    #[cfg(not(target_arch = "x86_64"))]
    safe::places(bytes, byte)
}

/// Says that the values will be read soon. It changes nothing but how long that takes.
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "only x86-64 is told"))]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86::prefetch(values);
}
