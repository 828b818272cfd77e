//! One worker: its row of the memory file, its connections, its configuration, and the log lines not yet written.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use edgeroute_router::{LiveFacts, LogFormat, Now, Request, decide, refuse_unread, turn_away};
use edgeroute_shared::{Owner, Row};
use edgeroute_upstream::{Client, Event, ExchangeId, Settings};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::border::{Headers, os_error};
use crate::cells::PyCells;
use crate::snapshot::{Loaded, PySnapshot};
use crate::ticket::PyTicket;

/// What the tickets of a worker share. No lock is held while Python runs, so none is ever waited for; where several
/// are held, a ticket's own comes first.
pub(crate) struct Core {
    pub(crate) row: Arc<Row>,
    pub(crate) client: Mutex<Client>,
    pub(crate) open: Mutex<Open>,
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

    /// The tickets of exchanges that began before the last call and after the one before it.
    fn lasting(&mut self, py: Python<'_>) -> Vec<Py<PyTicket>> {
        let older = std::mem::replace(&mut self.older, std::mem::take(&mut self.young));
        older.iter().filter_map(|exchange| Some(self.tickets.get(exchange)?.clone_ref(py))).collect()
    }
}

impl Core {
    pub(crate) fn now(&self) -> Now {
        Now { unix_ms: unix_ms(), monotonic_us: self.epoch.elapsed().as_micros() as u64 }
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
        client.set_max_body(snapshot.0.snapshot.max_reply);
        client.retain(snapshot.0.origins.iter().flatten().map(|origin| &**origin));
    }

    /// Says that the worker lives.
    fn heartbeat(&self) {
        self.core.row.heartbeat(unix_ms());
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
        let facts = LiveFacts { cells: self.core.row.cells(), unix_ms: now.unix_ms };
        let seed = self.next_seed();
        let ticket = decide(&loaded.snapshot, &self.core.row, &facts, &request, now, seed);
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
                if last {
                    open.remove(exchange)
                } else {
                    open.tickets.get(&exchange).map(|ticket| ticket.clone_ref(py))
                }
            };
            if let Some(ticket) = ticket {
                served = served.and(ticket.get().deliver(py, event));
            }
        }
        *self.events.lock() = events;
        served.map(|()| more)
    }

    /// Ends the requests under way, telling their clients that the router is stopping; returns how many.
    fn stop(&self, py: Python<'_>) -> PyResult<usize> {
        let open = std::mem::take(&mut *self.core.open.lock()).tickets;
        let told = open.values().map(|ticket| ticket.get().stop(py)).fold(Ok(()), Result::and);
        told.map(|()| open.len())
    }

    /// Closes the tickets whose exchange is under way. Nothing is reported to them any more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let open = std::mem::take(&mut *self.core.open.lock()).tickets;
        open.into_values().map(|ticket| ticket.get().close(py)).fold(Ok(()), Result::and)
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
