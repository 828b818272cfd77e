//! Limits over shared cells: fixed rate windows with reservations, concurrency, and circuit breakers.
//!
//! Amounts are reserved before a request and settled after it, in cells that all workers of a host share; no lock, no
//! clock (time comes in as unix milliseconds), no allocation per request. The crate does not know who is limited, what
//! a token is, or what to tell a client. A window counts what was admitted in it, like the quotas of the IETF draft
//! "RateLimit header fields for HTTP"; breakers follow Nygard's "Release It!".
//!
//! Every order of two updates is chosen so that a process killed between them leaves too much counted, never too
//! little; [`reap`] then gives back what dead workers had reserved. [`Outstanding`] amounts, which limit nothing, are
//! the other way round.

mod breaker;
mod concurrency;
mod outstanding;
mod scope;
mod window;

pub use breaker::{Breaker, BreakerSettings, BreakerState};
pub use concurrency::{Concurrency, Crowded, Permit};
pub use edgeroute_shared::{Cells, Owner, Row};
pub use outstanding::Outstanding;
pub use scope::{Held, Limits, Quotas, Refused, Usage, Used};
pub use window::{Exceeded, Reservation, Window, reap};

/// What can go wrong when limits are set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The memory file has no place for the limit's cells.
    #[error(transparent)]
    Cells(#[from] edgeroute_shared::Error),
    /// A limit that its cell cannot count to.
    #[error("the limit {name:?} is {limit}, the largest possible is {largest}")]
    TooLarge {
        /// The name of the limit.
        name: String,
        /// What was asked for.
        limit: u64,
        /// What a cell can count.
        largest: u64,
    },
    /// A period of no length.
    #[error("the limit {name:?} has a period of zero milliseconds")]
    NoPeriod {
        /// The name of the limit.
        name: String,
    },
}
