//! Redis or Valkey as the store between hosts: what is put here goes there, what others put there comes here.
//!
//! | key | is |
//! |---|---|
//! | `edgeroute:cache:1:{tenant}:{model}:{key}` | an entry, as in the file, until it expires |
//! | `edgeroute:cache:1:news` | a stream, bounded: which entries came, and what was purged, by which host |
//!
//! One worker of a host does it for all (`flock` on `answers.redis`), between its file and one connection; how far it
//! has come lies in the file, so that neither a restart nor an hour without Redis loses anything but what was evicted
//! meanwhile. No request waits for any of it.
//!
//! A host that was cut off takes all that the others have said before it says anything itself: so it has purged what
//! they have before it sends what it put meanwhile. Where both happen at once, the time decides: an entry that is older
//! than a purge that covers it is neither sent nor taken.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::Settings;
use crate::entry::{Entry, News, Purge};
use crate::environment::{self, Environment};
use crate::error::Error;
use crate::fault::{self, Held};
use crate::queue::Queue;
use crate::record::{self, Dated, Gone, Reader, Record};
use crate::resp::{Address, Connection, Reply};
use crate::thread::now_ms;
use crate::writer::Writer;

const STREAM: &[u8] = b"edgeroute:cache:1:news";
/// About how many the stream keeps.
const STREAM_LENGTH: u64 = 100_000;
/// So many announcements are taken at once.
const ANNOUNCEMENTS: usize = 64;
/// So many purges are known besides, the latest: what they cover may still be on its way.
const PURGES: usize = 256;
/// Numbers of the sequence at once, and bytes of entries.
const STEP: u64 = 1024;
const STEP_BYTES: usize = 4 << 20;
/// How long Redis keeps us waiting for news, in milliseconds; as long waits what is to be sent.
const BLOCK: &[u8] = b"50";
/// Between attempts, doubled up to the second.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often the other workers of the host look whether the one that shares has ended.
const LEADERLESS: Duration = Duration::from_secs(1);

