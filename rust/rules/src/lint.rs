//! Rules that compile and are probably not what is meant: conditions that never or always hold, rules that earlier
//! ones outrun, comparisons with what requests do not have. Whatever is said of a condition is said of when it is
//! *true*: an error is no match.

mod claims;
mod conditions;
pub(crate) mod constants;
mod keys;
mod reach;
mod values;

use std::collections::HashSet;

use crate::ast::Expression;
use crate::check::{Types, check};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::lower::lower;
use crate::program::{Attribute, Node};
use crate::registry::Registry;
use crate::ruleset::Rule;

/// A rule as lints see it.
#[derive(Debug, Clone, Copy)]
pub struct NamedRule<'r> {
    /// What findings call it.
    pub name: &'r str,
    /// Its condition, and how it takes part.
    pub rule: Rule<'r>,
    /// Whether the search ends with it, so that later rules are not tried.
    pub is_last: bool,
}

/// A rule that compiled.
struct Subject<'r> {
    index: usize,
    name: &'r str,
    rule: Rule<'r>,
    is_last: bool,
    root: Expression,
    condition: Node,
    /// What the slots in the condition stand for.
    attributes: Vec<Attribute>,
}

/// What there is to say about rules in the order in which they are tried, with the index of the rule. Of rules that do
/// not compile nothing is said: [`crate::RuleSet::compile`] does.
///
/// Of each condition the first 64 terms of a conjunction are looked at, and a rule is compared with at most 64 earlier
/// ones, so the work grows as the text of the rules does.
pub fn lint<'r>(
    environment: &Environment,
    rules: impl IntoIterator<Item = NamedRule<'r>>,
) -> Vec<(usize, Diagnostic)> {
    let subjects: Vec<Subject<'_>> = rules
        .into_iter()
        .enumerate()
        .filter_map(|(index, NamedRule { name, rule, is_last })| {
            let parsed = environment.parse(rule.condition).ok()?;
            let types: Types = check(environment, &parsed).ok()?;
            let mut attributes = Registry::default();
            let condition = lower(environment, &types, &mut attributes, &parsed.root);
            let attributes = attributes.into_attributes();
            Some(Subject { index, name, rule, is_last, root: parsed.root, condition, attributes })
        })
        .collect();
    let mut found = Vec::new();
    let mut said = HashSet::new();
    for subject in &subjects {
        let names = Names { environment, attributes: &subject.attributes };
        let mut of_rule = conditions::decided(subject, names);
        of_rule.extend(values::impossible(subject, names));
        of_rule.extend(keys::missing(subject, names, &mut said));
        if subjects.len() > conditions::SCANNED {
            of_rule.extend(conditions::not_indexed(subject));
        }
        found.extend(of_rule.into_iter().map(|diagnostic| (subject.index, diagnostic)));
    }
    found.extend(keys::unlikely(environment, &subjects));
    found.extend(reach::outrun(&subjects));
    found.sort_by_key(|(index, diagnostic)| (*index, diagnostic.severity(), diagnostic.span.start));
    found
}

/// How the slots of one rule are called.
#[derive(Clone, Copy)]
struct Names<'n> {
    environment: &'n Environment,
    attributes: &'n [Attribute],
}

impl<'n> Names<'n> {
    fn attribute(&self, slot: usize) -> Option<&'n Attribute> {
        self.attributes.get(slot)
    }

    /// As a rule writes it.
    fn written(&self, slot: usize) -> String {
        let Some(attribute) = self.attribute(slot) else { return String::new() };
        let name = self.environment.variable(attribute.variable).map_or("", |variable| &*variable.name);
        match &attribute.key {
            Some(key) => format!("{name}[\"{key}\"]"),
            None => name.to_owned(),
        }
    }

    /// The same, with a text that is read instead where an entry is absent.
    fn written_or(&self, slot: usize, other: &str) -> String {
        self.written(slot).replacen('[', "[?", 1) + &format!(".orValue(\"{other}\")")
    }
}
