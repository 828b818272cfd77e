use std::sync::atomic::{AtomicU64, Ordering};

use edgeroute_shared::{Cells, Exact, Gauge, Owner, Row};

use crate::Error;

/// So much per period, counted in fixed windows that all workers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    used: Exact,
    reserved: Gauge,
    limit: u64,
    period_ms: u64,
}

/// What was taken from a window and must be settled. Dropping it unsettled leaves it counted.
#[derive(Debug)]
#[must_use = "an unsettled reservation stays counted until its window ends"]
pub struct Reservation {
    used: Exact,
    reserved: Gauge,
    taken: Count,
}

/// The limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{amount} asked for, {used} of {limit} used")]
pub struct Exceeded {
    /// What was asked for.
    pub amount: u64,
    /// What may be used in one window.
    pub limit: u64,
    /// What is settled or reserved in the running window.
    pub used: u64,
    /// When the next window begins, from now.
    pub retry_after_ms: u64,
}

/// An amount in a numbered window, as one word: 24 bits of window, 40 of amount. Amounts saturate (at 10^12); window
/// numbers wrap (after 31 years of minutes, 194 days of seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    window: u64,
    amount: u64,
}

const AMOUNT_BITS: u32 = 40;
pub(crate) const MOST: u64 = (1 << AMOUNT_BITS) - 1;
const WINDOWS: u64 = 1 << (u64::BITS - AMOUNT_BITS);

impl Window {
    /// Finds or makes the cells of this name. Windows of one name must have one period, so put it in the name; the
    /// limit may change from one configuration to the next.
    pub fn new(cells: &Cells, name: &str, limit: u64, period_ms: u64) -> Result<Self, Error> {
        if limit > MOST {
            return Err(Error::TooLarge { name: name.to_owned(), limit, largest: MOST });
        }
        if period_ms == 0 {
            return Err(Error::NoPeriod { name: name.to_owned() });
        }
        let used = cells.exact(name)?;
        Ok(Self { used, reserved: cells.gauge(name, Some(used))?, limit, period_ms })
    }

    /// What may be used in one window.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes `amount` if what is used and `amount` together do not pass the limit.
    pub fn try_reserve(&self, row: &Row, amount: u64, now_ms: u64) -> Result<Reservation, Exceeded> {
        // The total first, the own reservation second: a kill between them leaves the amount used until the window ends.
        let cell = row.cells().at(self.used);
        let mut seen = cell.load(Ordering::Relaxed);
        let taken = loop {
            let current = self.current(Count::unpack(seen), now_ms);
            let used = current.amount.saturating_add(amount);
            if used > self.limit {
                return Err(self.exceeded(amount, current, now_ms));
            }
            let next = Count { amount: used, ..current };
            match cell.compare_exchange_weak(seen, next.pack(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break Count { amount, ..current },
                Err(other) => seen = other,
            }
        };
        update(row.gauge(self.reserved), |own| {
            let before = if own.window == taken.window { own.amount } else { 0 };
            (amount != 0).then_some(Count { amount: before.saturating_add(amount), ..taken })
        });
        Ok(Reservation { used: self.used, reserved: self.reserved, taken })
    }

    /// What is settled or reserved in the window that runs now.
    pub fn used(&self, cells: &Cells, now_ms: u64) -> u64 {
        self.current(Count::unpack(cells.at(self.used).load(Ordering::Relaxed)), now_ms).amount
    }

    /// What of that is reserved, by workers that live or are not yet reaped.
    pub fn reserved(&self, cells: &Cells, now_ms: u64) -> u64 {
        let window = self.current(Count::unpack(cells.at(self.used).load(Ordering::Relaxed)), now_ms).window;
        let own = cells.gauge_values(self.reserved).map(Count::unpack);
        own.filter(|own| own.window == window).map(|own| own.amount).sum()
    }

    /// 100 × used / limit; above 100 when more was settled than reserved. A limit of nothing is always full.
    pub fn used_percent(&self, cells: &Cells, now_ms: u64) -> f64 {
        match self.limit {
            0 => 100.0,
            limit => 100.0 * self.used(cells, now_ms) as f64 / limit as f64,
        }
    }

    /// The count of the running window. A cell one window ahead is kept: the clocks of two workers read a little apart,
    /// and going back would forget what is counted. Further ahead means that the clock was set back.
    fn current(&self, cell: Count, now_ms: u64) -> Count {
        let window = now_ms / self.period_ms % WINDOWS;
        let ahead = cell.window.wrapping_sub(window) % WINDOWS;
        if ahead <= 1 { cell } else { Count { window, amount: 0 } }
    }

    #[cold]
    fn exceeded(&self, amount: u64, current: Count, now_ms: u64) -> Exceeded {
        let ahead = current.window.wrapping_sub(now_ms / self.period_ms) % WINDOWS;
        let next_ms = (now_ms / self.period_ms + 1 + ahead).saturating_mul(self.period_ms);
        let retry_after_ms = next_ms.saturating_sub(now_ms);
        Exceeded { amount, limit: self.limit, used: current.amount, retry_after_ms }
    }
}

impl Reservation {
    /// Replaces what was reserved by what was used, zero for a refund, if the window still runs; later it changes
    /// nothing. The limit may be passed: what a provider has done is done.
    pub fn settle(self, row: &Row, actual: u64) {
        // The own reservation first: a kill after it leaves the amount counted as reserved. The other way round, a
        // reaper would refund it a second time.
        update(row.gauge(self.reserved), |own| {
            let amount = own.amount.saturating_sub(self.taken.amount);
            // A gauge that holds nothing is zero as a whole, so that an idle row is seen to be empty.
            let window = if amount == 0 { 0 } else { own.window };
            (own.window == self.taken.window).then_some(Count { window, amount })
        });
        if actual != self.taken.amount {
            correct(row.cells().at(self.used), self.taken, actual);
        }
    }
}

impl Exceeded {
    /// Whether no window is large enough, so that waiting does not help.
    pub fn is_never_possible(&self) -> bool {
        self.amount > self.limit
    }
}

impl Count {
    fn unpack(word: u64) -> Self {
        Self { window: word >> AMOUNT_BITS, amount: word & MOST }
    }

    fn pack(self) -> u64 {
        self.window << AMOUNT_BITS | self.amount.min(MOST)
    }
}

/// Empties the rows of dead workers and gives back what they had reserved in windows that still run; what they held of
/// a concurrency limit ends with the row. Returns the owner of each row, `None` where
/// it had left the row. `reaper` is the calling process, `is_alive`
/// usually [`Owner::is_alive`].
pub fn reap(
    cells: &Cells,
    reaper: Owner,
    is_alive: impl Fn(Owner) -> bool,
) -> Result<Vec<Option<Owner>>, Error> {
    cells
        .reap(reaper, is_alive, |_, refunds, value| {
            if let Some(exact) = refunds {
                correct(cells.at(exact), Count::unpack(value), 0);
            }
        })
        .map_err(Error::from)
}

fn correct(cell: &AtomicU64, taken: Count, actual: u64) {
    update(cell, |total| {
        let amount = total.amount.saturating_sub(taken.amount).saturating_add(actual);
        (total.window == taken.window).then_some(Count { amount, ..total })
    });
}

fn update(cell: &AtomicU64, change: impl Fn(Count) -> Option<Count>) {
    let mut seen = cell.load(Ordering::Relaxed);
    while let Some(next) = change(Count::unpack(seen)) {
        match cell.compare_exchange_weak(seen, next.pack(), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}
