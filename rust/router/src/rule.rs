//! Rules, compiled: what each does to a request that it matches. Their conditions are a rule set beside them.

use edgeroute_placement::weighted;
use edgeroute_rules::RuleSet;
use edgeroute_shared::Cells;

use crate::compile::{CompileError, Written, named_target};
use crate::config::{self, Config, OnError, Reject, RuleCache, Sticky};
use crate::draw::hash;
use crate::snapshot::{Resolved, Target};
use crate::variables;

/// A compiled rule; its condition is in the rule set under the same index.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Slug.
    pub(crate) name: Box<str>,
    /// The text of its condition.
    pub(crate) when: Box<str>,
    /// Whose requests it is for: a variable, and its value.
    pub(crate) scope: Option<(&'static str, Box<str>)>,
    pub(crate) on_error: OnError,
    pub(crate) action: Action,
}

/// What a rule does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Refuse.
    Reject(Reject),
    /// Anything else, together.
    Change(Change),
}

/// What a rule changes. What is absent or empty stays as it is.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) model: Option<Choice>,
    /// Index of the one target that may serve the request.
    pub(crate) pin: Option<u16>,
    pub(crate) fallbacks: Option<Fallbacks>,
    /// Top-level fields of the body with their new JSON, or without one if they are removed.
    pub(crate) body: Vec<(Box<str>, Option<Box<str>>)>,
    pub(crate) headers: Vec<HeaderChange>,
    pub(crate) tag: Option<Box<str>>,
    pub(crate) cache: Option<RuleCache>,
    /// Whether rules match again afterwards.
    pub(crate) continues: bool,
}

/// A header field towards the provider with its new value, or without one if it is not sent. The name is lower case.
pub(crate) type HeaderChange = (Box<str>, Option<Box<str>>);

/// One model, or several of which one is drawn by weight.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Names as the rule writes them, and what they lead to.
    pub(crate) models: Vec<(Box<str>, Resolved)>,
    pub(crate) weights: Vec<u32>,
    pub(crate) sticky: Option<Sticky>,
}

/// The models to try after those of the chosen one failed, their own fallbacks included.
#[derive(Debug)]
pub(crate) struct Fallbacks {
    pub(crate) models: Vec<Resolved>,
    /// Whether they come after the model's own, not in place of them.
    pub(crate) add: bool,
}

impl Rule {
    /// What it changes; nothing if it rejects.
    pub(crate) fn change(&self) -> Option<&Change> {
        match &self.action {
            Action::Change(change) => Some(change),
            Action::Reject(_) => None,
        }
    }
}

impl Choice {
    /// Chooses a model. `identity` is what the draw depends on: with the same one, and the same name of the rule, it
    /// is the same. A model keeps those it was drawn for when its weight grows.
    pub(crate) fn draw(&self, rule: &str, identity: &[u8]) -> Option<&(Box<str>, Resolved)> {
        if self.models.len() == 1 {
            return self.models.first();
        }
        let index = weighted(&self.weights, hash(rule, identity)).first().copied()?;
        self.models.get(usize::from(index))
    }
}

/// The rules in the order in which they are tried: those of virtual keys, of teams, then all others; of a scope those of
/// the lower priority first; and as they are written.
pub(crate) fn compile_rules(
    config: &Config,
    models: &Written<'_>,
    targets: &mut Vec<Target>,
    cells: &Cells,
) -> Result<(Vec<Rule>, RuleSet), CompileError> {
    let mut written: Vec<&config::Rule> = config.rules.iter().collect();
    written.sort_by_key(|rule| (rule.virtual_key.is_none(), rule.team.is_none(), rule.priority));
    let conditions = written.iter().map(|rule| edgeroute_rules::Rule {
        condition: &rule.when,
        scope: scope(rule),
        on_error: match rule.on_error {
            OnError::NoMatch => edgeroute_rules::OnError::Pass,
            OnError::Match | OnError::Reject => edgeroute_rules::OnError::Stop,
        },
    });
    let mut environment = variables::environment();
    for (name, text) in &config.definitions {
        environment = environment.define(name, text).map_err(|errors| CompileError::Rule {
            rule: name.clone(),
            message: errors.first().map_or_else(String::new, |error| error.render(name, text)),
        })?;
    }
    let conditions = RuleSet::compile(&environment, conditions).map_err(|errors| {
        let first = errors.first().and_then(|(index, error)| Some((written.get(*index)?, error)));
        first.map_or_else(
            || CompileError::Invalid("the rules do not compile".into()),
            |(rule, error)| CompileError::Rule {
                rule: rule.name.clone(),
                message: error.render(&rule.name, &rule.when),
            },
        )
    })?;
    let mut compile = |written: &config::Rule| {
        let place = format!("rule `{}`", written.name);
        check_scope(written, config, &place)?;
        let action = match &written.reject {
            Some(reject) => Action::Reject(reject.clone()),
            None => Action::Change(change(written, config, models, targets, cells, &place)?),
        };
        Ok(Rule {
            name: written.name.as_str().into(),
            when: written.when.as_str().into(),
            scope: scope(written).map(|(variable, name)| (variable, name.into())),
            on_error: written.on_error,
            action,
        })
    };
    let rules = written.iter().map(|rule| compile(rule)).collect::<Result<_, CompileError>>()?;
    Ok((rules, conditions))
}

