//! What passes between the callers and the thread: writes and fetches one way, news the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::entry::{Entry, News, Purge};
use crate::environment::Environment;
use crate::record::Dated;
use crate::table::LONGEST_NOTE;
use crate::thread::now_ms;

/// Puts and notes wait in no more than this; what comes on top is dropped.
const QUEUE_BYTES: usize = 8 << 20;
/// Fetches wait in no more than this number; what comes on top finds nothing.
const FETCHES: usize = 4096;

/// Counters since the start, and how much there is. `entries` and `bytes` are of the host, the rest of this worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// In the store, whoever has put them.
    pub entries: u64,
    /// Of the file that are in use.
    pub bytes: u64,
    /// The file does not grow beyond; before it is open, what the settings say.
    pub most_bytes: u64,
    /// Entries that this worker has removed to stay within the bounds.
    pub evicted: u64,
    /// Puts that were lost: the queue was full, the entry too large, or the store not there.
    pub dropped: u64,
    /// Puts, notes and purges that are not done yet.
    pub waiting: u64,
    /// Purges that could not be done, as a warning has said: what they are for may still be there.
    pub unpurged: u64,
    /// Whether there is a store at present.
    pub available: bool,
}

/// The numbers behind [`Statistics`].
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) entries: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) most_bytes: AtomicU64,
    pub(crate) evicted: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) waiting: AtomicU64,
    pub(crate) unpurged: AtomicU64,
    pub(crate) available: AtomicBool,
}

/// Something to be done in order.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    Put(Put),
    Note(Vec<u8>),
    Purge(Dated),
}

impl Write {
    /// About what it takes in the queue, and in the file.
    fn size(&self) -> usize {
        match self {
            Self::Put(put) => put.entry.size(),
            Self::Note(note) => size_of::<Self>() + note.len(),
            Self::Purge(_) => size_of::<Self>(),
        }
    }
}

/// An entry, and how much news of entries its caller had taken when it was put.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    pub(crate) entry: Entry,
    pub(crate) taken: u64,
}

/// Something to look up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch {
    pub(crate) key: u128,
    pub(crate) token: u64,
}

pub(crate) struct Queue {
    asked: Mutex<Asked>,
    arrived: Condvar,
    closing: Condvar,
    news: Mutex<Told>,
    wake: Box<dyn Fn() + Send + Sync>,
    environment: Mutex<Option<Arc<Environment>>>,
    pub(crate) counters: Counters,
}

#[derive(Default)]
struct Asked {
    writes: VecDeque<Write>,
    bytes: usize,
    fetches: Vec<Fetch>,
    closed: bool,
}

#[derive(Default)]
struct Told {
    waiting: Vec<News>,
    /// How much was told since the start, taken or not. Notes do not count: they contradict nothing.
    told: u64,
    /// How much of it was taken.
    taken: u64,
}

