//! What is kept, how one gets rid of it, and what is told of it.

/// An answer, opaque to the store but for its key and the labels to purge by. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// By which it is found.
    pub key: u128,
    /// Whose it is, as a hash.
    pub tenant: u64,
    /// The public model that answered, as a hash.
    pub model: u64,
    /// When the answer was given.
    pub stored_ms: u64,
    /// From when on it is not given any more.
    pub expires_ms: u64,
    /// What an index needs to know of it; told to every worker.
    pub head: Vec<u8>,
    /// The answer itself, fetched when it is needed.
    pub body: Vec<u8>,
}

impl Entry {
    /// About what it takes in the queue, and in the file.
    pub(crate) fn size(&self) -> usize {
        size_of::<Self>() + self.head.len() + self.body.len()
    }
}

/// Which entries to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// The one with this key.
    Key(u128),
    /// All of a tenant.
    Tenant(u64),
    /// All of a model.
    Model(u64),
    /// All that were stored before a time.
    OlderThan {
        /// Milliseconds since 1970.
        stored_before_ms: u64,
    },
    /// All.
    All,
}

impl Purge {
    /// Whether an entry with these labels is removed.
    pub fn covers(&self, key: u128, tenant: u64, model: u64, stored_ms: u64) -> bool {
        match *self {
            Self::Key(purged) => key == purged,
            Self::Tenant(purged) => tenant == purged,
            Self::Model(purged) => model == purged,
            Self::OlderThan { stored_before_ms } => stored_ms < stored_before_ms,
            Self::All => true,
        }
    }
}

/// What the store has to tell, in order.
///
/// What this worker has put itself is not told again, unless it was put while there was other news, which might
/// contradict it. What it has noted is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// There is an answer: of another worker or host, or of before the start. It takes the place of one with its key.
    Stored {
        /// By which it is found.
        key: u128,
        /// Whose it is.
        tenant: u64,
        /// Who answered.
        model: u64,
        /// When the answer was given.
        stored_ms: u64,
        /// From when on it is not given any more.
        expires_ms: u64,
        /// As it was put.
        head: Vec<u8>,
        /// As it was put, where it is small and new; otherwise fetched.
        body: Option<Vec<u8>>,
    },
    /// An answer was purged, evicted or has expired.
    Removed {
        /// Of the answer; nothing may be known of it.
        key: u128,
    },
    /// What a purge covers is gone, also what only this worker has: it put it, and the store could not keep it. What came
    /// later and is kept is told again. Where all was purged, [`News::Cleared`] says so.
    Purged(Purge),
    /// Everything is gone, notes too; what there still is follows as [`News::Stored`] and [`News::Noted`].
    Cleared,
    /// A note of this worker, of another one of the host, or of before the start: all in one order for all workers, and
    /// none before the entries that were put before it. A note of this worker that could not be kept is told to it alone.
    Noted(Vec<u8>),
    /// What a fetch has found; None where there is nothing (any more).
    Body {
        /// As given to the fetch.
        token: u64,
        /// The whole entry: a later answer may have taken the place of the one that was known.
        entry: Option<Entry>,
    },
    /// A sentence for the operator: what is wrong, where, and what to do. Told once.
    Warning(String),
}
