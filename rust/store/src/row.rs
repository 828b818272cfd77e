//! Keys of the one table in the file, and the state that every writer advances.
//!
//! | first byte | key | value |
//! |---|---|---|
//! | 0 | | [`State`] |
//! | 1 | key of an entry | the entry ([`crate::record`]) |
//! | 2 | sequence of an entry | its key: the order of eviction, and what followers read |
//! | 3 | expiry and key of an entry | nothing |
//! | 4 | sequence | [`crate::record::Gone`] |
//! | 5 | | how far this host has followed and fed Redis |
//! | 6 | sequence | a note, with its checksum |

use std::ops::{Bound, RangeBounds};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::Error;
use crate::record::{Reader, read_key, read_sequence};

/// Of this table. Another one empties the file.
const FORMAT: u64 = 3;

pub(crate) const STATE: &[u8] = &[0];
pub(crate) const SHARED: &[u8] = &[5];
const ENTRY: u8 = 1;
const ORDER: u8 = 2;
const EXPIRY: u8 = 3;
const GONE: u8 = 4;
const NOTE: u8 = 6;

/// A key, at most 1 + 8 + 16 bytes.
pub(crate) type Key = smallvec::SmallVec<[u8; 32]>;

fn key(kind: u8, parts: &[&[u8]]) -> Key {
    let mut out = Key::new();
    out.push(kind);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

pub(crate) fn entry(of: u128) -> Key {
    key(ENTRY, &[&of.to_be_bytes()])
}

pub(crate) fn order(sequence: u64) -> Key {
    key(ORDER, &[&sequence.to_be_bytes()])
}

pub(crate) fn expiry(expires_ms: u64, of: u128) -> Key {
    key(EXPIRY, &[&expires_ms.to_be_bytes(), &of.to_be_bytes()])
}

pub(crate) fn gone(sequence: u64) -> Key {
    key(GONE, &[&sequence.to_be_bytes()])
}

pub(crate) fn note(sequence: u64) -> Key {
    key(NOTE, &[&sequence.to_be_bytes()])
}

/// The sequence in a key of [`order`], [`gone`] or [`note`].
pub(crate) fn sequence_of(row: &[u8]) -> Result<u64, Error> {
    read_sequence(row.get(1..).unwrap_or_default())
}

/// The key in a key of [`entry`].
pub(crate) fn entry_of(row: &[u8]) -> Result<u128, Error> {
    read_key(row.get(1..).unwrap_or_default())
}

/// The time and the key in a key of [`expiry`].
pub(crate) fn expiry_of(row: &[u8]) -> Result<(u64, u128), Error> {
    let (time, of) = row.get(1..).and_then(|rest| rest.split_at_checked(8)).unwrap_or_default();
    Ok((read_sequence(time)?, read_key(of)?))
}

/// The rows from one key to another, with both.
pub(crate) struct Between(pub(crate) Key, pub(crate) Key);

impl RangeBounds<[u8]> for Between {
    fn start_bound(&self) -> Bound<&[u8]> {
        Bound::Included(&self.0)
    }

    fn end_bound(&self) -> Bound<&[u8]> {
        Bound::Included(&self.1)
    }
}

/// What every commit writes; followers look at its sequence alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Of the last change. Each entry that comes or goes takes the next number, and each note.
    pub(crate) sequence: u64,
    /// Who has not seen this one yet does not learn from the table what is gone, and begins anew.
    pub(crate) floor: u64,
    /// Rows of entries.
    pub(crate) entries: u64,
    /// Rows of what is gone.
    pub(crate) gone: u64,
    /// Rows of notes.
    pub(crate) notes: u64,
    /// Told apart from those of other hosts, drawn when the file was made.
    pub(crate) host: u64,
}

impl State {
    pub(crate) fn new(host: u64) -> Self {
        Self { sequence: 0, floor: 0, entries: 0, gone: 0, notes: 0, host }
    }

    pub(crate) fn write(self) -> [u8; 64] {
        let Self { sequence, floor, entries, gone, notes, host } = self;
        let numbers = [FORMAT, sequence, floor, entries, gone, notes, host];
        let mut out = [0; 64];
        let (checksum, rest) = out.split_at_mut(8);
        for (place, number) in rest.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        checksum.copy_from_slice(&xxh3_64(rest).to_le_bytes());
        out
    }

    /// None where another version has written it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let mut rest = Reader(bytes);
        if rest.u64()? != xxh3_64(rest.0) {
            return Err(Error::Damaged("the state's checksum"));
        }
        if rest.u64()? != FORMAT {
            return Ok(None);
        }
        let [sequence, floor, entries] = [rest.u64()?, rest.u64()?, rest.u64()?];
        let [gone, notes, host] = [rest.u64()?, rest.u64()?, rest.u64()?];
        Ok(Some(Self { sequence, floor, entries, gone, notes, host }))
    }
}
