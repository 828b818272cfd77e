//! A request that is answered from the cache, or from the exchange of an identical one, and one whose answer is kept.

use edgeroute_limits::Limits;
use edgeroute_wire::Usage;

use super::texts::Texts;
use super::words::thousandths;
use super::{CacheResult, Fill, Observed, Recall};
use crate::config::CacheReplay;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::refusal::{Code, Refusal};
use crate::request::Now;
use crate::step::{End, Hit, Joined, Outcome, Step};
use crate::ticket::Ticket;

impl Ticket {
    /// Key of the request in the cache: identical requests have the same. None if its model has no cache, or if neither
    /// an entry may answer it nor its answer be kept.
    pub fn recall_key(&self) -> Option<u128> {
        self.recall()?.keys.map(|keys| keys.key)
    }

    /// What the index is to remember of the request, so that it is found at once the next time: hash of what was sent,
    /// key and check.
    pub fn remembered(&self) -> Option<(u128, (u128, u128))> {
        let keys = self.recall()?.keys?;
        Some((keys.raw?, (keys.key, keys.check)))
    }

    /// Whether identical requests may share the exchange of this one.
    pub fn shares(&self) -> bool {
        self.recall().is_some_and(|recall| recall.settings.share && recall.result == CacheResult::Miss)
    }

    /// Whether a stream from the cache keeps the pauses that it had.
    pub fn is_paced(&self) -> bool {
        self.recall().is_some_and(|recall| recall.settings.replay == CacheReplay::Paced)
    }

    /// What storing the answer takes, once a response that may be stored has arrived: from one of the model's own
    /// targets, with status 200. It is stored if its end comes and it says that it is whole
    /// ([`edgeroute_wire::finish`]).
    ///
    /// None of embeddings of several texts, of which each is kept by itself: see [`Ticket::fill_texts`].
    pub fn fill(&self) -> Option<Fill> {
        self.fill_of_any().filter(|_| self.recall().is_some_and(|recall| recall.texts.is_none()))
    }

    pub(super) fn fill_of_any(&self) -> Option<Fill> {
        let recall = self.recall()?;
        let may_be = matches!(recall.result, CacheResult::Miss | CacheResult::Bypass);
        if !may_be || !self.is_own() || self.status != 200 || !matches!(self.step, Step::Relay) {
            return None;
        }
        recall.fill(&self.plan)
    }

    /// The entry whose answer is to be compared with the model's; none where a fallback answers.
    pub fn observed(&self) -> Option<Observed> {
        self.recall()?.observed.filter(|_| self.is_own())
    }

    /// Whether one of the model's own targets is asked, and no fallback.
    pub(super) fn is_own(&self) -> bool {
        self.current.is_some_and(|candidate| candidate.fallback == 0)
    }

    /// Value of the header `x-edgeroute-cache`, if the model has a cache.
    pub fn cache_header(&self) -> Option<String> {
        Some(self.recall()?.header())
    }

    pub(crate) fn recall(&self) -> Option<&Recall> {
        self.plan.recall.as_deref()
    }

    /// Reserves what a request may use that no provider answers: tokens only where they count.
    pub(crate) fn admit_recalled(&mut self, step: Step, now: Now) {
        let tokens = self.plan.tokens.filter(|_| self.plan.counts_recalled());
        let Some(key) = self.key() else { return };
        match Limits::reserve(&key.scopes, &self.row, tokens, now.unix_ms) {
            Ok(held) => {
                self.held = Some(held);
                self.step = step;
                self.times.attempt_started = now.monotonic_us;
            }
            Err(refused) => self.limited(refused),
        }
    }

    /// What came of the exchange that it has joined.
    pub(crate) fn joined(&mut self, joined: Joined, now: Now) {
        self.waited(now);
        match joined {
            Joined::Response { status, outcome, usage, whole } => {
                self.status = status;
                self.outcome = outcome;
                self.step = Step::Relay;
                if whole {
                    self.settle_recalled(usage);
                }
            }
            Joined::Refused(refusal, outcome) => {
                self.settle_recalled(None);
                self.refuse(refusal, outcome);
            }
        }
    }

