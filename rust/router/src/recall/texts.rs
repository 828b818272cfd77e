//! Requests for embeddings of several texts: each is looked for by itself, and only those that nobody knows go to the
//! model. A text has the key that it would have in a request of its own.

use std::sync::Arc;

use edgeroute_cache::{Body, Known, Reading, Reply, text_key};
use edgeroute_wire::embeddings::{self, Embeddings};
use edgeroute_wire::{Edit, Span, Usage};

use super::{CacheResult, Fill, Keys, Recall, Recalled, Search};
use crate::request::Now;
use crate::step::{Answer, Hit, Step};
use crate::ticket::Ticket;

/// More are not looked for one by one.
const MOST: usize = 256;

/// The texts of a request.
#[derive(Debug)]
pub(super) struct Texts {
    texts: Vec<Text>,
    /// Where they stand in the body, and what stands there for a provider that is asked for the missing ones alone.
    missing: Option<(Span, Box<[u8]>)>,
    /// Tokens of a reply that was of no use.
    spent: u64,
}

#[derive(Debug)]
struct Text {
    key: u128,
    check: u128,
    /// The reply to it alone.
    known: Option<Arc<[u8]>>,
}

impl Texts {
    /// How many are known, and how many there are.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.texts.iter().filter(|text| text.known.is_some()).count(), self.texts.len())
    }
}

impl Search<'_, '_> {
    /// The texts of the request, each as JSON, if there are several that are looked for one by one.
    pub(super) fn texts(&self) -> Option<(Span, Vec<&[u8]>)> {
        let document = self.variables.document;
        let input = document.get("input")?;
        // What a rule writes is one thing.
        if self.changes.body.iter().any(|(name, _)| *name == "input") {
            return None;
        }
        let texts =
            embeddings::texts(input.value.of(document.bytes())).filter(|texts| texts.len() <= MOST)?;
        Some((input.value, texts))
    }

    /// Looks for each text; the answer if all are known.
    pub(super) fn each_text(
        &self,
        recall: &mut Recall,
        reading: &Reading<'_>,
        (input, texts): (Span, Vec<&[u8]>),
    ) -> Option<Recalled> {
        let (reads, max_age_ms, mut age_ms, mut model) = (recall.why.is_none(), recall.max_age_ms, 0, None);
        let looked_for = texts.iter().map(|text| {
            let (key, check) = text_key(reading, text);
            let known = if reads { self.variables.facts.exact(key, check) } else { None };
            let known = known.filter(|known| known.age_ms <= max_age_ms).and_then(|known| {
                let body = known.body?;
                // Vectors of different models have nothing to do with each other.
                let of_model = vector(&body)?.model.to_vec();
                if *model.get_or_insert_with(|| of_model.clone()) != of_model {
                    return None;
                }
                age_ms = age_ms.max(known.age_ms);
                Some(body)
            });
            Text { key, check, known }
        });
        let mut looked_for: Vec<Text> = looked_for.collect();
        if reads {
            recall.result = CacheResult::Miss;
        }
        let is_missing = |text: &&Text| text.known.is_none();
        let missing = looked_for.iter().filter(is_missing).count();
        if missing == 0 {
            let (reply, usage) =
                put_together(looked_for.iter().map(|text| text.known.as_deref().and_then(vector)))?;
            let reply = Reply {
                dialect: self.plan.dialect,
                content_type: b"application/json",
                usage: Some(usage),
                body: Body::Whole(&reply),
            };
            let Keys { key, check, .. } = recall.keys?;
            recall.result = CacheResult::Hit { hit: Hit::Exact, age_ms };
            let known = Known { check, age_ms, body: Some(reply.encode().into()) };
            return Some(Recalled::Answer(Answer { key, hit: Hit::Exact, known }));
        }
        let is_some_known = missing < looked_for.len();
        let edit = if is_some_known && self.has_one_model() {
            let both = texts.iter().zip(&looked_for).filter(|(_, text)| is_missing(text));
            Some((input, embeddings::input(both.map(|(text, _)| *text)).into()))
        } else {
            looked_for.iter_mut().for_each(|text| text.known = None);
            None
        };
        recall.texts = Some(Texts { texts: looked_for, missing: edit, spent: 0 });
        None
    }

    /// Whether whichever of the model's targets answers asks for the same model.
    fn has_one_model(&self) -> bool {
        let targets = self.model.targets.iter().filter_map(|target| self.variables.snapshot.target(*target));
        let mut names = targets.map(|target| &target.model);
        let first = names.next();
        self.plan.pin.is_some() || names.all(|name| Some(name) == first)
    }
}

