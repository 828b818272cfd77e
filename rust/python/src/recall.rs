//! What a worker does about the cache besides asking it: it answers from entries, keeps answers, and follows the store,
//! whose thread reads and writes. Nothing here waits.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeroute_cache::{
    Body, Entry, Head, Index, Observation, Recording, Reply, SemanticKey, Verdict, compare,
};
use edgeroute_router::{Cache as Configured, Fill, Judge, Observed, Step, said};
use edgeroute_shared::Cells;
use edgeroute_store::{News, Purge, Settings, Store};
use edgeroute_wire::finish::{self, Finish, Finishing};
use edgeroute_wire::{EventStream, Usage};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::flight::{Flight, Landed, Listener, Role};
use crate::judgement::{Judgements, Undecided};
use crate::sharing::MOST_KEPT;
use crate::snapshot::Loaded;
use crate::state::{Response, State, Wake};
use crate::ticket::PyTicket;
use crate::worker::{Core, unix_ms};

/// How often the store looks for what other workers have stored, where nobody tells it.
const POLL: Duration = Duration::from_millis(50);
/// How long one wake of the event loop takes in news.
const BUDGET: Duration = Duration::from_millis(1);
/// How long a request waits for the store before the model answers: a disk may hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a worker knows of the cache of its host.
#[derive(Default)]
pub(crate) struct Cache {
    /// None while no model has a cache.
    pub(crate) index: Mutex<Option<Index>>,
    store: Mutex<Option<Opened>>,
    /// There is news that nobody has taken.
    told: Arc<AtomicBool>,
    /// News that was taken, and not taken in yet.
    news: Mutex<VecDeque<News>>,
    /// What waits for the body of an entry.
    fetching: Mutex<HashMap<u64, (Wanted, Instant)>>,
    next_token: AtomicU64,
    warnings: Mutex<Vec<String>>,
    pub(crate) judgements: Judgements,
}

struct Opened {
    store: Store,
    bounds: Bounds,
    /// Evictions and drops that are in the metrics.
    counted: (u64, u64),
}

/// What the body of an entry is wanted for.
enum Wanted {
    Answer(Py<PyTicket>),
    /// With an entry that was stored then: the answer itself may have taken its place meanwhile.
    Comparison(Comparison, u64),
}

/// What came of asking the store.
pub(crate) enum Found {
    Entry(edgeroute_store::Entry),
    Nothing,
    /// Nothing yet, and a request does not wait for longer.
    Late,
}

/// An answer of the model to a question that is similar to an entry's.
pub(crate) struct Comparison {
    pub(crate) observed: Observed,
    pub(crate) fresh: Fresh,
}

/// An answer of the model that is to be compared.
pub(crate) struct Fresh {
    pub(crate) said: String,
    /// Who is asked where it cannot be compared otherwise.
    pub(crate) judge: Option<(Arc<Judge>, Arc<Loaded>)>,
}

/// What another store or another index is needed for when it changes: path, Redis, and most bytes, entries and memory.
type Bounds = (String, Option<String>, u64, usize, usize);

/// A ticket that has waited for the store.
pub(crate) type Fetched = (Py<PyTicket>, Found);

/// An answer from the cache that is about to be handed over.
pub(crate) struct Kept {
    pub(crate) content_type: Vec<u8>,
    pub(crate) usage: Option<Usage>,
    /// None where the listener replays it.
    pub(crate) body: Option<Bytes>,
}

impl Cache {
    /// Follows the configuration: opens the store, opens another one, or closes it. `wake` tells the event loop that there
    /// is news.
    pub(crate) fn configure(&self, configured: Option<&Configured>, wake: impl Fn() + Send + Sync + 'static) {
        let bounds = configured.map(bounds);
        let mut opened = self.store.lock();
        if opened.as_ref().map(|opened| &opened.bounds) == bounds.as_ref() {
            return;
        }
        let before = opened.take();
        *self.index.lock() =
            configured.map(|cache| Index::new(cache.entries, cache.memory, random().to_ne_bytes()));
        self.news.lock().clear();
        *opened = bounds.map(|bounds| {
            let told = Arc::clone(&self.told);
            let wake = move || {
                told.store(true, Ordering::Release);
                wake();
            };
            Opened { store: Store::open(settings(&bounds), wake), bounds, counted: (0, 0) }
        });
        drop(opened);
        // It waits for its thread, which may wait for a disk.
        std::thread::spawn(move || drop(before));
    }

