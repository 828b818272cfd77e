//! What the vetoes need of a text: the words that carry its meaning, in order, without what says nothing.

use smallvec::SmallVec;

use super::lexicon::{Lexicon, Sense, hash, language};
use super::tokens::{Form, Token, Tokens, tokens};

/// So many words of a text are looked at; two longer texts are never taken for one another.
pub(super) const MOST_WORDS: usize = 512;

/// What kind of difference it is if only one of two texts has a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A verb, a noun, an adjective.
    Content,
    /// With a capital inside of a sentence.
    Name,
    /// Code, an address, a quotation.
    Literal,
    /// A number, a unit, a month.
    Number,
    Negation,
    Quantifier,
    /// A preposition or a conjunction.
    Relation,
    And,
    /// `difference`, `compare`: what follows may change places.
    Symmetric,
    Modal,
    /// I, you, my, their.
    Person,
    /// `many` of `how many`, or a question word that is not the first.
    Question,
}

/// A word of a [`Question`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) hash: u32,
    /// Counts between names only.
    exact: u16,
    pub(super) kind: Kind,
}

impl Word {
    /// Whether it may be the subject of what follows.
    fn may_act(&self) -> bool {
        matches!(self.kind, Kind::Content | Kind::Name | Kind::Person)
    }

    /// Names have no plural.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (self.exact == other.exact || self.kind != Kind::Name || other.kind != Kind::Name)
    }
}

/// What a text asks, as far as vetoes can tell: made once per text, kept with an entry.
#[derive(Clone, Debug)]
pub struct Question {
    pub(super) words: SmallVec<[Word; 12]>,
    /// The question word, [`YES_OR_NO`], or 0.
    pub(super) asks: u32,
    pub(super) past: bool,
    pub(super) future: bool,
    pub(super) language: u8,
    pub(super) script: Script,
    /// Some of the text is not in `words`.
    pub(super) cut: bool,
}

/// What `asks` is of a question that is answered by yes or no.
pub(super) const YES_OR_NO: u32 = 1;
pub(super) const WHAT: u32 = 2;
const HOW: u32 = 3;
const WHY: u32 = 4;
/// `define`, `what does it mean`.
const MEANING: u32 = 5;

/// What a text is written in, by most of its letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Greek,
    Cyrillic,
    Semitic,
    Indic,
    Hangul,
    Ideographic,
    Other,
    None,
}

impl Script {
    fn of(text: &str) -> Self {
        if text.bytes().take(4096).filter(u8::is_ascii_alphabetic).count() * 2 > text.len().min(4096) {
            return Self::Latin;
        }
        let mut counts = [0_u32; 8];
        for character in text.chars().take(2048) {
            let script = match character {
                'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' => 0,
                '\u{370}'..='\u{3ff}' => 1,
                '\u{400}'..='\u{52f}' => 2,
                '\u{590}'..='\u{77f}' => 3,
                '\u{900}'..='\u{dff}' => 4,
                '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => 5,
                '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' => 6,
                '\0'..='\u{bf}' => continue,
                _ => 7,
            };
            if let Some(count) = counts.get_mut(script) {
                *count += 1;
            }
        }
        let scripts = [
            Self::Latin,
            Self::Greek,
            Self::Cyrillic,
            Self::Semitic,
            Self::Indic,
            Self::Hangul,
            Self::Ideographic,
            Self::Other,
        ];
        let most = scripts.into_iter().zip(counts).max_by_key(|(_, count)| *count);
        most.filter(|(_, count)| *count > 0).map_or(Self::None, |(script, _)| script)
    }
}

impl Question {
    /// Reads `text`, at most its first 512 words.
    pub fn new(text: &str) -> Self {
        let (mut tokens, whole) = tokens(text, MOST_WORDS);
        let language = in_its_language(&mut tokens);
        let tokens = joined(&tokens);
        let mut question = Self {
            words: SmallVec::new(),
            asks: 0,
            past: false,
            future: false,
            language,
            script: Script::of(text),
            cut: !whole,
        };
        question.read(&tokens);
        question
    }

