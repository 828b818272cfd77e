//! What a client reports, and about which exchange.

use crate::error::Error;
use crate::head::Head;
use crate::slots::Key;

/// Names one exchange; never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) Key);

/// What happened to an exchange. `Response`, `End` and `Failed` are the last event of their exchange.
#[derive(Debug)]
pub enum Event {
    /// A whole response that is not an event stream.
    Response {
        /// Status and headers.
        head: Head,
        /// The decoded body.
        body: Vec<u8>,
    },
    /// The head of an event stream; chunks follow.
    Head(Head),
    /// What arrived of an event stream since the last chunk, decoded; never empty.
    Chunk(Vec<u8>),
    /// The event stream ended as it should.
    End,
    /// The exchange failed.
    Failed(Error),
}

/// Events in the order they happened.
pub(crate) type Events = Vec<(ExchangeId, Event)>;
