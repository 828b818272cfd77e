//! One worker: its row of the memory file, its connections, its configuration, and the log lines not yet written.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use edgeroute_cache::Index;
use edgeroute_router::{LiveFacts, LogFormat, Now, Request, decide, refuse_unread, turn_away};
use edgeroute_shared::{Owner, Row};
use edgeroute_upstream::{Client, Event, ExchangeId, Settings};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::border::{Headers, os_error};
use crate::cells::PyCells;
use crate::embedding::Vectors;
use crate::flight::Flights;
use crate::inquiry::Inquiries;
use crate::recall::Cache;
use crate::snapshot::{Loaded, PySnapshot};
use crate::ticket::PyTicket;

/// What the tickets of a worker share. No lock is held while Python runs, so none is ever waited for; where several
/// are held, a ticket's own comes first.
pub(crate) struct Core {
    pub(crate) row: Arc<Row>,
    pub(crate) client: Mutex<Client>,
    pub(crate) open: Mutex<Open>,
    pub(crate) flights: Flights,
    pub(crate) cache: Cache,
    pub(crate) inquiries: Inquiries,
    pub(crate) vectors: Vectors,
    /// Tickets that replay a stream with its pauses; those that are over go with the next look.
    pub(crate) replays: Mutex<Vec<Py<PyTicket>>>,
    log: Mutex<Vec<u8>>,
    pub(crate) format: LogFormat,
    epoch: Instant,
}

/// The tickets whose exchange is under way.
#[derive(Default)]
pub(crate) struct Open {
    tickets: HashMap<ExchangeId, Py<PyTicket>>,
    /// Exchanges that began since the last look at those that last.
    young: Vec<ExchangeId>,
    /// Those that began between the last two looks. Most have ended.
    older: Vec<ExchangeId>,
    /// Tickets without an exchange of their own, likewise.
    young_others: Vec<Py<PyTicket>>,
    older_others: Vec<Py<PyTicket>>,
}

/// One worker process of a host.
#[pyclass(frozen, module = "edgeroute._native")]
pub(crate) struct Worker {
    core: Arc<Core>,
    loaded: Mutex<Option<Arc<Loaded>>>,
    seed: AtomicU64,
    /// The list that `serve` fills, empty between its calls: growing a new one took two allocations of each.
    events: Mutex<Vec<(ExchangeId, Event)>>,
}

impl Open {
    pub(crate) fn insert(&mut self, exchange: ExchangeId, ticket: Py<PyTicket>) {
        self.tickets.insert(exchange, ticket);
        self.young.push(exchange);
    }

    pub(crate) fn remove(&mut self, exchange: ExchangeId) -> Option<Py<PyTicket>> {
        self.tickets.remove(&exchange)
    }

    pub(crate) fn insert_without_exchange(&mut self, ticket: Py<PyTicket>) {
        self.young_others.push(ticket);
    }

    pub(crate) fn find(&self, py: Python<'_>, exchange: ExchangeId) -> Option<Py<PyTicket>> {
        self.tickets.get(&exchange).map(|ticket| ticket.clone_ref(py))
    }

    /// The tickets of exchanges that began, or were joined, before the last call and after the one before it.
    fn lasting(&mut self, py: Python<'_>) -> Vec<Py<PyTicket>> {
        let young = std::mem::take(&mut self.young_others);
        let mut lasting = std::mem::replace(&mut self.older_others, young);
        let older = std::mem::replace(&mut self.older, std::mem::take(&mut self.young));
        lasting.extend(older.into_iter().filter_map(|exchange| self.find(py, exchange)));
        lasting
    }
}

impl Core {
    pub(crate) fn now(&self) -> Now {
        Now { unix_ms: unix_ms(), monotonic_us: self.epoch.elapsed().as_micros() as u64 }
    }

    /// What a decision may ask, besides the request.
    pub(crate) fn facts<'a>(&'a self, index: Option<&'a Index>, now: Now) -> LiveFacts<'a> {
        let flights = Some(&self.flights as _);
        LiveFacts { cache: index, flights, ..LiveFacts::new(self.row.cells(), now.unix_ms) }
    }

    /// Appends what a finished request writes.
    pub(crate) fn log(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.log.lock());
    }
}