    /// The same for questions with the same words, in whatever order, that ask for the same: of what
    /// [`super::features`] sees, only the order may differ.
    pub(crate) fn words_hash(&self) -> u64 {
        let asks = if self.asks == WHAT { 0 } else { self.asks };
        let asked = u64::from(asks) << 2 | u64::from(self.past) << 1 | u64::from(self.future);
        self.words.iter().fold(mixed(asked), |sum, word| sum.wrapping_add(mixed(word.hash.into())))
    }

    fn read(&mut self, tokens: &[Token]) {
        let (rest, implied) = without_wrapping(tokens);
        self.past = rest.iter().any(|token| matches!(token.sense, Sense::Was | Sense::Did | Sense::Had));
        let (rest, asks) = what_is_asked(rest);
        self.asks = if asks == 0 && !rest.is_empty() { implied } else { asks };
        let wanted = self.asks;
        let mut before = if wanted == HOW { Sense::How } else { Sense::Dropped };
        let mut done = false;
        // Where something was and something else is, it matters which.
        let of_two_times = self.past && rest.iter().any(|token| token.sense == Sense::Be);
        let mut tokens = rest.iter().peekable();
        // A question word further on is the one, after a clause with a preposition.
        let mut late = wanted == 0 && rest.first().is_some_and(|first| first.sense == Sense::Relation);
        while let Some(token) = tokens.next() {
            let next = tokens.peek().map_or(Sense::End, |next| next.sense);
            let literal = token.form == Form::Literal;
            let sense = if literal { Sense::Content } else { token.sense };
            let kind = match sense {
                Sense::Content => match token.form {
                    Form::Literal => Kind::Literal,
                    Form::Capital => Kind::Name,
                    Form::Word => Kind::Content,
                },
                // `what do lawyers do`: the second is what is asked about.
                Sense::Do if before == Sense::To || next == Sense::End || done => Kind::Content,
                Sense::Do | Sense::Did => {
                    done = true;
                    before = sense;
                    continue;
                }
                Sense::Was if of_two_times => Kind::Content,
                Sense::Article | Sense::Courtesy | Sense::Dropped | Sense::Be | Sense::Was => {
                    before = sense;
                    continue;
                }
                Sense::Have | Sense::Had if next == Sense::To => {
                    self.words.push(Word { hash: hash(b"must"), exact: 0, kind: Kind::Modal });
                    tokens.next();
                    before = Sense::Must;
                    continue;
                }
                Sense::Going if next == Sense::To => {
                    self.future = true;
                    tokens.next();
                    before = Sense::Will;
                    continue;
                }
                Sense::Will => {
                    self.future = true;
                    before = sense;
                    continue;
                }
                Sense::Can | Sense::May | Sense::Must | Sense::Should | Sense::Would => Kind::Modal,
                Sense::I if matches!(before, Sense::Give | Sense::Tell | Sense::Order) => continue,
                Sense::I | Sense::You | Sense::We | Sense::Person => Kind::Person,
                Sense::What | Sense::Who | Sense::When | Sense::Where | Sense::Why | Sense::How => {
                    if late {
                        late = false;
                        self.asks = asked(token);
                        // `how do I`
                        let rest: SmallVec<[Token; 8]> = tokens.clone().copied().take(8).collect();
                        let skipped = subject(self.asks, &rest);
                        (0..skipped).for_each(|_| {
                            tokens.next();
                        });
                        before = sense;
                        continue;
                    }
                    Kind::Question
                }
                Sense::Measure if before == Sense::How => Kind::Question,
                Sense::Measure if matches!(next, Sense::Dropped) => Kind::Quantifier,
                // `smashing some garlic`, `what are some ways`, but not `why do some people`
                Sense::Quantifier
                    if token.hash == hash(b"some") && (self.asks == WHAT || !self.words.is_empty()) =>
                {
                    before = sense;
                    continue;
                }
                Sense::Not => Kind::Negation,
                Sense::Quantifier => Kind::Quantifier,
                Sense::Relation | Sense::To | Sense::Like | Sense::About => Kind::Relation,
                Sense::And => Kind::And,
                Sense::Symmetric => Kind::Symmetric,
                Sense::Number | Sense::Multiplier | Sense::Unit | Sense::Date => Kind::Number,
                _ => Kind::Content,
            };
            let hash = match token.verb {
                _ if literal => token.hash,
                // `a man is playing` is `a man plays`.
                Some(verb) if self.words.last().is_some_and(Word::may_act) => verb,
                _ => canonical(token),
            };
            self.push(Word { hash, exact: token.exact, kind }, sense, before);
            before = sense;
        }
    }

