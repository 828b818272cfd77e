//! The store of answers as the supervisor sees it: how much there is and of what, and how to get rid of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use edgeroute_cache::evidence::{DOUBT, Tally};
use edgeroute_cache::{Body, Evidence, Head, Observation, Reply, Verdict, model_hash, tenant_hash};
use edgeroute_router::{Fill, Snapshot, WrittenRequest, without_text};
use edgeroute_store::{Entry, News, Purge, Settings, Store};
use edgeroute_wire::finish::{self, Finish, Finishing};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::border::value_error;
use crate::sharing::MOST_KEPT;
use crate::snapshot::{compile_alone, wall_clock};
use crate::worker::unix_ms;

/// How often the store looks for what workers have stored.
const POLL: Duration = Duration::from_millis(50);
/// How long a purge waits for its end, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(2);

/// So many bytes are put before the store has written them.
const MOST_WAITING: usize = 4 << 20;

/// The store of a host's answers.
#[pyclass(frozen, name = "Store", module = "edgeroute._native")]
pub(crate) struct PyStore {
    store: Store,
    followed: Mutex<Followed>,
}

impl Drop for PyStore {
    /// Its threads may wait for a disk or for Redis. Python does not.
    fn drop(&mut self) {
        let closing = self.store.close();
        std::thread::spawn(move || drop(closing));
    }
}

/// How much there is in the store.
#[pyclass(frozen, get_all, module = "edgeroute._native")]
pub(crate) struct StoreStatistics {
    entries: u64,
    bytes: u64,
    most_bytes: u64,
    dropped: u64,
    available: bool,
}

/// How comparisons of a model's answers with those of similar requests went, as far as they are kept.
#[pyclass(frozen, get_all, module = "edgeroute._native")]
#[derive(Default)]
pub(crate) struct ModelEvidence {
    correct: u64,
    wrong: u64,
    unknown: u64,
    serving: bool,
}

/// What the store has told of its entries.
#[derive(Default)]
struct Followed {
    entries: HashMap<u128, Label>,
    /// By models.
    observed: HashMap<u64, Observed>,
    warnings: Vec<String>,
    /// Bytes that were put since the store had written all.
    put: usize,
}

/// What workers have observed of a model.
#[derive(Default)]
struct Observed {
    correct: u64,
    wrong: u64,
    unknown: u64,
    /// As workers have it.
    evidence: Evidence,
}

/// By what an entry is purged.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Label {
    tenant: u64,
    model: u64,
    stored_ms: u64,
}

#[pymethods]
impl PyStore {
    /// Opens the store in a folder; what is wrong with it is told by `take_warnings`.
    #[new]
    #[pyo3(signature = (path, most_bytes, most_entries, redis = None))]
    fn new(path: PathBuf, most_bytes: u64, most_entries: usize, redis: Option<String>) -> Self {
        let settings = Settings { path, bytes: most_bytes, entries: most_entries, redis, poll: POLL };
        Self { store: Store::open(settings, || {}), followed: Mutex::default() }
    }

    fn statistics(&self) -> StoreStatistics {
        let found = self.store.statistics();
        StoreStatistics {
            entries: found.entries,
            bytes: found.bytes,
            most_bytes: found.most_bytes,
            dropped: found.dropped,
            available: found.available,
        }
    }

