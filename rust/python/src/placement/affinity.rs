use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use edgeroute_placement as placement;
use edgeroute_placement::affinity::{PassedOver, Reason};
use edgeroute_placement::{Affinity, Candidate, Node, PrefillRate, SLOTS, Slot, TokensPerByte};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use super::prompt::{Prompt, bytes_of};
use super::refused;
use super::targets::{Targets, whole};

/// Bounded-affinity hashing over an index of who has seen which prefix.
///
/// `targets` are at most 64 names, or a mapping from names to weights. The index keeps to `memory` bytes and forgets
/// what was used longest ago. The other settings are those of [`Affinity`].
///
/// >>> index = AffinityIndex(["gpu-0", "gpu-1"])
/// >>> prompt = Prompt("You are a helpful assistant. " * 100)
/// >>> first = index.choose(prompt)
/// >>> first.reason
/// 'cold'
/// >>> index.insert(prompt, first.target)
/// >>> again = index.choose(prompt)
/// >>> (again.reason, again.target == first.target)
/// ('warm', True)
#[pyclass(frozen, module = "edgeroute.placement")]
pub(crate) struct AffinityIndex {
    affinity: Affinity,
    targets: Targets,
    nodes: Vec<(Slot, Node)>,
    words: Vec<AtomicU64>,
    /// Bits of a [`PrefillRate`].
    prefill_rate: AtomicU32,
}

/// A choice, and all that led to it; as a text, for people.
#[pyclass(frozen, module = "edgeroute.placement")]
pub(crate) struct Decision {
    decision: placement::Decision,
    /// The candidates' names, by position.
    names: Vec<Py<PyString>>,
}

#[pymethods]
impl AffinityIndex {
    #[new]
    #[pyo3(signature = (
        targets, *, memory = 8_388_608, margin_tokens = 256.0, bound_seconds = 0.5, bound_share = 0.25,
        context_share = 0.05
    ))]
    fn new(
        targets: &Bound<'_, PyAny>,
        memory: usize,
        margin_tokens: f64,
        bound_seconds: f64,
        bound_share: f64,
        context_share: f64,
    ) -> PyResult<Self> {
        let affinity =
            Affinity { margin_tokens, bound_seconds, bound_share, context_share, ..Affinity::default() };
        let targets = Targets::new(targets)?;
        let nodes = targets.weighted().enumerate();
        let nodes = nodes.map(|(number, (name, weight))| Ok((Slot::new(number)?, Node::new(name, weight))));
        let nodes = nodes.collect::<Result<_, _>>().map_err(refused)?;
        let count = memory / size_of::<AtomicU64>();
        let mut words = Vec::new();
        let too_much = |_| PyMemoryError::new_err(format!("there are no {memory} bytes for an index"));
        words.try_reserve_exact(count).map_err(too_much)?;
        words.resize_with(count, AtomicU64::default);
        placement::AffinityIndex::new(&words).map_err(refused)?;
        Ok(Self { affinity, targets, nodes, words, prefill_rate: AtomicU32::new(0) })
    }

    /// The target for this prompt; None if all weights are zero.
    #[pyo3(signature = (prompt, loads = None, *, now = 0))]
    fn choose(
        &self,
        py: Python<'_>,
        prompt: &Bound<'_, PyAny>,
        loads: Option<&Bound<'_, PyDict>>,
        now: u32,
    ) -> PyResult<Option<Decision>> {
        let prompt = prompt_of(prompt)?;
        let mut candidates = Vec::with_capacity(self.nodes.len());
        let mut names = Vec::with_capacity(self.nodes.len());
        let loads = match loads {
            None => vec![Some((0, 0)); self.nodes.len()],
            Some(loads) => self.targets.read(loads, load_of)?,
        };
        for (position, (&(slot, node), load)) in (0..).zip(self.nodes.iter().zip(loads)) {
            let (Some((uncached_tokens, context_tokens)), Some(name)) =
                (load, self.targets.name(py, position))
            else {
                continue;
            };
            candidates.push(Candidate { uncached_tokens, context_tokens, ..Candidate::new(slot, node) });
            names.push(name);
        }
        let index = self.index()?;
        let decision = self.affinity.choose(&prompt.view(), &index, &candidates, self.rate(), now);
        Ok(decision.map(|decision| Decision { decision, names }))
    }

    /// This target will have seen the whole prompt.
    #[pyo3(signature = (prompt, target, *, now = 0))]
    fn insert(&self, prompt: &Bound<'_, PyAny>, target: &str, now: u32) -> PyResult<()> {
        self.index()?.insert(prompt_of(prompt)?.blocks(), self.slot(target)?, now);
        Ok(())
    }

    /// How many blocks of the prompt, from its beginning, each target has seen.
    #[pyo3(signature = (prompt, *, now = 0))]
    fn depths<'py>(
        &self,
        py: Python<'py>,
        prompt: &Bound<'py, PyAny>,
        now: u32,
    ) -> PyResult<Bound<'py, PyDict>> {
        let all = self.nodes.iter().fold(0u64, |all, (slot, _)| all | 1 << slot.number());
        let mut depths = [0; SLOTS];
        self.index()?.depths(prompt_of(prompt)?.blocks(), all, now, &mut depths);
        let found = PyDict::new(py);
        for (position, depth) in (0..).zip(depths).take(self.nodes.len()) {
            found.set_item(self.targets.name(py, position), depth)?;
        }
        Ok(found)
    }

    /// The target has lost its cache: what it had seen up to this second does not count any more.
    #[pyo3(signature = (target, *, now = 0))]
    fn reset(&self, target: &str, now: u32) -> PyResult<()> {
        self.index()?.reset(self.slot(target)?, now);
        Ok(())
    }

    /// A prompt's first token came after so many seconds, from a target that read nothing else meanwhile.
    fn learn(&self, uncached_tokens: u64, seconds: f32) {
        let with = |bits| Some(PrefillRate::from_bits(bits).with(uncached_tokens, seconds).to_bits());
        // Some(_) always, so there is no failure.
        let _ = self.prefill_rate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
    }

    /// How many prompt tokens a target reads per second, as learned.
    #[getter]
    fn prefill_rate(&self) -> f32 {
        self.rate().get()
    }

    /// How many blocks the index holds at most.
    #[getter]
    fn capacity(&self) -> PyResult<usize> {
        Ok(self.index()?.capacity())
    }
}