    fn push(&mut self, word: Word, sense: Sense, before: Sense) {
        // `$2 million`
        if let ([.., number, unit], Sense::Multiplier) = (self.words.as_mut_slice(), sense)
            && number.kind == Kind::Number
            && before == Sense::Unit
            && unit.kind == Kind::Number
        {
            number.hash = number.hash.wrapping_mul(word.hash);
            return;
        }
        // `twenty one` and `two million` are one number each.
        if let Some(last) = self.words.last_mut() {
            match (before, sense) {
                (Sense::Number, Sense::Number)
                    if (20..100).contains(&last.hash)
                        && last.hash % 10 == 0
                        && (1..10).contains(&word.hash) =>
                {
                    last.hash += word.hash;
                    return;
                }
                (Sense::Number | Sense::Multiplier, Sense::Multiplier) => {
                    last.hash = last.hash.wrapping_mul(word.hash);
                    return;
                }
                _ => {}
            }
        }
        self.words.push(word);
    }
}

/// So that sums of different words differ.
fn mixed(number: u64) -> u64 {
    let spread = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread ^ spread >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// Lower than all hashes of words that are compared by what they ask.
fn asked(token: &Token) -> u32 {
    match token.sense {
        Sense::What if token.other.is_none() => WHAT,
        Sense::How if token.other.is_none() => HOW,
        Sense::Why if token.other.is_none() => WHY,
        _ => token.hash,
    }
}

/// Forms of one word that lists tell apart for what they do.
fn canonical(token: &Token) -> u32 {
    let word: &[u8] = match token.sense {
        Sense::Can => b"can",
        Sense::May => b"may",
        Sense::Way => b"way",
        Sense::Explain => b"explain",
        Sense::I => b"i",
        Sense::We => b"we",
        Sense::Was => b"was",
        Sense::Do => b"do",
        Sense::Have | Sense::Had => b"have",
        _ => return token.hash,
    };
    hash(word)
}

/// Takes the meanings of the language that most small words belong to, and says which: 0 if it is not sure.
fn in_its_language(tokens: &mut Tokens) -> u8 {
    // Votes for eight languages, a byte each.
    let mut votes = 0_u64;
    for token in tokens.iter().take(255).filter(|token| token.form != Form::Literal) {
        let small = !matches!(token.sense, Sense::Content | Sense::Number | Sense::Unit);
        votes += u64::from(small) + token.other.map_or(0, |(languages, _)| a_byte_each(languages));
    }
    let [english, others @ ..] = votes.to_le_bytes();
    let most = others.into_iter().max().unwrap_or(0);
    // One word may be there by chance.
    if most <= english {
        tokens.iter_mut().for_each(|token| token.other = None);
        return if english > 1 { language::ENGLISH } else { 0 };
    }
    let mut spoken = 0_u8;
    for (bit, count) in others.into_iter().enumerate() {
        spoken |= u8::from(count == most) << (bit + 1);
    }
    for token in tokens.iter_mut() {
        match token.other {
            Some((languages, meaning)) if languages & spoken != 0 => {
                token.hash = meaning.hash;
                token.sense = meaning.sense;
            }
            // An English word by chance.
            _ if !matches!(token.sense, Sense::Number | Sense::Multiplier | Sense::Unit | Sense::Not) => {
                token.sense = Sense::Content;
            }
            _ => {}
        }
    }
    if most > 1 { spoken } else { 0 }
}

/// A one in byte i for each bit i.
fn a_byte_each(bits: u8) -> u64 {
    (0..8).fold(0, |bytes, bit| bytes | u64::from(bits >> bit & 1) << (8 * bit))
}

/// Without articles and courtesies, and with what two words make together.
fn joined(tokens: &[Token]) -> Tokens {
    let lexicon = Lexicon::get();
    let mut made = Tokens::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.form != Form::Literal {
            let next = tokens.get(at + 1).map_or(Sense::End, |next| next.sense);
            match token.sense {
                // `vitamin A`
                Sense::Article if matches!(next, Sense::End | Sense::Relation | Sense::And | Sense::Be) => {
                    made.push(Token { sense: Sense::Content, ..*token });
                    continue;
                }
                // `a just war`, `exactly three`
                Sense::Courtesy if next == Sense::Number || at > 0 && is_article(tokens.get(at - 1)) => {
                    made.push(Token { sense: Sense::Content, ..*token });
                    continue;
                }
                Sense::Article | Sense::Courtesy => continue,
                // `World War I`
                Sense::I
                    if token.form == Form::Capital
                        && made.last().is_some_and(|last| last.form == Form::Capital) =>
                {
                    made.push(Token { sense: Sense::Number, ..*token });
                    continue;
                }
                _ => {}
            }
            if let Some(last) = made.last_mut().filter(|last| last.form != Form::Literal)
                && let Some(pair) = lexicon.pair(last.hash, token.hash)
            {
                last.hash = pair.hash;
                last.sense = pair.sense;
                last.exact = pair.hash as u16;
                last.verb = None;
                if pair.sense == Sense::Courtesy {
                    made.pop();
                }
                continue;
            }
        }
        made.push(*token);
    }
    made
}

