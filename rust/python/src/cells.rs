//! The memory file as the supervisor sees it.

use std::sync::atomic::Ordering;

use edgeroute_router::{engine_cell, engine_word};
use edgeroute_shared::{Cells, Layout, Owner};
use pyo3::prelude::*;

use crate::border::os_error;

/// The memory file.
#[pyclass(frozen, name = "Cells", module = "edgeroute._native")]
pub(crate) struct PyCells(pub(crate) Cells);

/// A worker that has claimed a row.
#[pyclass(frozen, get_all, module = "edgeroute._native")]
pub(crate) struct WorkerStatus {
    row: u32,
    pid: u32,
    started: u64,
    generation: u64,
    heartbeat_ms: u64,
    alive: bool,
}

#[pymethods]
impl PyCells {
    /// Makes the file, fully allocated; it must not exist.
    #[staticmethod]
    fn create(path: &str) -> PyResult<Self> {
        Cells::create(path, Layout::default()).map(Self).map_err(os_error)
    }

    /// Opens a file that this version made.
    #[staticmethod]
    fn open(path: &str) -> PyResult<Self> {
        Cells::open(path).map(Self).map_err(os_error)
    }

    /// Cells that no other process sees.
    #[staticmethod]
    fn anonymous() -> PyResult<Self> {
        Cells::anonymous(Layout::default()).map(Self).map_err(os_error)
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.0.generation().load(Ordering::Acquire)
    }

    /// Tells all workers that this generation's file is in place.
    fn publish(&self, generation: u64) {
        self.0.generation().store(generation, Ordering::Release);
    }

    fn workers(&self) -> Vec<WorkerStatus> {
        self.0
            .rows()
            .map(|row| WorkerStatus {
                row: row.index,
                pid: row.owner.pid,
                started: row.owner.started,
                generation: row.generation,
                heartbeat_ms: row.heartbeat_ms,
                alive: row.owner.is_alive(),
            })
            .collect()
    }

    fn sums(&self) -> Vec<(String, u64)> {
        self.0.sums().collect()
    }

    fn gauges(&self) -> Vec<(String, u64)> {
        self.0.gauges().collect()
    }

    /// Tells the workers what the engine of a replica says of itself.
    #[pyo3(signature = (provider, replica, running, waiting, cache_per_mille, unix_s))]
    fn write_engine_signals(
        &self,
        provider: &str,
        replica: &str,
        running: u64,
        waiting: u64,
        cache_per_mille: u64,
        unix_s: u64,
    ) -> PyResult<()> {
        let cell = self.0.exact(&engine_cell(provider, replica)).map_err(os_error)?;
        let word = engine_word(running, waiting, cache_per_mille, unix_s);
        self.0.at(cell).store(word, Ordering::Relaxed);
        Ok(())
    }

    /// Empties the rows of dead workers and gives back what they had reserved; returns the ids of those that died
    /// without leaving their row.
    fn reap(&self) -> PyResult<Vec<u32>> {
        let reaper = Owner::current().map_err(os_error)?;
        let rows = edgeroute_limits::reap(&self.0, reaper, Owner::is_alive).map_err(os_error)?;
        Ok(rows.into_iter().flatten().map(|owner| owner.pid).collect())
    }
}
