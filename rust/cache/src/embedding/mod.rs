//! What a text means as a small vector, by a table in the binary: the sum of the rows of its words, so that two
//! questions in nearly the same words are near each other, and mostly so are two in other words for the same. The table
//! is fitted to the vectors of a language model by `tools/fit_embedding.py`, which says how; it is English. Of words in
//! other languages the pieces are hashed, so that there texts are near if they have the same words.

mod table;
mod words;

use edgeroute_simd::{MOST_ROWS, dot};
use smallvec::SmallVec;

use words::Word;

/// Length of a vector.
pub const DIMENSIONS: usize = 256;

/// Of table and features: vectors of different versions have nothing to do with each other.
pub const VERSION: u32 = 1;

/// Texts of more bytes have no vector: an average over so many words says little, and the work stays bounded.
pub const LONGEST_TEXT: usize = 8192;

/// So many unknown words are made of their pieces; of further ones only the whole is hashed, which bounds the work.
const COMPOSED_WORDS: usize = 48;

/// So many words are read before the table is asked for the first of them, which comes from memory meanwhile.
///
/// NOTE: where the table is in no cache, a prompt of 2,500 characters takes 48 µs instead of 70.
const AHEAD: usize = 32;

/// Of a word and its pieces.
const MOST_PIECES: usize = 64;

/// What makes the sum of so many rows as long as one of them: 256/√n.
#[expect(clippy::indexing_slicing, reason = "at compile time")]
const SHARES: [i32; MOST_PIECES + 1] = {
    let mut shares = [0; MOST_PIECES + 1];
    let mut rows = 1;
    while rows < shares.len() {
        shares[rows] = (65_536 / rows).isqrt() as i32;
        rows += 1;
    }
    shares
};

/// A text as a vector of length one, turned at random so that its signs are a code: component i is about
/// `values[i] * scale`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The direction; the largest is 127 or -127.
    pub values: [i8; DIMENSIONS],
    /// What makes the length one.
    pub scale: f32,
}

impl Embedding {
    /// Of the angle between the two: 1 if they mean the same, about 0 if they have nothing to do with each other.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        (dot(&self.values, &other.values) as f32 * self.scale * other.scale).clamp(-1.0, 1.0)
    }
}

/// The vector of a text; `None` where it has no letter or digit, or is longer than [`LONGEST_TEXT`].
#[must_use]
pub fn embed(text: &str) -> Option<Embedding> {
    if text.len() > LONGEST_TEXT {
        return None;
    }
    let mut reader = Reader::default();
    words::each(text, |word| reader.read(word));
    reader.catch_up();
    reader.sum.unit()
}

/// Reads words a little ahead of what is asked of the table.
#[derive(Default)]
struct Reader<'t> {
    /// With their keys.
    ahead: SmallVec<[(Word<'t, 't>, u32); AHEAD]>,
    sum: Sum,
}

impl<'t> Reader<'t> {
    #[inline]
    fn read(&mut self, word: Word<'t, '_>) {
        let key = word.key();
        let Word::Ascii(text, length) = word else { return self.sum.add(word, key) };
        table::prefetch(key);
        self.ahead.push((Word::Ascii(text, length), key));
        if self.ahead.len() == AHEAD {
            self.catch_up();
        }
    }

    fn catch_up(&mut self) {
        self.ahead.iter().for_each(|(word, key)| self.sum.add(*word, *key));
        self.ahead.clear();
    }
}

/// The words of a text so far.
struct Sum {
    /// Where the rows of those begin that are known, but for those that are in the total.
    known: SmallVec<[u32; MOST_ROWS]>,
    total: [i32; DIMENSIONS],
    unknown: usize,
}

impl Default for Sum {
    fn default() -> Self {
        Self { known: SmallVec::new(), total: [0; DIMENSIONS], unknown: 0 }
    }
}

impl Sum {
    #[inline(always)]
    fn add(&mut self, word: Word<'_, '_>, key: u32) {
        match table::row(key) {
            Some(row) => {
                table::prefetch_row(row);
                self.known.push(row);
            }
            None => self.compose(word, key),
        }
        if self.known.len() == MOST_ROWS {
            self.add_known();
        }
    }

    fn add_known(&mut self) {
        table::add(&self.known, 256, &mut self.total);
        self.known.clear();
    }

    /// The sum of n pieces by √n, which is as long as a word.
    ///
    /// NOTE: apart, so that what most words take is inlined: a prompt of 2,500 characters takes 14.6 µs instead of 15.8.
    #[inline(never)]
    fn compose(&mut self, word: Word<'_, '_>, key: u32) {
        self.unknown += 1;
        let mut pieces: SmallVec<[u32; MOST_PIECES]> = SmallVec::new();
        if self.unknown <= COMPOSED_WORDS {
            word.pieces(|key| {
                table::prefetch(key);
                pieces.push(key);
            });
        }
        for piece in &mut pieces {
            *piece = table::row(*piece).unwrap_or_else(|| table::noise(*piece));
        }
        pieces.push(table::noise(key));
        // A run of ideographs is as many words as it is long, so its sum is not shortened as much.
        let share = if word.is_ideographic() { 128 } else { *SHARES.get(pieces.len()).unwrap_or(&0) };
        table::add(&pieces, share, &mut self.total);
    }

    fn unit(mut self) -> Option<Embedding> {
        self.add_known();
        let largest = self.total.iter().fold(0, |largest, value| value.abs().max(largest));
        if largest == 0 {
            return None;
        }
        let factor = 127.0 / largest as f32;
        let values = self.total.map(|value| round(value as f32 * factor));
        Some(Embedding { values, scale: 1.0 / (dot(&values, &values) as f32).sqrt() })
    }
}

/// To the nearest integer, of numbers within 127.
///
/// NOTE: the sum with 1.5 · 2^23 has that integer in its lowest bits. A cast, which checks for what is not a number, is
/// not made of vector instructions: a question of 60 characters took 0.97 µs instead of 0.68.
fn round(value: f32) -> i8 {
    (value + 12_582_912.0).to_bits() as i8
}
