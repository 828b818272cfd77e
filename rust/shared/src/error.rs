use std::path::PathBuf;

/// What can go wrong with the memory file; every message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {doing} the memory file {path}: {source}")]
    File {
        /// What was tried: "create", "allocate", "open" or "map".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// `create` found a file of that name.
    #[error(
        "the memory file {path} exists already: another edgeroute uses it, or one that was killed left it; stop that one or remove the file"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file can be read or written by others.
    #[error(
        "the memory file {path} has mode {mode:03o}, which lets other users in; it must be 600: remove it and start again"
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file does not begin like a memory file.
    #[error("{path} is not a memory file of edgeroute, or its creator has not finished it")]
    NotAMemoryFile {
        /// The file.
        path: PathBuf,
    },
    /// The file was made by another version.
    #[error(
        "the memory file {path} has format {found}, this edgeroute needs {wanted}: stop all workers and start them with one version"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The format that this build reads.
        wanted: u64,
    },
    /// The header contradicts itself or the size of the file.
    #[error(
        "the memory file {path} is damaged: its header does not fit its {size} bytes; remove it and start again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The layout needs more memory than can be addressed.
    #[error("the layout of the memory file is too large to be addressed")]
    TooLarge,
    /// Anonymous memory could not be had.
    #[error("cannot map {bytes} bytes of memory: {source}")]
    Memory {
        /// The bytes asked for.
        bytes: usize,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A name that cannot be stored.
    #[error("the cell name {name:?} cannot be used: a name has 1 to 191 bytes, none of them zero")]
    Name {
        /// The name.
        name: String,
    },
    /// No slot is left.
    #[error(
        "no {kind} cell is left for {name:?}: all {capacity} are taken; names are never freed, so restart with a larger layout"
    )]
    Full {
        /// "exact", "gauge" or "sum".
        kind: &'static str,
        /// The name that found no place.
        name: String,
        /// The slots of that kind.
        capacity: u32,
    },
    /// A gauge was asked for with another cell to refund than it has.
    #[error("the gauge {name:?} exists and refunds another cell")]
    Refunds {
        /// The name of the gauge.
        name: String,
    },
    /// No row is left for another worker.
    #[error(
        "all {capacity} worker rows are taken: reap the dead ones, start fewer workers or use a larger layout"
    )]
    RowsFull {
        /// The rows of the file.
        capacity: u32,
    },
    /// The identity of a process could not be found or does not fit.
    #[error("cannot identify process {pid}: {reason}")]
    Owner {
        /// The process.
        pid: u32,
        /// Why not.
        reason: String,
    },
}
