//! A text as tokens: words folded (case, accents, spelling, plural), numbers by their value, code and quotations as
//! they are.

use smallvec::SmallVec;

use super::lexicon::{Lexicon, Meaning, Sense, hash};
use super::spelling::{Folded, lemma, verb_of};

/// A token before its part in the sentence is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// What it is compared by.
    pub(super) hash: u32,
    pub(super) sense: Sense,
    /// In another language than English: its languages as bits, and what it means there.
    pub(super) other: Option<(u8, Meaning)>,
    pub(super) form: Form,
    /// What tells forms apart that are compared as one, for names: `Alien` and `Aliens`.
    pub(super) exact: u16,
    /// The verb of a form with `-ing`.
    pub(super) verb: Option<u32>,
}

impl Token {
    fn new(meaning: Meaning, form: Form) -> Self {
        let Meaning { hash, sense } = meaning;
        Self { hash, sense, other: None, form, exact: hash as u16, verb: None }
    }
}

/// What a token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Word,
    /// With a capital inside of a sentence.
    Capital,
    /// Code, an address, a quotation: nothing in it may differ.
    Literal,
}

pub(super) type Tokens = SmallVec<[Token; 32]>;

/// Splits `text` and hands out its tokens, at most `most`; false where there are more.
pub(super) fn tokens(text: &str, most: usize) -> (Tokens, bool) {
    let mut reader = Reader {
        lexicon: Lexicon::get(),
        tokens: Tokens::new(),
        quoted: false,
        sentence: true,
        after_sign: false,
        mixed_case: text.bytes().any(|byte| byte.is_ascii_lowercase()),
    };
    for chunk in text.split(is_space).filter(|chunk| !chunk.is_empty()) {
        if reader.tokens.len() >= most {
            return (reader.tokens, false);
        }
        reader.chunk(chunk);
    }
    reader.settle_capitals();
    (reader.tokens, true)
}

fn is_space(character: char) -> bool {
    match character {
        '\0'..='\u{7f}' => matches!(character, ' ' | '\t'..='\r'),
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{2028}' | '\u{2029}' => true,
        '\u{202f}' | '\u{205f}' | '\u{3000}' => true,
        _ => false,
    }
}

struct Reader {
    lexicon: &'static Lexicon,
    tokens: Tokens,
    quoted: bool,
    /// The next word begins a sentence.
    sentence: bool,
    /// The last token was an operator.
    after_sign: bool,
    /// There are small letters, so that `IT` is not `it`.
    mixed_case: bool,
}

impl Reader {
    fn chunk(&mut self, chunk: &str) {
        // Most are words and nothing else.
        if let [first, rest @ ..] = chunk.as_bytes()
            && first.is_ascii_alphabetic()
            && rest.iter().all(u8::is_ascii_lowercase)
        {
            self.word(chunk, char::from(*first), ' ');
            return;
        }
        let core = chunk.trim_matches(|character: char| {
            matches!(character, ',' | ';' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}')
        });
        let core = core.trim_end_matches(['.', ':']);
        if !self.quoted && is_code(core) {
            self.literal(core.trim_matches(['"', '`', '\'', '(', ')', '.', ',']).as_bytes());
        } else {
            self.runs(chunk);
        }
        if chunk.ends_with(['.', '!', '?', ':']) {
            self.sentence = true;
        }
    }

