//! Phase 6: whether an answer is known already, or under way. The key of a request is everything that changes its
//! answer; only within the same partition, everything but the question, may another question's answer do.
//!
//! NOTE: of a 1 kB chat, a decision of 1.5 µs without a cache takes 1.8 where the same bytes have an entry, 3.8 where
//! other bytes mean the same request, and 4.8 where there is none (`cargo bench -p edgeroute-router --bench recall`).

mod answer;
mod control;
mod parts;
mod question;
mod said;
mod texts;
mod words;

use edgeroute_cache::{Known, Reading, SemanticKey, Similar, canonical, text_key};
use edgeroute_wire::{Change, Dialect, Operation};

use crate::config::{CacheMode, CacheServe, ModelCache, RuleCache, RuleCacheMode};
use crate::facts::Facts;
use crate::matching::Changes;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::snapshot::Model;
use crate::step::{Answer, Hit};
use crate::trace::{Phase, Trace};
use crate::variables::Variables;
use control::Control;
use parts::{Tenant, parts, with_changes};
use texts::Texts;

pub use question::Question;
pub use said::said;

pub(crate) use parts::fingerprint;
pub(crate) use words::{Why, describe_change};

/// What was found out about a request whose model has a cache.
#[derive(Debug)]
pub(crate) struct Recall {
    /// Of the model, as rules and the client have changed them.
    pub(crate) settings: ModelCache,
    /// Only where an answer may be kept: it takes as long as a look-up.
    tenant: u64,
    model: u64,
    /// None if the answer is not kept either.
    keys: Option<Keys>,
    /// Nothing older answers.
    max_age_ms: u64,
    /// What the request means, if its answer may be found by that.
    question: Option<Question>,
    observed: Option<Observed>,
    /// Those of a request for embeddings of several.
    texts: Option<Texts>,
    pub(crate) result: CacheResult,
    /// Why the cache was not asked, or does not answer by meaning.
    pub(crate) why: Option<Why>,
    /// Why no target takes the request, should the entry be gone.
    pub(crate) refusal: Option<Refusal>,
}

/// The names of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keys {
    raw: Option<u128>,
    key: u128,
    check: u128,
}

/// What came of asking the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// An entry answers.
    Hit { hit: Hit, age_ms: u64 },
    /// None does.
    Miss,
    /// It was not asked.
    Bypass,
    /// The answer to an identical request is shared.
    Joined,
}

/// Where the answer comes from, if not from the model.
#[derive(Clone, Debug)]
pub(crate) enum Recalled {
    Answer(Answer),
    Join,
    /// It may be in the cache: that can be told when the embedder has made the vector of the question.
    Embed,
}

impl Recalled {
    /// Whether the answer is at hand, so that the model is not needed.
    pub(crate) fn is_certain(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.known.body.is_some())
    }
}

/// What storing the answer of a request takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Fill {
    /// Key of the entry.
    pub key: u128,
    /// Kept with the entry, and compared before it answers.
    pub check: u128,
    /// Hash of the request as it was sent.
    pub raw: Option<u128>,
    /// Whose it is.
    pub tenant: u64,
    /// The model that answers.
    pub model: u64,
    /// For how long, in milliseconds.
    pub ttl_ms: u64,
    /// What was asked: how the answer tells that it is whole.
    pub operation: Operation,
    /// The protocol of the answer.
    pub dialect: Dialect,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// What it answers, if it may also answer what means the same. An answer that turns out to be that of another entry
    /// need not be found by meaning a second time.
    pub meaning: Option<SemanticKey>,
    /// The same where an embedder makes the vector, without which the answer is only to the same request.
    pub question: Option<Question>,
}

/// An entry that would have answered, but is not proven to be right: its answer is to be compared with the model's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// Key of the entry.
    pub key: u128,
    /// The model that answers.
    pub model: u64,
    /// Cosine of the two questions.
    pub similarity: f32,
}

