//! The words of a text, and the keys of a word and of its pieces; `tools/fit_embedding.py` makes the same ones.

use edgeroute_simd::{BLOCK, words};
use smallvec::SmallVec;

/// Of more letters, only the whole counts: an identifier, not a word.
const LONGEST_WORD: usize = 24;
/// Of fewer letters, the whole is the only piece.
const LEAST: usize = PIECE - 1;
/// Letters of a piece, `<` and `>` at the ends of the word among them.
const PIECE: usize = 4;
/// Makes letters of ASCII small and leaves digits alone.
const SMALL: u8 = 0x20;
/// What is hashed.
const WORD: u64 = 0xCBF2_9CE4_8422_2325;
const PART: u64 = 0x8422_2325_CBF2_9CE4;

/// Plain letters for those with accents from U+00E0, U+01CD and U+1E00 on; a dot where there is none.
const ACCENTS: [(u32, &str); 3] = [
    (
        0xE0,
        "aaaaaa.ceeeeiiii.nooooo..uuuuy.yaaaaaaccccccccdd..eeeeeeeeeegggggggghh..iiiiiiiii...jjkk.lll\
    lll....nnnnnn...oooooo..rrrrrrsssssssstttt..uuuuuuuuuuuuwwyyyzzzzzzs",
    ),
    (
        0x1CD,
        "aaiioouuuuuuuuuu.aaaa....ggkkoooo..j...gg..nnaa....aaaaeeeeiiiioooorrrruuuusstt..hh......aae\
    eooooooooyy",
    ),
    (
        0x1E00,
        "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrr\
    rrrrssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy.s....aaaaaaaaaaaaaaaaaaaaaaaa\
    eeeeeeeeeeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy......",
    ),
];

/// A run of letters and digits.
#[derive(Clone, Copy)]
pub(super) enum Word<'t, 's> {
    /// As it stands in a text, in either case: the text from there on, and the length of the word, at least 1.
    Ascii(&'t [u8], usize),
    /// In lower case and without accents, between `<` and `>`.
    Spelled(&'s str),
}

impl Word<'_, '_> {
    /// Whether a single letter of it says as much as a piece of a word.
    pub(super) fn is_ideographic(self) -> bool {
        matches!(self, Self::Spelled(text) if text.chars().nth(1).is_some_and(is_ideograph))
    }

    /// Of the whole word.
    #[inline]
    pub(super) fn key(self) -> u32 {
        match self {
            Self::Ascii(text, length) => key_of_ascii(text, length),
            Self::Spelled(text) => key(WORD, text.get(1..text.len() - 1).unwrap_or_default().as_bytes()),
        }
    }

    /// Calls with the key of each part of 4 characters, of ideographs 1 and 2.
    pub(super) fn pieces(self, mut found: impl FnMut(u32)) {
        match self {
            Self::Ascii(text, length @ LEAST..=LONGEST_WORD) => {
                let mut whole = [b'<'; LONGEST_WORD + 2];
                whole.iter_mut().skip(1).zip(text).for_each(|(to, letter)| *to = letter | SMALL);
                whole.iter_mut().skip(1 + length).take(1).for_each(|end| *end = b'>');
                whole.windows(PIECE).take(length - 1).for_each(|piece| found(key(PART, piece)));
            }
            Self::Ascii(..) => {}
            Self::Spelled(text) => {
                let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
                let ends: SmallVec<[usize; LONGEST_WORD + 3]> = ends.collect();
                let lengths: &[usize] = if self.is_ideographic() { &[1, 2] } else { &[PIECE] };
                for &length in lengths.iter().filter(|&&length| length + 1 < ends.len() && !ends.spilled()) {
                    for (&start, &end) in ends.iter().zip(ends.iter().skip(length)) {
                        found(key(PART, text.get(start..end).unwrap_or_default().as_bytes()));
                    }
                }
            }
        }
    }
}

/// Calls with each word of the text.
///
/// NOTE: where a word ends cannot be foretold, so a loop over its letters costs a wrong guess a word. Found 64 bytes at
/// a time, and hashed 8 letters at a time, words of ASCII, which most are, cost none: a prompt of 2,500 characters
/// takes 12.7 µs instead of 18.
pub(super) fn each<'t>(text: &'t str, mut found: impl FnMut(Word<'t, '_>)) {
    let is_ascii = text.is_ascii();
    let mut spelling = Spelling::default();
    let mut run = |start: usize, end: usize| match text.get(start..end) {
        Some(run) if !is_ascii && !run.is_ascii() => {
            spelling.spell(run, &mut |word| found(Word::Spelled(word)));
        }
        _ => found(Word::Ascii(text.as_bytes().get(start..).unwrap_or_default(), end - start)),
    };
    let (mut start, mut inside) = (0, 0);
    let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
    for (number, block) in blocks.iter().chain([&last]).enumerate() {
        let letters = words(block);
        // Where runs begin and, each time after that, end.
        let mut turns = letters ^ (letters << 1 | inside);
        while turns != 0 {
            let at = number * BLOCK + turns.trailing_zeros() as usize;
            turns &= turns - 1;
            if inside == 0 {
                start = at;
            } else {
                run(start, at);
            }
            inside ^= 1;
        }
    }
}

/// Puts words together of a run of letters that are not all of ASCII.
#[derive(Default)]
struct Spelling {
    /// The word that has begun, after `<`.
    word: String,
    letters: usize,
}

/// What is done with a word that has ended.
type Found<'f> = &'f mut dyn FnMut(&str);

impl Spelling {
    #[cold]
    fn spell(&mut self, run: &str, found: Found<'_>) {
        for letter in run.chars() {
            if letter.is_ascii() {
                self.add(letter.to_ascii_lowercase(), found);
            } else {
                self.add_folded(letter, found);
            }
        }
        self.end(found);
    }

