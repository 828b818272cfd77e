//! Rules from Python: rule sets and expressions that a person can ask in a REPL, and checking the rules of a
//! configuration.

mod diagnostics;
mod expression;
mod values;
mod variables;

pub(crate) use expression::Expression;

use edgeroute_router::{VARIABLES, environment};
use edgeroute_rules as rules;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyMapping, PyString, PyTuple};

use variables::Variables;

/// Conditions in CEL that are tried in order, for use without a router.
///
/// They are known by the names of a mapping, or by their positions in a list; one text is a list of one. What is
/// evaluated is a mapping from variables to values; `edgeroute.rules` says which Python values.
#[pyclass(frozen, generic, module = "edgeroute.rules")]
pub(crate) struct RuleSet {
    keys: Vec<Py<PyAny>>,
    conditions: Vec<String>,
    variables: Variables,
    compiled: rules::RuleSet,
}

#[pymethods]
impl RuleSet {
    #[new]
    #[pyo3(signature = (rules, variables = None))]
    fn new(rules: &Bound<'_, PyAny>, variables: Option<&Bound<'_, PyMapping>>) -> PyResult<Self> {
        let py = rules.py();
        let (keys, conditions) = keyed(rules)?;
        let variables = Variables::new(py, variables, environment)?;
        let compiled = py.detach(|| rules::RuleSet::compile(&variables.environment, &conditions));
        let compiled = compiled.map_err(|errors| {
            let errors = errors.iter().filter_map(|(index, error)| {
                Some((Some(keys.get(*index)?.bind(py)), conditions.get(*index)?.as_str(), error))
            });
            diagnostics::rule_error(py, errors)
        })?;
        Ok(Self { keys, conditions, variables, compiled })
    }

    fn __len__(&self) -> usize {
        self.conditions.len()
    }

    /// The first rule that holds; one that cannot be evaluated does not.
    fn first_match(&self, py: Python<'_>, mapping: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        let first = self.first(mapping)?;
        Ok(first.and_then(|first| self.key(py, first)))
    }

    /// The first match of each mapping.
    fn evaluate_batch(
        &self,
        py: Python<'_>,
        mappings: &Bound<'_, PyAny>,
    ) -> PyResult<Vec<Option<Py<PyAny>>>> {
        let one = |mapping: PyResult<Bound<'_, PyAny>>| {
            Ok(self.first(&mapping?)?.and_then(|first| self.key(py, first)))
        };
        mappings.try_iter()?.map(one).collect()
    }

    /// Whether each rule holds; None if it cannot be evaluated, of which `explain` tells the reason.
    fn evaluate<'py>(&self, py: Python<'py>, mapping: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
        let outcomes = PyDict::new(py);
        for (key, outcome) in self.keys.iter().zip(self.outcomes(mapping)?) {
            outcomes.set_item(key, outcome.ok())?;
        }
        Ok(outcomes)
    }

    /// What came of each rule and why, as data and, by `str`, for people.
    fn explain<'py>(&self, py: Python<'py>, mapping: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let module = py.import("edgeroute.rules")?;
        let outcome_of = module.getattr("Outcome")?;
        let rules = PyList::empty(py);
        let mut first = None;
        let outcomes = self.outcomes(mapping)?;
        for ((key, condition), outcome) in self.keys.iter().zip(&self.conditions).zip(outcomes) {
            let (holds, diagnostic) = match outcome {
                Ok(holds) => (Some(holds), None),
                Err(error) => {
                    let found = error.into();
                    (None, Some(diagnostics::to_python(Some(key.bind(py)), condition, &found, py)?))
                }
            };
            if holds == Some(true) {
                first.get_or_insert(key);
            }
            rules.append(outcome_of.call1((key, condition, holds, diagnostic))?)?;
        }
        module.getattr("Explanation")?.call1((first, rules.to_tuple()))
    }
}

impl RuleSet {
    fn first(&self, mapping: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        let bindings = self.variables.bind(mapping)?;
        let first = self.compiled.pass(&bindings).first_match(&[], |_, _| ());
        bindings.finish(first.map(|first| first.rule))
    }

    fn outcomes(&self, mapping: &Bound<'_, PyAny>) -> PyResult<Vec<Result<bool, rules::EvaluationError>>> {
        let bindings = self.variables.bind(mapping)?;
        let outcomes = {
            let mut pass = self.compiled.pass(&bindings);
            (0..self.conditions.len()).map(|index| pass.evaluate(index)).collect()
        };
        bindings.finish(outcomes)
    }

    fn key(&self, py: Python<'_>, index: usize) -> Option<Py<PyAny>> {
        self.keys.get(index).map(|key| key.clone_ref(py))
    }
}

/// What rules are known by, and their conditions: a mapping's keys, otherwise positions.
fn keyed(rules: &Bound<'_, PyAny>) -> PyResult<(Vec<Py<PyAny>>, Vec<String>)> {
    if let Ok(named) = rules.cast::<PyMapping>() {
        let entry = |item: Bound<'_, PyAny>| {
            let (name, condition): (Bound<'_, PyString>, String) = item.cast::<PyTuple>()?.extract()?;
            Ok((name.into_any().unbind(), condition))
        };
        return named
            .items()?
            .iter()
            .map(entry)
            .collect::<PyResult<Vec<_>>>()
            .map(|all| all.into_iter().unzip());
    }
    let conditions = match rules.cast::<PyString>() {
        Ok(one) => vec![one.extract()?],
        Err(_) => rules.extract::<Vec<String>>()?,
    };
    let position = |index: usize| Ok(index.into_pyobject(rules.py())?.into_any().unbind());
    Ok(((0..conditions.len()).map(position).collect::<PyResult<_>>()?, conditions))
}

/// One error of a rule: its index, byte span, message and help.
type Finding = (usize, usize, usize, String, Option<String>);

/// Compiles rule conditions together and returns every error.
#[pyfunction]
pub(crate) fn check_rules(expressions: Vec<String>) -> Vec<Finding> {
    match rules::RuleSet::compile(&environment(), &expressions) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .into_iter()
            .map(|(index, error)| (index, error.span.start, error.span.end, error.message, error.help))
            .collect(),
    }
}

/// The variables of rules, for the reference documentation: name, type, example and description of each.
#[pyfunction]
pub(crate) fn rule_variables() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    VARIABLES.iter().map(|each| (each.name, each.of_type, each.example, each.description)).collect()
}
