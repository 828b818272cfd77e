//! One request, as the gateway handles it: start attempts, hand over the response, close.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edgeroute_router::{
    Content, End, Event as RouterEvent, Failure, FailureKind, Now, Request, Step, Ticket, forward,
};
use edgeroute_upstream::{Deadlines, Event, ExchangeId, Head, Request as Exchange};
use edgeroute_wire::{Dialect, EventStream, usage};
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::border::HeaderList;
use crate::exchange::{HIGH_WATER, Stream, content, failure};
use crate::snapshot::Loaded;
use crate::worker::Core;

/// A request in the works.
#[pyclass(frozen, name = "Ticket", module = "edgeroute._native")]
pub(crate) struct PyTicket {
    core: Arc<Core>,
    loaded: Arc<Loaded>,
    id: String,
    state: Mutex<State>,
}

struct State {
    ticket: Ticket,
    /// The client's body; gone once a response is being relayed.
    body: Option<Py<PyBytes>>,
    headers: Vec<(&'static str, Vec<u8>)>,
    exchange: Option<ExchangeId>,
    /// The future that the gateway awaits.
    waiter: Option<Py<PyAny>>,
    response: Option<(Head, Vec<u8>)>,
    /// Boxed: its SIMD searchers are aligned to 32 bytes, and Python aligns objects to 16.
    stream: Option<Box<Stream>>,
    closed: bool,
}

/// What a delivered event means to Python: nothing, or the value that fulfils the awaited future.
type Fulfilment = Option<(Py<PyAny>, Option<Vec<u8>>)>;

#[pymethods]
impl PyTicket {
    #[classattr]
    const ATTEMPT: u8 = 0;
    #[classattr]
    const RELAY: u8 = 1;
    #[classattr]
    const LIST: u8 = 2;
    #[classattr]
    const DESCRIBE: u8 = 3;
    #[classattr]
    const REFUSE: u8 = 4;
    #[classattr]
    const CLOSED: u8 = 5;

    /// What to do next: one of the constants of this class.
    #[getter]
    fn step(&self) -> u8 {
        let state = self.state.lock();
        if state.closed {
            return Self::CLOSED;
        }
        match state.ticket.step() {
            Step::Attempt => Self::ATTEMPT,
            Step::Relay => Self::RELAY,
            Step::List(_) => Self::LIST,
            Step::Describe(_) => Self::DESCRIBE,
            Step::Refuse(_) => Self::REFUSE,
        }
    }

    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// The protocol that the caller speaks.
    #[getter]
    fn dialect(&self) -> &'static str {
        self.state.lock().ticket.dialect().name()
    }

    /// Whether the client asked for a stream.
    #[getter]
    fn stream(&self) -> bool {
        self.state.lock().ticket.stream()
    }

    /// Names to list (`LIST`), or the one to describe (`DESCRIBE`).
    #[getter]
    fn models(&self) -> Vec<String> {
        match self.state.lock().ticket.step() {
            Step::List(names) => names.clone(),
            Step::Describe(name) => vec![name.clone()],
            _ => Vec::new(),
        }
    }

    /// Status, code, message and field of the error to answer with (`REFUSE`).
    #[getter]
    fn refusal(&self) -> Option<(u16, &'static str, String, Option<&'static str>)> {
        match self.state.lock().ticket.step() {
            Step::Refuse(refusal) => {
                Some((refusal.status, refusal.code.name(), refusal.message.clone(), refusal.field))
            }
            _ => None,
        }
    }

