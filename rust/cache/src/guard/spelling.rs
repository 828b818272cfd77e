//! Words by their spelling: without case and accents, without the ending of a plural, in American spelling. All of it
//! by rules, so that a word nobody listed has its forms too; what a rule makes need not be a word.

use super::lexicon::hash;

/// The longest word that is folded by rules; of a longer one, all bytes count as they are.
const LONGEST: usize = 40;

/// A word in lower case without accents, as far as one buffer holds it, and the hash of all of it.
pub(super) struct Folded {
    bytes: [u8; LONGEST],
    length: usize,
    pub(super) fits: bool,
}

impl Folded {
    pub(super) fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0, fits: true }
    }

    pub(super) fn of(word: &str) -> Self {
        let mut folded = Self::new();
        word.chars().for_each(|character| folded.push_char(character));
        folded
    }

    pub(super) fn hash(&self) -> u32 {
        hash(self.as_bytes())
    }

    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        } else {
            self.fits = false;
        }
    }

    pub(super) fn push_char(&mut self, character: char) {
        if character.is_ascii() {
            self.push(character.to_ascii_lowercase() as u8);
            return;
        }
        if let Some(plain) = without_accent(character) {
            plain.bytes().for_each(|byte| self.push(byte));
            return;
        }
        for lower in character.to_lowercase() {
            lower.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| self.push(byte));
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The hash of a folded word without the ending of the plural, in American spelling.
pub(super) fn lemma(word: &[u8]) -> u32 {
    hash(Lemma::of(word).as_bytes())
}

struct Lemma {
    folded: Folded,
}

impl Lemma {
    fn of(word: &[u8]) -> Self {
        let mut folded = Folded::new();
        let end = word.len().saturating_sub(1);
        match word {
            // Not of English, or too short to have an ending.
            _ if word.len() < 4 || !word.is_ascii() => word.iter().for_each(|byte| folded.push(*byte)),
            [.., b's' | b'u' | b'i', b's'] | [.., b'i', b'c', b's'] => {
                word.iter().for_each(|byte| folded.push(*byte))
            }
            [base @ .., b'i', b'e', b's'] => {
                base.iter().for_each(|byte| folded.push(*byte));
                folded.push(b'y');
            }
            [.., b's'] => word.iter().take(end).for_each(|byte| folded.push(*byte)),
            _ => word.iter().for_each(|byte| folded.push(*byte)),
        }
        let mut lemma = Self { folded };
        lemma.american();
        lemma.without_e();
        lemma
    }

    fn as_bytes(&self) -> &[u8] {
        self.folded.as_bytes()
    }

    /// What is left of `boxes` and of `caches` ends as `box` and `cache` do.
    fn without_e(&mut self) {
        match self.as_bytes() {
            [.., b'c' | b's', b'h', b'e'] | [.., b's', b's', b'e'] | [.., b'x' | b'z' | b'o', b'e'] => {
                self.folded.length -= 1;
            }
            [_, _, .., b'i', b'e'] => {
                self.folded.length -= 2;
                self.folded.push(b'y');
            }
            _ => {}
        }
    }

    fn american(&mut self) {
        let length = self.folded.length;
        match self.as_bytes() {
            [_, _, .., b'o', b'u', b'r'] => {
                self.folded.length -= 2;
                self.folded.push(b'r');
            }
            [_, .., b'l', b'o', b'g', b'u', b'e'] => self.folded.length -= 2,
            [_, _, .., b'l', b'l', b'e', b'd' | b'r'] if length >= 8 => self.drop_at(length - 3),
            [_, _, .., b'l', b'l', b'i', b'n', b'g'] if length >= 9 => self.drop_at(length - 4),
            _ => {}
        }
        // `-ise`, `-ised`, `-ising`, `-isation`, `-yse`: the last `s` of those.
        let at = match self.as_bytes() {
            [_, .., b'i' | b'y', b's', b'e'] if length >= 6 => length - 2,
            [_, _, .., b'i' | b'y', b's', b'e', b'd' | b'r'] if length >= 6 => length - 3,
            [_, _, .., b'i' | b'y', b's', b'i', b'n', b'g'] if length >= 7 => length - 4,
            [_, .., b'i', b's', b'a', b't', b'i', b'o', b'n'] => length - 6,
            _ => return,
        };
        if let Some(place) = self.folded.bytes.get_mut(at) {
            *place = b'z';
        }
    }

    fn drop_at(&mut self, at: usize) {
        self.folded.bytes.copy_within(at + 1.., at);
        self.folded.length -= 1;
    }
}

/// The verb of `playing`, `making`, `running`: by rules, which miss some.
pub(super) fn verb_of(word: &[u8]) -> Option<u32> {
    let [stem @ .., b'i', b'n', b'g'] = word else { return None };
    let vowel = |byte: u8| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u');
    let groups = stem.iter().enumerate().filter(|(at, byte)| {
        vowel(**byte)
            && at.checked_sub(1).and_then(|before| stem.get(before)).is_none_or(|before| !vowel(*before))
    });
    let mut verb = Folded::new();
    match (stem, groups.count()) {
        (_, 0) => return None,
        ([rest @ .., a, b], _) if a == b && !vowel(*a) && !matches!(a, b'l' | b's' | b'z') => {
            rest.iter().chain([a]).for_each(|byte| verb.push(*byte));
        }
        // One syllable with a single consonant would have doubled it.
        ([.., a, b, c], 1) if !vowel(*a) && vowel(*b) && !vowel(*c) && !matches!(c, b'w' | b'x' | b'y') => {
            stem.iter().chain(b"e").for_each(|byte| verb.push(*byte));
        }
        ([.., b'c' | b'v' | b'z'], _) => stem.iter().chain(b"e").for_each(|byte| verb.push(*byte)),
        ([.., a, b'a', b't'], 2..) if !vowel(*a) => stem.iter().chain(b"e").for_each(|byte| verb.push(*byte)),
        _ => stem.iter().for_each(|byte| verb.push(*byte)),
    }
    Some(lemma(verb.as_bytes()))
}

/// Latin letters without the accents that people leave out; None for others. `ä`, `ö`, `ü`, `å`, `ø` and `ñ` are letters
/// of their own: `drucken` prints and `drücken` presses.
fn without_accent(character: char) -> Option<&'static str> {
    Some(match character {
        'À'..='Ã' | 'à'..='ã' | 'Ā'..='ą' => "a",
        'Æ' | 'æ' => "ae",
        'Ç' | 'ç' | 'Ć'..='č' => "c",
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => "e",
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => "i",
        'Ń'..='ň' => "n",
        'Ò'..='Õ' | 'ò'..='õ' | 'Ō'..='ŏ' => "o",
        'Ù'..='Û' | 'ù'..='û' | 'Ũ'..='ů' | 'Ų'..='ų' => "u",
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' => "y",
        'ß' => "ss",
        'Ď'..='đ' => "d",
        'Ĝ'..='ģ' => "g",
        'Ĺ'..='ł' => "l",
        'Ŕ'..='ř' => "r",
        'Ś'..='š' => "s",
        'Ţ'..='ŧ' => "t",
        'Ź'..='ž' => "z",
        // Those accents where they follow their letter.
        '\u{300}'..='\u{304}' | '\u{306}' | '\u{327}' => "",
        _ => return None,
    })
}
