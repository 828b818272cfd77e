//! What is wrong, and what is doubtful, about the rules of a configuration.

use edgeroute_router::environment;
use edgeroute_rules::{
    Code, Diagnostic, Environment, NamedRule, OnError, Rule, RuleSet, first_failure, function_names, lint,
};
use pyo3::prelude::*;

/// First byte, byte after the last, and text of a remark on a part of a condition.
type Label = (usize, usize, String);
/// The rule's index, code, severity, first byte, byte after the last, message, labels and help.
type Finding = (usize, &'static str, &'static str, usize, usize, String, Vec<Label>, Option<String>);
/// Name, condition, a variable and the text that it must be for the rule to take part, and whether the search ends with
/// it.
type Written = (String, String, Option<(String, String)>, bool);

/// A name and the expression that it stands for.
type Definition = (String, String);

/// Compiles definitions, each of which may use those before it, and the conditions of rules, which may use all, and
/// returns every error. Indexes count the definitions first.
#[pyfunction]
pub(crate) fn check_rules(
    py: Python<'_>,
    expressions: Vec<String>,
    definitions: Vec<Definition>,
) -> Vec<Finding> {
    py.detach(|| {
        let (environment, mut errors) = define(&definitions);
        let found = RuleSet::compile(&environment, &expressions).err().into_iter().flatten();
        errors.extend(found.map(|(index, error)| finding((definitions.len() + index, error))));
        errors
    })
}

/// Warnings and notes about rules that compile, in the order in which they are tried.
#[pyfunction]
pub(crate) fn lint_rules(py: Python<'_>, rules: Vec<Written>, definitions: Vec<Definition>) -> Vec<Finding> {
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
    py.detach(|| lint(&define(&definitions).0, rules)).into_iter().map(finding).collect()
}

/// The first part of each condition that fails on some requests, as bytes of its text; none if it never fails or does
/// not compile.
#[pyfunction]
pub(crate) fn first_failures(
    expressions: Vec<String>,
    definitions: Vec<(String, String)>,
) -> Vec<Option<(usize, usize)>> {
    let (environment, _) = define(&definitions);
    let failure = |text: &String| {
        let range = first_failure(&environment, text).ok()??;
        Some((range.start, range.end))
    };
    expressions.iter().map(failure).collect()
}

/// The variables of rules with these definitions, those left out that are wrong.
fn define(definitions: &[(String, String)]) -> (Environment, Vec<Finding>) {
    let (mut environment, mut errors) = (environment(), Vec::new());
    for (index, (name, text)) in definitions.iter().enumerate() {
        match environment.clone().define(name, text) {
            Ok(more) => environment = more,
            Err(found) => errors.extend(found.into_iter().map(|error| finding((index, error)))),
        }
    }
    (environment, errors)
}

/// Code, severity and meaning of every kind of finding, for the reference documentation.
#[pyfunction]
pub(crate) fn rule_codes() -> Vec<(&'static str, &'static str, &'static str)> {
    Code::ALL.iter().map(|code| (code.name(), code.severity().name(), code.meaning())).collect()
}

/// The names of all functions, for the reference documentation.
#[pyfunction]
pub(crate) fn rule_functions() -> Vec<&'static str> {
    function_names()
}

fn finding((index, found): (usize, Diagnostic)) -> Finding {
    let labels = found.labels.into_iter().map(|label| (label.span.start, label.span.end, label.text));
    let Diagnostic { code, span, message, help, .. } = found;
    let severity = code.severity().name();
    (index, code.name(), severity, span.start, span.end, message, labels.collect(), help)
}
