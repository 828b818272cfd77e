//! One exchange for several requests: what the provider says is recorded once, and everybody who asked the same
//! meanwhile reads it at their own pace. The request that came first leads: its ticket owns the exchange, and goes on
//! with it for the others when its own client leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edgeroute_cache::{Piece, Progress, Reader, Recording};
use edgeroute_router::{End, Outcome, Refusal};
use edgeroute_upstream::{ExchangeId, Head};
use edgeroute_wire::finish::Finishing;
use edgeroute_wire::{Dialect, EventStream, Usage};
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::exchange::HIGH_WATER;
use crate::ticket::PyTicket;
use crate::worker::Core;

/// The flights of a worker that identical requests can join, by their keys.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<u128, SharedFlight>>);

pub(crate) type SharedFlight = Arc<Mutex<Flight>>;

/// An exchange under way, or a stream that is replayed as if it were.
pub(crate) struct Flight {
    pub(crate) recording: Recording,
    /// When the stream began.
    began: Instant,
    pub(crate) landed: Option<Landed>,
    exchange: Option<ExchangeId>,
    /// Reading from the provider has been stopped until somebody has read more.
    paused: bool,
    pub(crate) ended: Option<Ended>,
    /// Followers that wait for something to happen.
    waiting: Vec<Py<PyTicket>>,
}

/// What came of the exchange, for everybody alike.
#[derive(Clone)]
pub(crate) enum Landed {
    /// A response: with its body, or the head of the stream that is being recorded.
    Response { reply: Arc<(Head, Vec<u8>)>, outcome: Outcome, usage: Option<Usage>, whole: bool },
    /// No response.
    Refused(Refusal, Outcome),
}

/// How a stream ended, for everybody alike.
#[derive(Clone)]
pub(crate) struct Ended {
    pub(crate) end: End,
    /// Code of what broke it.
    pub(crate) broken: Option<&'static str>,
    pub(crate) usage: Option<Usage>,
    /// The number that its next event has.
    pub(crate) sequence_number: u64,
}

/// One request's place in a flight.
pub(crate) struct Listener {
    pub(crate) flight: SharedFlight,
    pub(crate) role: Role,
    reader: Option<Reader>,
    /// Keeps the usage from a client who did not ask for it.
    filter: Option<EventStream>,
    /// Of the one who leads: how the stream ends, as far as it has come.
    pub(crate) finishing: Option<Finishing>,
    /// Everything has been read.
    pub(crate) done: bool,
    /// Why this client's stream ends before the others'.
    pub(crate) broken: Option<&'static str>,
    /// When more is to be heard, if that is known.
    pub(crate) due: Option<Instant>,
    /// How it has ended for a client that left while others need the exchange.
    pub(crate) left: Option<End>,
}

/// Why a request is in a flight.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The exchange is its own.
    Leads,
    /// The exchange is that of an identical request.
    Follows,
    /// There is no exchange: the stream was recorded before, and is heard with the pauses that it had since then.
    Replays { since: Instant, usage: Option<Usage> },
}

/// What a listener hears.
pub(crate) enum Heard {
    Events(Vec<u8>),
    Nothing,
    End,
}

impl Flights {
    /// Opens a flight for others to join, in place of one that nobody can join any more.
    pub(crate) fn open(&self, key: u128, flight: SharedFlight) {
        // What is replaced goes when the lock is released.
        let _before = self.0.lock().insert(key, flight);
    }

    /// Nobody can join any of them.
    pub(crate) fn clear(&self) {
        // They go when the lock is released.
        let _open = std::mem::take(&mut *self.0.lock());
    }

    pub(crate) fn find(&self, key: u128) -> Option<SharedFlight> {
        self.0.lock().get(&key).cloned()
    }

    /// Nobody can join this flight from now on.
    pub(crate) fn close(&self, key: u128, flight: &SharedFlight) {
        let mut open = self.0.lock();
        if open.get(&key).is_some_and(|found| Arc::ptr_eq(found, flight)) {
            // Whoever closes it holds it too: this is not its last reference.
            open.remove(&key);
        }
    }
}