    /// Starts the exchange of the current attempt. `future` is fulfilled with None when `step` has changed.
    fn attempt<'py>(slf: &Bound<'py, Self>, future: Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        let py = slf.py();
        let this = slf.get();
        let mut state = this.state.lock();
        let now = this.core.now();
        let Some(exchange) = state.exchange(py, &this.loaded, now) else {
            drop(state);
            fulfil(py, &Some((future.clone().unbind(), None)));
            return future;
        };
        let headers: Vec<(&str, &[u8])> =
            exchange.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let id = this.core.client.lock().start(
            Exchange {
                origin: exchange.origin,
                path: &exchange.path,
                headers: &headers,
                body: exchange.body,
                deadlines: exchange.deadlines,
            },
            Instant::now(),
        );
        state.ticket.attempt_started(now);
        state.exchange = Some(id);
        state.waiter = Some(future.clone().unbind());
        this.core.open.lock().insert(id, slf.clone().unbind());
        future
    }

    /// Status, headers and body of the response to relay; the body is None where `read` gives it piece by piece.
    /// A whole response closes the ticket. `as_bytes` chooses ASGI's headers over RSGI's.
    fn response<'py>(
        &self,
        py: Python<'py>,
        as_bytes: bool,
    ) -> PyResult<(u16, Bound<'py, PyList>, Option<Bound<'py, PyBytes>>)> {
        let mut state = self.state.lock();
        let headers = HeaderList::new(py, as_bytes);
        let Some((head, body)) = state.response.take() else {
            self.own_headers_into(&mut state, &headers)?;
            return Ok((502, headers.into_list(), None));
        };
        for (name, value) in head.iter() {
            if forward::passes_back(name) {
                headers.push(name, value)?;
            }
        }
        self.own_headers_into(&mut state, &headers)?;
        let body = state.stream.is_none().then(|| PyBytes::new(py, &body));
        if body.is_some() {
            self.record(&mut state);
        }
        Ok((head.status(), headers.into_list(), body))
    }

    /// Headers of an answer of edgeroute's own; closes the ticket.
    fn own_headers<'py>(&self, py: Python<'py>, as_bytes: bool) -> PyResult<Bound<'py, PyList>> {
        let mut state = self.state.lock();
        let headers = HeaderList::new(py, as_bytes);
        headers.push("content-type", b"application/json")?;
        if let Step::Refuse(refusal) = state.ticket.step()
            && let Some(seconds) = refusal.retry_after
        {
            headers.push("retry-after", seconds.to_string().as_bytes())?;
        }
        if state.ticket.dialect() == Dialect::AnthropicMessages {
            // Anthropic's own name for it: its SDKs look nowhere else.
            headers.push("request-id", self.id.as_bytes())?;
        }
        self.own_headers_into(&mut state, &headers)?;
        self.record(&mut state);
        Ok(headers.into_list())
    }

    /// The next whole events of a stream: bytes, empty at its end, or `create_future()` that will give them.
    fn read<'py>(&self, py: Python<'py>, create_future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut state = self.state.lock();
        let waiting = state.take_waiting(&self.core);
        if !waiting.is_empty() || state.stream.as_ref().is_none_or(|stream| stream.ended) {
            return Ok(PyBytes::new(py, &waiting).into_any());
        }
        drop(state);
        let future = create_future.call0()?;
        self.state.lock().waiter = Some(future.clone().unbind());
        Ok(future)
    }

    /// Code of what broke the stream, once `read` has given its end; None if it ended as it should.
    #[getter]
    fn broken(&self) -> Option<&'static str> {
        self.state.lock().stream.as_ref().and_then(|stream| stream.broken)
    }

    /// The stream is larger than a face without back-pressure may hold: ends it.
    fn cap(&self, py: Python<'_>) {
        let fulfilment = {
            let mut state = self.state.lock();
            let failure = Failure {
                kind: FailureKind::TooLarge,
                detail: "the stream is larger than max_stream".into(),
            };
            self.cancel(&mut state);
            state.end_stream(End::Failed(failure), self.core.now())
        };
        fulfil(py, &fulfilment);
    }

    /// Ends the request: cancels what is still under way and writes the record. May be called again.
    fn close(&self, py: Python<'_>) {
        let fulfilment = {
            let mut state = self.state.lock();
            if state.closed {
                return;
            }
            self.cancel(&mut state);
            let (usage, events) = match &state.stream {
                Some(stream) if stream.ended => (None, None),
                Some(stream) => (stream.usage(), Some(stream.events.events())),
                None => (None, Some(0)),
            };
            if let Some(events) = events {
                let gone = RouterEvent::Ended { end: End::ClientGone, usage, events };
                let now = self.core.now();
                state.ticket.advance(gone, now);
            }
            self.record(&mut state);
            if let Some(stream) = &mut state.stream {
                stream.ended = true;
            }
            state.waiter.take().map(|waiter| (waiter, Some(Vec::new())))
        };
        fulfil(py, &fulfilment);
    }
}