    /// A chunk between spaces, split into runs of letters, digits and signs.
    fn runs(&mut self, chunk: &str) {
        let mut rest = chunk;
        let mut before = ' ';
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '"' | '\u{201c}' | '\u{201d}' | '`' | '\u{ab}' | '\u{bb}' | '\u{300c}' | '\u{300d}' => {
                    self.quoted = match first {
                        '\u{201c}' | '\u{ab}' | '\u{300c}' => true,
                        '\u{201d}' | '\u{bb}' | '\u{300d}' => false,
                        _ => !self.quoted,
                    };
                    // In code a quoted value is another value.
                    if self.after_sign {
                        self.literal(b"\"");
                    }
                    first.len_utf8()
                }
                '0'..='9' => self.number(rest, before),
                _ if is_letter(first) => self.word(rest, first, before),
                '+' | '=' | '*' | '^' | '<' | '>' | '|' | '~' | '#' => {
                    let length =
                        rest.find(|sign: char| !"+=*^<>|~#-!&/".contains(sign)).unwrap_or(rest.len());
                    let signs = rest.get(..length).unwrap_or_default();
                    self.literal(signs.as_bytes());
                    self.after_sign = true;
                    before = first;
                    rest = rest.get(length..).unwrap_or_default();
                    continue;
                }
                '%' => self.unit("percent"),
                '$' | '\u{20ac}' | '\u{a3}' | '\u{a5}' => self.currency(first, rest),
                '\u{b0}' => self.unit("degree") + 1,
                '&' => self.listed("and"),
                // `5!`, `5 - 3`, `x/y`
                '!' if before.is_ascii_digit() => self.sign(first),
                '-' | '\u{2212}' | '/' if chunk.len() == first.len_utf8() => self.sign(first),
                '/' if before.is_alphanumeric() => self.sign(first),
                _ if is_symbol(first) => self.sign(first),
                _ => first.len_utf8(),
            };
            before = first;
            self.after_sign = false;
            rest = rest.get(length..).unwrap_or_default();
        }
    }

    /// A sign of a currency is read after its number, as it is spoken.
    fn currency(&mut self, sign: char, rest: &str) -> usize {
        let name = match sign {
            '$' => "dollar",
            '\u{20ac}' => "euro",
            '\u{a3}' => "pound",
            _ => "yen",
        };
        let after = rest.get(sign.len_utf8()..).unwrap_or_default();
        let length =
            if after.starts_with(|digit: char| digit.is_ascii_digit()) { self.number(after, ' ') } else { 0 };
        self.listed(name);
        sign.len_utf8() + length
    }

    fn unit(&mut self, name: &str) -> usize {
        self.listed(name)
    }

    fn listed(&mut self, name: &str) -> usize {
        let word = hash(name.as_bytes());
        let meaning = self.lexicon.english(word).unwrap_or(Meaning { hash: word, sense: Sense::Unit });
        self.push(meaning, Form::Word);
        1
    }

    /// A sign that changes what is meant.
    fn sign(&mut self, sign: char) -> usize {
        self.literal(sign.encode_utf8(&mut [0; 4]).as_bytes());
        sign.len_utf8()
    }

    fn push(&mut self, meaning: Meaning, form: Form) {
        self.tokens.push(Token::new(meaning, form));
    }

    fn literal(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut folded = Folded::new();
        // Options and paths have case.
        let has_case = bytes.iter().any(|byte| matches!(byte, b'-' | b'/' | b'\\'));
        bytes.iter().for_each(|byte| folded.push(if has_case { *byte } else { byte.to_ascii_lowercase() }));
        let hash = if folded.fits { hash(folded.as_bytes()) } else { hash(bytes) };
        self.push(Meaning { hash, sense: Sense::Content }, Form::Literal);
        self.sentence = false;
    }

    /// Digits with what belongs to them: `1,000.50`, `2nd`, `1990s`, `5kg`, `3/4`, `10k`.
    fn number(&mut self, rest: &str, before: char) -> usize {
        let bytes = rest.as_bytes();
        let mut folded = Folded::new();
        if before == '-' || before == '\u{2212}' {
            folded.push(b'-');
        }
        let mut length = 0;
        while let Some(&byte) = bytes.get(length) {
            let next_is_digit = bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            match byte {
                b'0'..=b'9' => folded.push(byte),
                // A separator of thousands is followed by three digits.
                b',' if next_is_digit => {
                    let digits = bytes.get(length + 1..).unwrap_or_default();
                    if digits.iter().take_while(|digit| digit.is_ascii_digit()).count() != 3 {
                        folded.push(b'.');
                    }
                }
                b'.' | b':' | b'/' if next_is_digit => folded.push(byte),
                _ => break,
            }
            length += 1;
        }
        let digits = folded.as_bytes();
        let digits = digits.strip_suffix(b".00").or_else(|| digits.strip_suffix(b".0")).unwrap_or(digits);
        let plain = if digits.iter().filter(|byte| **byte == b'.').count() == 1 {
            let end = digits.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
            digits.get(..end).unwrap_or(digits)
        } else {
            digits
        };
        let value = match plain {
            [b'1'..=b'9', ..] | [b'0'] if plain.len() <= 9 && plain.iter().all(u8::is_ascii_digit) => {
                plain.iter().fold(0, |value: u32, digit| value * 10 + u32::from(digit - b'0'))
            }
            _ => hash(plain),
        };
        let letters = rest.get(length..).unwrap_or_default();
        let suffix =
            letters.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(letters.len());
        let suffix = letters.get(..suffix).unwrap_or_default();
        let (value, taken) = match suffix {
            "st" | "nd" | "rd" | "th" | "ST" | "ND" | "RD" | "TH" => (ordinal(value), 2),
            "s" => (value ^ hash(b"decade"), 1),
            "k" | "K" => (value.wrapping_mul(1_000), 1),
            _ => (value, 0),
        };
        self.push(Meaning { hash: value, sense: Sense::Number }, Form::Word);
        self.sentence = false;
        // Directly after a number, a letter or two are a unit.
        let after = suffix.get(taken..).unwrap_or_default();
        if after.is_empty() {
            return length + taken;
        }
        let mut folded = Folded::new();
        after.bytes().for_each(|byte| folded.push(byte.to_ascii_lowercase()));
        let word = hash(folded.as_bytes());
        let meaning = self.lexicon.english(word).unwrap_or(Meaning { hash: word, sense: Sense::Unit });
        self.push(Meaning { hash: meaning.hash, sense: Sense::Unit }, Form::Word);
        length + taken + after.len()
    }

    fn word(&mut self, rest: &str, first: char, before: char) -> usize {
        if is_ideographic(first) {
            let mut folded = Folded::new();
            folded.push_char(first);
            let word = hash(folded.as_bytes());
            let sense = ideograph(first);
            self.push(Meaning { hash: word, sense }, if self.quoted { Form::Literal } else { Form::Word });
            return first.len_utf8();
        }
        let mut folded = Folded::new();
        let plain = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let mut length = plain;
        rest.bytes().take(plain).for_each(|byte| folded.push(byte.to_ascii_lowercase()));
        let mut ending = None;
        for (index, character) in rest.get(plain..).unwrap_or_default().char_indices() {
            let index = plain + index;
            if is_apostrophe(character) {
                let after = rest.get(index + character.len_utf8()..).unwrap_or_default();
                let letters = after.find(|next: char| !is_letter(next)).unwrap_or(after.len());
                ending = Some((after.get(..letters).unwrap_or_default(), character.len_utf8()));
                break;
            }
            if !is_letter(character) || is_ideographic(character) {
                break;
            }
            folded.push_char(character);
            length = index + character.len_utf8();
        }
        let form = match () {
            () if self.quoted => Form::Literal,
            () if first.is_uppercase() && !self.sentence => Form::Capital,
            () => Form::Word,
        };
        self.sentence = false;
        if self.quoted {
            let word = if folded.fits {
                hash(folded.as_bytes())
            } else {
                hash(rest.get(..length).unwrap_or_default().as_bytes())
            };
            self.push(Meaning { hash: word, sense: Sense::Content }, Form::Literal);
            return length;
        }
        let Some((ending, apostrophe)) = ending else {
            self.folded(&folded, rest.get(..length).unwrap_or_default(), form, before);
            return length;
        };
        let whole = length + apostrophe + ending.len();
        let end = ending.to_ascii_lowercase();
        let word = folded.as_bytes();
        match (end.as_str(), word) {
            ("t", [base @ .., b'n']) => {
                let base: &[u8] = match base {
                    b"ca" => b"can",
                    b"wo" => b"will",
                    b"sha" => b"shall",
                    b"ai" => b"is",
                    other => other,
                };
                let meaning = self.lexicon.english(hash(base));
                self.push(meaning.unwrap_or(Meaning { hash: hash(base), sense: Sense::Content }), form);
                self.listed("not");
                whole
            }
            (
                "s",
                b"what" | b"who" | b"where" | b"when" | b"why" | b"how" | b"that" | b"there" | b"it" | b"he"
                | b"she" | b"here",
            ) => {
                self.folded(&folded, "", form, before);
                self.listed("is");
                whole
            }
            ("s", b"let") => whole,
            ("re" | "m", _) => {
                self.folded(&folded, "", form, before);
                self.listed("is");
                whole
            }
            ("ve", _) => {
                self.folded(&folded, "", form, before);
                self.listed("have");
                whole
            }
            ("ll", _) => {
                self.folded(&folded, "", form, before);
                self.listed("will");
                whole
            }
            ("d", b"how" | b"where" | b"when" | b"why" | b"who" | b"what") => {
                self.folded(&folded, "", form, before);
                self.listed("did");
                whole
            }
            ("d", _) => {
                self.folded(&folded, "", form, before);
                self.listed("would");
                whole
            }
            // A genitive is a plural by its letters.
            ("s" | "", _) => {
                self.folded(&folded, "", form, before);
                whole
            }
            // An elision, as in `l'eau` or `qu'est`: a word of its own.
            _ => {
                self.folded(&folded, "", form, before);
                length + apostrophe
            }
        }
    }

    fn folded(&mut self, folded: &Folded, raw: &str, form: Form, before: char) {
        if !folded.fits {
            self.push(Meaning { hash: hash(raw.as_bytes()), sense: Sense::Content }, form);
            return;
        }
        let bytes = folded.as_bytes();
        let word = hash(bytes);
        let other = self.lexicon.other(word);
        // `10 am`
        let after_number = self.tokens.last().is_some_and(|last| last.sense == Sense::Number);
        if after_number && matches!(bytes, b"am" | b"pm") {
            self.push(Meaning { hash: word, sense: Sense::Unit }, form);
            return;
        }
        if self.mixed_case && matches!(raw, "IT" | "US" | "WHO" | "OR" | "IN" | "ME" | "HI") {
            let name = if raw == "US" { hash(b"usa") } else { hash(raw.as_bytes()) };
            self.push(Meaning { hash: name, sense: Sense::Content }, form);
            return;
        }
        if let Some(meaning) = self.lexicon.english(word) {
            self.tokens.push(Token { other, ..Token::new(meaning, form) });
            return;
        }
        if let Some(contraction) = self.lexicon.contraction(word) {
            self.push(contraction.first, form);
            self.push(contraction.second, form);
            return;
        }
        // `dairy-free` has none of it.
        if before == '-' && bytes == b"free" {
            self.push(Meaning { hash: word, sense: Sense::Not }, form);
            return;
        }
        // A letter or two after a number are a unit.
        if after_number
            && matches!(
                bytes,
                b"m" | b"g" | b"l" | b"h" | b"s" | b"w" | b"v" | b"c" | b"f" | b"k" | b"b" | b"j" | b"p"
            )
        {
            self.push(Meaning { hash: word, sense: Sense::Unit }, form);
            return;
        }
        if let Some(ordinal) = ordinal_word(bytes) {
            self.push(Meaning { hash: ordinal, sense: Sense::Number }, form);
            return;
        }
        if let Some(base) = negated(bytes, self.lexicon) {
            self.listed("not");
            self.push(Meaning { hash: base, sense: Sense::Content }, form);
            return;
        }
        if let Some(verb) = self.lexicon.past(word) {
            self.push(verb, form);
            self.listed("did");
            return;
        }
        let exact = word as u16;
        let word = lemma(bytes);
        let meaning = self
            .lexicon
            .english(word)
            .filter(|meaning| meaning.sense == Sense::Content || meaning.sense == Sense::Unit);
        let meaning = meaning.unwrap_or(Meaning { hash: word, sense: Sense::Content });
        let verb = verb_of(bytes);
        self.tokens.push(Token { other, exact, verb, ..Token::new(meaning, form) });
    }

    /// Where most words have a capital, a capital says nothing.
    fn settle_capitals(&mut self) {
        let capitals = self.tokens.iter().filter(|token| token.form == Form::Capital).count();
        if capitals * 2 > self.tokens.len() {
            let capitals = self.tokens.iter_mut().filter(|token| token.form == Form::Capital);
            capitals.for_each(|token| token.form = Form::Word);
        }
    }
}

