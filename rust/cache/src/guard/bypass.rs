//! Texts that are never answered by meaning.
use super::lexicon::{Lexicon, Sense, hash};
use super::spelling::Folded;
use super::tokens::{Form, Token, is_letter, tokens};

/// Why a text is not looked up by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bypass {
    /// There is nothing to go by.
    Empty,
    /// So long that a single word hardly moves its vector.
    TooLong,
    /// Of today, of now, of the latest: the answer changes.
    TimeBound,
    /// Of the one who asks.
    Personal,
    /// A block of code, of a log, of markup.
    Code,
    /// A formula.
    Math,
}

impl Bypass {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Empty, Self::TooLong, Self::TimeBound, Self::Personal, Self::Code, Self::Math];

    /// As headers and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too-long",
            Self::TimeBound => "time-bound",
            Self::Personal => "personal",
            Self::Code => "code",
            Self::Math => "math",
        }
    }
}

/// About 500 tokens: averages of more words blur.
const LONGEST: usize = 2_000;

/// Why `text` must not be answered by what a similar one was answered; None where it may.
pub fn bypass(text: &str) -> Option<Bypass> {
    if text.len() > LONGEST {
        return Some(Bypass::TooLong);
    }
    if is_code(text) {
        return Some(Bypass::Code);
    }
    if is_math(text) {
        return Some(Bypass::Math);
    }
    let lexicon = Lexicon::get();
    if !text.contains(char::is_alphanumeric) {
        return Some(Bypass::Empty);
    }
    if !text
        .split(|character| !is_letter(character))
        .any(|word| lexicon.is_suspicious(Folded::of(word).hash()))
    {
        return None;
    }
    let (tokens, _) = tokens(text, usize::MAX);
    let words = || tokens.iter().filter(|token| token.form != Form::Literal);
    if words().any(|token| lexicon.is_time_bound(token.hash)) || is_of_this_time(&tokens) {
        return Some(Bypass::TimeBound);
    }
    let personal = words().any(|token| lexicon.is_personal(token.hash));
    (personal && !is_how_to(&tokens)).then_some(Bypass::Personal)
}

/// A block of code, or signs of code in most of a text.
fn is_code(text: &str) -> bool {
    if text.contains("```") || text.contains("~~~") || text.contains("</") {
        return true;
    }
    let signs =
        text.bytes().filter(|byte| matches!(byte, b'{' | b'}' | b';' | b'=' | b'<' | b'>' | b'|' | b'\\'));
    text.len() > 40 && signs.count() * 12 > text.len()
}

fn is_math(text: &str) -> bool {
    let marks = ["$$", "\\(", "\\[", "\\frac", "\\begin{", "\\int", "\\sum", "\\sqrt"];
    let has_backslash_or_dollar = text.bytes().any(|byte| byte == b'\\' || byte == b'$');
    (has_backslash_or_dollar && marks.iter().any(|mark| text.contains(mark)))
        || text.contains(['\u{2211}', '\u{222b}', '\u{221a}', '\u{2202}'])
}

/// `this week`, `next Monday`, `what time is it`.
fn is_of_this_time(tokens: &[Token]) -> bool {
    let is = |token: &Token, words: &[&str]| words.iter().any(|word| token.hash == hash(word.as_bytes()));
    tokens.windows(2).any(|pair| {
        let [first, second] = pair else { return false };
        is(first, &["this", "next", "last"]) && matches!(second.sense, Sense::Unit | Sense::Date)
    }) || tokens.windows(4).any(|four| {
        let [what, of_time, be, it] = four else { return false };
        what.sense == Sense::What
            && is(of_time, &["time", "day", "date"])
            && be.sense == Sense::Be
            && is(it, &["it"])
    })
}

/// `how do I reset my password` asks for what anybody may ask for, `how much is my bill` does not.
fn is_how_to(tokens: &[Token]) -> bool {
    use Sense::{Can, Do, How, I, Should, To, We, Would, You};
    tokens.windows(3).any(|three| {
        let senses = [0, 1, 2].map(|at| three.get(at).map_or(Sense::End, |token| token.sense));
        matches!(senses, [How, To, _] | [How, Do | Can | Should | Would, I | You | We])
    })
}
