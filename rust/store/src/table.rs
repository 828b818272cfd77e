//! The one table in the file: reading, and changes as transactions.

use std::ops::RangeInclusive;

use heed::types::Bytes;
use heed::{Env, RoTxn, RwTxn, WithoutTls};

use crate::entry::Entry;
use crate::error::Error;
use crate::record::{self, Gone, Record};
use crate::row::{self, Between, State};

type Rows = heed::Database<'static, Bytes, Bytes>;

/// One row of what is gone for so many bytes of the file.
const BYTES_PER_GONE: u64 = 64 << 10;
/// Pages that an entry touches when it comes or goes, beside its own.
pub(crate) const ENTRY_OVERHEAD: usize = 2 * 4096;
/// But not fewer than these, which are some hundredths of the smallest file.
const LEAST_GONE: u64 = 1024;

/// One note for so many bytes of the file, within bounds.
const BYTES_PER_NOTE: u64 = 4 << 10;
const NOTES: RangeInclusive<u64> = 1024..=65_536;
/// A longer note is not kept, in bytes: so all of them take a small part of the smallest file.
pub const LONGEST_NOTE: usize = 128;

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of the file.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// LMDB never changes a page: a transaction writes anew what it touches, and what that was becomes free two transactions
/// later. So a part of the file stays unused, and transactions are small beside it.
impl Bounds {
    /// In use at most.
    fn used(self) -> u64 {
        self.bytes / 16 * 13
    }

    /// The largest entry.
    pub(crate) fn largest(self) -> usize {
        usize::try_from(self.bytes / 32).unwrap_or(usize::MAX)
    }

    /// What one transaction puts, if it is more than one entry.
    pub(crate) fn batch(self) -> usize {
        self.largest() / 2
    }

    /// How many rows say what is gone.
    fn gone(self) -> u64 {
        (self.bytes / BYTES_PER_GONE).max(LEAST_GONE)
    }

    /// How many notes are kept.
    fn notes(self) -> u64 {
        (self.bytes / BYTES_PER_NOTE).clamp(*NOTES.start(), *NOTES.end())
    }

    /// How many entries one transaction removes, so that others do not wait long for theirs.
    pub(crate) fn removals(self) -> usize {
        (self.batch() / ENTRY_OVERHEAD).clamp(1, 1024)
    }
}

/// An opened environment with its table.
pub(crate) struct Table {
    env: Env<WithoutTls>,
    rows: Rows,
}

impl Table {
    /// A table in an environment; `host` is its mark if it is new. Also whether what another version has left was
    /// removed.
    pub(crate) fn open(env: Env<WithoutTls>, host: u64) -> Result<(Self, bool), Error> {
        let rows = env
            .open_databases_and_commit(env.read_txn()?, |opener, txn| {
                opener.open_database(txn, None).map(heed::CommitOrAbort::<_, ()>::Commit)
            })?
            .commit()
            .flatten()
            .ok_or(Error::Damaged("the table"))?;
        let table = Self { env, rows };
        if table.begin()?.state()?.is_some() {
            return Ok((table, false));
        }
        let emptied = table.begin_anew(host)?;
        Ok((table, emptied))
    }

    /// An empty table with a state; whether something had to go.
    fn begin_anew(&self, host: u64) -> Result<bool, Error> {
        let mut txn = self.env.write_txn()?;
        let found = self.rows.get(&txn, row::STATE)?.map(State::read).transpose()?;
        if let Some(Some(_)) = found {
            return Ok(false); // another process was faster
        }
        self.rows.clear(&mut txn)?;
        self.rows.put(&mut txn, row::STATE, &State::new(host).write())?;
        txn.commit()?;
        Ok(found.is_some())
    }