    fn add(&mut self, letter: char, found: Found<'_>) {
        // Where scripts change; and every so often in a text that has no spaces.
        let is_other = self.letters > 0 && Word::Spelled(&self.word).is_ideographic() != is_ideograph(letter);
        if is_other || !letter.is_ascii() && self.letters >= LONGEST_WORD {
            self.end(found);
        }
        if self.letters == 0 {
            self.word.push('<');
        }
        self.word.push(letter);
        self.letters += 1;
    }

    fn add_folded(&mut self, letter: char, found: Found<'_>) {
        for lower in letter.to_lowercase().filter(|&lower| !is_accent(lower)) {
            match without_accent(lower) {
                plain if plain.is_alphanumeric() => self.add(plain, found),
                _ => self.end(found),
            }
        }
    }

    fn end(&mut self, found: Found<'_>) {
        if self.letters > 0 {
            self.word.push('>');
            found(&self.word);
            self.word.clear();
            self.letters = 0;
        }
    }
}

/// Hash of bytes, eight at a time.
#[inline]
fn key(seed: u64, bytes: &[u8]) -> u32 {
    let (eights, rest) = bytes.as_chunks::<8>();
    let state = eights.iter().fold(seed, |state, eight| next(state, u64::from_le_bytes(*eight)));
    mix(if rest.is_empty() { state } else { next(state, number(rest)) })
}

/// The same of a word of ASCII in lower case, without a loop over the bytes of its end.
#[inline]
fn key_of_ascii(text: &[u8], length: usize) -> u32 {
    const SMALL: u64 = u64::from_le_bytes([self::SMALL; 8]);
    let mut state = WORD;
    let mut left = length;
    let mut text = text;
    while let Some((eight, after)) = text.split_first_chunk().filter(|_| left > 8) {
        state = next(state, u64::from_le_bytes(*eight) | SMALL);
        (text, left) = (after, left - 8);
    }
    let eight = text.first_chunk().map_or_else(|| number(text), |eight| u64::from_le_bytes(*eight));
    mix(next(state, (eight | SMALL) & (u64::MAX >> (64 - 8 * left as u32))))
}

/// Of fewer than eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[inline]
fn next(state: u64, eight: u64) -> u64 {
    let product = (state ^ eight).wrapping_mul(0x9FB2_1C65_1E98_DF25);
    product ^ (product >> 32)
}

#[inline]
fn mix(state: u64) -> u32 {
    (state.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// Chinese, Japanese and Korean.
#[inline]
fn is_ideograph(letter: char) -> bool {
    matches!(u32::from(letter), 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

/// One that stands after its letter.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36F}')
}

fn without_accent(letter: char) -> char {
    let plain = ACCENTS.iter().find_map(|(first, plain)| {
        let at = u32::from(letter).checked_sub(*first)?;
        plain.as_bytes().get(at as usize).filter(|&&plain| plain != b'.')
    });
    plain.map_or(letter, |&plain| char::from(plain))
}
