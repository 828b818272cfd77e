//! Answers by what a question means, from Python: `edgeroute_cache` with the answers kept beside it, for a REPL and for
//! programs of one's own.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use edgeroute_cache::guard::{Question, bypass, confidence, veto};
use edgeroute_cache::{Embedding, Found, Meaning, Near, Quantised, Rotation};
use parking_lot::Mutex;
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use crate::border::value_error;

/// Of the rotation of vectors from an embedder; any number will do, for all of them are in one process.
const SEED: u64 = 0;
/// Products of longer vectors could overflow.
const MOST_DIMENSIONS: usize = 65_536;

/// Answers by what a question means.
///
/// >>> cache = SemanticCache()
/// >>> cache.add("How do I reset my password?", "Settings, Security, Reset.")
/// True
/// >>> cache.find("how can I reset my password").answer
/// 'Settings, Security, Reset.'
/// >>> cache.find("how can I reset my router") is None
/// True
#[pyclass(frozen, module = "edgeroute.cache")]
pub(crate) struct SemanticCache {
    threshold: f32,
    capacity: usize,
    embedder: Option<Py<PyAny>>,
    /// Of the embedder's vectors, once their dimension is known.
    rotation: OnceLock<Rotation>,
    known: Mutex<Known>,
}

/// Questions by number, and what is kept of each.
struct Known {
    questions: edgeroute_cache::SemanticCache,
    answers: HashMap<u64, Arc<Stored>>,
}

struct Stored {
    question: Py<PyString>,
    answer: Py<PyAny>,
}

/// The vector of a question.
enum Embedded {
    BuiltIn(Box<Embedding>),
    Foreign(Quantised),
}

impl Embedded {
    fn meaning(&self) -> Meaning<'_> {
        match self {
            Self::BuiltIn(embedding) => embedding.as_ref().into(),
            Self::Foreign(quantised) => quantised.into(),
        }
    }
}

#[pymethods]
impl SemanticCache {
    #[new]
    #[pyo3(signature = (threshold = 0.95, *, capacity = 100_000, embedder = None))]
    fn new(threshold: f32, capacity: usize, embedder: Option<Bound<'_, PyAny>>) -> PyResult<Self> {
        if capacity == 0 || capacity > u32::MAX as usize {
            return Err(value_error(format!(
                "a cache has room for 1 to {} questions; capacity is {capacity}",
                u32::MAX
            )));
        }
        if embedder.as_ref().is_some_and(|embedder| !embedder.is_callable()) {
            return Err(PyTypeError::new_err(
                "an embedder is a callable that takes a text and gives numbers",
            ));
        }
        Ok(Self {
            threshold: checked_threshold(threshold)?,
            capacity,
            embedder: embedder.map(Bound::unbind),
            rotation: OnceLock::new(),
            known: Mutex::new(Known {
                questions: edgeroute_cache::SemanticCache::new(capacity),
                answers: HashMap::new(),
            }),
        })
    }

    /// Keeps the answer of a question; one to the very same question in the same partition is replaced.
    #[pyo3(signature = (question, answer, *, partition = "", ttl = None, now = None))]
    fn add(
        &self,
        question: &Bound<'_, PyString>,
        answer: Py<PyAny>,
        partition: &str,
        ttl: Option<f64>,
        now: Option<f64>,
    ) -> PyResult<bool> {
        let now = seconds(now)?;
        let expires_s = expiry(now, ttl)?;
        let text = question.to_str()?;
        let embedded = if bypass(text).is_some() { None } else { self.embed(question)? };
        let (partition, entry) = numbers(partition, text);
        let mut known = self.known.lock();
        let Some(embedded) = embedded else {
            let old = known.forget(entry);
            drop(known);
            drop(old);
            return Ok(false);
        };
        let mut gone = vec![known.forget(entry)];
        while let Some(due) = known.questions.due(now as u32) {
            gone.push(known.forget(due));
        }
        let kept = known.questions.insert_meaning(partition, entry, text, embedded.meaning(), expires_s);
        if kept {
            let stored = Stored { question: question.clone().unbind(), answer };
            known.answers.insert(entry, Arc::new(stored));
        }
        // What Python does when an answer goes may need the cache.
        drop(known);
        drop(gone);
        Ok(kept)
    }

