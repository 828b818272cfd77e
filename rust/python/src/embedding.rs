//! Vectors of questions, where a provider makes them. They are asked for while the model answers; what means the same
//! is found, kept and compared as soon as they are there. Only who wants to wait does.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use edgeroute_cache::{Asked, Quantised, Similar};
use edgeroute_router::{Embedder, Fill, Observed, Question, Step, Ticket, ask_for_vector, vector_of};
use edgeroute_wire::Operation;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::inquiry::{Purpose, Told};
use crate::recall::{Comparison, Fresh, add};
use crate::snapshot::Loaded;
use crate::state::{State, Wake};
use crate::ticket::PyTicket;
use crate::worker::{Core, unix_ms};

/// So many vectors are asked for at a time: clients need connections too.
const MOST_ASKED: usize = 64;
/// So many bytes of answers wait for the vectors of their questions.
const MOST_WAITING: usize = 8 << 20;

/// The vectors that a worker has asked for.
#[derive(Default)]
pub(crate) struct Vectors(Mutex<HashMap<u128, Waiting>>);

/// A vector that was asked for.
pub(crate) struct WantedVector {
    /// Among those asked for.
    key: u128,
    embedder: Arc<Embedder>,
    partition: u128,
    text: Box<str>,
}

/// What waits for a vector.
#[derive(Default)]
struct Waiting {
    tickets: Vec<Py<PyTicket>>,
    answers: Vec<Answered>,
}

/// An answer that is kept, but not found by meaning yet.
struct Answered {
    fill: Fill,
    question: Question,
    stored_ms: u64,
    reply: Vec<u8>,
    /// If it is to be compared.
    fresh: Option<Fresh>,
}

impl Core {
    /// Asks for the vector of a question, unless it is known or asked for already.
    pub(crate) fn ask_for_vector(&self, loaded: &Arc<Loaded>, ticket: &Ticket) {
        let Some((question, embedder)) =
            ticket.question().and_then(|question| Some((question, question.embedder()?)))
        else {
            return;
        };
        let Known::Not(key) = self.known_vector(question) else { return };
        {
            let mut asked = self.vectors.0.lock();
            if asked.contains_key(&key) {
                return;
            }
            if asked.len() >= MOST_ASKED {
                return self.count("skipped");
            }
            asked.insert(key, Waiting::default());
        }
        let Asked { partition, text, .. } = question.asked();
        let wanted = WantedVector { key, embedder: Arc::clone(embedder), partition, text: text.into() };
        let (target, body) = (embedder.target, ask_for_vector(text));
        let begun = self.inquire(loaded, target, Operation::Embeddings, body, Purpose::Vector(wanted));
        if let Err(Purpose::Vector(wanted)) = begun {
            // Nobody can have waited for it yet.
            _ = self.take_vector(&wanted, Err("none of its replicas takes requests".into()));
        }
    }

    /// Takes a vector that was asked for, or why there is none. Gives back the tickets that have waited for it.
    pub(crate) fn take_vector(&self, wanted: &WantedVector, told: Told) -> Vec<Py<PyTicket>> {
        let waiting = self.vectors.0.lock().remove(&wanted.key).unwrap_or_default();
        let numbers = told
            .and_then(|reply| vector_of(&reply).ok_or_else(|| "its reply has no vector, or several".into()));
        let learned = numbers.and_then(|numbers| match self.cache.index.lock().as_mut() {
            None => Ok(None),
            Some(index) => {
                let vector = index.learn(wanted.partition, &wanted.text, &numbers);
                vector
                    .map(Some)
                    .ok_or_else(|| "its vector has no direction, or more than 8,192 numbers".into())
            }
        });
        match learned {
            Ok(None) => {}
            Ok(Some(vector)) => {
                self.count("ok");
                waiting.answers.into_iter().for_each(|answered| self.keep_late(answered, &vector));
            }
            Err(why) => {
                self.count("failed");
                self.warn_of("embedder", &wanted.embedder.name, &why);
            }
        }
        waiting.tickets
    }

