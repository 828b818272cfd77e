//! Rows: what each worker holds, and how the rows of dead workers are emptied.
//!
//! A free row is all zero. Its owner word goes from zero to a worker (claim), from there to zero (release), to
//! `ABANDONED` (released while gauges were not zero), or, when the owner is dead, to the reaper with the `REAPING` bit:
//! so one process reaps at a time, and if that one dies too, the row is once more one whose owner is dead.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Cells, Error, Exact, Gauge};

/// A process: its id alone is not enough, since the operating system uses ids again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The process id, at most 22 bits.
    pub pid: u32,
    /// When it started, in the operating system's own unit (on Linux clock ticks since boot), at most 41 bits.
    pub started: u64,
}

/// A worker's own row of gauges. Dropping it frees it, or leaves it to be reaped if it still holds something.
#[derive(Debug)]
pub struct Row {
    cells: Cells,
    index: u32,
}

/// A claimed row as the status page shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowStatus {
    /// Which row.
    pub index: u32,
    /// Whose it is.
    pub owner: Owner,
    /// When the worker last said that it lives, unix milliseconds; zero before the first time.
    pub heartbeat_ms: u64,
    /// The configuration generation it serves; zero before the first.
    pub generation: u64,
}

#[repr(C, align(64))]
pub(crate) struct RowHeader {
    owner: AtomicU64,
    heartbeat_ms: AtomicU64,
    generation: AtomicU64,
    spare: [AtomicU64; 5],
}

const FREE: u64 = 0;
/// No process has id 0, so this owner is nobody and never alive.
const ABANDONED: u64 = 1 << 1;
const REAPING: u64 = 1;
const STARTED_BITS: u32 = 41;
const PID_BITS: u32 = 22;

impl Owner {
    /// This process.
    pub fn current() -> Result<Self, Error> {
        let pid = std::process::id();
        match process::started(pid) {
            Ok(Some(started)) => Ok(Self { pid, started }),
            Ok(None) => {
                Err(Error::Owner { pid, reason: "it does not see itself; is /proc mounted?".to_owned() })
            }
            Err(error) => Err(Error::Owner { pid, reason: error.to_string() }),
        }
    }

    /// Whether the process still runs. When the operating system cannot say, it is taken to be alive: what a dead
    /// worker holds can wait, what a living one holds must not be given away.
    pub fn is_alive(self) -> bool {
        match process::started(self.pid) {
            Ok(started) => started == Some(self.started),
            Err(_) => true,
        }
    }

    fn pack(self) -> Result<u64, Error> {
        if self.pid == 0 || self.pid >> PID_BITS != 0 || self.started >> STARTED_BITS != 0 {
            return Err(Error::Owner {
                pid: self.pid,
                reason: "its id or start time is out of range".to_owned(),
            });
        }
        Ok(u64::from(self.pid) << (STARTED_BITS + 1) | self.started << 1)
    }

    fn unpack(word: u64) -> Self {
        let started = word >> 1 & ((1 << STARTED_BITS) - 1);
        Self { pid: (word >> (STARTED_BITS + 1)) as u32, started }
    }
}

impl Row {
    /// The memory file this row is in.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Which row.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// This worker's cell of a gauge.
    #[expect(clippy::indexing_slicing, reason = "the index is that of a claimed row")]
    pub fn gauge(&self, gauge: Gauge) -> &AtomicU64 {
        &self.cells.map.values(gauge.0)[self.index as usize]
    }

    /// Says that the worker lives.
    pub fn heartbeat(&self, now_ms: u64) {
        self.header().heartbeat_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The configuration generation this worker serves.
    pub fn generation(&self) -> &AtomicU64 {
        &self.header().generation
    }

    #[expect(clippy::indexing_slicing, reason = "the index is that of a claimed row")]
    fn header(&self) -> &RowHeader {
        &self.cells.map.rows()[self.index as usize]
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        let empty =
            self.cells.gauge_refunds().all(|(gauge, _)| self.gauge(gauge).load(Ordering::Acquire) == 0);
        if empty {
            self.header().free();
        } else {
            self.header().owner.store(ABANDONED, Ordering::Release);
        }
    }
}

impl Cells {
    /// Claims a free row. Claim after the last fork: a forked copy would release the row of its parent.
    pub fn claim_row(&self, owner: Owner) -> Result<Row, Error> {
        let word = owner.pack()?;
        (0..)
            .zip(self.map.rows())
            .find(|(_, row)| row.pass(FREE, word))
            .map(|(index, _)| Row { cells: self.clone(), index })
            .ok_or_else(|| Error::RowsFull { capacity: self.layout().rows })
    }

