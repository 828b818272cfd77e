use std::sync::atomic::Ordering;

use edgeroute_shared::{Cells, Exact};

use crate::Error;

/// Skips a replica for a while after consecutive failures, for all workers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    cell: Exact,
    settings: BreakerSettings,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Consecutive failures that open it.
    pub failures: u16,
    /// How long it then stays open.
    pub open_ms: u64,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// In use.
    Closed,
    /// Skipped for so long.
    Open {
        /// Milliseconds until it is used again.
        left_ms: u64,
    },
    /// Used again, and skipped again after one more failure.
    HalfOpen,
}

/// One word: 16 bits of consecutive failures, 48 of the time until which it is open, in unix milliseconds.
#[derive(Clone, Copy)]
struct State {
    failures: u64,
    open_until_ms: u64,
}

const TIME_BITS: u32 = 48;
const LATEST: u64 = (1 << TIME_BITS) - 1;

impl Default for BreakerSettings {
    /// Three failures, ten seconds.
    fn default() -> Self {
        Self { failures: 3, open_ms: 10_000 }
    }
}

impl Breaker {
    /// Finds or makes the cell of this name.
    pub fn new(cells: &Cells, name: &str, settings: BreakerSettings) -> Result<Self, Error> {
        Ok(Self { cell: cells.exact(name)?, settings })
    }

    /// Whether the replica is to be skipped. A time further ahead than it can have been set comes from a clock that was
    /// set back, and does not count.
    pub fn is_open(&self, cells: &Cells, now_ms: u64) -> bool {
        self.settings.is_open(State::unpack(cells.at(self.cell).load(Ordering::Relaxed)), now_ms)
    }

    /// How it stands, to be shown.
    pub fn state(&self, cells: &Cells, now_ms: u64) -> BreakerState {
        let state = State::unpack(cells.at(self.cell).load(Ordering::Relaxed));
        if self.settings.is_open(state, now_ms) {
            BreakerState::Open { left_ms: state.open_until_ms - now_ms }
        } else if state.failures >= self.settings.failures.into() {
            BreakerState::HalfOpen
        } else {
            BreakerState::Closed
        }
    }

    /// One more failure in a row. The failure that completes the number opens the breaker; when the time is over, the
    /// next one opens it again. Failures while it is open are of attempts begun before, and do not prolong it.
    pub fn record_failure(&self, cells: &Cells, now_ms: u64) {
        let cell = cells.at(self.cell);
        let mut seen = cell.load(Ordering::Relaxed);
        loop {
            let mut state = State::unpack(seen);
            state.failures = (state.failures + 1).min(u16::MAX.into());
            if state.failures >= self.settings.failures.into() && !self.settings.is_open(state, now_ms) {
                state.open_until_ms = now_ms.saturating_add(self.settings.open_ms);
            }
            match cell.compare_exchange_weak(seen, state.pack(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// Closes the breaker. Costs one load when there was no failure, which is nearly always.
    pub fn record_success(&self, cells: &Cells) {
        let cell = cells.at(self.cell);
        if cell.load(Ordering::Relaxed) != 0 {
            cell.store(0, Ordering::Relaxed);
        }
    }
}

impl BreakerSettings {
    fn is_open(&self, state: State, now_ms: u64) -> bool {
        state.open_until_ms > now_ms && state.open_until_ms - now_ms <= self.open_ms
    }
}

impl State {
    fn unpack(word: u64) -> Self {
        Self { failures: word >> TIME_BITS, open_until_ms: word & LATEST }
    }

    fn pack(self) -> u64 {
        self.failures << TIME_BITS | self.open_until_ms.min(LATEST)
    }
}
