//! One request, as the gateway handles it: start attempts, hand over the response, close. Each method takes what it
//! needs under the ticket's lock, releases it, and only then calls Python.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use edgeroute_router::{Request, Step, Ticket, forward};
use edgeroute_upstream::{Event, Request as Exchange};
use edgeroute_wire::Dialect;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::border::HeaderList;
use crate::snapshot::Loaded;
use crate::state::{State, Wake};
use crate::worker::Core;

/// A request in the works.
#[pyclass(frozen, name = "Ticket", module = "edgeroute._native")]
pub(crate) struct PyTicket {
    core: Arc<Core>,
    loaded: Arc<Loaded>,
    id: String,
    state: Mutex<State>,
}

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

    /// The most bytes that a stream may have on a face without back-pressure.
    #[getter]
    fn max_stream(&self) -> u64 {
        self.loaded.snapshot.max_stream
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

    /// Starts the exchange of the current attempt. `future` is fulfilled with None when `step` has changed. `client`
    /// is what `Worker.lasting` gives, if it takes long; with None it is not among those.
    fn attempt<'py>(
        slf: &Bound<'py, Self>,
        future: Bound<'py, PyAny>,
        client: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let mut state = this.state.lock();
        if state.closed || !matches!(state.ticket.step(), Step::Attempt) {
            drop(state);
            fulfil(slf.py(), Some(Wake { future: future.clone().unbind(), events: None }))?;
            return Ok(future);
        }
        if state.waiter.is_some() {
            return Err(PyRuntimeError::new_err("an attempt is under way"));
        }
        let now = this.core.now();
        let id = {
            let Some(exchange) = state.outgoing(slf.py(), &this.loaded, now) else {
                return Err(PyRuntimeError::new_err("there is no attempt to start"));
            };
            this.core.client.lock().start(
                Exchange {
                    origin: exchange.origin,
                    path: &exchange.path,
                    headers: &exchange.headers,
                    body: exchange.body,
                    deadlines: exchange.deadlines,
                },
                Instant::now(),
            )
        };
        state.ticket.attempt_started(now);
        state.exchange = Some(id);
        state.waiter = Some(future.clone().unbind());
        if state.watcher.is_none() {
            state.client = client.map(Bound::unbind);
        }
        this.core.open.lock().insert(id, slf.clone().unbind());
        Ok(future)
    }

    /// Status, headers and body of the response to relay; the body is None where `read` gives it piece by piece.
    /// A whole response closes the ticket. `as_bytes` chooses ASGI's headers over RSGI's.
    fn response<'py>(
        &self,
        py: Python<'py>,
        as_bytes: bool,
    ) -> PyResult<(u16, Bound<'py, PyList>, Option<Bound<'py, PyBytes>>)> {
        let mut state = self.state.lock();
        let Some((head, body)) = state.response.take() else {
            return Err(PyRuntimeError::new_err("there is no response to relay"));
        };
        let client_body = state.body.take();
        let own = state.own_headers(self.core.now());
        let whole = state.stream.is_none();
        if whole {
            state.record(&self.core, &self.id);
        }
        drop(state);
        drop(client_body);
        let headers = HeaderList::new(py, as_bytes);
        for (name, value) in head.iter() {
            if forward::passes_back(name) {
                headers.push(name, value)?;
            }
        }
        headers.push_own(&self.id, &own)?;
        Ok((head.status(), headers.into_list(), whole.then(|| PyBytes::new(py, &body))))
    }

    /// Headers of an answer of edgeroute's own; closes the ticket.
    fn own_headers<'py>(&self, py: Python<'py>, as_bytes: bool) -> PyResult<Bound<'py, PyList>> {
        let mut state = self.state.lock();
        let retry_after = match state.ticket.step() {
            Step::Refuse(refusal) => refusal.retry_after,
            _ => None,
        };
        let dialect = state.ticket.dialect();
        let own = state.own_headers(self.core.now());
        state.record(&self.core, &self.id);
        drop(state);
        let headers = HeaderList::new(py, as_bytes);
        headers.push("content-type", b"application/json")?;
        if let Some(seconds) = retry_after {
            headers.push("retry-after", seconds.to_string().as_bytes())?;
        }
        if dialect == Dialect::AnthropicMessages {
            // Anthropic's own name for it: its SDKs look nowhere else.
            headers.push("request-id", self.id.as_bytes())?;
        }
        headers.push_own(&self.id, &own)?;
        Ok(headers.into_list())
    }

    /// The next whole events of a stream: bytes, empty at its end, or `create_future()` that will give them.
    fn read<'py>(&self, py: Python<'py>, create_future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let mut future: Option<Bound<'py, PyAny>> = None;
        loop {
            let mut state = self.state.lock();
            if let Some(events) = state.next_events(&self.core) {
                drop(state);
                return Ok(PyBytes::new(py, &events).into_any());
            }
            if state.waiter.is_some() {
                return Err(PyRuntimeError::new_err("the stream is being read already"));
            }
            if let Some(future) = future {
                state.waiter = Some(future.clone().unbind());
                return Ok(future);
            }
            drop(state);
            future = Some(create_future.call0()?);
        }
    }

    /// Code of what broke the stream, once `read` has given its end; None if it ended as it should.
    #[getter]
    fn broken(&self) -> Option<&'static str> {
        self.state.lock().stream.as_ref().and_then(|stream| stream.broken)
    }

    /// The number that the next event of the stream has, where the dialect numbers its events.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.state.lock().stream.as_ref().map_or(0, |stream| stream.events.sequence_number())
    }

    /// Keeps the task that listens to `client` until the request ends.
    fn watch(&self, watcher: Bound<'_, PyAny>) {
        let before = self.state.lock().watcher.replace(watcher.unbind());
        drop(before);
    }

    /// The stream is larger than a face without back-pressure may hold: ends it.
    fn cap(&self, py: Python<'_>) -> PyResult<()> {
        let wake = self.state.lock().cap(&self.core);
        fulfil(py, wake)
    }

    /// Ends the request: cancels what is still under way and writes the record. May be called again.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.state.lock();
        let wake = state.close(&self.core, &self.id);
        let (client, watcher) = (state.client.take(), state.watcher.take());
        drop(state);
        drop(client);
        let told = fulfil(py, wake);
        if let Some(watcher) = watcher
            && let Err(error) = watcher.call_method0(py, intern!(py, "cancel"))
        {
            error.write_unraisable(py, Some(watcher.bind(py)));
        }
        told
    }
}