fn is_article(token: Option<&Token>) -> bool {
    token.is_some_and(|token| token.sense == Sense::Article)
}

/// Without a greeting, `can you tell me`, `I would like to know`; with what is asked if nothing else says it.
fn without_wrapping(tokens: &[Token]) -> (&[Token], u32) {
    use Sense::{
        About, Be, Can, Define, Do, Explain, Give, Greeting, Have, Help, How, I, Know, Like, Mind, Order,
        Quantifier, Symmetric, Tell, To, Want, Was, What, When, Where, Who, Why, Will, Wonder, Would, You,
    };
    let mut rest = tokens;
    loop {
        let senses = first_senses(rest);
        let (words, asks) = match senses {
            [Greeting, ..] => (1, 0),
            [Can | Would | Will, You, Tell | Explain | Give | Order | Define | Symmetric | Help, ..] => {
                (2, 0)
            }
            [Would, You, Mind, ..] => (3, 0),
            // Who asks `can you swim there` does not also say `swim there` and mean another thing.
            [Can, You, Sense::Content, ..] => (2, 0),
            [I, Would, Like, To, Know, ..] => (5, 0),
            [I, Would, Like, You, To, ..] => (5, 0),
            [I, Want, To, Know, ..] => (4, 0),
            [I, Want, You, To, ..] => (4, 0),
            [I, Want, Sense::Content, ..] => (2, 0),
            [I, Was | Be, Wonder, ..] => (3, 0),
            [I, Wonder, ..] => (2, 0),
            [Do, You, Know, What | Who | When | Where | Why | How, ..] => (3, 0),
            [Quantifier, Sense::Content, What | Who | When | Where | Why | How, ..]
                if rest.get(1).is_some_and(|second| second.hash == hash(b"idea")) =>
            {
                (2, 0)
            }
            // `sorry to bother you, but`
            [Sense::Content, To, Sense::Bother, You, Sense::Relation, ..] => (5, 0),
            [I, Have, Sense::Content, ..]
                if rest.get(2).is_some_and(|third| third.hash == hash(b"question")) =>
            {
                (3, 0)
            }
            [Tell, I, About, ..] => (3, WHAT),
            [Tell, I, What | Who | When | Where | Why | How, ..] => (2, 0),
            [Explain, To, I, ..] => (3, WHAT),
            [Explain, What | Who | When | Where | Why | How, ..] => (1, 0),
            [Explain, ..] => (1, WHAT),
            [Help, I, Know, ..] => (3, 0),
            [Help, I, Give | Order | To, ..] => (2, 0),
            [Give, I, How, ..] => (2, 0),
            _ => return (rest, 0),
        };

        let Some(shorter) = rest.get(words..).filter(|shorter| !shorter.is_empty()) else { return (rest, 0) };
        rest = shorter;
        if asks != 0 {
            return (rest, asks);
        }
    }
}

