//! The thread: fetches first, then writes in their order, then what others have done.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::time::{Duration, Instant, SystemTime};

use crate::Settings;
use crate::entry::{Entry, News};
use crate::environment::{self, Environment, Identity, Opened};
use crate::error::Error;
use crate::follower::Follower;
use crate::queue::{Fetch, Queue, Write};
use crate::record::Dated;
use crate::table::{Bounds, ENTRY_OVERHEAD};
use crate::writer::Writer;

/// After something that only time or an operator can change.
const RETRY: Duration = Duration::from_secs(5);
/// Expired entries, readers that were killed, and whether the file still has its name.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// So much news waits until the caller takes it.
const UNTOLD: usize = 8192;

/// Works until the store is closed and has nothing left to do.
pub(crate) fn run(settings: &Settings, queue: &Queue) {
    let bounds = environment::bounds(settings, None);
    let mut thread = Thread {
        settings,
        queue,
        bounds,
        environment: None,
        known: None,
        follower: Follower::new(),
        retry_at: None,
        keep_house_at: Instant::now(),
        busy_since: None,
        full_since: None,
        warned: None,
        is_unused: false,
    };
    thread.turn();
    let mut more = true;
    while !queue.wait(if more { Duration::ZERO } else { settings.poll }) {
        more = thread.turn();
    }
    queue.set_environment(None);
}

struct Thread<'s> {
    settings: &'s Settings,
    queue: &'s Queue,
    bounds: Bounds,
    environment: Option<Arc<Environment>>,
    /// The file that the follower has followed.
    known: Option<Identity>,
    follower: Follower,
    retry_at: Option<Instant>,
    keep_house_at: Instant,
    busy_since: Option<Instant>,
    full_since: Option<Instant>,
    warned: Option<String>,
    /// It was told that there is no store, and not yet that there is one again.
    is_unused: bool,
}