impl PyTicket {
    pub(crate) fn new(
        core: Arc<Core>,
        loaded: Arc<Loaded>,
        ticket: Ticket,
        request: &Request<'_>,
        body: Py<PyBytes>,
        seed: u64,
    ) -> Self {
        let id = request
            .header("x-request-id")
            .filter(|id| !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()))
            .map_or_else(|| format!("req_{seed:016x}"), str::to_owned);
        let headers = match ticket.step() {
            Step::Attempt => forward::client_headers(ticket.dialect(), request),
            _ => Vec::new(),
        };
        let state = State {
            ticket,
            body: Some(body),
            headers,
            exchange: None,
            waiter: None,
            response: None,
            stream: None,
            closed: false,
        };
        Self { core, loaded, id, state: Mutex::new(state) }
    }

    /// Takes what happened to the exchange and tells the gateway, if it has to do something.
    pub(crate) fn deliver(&self, py: Python<'_>, event: Event) {
        let fulfilment = {
            let mut state = self.state.lock();
            if state.closed { None } else { self.take(&mut state, event) }
        };
        fulfil(py, &fulfilment);
    }

    fn take(&self, state: &mut State, event: Event) -> Fulfilment {
        let now = self.core.now();
        match event {
            Event::Response { head, body } => {
                state.exchange = None;
                let dialect = state.ticket.dialect();
                let usage = (head.status() < 300).then(|| usage::read(dialect, &body)).flatten();
                let content = content(&head);
                state.ticket.advance(RouterEvent::Responded { status: head.status(), content, usage }, now);
                state.keep(head, body)
            }
            Event::Head(head) => {
                let status = head.status();
                let responded = RouterEvent::Responded { status, content: Content::Events, usage: None };
                state.ticket.advance(responded, now);
                if matches!(state.ticket.step(), Step::Relay) {
                    let events = EventStream::new(state.ticket.dialect(), state.ticket.hides_usage());
                    state.stream = Some(Box::new(Stream::new(events)));
                } else {
                    self.cancel(state);
                }
                state.keep(head, Vec::new())
            }
            Event::Chunk(chunk) => {
                let State { ticket, stream: Some(stream), .. } = state else { return None };
                let failed = stream.events.feed(&chunk, &mut stream.waiting).err();
                if stream.events.events() > 0 {
                    ticket.first_event(now);
                }
                if let Some(error) = failed {
                    self.cancel(state);
                    let failure = Failure { kind: FailureKind::Protocol, detail: error.to_string() };
                    return state.end_stream(End::Failed(failure), now);
                }
                state.wake_reader(&self.core)
            }
            Event::End => {
                state.exchange = None;
                let end = state.stream.as_mut()?.finish();
                state.end_stream(end, now)
            }
            Event::Failed(error) => {
                state.exchange = None;
                let failure = failure(&error);
                if let Some(stream) = &state.stream {
                    // Framing that breaks after the end marker takes nothing from the client.
                    let end = if stream.events.ended() { End::Complete } else { End::Failed(failure) };
                    return state.end_stream(end, now);
                }
                state.ticket.advance(RouterEvent::Failed(failure), now);
                state.waiter.take().map(|waiter| (waiter, None))
            }
        }
    }

    /// Ends the exchange under way, if any, without further events.
    fn cancel(&self, state: &mut State) {
        if let Some(exchange) = state.exchange.take() {
            self.core.client.lock().cancel(exchange);
            self.core.open.lock().remove(&exchange);
        }
    }

    fn own_headers_into(&self, state: &mut State, headers: &HeaderList<'_>) -> PyResult<()> {
        headers.push("x-request-id", self.id.as_bytes())?;
        let ticket = &mut state.ticket;
        if let Some(model) = ticket.model() {
            headers.push("x-edgeroute-model", model.as_bytes())?;
        }
        if let Some(target) = ticket.target() {
            headers.push("x-edgeroute-target", target.as_bytes())?;
        }
        if let Some(rule) = ticket.rule() {
            headers.push("x-edgeroute-rule", rule.as_bytes())?;
        }
        headers.push("x-edgeroute-attempts", ticket.attempts().to_string().as_bytes())?;
        let overhead = ticket.handed(self.core.now());
        headers.push("x-edgeroute-overhead-us", overhead.to_string().as_bytes())
    }

    fn record(&self, state: &mut State) {
        if !std::mem::replace(&mut state.closed, true) {
            self.core.log(|log| state.ticket.record(&self.id, self.core.now(), self.core.format, log));
        }
    }
}

