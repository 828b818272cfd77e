use std::sync::atomic::Ordering;

use edgeroute_shared::{Cells, Gauge, Row};

use crate::Error;

/// So many at one time over all workers. Nothing but gauges, so that a dead worker's share returns when it is reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency {
    held: Gauge,
    limit: u64,
}

/// One of the places; must be released.
#[derive(Debug)]
#[must_use = "a permit that is not released is held until its worker ends"]
pub struct Permit {
    held: Gauge,
}

/// All places are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {limit} places are taken")]
pub struct Crowded {
    /// How many may be held at one time.
    pub limit: u64,
    /// How many are held.
    pub held: u64,
}

/// How often one request tries when others try for the same last places in the same instant.
const ATTEMPTS: usize = 8;

impl Concurrency {
    /// Finds or makes the gauge of this name; the limit may change from one configuration to the next.
    pub fn new(cells: &Cells, name: &str, limit: u64) -> Result<Self, Error> {
        Ok(Self { held: cells.gauge(name, None)?, limit })
    }

    /// How many may be held at one time.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// How many are held.
    pub fn held(&self, cells: &Cells) -> u64 {
        cells.gauge_total(self.held)
    }

    /// Takes a place if fewer than the limit are held.
    ///
    /// Each adds itself before it counts, and the order of all this is the same for everybody, so of those who find
    /// themselves within the limit the last sees all others: the limit is never passed. Several who try for the last
    /// place at once may all see too many; they step back, and those who then find room try again.
    pub fn try_acquire(&self, row: &Row) -> Result<Permit, Crowded> {
        let own = row.gauge(self.held);
        let mut others = 0;
        for _ in 0..ATTEMPTS {
            own.fetch_add(1, Ordering::SeqCst);
            if self.held(row.cells()) <= self.limit {
                return Ok(Permit { held: self.held });
            }
            own.fetch_sub(1, Ordering::SeqCst);
            others = self.held(row.cells());
            if others >= self.limit {
                break;
            }
        }
        Err(Crowded { limit: self.limit, held: others })
    }
}

impl Permit {
    /// Gives the place back.
    pub fn release(self, row: &Row) {
        row.gauge(self.held).fetch_sub(1, Ordering::SeqCst);
    }
}
