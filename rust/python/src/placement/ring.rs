use edgeroute_placement as placement;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::prompt::bytes_of;
use super::refused;
use super::targets::{Targets, whole};
use crate::border::value_error;

/// Consistent hashing with bounded loads.
///
/// `targets` are names, or a mapping from names to weights (0 takes nothing). Each has `virtual_nodes` points on the
/// ring per unit of weight. No target takes more than `load_factor` times its share of the requests in flight.
///
/// >>> ring = Ring(["gpu-0", "gpu-1", "gpu-2"])
/// >>> ring.order("session 42")
/// ['gpu-2', 'gpu-0', 'gpu-1']
/// >>> ring.choose("session 42", {"gpu-0": 3, "gpu-1": 4, "gpu-2": 9})
/// 'gpu-0'
#[pyclass(frozen, module = "edgeroute.placement")]
pub(crate) struct Ring {
    targets: Targets,
    ring: placement::Ring,
}

#[pymethods]
impl Ring {
    #[new]
    #[pyo3(signature = (targets, *, virtual_nodes = 256, load_factor = 1.25))]
    fn new(targets: &Bound<'_, PyAny>, virtual_nodes: u32, load_factor: f64) -> PyResult<Self> {
        let targets = Targets::new(targets)?;
        let percent = (load_factor * 100.0).round();
        if !(0.0..=f64::from(u32::MAX)).contains(&percent) {
            return Err(value_error(format!(
                "a load factor is a number from 1, as 1.25; it is {load_factor}"
            )));
        }
        let ring =
            placement::Ring::new(targets.weighted(), virtual_nodes, percent as u32).map_err(refused)?;
        Ok(Self { targets, ring })
    }

    /// Where the key goes: the first target clockwise that has room.
    #[pyo3(signature = (key, loads = None))]
    fn choose(
        &self,
        py: Python<'_>,
        key: &Bound<'_, PyAny>,
        loads: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Option<Py<PyString>>> {
        let key = placement::key(0, bytes_of(key)?);
        let loads = match loads {
            None => vec![Some(0); self.targets.weights().len()],
            Some(loads) => self
                .targets
                .read(loads, |load, name| Ok(whole(load, u32::MAX.into(), "load", name)? as u32))?,
        };
        Ok(self.ring.choose(key, &loads).and_then(|target| self.targets.name(py, target)))
    }

    /// The targets in the order in which the key meets them, whatever their load.
    fn order(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyString>>> {
        let order = self.ring.order(placement::key(0, bytes_of(key)?));
        Ok(order.into_iter().filter_map(|target| self.targets.name(py, target)).collect())
    }
}