    /// The answer of the nearest question that means the same.
    #[pyo3(signature = (question, *, partition = "", threshold = None, now = None))]
    fn find<'py>(
        &self,
        question: &Bound<'py, PyString>,
        partition: &str,
        threshold: Option<f32>,
        now: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let threshold = threshold.map_or(Ok(self.threshold), checked_threshold)?;
        let now_s = seconds(now)? as u32;
        let text = question.to_str()?;
        if bypass(text).is_some() {
            return Ok(None);
        }
        let Some(embedded) = self.embed(question)? else { return Ok(None) };
        let (partition, _) = numbers(partition, text);
        let known = self.known.lock();
        let found = known.questions.find_meaning(partition, text, embedded.meaning(), threshold, now_s);
        let Found::Hit { entry, similarity } = found else { return Ok(None) };
        let Some(stored) = known.answers.get(&entry).cloned() else { return Ok(None) };
        drop(known);
        let class = question.py().import("edgeroute.cache")?.getattr("Hit")?;
        class.call1((&stored.answer, similarity)).map(Some)
    }

    /// The nearest questions, and why their answers are given or not.
    #[pyo3(signature = (question, *, partition = "", most = 5, threshold = None, now = None))]
    fn explain<'py>(
        &self,
        question: &Bound<'py, PyString>,
        partition: &str,
        most: usize,
        threshold: Option<f32>,
        now: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let threshold = threshold.map_or(Ok(self.threshold), checked_threshold)?;
        let now_s = seconds(now)? as u32;
        let text = question.to_str()?;
        let module = question.py().import("edgeroute.cache")?;
        let class = module.getattr("Near")?;
        let mut nearest = Vec::new();
        if let Some(embedded) = self.embed(question)? {
            let (partition, _) = numbers(partition, text);
            let known = self.known.lock();
            let near = known.questions.nearest(partition, text, embedded.meaning(), most, now_s);
            let stored = near.iter().map(|near| known.answers.get(&near.entry).cloned());
            let stored: Vec<_> = stored.collect();
            drop(known);
            for (near, stored) in near.iter().zip(stored) {
                let Some(stored) = stored else { continue };
                let refused = refusal(near, threshold);
                let Near { similarity, confidence, .. } = *near;
                let values = (&stored.question, &stored.answer, similarity, confidence, refused);
                nearest.push(class.call1(values)?);
            }
        }
        module.getattr("Explanation")?.call1((bypass(text).map(|bypass| bypass.name()), nearest))
    }

    /// Forgets the answer of this very question: whether there was one.
    #[pyo3(signature = (question, *, partition = ""))]
    fn remove(&self, question: &str, partition: &str) -> bool {
        let (_, entry) = numbers(partition, question);
        let gone = self.known.lock().forget(entry);
        gone.is_some()
    }

    /// Forgets all.
    fn clear(&self) {
        let mut known = self.known.lock();
        known.questions = edgeroute_cache::SemanticCache::new(self.capacity);
        let answers = std::mem::take(&mut known.answers);
        drop(known);
        drop(answers);
    }

    /// How sure it must be.
    #[getter]
    fn threshold(&self) -> f32 {
        self.threshold
    }

    /// The most questions it keeps.
    #[getter]
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn __len__(&self) -> usize {
        self.known.lock().questions.len()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.embedder)?;
        // Who holds the lock does not wait for the collector: what cannot be seen now is seen the next time.
        let Some(known) = self.known.try_lock() else { return Ok(()) };
        known.answers.values().try_for_each(|stored| visit.call(&stored.answer))
    }

    fn __clear__(&self) {
        self.clear();
    }
}

impl SemanticCache {
    /// None if there is nothing to go by.
    fn embed(&self, question: &Bound<'_, PyString>) -> PyResult<Option<Embedded>> {
        let Some(embedder) = &self.embedder else {
            let embedding = edgeroute_cache::embed(question.to_str()?);
            return Ok(embedding.map(|embedding| Embedded::BuiltIn(Box::new(embedding))));
        };
        let given = embedder.bind(question.py()).call1((question,))?;
        let numbers: Vec<f32> = given.extract()?;
        if numbers.len() > MOST_DIMENSIONS {
            let (most, count) = (MOST_DIMENSIONS, numbers.len());
            return Err(value_error(format!(
                "vectors have 1 to {most} dimensions; the embedder gave {count}"
            )));
        }
        let quantised = match self.rotation.get() {
            Some(rotation) => quantised(rotation, &numbers)?,
            None => {
                // A vector that cannot be one says nothing about those to come.
                let rotation = Rotation::new(numbers.len(), SEED);
                let quantised = quantised(&rotation, &numbers)?;
                _ = self.rotation.set(rotation);
                quantised
            }
        };
        Ok(Some(Embedded::Foreign(quantised)))
    }
}

impl Known {
    fn forget(&mut self, entry: u64) -> Option<Arc<Stored>> {
        self.questions.remove(entry);
        self.answers.remove(&entry)
    }
}

/// Vectors, searched by cosine.
///
/// >>> bank = Bank(3)
/// >>> bank.insert(7, [1.0, 2.0, 3.0])
/// >>> bank.within([2.0, 4.0, 6.1], 0.95)[0][0]
/// 7
#[pyclass(frozen, module = "edgeroute.cache")]
pub(crate) struct Bank {
    rotation: Rotation,
    bank: Mutex<edgeroute_cache::Bank>,
}

