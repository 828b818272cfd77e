//! Compiling and asking a configuration, without serving it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use edgeroute_router::{Provider, Replica, RuleSearch, Snapshot, WrittenRequest, without_text};
use edgeroute_rules::Timestamp;
use edgeroute_shared::{Cells, Layout};
use edgeroute_upstream::{Limits, Origin, Proxy, Roots};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::border::{os_error, value_error};
use crate::cells::PyCells;
use crate::worker::unix_ms;

/// A compiled configuration.
#[pyclass(frozen, name = "Snapshot", module = "edgeroute._native")]
pub(crate) struct PySnapshot(pub(crate) Arc<Loaded>);

/// A snapshot with the origins of its replicas, by provider and replica.
pub(crate) struct Loaded {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) origins: Vec<Vec<Arc<Origin>>>,
    cells: Cells,
}

#[pymethods]
impl PySnapshot {
    /// Compiles the bytes that the supervisor published. The interpreter is released meanwhile.
    #[staticmethod]
    fn compile(py: Python<'_>, normalised: &[u8], cells: &PyCells, generation: u64) -> PyResult<Self> {
        py.detach(|| Loaded::compile(normalised, &cells.0, generation)).map(|loaded| Self(Arc::new(loaded)))
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.snapshot.generation
    }

    #[getter]
    fn max_body(&self) -> usize {
        self.0.snapshot.max_body
    }

    #[getter]
    fn max_in_flight(&self) -> usize {
        self.0.snapshot.max_in_flight
    }

    /// Milliseconds in which the body of a request must arrive.
    #[getter]
    fn body_ms(&self) -> u64 {
        self.0.snapshot.defaults.body_ms
    }

    /// Targets and limits as they stand, as JSON. Nothing is reserved.
    fn status(&self, now_ms: u64) -> PyResult<Vec<u8>> {
        serde_json::to_vec(&self.0.snapshot.status(&self.0.cells, now_ms)).map_err(value_error)
    }

    /// Provider, name (base URL, `URL@address` where it was discovered) and breaker of each replica: `closed`, `open` or `half-open`.
    fn replicas(&self, now_ms: u64) -> Vec<(&str, &str, &'static str)> {
        let replicas = self.0.snapshot.replicas(&self.0.cells, now_ms);
        replicas.map(|(provider, replica)| (provider, replica.url, replica.breaker)).collect()
    }
}

impl Loaded {
    pub(crate) fn compile(normalised: &[u8], cells: &Cells, generation: u64) -> PyResult<Self> {
        let snapshot = Snapshot::compile(normalised, cells, generation, unix_ms()).map_err(value_error)?;
        let origins = snapshot.providers.iter().map(origins).collect::<PyResult<_>>()?;
        Ok(Self { snapshot: Arc::new(snapshot), origins, cells: cells.clone() })
    }
}

/// Where each replica of a provider is reached, and whom it must show a certificate of.
fn origins(provider: &Provider) -> PyResult<Vec<Arc<Origin>>> {
    let invalid = |what: &str, error: &dyn std::fmt::Display| {
        value_error(format!("provider `{}`: {what}: {error}", provider.name))
    };
    let roots = provider.ca.as_deref().map(Roots::from_pem).transpose();
    let roots = roots.map_err(|error| invalid("ca_file", &error))?;
    let origin = |replica: &Replica| {
        let origin = Origin::parse(&replica.url).map_err(|error| invalid(&replica.url, &error))?;
        let mut origin = origin
            .limited_to(Limits { connections: provider.max_connections, waiting: provider.max_connections });
        if let Some(address) = replica.address {
            origin = origin.at(address);
        }
        if let Some(proxy) = &replica.proxy {
            let proxy = Proxy::parse(proxy.reveal()).map_err(|error| invalid("proxy", &error))?;
            origin = origin.through(proxy);
        }
        if let Some(roots) = &roots {
            origin = origin.trusting(roots.clone());
        }
        Ok(Arc::new(origin))
    };
    provider.replicas.iter().map(origin).collect()
}

/// Explains the decisions on written requests (JSON) under a normalised configuration, which is compiled once for all.
/// Nothing is reserved.
#[pyfunction]
pub(crate) fn explain(normalised: &[u8], requests: Vec<PyBackedBytes>) -> PyResult<Vec<Vec<u8>>> {
    let snapshot = compile_alone(normalised)?;
    requests.iter().map(|request| explain_one(&snapshot, request)).collect()
}

/// How the rules of a normalised configuration are searched, as JSON.
#[pyfunction]
pub(crate) fn explain_rules(normalised: &[u8]) -> PyResult<Vec<u8>> {
    serde_json::to_vec(&RuleSearch::of(&compile_alone(normalised)?)).map_err(value_error)
}

pub(crate) fn compile_alone(normalised: &[u8]) -> PyResult<Snapshot> {
    let cells = Cells::anonymous(Layout::default()).map_err(os_error)?;
    Snapshot::compile(normalised, &cells, 0, unix_ms()).map_err(value_error)
}

fn explain_one(snapshot: &Snapshot, request: &[u8]) -> PyResult<Vec<u8>> {
    let mut request: WrittenRequest = WrittenRequest::read(request)
        .map_err(|error| value_error(format!("the request file: {}", without_text(&error))))?;
    if request.facts.now.is_none() {
        request.facts.now = wall_clock();
    }
    serde_json::to_vec(&edgeroute_router::explain(snapshot, &request)).map_err(value_error)
}

pub(crate) fn wall_clock() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_unix(i64::try_from(since.as_secs()).ok()?, 0)
}
