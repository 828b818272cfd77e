//! What one worker knows of the cache of its host: which keys have an answer, the answers used last, and the keys of
//! requests seen before. The answers themselves are in a store, which tells of its entries; this is what a decision
//! asks, so every question is a look-up in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use crate::canonical::Reading;
use crate::compare::Verdict;
use crate::evidence::{EntryEvidence, Evidence};
use crate::guard::Veto;
use crate::observation::Observation;
use crate::raw::RawKeys;
use crate::rotation::Quantised;
use crate::semantic::{Found, SemanticCache};
use crate::vectors::Vectors;

/// So many bytes of vectors that embedders have made are kept.
const MOST_OF_VECTORS: usize = 8 << 20;

/// Entries known to one worker.
#[derive(Debug)]
pub struct Index {
    entries: HashMap<u128, Kept>,
    /// Keys by when their entries were stored, and by their numbers.
    order: BTreeMap<(u64, u64), u128>,
    /// Number of the next entry.
    next: u64,
    most: usize,
    bodies: Bodies,
    raw_keys: RawKeys,
    remembered: Remembered,
    /// Made with the first question.
    meanings: Option<Meanings>,
    vectors: Vectors,
    /// By models, whether answers by meaning are right.
    evidence: HashMap<u64, Evidence>,
}

/// An answer that is kept from now on.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: u128,
    /// What was computed with the key, to be compared before it answers.
    pub check: u128,
    /// Whose it is.
    pub tenant: u64,
    /// The model that answers.
    pub model: u64,
    /// When it was stored, Unix milliseconds.
    pub stored_ms: u64,
    /// When it ends, Unix milliseconds.
    pub expires_ms: u64,
    /// The answer, where it is at hand.
    pub body: Option<Arc<[u8]>>,
    /// What it was asked, if it may also answer what means the same.
    pub meaning: Option<SemanticKey>,
}

/// A question, and among whose and which others it is looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SemanticKey {
    /// Questions of different partitions never share an answer. Those of one are embedded alike.
    pub partition: u128,
    /// The question.
    pub text: Box<str>,
    /// Its vector, where that is not by the embedding that is built in.
    pub vector: Option<Arc<Quantised>>,
}

/// An entry that has not expired.
#[derive(Clone, Debug)]
pub struct Known {
    /// What was computed with the key, to be compared.
    pub check: u128,
    /// How old it is, in milliseconds.
    pub age_ms: u64,
    /// The answer, if it is in memory; else the store has it.
    pub body: Option<Arc<[u8]>>,
}

/// A question for which an answer to a similar one would do.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Questions of different partitions never share an answer.
    pub partition: u128,
    /// The model that answers.
    pub model: u64,
    /// The question.
    pub text: &'a str,
    /// Whether somebody else makes its vector than the embedding that is built in.
    pub has_embedder: bool,
    /// How sure it must be that one answer serves both.
    pub threshold: f32,
    /// From 0 to 1: decides whether an entry that is probably right is tested once more.
    pub draw: f64,
}

/// What is known of questions similar to one.
#[derive(Clone, Debug)]
pub enum Similar {
    /// None is similar enough.
    Nothing,
    /// That cannot be told: its embedder has not given its vector.
    NoVector,
    /// This one is.
    Found {
        /// Key of its entry.
        key: u128,
        /// Cosine of the two.
        similarity: f32,
        /// Its entry.
        known: Known,
        /// Whether there is evidence that its answer is right.
        is_proven: bool,
    },
    /// This one is, but means something else.
    Refused {
        /// Cosine of the two.
        similarity: f32,
        /// What tells them apart.
        veto: Veto,
    },
}

#[derive(Debug)]
struct Kept {
    /// Tells it from another of the same key, before it or after it.
    number: u64,
    check: u128,
    tenant: u64,
    model: u64,
    stored_ms: u64,
    expires_ms: u64,
    body: Option<Arc<[u8]>>,
    /// How its answer has fared so far.
    evidence: EntryEvidence,
    /// Whether the body was asked for since the clock's hand last passed it.
    was_used: AtomicBool,
}

/// The bodies in memory, by the CLOCK algorithm (Corbató, 1968): those used since the hand last came by stay.
#[derive(Debug)]
struct Bodies {
    /// Keys and numbers of entries that have a body, from the hand on.
    clock: VecDeque<(u128, u64)>,
    bytes: usize,
    most_bytes: usize,
}

