//! What the engine made of a rule set, for people.

use crate::engine::Engine;
use crate::engine::index::Strategy;
use crate::program::Attribute;
use crate::value::Value;

/// How a rule set is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How rules that may match are found.
    pub strategy: Strategy,
    /// How many different tests the rules are made of.
    pub predicates: usize,
    /// How many of them several rules make.
    pub shared: usize,
    /// Of each rule in order.
    pub rules: Vec<RuleSummary>,
}

/// How one rule is found.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSummary {
    /// The necessary condition that finds it, mostly the rarest: the attribute, and the constants of which it must be
    /// one. Without any, the rule is tried for every request: no equality or `in` decides alone that it does not match.
    pub guard: Option<(Attribute, Vec<Value<'static>>)>,
    /// Whether requests that lack the guard's attribute try the rule nevertheless, since it may then hold, or fail in
    /// a way that is reported or ends the search.
    pub tried_if_absent: bool,
}

impl Engine {
    /// Describes itself; `attributes` are those of the rule set.
    pub(crate) fn summary(&self, attributes: &[Attribute]) -> Summary {
        let rules = self.entries.iter().map(|entry| {
            let guard = entry.guards.first();
            let named = guard.and_then(|guard| {
                let place = usize::from(guard.attribute);
                let constants = self.tables.constants.get(place)?;
                let values = guard.values.iter().filter_map(|number| constants.value(*number));
                Some((attributes.get(place)?.clone(), values.collect()))
            });
            let [watched, _] = entry.watched;
            RuleSummary {
                guard: named,
                tried_if_absent: guard.is_some_and(|guard| guard.tried_if_absent(watched)),
            }
        });
        Summary {
            strategy: self.index.strategy(),
            predicates: self.tables.predicates,
            shared: self.tables.shared,
            rules: rules.collect(),
        }
    }
}