    /// Closes the store, having written what is left. Gives back what has waited for it.
    pub(crate) fn close(&self) -> impl Sized + Send + use<> {
        *self.index.lock() = None;
        drop(self.store.lock().take());
        std::mem::take(&mut *self.fetching.lock())
    }

    /// Adds what the store has lost to the metrics.
    pub(crate) fn count(&self, cells: &Cells) {
        let mut opened = self.store.lock();
        let Some(Opened { store, counted, .. }) = opened.as_mut() else { return };
        let statistics = store.statistics();
        let now = (statistics.evicted, statistics.dropped);
        let before = std::mem::replace(counted, now);
        add(cells, "edgeroute_cache_evictions_total", now.0 - before.0);
        add(cells, "edgeroute_cache_dropped_total", now.1 - before.1);
    }

    /// Asks the store for an entry; false where there is none to ask.
    fn fetch(&self, key: u128, wanted: Wanted) -> bool {
        let opened = self.store.lock();
        let Some(Opened { store, .. }) = opened.as_ref() else { return false };
        let token = self.next_token.fetch_add(1, Ordering::Relaxed);
        self.fetching.lock().insert(token, (wanted, Instant::now()));
        store.fetch(key, token);
        true
    }

    /// Keeps an answer.
    pub(crate) fn keep(&self, fill: &Fill, meaning: Option<SemanticKey>, stored_ms: u64, body: Vec<u8>) {
        let Fill { key, check, raw, tenant, model, ttl_ms, .. } = *fill;
        let expires_ms = stored_ms.saturating_add(ttl_ms);
        let head = Head { check, meaning: meaning.clone() }.encode();
        if let Some(index) = self.index.lock().as_mut() {
            let body = Some(Arc::from(body.as_slice()));
            index
                .insert(Entry { key, check, tenant, model, stored_ms, expires_ms, body, meaning }, stored_ms);
            if let Some(raw) = raw {
                index.remember(raw, (key, check));
            }
        }
        if let Some(Opened { store, .. }) = self.store.lock().as_ref() {
            store.put(edgeroute_store::Entry { key, tenant, model, stored_ms, expires_ms, head, body });
        }
    }

    /// Takes in what the store tells, for as long as one wake of the loop may take. Gives back what tickets have waited
    /// for, and whether there is more.
    pub(crate) fn follow(&self, cells: &Cells) -> (Vec<Fetched>, bool) {
        let (mut fetched, mut compared) = (Vec::new(), Vec::new());
        let mut news = self.news.lock();
        // The store tells no more than is taken, and all it has to tell after a start may be a million entries.
        if news.is_empty()
            && self.told.swap(false, Ordering::Acquire)
            && let Some(Opened { store, .. }) = self.store.lock().as_ref()
        {
            let told = store.take_news().into_iter();
            let mut fetching = self.fetching.lock();
            news.extend(told.filter_map(|told| match told {
                // A request waits for it.
                News::Body { token, entry } => {
                    match (fetching.remove(&token).map(|(wanted, _)| wanted), entry) {
                        (Some(Wanted::Answer(ticket)), Some(entry)) => {
                            fetched.push((ticket, Found::Entry(entry)))
                        }
                        (Some(Wanted::Answer(ticket)), None) => fetched.push((ticket, Found::Nothing)),
                        (Some(Wanted::Comparison(comparison, stored_ms)), Some(entry))
                            if entry.stored_ms == stored_ms =>
                        {
                            compared.push((comparison, entry))
                        }
                        _ => {}
                    }
                    None
                }
                told => Some(told),
            }));
        }
        fetched.extend(self.take_late());
        let (began, now_ms) = (Instant::now(), unix_ms());
        let mut index = self.index.lock();
        while let Some(news) = news.pop_front() {
            match (news, index.as_mut()) {
                (News::Warning(warning), _) => self.warnings.lock().push(warning),
                (News::Removed { key }, Some(index)) => _ = index.remove(key),
                (News::Purged(Purge::Key(key)), Some(index)) => _ = index.remove(key),
                (News::Purged(purge), Some(index)) => {
                    index.purge(|key, tenant, model, stored_ms| purge.covers(key, tenant, model, stored_ms))
                }
                (News::Cleared, Some(index)) => index.clear(),
                (News::Stored { key, tenant, model, stored_ms, expires_ms, head, body }, Some(index)) => {
                    if let Some(Head { check, meaning }) = Head::decode(&head) {
                        let body = body.map(Arc::from);
                        index.insert(
                            Entry { key, check, tenant, model, stored_ms, expires_ms, body, meaning },
                            now_ms,
                        );
                    }
                }
                (News::Noted(note), Some(index)) => {
                    if let Some(observation) = Observation::decode(&note) {
                        index.apply(&observation);
                    }
                }
                (News::Body { .. }, _) | (_, None) => {}
            }
            if began.elapsed() >= BUDGET {
                break;
            }
        }
        drop(index);
        for (comparison, entry) in compared {
            self.compare(comparison, &entry.body, cells);
        }
        (fetched, !news.is_empty())
    }