/// Entries by what they were asked.
#[derive(Debug)]
struct Meanings {
    /// It knows entries by their numbers.
    questions: SemanticCache,
    keys: HashMap<u64, u128>,
}

/// Keys and checks by the raw hashes of requests. Of two generations the older one goes when the younger is full.
#[derive(Debug)]
struct Remembered {
    young: HashMap<u128, (u128, u128)>,
    old: HashMap<u128, (u128, u128)>,
    most: usize,
}

impl Index {
    /// An index of at most so many entries, with so many bytes of answers in memory. `secret` is random, of this process
    /// alone.
    pub fn new(entries: usize, memory: usize, secret: [u8; 16]) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next: 0,
            most: entries,
            bodies: Bodies { clock: VecDeque::new(), bytes: 0, most_bytes: memory },
            raw_keys: RawKeys::new(secret),
            meanings: None,
            vectors: Vectors::new(MOST_OF_VECTORS),
            evidence: HashMap::new(),
            remembered: Remembered { young: HashMap::new(), old: HashMap::new(), most: entries.max(1) },
        }
    }

    /// How many entries there are, those included that have expired and are still to go.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of answers in memory.
    pub fn bytes(&self) -> usize {
        self.bodies.bytes
    }

    /// Takes in an entry, in place of the one of the same key. The oldest goes when there is no room; one that is older
    /// than all others then, or that has expired, is not taken in.
    pub fn insert(&mut self, entry: Entry, now_ms: u64) {
        let same = self.entries.get(&entry.key).filter(|kept| kept.stored_ms == entry.stored_ms);
        let evidence = same.map(|kept| kept.evidence).unwrap_or_default();
        self.remove(entry.key);
        if self.most == 0 || entry.expires_ms <= now_ms {
            return;
        }
        // Those that nobody asks for any more would stay until others need their room.
        while let Some((_, oldest)) = self.order.first_key_value()
            && self.entries.get(oldest).is_some_and(|kept| kept.expires_ms <= now_ms)
        {
            self.remove(*oldest);
        }
        while self.entries.len() >= self.most
            && let Some(((stored_ms, _), oldest)) = self.order.first_key_value()
        {
            if *stored_ms > entry.stored_ms {
                return;
            }
            self.remove(*oldest);
        }
        let number = self.next;
        self.next += 1;
        self.order.insert((entry.stored_ms, number), entry.key);
        let kept = Kept {
            number,
            check: entry.check,
            tenant: entry.tenant,
            model: entry.model,
            stored_ms: entry.stored_ms,
            expires_ms: entry.expires_ms,
            body: None,
            evidence,
            was_used: AtomicBool::new(false),
        };
        self.entries.insert(entry.key, kept);
        if let Some(SemanticKey { partition, text, vector }) = entry.meaning {
            let meanings = self.meanings.get_or_insert_with(|| Meanings {
                questions: SemanticCache::new(self.most),
                keys: HashMap::new(),
            });
            let (questions, expires_s) =
                (&mut meanings.questions, whole_seconds(entry.expires_ms).saturating_add(1));
            let is_kept = match &vector {
                None => questions.insert(partition, number, &text, expires_s),
                Some(vector) => questions.insert_meaning(partition, number, &text, &**vector, expires_s),
            };
            if is_kept {
                meanings.keys.insert(number, entry.key);
            }
        }
        if let Some(body) = entry.body {
            self.keep_body(entry.key, body);
        }
    }

    /// Keeps the body of an entry in memory, if it is still known: it was fetched from the store.
    pub fn keep_body(&mut self, key: u128, body: Arc<[u8]>) {
        if body.len() > self.bodies.most_bytes {
            return;
        }
        let Some(kept) = self.entries.get_mut(&key) else { return };
        let (number, size) = (kept.number, body.len());
        let before = kept.body.replace(body);
        self.bodies.bytes = self.bodies.bytes + size - before.as_ref().map_or(0, |before| before.len());
        if before.is_none() {
            self.bodies.clock.push_back((key, number));
            // Entries that are taken away leave their places on the clock behind.
            if self.bodies.clock.len() > 2 * self.entries.len() + 64 {
                let entries = &self.entries;
                let is_kept = |key: &u128, number| {
                    entries.get(key).is_some_and(|kept| kept.number == number && kept.body.is_some())
                };
                self.bodies.clock.retain(|(key, number)| is_kept(key, *number));
            }
        }
        self.make_room();
    }

    /// Takes an entry away; whether it was known.
    pub fn remove(&mut self, key: u128) -> bool {
        let Some(kept) = self.entries.remove(&key) else { return false };
        self.order.remove(&(kept.stored_ms, kept.number));
        if let Some(meanings) = &mut self.meanings
            && meanings.keys.remove(&kept.number).is_some()
        {
            meanings.questions.remove(kept.number);
        }
        self.bodies.bytes -= kept.body.map_or(0, |body| body.len());
        true
    }

    /// Takes away all entries that are covered: those with such a key, tenant, model and time.
    ///
    /// NOTE: it looks at all of them, 1.2 ms for 100,000; what the store has removed by then is not among them.
    pub fn purge(&mut self, covers: impl Fn(u128, u64, u64, u64) -> bool) {
        let is_covered =
            |(key, kept): &(&u128, &Kept)| covers(**key, kept.tenant, kept.model, kept.stored_ms);
        let covered: Vec<u128> = self.entries.iter().filter(is_covered).map(|(key, _)| *key).collect();
        for key in covered {
            self.remove(key);
        }
    }

    /// Forgets all entries, and all evidence.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
        self.meanings = None;
        self.evidence.clear();
        self.vectors.clear();
        self.bodies.clock.clear();
        self.bodies.bytes = 0;
    }

    /// The entry of this key, unless it has expired.
    pub fn get(&self, key: u128, now_ms: u64) -> Option<Known> {
        let kept = self.entries.get(&key).filter(|kept| now_ms < kept.expires_ms)?;
        kept.was_used.store(true, Ordering::Relaxed);
        Some(Known {
            check: kept.check,
            age_ms: now_ms.saturating_sub(kept.stored_ms),
            body: kept.body.clone(),
        })
    }

    /// The entry whose question is nearest to this one.
    pub fn similar(&self, asked: &Asked<'_>, now_ms: u64) -> Similar {
        let Some(meanings) = &self.meanings else { return Similar::Nothing };
        let (questions, now_s) = (&meanings.questions, whole_seconds(now_ms));
        let Asked { partition, text, threshold, .. } = *asked;
        let found = if asked.has_embedder {
            let Some(vector) = self.vector(partition, text) else { return Similar::NoVector };
            questions.find_meaning(partition, text, &*vector, threshold, now_s)
        } else {
            questions.find(partition, text, threshold, now_s)
        };
        match found {
            Found::Nothing => Similar::Nothing,
            Found::Refused { similarity, veto, .. } => Similar::Refused { similarity, veto },
            Found::Hit { entry, similarity } => {
                let known = meanings.keys.get(&entry).and_then(|key| Some((*key, self.get(*key, now_ms)?)));
                known.map_or(Similar::Nothing, |(key, known)| Similar::Found {
                    key,
                    similarity,
                    known,
                    is_proven: self.may_serve(asked, key, similarity),
                })
            }
        }
    }

    /// The vector that the embedder of a partition has given a text, if it is still known.
    pub fn vector(&self, partition: u128, text: &str) -> Option<Arc<Quantised>> {
        self.vectors.get(self.vector_key(partition, text)).cloned()
    }

    /// Keeps the vector that the embedder of a partition has given a text; none if it has no direction, or a length that
    /// no vector has.
    pub fn learn(&mut self, partition: u128, text: &str, vector: &[f32]) -> Option<Arc<Quantised>> {
        self.vectors.learn(self.vector_key(partition, text), vector)
    }

    /// What stands for a text in this process. Whose vector is known tells who has asked, so that partitions share
    /// nothing here either.
    pub fn vector_key(&self, partition: u128, text: &str) -> u128 {
        self.raw_keys.key(&[&partition.to_le_bytes()], text.as_bytes())
    }

    /// How the answer of an entry compares with the model's, to a question of this similarity, if the entry is still
    /// known. It counts once it is applied.
    pub fn observe(
        &self,
        key: u128,
        model: u64,
        similarity: f32,
        verdict: Verdict,
        now_ms: u64,
    ) -> Option<Observation> {
        let kept = self.entries.get(&key)?;
        let (stored_ms, record) = (kept.stored_ms, kept.evidence.record(similarity));
        Some(Observation {
            key,
            stored_ms,
            model,
            record,
            similarity,
            verdict,
            seen_s: whole_seconds(now_ms),
        })
    }

    /// Takes in what was observed, here or by another worker: for the model, and for the entry if it is the one that is
    /// known.
    pub fn apply(&mut self, observation: &Observation) {
        let Observation { key, stored_ms, model, record, similarity, verdict, seen_s } = *observation;
        self.evidence.entry(model).or_default().observe(record, similarity, verdict, seen_s);
        if let Some(kept) = self.entries.get_mut(&key).filter(|kept| kept.stored_ms == stored_ms) {
            kept.evidence.observe(similarity, verdict);
        }
    }

    /// The evidence of all models, by their hashes.
    pub fn evidence(&self) -> impl Iterator<Item = (u64, &Evidence)> {
        self.evidence.iter().map(|(model, evidence)| (*model, evidence))
    }

    fn may_serve(&self, asked: &Asked<'_>, key: u128, similarity: f32) -> bool {
        let evidence = self.evidence.get(&asked.model).zip(self.entries.get(&key));
        evidence.is_some_and(|(evidence, kept)| evidence.may_serve(&kept.evidence, similarity, asked.draw))
    }

    /// The hash of a request as it was sent; `parts` are what else changes its key.
    pub fn raw_key(&self, parts: &[&[u8]], body: &[u8]) -> u128 {
        self.raw_keys.key(parts, body)
    }

    /// The key and the check of the request with this hash.
    pub fn remembered(&self, raw: u128) -> Option<(u128, u128)> {
        let Remembered { young, old, .. } = &self.remembered;
        young.get(&raw).or_else(|| old.get(&raw)).copied()
    }

    /// Remembers the key and the check of the request with this hash.
    pub fn remember(&mut self, raw: u128, keys: (u128, u128)) {
        let Remembered { young, old, most } = &mut self.remembered;
        if young.len() >= *most && !young.contains_key(&raw) {
            *old = std::mem::take(young);
        }
        young.insert(raw, keys);
    }

    /// Drops bodies until the others fit.
    fn make_room(&mut self) {
        while self.bodies.bytes > self.bodies.most_bytes
            && let Some((key, number)) = self.bodies.clock.pop_front()
        {
            let Some(kept) = self.entries.get_mut(&key).filter(|kept| kept.number == number) else {
                continue;
            };
            if std::mem::take(kept.was_used.get_mut()) {
                self.bodies.clock.push_back((key, number));
            } else {
                self.bodies.bytes -= kept.body.take().map_or(0, |body| body.len());
            }
        }
    }
}