#[pymethods]
impl Worker {
    /// Claims a row of the cells. `seed` starts the draws; `json` chooses the log format.
    #[new]
    fn new(cells: &PyCells, seed: u64, json: bool) -> PyResult<Self> {
        let row = cells.0.claim_row(Owner::current().map_err(os_error)?).map_err(os_error)?;
        row.heartbeat(unix_ms());
        Ok(Self {
            core: Arc::new(Core {
                row: Arc::new(row),
                client: Mutex::new(Client::new(Settings::default()).map_err(os_error)?),
                open: Mutex::default(),
                flights: Flights::default(),
                cache: Cache::default(),
                inquiries: Inquiries::default(),
                vectors: Vectors::default(),
                replays: Mutex::default(),
                log: Mutex::default(),
                format: if json { LogFormat::Json } else { LogFormat::Text },
                epoch: Instant::now(),
            }),
            loaded: Mutex::default(),
            seed: AtomicU64::new(seed),
            events: Mutex::default(),
        })
    }

    /// The descriptor that becomes readable when `serve` has something to do.
    fn fileno(&self) -> i32 {
        self.core.client.lock().as_raw_fd()
    }

    /// The published generation.
    #[getter]
    fn published(&self) -> u64 {
        self.core.row.cells().generation().load(Ordering::Acquire)
    }

    /// Compiles published bytes, finding their cells. The interpreter is released meanwhile.
    fn compile(&self, py: Python<'_>, normalised: &[u8], generation: u64) -> PyResult<PySnapshot> {
        py.detach(|| Loaded::compile(normalised, self.core.row.cells(), generation))
            .map(|loaded| PySnapshot(Arc::new(loaded)))
    }

    /// Requests that begin from now on see this snapshot. Connections that it does not need are closed when idle.
    fn configure(&self, snapshot: &PySnapshot) {
        self.core.row.generation().store(snapshot.0.snapshot.generation, Ordering::Release);
        *self.loaded.lock() = Some(Arc::clone(&snapshot.0));
        let mut client = self.core.client.lock();
        self.core.cache.configure(snapshot.0.snapshot.cache.as_ref(), client.waker());
        client.set_max_body(snapshot.0.snapshot.max_reply);
        client.retain(snapshot.0.origins.iter().flatten().map(|origin| &**origin));
    }

    /// Says that the worker lives, and what its store has lost.
    fn heartbeat(&self) {
        self.core.row.heartbeat(unix_ms());
        self.core.cache.count(self.core.row.cells());
    }

    /// Decides a request; the ticket's `step` says what to do. `peer` is the address of the TCP peer, with or without
    /// its port, empty if unknown.
    fn decide(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &Bound<'_, PyList>,
        peer: &str,
        body: &Bound<'_, PyBytes>,
    ) -> PyResult<PyTicket> {
        let now = self.core.now();
        let loaded = self.loaded()?;
        let headers = Headers::new(headers)?;
        let fields = headers.fields()?;
        let request =
            Request { method, path, query, headers: fields.as_slice().into(), peer, body: body.as_bytes() };
        let mut index = loaded.snapshot.cache.as_ref().map(|_| self.core.cache.index.lock());
        let facts = self.core.facts(index.as_deref().and_then(Option::as_ref), now);
        let seed = self.next_seed();
        let ticket = decide(&loaded.snapshot, &self.core.row, &facts, &request, now, seed);
        if let Some((raw, keys)) = ticket.remembered()
            && let Some(index) = index.as_deref_mut().and_then(Option::as_mut)
        {
            index.remember(raw, keys);
        }
        drop(index);
        Ok(PyTicket::new(Arc::clone(&self.core), loaded, ticket, &request, body.clone().unbind(), seed))
    }

    /// A ticket that refuses a request before its body is read, by its head or because the body is late; None if the
    /// body has to be read.
    fn refuse_unread(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &Bound<'_, PyList>,
        peer: &str,
        late: bool,
    ) -> PyResult<Option<PyTicket>> {
        let py = headers.py();
        let headers = Headers::new(headers)?;
        let fields = headers.fields()?;
        let request = Request { method, path, query, headers: fields.as_slice().into(), peer, body: &[] };
        let loaded = self.loaded()?;
        let ticket = refuse_unread(&loaded.snapshot, &self.core.row, &request, late, self.core.now());
        Ok(ticket.map(|ticket| {
            let body = PyBytes::new(py, &[]).unbind();
            PyTicket::new(Arc::clone(&self.core), loaded, ticket, &request, body, self.next_seed())
        }))
    }

