//! Single expressions of any type.

use edgeroute_router::environment;
use edgeroute_rules as rules;
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use super::diagnostics::rule_error;
use super::values::to_python;
use super::variables::Variables;
use crate::border::value_error;

/// An expression in CEL of any type, for use without a router.
#[pyclass(frozen, module = "edgeroute.rules")]
pub(crate) struct Expression {
    text: String,
    variables: Variables,
    compiled: rules::Expression,
}

#[pymethods]
impl Expression {
    #[new]
    #[pyo3(
        signature = (text, variables = None, *, container = "", functions = Vec::new(), checked = true, macros = true),
        text_signature = "(text, variables=None, *, container='', functions=(), checked=True, macros=True)"
    )]
    fn new(
        py: Python<'_>,
        text: String,
        variables: Option<&Bound<'_, PyMapping>>,
        container: &str,
        functions: Vec<String>,
        checked: bool,
        macros: bool,
    ) -> PyResult<Self> {
        let mut variables = Variables::new(py, variables, environment)?;
        let mut environment = variables.environment.container(container);
        if !macros {
            environment = environment.without_macros();
        }
        for signature in &functions {
            environment = environment.declare_function(signature).map_err(|_| {
                value_error(format!("`{signature}` is no signature, as `name(int, list(A)) -> A` is one"))
            })?;
        }
        variables.environment = environment;
        let compiled = py.detach(|| match checked {
            true => rules::Expression::compile(&variables.environment, &text),
            false => rules::Expression::compile_unchecked(&variables.environment, &text)
                .map_err(|error| vec![error]),
        });
        let compiled = compiled
            .map_err(|errors| rule_error(py, errors.iter().map(|error| (None, text.as_str(), error))))?;
        Ok(Self { text, variables, compiled })
    }

    /// The type of its value, `dyn` if that is not known before the evaluation.
    #[getter]
    fn r#type(&self) -> String {
        self.compiled.result_type().to_string()
    }

    /// Its value; RuleError if it has none.
    #[pyo3(signature = (mapping = None))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        mapping: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let result = match mapping {
            None => self.compiled.evaluate(&()),
            Some(mapping) => {
                let bindings = self.variables.bind(mapping)?;
                let result = self.compiled.evaluate(&bindings);
                bindings.finish(result)?
            }
        };
        let value = result.map_err(|error| {
            let found = error.into();
            rule_error(py, [(None, self.text.as_str(), &found)])
        })?;
        to_python(py, &value)
    }
}