impl PyTicket {
    pub(crate) fn take_client(&self) -> Option<Py<PyAny>> {
        self.state.lock().client.take()
    }

    /// Ends what is under way because the process stops.
    pub(crate) fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let wake = self.state.lock().stop(&self.core);
        fulfil(py, wake)
    }

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
            .map_or_else(|| new_id(seed), str::to_owned);
        let headers = match ticket.step() {
            Step::Attempt => forward::client_headers(ticket.dialect(), request),
            _ => Vec::new(),
        };
        Self { core, loaded, id, state: Mutex::new(State::new(ticket, body, headers)) }
    }

    /// Takes what happened to the exchange and tells the gateway, if it has to do something.
    pub(crate) fn deliver(&self, py: Python<'_>, event: Event) -> PyResult<()> {
        let wake = {
            let mut state = self.state.lock();
            if state.closed { None } else { state.take(&self.core, event) }
        };
        fulfil(py, wake)
    }
}

fn new_id(seed: u64) -> String {
    let mut id = String::with_capacity("req_".len() + 16);
    // Writing to a String cannot fail.
    _ = write!(id, "req_{seed:016x}");
    id
}

/// Fulfils an awaited future, unless its task was cancelled meanwhile. Only what ends the event loop is an error here.
fn fulfil(py: Python<'_>, wake: Option<Wake>) -> PyResult<()> {
    let Some(Wake { future, events }) = wake else { return Ok(()) };
    let future = future.bind(py);
    let done = future.call_method0(intern!(py, "done")).and_then(|done| done.is_truthy());
    let result = match done {
        Ok(true) => return Ok(()),
        Ok(false) => match events {
            Some(events) => future.call_method1(intern!(py, "set_result"), (PyBytes::new(py, &events),)),
            None => future.call_method1(intern!(py, "set_result"), (py.None(),)),
        },
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.is_instance_of::<PyException>(py) => error.write_unraisable(py, Some(future)),
        result => _ = result?,
    }
    Ok(())
}