impl Queue {
    pub(crate) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            asked: Mutex::default(),
            arrived: Condvar::new(),
            closing: Condvar::new(),
            news: Mutex::default(),
            wake,
            environment: Mutex::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn put(&self, entry: Entry) {
        let taken = self.news.lock().taken;
        if self.ask(Write::Put(Put { entry, taken })).is_some() {
            self.counters.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn note(&self, note: Vec<u8>) {
        if note.len() > LONGEST_NOTE {
            self.tell([News::Noted(note)]);
        } else if let Some(Write::Note(note)) = self.ask(Write::Note(note)) {
            self.tell([News::Noted(note)]);
        }
    }

    /// Gives back what there is no room for.
    fn ask(&self, write: Write) -> Option<Write> {
        let size = write.size();
        let mut asked = self.asked.lock();
        if asked.closed || asked.bytes + size > QUEUE_BYTES {
            return Some(write);
        }
        asked.bytes += size;
        self.counters.waiting.fetch_add(1, Relaxed);
        asked.writes.push_back(write);
        self.arrived.notify_one();
        None
    }

    /// Never dropped: it is an operator's wish, and small.
    pub(crate) fn purge(&self, purge: Purge) {
        self.counters.waiting.fetch_add(1, Relaxed);
        self.asked.lock().writes.push_back(Write::Purge(Dated { purge, at_ms: now_ms() }));
        self.arrived.notify_one();
    }

    /// A purge that was taken and could not be done is the next one again.
    pub(crate) fn put_back(&self, dated: Dated) {
        self.counters.waiting.fetch_add(1, Relaxed);
        self.asked.lock().writes.push_front(Write::Purge(dated));
    }

    pub(crate) fn fetch(&self, key: u128, token: u64) {
        let mut asked = self.asked.lock();
        if asked.closed || asked.fetches.len() >= FETCHES {
            drop(asked);
            self.tell([News::Body { token, entry: None }]);
            return;
        }
        asked.fetches.push(Fetch { key, token });
        self.arrived.notify_one();
    }

    pub(crate) fn close(&self) {
        self.asked.lock().closed = true;
        self.arrived.notify_one();
        self.closing.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.asked.lock().closed
    }

    /// Waits until the store is closed, at most for `limit`; whether it is.
    pub(crate) fn pause(&self, limit: Duration) -> bool {
        let mut asked = self.asked.lock();
        if !asked.closed {
            self.closing.wait_for(&mut asked, limit);
        }
        asked.closed
    }

    /// Waits until there is something to do, at most for `limit`; whether the store was closed and nothing is left.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let mut asked = self.asked.lock();
        if asked.writes.is_empty() && asked.fetches.is_empty() && !asked.closed {
            self.arrived.wait_for(&mut asked, limit);
        }
        asked.closed && asked.writes.is_empty()
    }

    pub(crate) fn take_fetches(&self) -> Vec<Fetch> {
        std::mem::take(&mut self.asked.lock().fetches)
    }

    /// What the waiting writes say of a key: the entry that is put last, or that a purge covers what is kept.
    pub(crate) fn pending(&self, key: u128) -> Pending {
        let asked = self.asked.lock();
        let mut purges = Vec::new();
        for write in asked.writes.iter().rev() {
            match write {
                Write::Put(put) if put.entry.key == key => {
                    return Pending { put: Some(put.entry.clone()), purges };
                }
                Write::Put(_) | Write::Note(_) => {}
                Write::Purge(dated) => purges.push(dated.purge),
            }
        }
        Pending { put: None, purges }
    }

    /// There is no thread. Nothing was lost to a fault.
    pub(crate) fn fail(&self, error: &std::io::Error) -> bool {
        self.close();
        self.tell([News::Warning(format!("nothing is cached, for there is no thread for it: {error}"))]);
        false
    }

    /// A fault has ended the thread: what it had taken is lost, and the file is gone.
    pub(crate) fn lose(&self) {
        self.set_environment(None);
        let asked = self.asked.lock();
        let left = asked.writes.len() as u64;
        let before = self.counters.waiting.swap(left, Release);
        self.counters.dropped.fetch_add(before.saturating_sub(left), Relaxed);
        drop(asked);
        self.tell([News::Cleared]);
    }

    /// The file, for the thread that shares it with Redis.
    pub(crate) fn environment(&self) -> Option<Arc<Environment>> {
        self.environment.lock().clone()
    }

    pub(crate) fn set_environment(&self, environment: Option<&Arc<Environment>>) {
        self.counters.available.store(environment.is_some(), Relaxed);
        *self.environment.lock() = environment.cloned();
    }

    /// The next writes in order: puts and notes that cost no more than `cost` together, at least one; or one purge alone.
    /// One costs its size and `each`.
    pub(crate) fn take_writes(&self, cost: usize, each: usize) -> Vec<Write> {
        let mut asked = self.asked.lock();
        let (mut taken, mut sizes) = (Vec::new(), 0);
        while let Some(write) = asked.writes.pop_front() {
            match &write {
                Write::Purge(_) if taken.is_empty() => return vec![write],
                Write::Put(_) | Write::Note(_)
                    if taken.is_empty() || sizes + write.size() + (taken.len() + 1) * each <= cost =>
                {
                    sizes += write.size();
                }
                _ => {
                    asked.writes.push_front(write);
                    break;
                }
            }
            taken.push(write);
        }
        asked.bytes -= sizes;
        taken
    }

    pub(crate) fn tell(&self, news: impl IntoIterator<Item = News>) {
        let mut told = self.news.lock();
        let before = told.waiting.len();
        told.waiting.extend(news);
        let new = told.waiting.iter().skip(before).filter(|news| !matches!(news, News::Noted(_))).count();
        told.told += new as u64;
        let first = before == 0 && !told.waiting.is_empty();
        drop(told);
        if first {
            (self.wake)();
        }
    }

    /// How much news waits to be taken.
    pub(crate) fn untold(&self) -> usize {
        self.news.lock().waiting.len()
    }

    /// How much was told since the start, taken or not, but for notes.
    pub(crate) fn told(&self) -> u64 {
        self.news.lock().told
    }

    pub(crate) fn take_news(&self) -> Vec<News> {
        let mut told = self.news.lock();
        told.taken = told.told;
        std::mem::take(&mut told.waiting)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let counters = &self.counters;
        // First: what does not wait any more is in the other counters.
        let waiting = counters.waiting.load(Acquire);
        Statistics {
            entries: counters.entries.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            most_bytes: counters.most_bytes.load(Relaxed),
            evicted: counters.evicted.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            waiting,
            unpurged: counters.unpurged.load(Relaxed),
            available: counters.available.load(Relaxed),
        }
    }
}

/// See [`Queue::pending`].
pub(crate) struct Pending {
    pub(crate) put: Option<Entry>,
    /// Later than `put`.
    pub(crate) purges: Vec<Purge>,
}

impl Pending {
    /// What is left of an entry after the purges.
    pub(crate) fn spare(&self, entry: Entry) -> Option<Entry> {
        let covered = |purge: &Purge| purge.covers(entry.key, entry.tenant, entry.model, entry.stored_ms);
        if self.purges.iter().any(covered) { None } else { Some(entry) }
    }
}
