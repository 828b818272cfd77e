//! Answers by what a question means: entries in partitions, of which nothing ever leaves one for another. A question is
//! looked for among those with the same words, however far their vectors are, and among those with near vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;

use crate::bank::{Bank, Match, keep};
use crate::code::Vector;
use crate::embedding::embed;
use crate::guard::{Question, Veto};
use crate::meaning::Meaning;

/// Entries that the guards look at before the answer is no: so many near ones, and so many of the same words.
const CONSIDERED: usize = 8;
/// Texts of more bytes are not looked for by their words: a greeting or another order hardly changes their vectors, and
/// reading one of 2,500 characters takes 45 µs.
const LONGEST_BY_WORDS: usize = 512;
/// Entries for which maps have room from the start; beyond, an insertion may be the one that moves a map.
const ROOM: usize = 1 << 17;

/// Questions by meaning. The caller keeps the answers, by the numbers of entries; time is whole seconds of any clock.
#[derive(Debug)]
pub struct SemanticCache {
    capacity: usize,
    partitions: HashMap<u128, Partition>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Slot of each entry.
    entries: HashMap<u64, u32>,
    /// Slots by age, oldest first.
    ages: BTreeMap<u64, u32>,
    /// When slots expire, soonest first.
    expiries: BTreeSet<(u32, u32)>,
    /// Insertions so far.
    inserted: u64,
}

/// Entries among which a question is looked for.
#[derive(Debug)]
struct Partition {
    /// Ids are slots.
    bank: Bank,
    /// The newest slots of questions with the same words, newest last, by [`Question::words_hash`].
    ///
    /// NOTE: for most of them the vector may be as far as a cosine of 0.83 (at a threshold of 0.95), where a search
    /// among 10,000 vectors takes 3.7 µs instead of the 1.2 at 0.95, and it takes 0.05 to find them here.
    same_words: HashMap<u64, SmallVec<[u32; CONSIDERED]>>,
}

/// An entry, but for its vector.
#[derive(Debug)]
struct Slot {
    entry: u64,
    partition: u128,
    /// In the partition's bank, whose ids are slots.
    position: usize,
    age: u64,
    expires_s: u32,
    question: Question,
}

/// What is known about a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found {
    /// No question within the threshold.
    Nothing,
    /// The nearest question that means the same.
    Hit {
        /// Its entry.
        entry: u64,
        /// The cosine between the two.
        similarity: f32,
    },
    /// There are questions within the threshold, but none may answer this one; this is the nearest.
    Refused {
        /// Its entry.
        entry: u64,
        /// The cosine between the two.
        similarity: f32,
        /// Why not.
        veto: Veto,
    },
}

/// An entry that is near a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// The entry.
    pub entry: u64,
    /// The cosine between the two.
    pub similarity: f32,
    /// How sure it is that its answer serves the question.
    pub confidence: f32,
    /// Why it may not answer the question, if a veto objects.
    pub veto: Option<Veto>,
}

