//! Changes that stay within the bounds, as transactions that no other process waits long for.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering::Relaxed;

use crate::entry::{Entry, Purge};
use crate::error::Error;
use crate::queue::Counters;
use crate::record::{Dated, Gone, Record};
use crate::table::{Bounds, Table, Writing};

/// How often a full file is made emptier for one transaction.
const ATTEMPTS: usize = 4;

/// Of one table, for one worker.
#[derive(Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) table: &'a Table,
    pub(crate) bounds: Bounds,
    pub(crate) counters: &'a Counters,
}

impl Writer<'_> {
    /// Puts entries and appends notes, all or none: the sequence number before, and those of the entries.
    pub(crate) fn put<'e>(
        self,
        entries: impl Iterator<Item = &'e Entry> + Clone,
        notes: &[Vec<u8>],
    ) -> Result<(u64, Vec<u64>), Error> {
        self.with_room(|writing| {
            let before = writing.state.sequence;
            let sequences =
                entries.clone().map(|entry| writing.put(entry, false)).collect::<Result<_, _>>()?;
            notes.iter().try_for_each(|note| writing.note(note, self.bounds))?;
            Ok((before, sequences))
        })
    }

    /// Puts what came from Redis, unless there is something as new.
    pub(crate) fn import(self, entries: &[Entry]) -> Result<(), Error> {
        self.with_room(|writing| {
            for entry in entries {
                if writing.stored_ms(entry.key)?.is_none_or(|known| known < entry.stored_ms) {
                    writing.put(entry, true)?;
                }
            }
            Ok(())
        })
    }

    /// Removes entries, and leaves a mark that it was done.
    pub(crate) fn purge(self, dated: Dated, from_redis: bool) -> Result<(), Error> {
        let mark = Gone::Purge { dated, from_redis };
        if dated.purge == Purge::All {
            return self.change(|writing| {
                writing.clear()?;
                Ok((writing.mark(mark, self.bounds)?, 0))
            });
        }
        self.remove(keys(dated.purge), |record| record.covered_by(dated.purge), Some(mark))
    }

    /// Removes what has come from Redis and a purge covers.
    pub(crate) fn purge_imported(self, purge: Purge) -> Result<(), Error> {
        self.remove(keys(purge), |record| record.from_redis && record.covered_by(purge), None)
    }

    fn remove(
        self,
        keys: RangeInclusive<u128>,
        covers: impl Fn(&Record<'_>) -> bool,
        mark: Option<Gone>,
    ) -> Result<(), Error> {
        let (mut from, to) = keys.into_inner();
        loop {
            let covered = self.table.begin()?.covered(from..=to, &covers, self.bounds.removals())?;
            let last = covered.len() < self.bounds.removals();
            self.change(|writing| {
                for key in &covered {
                    writing.remove(*key, self.bounds)?;
                }
                if let Some(mark) = mark.filter(|_| last) {
                    writing.mark(mark, self.bounds)?;
                }
                Ok(((), 0))
            })?;
            match covered.last() {
                Some(key) if !last => from = *key,
                _ => return Ok(()),
            }
        }
    }

    /// Removes what has expired and what is too much; whether there may be more of it.
    pub(crate) fn tidy(self, now_ms: u64) -> Result<bool, Error> {
        self.table.forget_dead_readers()?;
        if !self.table.begin()?.beyond(now_ms, self.bounds)? {
            return Ok(false);
        }
        self.change(|writing| {
            let expired = writing.expire(now_ms, self.bounds)?;
            let evicted = writing.evict(self.bounds)?;
            Ok((expired.max(evicted) >= self.bounds.removals(), evicted))
        })
    }

    /// Notes how far this host has followed and fed Redis.
    pub(crate) fn set_shared(self, value: &[u8]) -> Result<(), Error> {
        self.change(|writing| Ok((writing.set_shared(value)?, 0)))
    }

    /// One transaction that puts, after which the oldest go; again with fewer entries where the file is full. An error
    /// means that nothing was put.
    fn with_room<T>(self, mut put: impl FnMut(&mut Writing<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut attempt = 0;
        let (done, mut evicted) = loop {
            let changed = self.change(|writing| {
                let done = put(writing)?;
                let evicted = writing.evict(self.bounds)?;
                Ok(((done, evicted), evicted))
            });
            match changed {
                Err(Error::Full) if attempt < ATTEMPTS => self.make_room()?,
                changed => break changed?,
            }
            attempt += 1;
        };
        while evicted >= self.bounds.removals() {
            // What fails here is tried again, and told, when the house is kept.
            let more = self.change(|writing| writing.evict(self.bounds).map(|evicted| (evicted, evicted)));
            evicted = more.unwrap_or_default();
        }
        Ok(done)
    }

    /// Removes an eighth of the entries, the oldest.
    fn make_room(self) -> Result<(), Error> {
        self.table.forget_dead_readers()?;
        let mut left = usize::try_from(self.counters.entries.load(Relaxed) / 8 + 1).unwrap_or(usize::MAX);
        while left > 0 {
            let count = left.min(self.bounds.removals());
            let removed = self.change(|writing| {
                let removed = writing.remove_some(count, self.bounds)?;
                Ok((removed, removed))
            })?;
            left = if removed < count { 0 } else { left - removed };
        }
        Ok(())
    }

    /// One transaction, which says besides how much it has evicted.
    fn change<T>(
        self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<(T, usize), Error>,
    ) -> Result<T, Error> {
        let mut writing = self.table.write()?;
        let (done, evicted) = change(&mut writing)?;
        self.counters.entries.store(writing.state.entries, Relaxed);
        self.counters.bytes.store(writing.used()?, Relaxed);
        writing.commit()?;
        self.counters.evicted.fetch_add(evicted as u64, Relaxed);
        Ok(done)
    }
}

/// Among which entries those are that a purge covers.
fn keys(purge: Purge) -> RangeInclusive<u128> {
    if let Purge::Key(key) = purge { key..=key } else { 0..=u128::MAX }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::environment::Environment;

    #[test]
    fn what_is_counted_as_evicted_was_there() {
        let directory = std::env::temp_dir().join(format!("edgeroute-evicted-{}", std::process::id()));
        let environment = Environment::open(&directory, 1 << 20).unwrap().environment;
        let counters = Counters::default();
        counters.entries.store(50, Relaxed); // others have removed them
        let bounds = Bounds { bytes: 1 << 20, entries: 100 };
        Writer { table: &environment.table, bounds, counters: &counters }.make_room().unwrap();
        assert_eq!((counters.entries.load(Relaxed), counters.evicted.load(Relaxed)), (0, 0));
        drop(environment);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
