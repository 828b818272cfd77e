//! What a worker has been told: where it is in the sequence, and in the listing of what was there before.

use std::collections::VecDeque;

use crate::entry::News;
use crate::error::Error;
use crate::record::{Gone, Record};
use crate::table::Reading;

/// Bodies up to this size come with the news.
const SMALL_BODY: usize = 4 << 10;
/// How much of the sequence, or of the listing, at once.
const STEP: u64 = 512;

/// Where a worker is.
#[derive(Debug)]
pub(crate) struct Follower {
    /// All up to this one was told.
    last: u64,
    /// The listing has come down to this one.
    below: u64,
    /// Notes up to this one were told; they come when the listing is complete.
    noted: u64,
    /// Whether a place in the sequence was taken.
    placed: bool,
    /// Numbers of this worker's own puts, ascending.
    own: VecDeque<u64>,
}

impl Follower {
    pub(crate) fn new() -> Self {
        Self { last: 0, below: 0, noted: 0, placed: false, own: VecDeque::new() }
    }

    /// Whether it has seen the table.
    pub(crate) fn is_placed(&self) -> bool {
        self.placed
    }

    /// Whether all up to a sequence number was told.
    pub(crate) fn is_at(&self, sequence: u64) -> bool {
        self.placed && self.last == sequence
    }

    /// This worker knows of it already.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.own.push_back(sequence);
    }

    /// The next that there is to tell; whether there is more.
    pub(crate) fn follow(&mut self, reading: &Reading<'_>, news: &mut Vec<News>) -> Result<bool, Error> {
        let state = reading.state()?.ok_or(Error::Damaged("the state"))?;
        if !self.placed || self.last < state.floor || self.last > state.sequence {
            if self.placed {
                news.push(News::Cleared);
            }
            let (last, below) = (state.sequence, state.sequence + 1);
            *self = Self { last, below, noted: 0, placed: true, own: VecDeque::new() };
        }
        if self.last < state.sequence {
            let upto = state.sequence.min(self.last + STEP);
            self.changes(reading, upto, news)?;
        }
        if self.below > 0 {
            self.listing(reading, news)?;
        }
        if self.below == 0 && self.noted < self.last {
            self.notes(reading, news)?;
        }
        Ok(self.last < state.sequence || self.below > 0 || self.noted < self.last)
    }

    /// What is gone comes first: an entry that came back did so later, or its coming is not in the table any more.
    fn changes(&mut self, reading: &Reading<'_>, upto: u64, news: &mut Vec<News>) -> Result<(), Error> {
        for (_, gone) in reading.gone(self.last + 1, upto)? {
            news.push(match gone {
                Gone::Entry(key) => News::Removed { key },
                Gone::Purge { dated, .. } => News::Purged(dated.purge),
            });
        }
        for record in reading.came(self.last + 1, upto)? {
            while self.own.front().is_some_and(|own| *own < record.sequence) {
                self.own.pop_front();
            }
            if self.own.front() == Some(&record.sequence) {
                continue;
            }
            let body = if record.body_length() <= SMALL_BODY { Some(record.body()?.to_vec()) } else { None };
            news.push(stored(&record, body));
        }
        self.last = upto;
        while self.own.front().is_some_and(|own| *own <= upto) {
            self.own.pop_front();
        }
        Ok(())
    }

    fn listing(&mut self, reading: &Reading<'_>, news: &mut Vec<News>) -> Result<(), Error> {
        let page = reading.newest(self.below, STEP as usize)?;
        self.below = page.last().map_or(0, |record| record.sequence);
        news.extend(page.iter().map(|record| stored(record, None)));
        Ok(())
    }

    /// Up to where the changes were told, so that the entries that they are about are known.
    fn notes(&mut self, reading: &Reading<'_>, news: &mut Vec<News>) -> Result<(), Error> {
        let page = reading.notes(self.noted + 1, self.last, STEP as usize)?;
        self.noted = match page.last() {
            Some((sequence, _)) if page.len() == STEP as usize => *sequence,
            _ => self.last,
        };
        news.extend(page.into_iter().map(|(_, note)| News::Noted(note.to_vec())));
        Ok(())
    }
}

fn stored(record: &Record<'_>, body: Option<Vec<u8>>) -> News {
    let &Record { key, tenant, model, stored_ms, expires_ms, head, .. } = record;
    News::Stored { key, tenant, model, stored_ms, expires_ms, head: head.to_vec(), body }
}
