//! Rules from Python: a rule set that a person can ask in a REPL, and checking the rules of a configuration.

use edgeroute_router::{VARIABLES, environment};
use edgeroute_rules as rules;
use edgeroute_rules::{Attribute, Environment, EvaluationError, Source, Type, Value};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::border::value_error;

/// Lists and maps may be nested this deep, as request bodies may.
const MAX_DEPTH: u32 = 64;

/// Conditions by name, tried in order.
#[pyclass(frozen, module = "edgeroute._native")]
pub(crate) struct RuleSet {
    names: Vec<String>,
    conditions: Vec<String>,
    variables: Vec<String>,
    environment: Environment,
    compiled: rules::RuleSet,
}

#[pymethods]
impl RuleSet {
    /// Compiles conditions against declared variables, or against those that edgeroute's rules have.
    #[new]
    #[pyo3(signature = (conditions, variables = None))]
    fn new(conditions: &Bound<'_, PyDict>, variables: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let (environment, variables) = match variables {
            Some(written) => declared(written)?,
            None => (environment(), VARIABLES.iter().map(|(name, _)| (*name).to_owned()).collect()),
        };
        let mut names = Vec::with_capacity(conditions.len());
        let mut texts = Vec::with_capacity(conditions.len());
        for (name, condition) in conditions {
            names.push(name.extract::<String>()?);
            texts.push(condition.extract::<String>()?);
        }
        let compiled = rules::RuleSet::compile(&environment, &texts).map_err(|errors| {
            let rendered = errors
                .iter()
                .filter_map(|(index, error)| Some(error.render(names.get(*index)?, texts.get(*index)?)));
            value_error(rendered.collect::<Vec<_>>().join("\n"))
        })?;
        Ok(Self { names, conditions: texts, variables, environment, compiled })
    }

    /// The names of the rules in order.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// The name of the first rule that holds. A rule that cannot be evaluated does not hold.
    #[pyo3(name = "match")]
    fn first_match(&self, values: &Bound<'_, PyDict>) -> PyResult<Option<String>> {
        let values = self.read(values)?;
        let found = self.compiled.pass(&values).first_match(&[], |_, _| ());
        Ok(found.and_then(|found| self.names.get(found.rule).cloned()))
    }

    /// Each rule with whether it holds, or with the reason why that cannot be said.
    fn outcomes<'py>(
        &self,
        py: Python<'py>,
        values: &Bound<'py, PyDict>,
    ) -> PyResult<Vec<(String, Bound<'py, PyAny>)>> {
        let values = self.read(values)?;
        let mut pass = self.compiled.pass(&values);
        let outcome = |(index, (name, condition)): (usize, (&String, &String))| {
            let outcome = match pass.evaluate(index) {
                Ok(truth) => PyBool::new(py, truth).to_owned().into_any(),
                Err(error) => PyString::new(py, &reason(error, condition)).into_any(),
            };
            (name.clone(), outcome)
        };
        Ok(self.names.iter().zip(&self.conditions).enumerate().map(outcome).collect())
    }
}

impl RuleSet {
    fn read(&self, given: &Bound<'_, PyDict>) -> PyResult<Values> {
        let mut values = vec![None; self.variables.len()];
        for (name, value) in given {
            let name: String = name.extract()?;
            let Some(slot) = self
                .variables
                .iter()
                .position(|variable| *variable == name)
                .and_then(|index| values.get_mut(index))
            else {
                let known = self.variables.join(", ");
                return Err(value_error(format!("there is no variable `{name}`; there are {known}")));
            };
            let lowercase = self.environment.has_lowercase_keys(&name);
            *slot = Some(value_of(&value, lowercase, MAX_DEPTH)?);
        }
        Ok(Values(values))
    }
}

/// What was given for each variable.
struct Values(Vec<Option<Value<'static>>>);

impl Source for Values {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        let value = self.0.get(attribute.variable)?.as_ref()?;
        match (&attribute.key, value) {
            (None, _) => Some(value.borrowed()),
            (Some(key), Value::Map(entries)) => {
                let found =
                    entries.iter().find(|(name, _)| matches!(name, Value::String(name) if **name == **key));
                found.map(|(_, value)| value.borrowed())
            }
            (Some(_), _) => None,
        }
    }
}

fn declared(written: &Bound<'_, PyDict>) -> PyResult<(Environment, Vec<String>)> {
    let mut environment = Environment::new();
    let mut names = Vec::with_capacity(written.len());
    for (name, of_type) in written {
        let name: String = name.extract()?;
        let of_type: Type = of_type
            .extract::<&str>()?
            .parse()
            .map_err(|error| value_error(format!("variable `{name}`: {error}")))?;
        environment = environment.declare(&name, of_type);
        names.push(name);
    }
    Ok((environment, names))
}

fn value_of(value: &Bound<'_, PyAny>, lowercase_keys: bool, depth: u32) -> PyResult<Value<'static>> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(value_error(format!("values may be nested {MAX_DEPTH} deep")));
    };
    if value.is_none() {
        return Ok(Value::Null);
    }
    // Python's bool is an int, so it is asked first.
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return value.extract().map(Value::Int).or_else(|_| value.extract().map(Value::Uint));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Value::Double(number.value()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(rules::Ref::Counted(text.to_str()?.into())));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(rules::Ref::Counted(bytes.as_bytes().into())));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let elements = value.try_iter()?.map(|element| value_of(&element?, false, depth));
        return elements.collect::<PyResult<Vec<_>>>().map(Value::list);
    }
    if let Ok(entries) = value.cast::<PyDict>() {
        let entry = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            let key = match value_of(&key, false, depth)? {
                Value::String(text) if lowercase_keys => {
                    Value::String(rules::Ref::Counted(text.to_lowercase().into()))
                }
                key => key,
            };
            Ok((key, value_of(&value, false, depth)?))
        };
        return entries.iter().map(entry).collect::<PyResult<Vec<_>>>().map(Value::map);
    }
    let found = value.get_type().name()?;
    Err(value_error(format!("rules have no values of the Python type {found}")))
}

#[cold]
fn reason(error: EvaluationError, condition: &str) -> String {
    let read = condition.get(error.span()).unwrap_or_default();
    format!("{error}: {read}")
}

/// The variables of rules with their descriptions, for the reference documentation.
#[pyfunction]
pub(crate) fn rule_variables() -> Vec<(&'static str, &'static str)> {
    VARIABLES.to_vec()
}