    /// What has waited for longer than a request may, or for a store that is closed. What was to be compared is not.
    fn take_late(&self) -> Vec<Fetched> {
        let mut fetching = self.fetching.lock();
        let late = fetching.extract_if(|_, (_, since)| since.elapsed() >= PATIENCE);
        late.filter_map(|(_, (wanted, _))| match wanted {
            Wanted::Answer(ticket) => Some((ticket, Found::Late)),
            Wanted::Comparison(..) => None,
        })
        .collect()
    }

    /// The tickets that wait for the store.
    pub(crate) fn take_waiting(&self) -> Vec<Py<PyTicket>> {
        let waiting = std::mem::take(&mut *self.fetching.lock());
        let ticket = |(wanted, _)| match wanted {
            Wanted::Answer(ticket) => Some(ticket),
            Wanted::Comparison(..) => None,
        };
        waiting.into_values().filter_map(ticket).collect()
    }

    /// Compares the model's answer with the entry that would have been given instead.
    pub(crate) fn observe(&self, comparison: Comparison, cells: &Cells) {
        let key = comparison.observed.key;
        let now_ms = unix_ms();
        let known = self.index.lock().as_ref().and_then(|index| index.get(key, now_ms));
        match known.map(|known| (known.body, now_ms.saturating_sub(known.age_ms))) {
            Some((Some(body), _)) => self.compare(comparison, &body, cells),
            Some((None, stored_ms)) => _ = self.fetch(key, Wanted::Comparison(comparison, stored_ms)),
            None => {}
        }
    }

    fn compare(&self, comparison: Comparison, stored: &[u8], cells: &Cells) {
        let stored = Reply::decode(stored).and_then(|reply| said(&reply.body));
        let verdict =
            stored.as_ref().map_or(Verdict::Unknown, |stored| compare(stored, &comparison.fresh.said));
        let observed = comparison.observed;
        if verdict == Verdict::Unknown
            && let Some(stored) = stored
            && let Ok(undecided) = Undecided::new(comparison, stored)
        {
            match self.judgements.wait(undecided) {
                Ok(()) => return,
                Err(_) => add(cells, "edgeroute_cache_judgements_total{result=\"skipped\"}", 1),
            }
        }
        self.note(&observed, verdict, cells);
    }

