/// Why targets cannot be placed among; every message says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing to choose from.
    #[error("there is nothing to choose from: at least one target needs a weight above zero")]
    NoTargets,
    /// The same name twice: both would get the same keys.
    #[error("the target {name:?} is listed twice; give it once, with the sum of the weights")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// More targets than their numbers can count.
    #[error("{count} targets are too many: at most {most} can be told apart")]
    TooManyTargets {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// A ring that would take too much memory.
    #[error(
        "the ring would have {points} points, at most {most} are kept; lower the weights or the number of virtual nodes"
    )]
    TooManyPoints {
        /// Virtual nodes times the sum of the weights.
        points: u64,
        /// How many there may be.
        most: u64,
    },
    /// A ring without points.
    #[error("a ring needs at least one virtual node per unit of weight")]
    NoVirtualNodes,
    /// A bound below the mean load, which no placement can keep.
    #[error(
        "a bound of {percent} % of the mean load cannot be kept; it must be at least 100 %, 125 % is usual"
    )]
    Bound {
        /// The bound asked for.
        percent: u32,
    },
    /// Weights whose round takes too long to write down.
    #[error(
        "one round of these weights takes {turns} turns, at most {most} are kept; use weights with a common divisor"
    )]
    RoundTooLong {
        /// The sum of the weights over their greatest common divisor.
        turns: u64,
        /// How many there may be.
        most: u64,
    },
    /// Memory that does not hold one bucket.
    #[error("an affinity index needs at least {least} words of memory, these are {words}")]
    TooLittleMemory {
        /// The words given.
        words: usize,
        /// The words needed.
        least: usize,
    },
}
