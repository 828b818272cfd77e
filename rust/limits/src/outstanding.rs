use std::sync::atomic::{AtomicU64, Ordering};

use edgeroute_shared::{Cells, Exact, Gauge, Row};

use crate::Error;
use crate::window::MOST;

/// An amount that is outstanding at one time over all workers: what a provider is busy with. One read tells it, and a
/// dead worker's share returns when it is [reaped](crate::reap).
///
/// It limits nothing. Unlike a limit it must not drift upwards, for it has no window that ends: a worker killed between
/// two updates leaves too little counted, and an amount never falls below zero, so that it is right again as soon as
/// nothing is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// Reapers take it for the count of window 0, which never ends.
    total: Exact,
    own: Gauge,
}

impl Outstanding {
    /// Finds or makes the cells of this name.
    pub fn new(cells: &Cells, name: &str) -> Result<Self, Error> {
        let total = cells.exact(name)?;
        Ok(Self { total, own: cells.gauge(name, Some(total))? })
    }

    /// What is outstanding over all workers.
    pub fn total(&self, cells: &Cells) -> u64 {
        cells.at(self.total).load(Ordering::Relaxed)
    }

    /// So much more. Amounts saturate at 2⁴⁰ − 1.
    pub fn add(&self, row: &Row, amount: u64) {
        update(row.gauge(self.own), |own| own.saturating_add(amount));
        update(row.cells().at(self.total), |total| total.saturating_add(amount));
    }

    /// So much of what this worker has added is done.
    pub fn remove(&self, row: &Row, amount: u64) {
        update(row.cells().at(self.total), |total| total.saturating_sub(amount));
        update(row.gauge(self.own), |own| own.saturating_sub(amount));
    }
}

fn update(cell: &AtomicU64, change: impl Fn(u64) -> u64) {
    let mut seen = cell.load(Ordering::Relaxed);
    loop {
        match cell.compare_exchange_weak(seen, change(seen).min(MOST), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}
