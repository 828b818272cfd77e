//! One request, as the gateway handles it: start attempts, hand over the response, close. Each method takes what it
//! needs under the ticket's lock, releases it, and only then calls Python.

use std::sync::Arc;
use std::time::Instant;

use edgeroute_router::{Event as RouterEvent, Request, Step, Ticket, forward};
use edgeroute_upstream::Event;
use edgeroute_wire::Dialect;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::border::HeaderList;
use crate::flight::Role;
use crate::recall::Found;
use crate::snapshot::Loaded;
use crate::state::{Response, State, Wake};
use crate::worker::Core;

/// A request in the works.
#[pyclass(frozen, name = "Ticket", module = "edgeroute._native")]
pub(crate) struct PyTicket {
    core: Arc<Core>,
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
        if state.is_over() {
            return Self::CLOSED;
        }
        match state.ticket.step() {
            Step::Attempt | Step::Join | Step::Embed => Self::ATTEMPT,
            Step::Answer(_) if state.response.is_none() && state.listener.is_none() => Self::ATTEMPT,
            Step::Relay | Step::Answer(_) => Self::RELAY,
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
        self.state.lock().ticket.snapshot().max_stream
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

    /// Starts the exchange of the current attempt, joins one, or waits for a vector. `future` is fulfilled with None
    /// when `step` has changed. `client` is what `Worker.lasting` gives, if it takes long; with None it is not among
    /// those.
    fn attempt<'py>(
        slf: &Bound<'py, Self>,
        future: Bound<'py, PyAny>,
        client: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let this = slf.get();
        let mut state = this.state.lock();
        if !state.is_over() && state.waiter.is_some() {
            return Err(PyRuntimeError::new_err("an attempt is under way"));
        }
        let waits = !state.is_over() && this.begin(slf, &mut state)?;
        if waits {
            state.waiter = Some(future.clone().unbind());
        }
        if !state.is_over() {
            if state.exchange.is_none() {
                this.core.open.lock().insert_without_exchange(slf.clone().unbind());
            }
            if state.watcher.is_none() {
                state.client = client.map(Bound::unbind);
            }
        }
        let patience = state.patience().filter(|_| waits);
        drop(state);
        if !waits {
            fulfil(slf.py(), Some(Wake { future: future.clone().unbind(), events: None }))?;
        }
        if let Some(patience) = patience {
            call_at(slf, &future, Instant::now() + patience)?;
        }
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
        let Some(response) = state.response.take() else {
            return Err(PyRuntimeError::new_err("there is no response to relay"));
        };
        let client_body = state.body.take();
        let own = state.own_headers(self.core.now());
        let whole = match &response {
            Response::Own(..) => state.stream.is_none(),
            Response::Shared { whole, .. } => *whole,
            Response::Kept(kept) => kept.body.is_some(),
        };
        if whole {
            if let Response::Kept(kept) = &response {
                state.ticket.advance(RouterEvent::Answered { usage: kept.usage }, self.core.now());
            }
            state.record(&self.core, &self.id);
        }
        drop(state);
        drop(client_body);
        let headers = HeaderList::new(py, as_bytes);
        let (status, body) = match &response {
            Response::Own(head, body) => (headers.push_relayed(head)?, body.as_slice()),
            Response::Shared { reply, .. } => (headers.push_relayed(&reply.0)?, reply.1.as_slice()),
            Response::Kept(kept) => {
                headers.push("content-type", &kept.content_type)?;
                (200, kept.body.as_deref().unwrap_or_default())
            }
        };
        headers.push_own(&self.id, &own)?;
        Ok((status, headers.into_list(), whole.then(|| PyBytes::new(py, body))))
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
    fn read<'py>(slf: &Bound<'py, Self>, create_future: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let mut future: Option<Bound<'py, PyAny>> = None;
        loop {
            let mut state = this.state.lock();
            if let Some(events) = state.next_events(&this.core) {
                drop(state);
                return Ok(PyBytes::new(py, &events).into_any());
            }
            if state.waiter.is_some() {
                return Err(PyRuntimeError::new_err("the stream is being read already"));
            }
            if let Some(future) = future {
                state.waiter = Some(future.clone().unbind());
                state.call_when_told(slf);
                let due = state.listener.as_mut().and_then(|listener| listener.due.take());
                drop(state);
                if let Some(due) = due {
                    call_at(slf, &future, due)?;
                }
                return Ok(future);
            }
            drop(state);
            future = Some(create_future.call0()?);
        }
    }