    /// Entries of each of these models.
    fn entries_of(&self, models: Vec<String>) -> Vec<usize> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for label in self.follow().entries.values() {
            *counts.entry(label.model).or_default() += 1;
        }
        models.iter().map(|name| counts.get(&model_hash(name)).copied().unwrap_or(0)).collect()
    }

    /// What workers have observed of each of these models.
    fn evidence_of(&self, models: Vec<String>) -> Vec<ModelEvidence> {
        let followed = self.follow();
        let of = |name: &String| followed.observed.get(&model_hash(name)).map(Observed::summary);
        models.iter().map(|name| of(name).unwrap_or_default()).collect()
    }

    /// What is wrong with the store, each told once. Call it often: what the store tells waits for it.
    fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.follow().warnings)
    }

    /// Keeps answers that were written down: requests as `edgeroute explain` takes them, the bytes of the reply, and for
    /// how many milliseconds at most. Says of each why it is not kept.
    fn warm(
        &self,
        py: Python<'_>,
        normalised: &[u8],
        answers: Vec<(PyBackedBytes, PyBackedBytes, Option<u64>)>,
    ) -> PyResult<Vec<Option<String>>> {
        py.detach(|| {
            let snapshot = compile_alone(normalised)?;
            let warm = |(request, reply, ttl_ms): &(PyBackedBytes, PyBackedBytes, Option<u64>)| {
                self.keep(&snapshot, request, reply, *ttl_ms).err()
            };
            Ok(answers.iter().map(warm).collect())
        })
    }

    /// Waits until all that was put is written; whether it is.
    fn flush(&self, py: Python<'_>) -> bool {
        py.detach(|| self.wait_until_written()) && self.store.statistics().dropped == 0
    }

    /// Keeps an answer.
    #[expect(clippy::too_many_arguments, reason = "they are named in Python")]
    #[pyo3(signature = (*, key, scope, name, model, stored_ms, expires_ms, head, body))]
    fn put(
        &self,
        key: &str,
        scope: &str,
        name: &str,
        model: &str,
        stored_ms: u64,
        expires_ms: u64,
        head: Vec<u8>,
        body: Vec<u8>,
    ) -> PyResult<()> {
        let key = parse_key(key)?;
        let label = Label { tenant: tenant_hash(scope, name), model: model_hash(model), stored_ms };
        // The store does not tell of what was put here.
        self.follow().entries.insert(key, label);
        self.store.put(Entry {
            key,
            tenant: label.tenant,
            model: label.model,
            stored_ms,
            expires_ms,
            head,
            body,
        });
        Ok(())
    }

    /// Removes entries, and waits until they are gone: how many there were, and whether that is `done`, `waiting` for the
    /// store, or `failed`.
    #[pyo3(signature = (by, name = "", stored_before_ms = 0))]
    fn purge(
        &self,
        py: Python<'_>,
        by: &str,
        name: &str,
        stored_before_ms: u64,
    ) -> PyResult<(usize, &'static str)> {
        let purge = match by {
            "key" => Purge::Key(parse_key(name)?),
            "virtual_key" | "team" | "everybody" => Purge::Tenant(tenant_hash(by, name)),
            "model" => Purge::Model(model_hash(name)),
            "older_than" => Purge::OlderThan { stored_before_ms },
            "all" => Purge::All,
            _ => return Err(value_error(format!("nothing is purged by `{by}`"))),
        };
        Ok(py.detach(|| self.purge_and_wait(purge)))
    }
}

