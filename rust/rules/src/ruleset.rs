//! Rules compiled together, of which the first that holds is wanted.

use std::fmt;

use crate::check::{Types, check, not_a_rule};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Source};
use crate::lint::constants;
use crate::lower::{lower, register};
use crate::parse::{Parsed, parse};
use crate::program::{Attribute, Node};
use crate::types::Type;

/// A condition, and how it takes part among others.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'r> {
    /// Its text, of type bool.
    pub condition: &'r str,
    /// A variable and the text it must be for the rule to take part at all.
    pub scope: Option<(&'r str, &'r str)>,
    /// What follows from a condition that cannot be evaluated.
    pub on_error: OnError,
}

/// What follows from a condition that cannot be evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnError {
    /// The rule does not hold; the next one is tried.
    #[default]
    Pass,
    /// The search ends at this rule, with the error.
    Stop,
}

/// The rule at which a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Its index.
    pub rule: usize,
    /// Why it could not be evaluated, if it did not hold; of rules with [`OnError::Stop`] alone.
    pub error: Option<EvaluationError>,
}

/// Conditions that are tried in order. What several of them read is one attribute, read once per pass.
#[derive(Debug)]
pub struct RuleSet {
    attributes: Vec<Attribute>,
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    condition: Node,
    scope: Option<(usize, Box<str>)>,
    on_error: OnError,
}

impl RuleSet {
    /// Compiles conditions of type bool. An error is every finding of every rule, with the rule's index.
    pub fn compile<'r, R: Into<Rule<'r>>>(
        environment: &Environment,
        rules: impl IntoIterator<Item = R>,
    ) -> Result<Self, Vec<(usize, Diagnostic)>> {
        let mut attributes = Vec::new();
        let mut compiled = Vec::new();
        let mut errors = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            let rule = rule.into();
            match condition(environment, rule.condition) {
                Ok((parsed, types)) => compiled.push(Compiled {
                    condition: lower(environment, &types, &mut attributes, &parsed.root),
                    scope: rule.scope.and_then(|(name, value)| {
                        let variable = environment.find(name)?;
                        Some((register(&mut attributes, Attribute { variable, key: None }), value.into()))
                    }),
                    on_error: rule.on_error,
                }),
                Err(found) => errors.extend(found.into_iter().map(|diagnostic| (index, diagnostic))),
            }
        }
        if errors.is_empty() { Ok(Self { attributes, rules: compiled }) } else { Err(errors) }
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a [`Source`] may be asked for, each once.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Whether any rule reads this variable or an entry of it.
    pub fn uses(&self, variable: usize) -> bool {
        self.attributes.iter().any(|attribute| attribute.variable == variable)
    }

    /// Begins to evaluate rules for one request.
    #[inline]
    pub fn pass<'a, S: Source>(&'a self, source: &'a S) -> Pass<'a, S> {
        Pass { rules: &self.rules, evaluation: Evaluation::new(&self.attributes, source) }
    }
}

/// The evaluation of rules for one request. It remembers what it read, so the request must not change.
pub struct Pass<'a, S> {
    rules: &'a [Compiled],
    evaluation: Evaluation<'a, S>,
}

impl<S: Source> Pass<'_, S> {
    /// Whether rule `index` holds. A rule that does not exist does not hold.
    pub fn evaluate(&mut self, index: usize) -> Result<bool, EvaluationError> {
        let Some(rule) = self.rules.get(index) else { return Ok(false) };
        if let Some((attribute, wanted)) = &rule.scope
            && !self.evaluation.is_text(*attribute, wanted)
        {
            return Ok(false);
        }
        self.evaluation.truth(&rule.condition)
    }

    /// The first rule that holds, or stops the search, of those that are not in `except`. A rule that cannot be
    /// evaluated is reported.
    pub fn first_match(
        &mut self,
        except: &[usize],
        mut on_error: impl FnMut(usize, &EvaluationError),
    ) -> Option<Match> {
        for (index, rule) in self.rules.iter().enumerate() {
            if except.contains(&index) {
                continue;
            }
            match self.evaluate(index) {
                Ok(true) => return Some(Match { rule: index, error: None }),
                Ok(false) => {}
                Err(error) => {
                    on_error(index, &error);
                    if rule.on_error == OnError::Stop {
                        return Some(Match { rule: index, error: Some(error) });
                    }
                }
            }
        }
        None
    }
}

impl<'r> From<&'r str> for Rule<'r> {
    fn from(condition: &'r str) -> Self {
        Self { condition, scope: None, on_error: OnError::Pass }
    }
}

impl<'r> From<&'r String> for Rule<'r> {
    fn from(condition: &'r String) -> Self {
        Self::from(condition.as_str())
    }
}

impl<S> fmt::Debug for Pass<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pass").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// Parses and checks a rule, which must be a bool.
fn condition(environment: &Environment, source: &str) -> Result<(Parsed, Types), Vec<Diagnostic>> {
    let parsed = parse(source).map_err(|error| vec![error])?;
    let mut errors = constants::invalid(environment, &parsed.source, &parsed.root);
    let types = match check(environment, &parsed) {
        Ok(types) if errors.is_empty() => types,
        Ok(_) => return Err(errors),
        Err(found) => {
            errors.extend(found);
            errors.sort_by_key(|error| error.span.start);
            return Err(errors);
        }
    };
    let found = types.of(&parsed.root);
    if matches!(found, Type::Bool | Type::Dyn) {
        return Ok((parsed, types));
    }
    Err(vec![not_a_rule(environment, &parsed, found)])
}