    /// The rows that have a worker.
    pub fn rows(&self) -> impl Iterator<Item = RowStatus> {
        (0..).zip(self.map.rows()).filter_map(|(index, row)| {
            let word = row.owner.load(Ordering::Acquire);
            let claimed = word != FREE && word != ABANDONED && word & REAPING == 0;
            claimed.then(|| RowStatus {
                index,
                owner: Owner::unpack(word),
                heartbeat_ms: row.heartbeat_ms.load(Ordering::Relaxed),
                generation: row.generation.load(Ordering::Relaxed),
            })
        })
    }

    /// Empties and frees the rows of dead owners, each in one process only; returns the owner of each row that it
    /// freed, `None` for rows whose owner had left them. `reaper` is the calling process. `refund` gets every gauge
    /// that was not zero, with the exact cell to give it back to.
    ///
    /// A gauge is zeroed before `refund` sees it: if the reaper is killed between, that amount is not given back, but
    /// nothing is ever given back twice. The rest of the row is left to the next reaper.
    pub fn reap(
        &self,
        reaper: Owner,
        is_alive: impl Fn(Owner) -> bool,
        mut refund: impl FnMut(Gauge, Option<Exact>, u64),
    ) -> Result<Vec<Option<Owner>>, Error> {
        let reaping = reaper.pack()? | REAPING;
        let mut freed = Vec::new();
        for (index, row) in self.map.rows().iter().enumerate() {
            let word = row.owner.load(Ordering::Acquire);
            let dead = word != FREE && (word == ABANDONED || !is_alive(Owner::unpack(word)));
            if !dead || !row.pass(word, reaping) {
                continue;
            }
            for (gauge, refunds) in self.gauge_refunds() {
                let value =
                    self.map.values(gauge.0).get(index).map_or(0, |value| value.swap(0, Ordering::AcqRel));
                if value != 0 {
                    refund(gauge, refunds, value);
                }
            }
            row.free();
            freed.push((word != ABANDONED && word & REAPING == 0).then(|| Owner::unpack(word)));
        }
        Ok(freed)
    }
}

impl RowHeader {
    fn pass(&self, from: u64, to: u64) -> bool {
        self.owner.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn free(&self) {
        self.heartbeat_ms.store(0, Ordering::Relaxed);
        self.generation.store(0, Ordering::Relaxed);
        self.owner.store(FREE, Ordering::Release);
    }
}

#[cfg(target_os = "linux")]
mod process {
    use std::io::{Error, ErrorKind, Result};

    /// When the process started; `None` if there is none. A zombie is none: it will never touch its row again.
    pub(super) fn started(pid: u32) -> Result<Option<u64>> {
        let stat = match std::fs::read(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        parse(&String::from_utf8_lossy(&stat)).ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, format!("/proc/{pid}/stat is not in the form of proc(5)"))
        })
    }

    /// Field 3 is the state, 22 the start time. Field 2 is the command's name, which may hold anything, also brackets.
    pub(super) fn parse(stat: &str) -> Option<Option<u64>> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        Some((!matches!(state, "Z" | "X" | "x")).then_some(started))
    }

    fn is_gone(error: &Error) -> bool {
        error.kind() == ErrorKind::NotFound
            || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
    }
}

/// Elsewhere the start time is not looked up, so a process id used again keeps a row until that process ends.
#[cfg(not(target_os = "linux"))]
mod process {
    use rustix::process::{Pid, test_kill_process};

    pub(super) fn started(pid: u32) -> std::io::Result<Option<u64>> {
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match test_kill_process(pid) {
            Ok(()) => Ok(Some(0)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_survive_packing() {
        for owner in [
            Owner { pid: 1, started: 0 },
            Owner { pid: (1 << PID_BITS) - 1, started: (1 << STARTED_BITS) - 1 },
            Owner::current().unwrap(),
        ] {
            let word = owner.pack().unwrap();
            assert_eq!(Owner::unpack(word), owner);
            assert_eq!(Owner::unpack(word | REAPING), owner);
            assert!(word != FREE && word != ABANDONED && word & REAPING == 0);
        }
        for pid in [0, 1 << PID_BITS] {
            Owner { pid, started: 1 }.pack().unwrap_err();
        }
        Owner { pid: 1, started: 1 << STARTED_BITS }.pack().unwrap_err();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_table_is_read_as_proc_5_says() {
        let fields = "1 1 1 0 -1 4194560 2 0 0 0 0 0 0 0 20 0 1 0 8765 4096 10";
        let check = |stat: &str, expected| assert_eq!(process::parse(stat), expected, "{stat}");
        check(&format!("7 (granian) S {fields}"), Some(Some(8765)));
        check(&format!("7 (a) b) Z 1 ) R {fields}"), Some(Some(8765)));
        check(&format!("7 (granian) Z {fields}"), Some(None));
        check("7 (granian) S 1 2 3", None);
        check("", None);
    }
}