impl Ticket {
    /// Whether the current attempt has to ask once more, for all texts: the provider's model is not that of the vectors
    /// which the cache knows, as when an alias has moved, and vectors of two models have nothing to do with each other.
    pub fn asks_for_all_texts(&mut self, reply: &[u8], now: Now) -> bool {
        let Some(texts) = self.texts().filter(|texts| texts.missing.is_some()) else { return false };
        let (known, all) = texts.count();
        let Some(asked) = embeddings::read(reply, all - known) else { return false };
        let of_known = texts.texts.iter().find_map(|text| text.known.as_deref().and_then(vector));
        if of_known.is_none_or(|known| known.model == asked.model) {
            return false;
        }
        self.waited(now);
        if let Some(texts) = self.plan.recall.as_deref_mut().and_then(|recall| recall.texts.as_mut()) {
            texts.spent = asked.tokens;
            texts.missing = None;
            texts.texts.iter_mut().for_each(|text| text.known = None);
        }
        true
    }

    /// Tokens that the provider counted before it was asked for all texts.
    pub(crate) fn spent_on_texts(&self) -> u64 {
        self.texts().map_or(0, |texts| texts.spent)
    }

    /// The reply to all texts of a request for embeddings, where the provider was asked only for those that the cache
    /// does not know: `reply` is the provider's. None where it was asked for all of them.
    ///
    /// # Errors
    /// If the reply does not have one vector for each text: what is wrong with it, as for
    /// [`Event::Failed`](crate::Event::Failed).
    pub fn complete(&self, reply: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
        let Some(texts) = self.texts().filter(|texts| texts.missing.is_some()) else { return Ok(None) };
        let (known, all) = texts.count();
        let asked = embeddings::read(reply, all - known);
        let asked = asked.ok_or("the reply does not have one vector for each text of `input`")?;
        let mut tokens = asked.tokens;
        let mut new = asked.vectors.into_iter();
        let mut vectors = Vec::with_capacity(all);
        for text in &texts.texts {
            match &text.known {
                None => vectors.extend(new.next()),
                Some(known) => {
                    let known = vector(known).ok_or("an entry of the cache cannot be read")?;
                    tokens = tokens.saturating_add(known.tokens);
                    vectors.extend(known.vectors);
                }
            }
        }
        Ok(Some(Embeddings { model: asked.model, vectors, tokens }.write()))
    }

    /// What is to be kept of the provider's reply to several texts: for each that it was asked for, what storing it
    /// takes, and usage and body of the reply to it alone. It has an equal share of the tokens, for providers do not tell.
    pub fn fill_texts(&self, reply: &[u8]) -> Vec<(Fill, Usage, Vec<u8>)> {
        let (Some(texts), Some(fill)) = (self.texts(), self.fill_of_any()) else { return Vec::new() };
        let (known, all) = texts.count();
        let count = all - known;
        let Some(read) = embeddings::read(reply, count) else { return Vec::new() };
        let tokens = read.tokens.div_ceil(count.max(1) as u64);
        let missing = texts.texts.iter().filter(|text| text.known.is_none());
        let fills = missing.zip(read.vectors).map(|(text, vector)| {
            let fill = Fill { key: text.key, check: text.check, raw: None, ..fill.clone() };
            let usage = Usage { input: tokens, output: 0, cached_input: 0 };
            (fill, usage, Embeddings { model: read.model, vectors: vec![vector], tokens }.write())
        });
        fills.collect()
    }

    /// What asks a provider for the missing texts alone.
    pub(crate) fn missing_texts(&self) -> Option<Edit<'_>> {
        let (span, with) = self.texts()?.missing.as_ref()?;
        Some(Edit { span: *span, with })
    }

    /// The texts, unless a fallback is asked: it makes all vectors itself.
    fn texts(&self) -> Option<&Texts> {
        let texts = self.recall()?.texts.as_ref()?;
        (self.is_own() && matches!(self.step, Step::Attempt | Step::Relay)).then_some(texts)
    }
}

/// What an entry says about its text, if it is about one.
fn vector(entry: &[u8]) -> Option<Embeddings<'_>> {
    match Reply::decode(entry)?.body {
        Body::Whole(body) => embeddings::read(body, 1),
        Body::Stream { .. } => None,
    }
}

/// One reply of several, and their tokens.
fn put_together<'e>(each: impl Iterator<Item = Option<Embeddings<'e>>>) -> Option<(Vec<u8>, Usage)> {
    let mut all: Option<Embeddings<'e>> = None;
    for one in each {
        let one = one?;
        match &mut all {
            None => all = Some(one),
            Some(all) => {
                all.tokens = all.tokens.saturating_add(one.tokens);
                all.vectors.extend(one.vectors);
            }
        }
    }
    let all = all?;
    Some((all.write(), Usage { input: all.tokens, output: 0, cached_input: 0 }))
}