impl Thread<'_> {
    /// Whether there is more to do at once.
    fn turn(&mut self) -> bool {
        if self.environment.is_none() && self.retry_at.is_none_or(|time| Instant::now() >= time) {
            self.open();
        }
        let done = self.work();
        let more = done.unwrap_or_else(|error| {
            self.fail(&error);
            false
        });
        self.queue.set_environment(self.environment.as_ref());
        more
    }

    fn work(&mut self) -> Result<bool, Error> {
        let mut problem = Ok(());
        for fetch in self.queue.take_fetches() {
            let entry = self.find(fetch).unwrap_or_else(|error| {
                problem = Err(error);
                None
            });
            self.queue.tell([News::Body { token: fetch.token, entry }]);
        }
        problem?;
        let Some(environment) = self.environment.clone() else {
            // Where the store only waits for its turn, so do the writes.
            if self.retry_at.is_some() || self.queue.is_closed() {
                self.give_up(self.queue.take_writes(usize::MAX, 0));
            } else {
                self.queue.pause(self.settings.poll);
            }
            return Ok(false);
        };
        if !self.follower.is_placed() {
            self.follow(&environment)?; // what is written from here on comes after what was listed
        }
        let writes = self.queue.take_writes(self.bounds.batch(), ENTRY_OVERHEAD);
        let count = writes.len() as u64;
        if count > 0 {
            let written = self.write(&environment, writes);
            self.queue.counters.waiting.fetch_sub(count, Release);
            written?;
        }
        let behind = self.follow(&environment)?;
        if Instant::now() >= self.keep_house_at {
            self.keep_house(&environment)?;
        }
        Ok(count > 0 || behind)
    }

    fn find(&self, fetch: Fetch) -> Result<Option<Entry>, Error> {
        let mut pending = self.queue.pending(fetch.key);
        let entry = match pending.put.take() {
            Some(entry) => Some(entry),
            None => match &self.environment {
                Some(environment) => {
                    environment.table.begin()?.record(fetch.key)?.map(|found| found.entry()).transpose()?
                }
                None => None,
            },
        };
        let now = now_ms();
        Ok(entry.and_then(|entry| pending.spare(entry)).filter(|entry| entry.expires_ms > now))
    }

    fn write(&mut self, environment: &Environment, writes: Vec<Write>) -> Result<(), Error> {
        let writer = self.writer(environment);
        let (mut puts, mut notes) = (Vec::new(), Vec::new());
        for write in writes {
            match write {
                Write::Put(put) if put.entry.size() > self.bounds.largest() => self.drop_puts(1),
                Write::Put(put) => puts.push(put),
                Write::Note(note) => notes.push(note),
                Write::Purge(dated) => return self.purge(environment, dated),
            }
        }
        let (before, sequences) = match writer.put(puts.iter().map(|put| &put.entry), &notes) {
            Ok(written) => written,
            Err(error) => {
                self.drop_puts(puts.len());
                self.queue.tell(notes.into_iter().map(News::Noted));
                return Err(error);
            }
        };
        self.written();
        // What was told meanwhile, or is still to be told, may say that the key is gone.
        let told = self.queue.told();
        if self.follower.is_at(before) {
            let own = puts.iter().zip(sequences).filter(|(put, _)| put.taken == told);
            own.for_each(|(_, sequence)| self.follower.skip(sequence));
        }
        Ok(())
    }

    /// What fails is tried again as soon as there is a store, and given up where there is none for a while.
    fn purge(&mut self, environment: &Environment, dated: Dated) -> Result<(), Error> {
        match self.writer(environment).purge(dated, false) {
            Ok(()) => self.written(),
            Err(error) => {
                self.queue.put_back(dated);
                if matches!(error, Error::Full) {
                    self.queue.pause(self.settings.poll);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// What is lost where there is no store.
    fn give_up(&self, writes: Vec<Write>) {
        let count = writes.len() as u64;
        for write in writes {
            match write {
                Write::Put(_) => self.drop_puts(1),
                Write::Note(note) => self.queue.tell([News::Noted(note)]),
                Write::Purge(_) => {
                    let problem = self.warned.as_deref().unwrap_or("it is not open");
                    let warning = format!("a purge was not done, and is to be asked for again: {problem}");
                    self.queue.tell([News::Warning(warning)]);
                    self.queue.counters.unpurged.fetch_add(1, Relaxed);
                }
            }
        }
        self.queue.counters.waiting.fetch_sub(count, Release);
    }

    fn keep_house(&mut self, environment: &Environment) -> Result<(), Error> {
        self.keep_house_at = Instant::now() + HOUSEKEEPING;
        if !environment.is_current() {
            self.environment = None;
        } else if self.writer(environment).tidy(now_ms())? {
            self.keep_house_at = Instant::now();
        }
        Ok(())
    }

    fn writer<'e>(&'e self, environment: &'e Environment) -> Writer<'e> {
        Writer { table: &environment.table, bounds: self.bounds, counters: &self.queue.counters }
    }

    fn follow(&mut self, environment: &Environment) -> Result<bool, Error> {
        if self.follower.is_placed() && self.queue.untold() >= UNTOLD {
            return Ok(false);
        }
        let mut news = Vec::new();
        let reading = environment.table.begin()?;
        let more = self.follower.follow(&reading, &mut news)?;
        let (entries, used) = reading.sizes()?;
        self.queue.counters.entries.store(entries, Relaxed);
        self.queue.counters.bytes.store(used, Relaxed);
        self.queue.tell(news);
        Ok(more)
    }

    fn open(&mut self) {
        match Environment::open(&self.settings.path, self.settings.bytes) {
            Ok(Opened { environment, emptied }) => {
                if let Some(why) = emptied {
                    self.warn(format!("the cache in {} was emptied: {why}", self.settings.path.display()));
                }
                if self.known.is_some_and(|known| known != environment.identity) {
                    self.queue.tell([News::Cleared]);
                    self.follower = Follower::new();
                }
                self.bounds = environment::bounds(self.settings, Some(&environment));
                self.queue.counters.most_bytes.store(self.bounds.bytes, Relaxed);
                self.known = Some(environment.identity);
                self.environment = Some(environment);
                self.busy_since = None;
                self.retry_at = None;
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Nothing that happens here reaches a request: at worst there is no store for a while.
    fn fail(&mut self, error: &Error) {
        let path = self.settings.path.display();
        self.retry_at = Some(Instant::now() + RETRY);
        let environment = self.environment.take();
        match error {
            Error::Busy => self.wait_for_others(),
            // A reader that stands still keeps pages from becoming free; not for ever, if it can be helped.
            Error::Full if self.full_since.get_or_insert_with(Instant::now).elapsed() < RETRY => {
                self.environment = environment;
            }
            Error::Damaged(_) | Error::Full => {
                self.warn(format!("the cache in {path} is emptied: {error}"));
                match environment.map(|environment| environment.discard(&self.settings.path)) {
                    None | Some(Ok(()) | Err(Error::Busy)) => self.retry_at = None,
                    Some(Err(error)) => self.fail(&error),
                }
            }
            Error::Io { .. } | Error::Lmdb(_) => {
                self.warn(format!(
                    "the cache in {path} is not used: {error}; the next attempt is in {} s. Set cache.path to a \
                     directory of a local disk that this user can write and that has cache.size free",
                    RETRY.as_secs()
                ));
                self.is_unused = true;
            }
        }
    }

    /// Something was: what went wrong before is over.
    fn written(&mut self) {
        (self.warned, self.full_since) = (None, None);
        if std::mem::take(&mut self.is_unused) {
            let path = self.settings.path.display();
            self.queue.tell([News::Warning(format!("the cache in {path} is used again"))]);
        }
    }

    fn wait_for_others(&mut self) {
        self.retry_at = None;
        let since = *self.busy_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= RETRY {
            let path = self.settings.path.display();
            self.warn(format!(
                "the cache in {path} is not used: for {} s, another process has been opening it; see who holds \
                 answers.gate or answers.mdb there (`lsof`)",
                RETRY.as_secs()
            ));
        }
    }

    /// Once, until something else happens.
    fn warn(&mut self, sentence: String) {
        if self.warned.as_ref() != Some(&sentence) {
            self.queue.tell([News::Warning(sentence.clone())]);
            self.warned = Some(sentence);
        }
    }

    fn drop_puts(&self, count: usize) {
        self.queue.counters.dropped.fetch_add(count as u64, Relaxed);
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
