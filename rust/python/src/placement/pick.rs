//! Picks that look at no key: in turn, by load, by latency.

use edgeroute_placement as placement;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::refused;
use super::targets::{Targets, whole};

/// Smooth weighted round robin.
///
/// >>> turns = RoundRobin({"gpu-0": 2, "gpu-1": 1})
/// >>> [turns.at(turn) for turn in range(4)]
/// ['gpu-0', 'gpu-1', 'gpu-0', 'gpu-0']
#[pyclass(frozen, module = "edgeroute.placement")]
pub(crate) struct RoundRobin {
    targets: Targets,
    round: placement::RoundRobin,
}

#[pymethods]
impl RoundRobin {
    #[new]
    fn new(targets: &Bound<'_, PyAny>) -> PyResult<Self> {
        let targets = Targets::new(targets)?;
        let round = placement::RoundRobin::new(targets.weights()).map_err(refused)?;
        Ok(Self { targets, round })
    }

    /// Whose turn it is.
    fn at(&self, py: Python<'_>, turn: u64) -> Option<Py<PyString>> {
        self.targets.name(py, self.round.at(turn))
    }
}

/// What a target's requests have taken: to the first token by size of prompt, and per further token. Peaks count at
/// once and are forgiven over ten seconds.
#[pyclass(module = "edgeroute.placement")]
pub(crate) struct Latency(placement::Latency);

#[pymethods]
impl Latency {
    #[new]
    fn new() -> Self {
        Self(placement::Latency::default())
    }

    /// A request's first token came after so many milliseconds.
    fn record_first_token(&mut self, prompt_tokens: u64, milliseconds: f32, now_ms: u32) {
        self.0.record_first_token(prompt_tokens, milliseconds, now_ms);
    }

    /// Further tokens took so many milliseconds each.
    fn record_per_token(&mut self, prompt_tokens: u64, milliseconds: f32, now_ms: u32) {
        self.0.record_per_token(prompt_tokens, milliseconds, now_ms);
    }

    /// What such a request would take in milliseconds, times the requests that wait with it.
    fn cost(&self, prompt_tokens: u64, output_tokens: u64, in_flight: u32) -> f64 {
        self.0.cost(prompt_tokens, output_tokens, in_flight)
    }
}

/// The target with the fewest tokens in flight if it took `tokens` more; equal ones take turns by `seed`.
#[pyfunction]
#[pyo3(signature = (loads, *, tokens = 0, seed = 0))]
pub(crate) fn least_load(loads: &Bound<'_, PyDict>, tokens: u64, seed: u64) -> PyResult<Py<PyString>> {
    pick(loads, |loads| placement::least_load(loads, tokens, seed))
}

/// The one with fewer tokens in flight of two targets that `seed` draws.
#[pyfunction]
#[pyo3(signature = (loads, *, tokens = 0, seed = 0))]
pub(crate) fn power_of_two(loads: &Bound<'_, PyDict>, tokens: u64, seed: u64) -> PyResult<Py<PyString>> {
    pick(loads, |loads| placement::power_of_two(loads, tokens, seed))
}

fn pick(
    loads: &Bound<'_, PyDict>,
    choose: impl Fn(&[placement::Load]) -> Option<u16>,
) -> PyResult<Py<PyString>> {
    let most = usize::from(u16::MAX);
    if loads.len() > most {
        return Err(refused(placement::Error::TooManyTargets { count: loads.len(), most }));
    }
    let mut names = Vec::with_capacity(loads.len());
    let mut read = Vec::with_capacity(loads.len());
    for (name, load) in loads {
        let name = name.cast_into::<PyString>()?;
        read.push(placement::Load { tokens: whole(&load, u64::MAX, "load", name.to_str()?)?, weight: 1 });
        names.push(name);
    }
    let chosen = choose(&read).and_then(|chosen| names.get(usize::from(chosen)));
    chosen.map(|name| name.clone().unbind()).ok_or_else(|| refused(placement::Error::NoTargets))
}