#[pymethods]
impl Bank {
    #[new]
    fn new(dimensions: usize) -> PyResult<Self> {
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            let most = MOST_DIMENSIONS;
            return Err(value_error(format!("vectors have 1 to {most} dimensions; it is {dimensions}")));
        }
        let bank = Mutex::new(edgeroute_cache::Bank::new(dimensions));
        Ok(Self { rotation: Rotation::new(dimensions, SEED), bank })
    }

    /// Keeps a vector under a number; numbers may repeat.
    fn insert(&self, id: u32, vector: Vec<f32>) -> PyResult<()> {
        let vector = quantised(&self.rotation, &vector)?;
        self.bank.lock().insert(id, &vector);
        Ok(())
    }

    /// Numbers and cosines of those with a cosine of `threshold` or more, best first.
    #[pyo3(signature = (vector, threshold, most = 8))]
    fn within(&self, vector: Vec<f32>, threshold: f32, most: usize) -> PyResult<Vec<(u32, f32)>> {
        let vector = quantised(&self.rotation, &vector)?;
        let matches = self.bank.lock().within(&vector, threshold, most);
        Ok(matches.into_iter().map(|found| (found.id, found.cosine)).collect())
    }

    fn __len__(&self) -> usize {
        self.bank.lock().len()
    }
}

fn quantised(rotation: &Rotation, vector: &[f32]) -> PyResult<Quantised> {
    if vector.len() != rotation.dimensions() {
        return Err(value_error(format!(
            "a vector of {} numbers, and {} before: all vectors need the same dimension",
            vector.len(),
            rotation.dimensions()
        )));
    }
    let nothing = || value_error("a vector without direction: no number, all zero, or not finite");
    rotation.quantise(vector).ok_or_else(nothing)
}

/// The vector of a text by the embedding that is built in.
#[pyfunction]
pub(crate) fn embed(text: &str) -> Option<Vec<f32>> {
    let embedding = edgeroute_cache::embed(text)?;
    Some(embedding.values.iter().map(|value| f32::from(*value) * embedding.scale).collect())
}

/// How near two questions are, and whether the answer of one serves the other.
#[pyfunction]
#[pyo3(signature = (asked, stored, *, threshold = 0.95))]
pub(crate) fn compare<'py>(
    py: Python<'py>,
    asked: &str,
    stored: &str,
    threshold: f32,
) -> PyResult<Bound<'py, PyAny>> {
    let threshold = checked_threshold(threshold)?;
    let (similarity, confidence, veto) = match (edgeroute_cache::embed(asked), edgeroute_cache::embed(stored))
    {
        (Some(one), Some(other)) => {
            let similarity = one.cosine(&other);
            let (asked, stored) = (Question::new(asked), Question::new(stored));
            (similarity, confidence(&asked, &stored, similarity), veto(&asked, &stored))
        }
        _ => (0.0, 0.0, None),
    };
    let near = Near { entry: 0, similarity, confidence, veto };
    let refused = bypass(asked).or_else(|| bypass(stored)).map(|bypass| bypass.name());
    let refused = refused.or_else(|| refusal(&near, threshold));
    py.import("edgeroute.cache")?.getattr("Comparison")?.call1((similarity, confidence, refused))
}

/// Why an answer is not given; None if it is.
fn refusal(near: &Near, threshold: f32) -> Option<&'static str> {
    near.veto.map(|veto| veto.name()).or((near.confidence < threshold).then_some("threshold"))
}

fn checked_threshold(threshold: f32) -> PyResult<f32> {
    if (0.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(value_error(format!("a threshold is a number from 0 to 1, as 0.95; it is {threshold}")))
}

/// The partition as the library knows it, and the number of a question in it.
fn numbers(partition: &str, question: &str) -> (u128, u64) {
    let partition = xxh3_128(partition.as_bytes());
    (partition, xxh3_64_with_seed(question.as_bytes(), partition as u64))
}

/// Seconds since 1970: as given, or of the system's clock.
fn seconds(now: Option<f64>) -> PyResult<f64> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let now = now.unwrap_or_else(clock);
    if (0.0..f64::from(u32::MAX)).contains(&now) {
        return Ok(now);
    }
    Err(value_error(format!("now is in seconds, from 0 to {}; it is {now}", u32::MAX)))
}

/// The first second in which it is not found any more.
fn expiry(now: f64, ttl: Option<f64>) -> PyResult<u32> {
    let ttl = ttl.unwrap_or(f64::INFINITY);
    if ttl > 0.0 {
        // From a float, what is too large saturates.
        return Ok((now + ttl).ceil() as u32);
    }
    Err(value_error(format!("ttl is in seconds, more than 0; it is {ttl}")))
}