    /// A transaction that reads.
    pub(crate) fn begin(&self) -> Result<Reading<'_>, Error> {
        Ok(Reading { rows: self.rows, txn: self.env.read_txn()? })
    }

    /// A transaction that writes; waits for that of another process. Nothing is written unless it is committed.
    pub(crate) fn write(&self) -> Result<Writing<'_>, Error> {
        let txn = self.env.write_txn()?;
        let state = self.rows.get(&txn, row::STATE)?.map(State::read).transpose()?.flatten();
        let state = state.ok_or(Error::Damaged("the state"))?;
        Ok(Writing { rows: self.rows, txn, state, value: Vec::new() })
    }

    /// What the file does not grow beyond.
    pub(crate) fn size(&self) -> u64 {
        self.env.info().map_size as u64
    }

    /// Frees what processes hold that were killed while they read.
    pub(crate) fn forget_dead_readers(&self) -> Result<(), Error> {
        self.env.clear_stale_readers()?;
        Ok(())
    }
}

/// What was at the moment it began.
pub(crate) struct Reading<'t> {
    rows: Rows,
    txn: RoTxn<'t, WithoutTls>,
}

impl Reading<'_> {
    /// None where another version has written it, or nobody.
    pub(crate) fn state(&self) -> Result<Option<State>, Error> {
        Ok(self.rows.get(&self.txn, row::STATE)?.map(State::read).transpose()?.flatten())
    }

    pub(crate) fn record(&self, key: u128) -> Result<Option<Record<'_>>, Error> {
        self.rows.get(&self.txn, &row::entry(key))?.map(|value| Record::read(key, value)).transpose()
    }

    /// What went in a part of the sequence.
    pub(crate) fn gone(&self, first: u64, last: u64) -> Result<Vec<(u64, Gone)>, Error> {
        let rows = self.rows.range(&self.txn, &Between(row::gone(first), row::gone(last)))?;
        rows.map(|found| {
            let (key, value) = found?;
            Ok((row::sequence_of(key)?, Gone::read(value)?))
        })
        .collect()
    }

    /// What came in a part of the sequence and is still there, in its order.
    pub(crate) fn came(&self, first: u64, last: u64) -> Result<Vec<Record<'_>>, Error> {
        let rows = self.rows.range(&self.txn, &Between(row::order(first), row::order(last)))?;
        rows.map(|found| self.ordered(found?)).collect()
    }

    /// The newest entries from before a sequence number, newest first.
    pub(crate) fn newest(&self, below: u64, most: usize) -> Result<Vec<Record<'_>>, Error> {
        let Some(last) = below.checked_sub(1) else { return Ok(Vec::new()) };
        let rows = self.rows.rev_range(&self.txn, &Between(row::order(0), row::order(last)))?;
        rows.take(most).map(|found| self.ordered(found?)).collect()
    }

    /// Notes of a part of the sequence with their numbers, oldest first, at most so many.
    pub(crate) fn notes(&self, first: u64, last: u64, most: usize) -> Result<Vec<(u64, &[u8])>, Error> {
        let rows = self.rows.range(&self.txn, &Between(row::note(first), row::note(last)))?;
        rows.take(most)
            .map(|found| {
                let (key, value) = found?;
                let sequence = row::sequence_of(key)?;
                Ok((sequence, record::read_note(sequence, value)?))
            })
            .collect()
    }

    /// Keys of entries in a range that are to go, at most so many.
    pub(crate) fn covered(
        &self,
        range: RangeInclusive<u128>,
        covers: impl Fn(&Record<'_>) -> bool,
        most: usize,
    ) -> Result<Vec<u128>, Error> {
        let mut keys = Vec::new();
        for found in
            self.rows.range(&self.txn, &Between(row::entry(*range.start()), row::entry(*range.end())))?
        {
            let (key, value) = found?;
            let key = row::entry_of(key)?;
            if covers(&Record::read(key, value)?) {
                keys.push(key);
                if keys.len() == most {
                    break;
                }
            }
        }
        Ok(keys)
    }

    /// How many entries there are, and the bytes of pages that are in use.
    pub(crate) fn sizes(&self) -> Result<(u64, u64), Error> {
        let entries = self.state()?.map_or(0, |state| state.entries);
        Ok((entries, self.rows.stat(&self.txn)?.non_free_page_size() as u64))
    }

    /// Whether something has expired, or there is more than there may be.
    pub(crate) fn beyond(&self, now_ms: u64, bounds: Bounds) -> Result<bool, Error> {
        let due = Between(row::expiry(0, 0), row::expiry(now_ms, u128::MAX));
        let expired = self.rows.range(&self.txn, &due)?.next().transpose()?.is_some();
        let (entries, used) = self.sizes()?;
        Ok(expired || entries > bounds.entries || used > bounds.used())
    }

    /// As this host last wrote it.
    pub(crate) fn shared(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rows.get(&self.txn, row::SHARED)?.map(<[u8]>::to_vec))
    }

    fn ordered(&self, (order, key): (&[u8], &[u8])) -> Result<Record<'_>, Error> {
        let record = self.record(record::read_key(key)?)?.ok_or(Error::Damaged("the order of entries"))?;
        if record.sequence == row::sequence_of(order)? {
            Ok(record)
        } else {
            Err(Error::Damaged("the order of entries"))
        }
    }
}