/// The value of `first`, `second` and so on, apart from those of `one` and `two`.
fn ordinal(value: u32) -> u32 {
    value ^ hash(b"ordinal")
}

fn ordinal_word(word: &[u8]) -> Option<u32> {
    let value = match word {
        b"first" => 1,
        b"third" => 3,
        b"fourth" => 4,
        b"fifth" => 5,
        b"sixth" => 6,
        b"seventh" => 7,
        b"eighth" => 8,
        b"ninth" => 9,
        b"tenth" => 10,
        _ => return None,
    };
    Some(ordinal(value))
}

/// The base of an adjective that a prefix negates.
fn negated(word: &[u8], lexicon: &Lexicon) -> Option<u32> {
    let rest = match word {
        [b'n', b'o', b'n', rest @ ..] | [b'd', b'i', b's', rest @ ..] => rest,
        [b'u', b'n', rest @ ..] | [b'i', b'n' | b'l' | b'm' | b'r', rest @ ..] => rest,
        _ => return None,
    };
    // `disable` is not the same as `unable`.
    if word.starts_with(b"dis") && rest == b"able" {
        return None;
    }
    let base = hash(rest);
    lexicon.is_negatable(base).then_some(base)
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '\u{2019}' | '\u{2bc}')
}

/// Whether a character belongs to a word; marks that follow letters do.
pub(super) fn is_letter(character: char) -> bool {
    match character {
        'a'..='z' | 'A'..='Z' => true,
        '\0'..='\u{7f}' => false,
        // Punctuation and signs of several scripts.
        '\u{80}'..='\u{bf}' => matches!(character, '\u{aa}' | '\u{ba}' | '\u{b5}'),
        '\u{d7}' | '\u{f7}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{66a}'..='\u{66d}' | '\u{6d4}' => false,
        '\u{964}' | '\u{965}' | '\u{2010}'..='\u{2bff}' | '\u{3000}'..='\u{3004}' => false,
        '\u{3008}'..='\u{3020}' | '\u{30fb}' | '\u{fe10}'..='\u{fe6f}' => false,
        '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' => false,
        '\u{ff5b}'..='\u{ff65}' | '\u{fff0}'..='\u{ffff}' | '\u{1f000}'..='\u{1faff}' => false,
        _ => !is_space(character) && !character.is_control(),
    }
}

