//! What can go wrong with the file, and what helps.

use std::io;

use heed::MdbError;

/// Told to operators as sentences by [`crate::News::Warning`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A new file helps.
    #[error("{0} is not as it was written")]
    Damaged(&'static str),
    /// Room helps.
    #[error("the file is full")]
    Full,
    /// Another process holds the gate, or has made the file larger: a little time helps.
    #[error("another process is opening it")]
    Busy,
    /// Time, or an operator, helps.
    #[error("cannot {doing}: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// Of LMDB, likewise.
    #[error("{0}")]
    Lmdb(heed::Error),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(doing: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::Io { doing, source: source.into() }
    }
}

impl From<heed::Error> for Error {
    fn from(error: heed::Error) -> Self {
        match error {
            heed::Error::Mdb(MdbError::MapFull) => Self::Full,
            // The file has become larger than this process has mapped.
            heed::Error::Mdb(MdbError::MapResized) => Self::Busy,
            heed::Error::Mdb(
                MdbError::PageNotFound
                | MdbError::Corrupted
                | MdbError::Invalid
                | MdbError::Incompatible
                | MdbError::BadValSize
                | MdbError::CursorFull
                | MdbError::PageFull,
            ) => Self::Damaged("LMDB's structure"),
            heed::Error::Io(source) => Self::Io { doing: "read or write the file", source },
            other => Self::Lmdb(other),
        }
    }
}