/// Looks for an answer. What was found out is in the plan afterwards, unless there is no cache.
pub(crate) fn recall<'v>(
    plan: &mut Plan,
    variables: &Variables<'v>,
    changes: &Changes<'v>,
    seed: u64,
    trace: &mut Trace,
) -> Result<Option<Recalled>, Refusal> {
    let snapshot = variables.snapshot;
    let Some(model) = plan.model.and_then(|id| snapshot.model(id)) else { return Ok(None) };
    if model.cache.is_none() && changes.cache.is_none() {
        if snapshot.cache.is_some() {
            trace.note(Phase::Recall, || format!("model `{}` has no cache", model.name));
        }
        return Ok(None);
    }
    let Some((settings, off)) = settings(model, changes.cache, variables.operation) else { return Ok(None) };
    let control = Control::read(variables.request, settings)?;
    let settings = control.settings;
    let tenant = Tenant::of(variables, settings.scope);
    let mut recall = Recall {
        settings,
        tenant: 0,
        model: model.hash,
        keys: None,
        max_age_ms: control.max_age_ms,
        question: None,
        observed: None,
        texts: None,
        result: CacheResult::Bypass,
        why: off.or(control.bypass),
        refusal: None,
    };
    if !matches!(recall.why, Some(Why::NoStore | Why::Header | Why::Rule)) {
        if let Some(why) = why_not_kept(variables, &changes.body, &settings) {
            recall.why = Some(why);
        } else {
            let search = Search { plan, variables, changes, model, tenant, seed };
            let recalled = search.run(&mut recall, trace);
            if recalled.as_ref().is_none_or(|recalled| !recalled.is_certain()) {
                recall.tenant = tenant.hash();
            }
            words::note(&recall, tenant, trace);
            plan.recall = Some(Box::new(recall));
            return Ok(recalled);
        }
    }
    words::note(&recall, tenant, trace);
    plan.recall = Some(Box::new(recall));
    Ok(None)
}

/// The settings of the model as rules change them, and whether a rule has switched the cache off; nothing if there is
/// no cache.
fn settings(
    model: &Model,
    change: Option<RuleCache>,
    operation: Operation,
) -> Option<(ModelCache, Option<Why>)> {
    if operation == Operation::CountTokens {
        return None;
    }
    let mode = change.and_then(|change| change.mode);
    let mut settings = match (model.cache, mode) {
        (Some(own), _) => own,
        (None, Some(RuleCacheMode::Exact | RuleCacheMode::Semantic)) => ModelCache::default(),
        (None, _) => return None,
    };
    let mut off = None;
    match mode {
        None => {}
        Some(RuleCacheMode::Off) => off = Some(Why::Rule),
        Some(RuleCacheMode::Exact) => settings.mode = CacheMode::Exact,
        Some(RuleCacheMode::Semantic) => settings.mode = CacheMode::Semantic,
    }
    settings.ttl_ms = change.and_then(|change| change.ttl_ms).unwrap_or(settings.ttl_ms);
    Some((settings, off))
}

/// Why the answer of a request is neither looked for nor kept, as far as that can be told without reading it.
fn why_not_kept(variables: &Variables<'_>, changes: &[Change<'_>], settings: &ModelCache) -> Option<Why> {
    let document = variables.document;
    if document.bytes().len() > canonical::MAX_BODY_BYTES {
        return Some(Why::TooLong);
    }
    let written = match changes.iter().find(|(name, _)| *name == "temperature") {
        Some((_, value)) => *value,
        None => document
            .get("temperature")
            .and_then(|field| str::from_utf8(field.value.of(document.bytes())).ok()),
    };
    // What is no number, the provider refuses. A client that names no temperature has not asked for variety.
    let temperature =
        written.filter(|text| *text != "null").map(|text| text.parse().unwrap_or(f64::INFINITY));
    let most = f64::from(settings.max_temperature_permille) / 1_000.0;
    temperature.is_some_and(|temperature| temperature > most).then_some(Why::Temperature)
}

/// One search for an answer.
struct Search<'a, 'v> {
    plan: &'a Plan,
    variables: &'a Variables<'v>,
    changes: &'a Changes<'v>,
    model: &'a Model,
    tenant: Tenant<'v>,
    seed: u64,
}

