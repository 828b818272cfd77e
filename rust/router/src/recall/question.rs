//! What a request means: its question, among which others it is looked for, and whose vectors are compared.

use std::sync::Arc;

use edgeroute_cache::{Asked, Quantised, Reading, SemanticKey, VERSION, guard};

use super::words::Why;
use super::{CacheResult, Recall, Recalled};
use crate::config::{CacheServe, ModelCache};
use crate::facts::Facts;
use crate::inquiry::Embedder;
use crate::request::Now;
use crate::snapshot::Model;
use crate::step::Step;
use crate::ticket::Ticket;
use crate::trace::Trace;

/// A question, and what it takes to look for one that means the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    partition: u128,
    text: Box<str>,
    /// Hash of the model that answers.
    model: u64,
    threshold: f32,
    draw: f64,
    embedder: Option<Arc<Embedder>>,
}

impl Question {
    /// What a request asks, or why its answer is not looked for by that.
    pub(super) fn of(
        reading: &Reading<'_>,
        settings: &ModelCache,
        model: &Model,
        seed: u64,
    ) -> Result<Self, Why> {
        if reading.answers > 1 {
            return Err(Why::SeveralAnswers);
        }
        if reading.tools {
            return Err(Why::Tools);
        }
        if reading.media {
            return Err(Why::Media);
        }
        if reading.turns > settings.turns {
            return Err(Why::Turns);
        }
        let Some(text) = reading.question.as_deref() else { return Err(Why::NoQuestion) };
        if let Some(bypass) = guard::bypass(text) {
            return Err(Why::Text(bypass));
        }
        let partition = match &model.embedder {
            None => reading.partition(&VERSION.to_le_bytes()),
            Some(embedder) => reading.partition(format!("embedder {}", embedder.name).as_bytes()),
        };
        Ok(Self {
            partition,
            text: text.into(),
            model: model.hash,
            threshold: settings.threshold_permille as f32 / 1_000.0,
            draw: draw(seed),
            embedder: model.embedder.clone(),
        })
    }

    /// What the index is asked.
    pub fn asked(&self) -> Asked<'_> {
        Asked {
            partition: self.partition,
            model: self.model,
            text: &self.text,
            has_embedder: self.embedder.is_some(),
            threshold: self.threshold,
            draw: self.draw,
        }
    }

    /// Who makes its vector, if it is not the embedding that is built in.
    pub fn embedder(&self) -> Option<&Arc<Embedder>> {
        self.embedder.as_ref()
    }

    /// What an entry that answers it is found by, with the vector that its embedder has made.
    pub fn key(&self, vector: Option<Arc<Quantised>>) -> SemanticKey {
        SemanticKey { partition: self.partition, text: self.text.clone(), vector }
    }

    /// Whether the request waits until its embedder has made the vector.
    pub(super) fn waits(&self) -> bool {
        self.embedder.as_ref().is_some_and(|embedder| embedder.wait_ms > 0)
    }
}

impl Ticket {
    /// The question of a request that the model is to answer, where an embedder makes its vector.
    pub fn question(&self) -> Option<&Question> {
        let question = self.recall()?.question.as_ref().filter(|question| question.embedder.is_some());
        question.filter(|_| matches!(self.step, Step::Attempt | Step::Embed))
    }

    /// Whether the entry with which the model's answer is to be compared, if there is one, is found by a vector that was
    /// not there when it would have been asked for.
    pub fn compares_late(&self) -> bool {
        self.recall().is_some_and(|recall| {
            recall.why == Some(Why::NoVector) && recall.settings.serve == CacheServe::Observe
        })
    }

    /// The vector of the question is there, or is not waited for any longer: looks for an answer again, first for that
    /// to the same request, which may have come meanwhile.
    pub fn embedded(&mut self, facts: &dyn Facts, now: Now) {
        let Some(recall) = self.plan.recall.as_deref_mut().filter(|_| matches!(self.step, Step::Embed))
        else {
            return;
        };
        recall.why = None;
        let recalled = recall.exact(facts).or_else(|| {
            let found = facts.similar(&recall.question.as_ref()?.asked());
            recall.take(found, &mut Trace::default())
        });
        self.waited(now);
        let Some(Recalled::Answer(answer)) = recalled else { return self.missing(facts, now) };
        self.step = Step::Answer(answer);
        self.times.attempt_started = now.monotonic_us;
    }
}

impl Recall {
    /// Joins an identical request.
    pub(super) fn join(&mut self, facts: &dyn Facts) -> Option<Recalled> {
        let key = self.keys?.key;
        if self.result != CacheResult::Miss || !self.settings.share || !facts.in_flight(key) {
            return None;
        }
        self.result = CacheResult::Joined;
        self.observed = None;
        Some(Recalled::Join)
    }
}

/// A number from 0 to 1 for whether an entry is tested once more; apart from the other draws of the request.
fn draw(seed: u64) -> f64 {
    // SplitMix64's finish.
    let mixed = (seed ^ 0x6361_6368_6500_0000).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((mixed ^ mixed >> 31) >> 11) as f64 / (1_u64 << 53) as f64
}