    /// Notes what has come of a comparison.
    pub(crate) fn note(&self, observed: &Observed, verdict: Verdict, cells: &Cells) {
        let Observed { key, model, similarity, .. } = *observed;
        let index = self.index.lock();
        let observation =
            index.as_ref().and_then(|index| index.observe(key, model, similarity, verdict, unix_ms()));
        drop(index);
        // It counts when the store tells it, to this worker as to all others.
        if let Some((observation, Opened { store, .. })) = observation.zip(self.store.lock().as_ref()) {
            store.note(observation.encode());
        }
        let name = match verdict {
            Verdict::Correct => "edgeroute_cache_evidence_total{verdict=\"correct\"}",
            Verdict::Wrong => "edgeroute_cache_evidence_total{verdict=\"wrong\"}",
            Verdict::Unknown => "edgeroute_cache_evidence_total{verdict=\"unknown\"}",
        };
        add(cells, name, 1);
    }

    pub(crate) fn warn(&self, text: String) {
        self.warnings.lock().push(text);
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut *self.warnings.lock())
    }
}

impl State {
    /// Prepares to hand over an entry that is at hand. What is replayed in time begins with `recall`.
    pub(crate) fn answer_at_once(&mut self, core: &Core) {
        if let Step::Answer(answer) = self.ticket.step()
            && let Some(body) = answer.known.body.clone().filter(|_| !self.ticket.is_paced())
        {
            let key = answer.key;
            self.answer(core, key, body);
        }
    }

    /// Answers from the entry that the ticket names; true if it has to wait for the store. The entry may turn out to be
    /// gone, which the ticket is told.
    pub(crate) fn recall(&mut self, core: &Core, ticket: &Bound<'_, PyTicket>) -> bool {
        let Step::Answer(answer) = self.ticket.step() else { return false };
        let key = answer.key;
        match answer.known.body.clone() {
            Some(body) => self.answer(core, key, body),
            None if core.cache.fetch(key, Wanted::Answer(ticket.clone().unbind())) => {
                return true;
            }
            None => self.forget_entry(core, key),
        }
        false
    }

    /// Takes what the store had for the ticket.
    pub(crate) fn fetched(&mut self, core: &Core, found: Found) -> Option<Wake> {
        let Step::Answer(answer) = self.ticket.step() else { return None };
        if self.is_over() {
            return None;
        }
        let (key, check) = (answer.key, answer.known.check);
        // Another answer may have taken the place of the one that was known.
        let is_same = |head: &[u8]| Head::decode(head).is_some_and(|head| head.check == check);
        match found {
            Found::Entry(entry) if entry.key == key && is_same(&entry.head) => {
                let body: Arc<[u8]> = entry.body.into();
                if let Some(index) = core.cache.index.lock().as_mut() {
                    index.keep_body(key, Arc::clone(&body));
                }
                self.answer(core, key, body);
            }
            Found::Entry(_) | Found::Nothing => self.forget_entry(core, key),
            Found::Late => self.missing(core),
        }
        self.wake(None)
    }

    /// Prepares to hand over an entry, if it can be read.
    fn answer(&mut self, core: &Core, key: u128, body: Arc<[u8]>) {
        let body = Bytes::from_owner(body);
        let Some(reply) = Reply::decode(&body).filter(|reply| reply.dialect == self.ticket.dialect()) else {
            return self.forget_entry(core, key);
        };
        let hides_usage = self.ticket.hides_usage();
        let (content_type, usage) = (reply.content_type.to_vec(), reply.usage);
        let handed = match &reply.body {
            Body::Stream { .. } if self.ticket.is_paced() => {
                let recording = Recording::finished(reply.body.pieces());
                let flight = Arc::new(Mutex::new(Flight::of(recording)));
                let role = Role::Replays { since: Instant::now(), usage };
                self.listener = Listener::join(flight, role, (reply.dialect, hides_usage)).map(Box::new);
                None
            }
            Body::Stream { events, .. } if hides_usage => {
                let mut passed = Vec::with_capacity(events.len());
                let mut filter = EventStream::new(reply.dialect, true);
                _ = filter.feed(events, &mut passed);
                Some(Bytes::from(passed))
            }
            Body::Whole(bytes) | Body::Stream { events: bytes, .. } => Some(body.slice_ref(bytes)),
        };
        self.response = Some(Response::Kept(Box::new(Kept { content_type, usage, body: handed })));
    }