/// What went wrong on which side.
enum Failure {
    Redis(io::Error),
    File(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Redis(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

/// Works until the store is closed.
pub(crate) fn run(settings: &Settings, url: &str, queue: &Queue) {
    let Some(address) = Address::read(url) else {
        queue.tell([News::Warning(
            "cache.redis is not used: it is no URL of the form redis://[[user]:password@]host[:port][/database]".to_owned(),
        )]);
        return;
    };
    let mut sharing = Sharing {
        address,
        settings,
        queue,
        connection: None,
        drained: false,
        floor: 0,
        purges: VecDeque::new(),
    };
    let mut leader = None;
    let mut warned = false;
    let mut wait = Duration::ZERO;
    let mut back_off = BACK_OFF.0;
    while !queue.pause(wait) {
        wait = LEADERLESS;
        if leader.is_none() {
            leader = lead(&settings.path);
        }
        let Some(environment) = queue.environment().filter(|_| leader.is_some()) else { continue };
        environment.is_used();
        let problem = match sharing.round(&environment) {
            Ok(()) => {
                if std::mem::take(&mut warned) {
                    let address = &sharing.address;
                    queue.tell([News::Warning(format!("answers are shared over Redis at {address} again"))]);
                }
                (wait, back_off) = (Duration::ZERO, BACK_OFF.0);
                continue;
            }
            // The other thread sees to the file.
            Err(Failure::File(Error::Busy | Error::Full)) => continue,
            Err(Failure::File(error)) => format!("the cache's file: {error}"),
            Err(Failure::Redis(error)) => {
                sharing.connection = None;
                (wait, back_off) = (back_off, BACK_OFF.1.min(back_off * 2));
                let said = sharing.address.without_credentials(&error.to_string());
                format!("{}. It is tried again; see cache.redis", said.trim_end_matches('.'))
            }
        };
        if !std::mem::replace(&mut warned, true) {
            let address = &sharing.address;
            queue.tell([News::Warning(format!(
                "answers are not shared over Redis at {address}, and each host keeps its own: {problem}"
            ))]);
        }
    }
}

/// Held by the one worker of the host that shares.
fn lead(directory: &Path) -> Option<(File, Held)> {
    let path = directory.join("answers.redis");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let held = fault::holds(&file);
    Some((file, held))
}

struct Sharing<'s> {
    address: Address,
    settings: &'s Settings,
    queue: &'s Queue,
    connection: Option<Connection>,
    /// Whether all was taken that others had announced when they were last asked.
    drained: bool,
    /// Up to which it was told that purges may be missing.
    floor: u64,
    /// The latest, of all hosts.
    purges: VecDeque<Dated>,
}

impl Sharing<'_> {
    /// Some of what is new here goes there, unless more is known to come from there; then some of that comes here.
    fn round(&mut self, environment: &Environment) -> Result<(), Failure> {
        let bounds = environment::bounds(self.settings, Some(environment));
        let redis = match &mut self.connection {
            Some(connection) => connection,
            none => {
                self.drained = false;
                none.insert(Connection::open(&self.address, bounds.largest() + record::HEADER)?)
            }
        };
        let writer = Writer { table: &environment.table, bounds, counters: &self.queue.counters };
        let (before, state, cleared) = {
            let reading = environment.table.begin()?;
            let progress = reading.shared()?.map(|bytes| Progress::read(&bytes)).transpose()?;
            let state = reading.state()?.ok_or(Error::Damaged("the state"))?;
            // Where all was purged, nobody needs to know what was purged before.
            let first = reading.gone(state.floor + 1, state.floor + 1)?;
            let cleared =
                matches!(first.as_slice(), [(_, Gone::Purge { dated: Dated { purge: Purge::All, .. }, .. })]);
            (progress.unwrap_or_default(), state, cleared)
        };
        if before.sent > 0 && before.sent < state.floor && self.floor < state.floor && !cleared {
            self.floor = state.sequence;
            self.queue.tell([News::Warning(format!(
                "what was purged while Redis at {} was away may still be there: purge again",
                self.address
            ))]);
        }
        if !self.drained && was_trimmed(redis, before.received)? {
            self.queue.tell([News::Warning(format!(
                "Redis at {} has forgotten some of what others purged while this host was away: purge again",
                self.address
            ))]);
        }
        let mut hosts = Hosts { redis, writer, host: state.host, purges: &mut self.purges };
        let sent = if self.drained { hosts.send(before.sent, state.sequence)? } else { before.sent };
        let waits = self.drained && sent == state.sequence;
        let received;
        (received, self.drained) = hosts.receive(before.received, waits)?;
        let progress = Progress { sent, received };
        if progress != before {
            writer.set_shared(&progress.write())?;
        }
        Ok(())
    }
}

/// How far a host has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// In the sequence of its file.
    sent: u64,
    /// In the stream: milliseconds, and a number within.
    received: (u64, u64),
}

impl Progress {
    fn write(self) -> Vec<u8> {
        [self.sent, self.received.0, self.received.1].map(u64::to_le_bytes).concat()
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut rest = Reader(bytes);
        Ok(Self { sent: rest.u64()?, received: (rest.u64()?, rest.u64()?) })
    }
}

/// Whether announcements after a place in the stream are gone: it keeps the latest only.
fn was_trimmed(redis: &mut Connection, after: (u64, u64)) -> io::Result<bool> {
    let full = redis.ask(&[b"XLEN", STREAM])?.number().is_some_and(|length| length >= STREAM_LENGTH);
    if after == (0, 0) || !full {
        return Ok(false);
    }
    let first = redis.ask(&[b"XRANGE", STREAM, b"-", b"+", b"COUNT", b"1"])?.list().into_iter().next();
    let id = first.and_then(|first| first.list().into_iter().next()).and_then(Reply::bytes);
    Ok(id.and_then(|id| read_id(&id)).is_some_and(|first| after < first))
}

/// This host among others.
struct Hosts<'a> {
    redis: &'a mut Connection,
    writer: Writer<'a>,
    host: u64,
    purges: &'a mut VecDeque<Dated>,
}