impl SemanticCache {
    /// An empty one. At most `capacity` entries are kept, over all partitions: then the oldest goes first.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let room = capacity.min(ROOM);
        Self {
            capacity: capacity.min(u32::MAX as usize),
            partitions: HashMap::with_capacity(room),
            slots: Vec::with_capacity(room),
            free: Vec::new(),
            entries: HashMap::with_capacity(room),
            ages: BTreeMap::new(),
            expiries: BTreeSet::new(),
            inserted: 0,
        }
    }

    /// How many entries there are, expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keeps a question until `expires_s`. An entry of the same number is replaced. False if the text has nothing to go
    /// by, or if nothing can be kept at all: then there is no such entry.
    pub fn insert(&mut self, partition: u128, entry: u64, text: &str, expires_s: u32) -> bool {
        match embed(text) {
            Some(embedding) => self.insert_meaning(partition, entry, text, &embedding, expires_s),
            None => {
                self.remove(entry);
                false
            }
        }
    }

    /// As `insert`, for who has the vector. False also if those of the partition have another dimension.
    pub fn insert_meaning<'a>(
        &mut self,
        partition: u128,
        entry: u64,
        text: &str,
        meaning: impl Into<Meaning<'a>>,
        expires_s: u32,
    ) -> bool {
        let vector = meaning.into().vector();
        self.remove(entry);
        let dimensions = vector.values.len();
        let known = self.partitions.get(&partition).map(|partition| partition.bank.dimensions());
        if self.capacity == 0 || known.is_some_and(|known| known != dimensions) {
            return false;
        }
        if self.entries.len() == self.capacity
            && let Some((_, &oldest)) = self.ages.first_key_value()
        {
            self.vacate(oldest);
        }
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        let question = Question::new(text);
        let place = self.partitions.entry(partition).or_insert_with(|| Partition::new(dimensions));
        let Some(position) = place.insert(slot, vector, text, &question) else { return false };
        let age = self.inserted;
        let kept = Slot { entry, partition, position, age, expires_s, question };
        match self.slots.get_mut(slot as usize) {
            Some(place) => *place = Some(kept),
            None => self.slots.push(Some(kept)),
        }
        self.entries.insert(entry, slot);
        self.ages.insert(age, slot);
        self.expiries.insert((expires_s, slot));
        self.inserted += 1;
        true
    }

    /// Forgets the entry, if there is such a one: whether there was.
    pub fn remove(&mut self, entry: u64) -> bool {
        let slot = self.entries.get(&entry).copied();
        slot.is_some_and(|slot| self.vacate(slot))
    }

    /// An entry to forget before the next one is inserted: one that has expired, or the oldest if there is no room.
    /// For callers that keep something by the numbers of entries.
    #[must_use]
    pub fn due(&self, now_s: u32) -> Option<u64> {
        let expired =
            self.expiries.first().filter(|(expires_s, _)| *expires_s <= now_s).map(|(_, slot)| *slot);
        let full = self.entries.len() >= self.capacity;
        let oldest = || self.ages.first_key_value().filter(|_| full).map(|(_, slot)| *slot);
        self.slot(expired.or_else(oldest)?).map(|slot| slot.entry)
    }

    /// Forgets the entries that nothing can find any more. What it costs is what it removes.
    pub fn expire(&mut self, now_s: u32) {
        while let Some(&(expires_s, slot)) = self.expiries.first()
            && expires_s <= now_s
        {
            self.vacate(slot);
        }
    }

    /// What answers the question: the nearest entry of the partition that has not expired, whose answer serves this
    /// question too with a probability of `threshold` or more, and to which no veto objects.
    #[must_use]
    pub fn find(&self, partition: u128, text: &str, threshold: f32, now_s: u32) -> Found {
        let Some(partition) = self.partitions.get(&partition) else { return Found::Nothing };
        let Some(embedding) = embed(text) else { return Found::Nothing };
        self.find_in(partition, text, (&embedding).into(), threshold, now_s)
    }

    /// As `find`, for who has the vector.
    #[must_use]
    pub fn find_meaning<'a>(
        &self,
        partition: u128,
        text: &str,
        meaning: impl Into<Meaning<'a>>,
        threshold: f32,
        now_s: u32,
    ) -> Found {
        self.partitions.get(&partition).map_or(Found::Nothing, |partition| {
            self.find_in(partition, text, meaning.into(), threshold, now_s)
        })
    }

    /// The nearest entries of the partition that have not expired, best first, however far they are. It looks at all
    /// of them: for people who want to know why.
    #[must_use]
    pub fn nearest<'a>(
        &self,
        partition: u128,
        text: &str,
        meaning: impl Into<Meaning<'a>>,
        most: usize,
        now_s: u32,
    ) -> Vec<Near> {
        let Some(Partition { bank, .. }) = self.partitions.get(&partition) else { return Vec::new() };
        let (meaning, asked) = (meaning.into(), Question::new(text));
        let near = bank.within_of(meaning.vector(), -1.0, most, self.alive(now_s));
        let look_at = |near: &Match| {
            let slot = self.slot(near.id)?;
            Some(Near {
                entry: slot.entry,
                similarity: near.cosine,
                confidence: meaning.confidence(&asked, &slot.question, near.cosine),
                veto: meaning.veto(&asked, &slot.question),
            })
        };
        near.iter().filter_map(look_at).collect()
    }

    /// The first that is sure enough and to which no veto objects; else the first objection to one that is near enough.
    fn find_in(
        &self,
        partition: &Partition,
        text: &str,
        meaning: Meaning<'_>,
        threshold: f32,
        now_s: u32,
    ) -> Found {
        let Partition { bank, same_words } = partition;
        let (vector, is_alive) = (meaning.vector(), self.alive(now_s));
        let [of_same_words, of_any] = meaning.reach(threshold);
        let mut near = bank.within_of(vector, of_any, CONSIDERED, &is_alive);
        let asked = (text.len() <= LONGEST_BY_WORDS).then(|| Question::new(text));
        let same = asked.as_ref().and_then(|asked| same_words.get(&asked.words_hash()));
        for &id in same.into_iter().flatten().filter(|id| is_alive(**id)) {
            let other = self.slot(id).and_then(|slot| bank.vector(slot.position));
            let cosine = other.map_or(-1.0, |other| vector.cosine(other));
            if cosine >= of_same_words && !near.iter().any(|found| found.id == id) {
                keep(&mut near, Match { id, cosine }, 2 * CONSIDERED);
            }
        }
        if near.is_empty() {
            return Found::Nothing;
        }
        let asked = asked.unwrap_or_else(|| Question::new(text));
        let mut found = Found::Nothing;
        for Match { id, cosine: similarity } in near {
            let Some(&Slot { entry, ref question, .. }) = self.slot(id) else { continue };
            let is_sure = meaning.confidence(&asked, question, similarity) >= threshold;
            // What the cosine alone would have answered with is worth an objection too.
            if !is_sure && similarity < threshold {
                continue;
            }
            match meaning.veto(&asked, question) {
                None if is_sure => return Found::Hit { entry, similarity },
                Some(veto) if found == Found::Nothing => found = Found::Refused { entry, similarity, veto },
                _ => {}
            }
        }
        found
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn alive(&self, now_s: u32) -> impl Fn(u32) -> bool {
        move |slot| self.slot(slot).is_some_and(|slot| slot.expires_s > now_s)
    }

    /// Whether there was something to forget.
    fn vacate(&mut self, slot: u32) -> bool {
        let Some(old) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return false };
        self.free.push(slot);
        self.entries.remove(&old.entry);
        self.ages.remove(&old.age);
        self.expiries.remove(&(old.expires_s, slot));
        let Some(partition) = self.partitions.get_mut(&old.partition) else { return true };
        let moved = partition.remove(slot, &old);
        if partition.bank.is_empty() {
            self.partitions.remove(&old.partition);
        }
        if let Some(Some(moved)) = moved.and_then(|moved| self.slots.get_mut(moved as usize)) {
            moved.position = old.position;
        }
        true
    }
}

impl Partition {
    fn new(dimensions: usize) -> Self {
        Self { bank: Bank::new(dimensions), same_words: HashMap::new() }
    }

    /// Its position; None if the vector has another dimension.
    fn insert(&mut self, slot: u32, vector: Vector<'_>, text: &str, question: &Question) -> Option<usize> {
        let position = self.bank.insert(slot, vector)?;
        if text.len() > LONGEST_BY_WORDS {
            return Some(position);
        }
        let slots = self.same_words.entry(question.words_hash()).or_default();
        if slots.len() == CONSIDERED {
            slots.remove(0);
        }
        slots.push(slot);
        Some(position)
    }

    /// The slot that has moved to its position, if one has.
    fn remove(&mut self, slot: u32, old: &Slot) -> Option<u32> {
        let words = old.question.words_hash();
        if let Some(slots) = self.same_words.get_mut(&words) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.same_words.remove(&words);
            }
        }
        self.bank.remove(old.position)
    }
}