/// The key and the check of one text in a request for embeddings. `reading` is of the request without its `input`;
/// `text` is JSON, and is taken as it is written.
pub fn text_key(reading: &Reading<'_>, text: &[u8]) -> (u128, u128) {
    let others = reading.partition(b"text of an input").to_be_bytes();
    let digest: [u8; 32] = Sha256::new_with_prefix(others).chain_update(text).finalize().into();
    let half = |bytes: Option<&[u8; 16]>| bytes.map_or(0, |bytes| u128::from_be_bytes(*bytes));
    (half(digest.first_chunk()), half(digest.last_chunk()))
}

/// Questions expire by the second; the entries have the last word.
fn whole_seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1_000).unwrap_or(u32::MAX)
}

/// What entries of a tenant have in common: `virtual_key`, `team` or `everybody`, and its name.
pub fn tenant_hash(kind: &str, name: &str) -> u64 {
    name_hash("tenant", &[kind, name])
}

/// What entries of a model have in common.
pub fn model_hash(name: &str) -> u64 {
    name_hash("model", &[name])
}

/// The same on every host and in every version: entries are purged by it.
fn name_hash(what: &str, parts: &[&str]) -> u64 {
    let digest = parts
        .iter()
        .fold(Sha256::new_with_prefix(what), |digest, part| digest.chain_update([0]).chain_update(part));
    digest.finalize().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
