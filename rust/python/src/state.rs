//! What a ticket knows while its request is under way. Nothing here calls Python, makes a Python object or drops
//! the last reference to one: each of these may run any Python code, and that must not happen under a lock. What
//! has to be done in Python is returned, and done when the lock is released.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeroute_router::{
    Content, End, Event as RouterEvent, Failure, FailureKind, Now, Step, Ticket, forward,
};
use edgeroute_upstream::{Body, Deadlines, Event, ExchangeId, Head, Origin, Request};
use edgeroute_wire::{EventStream, Piece, Usage, usage};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use smallvec::SmallVec;

use crate::exchange::{HIGH_WATER, Stream, content, failure};
use crate::flight::{Ended, Landed, Listener, Role};
use crate::recall::Kept;
use crate::snapshot::Loaded;
use crate::worker::Core;

pub(crate) struct State {
    pub(crate) ticket: Ticket,
    pub(crate) loaded: Arc<Loaded>,
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
    pub(crate) response: Option<Response>,
    /// Boxed: most requests have none.
    pub(crate) stream: Option<Box<Stream>>,
    /// Where a request reads its stream that shares it with others.
    pub(crate) listener: Option<Box<Listener>>,
    pub(crate) closed: bool,
}

/// A response to hand over.
pub(crate) enum Response {
    /// Of the request's own exchange.
    Own(Head, Vec<u8>),
    /// Of an exchange that it shares.
    Shared { reply: Arc<(Head, Vec<u8>)>, whole: bool },
    /// Of the cache.
    Kept(Box<Kept>),
}

/// A future to fulfil, with events or with nothing but the news.
pub(crate) struct Wake {
    pub(crate) future: Py<PyAny>,
    pub(crate) events: Option<Vec<u8>>,
}

/// All that `upstream` needs for one attempt.
pub(crate) struct Outgoing<'a> {
    origin: Arc<Origin>,
    path: String,
    headers: forward::Fields<'a>,
    body: Body,
    deadlines: Deadlines,
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
    pub(crate) cache: Option<String>,
}

