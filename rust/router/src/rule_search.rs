//! How a configuration's rules are searched, for `edgeroute rules explain`.

use edgeroute_rules::{Attribute, RuleSummary, Strategy, Value};
use serde::Serialize;

use crate::snapshot::Snapshot;
use crate::variables::VARIABLES;

/// How rules are searched.
#[derive(Debug, PartialEq, Serialize)]
pub struct RuleSearch {
    /// `scan`, `hash` or `bits`.
    pub strategy: &'static str,
    /// How many different tests the rules are made of.
    pub predicates: usize,
    /// How many of them several rules make.
    pub shared: usize,
    /// Of each rule, in the order in which they are tried.
    pub rules: Vec<SearchedRule>,
}

/// How one rule is found.
#[derive(Debug, PartialEq, Serialize)]
pub struct SearchedRule {
    /// Its name.
    pub name: String,
    /// What must hold for it to be tried at all; without it, it is tried for every request.
    pub guard: Option<RuleGuard>,
    /// Whether it is tried nevertheless if the guard's attribute is absent.
    pub tried_if_absent: bool,
}

/// The necessary condition that finds a rule.
#[derive(Debug, PartialEq, Serialize)]
pub struct RuleGuard {
    /// What is read, as conditions write it.
    pub attribute: String,
    /// The values of which it must be one, as conditions write them.
    pub values: Vec<String>,
}

impl RuleSearch {
    /// Describes the rules of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Self {
        let summary = snapshot.conditions.summary();
        let rules = snapshot.rules.iter().zip(&summary.rules);
        Self {
            strategy: match summary.strategy {
                Strategy::Scan => "scan",
                Strategy::Hash => "hash",
                Strategy::Bits => "bits",
            },
            predicates: summary.predicates,
            shared: summary.shared,
            rules: rules.map(|(rule, found)| SearchedRule::new(&rule.name, found)).collect(),
        }
    }
}

impl SearchedRule {
    fn new(name: &str, found: &RuleSummary) -> Self {
        let guard = found.guard.as_ref().map(|(attribute, values)| RuleGuard {
            attribute: written(attribute),
            values: values.iter().map(literal).collect(),
        });
        Self { name: name.into(), guard, tried_if_absent: found.tried_if_absent }
    }
}

fn written(attribute: &Attribute) -> String {
    let name = VARIABLES.get(attribute.variable).map_or("", |variable| variable.name);
    match &attribute.key {
        None => name.into(),
        Some(key) if name == "bucket" => format!("bucket({key:?})"),
        Some(key) => format!("{name}[{key:?}]"),
    }
}

fn literal(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => format!("{:?}", &**text),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => format!("{number}u"),
        Value::Double(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}