impl Search<'_, '_> {
    fn run(&self, recall: &mut Recall, trace: &mut Trace) -> Option<Recalled> {
        let (variables, facts) = (self.variables, self.variables.facts);
        let parts = parts(self.plan, variables, self.model, self.tenant);
        let changes = &self.changes.body;
        let raw = match changes.is_empty() {
            true => facts.raw_key(&parts, variables.request.body),
            false => facts.raw_key(&with_changes(&parts, changes), variables.request.body),
        };
        let remembered = raw.and_then(|raw| facts.remembered(raw));
        let reads = recall.why.is_none();
        if let Some((key, check)) = remembered {
            recall.keys = Some(Keys { raw, key, check });
            if reads && let Some(answer) = recall.exact(facts) {
                return Some(answer);
            }
        }
        let is_semantic = recall.settings.mode == CacheMode::Semantic;
        if remembered.is_none() || is_semantic {
            let document = variables.document;
            // Whatever the client calls it, the model that answers is among the parts.
            let mut changes = changes.clone();
            changes.push(("model", None));
            let text = self.embedded();
            if text.is_some() {
                changes.retain(|(name, _)| *name != "input");
                changes.push(("input", None));
            }
            let Some(reading) = Reading::of(document, variables.operation, &changes, &parts) else {
                recall.keys = None;
                recall.why = Some(Why::NoKey);
                return None;
            };
            if reading.stateful {
                recall.keys = None;
                recall.why = Some(Why::Stateful);
                return None;
            }
            let (key, check) = match text {
                Some(text) => text_key(&reading, text),
                None => (reading.key.0, reading.check),
            };
            recall.keys = Some(Keys { raw, key, check });
            if let Some(texts) = text.and_then(|_| self.texts()) {
                recall.keys = Some(Keys { raw: None, key, check });
                return self.each_text(recall, &reading, texts).or_else(|| recall.join(facts));
            }
            if reads
                && remembered.is_none()
                && let Some(answer) = recall.exact(facts)
            {
                return Some(answer);
            }
            if is_semantic {
                match Question::of(&reading, &recall.settings, self.model, self.seed) {
                    Ok(question) => recall.question = Some(question),
                    Err(why) if reads => recall.why = Some(why),
                    Err(_) => {}
                }
            }
        }
        if !reads {
            return None;
        }
        recall.result = CacheResult::Miss;
        self.similar(recall, trace).or_else(|| recall.join(facts))
    }

    /// What a request for embeddings asks them of, as JSON.
    fn embedded(&self) -> Option<&[u8]> {
        if self.variables.operation != Operation::Embeddings {
            return None;
        }
        let document = self.variables.document;
        match self.changes.body.iter().find(|(name, _)| *name == "input") {
            Some((_, value)) => value.map(str::as_bytes),
            None => document.get("input").map(|field| field.value.of(document.bytes())),
        }
    }

    /// The entry of a request that means the same, if it may answer.
    fn similar(&self, recall: &mut Recall, trace: &mut Trace) -> Option<Recalled> {
        let question = recall.question.as_ref()?;
        let (found, waits) = (self.variables.facts.similar(&question.asked()), question.waits());
        let is_awaited = waits && matches!(found, Similar::NoVector);
        recall.take(found, trace).or_else(|| is_awaited.then_some(Recalled::Embed))
    }
}

impl Recall {
    /// The entry of the same request.
    fn exact(&mut self, facts: &dyn Facts) -> Option<Recalled> {
        let keys = self.keys?;
        let known = facts.exact(keys.key, keys.check)?;
        self.answer(keys.key, known, Hit::Exact)
    }

    /// What follows from what is known of similar questions.
    fn take(&mut self, found: Similar, trace: &mut Trace) -> Option<Recalled> {
        match found {
            Similar::Nothing => None,
            Similar::NoVector => {
                self.why = Some(Why::NoVector);
                None
            }
            Similar::Refused { similarity, veto } => {
                words::note_similar(similarity, trace);
                self.why = Some(Why::Veto(veto));
                None
            }
            Similar::Found { key, similarity, known, is_proven } => {
                words::note_similar(similarity, trace);
                if is_proven || self.settings.serve == CacheServe::Always {
                    let hit = Hit::Semantic { similarity_permille: (similarity * 1_000.0) as u16 };
                    return self.answer(key, known, hit);
                }
                self.why = Some(Why::NotProven);
                self.observed = Some(Observed { key, model: self.model, similarity });
                None
            }
        }
    }

    /// Answers with an entry, if it is not too old for the client.
    fn answer(&mut self, key: u128, known: Known, hit: Hit) -> Option<Recalled> {
        let age_ms = known.age_ms;
        if age_ms > self.max_age_ms {
            self.why = Some(Why::TooOld);
            return None;
        }
        self.result = CacheResult::Hit { hit, age_ms };
        self.why = None;
        Some(Recalled::Answer(Answer { key, hit, known }))
    }
}