    /// The entry to answer with is gone, or there is nothing to join: an identical request that is under way answers, or
    /// the model.
    #[cold]
    pub fn missing(&mut self, facts: &dyn Facts, now: Now) {
        if !matches!(self.step, Step::Answer(_) | Step::Join | Step::Embed) {
            return;
        }
        if let Some(held) = self.held.take() {
            held.refund(&self.row);
        }
        let Some(recall) = self.plan.recall.as_deref_mut() else { return };
        recall.result = CacheResult::Miss;
        if recall.join(facts).is_some() {
            return self.admit_recalled(Step::Join, now);
        }
        if let Some(refusal) = recall.refusal.take() {
            return self.refuse(refusal, Outcome::Refused);
        }
        if self.plan.candidates.is_empty() {
            let message = "the cache's answer cannot be read; try again";
            return self.refuse(Refusal::new(Code::Internal, message), Outcome::Refused);
        }
        self.admit(facts, now);
    }

    /// What a request that waits for the cache ends with because the process stops.
    #[cold]
    pub(crate) fn stopped(&mut self, failure: Failure) {
        self.settle_recalled(None);
        self.refuse(failure.refusal(""), Outcome::UpstreamError);
        self.failure = Some(failure);
    }

    /// An answer from the cache, or one that is shared, ended while it was handed over.
    pub(crate) fn recalled_ended(&mut self, end: End, usage: Option<Usage>) {
        match end {
            End::Complete => {}
            End::ProviderError => self.outcome = Outcome::UpstreamError,
            End::Failed(failure) => self.cut(failure),
            End::ClientGone => self.client_gone(),
        }
        self.settle_recalled(usage);
    }

    /// Settles what a request has reserved that no provider answers.
    pub(crate) fn settle_recalled(&mut self, usage: Option<Usage>) {
        let counts = self.plan.counts_recalled();
        self.settle(usage.filter(|_| counts).map_or(0, Usage::total));
    }
}

impl Recall {
    /// Value of the header `x-edgeroute-cache`.
    pub(crate) fn header(&self) -> String {
        let reason = self.why.map_or_else(String::new, |why| format!("; reason={}", why.name()));
        match self.result {
            CacheResult::Hit { hit: Hit::Exact, age_ms } => format!("hit; age={}", age_ms / 1_000),
            CacheResult::Hit { hit: Hit::Semantic { similarity_permille }, age_ms } => {
                format!(
                    "semantic; age={}; similarity={}",
                    age_ms / 1_000,
                    thousandths(similarity_permille.into())
                )
            }
            result => {
                let texts = self.texts.as_ref().map(Texts::count);
                let known = texts.map_or_else(String::new, |(known, all)| format!("; texts={known}/{all}"));
                format!("{}{reason}{known}", result.name())
            }
        }
    }

    /// Whether each of several texts has an entry of its own.
    pub(crate) fn has_texts(&self) -> bool {
        self.texts.is_some()
    }

    /// What storing an answer takes; none if the request is not to be kept.
    pub(crate) fn fill(&self, plan: &Plan) -> Option<Fill> {
        let (keys, question) = (self.keys?, self.question.as_ref());
        let built_in = question.filter(|question| question.embedder().is_none());
        Some(Fill {
            key: keys.key,
            check: keys.check,
            raw: keys.raw,
            tenant: self.tenant,
            model: self.model,
            ttl_ms: self.settings.ttl_ms,
            operation: plan.operation?,
            dialect: plan.dialect,
            stream: plan.stream,
            meaning: built_in.map(|question| question.key(None)),
            question: question.filter(|question| question.embedder().is_some()).cloned(),
        })
    }
}

impl CacheResult {
    /// Label value.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hit { hit: Hit::Exact, .. } => "hit",
            Self::Hit { hit: Hit::Semantic { .. }, .. } => "semantic",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Joined => "joined",
        }
    }
}
