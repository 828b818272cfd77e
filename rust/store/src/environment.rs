//! Opening the file, alone or beside others, and replacing one that is damaged.
//!
//! | file | is |
//! |---|---|
//! | `answers.mdb` | LMDB's data; everyone who uses it holds a shared `flock` on it |
//! | `answers.mdb-lock` | LMDB's readers and its mutex, made anew by the first |
//! | `answers.gate` | held (`flock`) while one opens or replaces the two |
//! | `answers.redis` | held by the worker that shares with Redis ([`crate::sharing`]) |
//!
//! LMDB trusts what it finds in the file. So the first to use a file reads all of its structure ([`crate::check`]); what
//! comes later is what LMDB itself has written, and damage to it ends a thread ([`crate::fault`]). A file that is damaged, too large
//! or of another version is removed and made anew; whoever has the former one open sees by its number (inode) that it
//! is not the file any more.

use std::collections::hash_map::RandomState;
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use heed::{EnvFlags, EnvOpenOptions};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use crate::Settings;
use crate::check;
use crate::error::Error;
use crate::fault::{self, Held};
use crate::table::{Bounds, Table};

/// LMDB's map is a multiple of every page size that there is.
const GRAIN: u64 = 64 << 10;
/// Less is not worth a file.
const LEAST: u64 = 1 << 20;
/// Threads of all processes that read at the same time.
const READERS: u32 = 1024;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(pub(crate) u64, pub(crate) u64);

/// LMDB opens a file once in a process: stores on one directory share it.
static OPENED: Mutex<Vec<(PathBuf, Weak<Environment>)>> = Mutex::new(Vec::new());

/// A file in use.
pub(crate) struct Environment {
    pub(crate) table: Table,
    pub(crate) identity: Identity,
    data: PathBuf,
    /// Holds the shared lock.
    _user: File,
}

/// What was opened, and what an operator should know of it.
pub(crate) struct Opened {
    pub(crate) environment: Arc<Environment>,
    pub(crate) emptied: Option<String>,
}

impl Environment {
    /// Opens the file of a directory, which is made where it is missing.
    pub(crate) fn open(directory: &Path, bytes: u64) -> Result<Opened, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(Error::io("make the directory"))?;
        let directory = &directory.canonicalize().map_err(Error::io("find the directory"))?;
        let _gate = gate(directory)?;
        let data = directory.join("answers.mdb");
        if let Some(environment) = opened(directory) {
            environment.is_used();
            return Ok(Opened { environment, emptied: None });
        }
        if let Ok(found) = data.metadata() {
            fault::uses(&data, identity(&found));
        }
        let mut emptied = None;
        let mut others = data.exists();
        if let Some(alone) = sole_user(&data)? {
            emptied = unusable(&alone, bytes).map_err(Error::io("read the file"))?;
            if emptied.is_some() {
                remove(&data)?;
            }
            remove_if_there(&directory.join("answers.mdb-lock"))?;
            others = false;
        }
        // Where others use the file, its size is theirs.
        let size = if others { None } else { Some(map_size(bytes)) };
        let environment = match Self::open_files(&data, size) {
            Err(Error::Damaged(what)) => {
                emptied = Some(format!("{what} was not as it was written"));
                remove(&data)?;
                Self::open_files(&data, Some(map_size(bytes)))?
            }
            opened => opened?,
        };
        let (environment, other_version) = environment;
        if other_version {
            emptied = Some("another version of edgeroute has written it".to_owned());
        }
        let environment = Arc::new(environment);
        OPENED.lock().push((directory.clone(), Arc::downgrade(&environment)));
        Ok(Opened { environment, emptied })
    }

    /// This thread uses it: in a fault, it takes it away.
    pub(crate) fn is_used(&self) {
        fault::uses(&self.data, self.identity);
    }

    /// Whether the file still has its name; an operator or another process may have replaced it.
    pub(crate) fn is_current(&self) -> bool {
        self.data.metadata().is_ok_and(|found| identity(&found) == self.identity)
    }

    /// Takes the file away, unless another process has done so already.
    pub(crate) fn discard(&self, directory: &Path) -> Result<(), Error> {
        let _gate = gate(directory)?;
        if self.is_current() { remove(&self.data) } else { Ok(()) }
    }

    fn open_files(data: &Path, size: Option<u64>) -> Result<(Self, bool), Error> {
        // Readers that belong to threads are marked when a thread ends, even where the last other user is just unmapping
        // them: of 28,000 pairs of stores on one directory that closed together, two ended the process.
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.max_readers(READERS);
        if let Some(size) = size {
            options.map_size(usize::try_from(size).unwrap_or(usize::MAX));
        }
        #[expect(
            unsafe_code,
            reason = "a map of a file that others could truncate: it has mode 0600, and was checked. What is not \
                      synced may be torn when the machine loses power; the next check finds it"
        )]
        let mut open =
            |data: &Path| unsafe { options.flags(EnvFlags::NO_SUB_DIR | EnvFlags::NO_SYNC).open(data) };
        let env = match open(data) {
            // This process still has a former file of the name, for good if a fault has ended who used it.
            Err(heed::Error::EnvAlreadyOpened) => by_another_name(data, |name| Ok(open(name)?))?,
            env => env?,
        };
        let user = File::open(data).map_err(Error::io("open the file"))?;
        lock(&user, FlockOperation::NonBlockingLockShared)?;
        let identity = identity(&user.metadata().map_err(Error::io("look at the file"))?);
        fault::uses(data, identity);
        let host = RandomState::new().hash_one(std::process::id());
        let (table, other_version) = Table::open(env, host)?;
        Ok((Self { table, identity, data: data.to_owned(), _user: user }, other_version))
    }
}

