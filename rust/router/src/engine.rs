//! What the engine of a replica says of itself, as one word that the supervisor writes and workers read.

/// The exact cell of a replica's engine.
pub fn engine_cell(provider: &str, replica: &str) -> String {
    format!("engine/{provider}/{replica}")
}

/// One word: 20 bits of requests that run, 20 of requests that wait, 10 of the cache's usage per mille, 14 of the
/// seconds (Unix) when it was written. What does not fit is cut to the most that does.
pub fn engine_word(running: u64, waiting: u64, cache_per_mille: u64, unix_s: u64) -> u64 {
    const COUNT: u64 = (1 << 20) - 1;
    const PER_MILLE: u64 = (1 << 10) - 1;
    const STAMPS: u64 = 1 << 14;
    let counts = (running.min(COUNT) << 44) | (waiting.min(COUNT) << 24);
    counts | (cache_per_mille.min(PER_MILLE) << 14) | (unix_s % STAMPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch() {
        assert_eq!(engine_word(3, 5, 700, (1 << 14) + 9), (3 << 44) | (5 << 24) | (700 << 14) | 9);
        assert_eq!(engine_word(u64::MAX, 0, 0, 0), ((1 << 20) - 1) << 44);
        assert_eq!(engine_word(0, u64::MAX, u64::MAX, 0), ((1 << 30) - 1) << 14);
    }
}
