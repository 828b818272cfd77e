//! How two questions differ, and which differences are never answered alike.

use smallvec::SmallVec;

use super::question::{Kind, Question, WHAT, Word};

/// Why one question's answer is not given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Veto {
    /// Written in another script or language.
    Language,
    /// One is more than twice as long, or one is too long to be compared.
    Length,
    /// Who, when, where, why, how many, or yes or no.
    QuestionWord,
    /// Of the past or of the future.
    Tense,
    /// Other numbers, units, months or weekdays.
    Numbers,
    /// One is negated.
    Negation,
    /// Other names.
    Names,
    /// Other code, addresses or quotations.
    Literals,
    /// All, some, most, only.
    Quantity,
    /// Can, must, should.
    Modality,
    /// Other prepositions: before or after, from or to.
    Relation,
    /// The same words in another order: from A to B, A better than B.
    Direction,
    /// The same verb of another person: I, you, they.
    Person,
    /// Words that mean something else, more than the vectors can outweigh.
    Words,
}

impl Veto {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 14] = [
        Self::Language,
        Self::Length,
        Self::QuestionWord,
        Self::Tense,
        Self::Numbers,
        Self::Negation,
        Self::Names,
        Self::Literals,
        Self::Quantity,
        Self::Modality,
        Self::Relation,
        Self::Direction,
        Self::Person,
        Self::Words,
    ];

    /// As metrics and headers have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Language => "language",
            Self::Length => "length",
            Self::QuestionWord => "question-word",
            Self::Tense => "tense",
            Self::Numbers => "numbers",
            Self::Negation => "negation",
            Self::Names => "names",
            Self::Literals => "literals",
            Self::Quantity => "quantity",
            Self::Modality => "modality",
            Self::Relation => "relation",
            Self::Direction => "direction",
            Self::Person => "person",
            Self::Words => "words",
        }
    }
}

/// What one of two texts has and the other has not.
#[derive(Debug, Default)]
pub(super) struct Difference {
    asked: SmallVec<[Word; 8]>,
    stored: SmallVec<[Word; 8]>,
    /// Words that both have, but in another order.
    moved: bool,
}

/// More words than this between the first and the last difference are not compared one by one.
const MOST_BETWEEN: usize = 48;

impl Difference {
    /// None where the texts have too little in common to say.
    pub(super) fn between(asked: &[Word], stored: &[Word]) -> Option<Self> {
        let same = |(a, b): &(&Word, &Word)| a.is(b);
        let prefix = asked.iter().zip(stored).take_while(same).count();
        let (a, b) = (asked.get(prefix..)?, stored.get(prefix..)?);
        let suffix = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
        let (a, b) = (a.get(..a.len() - suffix)?, b.get(..b.len() - suffix)?);
        if a.len().max(b.len()) > MOST_BETWEEN {
            return None;
        }
        // Each word of one takes the first equal one of the other that is free.
        let mut taken = 0_u64;
        let mut made = Self::default();
        let mut last = None;
        for word in a {
            let free = |(at, other): &(usize, &Word)| taken >> at & 1 == 0 && other.is(word);
            match b.iter().enumerate().find(free) {
                Some((at, _)) => {
                    taken |= 1 << at;
                    made.moved |= last.is_some_and(|last| at < last);
                    last = Some(at);
                }
                None => made.asked.push(*word),
            }
        }
        made.stored
            .extend(b.iter().enumerate().filter(|(at, _)| taken >> at & 1 == 0).map(|(_, word)| *word));
        if made.moved {
            made.moved = !is_clause_moved(asked, stored) && !is_symmetric(asked.get(..prefix)?, a, b);
        }
        Some(made)
    }

    fn has(&self, kind: Kind) -> bool {
        self.asked.iter().chain(&self.stored).any(|word| word.kind == kind)
    }

    fn content(&self) -> (usize, usize) {
        let count = |words: &[Word]| words.iter().filter(|word| word.kind == Kind::Content).count();
        (count(&self.asked), count(&self.stored))
    }