/// How much this worker lets be in the file; the file itself is as large as its first user has set.
pub(crate) fn bounds(settings: &Settings, environment: Option<&Environment>) -> Bounds {
    let file = environment.map_or(u64::MAX, |environment| environment.table.size());
    Bounds { bytes: map_size(settings.bytes).min(file), entries: settings.entries as u64 }
}

fn map_size(bytes: u64) -> u64 {
    bytes.max(LEAST) / GRAIN * GRAIN
}

fn identity(found: &std::fs::Metadata) -> Identity {
    Identity(found.dev(), found.ino())
}

/// The file of a directory that this process has open already.
fn opened(directory: &Path) -> Option<Arc<Environment>> {
    let mut opened = OPENED.lock();
    opened.retain(|(_, environment)| environment.strong_count() > 0);
    let mut of_directory = opened.iter().filter(|(path, _)| path == directory);
    of_directory.find_map(|(_, environment)| environment.upgrade().filter(|found| found.is_current()))
}

/// Opens a file, or makes it, by a name that it has only meanwhile: heed takes two files of one name for one.
fn by_another_name<E>(data: &Path, open: impl FnOnce(&Path) -> Result<E, Error>) -> Result<E, Error> {
    let lock_of = |data: &Path| data.with_extension("mdb-lock");
    let name = data.with_file_name(format!("answers-{:016x}.mdb", RandomState::new().hash_one(0)));
    let both = [(data.to_owned(), name.clone()), (lock_of(data), lock_of(&name))];
    let link = |from: &Path, to: &Path| match std::fs::hard_link(from, to) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            Err(Error::io("link the file")(error))
        }
        _ => Ok(()),
    };
    let linked = both.iter().try_for_each(|(data, name)| link(data, name));
    let env = linked.and_then(|()| open(&name));
    let made = env.and_then(|env| both.iter().try_for_each(|(data, name)| link(name, data)).map(|()| env));
    both.iter().try_for_each(|(_, name)| remove_if_there(name))?;
    made
}

/// Held while the file is opened; Error::Busy where another one holds it.
fn gate(directory: &Path) -> Result<(File, Held), Error> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(directory.join("answers.gate"));
    let file = file.map_err(Error::io("write in the directory"))?;
    lock(&file, FlockOperation::NonBlockingLockExclusive)?;
    let held = fault::holds(&file);
    Ok((file, held))
}

/// The data, if there is any and nobody uses it. Whoever holds the gate can rely on it. Error::Busy where another one
/// has it alone: a process that was killed while it read the file may give back the gate first.
fn sole_user(data: &Path) -> Result<Option<File>, Error> {
    let file = match File::open(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(Error::io("open the file"))?,
    };
    match lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Error::Busy) => lock(&file, FlockOperation::NonBlockingLockShared).map(|()| None),
        Err(error) => Err(error),
    }
}

/// Error::Busy where others have a lock that does not allow it.
fn lock(file: &File, operation: FlockOperation) -> Result<(), Error> {
    flock(file, operation).map_err(|error| match error {
        rustix::io::Errno::WOULDBLOCK => Error::Busy,
        error => Error::io("lock the file")(error),
    })
}

/// Why a file is not to be used, if so.
fn unusable(file: &File, bytes: u64) -> io::Result<Option<String>> {
    Ok(check::damage(file, map_size(bytes))?.map(|what| match what {
        check::LARGER => "it was larger than the size that is set".to_owned(),
        what => format!("{what} was not as it was written"),
    }))
}

/// LMDB makes its lock file anew where nobody uses it.
fn remove(data: &Path) -> Result<(), Error> {
    remove_if_there(data)?;
    remove_if_there(&data.with_extension("mdb-lock"))
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove the file")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, unsafe_code)]

    use heed::types::Bytes;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::row;

    #[test]
    fn what_another_version_has_written_is_removed() {
        let directory = std::env::temp_dir().join(format!("edgeroute-version-{}", std::process::id()));
        drop(Environment::open(&directory, LEAST).unwrap());
        let mut options = EnvOpenOptions::new();
        // SAFETY: nobody else has this file.
        let env = unsafe { options.flags(EnvFlags::NO_SUB_DIR).open(directory.join("answers.mdb")).unwrap() };
        let numbers: Vec<u8> =
            [7_u64, 1, 0, 1, 0, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
        let state = [&xxh3_64(&numbers).to_le_bytes()[..], &numbers].concat();
        let committed = env.create_databases_and_commit(env.write_txn().unwrap(), |opener, txn| {
            let rows = opener.create_database::<Bytes, Bytes>(txn, None)?;
            rows.put(txn, row::STATE, &state)?;
            rows.put(txn, &row::entry(1), b"of a later version")?;
            Ok::<_, heed::Error>(heed::CommitOrAbort::<_, ()>::Commit(()))
        });
        committed.unwrap();
        drop(env);

        let opened = Environment::open(&directory, LEAST).unwrap();
        assert_eq!(opened.emptied.unwrap(), "another version of edgeroute has written it");
        let reading = opened.environment.table.begin().unwrap();
        assert!(reading.record(1).unwrap().is_none());
        assert_eq!(reading.state().unwrap().unwrap().entries, 0);
        drop(reading);
        drop(opened.environment);
        assert_eq!(Environment::open(&directory, LEAST).unwrap().emptied, None);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