    /// More of a replayed stream is due, or the vector is not waited for any longer.
    fn go_on(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        let (mut waits, mut due) = (None, None);
        this.change(slf.py(), |state| {
            let wake = state.embedded(&this.core).or_else(|| state.follow(&this.core));
            waits = state.waiter.as_ref().map(|future| future.clone_ref(slf.py()));
            due = state.listener.as_mut().and_then(|listener| listener.due.take());
            wake
        })?;
        match (waits, due) {
            (Some(future), Some(due)) => call_at(slf, future.bind(slf.py()), due),
            _ => Ok(()),
        }
    }

    /// Code of what broke the stream, once `read` has given its end; None if it ended as it should.
    #[getter]
    fn broken(&self) -> Option<&'static str> {
        self.state.lock().broken().0
    }

    /// The number that the next event of the stream has, where the dialect numbers its events.
    #[getter]
    fn sequence_number(&self) -> u64 {
        self.state.lock().broken().1
    }

    /// Keeps the task that listens to `client` until the request ends.
    fn watch(&self, watcher: Bound<'_, PyAny>) {
        let before = self.state.lock().watcher.replace(watcher.unbind());
        drop(before);
    }

    /// The stream is larger than a face without back-pressure may hold: ends it.
    fn cap(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |state| state.cap(&self.core))
    }

    /// Ends the request: cancels what is still under way, unless others need it, and writes the record. May be called
    /// again.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        let (mut needless, mut client) = (None, ClientWatch::default());
        let told = self.change(py, |state| {
            let wake = state.close(&self.core, &self.id);
            needless = state.leave(&self.core);
            client = ClientWatch::take(state);
            wake
        });
        let leader = needless.and_then(|exchange| self.core.open.lock().find(py, exchange));
        let ended = leader.map_or(Ok(()), |leader| leader.get().end(py));
        client.cancel(py);
        told.and(ended)
    }
}

