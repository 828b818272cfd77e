//! Findings of the rules crate as the classes of `edgeroute.rules`.

use edgeroute_rules::Diagnostic;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// `edgeroute.rules.Diagnostic`: bytes become characters, as Python counts.
pub(super) fn to_python<'py>(
    rule: Option<&Bound<'py, PyAny>>,
    source: &str,
    found: &Diagnostic,
    py: Python<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let characters = |byte: usize| source.get(..byte).map_or(0, |before| before.chars().count());
    let (line, column) = found.position(source);
    py.import("edgeroute.rules")?.getattr("Diagnostic")?.call1((
        rule,
        &found.message,
        found.help.as_deref(),
        characters(found.span.start),
        characters(found.span.end),
        line,
        column,
        found.render(source).trim_end(),
    ))
}

/// `edgeroute.rules.RuleError` with findings about rules and their texts.
#[cold]
pub(super) fn rule_error<'f, 'py: 'f>(
    py: Python<'py>,
    found: impl IntoIterator<Item = (Option<&'f Bound<'py, PyAny>>, &'f str, &'f Diagnostic)>,
) -> PyErr {
    let raise = || {
        let diagnostics = PyList::empty(py);
        for (rule, source, diagnostic) in found {
            diagnostics.append(to_python(rule, source, diagnostic, py)?)?;
        }
        py.import("edgeroute.rules")?.getattr("RuleError")?.call1((diagnostics.to_tuple(),))
    };
    match raise() {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