fn scope(rule: &config::Rule) -> Option<(&'static str, &str)> {
    match (&rule.virtual_key, &rule.team) {
        (Some(key), _) => Some((variables::VIRTUAL_KEY, key)),
        (None, Some(team)) => Some((variables::TEAM, team)),
        (None, None) => None,
    }
}

fn check_scope(written: &config::Rule, config: &Config, place: &str) -> Result<(), CompileError> {
    let key = |name: &String| config.virtual_keys.iter().all(|key| key.name != *name);
    let team = |name: &String| config.teams.iter().all(|team| team.name != *name);
    let unknown =
        |kind, name: &String| CompileError::Unknown { place: place.into(), kind, name: name.clone() };
    match (&written.virtual_key, &written.team) {
        (Some(_), Some(_)) => Err(CompileError::Invalid(format!("{place} has two scopes"))),
        (Some(name), None) if key(name) => Err(unknown("virtual key", name)),
        (None, Some(name)) if team(name) => Err(unknown("team", name)),
        _ => Ok(()),
    }
}

fn change(
    written: &config::Rule,
    config: &Config,
    models: &Written<'_>,
    targets: &mut Vec<Target>,
    cells: &Cells,
    place: &str,
) -> Result<Change, CompileError> {
    let resolve = |each: &config::Share| {
        Ok::<_, CompileError>((each.model.as_str().into(), models.resolve(&each.model, place)?))
    };
    let model = match written.models.as_slice() {
        [] => None,
        several => Some(Choice {
            models: several.iter().map(resolve).collect::<Result<_, _>>()?,
            weights: several.iter().map(|each| each.weight).collect(),
            sticky: written.sticky,
        }),
    };
    let fallbacks = written.fallbacks.as_ref().map(|written| {
        let found = models.all_fallbacks(&written.models, place)?;
        Ok::<_, CompileError>(Fallbacks { models: found, add: written.add })
    });
    let change = Change {
        model,
        pin: written.pin.as_ref().map(|pin| named_target(pin, config, targets, cells, place)).transpose()?,
        fallbacks: fallbacks.transpose()?,
        body: written.body.iter().map(boxed).collect(),
        headers: written.headers.iter().map(boxed).collect(),
        tag: written.tag.as_deref().map(Into::into),
        cache: written.cache,
        continues: written.continues,
    };
    let nothing = change.model.is_none()
        && change.pin.is_none()
        && change.fallbacks.is_none()
        && change.body.is_empty()
        && change.headers.is_empty()
        && change.tag.is_none()
        && change.cache.is_none();
    if nothing { Err(CompileError::Invalid(format!("{place} has no action"))) } else { Ok(change) }
}

fn boxed((name, value): &(String, Option<String>)) -> (Box<str>, Option<Box<str>>) {
    (name.as_str().into(), value.as_deref().map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(weights: &[u32]) -> Choice {
        let model = |index| (format!("m{index}").into(), Resolved { model: index, rest: None });
        let models = (0..weights.len() as u16).map(model).collect();
        Choice { models, weights: weights.to_vec(), sticky: None }
    }

    fn drawn(choice: &Choice, rule: &str, identity: &str) -> u16 {
        choice.draw(rule, identity.as_bytes()).unwrap().1.model
    }

    #[test]
    fn shares_are_the_weights() {
        let choice = choice(&[90, 10]);
        let second = (0..20_000).filter(|n| drawn(&choice, "rollout", &n.to_string()) == 1).count();
        assert!((1_800..2_200).contains(&second), "{second}");
    }

    #[test]
    fn a_growing_share_keeps_those_it_has() {
        let mut before = Vec::new();
        for weight in [0, 1, 10, 50, 99] {
            let choice = choice(&[100 - weight, weight]);
            let now: Vec<u32> =
                (0..2_000).filter(|n| drawn(&choice, "rollout", &n.to_string()) == 1).collect();
            assert!(before.iter().all(|user| now.contains(user)));
            before = now;
        }
    }

    #[test]
    fn rules_draw_apart_from_each_other() {
        let choice = choice(&[1, 1]);
        let same =
            (0..10_000).map(|n| n.to_string()).filter(|n| drawn(&choice, "a", n) == drawn(&choice, "b", n));
        let same = same.count();
        assert!((4_700..5_300).contains(&same), "{same}");
    }
}