impl<'a> Outgoing<'a> {
    /// The current attempt of a ticket; None if there is none. `client` and `headers` are what the client sent.
    pub(crate) fn of(
        ticket: &'a Ticket,
        client: &Bytes,
        headers: &'a [(&'static str, Vec<u8>)],
        loaded: &Loaded,
        now: Now,
    ) -> Option<Self> {
        let attempt = ticket.attempt(now)?;
        let origin = loaded.origins.get(attempt.provider_index)?.get(attempt.replica_index)?;
        let mut body = Body::default();
        let splice = ticket.splice(client.len(), |piece| {
            body.push(match piece {
                Piece::Kept(range) => client.slice(range),
                Piece::New(bytes) => Bytes::copy_from_slice(bytes),
            });
        });
        splice.ok()?;
        Some(Self {
            path: [origin.base_path(), attempt.path].concat(),
            headers: forward::attempt_headers(&attempt, headers),
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

    /// Starts its exchange.
    pub(crate) fn start(self, core: &Core) -> ExchangeId {
        let request = Request {
            origin: self.origin,
            path: &self.path,
            headers: &self.headers,
            body: self.body,
            deadlines: self.deadlines,
        };
        core.client.lock().start(request, Instant::now())
    }
}

impl State {
    pub(crate) fn new(
        ticket: Ticket,
        loaded: Arc<Loaded>,
        body: Py<PyBytes>,
        headers: Vec<(&'static str, Vec<u8>)>,
    ) -> Self {
        Self {
            ticket,
            loaded,
            body: Some(body),
            headers,
            exchange: None,
            waiter: None,
            client: None,
            watcher: None,
            response: None,
            stream: None,
            listener: None,
            closed: false,
        }
    }

    /// Whether Python has nothing to do with it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.closed || self.left().is_some()
    }

    /// The current attempt; None if there is none.
    pub(crate) fn outgoing(&self, py: Python<'_>, now: Now) -> Option<Outgoing<'_>> {
        let client = Bytes::from_owner(PyBackedBytes::from(self.body.as_ref()?.bind(py).clone()));
        Outgoing::of(&self.ticket, &client, &self.headers, &self.loaded, now)
    }

    /// Takes what happened to the exchange.
    pub(crate) fn take(&mut self, core: &Core, event: Event) -> Option<Wake> {
        let now = core.now();
        match event {
            Event::Response { head, body } => {
                self.exchange = None;
                let dialect = self.ticket.dialect();
                let is_fine = head.status() < 300;
                if is_fine && self.ticket.asks_for_all_texts(&body, now) {
                    return self.wake(None);
                }
                // The provider may have been asked for less than the client.
                let completed = if is_fine { self.ticket.complete(&body) } else { Ok(None) };
                let completed = match completed {
                    Ok(completed) => completed,
                    Err(detail) => {
                        let failure = Failure { kind: FailureKind::Protocol, detail: detail.into() };
                        return self.fail(core, failure);
                    }
                };
                let usage = is_fine.then(|| usage::read(dialect, &body)).flatten();
                let withheld = || why_withheld(&self.ticket, &body, now);
                let content = match content(&head) {
                    Content::Json if head.status() >= 400 => {
                        withheld().map_or(Content::Json, |why| Content::Other(why.into()))
                    }
                    content => content,
                };
                self.ticket.advance(RouterEvent::Responded { status: head.status(), content, usage }, now);
                if is_fine && self.listener.is_some() {
                    self.fill_texts(core, &body);
                }
                let wake = self.keep(core, head, completed.unwrap_or(body), usage);
                self.fill(core, usage);
                wake
            }
            Event::Head(head) if (200..300).contains(&head.status()) => {
                // What is recorded is for those, too, who want to see the usage.
                let hides_usage = self.ticket.hides_usage() && self.listener.is_none();
                let events = EventStream::new(self.ticket.dialect(), hides_usage);
                self.stream = Some(Box::new(Stream::new(head, events)));
                None
            }
            Event::Head(head) => {
                let status = head.status();
                let responded = RouterEvent::Responded { status, content: Content::Events, usage: None };
                self.ticket.advance(responded, now);
                self.cancel(core);
                self.keep(core, head, Vec::new(), None)
            }
            Event::Chunk(chunk) => {
                let stream = self.stream.as_mut()?;
                let waited = stream.waiting.len();
                let failed = stream.events.feed(&chunk, &mut stream.waiting).err();
                let failed =
                    failed.map(|error| Failure { kind: FailureKind::Protocol, detail: error.to_string() });
                let is_error = stream.events.failed();
                let is_held = stream.head.is_some();
                if is_held && is_error && stream.events.events() == 0 && self.ticket.has_another(now) {
                    let detail = "it began with an error".into();
                    return self.fail(core, Failure { kind: FailureKind::ErrorEvent, detail });
                }
                if is_held && stream.waiting.is_empty() && !is_error {
                    return failed.and_then(|failure| self.fail(core, failure));
                }
                let begun = self.begin_stream(core);
                let stream = self.stream.as_mut()?;
                let new = stream.waiting.get(waited..).unwrap_or_default();
                if is_error && why_withheld(&self.ticket, new, now).is_some() {
                    stream.waiting.truncate(waited);
                    stream.broken = Some("error_event");
                    self.cancel(core);
                    return self.end_stream(core, End::ProviderError).or(begun);
                }
                if stream.events.events() > 0 {
                    self.ticket.first_event(now);
                }
                if let Some(listener) = &mut self.listener {
                    listener.record(std::mem::take(&mut stream.waiting));
                }
                if let Some(failure) = failed {
                    self.cancel(core);
                    return self.end_stream(core, End::Failed(failure)).or(begun);
                }
                self.wake_reader(core).or(begun)
            }
            Event::End => {
                self.exchange = None;
                let stream = self.stream.as_mut()?;
                match stream.finish() {
                    End::Failed(failure) if stream.head.is_some() => self.fail(core, failure),
                    end => {
                        let begun = self.begin_stream(core);
                        self.end_stream(core, end).or(begun)
                    }
                }
            }
            Event::Failed(error) => {
                self.exchange = None;
                let failure = failure(&error);
                if let Some(stream) = self.stream.as_mut().filter(|stream| stream.head.is_none()) {
                    // Framing that breaks after the end marker, or after an error event, takes nothing from the client.
                    let end = match stream.finish() {
                        End::Failed(_) => End::Failed(failure),
                        end => end,
                    };
                    return self.end_stream(core, end);
                }
                self.fail(core, failure)
            }
        }
    }

    /// The attempt has failed before anything of its response was relayed.
    #[cold]
    fn fail(&mut self, core: &Core, failure: Failure) -> Option<Wake> {
        self.cancel(core);
        self.stream = None;
        self.ticket.advance(RouterEvent::Failed(failure), core.now());
        self.land(core);
        self.wake(None)
    }

    /// Something of the stream is there, or all of it: the gateway can relay it.
    fn begin_stream(&mut self, core: &Core) -> Option<Wake> {
        let head = self.stream.as_mut()?.head.take()?;
        let status = head.status();
        let responded = RouterEvent::Responded { status, content: Content::Events, usage: None };
        self.ticket.advance(responded, core.now());
        self.keep(core, head, Vec::new(), None)
    }

    /// The next whole events: empty at the end of the stream, None while there are none.
    pub(crate) fn next_events(&mut self, core: &Core) -> Option<Vec<u8>> {
        if self.listener.is_some() {
            return self.hear(core);
        }
        let Some(stream) = &mut self.stream else { return Some(Vec::new()) };
        if stream.waiting.is_empty() && !stream.ended {
            return None;
        }
        Some(self.take_waiting(core))
    }

    /// Ends a stream of which too much waits for the client; what waits is dropped.
    pub(crate) fn cap(&mut self, core: &Core) -> Option<Wake> {
        let detail = "the stream is larger than max_stream".into();
        let end = End::Failed(Failure { kind: FailureKind::TooLarge, detail });
        if let Some(listener) = &mut self.listener {
            listener.broken = Some(FailureKind::TooLarge.name());
            if let Err(end) = self.leave_to_others(core, end) {
                self.cancel(core);
                self.end_listening(core, end);
            }
            return self.wake(Some(Vec::new()));
        }
        self.cancel(core);
        self.stream.as_mut()?.waiting = Vec::new();
        self.end_stream(core, end)
    }

    /// Ends what is under way because the process stops: the client is told, and no other target is tried.
    pub(crate) fn stop(&mut self, core: &Core) -> Option<Wake> {
        self.cancel(core);
        let failure =
            Failure { kind: FailureKind::Stopping, detail: "the time for open responses is over".into() };
        if self.stream.as_ref().is_some_and(|stream| stream.head.is_none()) {
            return self.end_stream(core, End::Failed(failure));
        }
        if let Some(listener) = self.listener.as_mut().filter(|listener| listener.role != Role::Leads) {
            listener.broken = Some(failure.kind.name());
            self.end_listening(core, End::Failed(failure));
            return self.wake(Some(Vec::new()));
        }
        self.fail(core, failure)
    }

    /// Ends the request: what is under way is cancelled unless others need it, and the record is written.
    pub(crate) fn close(&mut self, core: &Core, id: &str) -> Option<Wake> {
        if self.is_over() {
            return None;
        }
        match self.leave_to_others(core, End::ClientGone) {
            Ok(()) => self.wake(Some(Vec::new())),
            Err(_) => self.end(core, id),
        }
    }

    /// Ends the request, whoever else needs what is under way.
    pub(crate) fn end(&mut self, core: &Core, id: &str) -> Option<Wake> {
        if self.closed {
            return None;
        }
        self.cancel(core);
        if self.listener.is_some() {
            let end = self.left().cloned().unwrap_or(End::ClientGone);
            self.end_listening(core, end);
            self.record(core, id);
            return self.wake(Some(Vec::new()));
        }
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
            cache: ticket.cache_header(),
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
    fn keep(&mut self, core: &Core, head: Head, body: Vec<u8>, usage: Option<Usage>) -> Option<Wake> {
        if matches!(self.ticket.step(), Step::Relay) {
            self.response = Some(match &self.listener {
                None => Response::Own(head, body),
                Some(listener) => {
                    let reply = Arc::new((head, body));
                    let whole = self.stream.is_none();
                    let (landed, outcome) = (Arc::clone(&reply), self.ticket.outcome());
                    let landed = Landed::Response { reply: landed, outcome, usage, whole };
                    listener.flight.lock().land(landed);
                    if whole {
                        self.close_flight(core);
                    }
                    Response::Shared { reply, whole }
                }
            });
        } else {
            self.land(core);
        }
        self.wake(None)
    }

    pub(crate) fn wake(&mut self, events: Option<Vec<u8>>) -> Option<Wake> {
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
        if self.listener.is_some() {
            return self.wake_listener(core);
        }
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
    fn end_stream(&mut self, core: &Core, end: End) -> Option<Wake> {
        let stream = self.stream.as_mut()?;
        stream.ended = true;
        if let End::Failed(failure) = &end {
            stream.broken = Some(failure.kind.name());
        }
        let (usage, events) = (stream.usage(), stream.events.events());
        if let Some(listener) = &self.listener {
            let (broken, sequence_number) = (stream.broken, stream.events.sequence_number());
            listener.flight.lock().end(Ended { end: end.clone(), broken, usage, sequence_number });
            self.close_flight(core);
            if matches!(end, End::Complete) {
                self.fill(core, usage);
            }
        }
        self.ticket.advance(RouterEvent::Ended { end, usage, events }, core.now());
        let future = self.waiter.take()?;
        let events = match &self.listener {
            Some(_) => self.hear(core).unwrap_or_default(),
            None => std::mem::take(&mut self.stream.as_mut()?.waiting),
        };
        Some(Wake { future, events: Some(events) })
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