impl PyStore {
    fn keep(
        &self,
        snapshot: &Snapshot,
        request: &[u8],
        reply: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<(), String> {
        let mut written = WrittenRequest::read(request).map_err(|error| without_text(&error))?;
        written.facts.now = written.facts.now.or_else(wall_clock);
        let fill = edgeroute_router::fill(snapshot, &written)?;
        let (content_type, body, finish) = if fill.stream {
            let mut ended = Finishing::new(fill.operation);
            ended.feed(reply);
            let length = u32::try_from(reply.len()).unwrap_or(u32::MAX);
            let body = Body::Stream { events: reply, pieces: vec![(0, length)] };
            (&b"text/event-stream"[..], body, ended.finish())
        } else {
            (&b"application/json"[..], Body::Whole(reply), finish::of_reply(fill.operation, reply))
        };
        if reply.len() > MOST_KEPT {
            return Err(format!("its response is larger than {} KiB", MOST_KEPT >> 10));
        }
        if finish != Finish::Whole {
            return Err("its response does not say that it is complete".into());
        }
        let usage = edgeroute_wire::usage::read(fill.dialect, reply);
        let body = Reply { dialect: fill.dialect, content_type, usage, body }.encode();
        let head = Head { check: fill.check, meaning: fill.meaning }.encode();
        let stored_ms = unix_ms();
        let expires_ms =
            stored_ms.saturating_add(ttl_ms.map_or(fill.ttl_ms, |ttl_ms| ttl_ms.min(fill.ttl_ms)));
        let Fill { key, tenant, model, .. } = fill;
        let entry = Entry { key, tenant, model, stored_ms, expires_ms, head, body };
        if !self.store.takes(&entry) {
            return Err("it takes more than 1/32 of the cache's size".into());
        }
        self.wait_for_room(entry.body.len())?;
        self.store.put(entry);
        Ok(())
    }

    /// Lets the store write what was put, where that is much.
    fn wait_for_room(&self, size: usize) -> Result<(), String> {
        let put = self.follow().put + size;
        let is_much = put > MOST_WAITING;
        self.follow().put = if is_much { size } else { put };
        if is_much && !self.wait_until_written() { Err("the store does not take it".into()) } else { Ok(()) }
    }

    /// Whether nothing waits any more. What was lost before is no reason not to go on.
    fn wait_until_written(&self) -> bool {
        wait_for(|| self.store.statistics().waiting == 0)
    }

    fn purge_and_wait(&self, purge: Purge) -> (usize, &'static str) {
        let covered: Vec<(u128, Label)> = (self.follow().entries.iter())
            .filter(|(key, label)| purge.covers(**key, label.tenant, label.model, label.stored_ms))
            .map(|(key, label)| (*key, *label))
            .collect();
        let unpurged = self.store.statistics().unpurged;
        self.store.purge(purge);
        let mut state = "waiting";
        wait_for(|| {
            let (found, followed) = (self.store.statistics(), self.follow());
            // A later answer may have taken the place of one that was purged.
            let is_gone = |(key, label): &(u128, Label)| followed.entries.get(key) != Some(label);
            if found.unpurged > unpurged {
                state = "failed";
            } else if found.waiting == 0 && covered.iter().all(is_gone) {
                state = "done";
            }
            state != "waiting"
        });
        (covered.len(), state)
    }

    /// What there is, after all that was told by now.
    fn follow(&self) -> parking_lot::MutexGuard<'_, Followed> {
        let mut followed = self.followed.lock();
        for news in self.store.take_news() {
            match news {
                News::Stored { key, tenant, model, stored_ms, .. } => {
                    followed.entries.insert(key, Label { tenant, model, stored_ms });
                }
                News::Removed { key } => drop(followed.entries.remove(&key)),
                News::Cleared => {
                    followed.entries.clear();
                    followed.observed.clear();
                }
                News::Noted(note) => {
                    if let Some(observation) = Observation::decode(&note) {
                        followed.observed.entry(observation.model).or_default().add(&observation);
                    }
                }
                // Of what the store could not keep, only the worker knows that has put it.
                News::Purged(_) | News::Body { .. } => {}
                News::Warning(text) => followed.warnings.push(text),
            }
        }
        followed
    }
}

impl Observed {
    fn add(&mut self, observation: &Observation) {
        let &Observation { record, similarity, verdict, seen_s, .. } = observation;
        self.evidence.observe(record, similarity, verdict, seen_s);
        *match verdict {
            Verdict::Correct => &mut self.correct,
            Verdict::Wrong => &mut self.wrong,
            Verdict::Unknown => &mut self.unknown,
        } += 1;
    }

    fn summary(&self) -> ModelEvidence {
        let &Self { correct, wrong, unknown, ref evidence } = self;
        ModelEvidence { correct, wrong, unknown, serving: evidence.is_serving() }
    }
}

/// Looks again and again until it is so, or for too long.
fn wait_for(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    true
}

/// The share that is right, for all that is known of it: the truth is less for a chance of 5 % only.
#[pyfunction]
pub(crate) fn least_share(right: u64, wrong: u64) -> f64 {
    Tally { right: right as f64, wrong: wrong as f64 }.lower_bound(DOUBT)
}

/// A key as it is shown: 32 hexadecimal digits.
fn parse_key(text: &str) -> PyResult<u128> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
        .ok_or_else(|| value_error("a key of the cache is 32 hexadecimal digits"))
}