/// Changes, none of which is there before [`Writing::commit`].
pub(crate) struct Writing<'t> {
    rows: Rows,
    txn: RwTxn<'t>,
    pub(crate) state: State,
    value: Vec<u8>,
}

impl Writing<'_> {
    /// Puts an entry in the place of one with its key; its sequence number.
    pub(crate) fn put(&mut self, entry: &Entry, from_redis: bool) -> Result<u64, Error> {
        self.take(entry.key)?;
        self.state.sequence += 1;
        self.state.entries += 1;
        let sequence = self.state.sequence;
        self.value.clear();
        record::write(entry, sequence, from_redis, &mut self.value);
        self.rows.put(&mut self.txn, &row::entry(entry.key), &self.value)?;
        self.rows.put(&mut self.txn, &row::order(sequence), &entry.key.to_be_bytes())?;
        self.rows.put(&mut self.txn, &row::expiry(entry.expires_ms, entry.key), &[])?;
        Ok(sequence)
    }

    /// When the entry that there is was stored.
    pub(crate) fn stored_ms(&self, key: u128) -> Result<Option<u64>, Error> {
        let value = self.rows.get(&self.txn, &row::entry(key))?;
        value.map(|value| Ok(Record::read(key, value)?.stored_ms)).transpose()
    }

    /// Whether there was such an entry.
    pub(crate) fn remove(&mut self, key: u128, bounds: Bounds) -> Result<bool, Error> {
        let found = self.take(key)?;
        if found {
            self.mark(Gone::Entry(key), bounds)?;
        }
        Ok(found)
    }

    /// Says what is gone at the next sequence number, and forgets what went long ago.
    pub(crate) fn mark(&mut self, gone: Gone, bounds: Bounds) -> Result<(), Error> {
        self.state.sequence += 1;
        self.rows.put(&mut self.txn, &row::gone(self.state.sequence), &gone.write())?;
        self.state.gone += 1;
        while self.state.gone > bounds.gone() {
            self.state.floor = self.remove_first(row::gone)?;
            self.state.gone -= 1;
        }
        Ok(())
    }

    /// Appends a note. Where there are too many then, the oldest goes, and one more if the bound was larger once.
    pub(crate) fn note(&mut self, note: &[u8], bounds: Bounds) -> Result<(), Error> {
        self.state.sequence += 1;
        let sequence = self.state.sequence;
        self.rows.put(&mut self.txn, &row::note(sequence), &record::note(sequence, note))?;
        self.state.notes += 1;
        for _ in 0..2 {
            if self.state.notes > bounds.notes() {
                self.remove_first(row::note)?;
                self.state.notes -= 1;
            }
        }
        Ok(())
    }

    /// Removes the first of the rows that have a sequence number for a key; its number.
    fn remove_first(&mut self, row: fn(u64) -> row::Key) -> Result<u64, Error> {
        let range = Between(row(0), row(u64::MAX));
        let first = self.rows.range(&self.txn, &range)?.next().transpose()?;
        let sequence =
            first.map(|(key, _)| row::sequence_of(key)).ok_or(Error::Damaged("the number of rows"))??;
        self.rows.delete(&mut self.txn, &row(sequence))?;
        Ok(sequence)
    }

    /// Removes all entries and notes at once, and has every follower begin anew.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        let shared = self.rows.get(&self.txn, row::SHARED)?.map(<[u8]>::to_vec);
        self.rows.clear(&mut self.txn)?;
        if let Some(shared) = shared {
            self.rows.put(&mut self.txn, row::SHARED, &shared)?;
        }
        self.state.sequence += 1;
        self.state = State { floor: self.state.sequence, entries: 0, gone: 0, notes: 0, ..self.state };
        Ok(())
    }

    /// Removes what has expired; how many.
    pub(crate) fn expire(&mut self, now_ms: u64, bounds: Bounds) -> Result<usize, Error> {
        let range = Between(row::expiry(0, 0), row::expiry(now_ms, u128::MAX));
        let due = self.rows.range(&self.txn, &range)?.take(bounds.removals());
        let due: Vec<(u64, u128)> = due.map(|found| row::expiry_of(found?.0)).collect::<Result<_, _>>()?;
        for (_, key) in &due {
            if !self.remove(*key, bounds)? {
                return Err(Error::Damaged("the order of expiry"));
            }
        }
        Ok(due.len())
    }

    /// Removes the oldest until the rest is within the bounds; how many.
    pub(crate) fn evict(&mut self, bounds: Bounds) -> Result<usize, Error> {
        let mut evicted = 0;
        while evicted < bounds.removals() && self.beyond(bounds)? && self.remove_oldest(bounds)? {
            evicted += 1;
        }
        Ok(evicted)
    }

    /// Removes so many of the oldest; how many there were.
    pub(crate) fn remove_some(&mut self, count: usize, bounds: Bounds) -> Result<usize, Error> {
        let mut removed = 0;
        while removed < count && self.remove_oldest(bounds)? {
            removed += 1;
        }
        Ok(removed)
    }

    fn beyond(&self, bounds: Bounds) -> Result<bool, Error> {
        Ok(self.state.entries > 0 && (self.state.entries > bounds.entries || self.used()? > bounds.used()))
    }

    /// Bytes of pages that are in use.
    pub(crate) fn used(&self) -> Result<u64, Error> {
        Ok(self.rows.stat(&self.txn)?.non_free_page_size() as u64)
    }

    pub(crate) fn set_shared(&mut self, value: &[u8]) -> Result<(), Error> {
        Ok(self.rows.put(&mut self.txn, row::SHARED, value)?)
    }

    pub(crate) fn commit(mut self) -> Result<(), Error> {
        self.rows.put(&mut self.txn, row::STATE, &self.state.write())?;
        Ok(self.txn.commit()?)
    }

    fn remove_oldest(&mut self, bounds: Bounds) -> Result<bool, Error> {
        let range = Between(row::order(0), row::order(u64::MAX));
        let Some((_, key)) = self.rows.range(&self.txn, &range)?.next().transpose()? else {
            return Ok(false);
        };
        if self.remove(record::read_key(key)?, bounds)? {
            Ok(true)
        } else {
            Err(Error::Damaged("the order of entries"))
        }
    }

    /// Removes the rows of an entry; whether there were any.
    fn take(&mut self, key: u128) -> Result<bool, Error> {
        let Some(value) = self.rows.get(&self.txn, &row::entry(key))? else { return Ok(false) };
        let Record { sequence, expires_ms, .. } = Record::read(key, value)?;
        self.rows.delete(&mut self.txn, &row::entry(key))?;
        let ordered = self.rows.delete(&mut self.txn, &row::order(sequence))?;
        let expiring = self.rows.delete(&mut self.txn, &row::expiry(expires_ms, key))?;
        if !ordered || !expiring || self.state.entries == 0 {
            return Err(Error::Damaged("the rows of an entry"));
        }
        self.state.entries -= 1;
        Ok(true)
    }
}