impl edgeroute_router::Flights for Flights {
    fn can_join(&self, key: u128) -> bool {
        self.0.lock().get(&key).is_some_and(|flight| flight.lock().recording.can_join())
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl Flight {
    /// A flight that begins; of a stream, at most so many bytes are kept.
    pub(crate) fn new(most: usize) -> Self {
        Self::of(Recording::new(most))
    }

    pub(crate) fn of(recording: Recording) -> Self {
        Self {
            recording,
            began: Instant::now(),
            landed: None,
            exchange: None,
            paused: false,
            ended: None,
            waiting: Vec::new(),
        }
    }

    /// What has come of it.
    pub(crate) fn land(&mut self, landed: Landed) {
        if !matches!(landed, Landed::Response { whole: false, .. }) {
            self.exchange = None;
        }
        self.began = Instant::now();
        self.landed = Some(landed);
    }

    /// Goes on with these events.
    pub(crate) fn push(&mut self, events: Vec<u8>) {
        self.recording.push(Piece::new(milliseconds_since(self.began), events));
    }

    /// Stops reading from the provider where too much waits, and goes on where it does not.
    pub(crate) fn regulate(&mut self, core: &Core) {
        let Some(exchange) = self.exchange else { return };
        if self.recording.is_full() != self.paused {
            self.paused = !self.paused;
            core.client.lock().set_reading(exchange, !self.paused);
        }
    }

    /// Tells this follower, once, when something happens.
    pub(crate) fn call(&mut self, follower: Py<PyTicket>) {
        self.waiting.push(follower);
    }

    pub(crate) fn take_waiting(&mut self) -> Vec<Py<PyTicket>> {
        std::mem::take(&mut self.waiting)
    }

    /// This exchange is tried.
    pub(crate) fn take_off(&mut self, exchange: ExchangeId) {
        self.exchange = Some(exchange);
        self.paused = false;
    }

    /// Nothing more will come.
    pub(crate) fn end(&mut self, ended: Ended) {
        self.exchange = None;
        self.recording.end();
        self.ended.get_or_insert(ended);
    }
}

impl Listener {
    /// A place in this flight; none if it is too late. `hides_usage` for clients who did not ask for it.
    pub(crate) fn join(
        flight: SharedFlight,
        role: Role,
        (dialect, hides_usage): (Dialect, bool),
    ) -> Option<Self> {
        let reader = flight.lock().recording.join()?;
        let filter = hides_usage.then(|| EventStream::new(dialect, true));
        Some(Self {
            flight,
            role,
            reader: Some(reader),
            filter,
            finishing: None,
            done: false,
            broken: None,
            due: None,
            left: None,
        })
    }

    /// What comes next.
    pub(crate) fn hear(&mut self, core: &Core) -> Heard {
        let Some(reader) = self.reader.as_ref().filter(|_| !self.done) else { return Heard::End };
        let mut flight = self.flight.lock();
        let since = match self.role {
            Role::Replays { since, .. } => Some(since),
            Role::Leads | Role::Follows => None,
        };
        let until_ms = since.map_or(u32::MAX, milliseconds_since);
        loop {
            let mut events = Vec::new();
            let progress = flight.recording.read(reader, until_ms, HIGH_WATER, &mut events);
            flight.regulate(core);
            match progress {
                Progress::Read => {
                    if let Some(filter) = &mut self.filter {
                        let arrived = std::mem::take(&mut events);
                        // They have passed a filter before: none is too large.
                        _ = filter.feed(&arrived, &mut events);
                    }
                    if !events.is_empty() {
                        return Heard::Events(events);
                    }
                }
                Progress::Nothing => return Heard::Nothing,
                Progress::Later(at_ms) => {
                    let since = since.unwrap_or(flight.began);
                    self.due = Some(since + Duration::from_millis(at_ms.into()));
                    return Heard::Nothing;
                }
                Progress::End => {
                    self.done = true;
                    return Heard::End;
                }
            }
        }
    }

    /// Goes on with these events, as the one who leads.
    pub(crate) fn record(&mut self, events: Vec<u8>) {
        if let Some(finishing) = &mut self.finishing {
            finishing.feed(&events);
        }
        self.flight.lock().push(events);
    }

    /// Whether others would miss the exchange.
    pub(crate) fn has_company(&self) -> bool {
        self.flight.lock().recording.readers() > usize::from(self.reader.is_some())
    }

    /// Reads no more. Returns the exchange that nobody needs from now on.
    pub(crate) fn leave(&mut self, core: &Core) -> Option<ExchangeId> {
        let reader = self.reader.take()?;
        let mut flight = self.flight.lock();
        flight.recording.leave(reader);
        flight.regulate(core);
        flight.exchange.filter(|_| flight.recording.readers() == 0)
    }
}

fn milliseconds_since(moment: Instant) -> u32 {
    u32::try_from(moment.elapsed().as_millis()).unwrap_or(u32::MAX)
}