    /// Whether one has a word that the other has not.
    pub(super) fn has_words(&self) -> bool {
        !self.asked.is_empty() || !self.stored.is_empty()
    }

    /// Whether words that both have stand in another order, but for a clause that may.
    pub(super) fn is_moved(&self) -> bool {
        self.moved
    }
}

/// A clause that begins with a preposition may stand first or last: `in Python, …` and `… in Python`.
fn is_clause_moved(a: &[Word], b: &[Word]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    (1..a.len()).any(|at| {
        let (Some((x, y)), Some((p, q))) = (a.split_at_checked(at), b.split_at_checked(a.len() - at)) else {
            return false;
        };
        let begins = |words: &[Word]| words.first().is_some_and(|word| word.kind == Kind::Relation);
        (begins(x) || begins(y)) && equal(x, q) && equal(y, p)
    })
}

/// `compare A and B`, `the difference between A and B`.
fn is_symmetric(before: &[Word], a: &[Word], b: &[Word]) -> bool {
    if !before.iter().any(|word| word.kind == Kind::Symmetric) {
        return false;
    }
    let split = |words: &[Word]| words.iter().position(|word| word.kind == Kind::And);
    let (Some(x), Some(y)) = (split(a), split(b)) else { return false };
    let (Some((first, second)), Some((other_first, other_second))) =
        (a.split_at_checked(x), b.split_at_checked(y))
    else {
        return false;
    };
    equal(first, other_second.get(1..).unwrap_or_default())
        && equal(second.get(1..).unwrap_or_default(), other_first)
}

fn equal(a: &[Word], b: &[Word]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is(b))
}

/// The first reason not to give the answer of one to the other; None where only [`super::confidence`] can tell.
pub fn veto(asked: &Question, stored: &Question) -> Option<Veto> {
    if asked.script != stored.script {
        return Some(Veto::Language);
    }
    if asked.language != 0 && stored.language != 0 && asked.language & stored.language == 0 {
        return Some(Veto::Language);
    }
    let (fewer, more) =
        (asked.words.len().min(stored.words.len()), asked.words.len().max(stored.words.len()));
    if asked.cut || stored.cut || more > 2 * fewer {
        return Some(Veto::Length);
    }
    if !asks_alike(asked, stored) {
        return Some(Veto::QuestionWord);
    }
    if !is_of_one_time(asked, stored) {
        return Some(Veto::Tense);
    }
    let Some(difference) = Difference::between(&asked.words, &stored.words) else { return Some(Veto::Words) };
    let by_kind = [
        (Kind::Question, Veto::QuestionWord),
        (Kind::Number, Veto::Numbers),
        (Kind::Negation, Veto::Negation),
        (Kind::Name, Veto::Names),
        (Kind::Literal, Veto::Literals),
        (Kind::Quantifier, Veto::Quantity),
        (Kind::Modal, Veto::Modality),
        (Kind::Relation, Veto::Relation),
        (Kind::And, Veto::Relation),
        (Kind::Symmetric, Veto::Words),
        (Kind::Person, Veto::Person),
    ];
    if let Some((_, veto)) = by_kind.into_iter().find(|(kind, _)| difference.has(*kind)) {
        return Some(veto);
    }
    if difference.moved {
        return Some(Veto::Direction);
    }
    let (only_asked, only_stored) = difference.content();
    (only_asked > 0 && only_stored > 0).then_some(Veto::Words)
}

/// Whether both ask for the same; `capital of Hungary` asks what `what is the capital of Hungary` asks.
pub(super) fn asks_alike(a: &Question, b: &Question) -> bool {
    a.asks == b.asks || (a.asks == 0 && b.asks == WHAT) || (a.asks == WHAT && b.asks == 0)
}

pub(super) fn is_of_one_time(a: &Question, b: &Question) -> bool {
    a.past == b.past && a.future == b.future
}