/// All that `upstream` needs for one attempt.
struct Outgoing {
    origin: Arc<edgeroute_upstream::Origin>,
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
    deadlines: Deadlines,
}

impl State {
    fn exchange(&self, py: Python<'_>, loaded: &Loaded, now: Now) -> Option<Outgoing> {
        let attempt = self.ticket.attempt(now)?;
        let origin = loaded.origins.get(attempt.provider_index)?.get(attempt.replica_index)?;
        let client = self.body.as_ref()?.bind(py).as_bytes();
        let mut body = Vec::with_capacity(client.len() + 64);
        self.ticket.write_body(client, &mut body);
        let defaults = &loaded.snapshot.defaults;
        let total = attempt.total_ms;
        let within = |ms: u64| Duration::from_millis(ms.min(total));
        Some(Outgoing {
            path: format!("{}{}", origin.base_path(), attempt.path),
            headers: forward::credential(attempt.provider)
                .into_iter()
                .chain(self.headers.iter().cloned())
                .collect(),
            origin: Arc::clone(origin),
            body: Bytes::from(body),
            deadlines: Deadlines {
                connect: within(defaults.connect_ms),
                first_byte: within(defaults.first_byte_ms),
                gap: Duration::from_millis(defaults.gap_ms),
                total: Duration::from_millis(total),
            },
        })
    }

    /// Keeps a response that is to be relayed, and wakes the gateway.
    fn keep(&mut self, head: Head, body: Vec<u8>) -> Fulfilment {
        if matches!(self.ticket.step(), Step::Relay) {
            self.response = Some((head, body));
            self.body = None;
        }
        self.waiter.take().map(|waiter| (waiter, None))
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
    fn wake_reader(&mut self, core: &Core) -> Fulfilment {
        let stream = self.stream.as_mut()?;
        if stream.waiting.is_empty() {
            return None;
        }
        if let Some(waiter) = self.waiter.take() {
            return Some((waiter, Some(self.take_waiting(core))));
        }
        if stream.waiting.len() > HIGH_WATER && !stream.paused {
            stream.paused = true;
            if let Some(exchange) = self.exchange {
                core.client.lock().set_reading(exchange, false);
            }
        }
        None
    }

    fn end_stream(&mut self, end: End, now: Now) -> Fulfilment {
        let stream = self.stream.as_mut()?;
        if std::mem::replace(&mut stream.ended, true) {
            return None;
        }
        if let End::Failed(failure) = &end {
            stream.broken = Some(failure.kind.name());
        }
        let (usage, events) = (stream.usage(), stream.events.events());
        let waiting = std::mem::take(&mut stream.waiting);
        self.ticket.advance(RouterEvent::Ended { end, usage, events }, now);
        match self.waiter.take() {
            Some(waiter) => Some((waiter, Some(waiting))),
            None => {
                if let Some(stream) = &mut self.stream {
                    stream.waiting = waiting;
                }
                None
            }
        }
    }
}

/// Fulfils an awaited future, unless its task was cancelled meanwhile.
fn fulfil(py: Python<'_>, fulfilment: &Fulfilment) {
    let Some((future, value)) = fulfilment else { return };
    let future = future.bind(py);
    let done = future.call_method0(intern!(py, "done")).and_then(|done| done.is_truthy());
    let result = match done {
        Ok(true) => return,
        Ok(false) => match value {
            Some(bytes) => future.call_method1(intern!(py, "set_result"), (PyBytes::new(py, bytes),)),
            None => future.call_method1(intern!(py, "set_result"), (py.None(),)),
        },
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        error.write_unraisable(py, Some(future));
    }
}
