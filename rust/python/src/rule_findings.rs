//! What is wrong, and what is doubtful, about the rules of a configuration.

use edgeroute_router::environment;
use edgeroute_rules::{Code, Diagnostic, NamedRule, OnError, Rule, RuleSet, lint};
use pyo3::prelude::*;

/// First byte, byte after the last, and text of a remark on a part of a condition.
type Label = (usize, usize, String);
/// The rule's index, code, severity, first byte, byte after the last, message, labels and help.
type Finding = (usize, &'static str, &'static str, usize, usize, String, Vec<Label>, Option<String>);
/// Name, condition, a variable and the text that it must be for the rule to take part, and whether the search ends with
/// it.
type Written = (String, String, Option<(String, String)>, bool);

/// Compiles rule conditions together and returns every error.
#[pyfunction]
pub(crate) fn check_rules(py: Python<'_>, expressions: Vec<String>) -> Vec<Finding> {
    let found = py.detach(|| RuleSet::compile(&environment(), &expressions).err());
    found.into_iter().flatten().map(finding).collect()
}

/// Warnings and notes about rules that compile, in the order in which they are tried.
#[pyfunction]
pub(crate) fn lint_rules(py: Python<'_>, rules: Vec<Written>) -> Vec<Finding> {
    let rules = rules.iter().map(|(name, condition, scope, is_last)| NamedRule {
        name,
        rule: Rule {
            condition,
            scope: scope.as_ref().map(|(variable, value)| (variable.as_str(), value.as_str())),
            on_error: OnError::Pass,
        },
        is_last: *is_last,
    });
    let rules: Vec<NamedRule<'_>> = rules.collect();
    py.detach(|| lint(&environment(), rules)).into_iter().map(finding).collect()
}

/// Code, severity and meaning of every kind of finding, for the reference documentation.
#[pyfunction]
pub(crate) fn rule_codes() -> Vec<(&'static str, &'static str, &'static str)> {
    Code::ALL.iter().map(|code| (code.name(), code.severity().name(), code.meaning())).collect()
}

fn finding((index, found): (usize, Diagnostic)) -> Finding {
    let labels = found.labels.into_iter().map(|label| (label.span.start, label.span.end, label.text));
    let Diagnostic { code, span, message, help, .. } = found;
    let severity = code.severity().name();
    (index, code.name(), severity, span.start, span.end, message, labels.collect(), help)
}
