//! Shared by the integration tests: directories that remove themselves, a worker's view of a store, processes of one's
//! own, guards against hanging.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use edgeroute_store::{Entry, News, Purge, Settings, Store};

/// Nothing here takes a tenth of this.
const HANG: Duration = Duration::from_secs(60);
const DIRECTORY: &str = "EDGEROUTE_TEST_DIRECTORY";
pub(crate) const MIB: u64 = 1 << 20;

pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("edgeroute-store-{}-{count}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("answers.mdb")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn settings(path: &Path) -> Settings {
    Settings {
        path: path.to_owned(),
        bytes: 8 * MIB,
        entries: 10_000,
        redis: None,
        poll: Duration::from_millis(5),
    }
}

/// A store and what a worker knows from its news.
pub(crate) struct Worker {
    pub(crate) store: Store,
    /// Heads by key.
    pub(crate) known: HashMap<u128, Vec<u8>>,
    /// Bodies that came with the news.
    pub(crate) bodies: HashMap<u128, Vec<u8>>,
    pub(crate) fetched: HashMap<u64, Option<Entry>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) notes: Vec<Vec<u8>>,
    pub(crate) purged: Vec<Purge>,
    /// In the order in which they were told.
    pub(crate) order: Vec<u128>,
    pub(crate) cleared: usize,
    tokens: u64,
}

impl Worker {
    pub(crate) fn open(settings: Settings) -> Self {
        Self {
            store: Store::open(settings, || {}),
            known: HashMap::new(),
            bodies: HashMap::new(),
            fetched: HashMap::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            purged: Vec::new(),
            order: Vec::new(),
            cleared: 0,
            tokens: 0,
        }
    }

    pub(crate) fn on(directory: &Directory) -> Self {
        let worker = Self::open(settings(directory.path()));
        wait_until("the store is there", || worker.store.statistics().available);
        worker
    }

    pub(crate) fn put(&mut self, entry: Entry) {
        self.known.insert(entry.key, entry.head.clone());
        self.store.put(entry);
    }

    pub(crate) fn take(&mut self) {
        for news in self.store.take_news() {
            match news {
                News::Stored { key, head, body, .. } => {
                    self.known.insert(key, head);
                    self.order.push(key);
                    body.map(|body| self.bodies.insert(key, body));
                }
                News::Removed { key } => {
                    self.known.remove(&key);
                    self.bodies.remove(&key);
                }
                News::Cleared => {
                    self.known.clear();
                    self.bodies.clear();
                    self.notes.clear();
                    self.cleared += 1;
                }
                News::Purged(purge) => self.purged.push(purge),
                News::Noted(note) => self.notes.push(note),
                News::Body { token, entry } => drop(self.fetched.insert(token, entry)),
                News::Warning(warning) => self.warnings.push(warning),
            }
        }
    }

    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        wait_until(what, || {
            self.take();
            done(self)
        });
    }

    /// Asks the store and waits for the answer.
    pub(crate) fn fetch(&mut self, key: u128) -> Option<Entry> {
        self.tokens += 1;
        let token = self.tokens;
        self.store.fetch(key, token);
        self.until("the entry is fetched", |worker| worker.fetched.contains_key(&token));
        self.fetched.remove(&token).unwrap()
    }

    /// Asks the store, which may be about to lose all that it was asked.
    pub(crate) fn fetch_late(&mut self, key: u128) {
        self.tokens += 1;
        self.store.fetch(key, self.tokens);
    }

    /// The same for many, which are on their way together.
    pub(crate) fn fetch_all(&mut self, keys: impl Iterator<Item = u128>) -> HashMap<u128, Option<Entry>> {
        let first = self.tokens + 1;
        let keys: Vec<u128> = keys.collect();
        for key in &keys {
            self.tokens += 1;
            self.store.fetch(*key, self.tokens);
        }
        self.until("the entries are fetched", |worker| worker.fetched.len() == keys.len());
        keys.into_iter()
            .zip(first..)
            .map(|(key, token)| (key, self.fetched.remove(&token).unwrap()))
            .collect()
    }

    /// Waits until all that was put, noted and purged so far has been done.
    pub(crate) fn settle(&mut self) {
        self.until("nothing waits", |worker| worker.store.statistics().waiting == 0);
    }
}

/// A note whose bytes follow from a number.
pub(crate) fn note(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(1 + number as usize % 8)
}

/// An entry whose parts all follow from its key and a length.
pub(crate) fn entry(key: u128, length: usize) -> Entry {
    let seed = key as u8;
    Entry {
        key,
        tenant: key as u64 % 7,
        model: key as u64 % 3,
        stored_ms: now_ms(),
        expires_ms: now_ms() + 3_600_000,
        head: format!("head of {key}").into_bytes(),
        body: (0..length).map(|index| seed.wrapping_add(index as u8)).collect(),
    }
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < HANG, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A process that is killed at the latest when its test ends.
pub(crate) struct Process(Child);

impl Process {
    /// Runs one ignored test of this binary in a process of its own, on the directory.
    pub(crate) fn spawn(test: &str, directory: &Directory) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--ignored", "--nocapture"]).env(DIRECTORY, directory.path());
        Self(command.stdout(std::process::Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Whether it ended by itself and well.
    pub(crate) fn finish(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The directory that [`Process::spawn`] was given; None where the test was not spawned so.
pub(crate) fn spawned_on() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}
