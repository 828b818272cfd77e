//! Entries and removals as bytes in the file. Numbers in keys are big-endian, so that they sort; in values
//! little-endian.
//!
//! ```text
//! checksum of what follows, with the key  8 │ checksum of the body  8 │ sequence  8 │ tenant  8 │ model  8
//! │ stored  8 │ expires  8 │ length of the head  4 │ from Redis  4 │ head │ body
//! ```

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::entry::{Entry, Purge};
use crate::error::Error;

/// Before the head of an entry.
pub(crate) const HEADER: usize = 64;

/// An entry as it lies in the file; its fixed part and head are as they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) key: u128,
    pub(crate) sequence: u64,
    pub(crate) tenant: u64,
    pub(crate) model: u64,
    pub(crate) stored_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) from_redis: bool,
    pub(crate) head: &'a [u8],
    body_checksum: u64,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads all but the body, which may be large; Error::Damaged where a byte of it is not as it was written.
    pub(crate) fn read(key: u128, value: &'a [u8]) -> Result<Self, Error> {
        let mut rest = Reader(value);
        let checksum = rest.u64()?;
        let covered = rest.0;
        let body_checksum = rest.u64()?;
        let [sequence, tenant, model] = [rest.u64()?, rest.u64()?, rest.u64()?];
        let [stored_ms, expires_ms] = [rest.u64()?, rest.u64()?];
        let [head_length, from_redis] = [rest.u32()?, rest.u32()?];
        let head = rest.bytes(head_length as usize)?;
        let covered = Reader(covered).bytes(HEADER - 8 + head.len())?;
        if checksum != sum(key, covered) {
            return Err(Error::Damaged("an entry's checksum"));
        }
        let from_redis = from_redis != 0;
        let body = rest.0;
        Ok(Self {
            key,
            sequence,
            tenant,
            model,
            stored_ms,
            expires_ms,
            from_redis,
            head,
            body_checksum,
            body,
        })
    }

    pub(crate) fn body(&self) -> Result<&'a [u8], Error> {
        if xxh3_64(self.body) == self.body_checksum {
            Ok(self.body)
        } else {
            Err(Error::Damaged("a body's checksum"))
        }
    }

    pub(crate) fn body_length(&self) -> usize {
        self.body.len()
    }

    pub(crate) fn entry(&self) -> Result<Entry, Error> {
        Ok(Entry {
            key: self.key,
            tenant: self.tenant,
            model: self.model,
            stored_ms: self.stored_ms,
            expires_ms: self.expires_ms,
            head: self.head.to_vec(),
            body: self.body()?.to_vec(),
        })
    }

    pub(crate) fn covered_by(&self, purge: Purge) -> bool {
        purge.covers(self.key, self.tenant, self.model, self.stored_ms)
    }
}

/// The value of an entry, appended to `out`.
pub(crate) fn write(entry: &Entry, sequence: u64, from_redis: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&xxh3_64(&entry.body).to_le_bytes());
    for number in [sequence, entry.tenant, entry.model, entry.stored_ms, entry.expires_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&u32::try_from(entry.head.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&u32::from(from_redis).to_le_bytes());
    out.extend_from_slice(&entry.head);
    let checksum = sum(entry.key, out.get(start + 8..).unwrap_or_default());
    if let Some(place) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *place = checksum.to_le_bytes();
    }
    out.extend_from_slice(&entry.body);
}

/// The value of a note: its checksum, then itself.
pub(crate) fn note(sequence: u64, note: &[u8]) -> Vec<u8> {
    [&sum(sequence.into(), note).to_le_bytes(), note].concat()
}

/// Reads what [`note`] has written.
pub(crate) fn read_note(sequence: u64, value: &[u8]) -> Result<&[u8], Error> {
    let mut rest = Reader(value);
    if rest.u64()? == sum(sequence.into(), rest.0) {
        Ok(rest.0)
    } else {
        Err(Error::Damaged("a note's checksum"))
    }
}

fn sum(key: u128, covered: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&key.to_be_bytes());
    hash.update(covered);
    hash.digest()
}

/// A purge and when it was done, by the clock of the host where somebody asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dated {
    pub(crate) purge: Purge,
    pub(crate) at_ms: u64,
}

impl Dated {
    /// Whether it would have removed an entry that comes later than it: one that another host had for longer, say.
    pub(crate) fn outdates(&self, entry: &Entry) -> bool {
        entry.stored_ms < self.at_ms
            && self.purge.covers(entry.key, entry.tenant, entry.model, entry.stored_ms)
    }

    /// The kind, 16 bytes, and the time.
    pub(crate) fn write(self) -> [u8; 25] {
        let (kind, argument) = match self.purge {
            Purge::Key(key) => (0, key),
            Purge::Tenant(tenant) => (1, u128::from(tenant)),
            Purge::Model(model) => (2, u128::from(model)),
            Purge::OlderThan { stored_before_ms } => (3, u128::from(stored_before_ms)),
            Purge::All => (4, 0),
        };
        let mut out = [kind; 25];
        let (_, rest) = out.split_at_mut(1);
        let (place, time) = rest.split_at_mut(16);
        place.copy_from_slice(&argument.to_le_bytes());
        time.copy_from_slice(&self.at_ms.to_le_bytes());
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        let (kind, argument, at_ms) = (rest.u8()?, rest.u128()?, rest.u64()?);
        let short = argument as u64;
        let purge = match kind {
            0 => Purge::Key(argument),
            1 => Purge::Tenant(short),
            2 => Purge::Model(short),
            3 => Purge::OlderThan { stored_before_ms: short },
            4 => Purge::All,
            _ => return Err(Error::Damaged("a purge")),
        };
        Ok(Self { purge, at_ms })
    }
}

/// What an operator has removed, or an entry that is gone, in the order of the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Entry(u128),
    /// For other hosts; the entries are named besides.
    Purge {
        dated: Dated,
        from_redis: bool,
    },
}

impl Gone {
    pub(crate) fn write(self) -> Vec<u8> {
        match self {
            Self::Entry(key) => [&[0][..], &key.to_le_bytes()].concat(),
            Self::Purge { dated, from_redis } => [&[1, u8::from(from_redis)][..], &dated.write()].concat(),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        match rest.u8()? {
            0 => Ok(Self::Entry(rest.u128()?)),
            1 => Ok(Self::Purge { from_redis: rest.u8()? != 0, dated: Dated::read(rest.0)? }),
            _ => Err(Error::Damaged("a removal")),
        }
    }
}

/// Takes from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(Error::Damaged("a value that is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Error::Damaged("a value that is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Error> {
        self.array().map(u128::from_le_bytes)
    }
}

/// A number that is a key.
pub(crate) fn read_sequence(bytes: &[u8]) -> Result<u64, Error> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Error::Damaged("a sequence number"))
}

/// The key of an entry.
pub(crate) fn read_key(bytes: &[u8]) -> Result<u128, Error> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| Error::Damaged("a key"))
}