    /// Keeps an answer: to what means the same, as soon as the vector of its question is there. `fresh` is given where
    /// it is to be compared with the entry that would have answered, had the vector been there.
    pub(crate) fn keep(&self, fill: Fill, reply: Vec<u8>, fresh: Option<Fresh>) {
        let stored_ms = unix_ms();
        let known = fill.question.as_ref().map(|question| (question, self.known_vector(question)));
        match known {
            None => self.cache.keep(&fill, fill.meaning.clone(), stored_ms, reply),
            Some((question, Known::Vector(vector))) => {
                self.compare_late(question, fresh);
                self.cache.keep(&fill, Some(question.key(Some(vector))), stored_ms, reply);
            }
            Some((question, Known::Not(key))) => {
                let mut asked = self.vectors.0.lock();
                let size: usize = asked
                    .values()
                    .flat_map(|waiting| &waiting.answers)
                    .map(|answered| answered.reply.len())
                    .sum();
                if let Some(waiting) = asked.get_mut(&key).filter(|_| size + reply.len() <= MOST_WAITING) {
                    let (question, fill, reply) = (question.clone(), fill.clone(), reply.clone());
                    waiting.answers.push(Answered { fill, question, stored_ms, reply, fresh });
                }
                drop(asked);
                self.cache.keep(&fill, None, stored_ms, reply);
            }
            Some((_, Known::Nothing)) => {}
        }
    }

    /// Has an answer found by meaning that was kept before, if it is still there.
    fn keep_late(&self, answered: Answered, vector: &Arc<Quantised>) {
        let Answered { fill, question, stored_ms, reply, fresh } = answered;
        self.compare_late(&question, fresh);
        let now_ms = unix_ms();
        let known = self.cache.index.lock().as_ref().and_then(|index| index.get(fill.key, now_ms));
        let is_same = |known: edgeroute_cache::Known| {
            known.check == fill.check && now_ms.saturating_sub(known.age_ms) == stored_ms
        };
        if known.is_some_and(is_same) {
            self.cache.keep(&fill, Some(question.key(Some(Arc::clone(vector)))), stored_ms, reply);
        }
    }

    /// Compares an answer of the model with that of the entry which means the same.
    fn compare_late(&self, question: &Question, fresh: Option<Fresh>) {
        let Some(fresh) = fresh else { return };
        let asked = question.asked();
        let similar = self.cache.index.lock().as_ref().map(|index| index.similar(&asked, unix_ms()));
        if let Some(Similar::Found { key, similarity, .. }) = similar {
            let observed = Observed { key, model: asked.model, similarity };
            self.cache.observe(Comparison { observed, fresh }, self.row.cells());
        }
    }

    fn known_vector(&self, question: &Question) -> Known {
        let index = self.cache.index.lock();
        let Some(index) = index.as_ref() else { return Known::Nothing };
        let Asked { partition, text, .. } = question.asked();
        match index.vector(partition, text) {
            Some(vector) => Known::Vector(vector),
            None => Known::Not(index.vector_key(partition, text)),
        }
    }

    fn count(&self, result: &str) {
        add(self.row.cells(), &format!("edgeroute_cache_embeddings_total{{result={result:?}}}"), 1);
    }
}

/// What is known of a vector.
enum Known {
    Vector(Arc<Quantised>),
    /// Nothing; it would be asked for under this key.
    Not(u128),
    /// There is no cache any more.
    Nothing,
}

impl Vectors {
    /// The tickets that wait for one.
    pub(crate) fn take_waiting(&self) -> Vec<Py<PyTicket>> {
        self.0.lock().values_mut().flat_map(|waiting| std::mem::take(&mut waiting.tickets)).collect()
    }

    /// Nobody waits for any of them any more.
    pub(crate) fn forget(&self) {
        // They go when the lock is released.
        let _asked = std::mem::take(&mut *self.0.lock());
    }
}

impl State {
    /// How long the request waits for the vector of its question.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let question = self.ticket.question().filter(|_| matches!(self.ticket.step(), Step::Embed))?;
        question.embedder().map(|embedder| Duration::from_millis(embedder.wait_ms))
    }

    /// Has the ticket told when the vector of its question is there; false if it is not under way.
    pub(crate) fn wait_for_vector(&self, core: &Core, ticket: &Bound<'_, PyTicket>) -> bool {
        let Some(question) = self.ticket.question() else { return false };
        let Known::Not(key) = core.known_vector(question) else { return false };
        let mut asked = core.vectors.0.lock();
        let Some(waiting) = asked.get_mut(&key) else { return false };
        waiting.tickets.push(ticket.clone().unbind());
        true
    }

    /// The vector is there, or is not waited for any longer.
    pub(crate) fn embedded(&mut self, core: &Core) -> Option<Wake> {
        if self.is_over() || !matches!(self.ticket.step(), Step::Embed) {
            return None;
        }
        {
            let (index, now) = (core.cache.index.lock(), core.now());
            self.ticket.embedded(&core.facts(index.as_ref(), now), now);
        }
        self.answer_at_once(core);
        self.wake(None)
    }
}
