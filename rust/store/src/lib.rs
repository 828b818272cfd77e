//! Keeps answers: in LMDB for all workers of a host, in Redis for several hosts, on a thread of its own that never
//! makes its caller wait. It knows neither requests nor what an answer is: keys, labels to purge by, times and bytes.

mod check;
mod entry;
mod environment;
mod error;
mod fault;
mod follower;
mod queue;
mod record;
mod resp;
mod row;
mod sharing;
mod table;
mod thread;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use entry::{Entry, News, Purge};
use queue::Queue;
pub use queue::Statistics;
use table::Bounds;
pub use table::LONGEST_NOTE;

/// Before another attempt with a disk that may be failing; twice as long each time, for what a thread had stays.
const AFTER_A_FAULT: Duration = Duration::from_secs(1);
/// How long a [`Store`] that is dropped waits for its threads; another process may hold what the thread waits for.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where to keep, and how much. Stores on one path (workers, or several instances of edgeroute) share all entries;
/// they should agree on `bytes` and `entries`, for the smallest governs.
#[derive(Clone)]
pub struct Settings {
    /// A directory; made, readable by its owner alone, where it is missing.
    pub path: PathBuf,
    /// The file does not grow beyond; at least 1 MiB. 13/16 of it are used, and an entry has 1/32 at most.
    pub bytes: u64,
    /// No more entries than this.
    pub entries: usize,
    /// URL of Redis or Valkey, shared between hosts: `redis://[[user]:password@]host[:port][/database]`, `rediss://` for
    /// TLS.
    pub redis: Option<String>,
    /// How often to look for what others have stored.
    pub poll: Duration,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redis = self.redis.as_ref().map(|_| "redacted");
        let Self { path, bytes, entries, poll, .. } = self;
        let mut shown = f.debug_struct("Settings");
        shown.field("path", path).field("bytes", bytes).field("entries", entries);
        shown.field("redis", &redis).field("poll", poll).finish()
    }
}

/// One worker's way to the entries of its host. Nothing here waits for a disk or a network.
pub struct Store {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Store {
    /// Starts the thread. All live entries come as news, newest first and without bodies, then all notes that are kept,
    /// oldest first. `wake` is called, on that thread or within a call, when there is news after there was none.
    pub fn open(settings: Settings, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let queue = Arc::new(Queue::new(Box::new(wake)));
        queue.counters.most_bytes.store(environment::bounds(&settings, None).bytes, Relaxed);
        let mut store = Self { queue: Arc::clone(&queue), threads: Vec::new() };
        if let Some(url) = settings.redis.clone() {
            let (settings, queue) = (settings.clone(), Arc::clone(&queue));
            store.spawn("edgeroute-redis", settings, queue, move |settings, queue| {
                sharing::run(settings, &url, queue)
            });
        }
        store.spawn("edgeroute-store", settings, queue, thread::run);
        store
    }

    /// Whether an entry is small enough to be kept.
    pub fn takes(&self, entry: &Entry) -> bool {
        let bounds = Bounds { bytes: self.queue.statistics().most_bytes, entries: 0 };
        entry.size() <= bounds.largest()
    }

    /// Keeps an entry; dropped and counted where the queue is full.
    pub fn put(&self, entry: Entry) {
        self.queue.put(entry);
    }

    /// Appends a note of at most [`LONGEST_NOTE`] bytes, which the store does not understand: it comes as
    /// [`News::Noted`], to this worker too, in the order that all workers of the host agree on, once it is kept or cannot
    /// be. The newest are kept, as many as the file has 4 KiB, from 1,024 to 65,536. Redis does not get them.
    pub fn note(&self, note: Vec<u8>) {
        self.queue.note(note);
    }

    /// Asks for an entry, which comes as [`News::Body`] with this token.
    pub fn fetch(&self, key: u128, token: u64) {
        self.queue.fetch(key, token);
    }

    /// Removes entries here and for all other workers; those put before this call, too.
    pub fn purge(&self, purge: Purge) {
        self.queue.purge(purge);
    }

    /// What there is to tell since the last call.
    pub fn take_news(&self) -> Vec<News> {
        self.queue.take_news()
    }

    /// How the store is doing.
    pub fn statistics(&self) -> Statistics {
        self.queue.statistics()
    }

    /// Closes the store, which waits for nothing; dropping it does.
    pub fn close(&mut self) -> Closing {
        self.queue.close();
        Closing(std::mem::take(&mut self.threads))
    }

    /// Starts a thread, and one that waits for it and starts it again if a fault has ended it.
    fn spawn(
        &mut self,
        name: &'static str,
        settings: Settings,
        queue: Arc<Queue>,
        run: impl Fn(&Settings, &Queue) + Sync + Send + 'static,
    ) {
        let keep = move || {
            let mut pause = AFTER_A_FAULT;
            while fault::contain(name, || run(&settings, &queue)).unwrap_or_else(|error| queue.fail(&error)) {
                queue.lose();
                queue.tell([News::Warning(format!(
                    "the cache in {} was emptied: its file was damaged, or could not be read, while it was in use",
                    settings.path.display()
                ))]);
                queue.pause(pause);
                pause = pause.saturating_mul(2);
            }
        };
        match std::thread::Builder::new().name("edgeroute-keep".to_owned()).spawn(keep) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => _ = self.queue.fail(&error),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.close());
    }
}

/// A store that is closed and may still write what was put. It waits for that when it is dropped.
pub struct Closing(Vec<JoinHandle<()>>);

impl Drop for Closing {
    fn drop(&mut self) {
        let limit = Instant::now() + FAREWELL;
        while self.0.iter().any(|thread| !thread.is_finished()) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(1));
        }
        for thread in self.0.drain(..).filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}