impl PyTicket {
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().is_over()
    }

    pub(crate) fn take_client(&self) -> Option<Py<PyAny>> {
        self.state.lock().client.take()
    }

    /// Ends what is under way because the process stops.
    pub(crate) fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |state| {
            let wake = state.stop(&self.core);
            state.end_for_others(&self.core, &self.id);
            wake
        })
    }

    /// Ends the request, whoever else needs what is under way.
    pub(crate) fn end(&self, py: Python<'_>) -> PyResult<()> {
        let mut client = ClientWatch::default();
        let told = self.change(py, |state| {
            let wake = state.end(&self.core, &self.id);
            client = ClientWatch::take(state);
            wake
        });
        client.cancel(py);
        told
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
            // What is to be recalled may turn out to be gone.
            Step::Attempt | Step::Answer(_) | Step::Join | Step::Embed => {
                forward::client_headers(ticket.dialect(), request)
            }
            _ => Vec::new(),
        };
        core.ask_for_vector(&loaded, &ticket);
        let mut state = State::new(ticket, loaded, body, headers);
        state.answer_at_once(&core);
        Self { core, id, state: Mutex::new(state) }
    }

    /// Takes what the store had for it.
    pub(crate) fn fetched(slf: &Bound<'_, Self>, found: Found) -> PyResult<()> {
        let this = slf.get();
        this.change(slf.py(), |state| {
            let wake = state.fetched(&this.core, found);
            this.note_replay(slf, state);
            wake
        })
    }

    /// A replay goes on for as long as its stream did.
    fn note_replay(&self, slf: &Bound<'_, Self>, state: &State) {
        if state.listener.as_ref().is_some_and(|listener| matches!(listener.role, Role::Replays { .. })) {
            self.core.replays.lock().push(slf.clone().unbind());
        }
    }

    /// The vector of its question is there, or will not come.
    pub(crate) fn embedded(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |state| state.embedded(&self.core))
    }

    /// Takes what happened to the exchange and tells the gateway, if it has to do something.
    pub(crate) fn deliver(slf: &Bound<'_, Self>, event: Event) -> PyResult<()> {
        let this = slf.get();
        this.change(slf.py(), |state| {
            if state.closed {
                return None;
            }
            let wake = state.take(&this.core, event);
            if state.left().is_some() {
                this.go_on_for_others(slf, state);
            }
            wake
        })
    }

    /// Nobody but others who share the exchange waits for it: what the gateway would do is done here.
    #[cold]
    fn go_on_for_others(&self, slf: &Bound<'_, Self>, state: &mut State) {
        let again = state.exchange.is_none() && matches!(state.ticket.step(), Step::Attempt);
        if again && !self.start(slf, state) {
            // Nobody waits for this ticket.
            _ = state.end(&self.core, &self.id);
        }
        state.end_for_others(&self.core, &self.id);
    }

    /// Begins what the step says; false if the gateway can go on at once.
    fn begin(&self, slf: &Bound<'_, Self>, state: &mut State) -> PyResult<bool> {
        if matches!(state.ticket.step(), Step::Embed) {
            if state.wait_for_vector(&self.core, slf) {
                return Ok(true);
            }
            _ = state.embedded(&self.core);
        }
        if matches!(state.ticket.step(), Step::Join) && state.join(&self.core) {
            state.call_when_told(slf);
            // What it has joined may have come to something already.
            _ = state.follow(&self.core);
            return Ok(matches!(state.ticket.step(), Step::Join));
        }
        if matches!(state.ticket.step(), Step::Answer(_)) && state.recall(&self.core, slf) {
            return Ok(true);
        }
        self.note_replay(slf, state);
        if !matches!(state.ticket.step(), Step::Attempt) {
            return Ok(false);
        }
        match self.start(slf, state) {
            true => Ok(true),
            false => Err(PyRuntimeError::new_err("there is no attempt to start")),
        }
    }

    /// Starts the exchange of the current attempt; false if there is none.
    fn start(&self, slf: &Bound<'_, Self>, state: &mut State) -> bool {
        let now = self.core.now();
        state.lead(&self.core);
        let id = {
            let Some(exchange) = state.outgoing(slf.py(), now) else { return false };
            exchange.start(&self.core)
        };
        state.ticket.attempt_started(now);
        state.take_off(id);
        self.core.open.lock().insert(id, slf.clone().unbind());
        true
    }

    /// Changes the state, and then tells the gateway of this request, and those of others that wait for it.
    fn change(&self, py: Python<'_>, change: impl FnOnce(&mut State) -> Option<Wake>) -> PyResult<()> {
        let (wake, followers) = {
            let mut state = self.state.lock();
            let wake = change(&mut state);
            (wake, state.take_followers())
        };
        let told = fulfil(py, wake);
        followers.into_iter().fold(told, |told, follower| {
            let this = follower.get();
            let wake = {
                let mut state = this.state.lock();
                let wake = state.follow(&this.core);
                if wake.is_none() && state.waiter.is_some() {
                    state.call_when_told(follower.bind(py));
                }
                wake
            };
            told.and(fulfil(py, wake))
        })
    }
}

/// What tells that the client left, and the task that listens to it.
#[derive(Default)]
struct ClientWatch(Option<Py<PyAny>>, Option<Py<PyAny>>);

impl ClientWatch {
    fn take(state: &mut State) -> Self {
        Self(state.client.take(), state.watcher.take())
    }

    /// Nobody has to know any more.
    fn cancel(self, py: Python<'_>) {
        let Self(_client, Some(watcher)) = self else { return };
        if let Err(error) = watcher.call_method0(py, intern!(py, "cancel")) {
            error.write_unraisable(py, Some(watcher.bind(py)));
        }
    }
}

/// Calls `go_on` at that moment.
fn call_at(ticket: &Bound<'_, PyTicket>, future: &Bound<'_, PyAny>, due: Instant) -> PyResult<()> {
    let py = ticket.py();
    let delay = due.saturating_duration_since(Instant::now()).as_secs_f64();
    let event_loop = future.call_method0(intern!(py, "get_loop"))?;
    let go_on = ticket.getattr(intern!(py, "go_on"))?;
    event_loop.call_method1(intern!(py, "call_later"), (delay, go_on)).map(drop)
}

fn new_id(seed: u64) -> String {
    let mut id = String::with_capacity("req_".len() + 16);
    id.push_str("req_");
    id.extend((0..16).rev().filter_map(|place| char::from_digit((seed >> (4 * place) & 15) as u32, 16)));
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
