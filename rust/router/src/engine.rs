//! What the engine of a replica says of itself, as one word that the supervisor writes and workers read.

use serde::Deserialize;

/// What the engine of a replica says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSignal {
    /// Requests that it works on.
    pub running: u64,
    /// Requests that wait for that.
    pub waiting: u64,
    /// The most requests that this host had in flight to it when it may have said so.
    #[serde(default)]
    pub ours: u64,
}

/// Signals older than this many seconds do not count: three times the interval at which engines are asked.
pub(crate) const SIGNAL_SECONDS: u64 = 3;

// One word: 20 bits of requests that run, 20 of requests that wait, 10 of the cache's usage per mille, 14 of the
// seconds (Unix) when it was written.
const COUNTS: u64 = 1 << 20;
const PER_MILLES: u64 = 1 << 10;
const STAMPS: u64 = 1 << 14;

/// The exact cell of a replica's engine.
pub fn engine_cell(provider: &str, replica: &str) -> String {
    format!("engine/{provider}/{replica}")
}

/// The word of that cell. What does not fit is cut to the most that does.
pub fn engine_word(running: u64, waiting: u64, cache_per_mille: u64, unix_s: u64) -> u64 {
    let counts = (running.min(COUNTS - 1) << 44) | (waiting.min(COUNTS - 1) << 24);
    counts | (cache_per_mille.min(PER_MILLES - 1) << 14) | (unix_s % STAMPS)
}

impl EngineSignal {
    /// What such a word says, unless it is old. Nothing in it tells how many of the requests are ours.
    pub(crate) fn unpack(word: u64, unix_s: u64) -> Option<Self> {
        let age = unix_s.wrapping_sub(word % STAMPS) % STAMPS;
        let signal = Self { running: word >> 44, waiting: (word >> 24) % COUNTS, ours: 0 };
        (word != 0 && age <= SIGNAL_SECONDS).then_some(signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_signals_age_and_wrap() {
        let at = |stamp: u64, now: u64| EngineSignal::unpack(engine_word(3, 5, 700, stamp), now);
        let signal = Some(EngineSignal { running: 3, waiting: 5, ours: 0 });
        let now = 1_795_000_000;
        assert_eq!(at(now, now), signal);
        assert_eq!(at(now, now + SIGNAL_SECONDS), signal);
        assert_eq!(at(now, now + SIGNAL_SECONDS + 1), None);
        assert_eq!(at((1 << 14) - 1, 1 << 14), signal, "the stamp wraps");
        assert_eq!(EngineSignal::unpack(0, 1 << 14), None, "never written");
    }

    #[test]
    fn fields_do_not_touch() {
        assert_eq!(engine_word(3, 5, 700, (1 << 14) + 9), (3 << 44) | (5 << 24) | (700 << 14) | 9);
        assert_eq!(engine_word(u64::MAX, 0, 0, 0), ((1 << 20) - 1) << 44);
        assert_eq!(engine_word(0, u64::MAX, u64::MAX, 0), ((1 << 30) - 1) << 14);
    }
}