fn first_senses(tokens: &[Token]) -> [Sense; 5] {
    let mut senses = [Sense::End; 5];
    for (sense, token) in senses.iter_mut().zip(tokens) {
        *sense = if token.form == Form::Literal { Sense::Content } else { token.sense };
    }
    senses
}

/// The words after what says which question it is, and which.
fn what_is_asked(tokens: &[Token]) -> (&[Token], u32) {
    use Sense::{
        Be, Can, Come, Definition, Did, Do, Had, Have, How, May, Mean, Must, Reason, Should, To, Was, Way,
        What, When, Where, Who, Why, Will, Would,
    };
    let Some(first) = tokens.first() else { return (tokens, 0) };
    let senses = first_senses(tokens);
    let after = |words: usize| tokens.get(words..).unwrap_or_default();
    match senses {
        [What, Be, Way, To, ..] => (after(4), HOW),
        [What, Be, Sense::Quantifier, Way, To] => (after(5), HOW),
        [Be, Sense::Dropped, Way, To, ..] => (after(4), HOW),
        [Be, Sense::Dropped, Sense::Quantifier, Way, To] => (after(5), HOW),
        [What, Be, Definition, Sense::Dropped, ..] => (after(4), MEANING),
        [Definition, Sense::Dropped, ..] => (after(2), MEANING),
        [Sense::Define, ..] => (after(1), MEANING),
        [Sense::Give, Definition, Sense::Dropped, ..] => (after(3), MEANING),
        [What, Be, Mean, Sense::Relation, ..] if tokens.get(3).is_some_and(|by| by.hash == hash(b"by")) => {
            (after(4), MEANING)
        }
        [Sense::Relation, What, ..] if first.hash == hash(b"in") => (after(2), WHAT),
        [What, Be, Reason, ..] => (after(3), WHY),
        [What, Do, ..] if tokens.len() > 3 && tokens.last().is_some_and(|last| last.sense == Mean) => {
            (tokens.get(2..tokens.len() - 1).unwrap_or_default(), MEANING)
        }
        [How, Come, ..] => (after(2), WHY),
        [Why, Be, Sense::Dropped, Sense::Dropped, ..] => (after(4), WHY),
        [How, ..] => (after(1 + subject(HOW, after(1))), asked(first)),
        [What | Who | When | Where | Why, ..] => (after(1), asked(first)),
        [Be | Was | Do | Did | Have | Had | Can | May | Must | Should | Would | Will, ..] => {
            let modal = matches!(first.sense, Can | May | Must | Should | Would | Will);
            (if modal { tokens } else { after(1) }, YES_OR_NO)
        }
        _ => {
            let _ = To;
            (tokens, 0)
        }
    }
}

/// How many words after `how` only say that somebody wants to know: `do I`, `can we`, `to`.
fn subject(asks: u32, rest: &[Token]) -> usize {
    use Sense::{Can, Do, I, Number, Should, To, We, Would, You};
    if asks != HOW {
        return 0;
    }
    match first_senses(rest) {
        [To, ..] => 1,
        // `how do you feel` asks somebody; `how do you clean a window` does not.
        [Do | Can | Should | Would, I | You | We | Number, ..] if rest.len() > 3 => 2,
        [Do | Can | Should | Would, I | We, ..] => 2,
        _ => 0,
    }
}