/// Signs that are neither letters nor punctuation: powers, fractions, arrows, relations, pictures.
fn is_symbol(character: char) -> bool {
    matches!(character, '\u{a7}' | '\u{ac}' | '\u{b1}'..='\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{d7}' | '\u{f7}')
        || matches!(character, '\u{2070}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// Scripts that do not put spaces between words: each character is a token.
fn is_ideographic(character: char) -> bool {
    matches!(character, '\u{0e00}'..='\u{0eff}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
        || matches!(character, '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// What a Chinese character does: negates, or only asks politely.
fn ideograph(character: char) -> Sense {
    match character {
        '不' | '没' | '沒' | '无' | '無' | '非' | '未' | '别' | '別' => Sense::Not,
        '请' | '請' | '吗' | '嗎' | '呢' | '吧' => Sense::Courtesy,
        _ => Sense::Content,
    }
}

/// Code, an address or a name of a file: letters with signs or digits among them.
fn is_code(chunk: &str) -> bool {
    let bytes = chunk.as_bytes();
    if !chunk.is_ascii() || bytes.len() < 2 {
        return false;
    }
    let mut letters = 0_usize;
    let mut digits = 0_usize;
    let mut signs = 0_usize;
    for (index, byte) in bytes.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
        let after = bytes.get(index + 1).copied().unwrap_or(b' ');
        match byte {
            b'a'..=b'z' => letters += 1,
            // camelCase
            b'A'..=b'Z' => {
                letters += 1;
                signs += usize::from(before.is_ascii_lowercase() && after.is_ascii_lowercase());
            }
            b'0'..=b'9' => {
                digits += 1;
                // A letter before a digit: `E0382`, `v2`, `mp3`.
                signs += usize::from(before.is_ascii_alphabetic());
            }
            b'_' | b'@' | b'\\' | b'=' => signs += 1,
            b'.' | b':' if after.is_ascii_alphanumeric() && before.is_ascii_alphabetic() => signs += 1,
            b'.' if after.is_ascii_alphabetic() => signs += 1,
            b':' if after == b':' || after == b'/' => signs += 1,
            b'/' if before == b' ' || before == b'/' => signs += 1,
            b'-' if before == b' ' && (after.is_ascii_alphabetic() || after == b'-') => signs += 1,
            b'+' | b'#' if before.is_ascii_alphabetic() || before == b'+' => signs += 1,
            b'^' | b'*' | b'~' | b'|' | b'<' | b'>' | b'{' | b'[' => signs += 1,
            _ => {}
        }
    }
    // Addresses of the net have no letters.
    let dots = bytes.iter().filter(|byte| **byte == b'.').count();
    (signs > 0 && letters > 0) || (dots >= 2 && digits > 0)
}
