//! What a ticket knows while its request is under way. Nothing here calls Python, makes a Python object or drops
//! the last reference to one: each of these may run any Python code, and that must not happen under a lock. What
//! has to be done in Python is returned, and done when the lock is released.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edgeroute_router::{
    Content, End, Event as RouterEvent, Failure, FailureKind, Now, Step, Ticket, forward,
};
use edgeroute_upstream::{Body, Deadlines, Event, ExchangeId, Head, Origin};
use edgeroute_wire::{EventStream, Piece, usage};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smallvec::SmallVec;

use crate::exchange::{HIGH_WATER, Stream, content, failure};
use crate::snapshot::Loaded;
use crate::worker::Core;

pub(crate) struct State {
    pub(crate) ticket: Ticket,
    /// The client's body; gone once a response is being relayed.
    pub(crate) body: Option<Py<PyBytes>>,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// The exchange under way; as long as there is one, `Core::open` holds the ticket.
    pub(crate) exchange: Option<ExchangeId>,
    /// The future that the gateway awaits. There is one only while an exchange is under way, so whatever it refers
    /// to is reachable from the worker, and Python's garbage collector need not look into tickets.
    pub(crate) waiter: Option<Py<PyAny>>,
    /// What tells that the client left, until somebody listens to it.
    pub(crate) client: Option<Py<PyAny>>,
    /// The task that listens; cancelled with the end of the request.
    pub(crate) watcher: Option<Py<PyAny>>,
    pub(crate) response: Option<(Head, Vec<u8>)>,
    /// Boxed: most requests have none.
    pub(crate) stream: Option<Box<Stream>>,
    pub(crate) closed: bool,
}

/// A future to fulfil, with events or with nothing but the news.
pub(crate) struct Wake {
    pub(crate) future: Py<PyAny>,
    pub(crate) events: Option<Vec<u8>>,
}

/// All that `upstream` needs for one attempt.
pub(crate) struct Outgoing<'a> {
    pub(crate) origin: Arc<Origin>,
    pub(crate) path: String,
    pub(crate) headers: forward::Fields<'a>,
    pub(crate) body: Body,
    pub(crate) deadlines: Deadlines,
}

/// A name; usual ones stay off the heap.
pub(crate) type Text = SmallVec<[u8; 64]>;

/// Values of edgeroute's own response headers.
pub(crate) struct OwnHeaders {
    pub(crate) model: Option<Text>,
    pub(crate) target: Option<Text>,
    pub(crate) rule: Option<Text>,
    pub(crate) attempts: u32,
    pub(crate) overhead_us: u64,
}

impl State {
    pub(crate) fn new(ticket: Ticket, body: Py<PyBytes>, headers: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self {
            ticket,
            body: Some(body),
            headers,
            exchange: None,
            waiter: None,
            client: None,
            watcher: None,
            response: None,
            stream: None,
            closed: false,
        }
    }