    /// Counts a request that is refused because as many as may be are open; returns the caller's dialect.
    fn turn_away(&self, path: &str, headers: &Bound<'_, PyList>) -> PyResult<&'static str> {
        let headers = Headers::new(headers)?;
        let fields = headers.fields()?;
        let request =
            Request { method: "", path, query: "", headers: fields.as_slice().into(), peer: "", body: &[] };
        Ok(turn_away(&self.loaded()?.snapshot, &self.core.row, &request).name())
    }

    /// Tickets whose exchange has lasted since the call before the last one, with what tells that their client left:
    /// each once.
    fn lasting(&self, py: Python<'_>) -> Vec<(Py<PyTicket>, Py<PyAny>)> {
        let tickets = self.core.open.lock().lasting(py);
        let replays = self.take_replays();
        self.core.replays.lock().extend(replays);
        let unwatched = |ticket: Py<PyTicket>| {
            let client = ticket.get().take_client()?;
            Some((ticket, client))
        };
        tickets.into_iter().filter_map(unwatched).collect()
    }

    /// Serves the sockets that are ready and the deadlines that have passed. True: call again soon.
    fn serve(&self, py: Python<'_>) -> PyResult<bool> {
        let mut events = std::mem::take(&mut *self.events.lock());
        let mut served = Ok(());
        let more = self.core.client.lock().poll(Instant::now(), &mut events);
        for (exchange, event) in events.drain(..) {
            let last = !matches!(event, Event::Head(_) | Event::Chunk(_));
            let ticket = {
                let mut open = self.core.open.lock();
                if last { open.remove(exchange) } else { open.find(py, exchange) }
            };
            if let Some(ticket) = ticket {
                served = served.and(PyTicket::deliver(ticket.bind(py), event));
                continue;
            }
            for ticket in self.core.take_inquiry(exchange, event) {
                served = served.and(ticket.get().embedded(py));
            }
        }
        *self.events.lock() = events;
        let (fetched, more_news) = self.core.cache.follow(self.core.row.cells());
        for (ticket, found) in fetched {
            served = served.and(PyTicket::fetched(ticket.bind(py), found));
        }
        self.core.judge();
        served.map(|()| more || more_news)
    }

    /// Sentences for the operator about the cache, since the last call.
    fn take_warnings(&self) -> Vec<String> {
        self.core.cache.take_warnings()
    }

    /// Ends the requests under way, telling their clients that the router is stopping; returns how many.
    fn stop(&self, py: Python<'_>) -> PyResult<usize> {
        let open = std::mem::take(&mut *self.core.open.lock()).tickets;
        let mut all: Vec<_> = open.into_values().chain(self.take_replays()).collect();
        all.extend(self.core.cache.take_waiting());
        all.extend(self.core.vectors.take_waiting());
        let told = all.iter().map(|ticket| ticket.get().stop(py)).fold(Ok(()), Result::and);
        told.map(|()| all.len())
    }

    /// Closes the tickets whose exchange is under way, and the cache's store. Nothing is reported to them any more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let open = std::mem::take(&mut *self.core.open.lock());
        let closed = open.tickets.values().map(|ticket| ticket.get().end(py)).fold(Ok(()), Result::and);
        self.core.flights.clear();
        self.core.end_inquiries();
        self.core.vectors.forget();
        let _replays = std::mem::take(&mut *self.core.replays.lock());
        let _nobody_waits_for_it = py.detach(|| self.core.cache.close());
        closed
    }

    /// The log lines since the last call.
    fn take_log<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let log = std::mem::take(&mut *self.core.log.lock());
        PyBytes::new(py, &log)
    }
}

impl Worker {
    fn loaded(&self) -> PyResult<Arc<Loaded>> {
        self.loaded.lock().clone().ok_or_else(no_configuration)
    }

    /// The replays that go on.
    fn take_replays(&self) -> Vec<Py<PyTicket>> {
        let replays = std::mem::take(&mut *self.core.replays.lock());
        replays.into_iter().filter(|ticket| !ticket.get().is_over()).collect()
    }

    fn next_seed(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut state = self.seed.fetch_add(STEP, Ordering::Relaxed);
        edgeroute_placement::splitmix(&mut state)
    }
}

#[cold]
fn no_configuration() -> PyErr {
    PyRuntimeError::new_err("the worker has no configuration yet")
}

pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