impl Hosts<'_> {
    /// Sends what came here and was purged here after a sequence number; how far that was.
    fn send(&mut self, after: u64, sequence: u64) -> Result<u64, Failure> {
        let mut upto = sequence.min(after + STEP);
        if upto == after {
            return Ok(after);
        }
        let (purges, mut entries) = {
            let reading = self.writer.table.begin()?;
            let (mut entries, mut size) = (Vec::new(), 0);
            for record in reading.came(after + 1, upto)? {
                if size >= STEP_BYTES {
                    upto = record.sequence - 1;
                    break;
                }
                if !record.from_redis {
                    let entry = record.entry()?;
                    size += entry.size();
                    entries.push(entry);
                }
            }
            (reading.gone(after + 1, upto)?, entries)
        };
        // Purges first: what came before one and is still there is not covered by it.
        for (_, gone) in purges {
            if let Gone::Purge { dated, from_redis: false } = gone {
                self.remember(dated);
                self.send_purge(dated)?;
            }
        }
        let (now, mut sent) = (now_ms(), 0);
        let mut value = Vec::new();
        entries.retain(|entry| !self.is_outdated(entry));
        for entry in &entries {
            let Some(left) = entry.expires_ms.checked_sub(now).filter(|left| *left > 0) else { continue };
            value.clear();
            record::write(entry, 0, true, &mut value);
            let name = name(entry.tenant, entry.model, entry.key);
            self.redis.send(&[b"SET", name.as_bytes(), &value, b"PX", left.to_string().as_bytes()]);
            announce(self.host, b"entry", name.as_bytes(), |command| self.redis.send(command));
            sent += 2;
        }
        (0..sent).try_for_each(|_| self.redis.reply().map(drop))?;
        Ok(upto)
    }

    /// Removes entries of all hosts from Redis, then tells the hosts.
    fn send_purge(&mut self, dated: Dated) -> Result<(), Failure> {
        let pattern = match dated.purge {
            Purge::Key(key) => format!("edgeroute:cache:1:*:{key:032x}"),
            Purge::Tenant(tenant) => format!("edgeroute:cache:1:{tenant:016x}:*"),
            Purge::Model(model) => format!("edgeroute:cache:1:*:{model:016x}:*"),
            Purge::OlderThan { .. } | Purge::All => "edgeroute:cache:1:*:*".to_owned(),
        };
        let redis = &mut *self.redis;
        let mut cursor = b"0".to_vec();
        loop {
            let reply = redis.ask(&[b"SCAN", &cursor, b"MATCH", pattern.as_bytes(), b"COUNT", b"1000"])?;
            let mut parts = reply.list().into_iter();
            let next = parts.next().and_then(Reply::bytes).ok_or_else(unexpected)?;
            for found in parts.next().map(Reply::list).unwrap_or_default() {
                let name = found.bytes().ok_or_else(unexpected)?;
                if let Purge::OlderThan { stored_before_ms } = dated.purge {
                    // The time at which it was stored lies at a fixed place.
                    let stored = redis.ask(&[b"GETRANGE", &name, b"40", b"47"])?.bytes().unwrap_or_default();
                    if Reader(&stored).u64().is_ok_and(|stored_ms| stored_ms >= stored_before_ms) {
                        continue;
                    }
                }
                redis.ask(&[b"UNLINK", &name])?;
            }
            if next == b"0" {
                break;
            }
            cursor = next;
        }
        announce(self.host, b"purge", &dated.write(), |command| redis.ask(command))?;
        Ok(())
    }

    /// Takes what has been announced after a place in the stream, or waits a little for it; how far that was, and
    /// whether it was all that there is.
    fn receive(&mut self, after: (u64, u64), waits: bool) -> Result<((u64, u64), bool), Failure> {
        let (position, count) = (format!("{}-{}", after.0, after.1), ANNOUNCEMENTS.to_string());
        let mut command: Vec<&[u8]> = vec![b"XREAD", b"COUNT", count.as_bytes()];
        if waits {
            command.extend([b"BLOCK", BLOCK]);
        }
        command.extend([b"STREAMS", STREAM, position.as_bytes()]);
        let streams = self.redis.ask(&command)?.list();
        let told = streams.into_iter().next().and_then(|stream| stream.list().into_iter().nth(1));
        let told = told.map(Reply::list).unwrap_or_default();
        let is_all = told.len() < ANNOUNCEMENTS;
        let (mut received, mut wanted) = (after, Vec::new());
        for each in told {
            let mut parts = each.list().into_iter();
            let id = parts.next().and_then(Reply::bytes).ok_or_else(unexpected)?;
            received = read_id(&id).ok_or_else(unexpected)?;
            let fields: Vec<Vec<u8>> = parts
                .next()
                .map(Reply::list)
                .unwrap_or_default()
                .into_iter()
                .filter_map(Reply::bytes)
                .collect();
            let [_, from, kind, what] = fields.as_slice() else { continue };
            let is_own = *from == self.host.to_le_bytes();
            match kind.as_slice() {
                b"entry" if !is_own => wanted.push(what.clone()),
                b"purge" => {
                    let Ok(dated) = Dated::read(what) else { continue };
                    self.import(std::mem::take(&mut wanted))?;
                    if is_own {
                        // It was done here before; what has come from there until it was told there is covered, too.
                        self.writer.purge_imported(dated.purge)?;
                    } else {
                        self.remember(dated);
                        self.writer.purge(dated, true)?;
                    }
                }
                _ => {} // of a later version
            }
        }
        self.import(wanted)?;
        Ok((received, is_all))
    }

    /// Fetches entries and puts them into the file, each batch as large as it may be.
    fn import(&mut self, names: Vec<Vec<u8>>) -> Result<(), Failure> {
        names.iter().for_each(|name| self.redis.send(&[b"GET", name]));
        let (mut entries, mut size) = (Vec::new(), 0);
        for name in &names {
            // Expired, purged, too large, or not as it was written: it is just not there.
            let reply = match self.redis.reply() {
                Err(error) if error.to_string().starts_with("WRONGTYPE") => continue,
                reply => reply?,
            };
            let Some(value) = reply.bytes() else { continue };
            let Some(entry) = key_of(name).and_then(|key| Record::read(key, &value).ok()?.entry().ok())
            else {
                continue;
            };
            if entry.expires_ms <= now_ms() || self.is_outdated(&entry) {
                continue;
            }
            size += value.len();
            entries.push(entry);
            if size >= self.writer.bounds.batch() {
                self.writer.import(&entries)?;
                entries.clear();
                size = 0;
            }
        }
        if !entries.is_empty() {
            self.writer.import(&entries)?;
        }
        Ok(())
    }

    fn remember(&mut self, dated: Dated) {
        self.purges.truncate(PURGES - 1);
        self.purges.push_front(dated);
    }

    fn is_outdated(&self, entry: &Entry) -> bool {
        self.purges.iter().any(|dated| dated.outdates(entry))
    }
}

/// The command that tells all hosts something.
fn announce<T>(host: u64, kind: &[u8], what: &[u8], run: impl FnOnce(&[&[u8]]) -> T) -> T {
    let (length, host) = (STREAM_LENGTH.to_string(), host.to_le_bytes());
    run(&[b"XADD", STREAM, b"MAXLEN", b"~", length.as_bytes(), b"*", b"host", &host, kind, what])
}

fn name(tenant: u64, model: u64, key: u128) -> String {
    format!("edgeroute:cache:1:{tenant:016x}:{model:016x}:{key:032x}")
}

fn key_of(name: &[u8]) -> Option<u128> {
    let (_, digits) = std::str::from_utf8(name).ok()?.rsplit_once(':')?;
    u128::from_str_radix(digits, 16).ok()
}

fn read_id(id: &[u8]) -> Option<(u64, u64)> {
    let (time, number) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some((time.parse().ok()?, number.parse().ok()?))
}

#[cold]
fn unexpected() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a reply has another form than that command's")
}