    /// The current attempt; None if there is none.
    pub(crate) fn outgoing(&self, py: Python<'_>, loaded: &Loaded, now: Now) -> Option<Outgoing<'_>> {
        let attempt = self.ticket.attempt(now)?;
        let origin = loaded.origins.get(attempt.provider_index)?.get(attempt.replica_index)?;
        let client = Bytes::from_owner(PyBackedBytes::from(self.body.as_ref()?.bind(py).clone()));
        let mut body = Body::default();
        let splice = self.ticket.splice(client.len(), |piece| {
            body.push(match piece {
                Piece::Kept(range) => client.slice(range),
                Piece::New(bytes) => Bytes::copy_from_slice(bytes),
            });
        });
        splice.ok()?;
        Some(Outgoing {
            path: [origin.base_path(), attempt.path].concat(),
            headers: forward::attempt_headers(&attempt, &self.headers),
            origin: Arc::clone(origin),
            body,
            deadlines: Deadlines {
                connect: Duration::from_millis(attempt.connect_ms),
                first_byte: Duration::from_millis(attempt.first_byte_ms),
                gap: Duration::from_millis(attempt.gap_ms),
                total: Duration::from_millis(attempt.total_ms),
            },
        })
    }

    /// Takes what happened to the exchange.
    pub(crate) fn take(&mut self, core: &Core, event: Event) -> Option<Wake> {
        let now = core.now();
        match event {
            Event::Response { head, body } => {
                self.exchange = None;
                let dialect = self.ticket.dialect();
                let usage = (head.status() < 300).then(|| usage::read(dialect, &body)).flatten();
                let withheld = || why_withheld(&self.ticket, &body, now);
                let content = match content(&head) {
                    Content::Json if head.status() >= 400 => {
                        withheld().map_or(Content::Json, |why| Content::Other(why.into()))
                    }
                    content => content,
                };
                self.ticket.advance(RouterEvent::Responded { status: head.status(), content, usage }, now);
                self.keep(head, body)
            }
            Event::Head(head) => {
                let status = head.status();
                let responded = RouterEvent::Responded { status, content: Content::Events, usage: None };
                self.ticket.advance(responded, now);
                if matches!(self.ticket.step(), Step::Relay) {
                    let events = EventStream::new(self.ticket.dialect(), self.ticket.hides_usage());
                    self.stream = Some(Box::new(Stream::new(events)));
                } else {
                    self.cancel(core);
                }
                self.keep(head, Vec::new())
            }
            Event::Chunk(chunk) => {
                let stream = self.stream.as_mut()?;
                let waited = stream.waiting.len();
                let failed = stream.events.feed(&chunk, &mut stream.waiting).err();
                let new = stream.waiting.get(waited..).unwrap_or_default();
                if stream.events.failed() && why_withheld(&self.ticket, new, now).is_some() {
                    stream.waiting.truncate(waited);
                    stream.broken = Some("error_event");
                    self.cancel(core);
                    return self.end_stream(End::ProviderError, now);
                }
                if stream.events.events() > 0 {
                    self.ticket.first_event(now);
                }
                if let Some(error) = failed {
                    self.cancel(core);
                    let failure = Failure { kind: FailureKind::Protocol, detail: error.to_string() };
                    return self.end_stream(End::Failed(failure), now);
                }
                self.wake_reader(core)
            }
            Event::End => {
                self.exchange = None;
                let end = self.stream.as_mut()?.finish();
                self.end_stream(end, now)
            }
            Event::Failed(error) => {
                self.exchange = None;
                let failure = failure(&error);
                if let Some(stream) = &mut self.stream {
                    // Framing that breaks after the end marker, or after an error event, takes nothing from the client.
                    let end = match stream.finish() {
                        End::Failed(_) => End::Failed(failure),
                        end => end,
                    };
                    return self.end_stream(end, now);
                }
                self.ticket.advance(RouterEvent::Failed(failure), now);
                self.wake(None)
            }
        }
    }

    /// The next whole events: empty at the end of the stream, None while there are none.
    pub(crate) fn next_events(&mut self, core: &Core) -> Option<Vec<u8>> {
        let Some(stream) = &mut self.stream else { return Some(Vec::new()) };
        if stream.waiting.is_empty() && !stream.ended {
            return None;
        }
        Some(self.take_waiting(core))
    }

    /// Ends a stream of which too much waits for the client; what waits is dropped.
    pub(crate) fn cap(&mut self, core: &Core) -> Option<Wake> {
        self.cancel(core);
        self.stream.as_mut()?.waiting = Vec::new();
        let detail = "the stream is larger than max_stream".into();
        self.end_stream(End::Failed(Failure { kind: FailureKind::TooLarge, detail }), core.now())
    }

    /// Ends what is under way because the process stops: the client is told, and no other target is tried.
    pub(crate) fn stop(&mut self, core: &Core) -> Option<Wake> {
        self.cancel(core);
        let failure =
            Failure { kind: FailureKind::Stopping, detail: "the time for open responses is over".into() };
        if self.stream.is_some() {
            return self.end_stream(End::Failed(failure), core.now());
        }
        self.ticket.advance(RouterEvent::Failed(failure), core.now());
        self.wake(None)
    }

    /// Ends the request: what is under way is cancelled, and the record is written.
    pub(crate) fn close(&mut self, core: &Core, id: &str) -> Option<Wake> {
        if self.closed {
            return None;
        }
        self.cancel(core);
        let relayed = self.stream.as_ref().is_some_and(|stream| stream.ended && stream.waiting.is_empty());
        if !relayed {
            let stream = self.stream.as_ref();
            let usage = stream.and_then(|stream| stream.usage());
            let events = stream.map_or(0, |stream| stream.events.events());
            self.ticket.advance(RouterEvent::Ended { end: End::ClientGone, usage, events }, core.now());
        }
        self.record(core, id);
        if let Some(stream) = &mut self.stream {
            stream.waiting = Vec::new();
            stream.ended = true;
        }
        self.wake(Some(Vec::new()))
    }

    /// Writes the record, once.
    pub(crate) fn record(&mut self, core: &Core, id: &str) {
        if !std::mem::replace(&mut self.closed, true) {
            core.log(|log| self.ticket.record(id, core.now(), core.format, log));
        }
    }

    /// The response is being handed to the server.
    pub(crate) fn own_headers(&mut self, now: Now) -> OwnHeaders {
        let overhead_us = self.ticket.handed(now);
        let ticket = &self.ticket;
        OwnHeaders {
            model: ticket.model().map(|name| name.as_bytes().into()),
            target: ticket.target().map(|name| name.as_bytes().into()),
            rule: ticket.rule().map(|name| name.as_bytes().into()),
            attempts: ticket.attempts(),
            overhead_us,
        }
    }

    /// Ends the exchange under way, if any, without further events.
    fn cancel(&mut self, core: &Core) {
        if let Some(exchange) = self.exchange.take() {
            core.client.lock().cancel(exchange);
            // Whoever calls a method of the ticket holds it too: this is not its last reference.
            _ = core.open.lock().remove(exchange);
        }
    }

    /// Keeps a response that is to be relayed, and wakes the gateway.
    fn keep(&mut self, head: Head, body: Vec<u8>) -> Option<Wake> {
        if matches!(self.ticket.step(), Step::Relay) {
            self.response = Some((head, body));
        }
        self.wake(None)
    }

    fn wake(&mut self, events: Option<Vec<u8>>) -> Option<Wake> {
        self.waiter.take().map(|future| Wake { future, events })
    }

    fn take_waiting(&mut self, core: &Core) -> Vec<u8> {
        let Some(stream) = &mut self.stream else { return Vec::new() };
        if std::mem::take(&mut stream.paused)
            && let Some(exchange) = self.exchange
        {
            core.client.lock().set_reading(exchange, true);
        }
        std::mem::take(&mut stream.waiting)
    }

    /// Gives waiting events to a reader, or stops reading from the provider when too much waits.
    fn wake_reader(&mut self, core: &Core) -> Option<Wake> {
        let stream = self.stream.as_mut()?;
        if stream.waiting.is_empty() {
            return None;
        }
        if self.waiter.is_some() {
            let events = self.take_waiting(core);
            return self.wake(Some(events));
        }
        if stream.waiting.len() > HIGH_WATER && !stream.paused {
            stream.paused = true;
            if let Some(exchange) = self.exchange {
                core.client.lock().set_reading(exchange, false);
            }
        }
        None
    }

    /// Nothing more will come. What waits is still relayed.
    fn end_stream(&mut self, end: End, now: Now) -> Option<Wake> {
        let stream = self.stream.as_mut()?;
        stream.ended = true;
        if let End::Failed(failure) = &end {
            stream.broken = Some(failure.kind.name());
        }
        let (usage, events) = (stream.usage(), stream.events.events());
        self.ticket.advance(RouterEvent::Ended { end, usage, events }, now);
        let future = self.waiter.take()?;
        Some(Wake { future, events: Some(std::mem::take(&mut self.stream.as_mut()?.waiting)) })
    }
}

/// Why the client may not see an error of the provider, if so.
#[cold]
fn why_withheld(ticket: &Ticket, error: &[u8], now: Now) -> Option<&'static str> {
    match ticket.attempt(now) {
        Some(attempt) => forward::why_withheld(&attempt, error),
        None => Some("it came too late"),
    }
}