impl AffinityIndex {
    fn index(&self) -> PyResult<placement::AffinityIndex<'_>> {
        placement::AffinityIndex::new(&self.words).map_err(refused)
    }

    fn rate(&self) -> PrefillRate {
        PrefillRate::from_bits(self.prefill_rate.load(Ordering::Relaxed))
    }

    fn slot(&self, target: &str) -> PyResult<Slot> {
        Slot::new(self.targets.position(target)?).map_err(refused)
    }
}

#[pymethods]
impl Decision {
    /// The name of the chosen target.
    #[getter]
    fn target(&self, py: Python<'_>) -> Option<Py<PyString>> {
        self.name(py, self.decision.chosen)
    }

    /// `warm`, `cold`, `warm-over-bound`, `cold-over-bound`, and where all have prices `cheaper` or `leaving-too-dear`.
    #[getter]
    fn reason(&self) -> &'static str {
        match self.decision.reason {
            Reason::Warm => "warm",
            Reason::Cold => "cold",
            Reason::WarmOverBound => "warm-over-bound",
            Reason::ColdOverBound => "cold-over-bound",
            Reason::Cheaper => "cheaper",
            Reason::LeavingTooDear => "leaving-too-dear",
        }
    }

    /// The prompt tokens that the chosen target has to read.
    #[getter]
    fn uncached_tokens(&self) -> f64 {
        self.decision.uncached_tokens()
    }

    /// The blocks that every candidate has seen.
    #[getter]
    fn hub_blocks(&self) -> u16 {
        self.decision.hub_blocks
    }

    /// The load of the least busy candidate with this request, in tokens.
    #[getter]
    fn least_load(&self) -> f64 {
        self.decision.least_load
    }

    /// How far above that load affinity may lead, in tokens.
    #[getter]
    fn bound(&self) -> f64 {
        self.decision.bound
    }

    /// Every candidate: what was known about it, and why it was passed over.
    #[getter]
    fn considered<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let class = py.import("edgeroute.placement")?.getattr("Considered")?;
        let all = PyList::empty(py);
        for (position, (name, considered)) in self.names.iter().zip(&self.decision.considered).enumerate() {
            let passed_over = self.decision.passed_over(position).map(|why| why.to_string());
            all.append(class.call1((
                name.bind(py),
                considered.depth_blocks,
                considered.uncached_tokens,
                considered.load,
                passed_over,
            ))?)?;
        }
        Ok(all)
    }

    /// The chosen target, then the others by load: where to go when the chosen one fails.
    #[getter]
    fn order(&self, py: Python<'_>) -> Vec<Py<PyString>> {
        self.decision.order().into_iter().filter_map(|position| self.name(py, position)).collect()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let target = self.target(py).map_or_else(String::new, |name| name.to_string());
        format!("<Decision {target}: {}>", self.reason())
    }

    fn __str__(&self) -> String {
        let decision = &self.decision;
        let lines =
            self.names.iter().zip(&decision.considered).enumerate().map(|(position, (name, each))| {
                let why = match decision.passed_over(position) {
                    None => Cow::from(format!("chosen: {}", decision.reason)),
                    Some(PassedOver::OverBound) => {
                        let above = each.load - decision.least_load;
                        Cow::from(format!(
                            "over the bound: {above:.0} tokens above the least load, {:.0} allowed",
                            decision.bound
                        ))
                    }
                    Some(why) => Cow::from(why.to_string()),
                };
                let (depth, uncached, load) = (each.depth_blocks, each.uncached_tokens, each.load);
                format!("{name}  {depth} blocks seen, {uncached:.0} to read, load {load:.0}: {why}")
            });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Decision {
    fn name(&self, py: Python<'_>, position: u16) -> Option<Py<PyString>> {
        self.names.get(usize::from(position)).map(|name| name.clone_ref(py))
    }
}

/// A prompt, or the one of this text.
fn prompt_of<'py>(prompt: &Bound<'py, PyAny>) -> PyResult<PyRef<'py, Prompt>> {
    match prompt.cast::<Prompt>() {
        Ok(prompt) => Ok(prompt.borrow()),
        Err(_) => {
            Ok(Bound::new(prompt.py(), Prompt::of(bytes_of(prompt)?, 0, TokensPerByte::default()))?.borrow())
        }
    }
}

/// Uncached tokens and context tokens.
fn load_of(load: &Bound<'_, PyAny>, name: &str) -> PyResult<(u64, u64)> {
    let (uncached, context): (Bound<'_, PyAny>, Bound<'_, PyAny>) = load.extract()?;
    Ok((whole(&uncached, u64::MAX, "load", name)?, whole(&context, u64::MAX, "load", name)?))
}