    /// Keeps the answer that has come to its end, if it may be kept, and compares it with the entry that would have been
    /// given instead.
    pub(crate) fn fill(&self, core: &Core, usage: Option<Usage>) {
        let (Some(operation), Some(listener)) = (self.ticket.operation(), &self.listener) else { return };
        let flight = listener.flight.lock();
        let Some(Landed::Response { reply: response, whole, .. }) = &flight.landed else { return };
        if response.0.status() != 200 || response.1.len() > MOST_KEPT {
            return;
        }
        let mut events = Vec::new();
        let (body, finish) = if *whole {
            (Body::Whole(&response.1), finish::of_reply(operation, &response.1))
        } else {
            let recorded = flight.recording.pieces().filter(|_| flight.recording.size() <= MOST_KEPT as u64);
            let Some(recorded) = recorded else { return };
            let mut pieces = Vec::with_capacity(recorded.len());
            for piece in recorded {
                pieces.push((piece.at_ms, u32::try_from(piece.events.len()).unwrap_or(u32::MAX)));
                events.extend_from_slice(&piece.events);
            }
            let finish = listener.finishing.as_ref().map_or(Finish::Unknown, Finishing::finish);
            (Body::Stream { events: &events, pieces }, finish)
        };
        if finish != Finish::Whole {
            return;
        }
        let observed = self.ticket.observed();
        let judge = || self.ticket.judge().map(|judge| (Arc::clone(judge), Arc::clone(&self.loaded)));
        let fresh = || Some(Fresh { said: said(&body)?, judge: judge() });
        let comparison = observed.and_then(|observed| Some(Comparison { observed, fresh: fresh()? }));
        let late = self.ticket.compares_late().then(fresh).flatten();
        let fill = self.ticket.fill().map(|fill| {
            let content_type = response.0.header("content-type").unwrap_or_default();
            (fill, Reply { dialect: self.ticket.dialect(), content_type, usage, body }.encode())
        });
        drop(flight);
        if let Some(comparison) = comparison {
            core.cache.observe(comparison, core.row.cells());
        }
        if let Some((fill, reply)) = fill {
            core.keep(fill, reply, late);
        }
    }

    /// Keeps each of several embeddings that the provider was asked for.
    pub(crate) fn fill_texts(&self, core: &Core, reply: &[u8]) {
        for (fill, usage, body) in self.ticket.fill_texts(reply) {
            let (dialect, content_type, usage) = (fill.dialect, b"application/json", Some(usage));
            let body = Body::Whole(&body);
            core.keep(fill, Reply { dialect, content_type, usage, body }.encode(), None);
        }
    }

    /// An entry is gone, or cannot be read.
    #[cold]
    fn forget_entry(&mut self, core: &Core, key: u128) {
        if let Some(index) = core.cache.index.lock().as_mut() {
            index.remove(key);
        }
        self.missing(core);
    }

    /// There is nothing to answer with after all.
    pub(crate) fn missing(&mut self, core: &Core) {
        let (index, now) = (core.cache.index.lock(), core.now());
        self.ticket.missing(&core.facts(index.as_ref(), now), now);
    }
}

fn bounds(cache: &Configured) -> Bounds {
    let redis = cache.redis.as_ref().map(|url| url.reveal().to_owned());
    (cache.path.clone(), redis, cache.bytes, cache.entries, cache.memory)
}

fn settings((path, redis, bytes, entries, _): &Bounds) -> Settings {
    Settings { path: path.into(), bytes: *bytes, entries: *entries, redis: redis.clone(), poll: POLL }
}

/// A random number: the standard library's hashers are keyed by the operating system.
pub(crate) fn random() -> u128 {
    let hasher = RandomState::new();
    let [first, second] = [0, 1].map(|number: u64| u128::from(hasher.hash_one(number)));
    first << 64 | second
}

/// Adds to a metric. Where its cell cannot be had, the metrics have told so already.
pub(crate) fn add(cells: &Cells, name: &str, amount: u64) {
    if amount > 0
        && let Ok(sum) = cells.sum(name)
    {
        cells.add(sum, amount);
    }
}
