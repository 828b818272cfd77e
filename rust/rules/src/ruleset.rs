//! Rules compiled together, of which the first that holds is wanted.

use std::fmt;

use crate::checked::Checked;
use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::engine::{self, Engine, Found, Slots, Strategy, Summary};
use crate::environment::Environment;
use crate::error::EvaluationError;
use crate::evaluate::Source;
use crate::lower::lower;
use crate::program::{Attribute, Node};
use crate::registry::Registry;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its index.
    pub rule: usize,
    /// Why it could not be evaluated, if it did not hold; of rules with [`OnError::Stop`] alone.
    ///
    /// NOTE: in a box, since moving it out of a pass cost 10 ns of 31 for the sake of rules that do not fail.
    pub error: Option<Box<EvaluationError>>,
}

/// Conditions that are tried in order. What several of them read is one attribute, read once per pass.
#[derive(Debug)]
pub struct RuleSet {
    attributes: Vec<Attribute>,
    rules: Vec<Compiled>,
    engine: Engine,
}

#[derive(Debug)]
struct Compiled {
    condition: Node,
    scope: Option<(usize, Box<str>)>,
}

impl RuleSet {
    /// Compiles conditions of type bool. An error is every finding of every rule, with the rule's index.
    pub fn compile<'r, R: Into<Rule<'r>>>(
        environment: &Environment,
        rules: impl IntoIterator<Item = R>,
    ) -> Result<Self, Vec<(usize, Diagnostic)>> {
        Self::compile_with(environment, rules, None)
    }

    /// The same, searched in this way instead of the one that would be chosen: to compare. What is found and what is
    /// reported is the same.
    pub fn compile_with<'r, R: Into<Rule<'r>>>(
        environment: &Environment,
        rules: impl IntoIterator<Item = R>,
        strategy: Option<Strategy>,
    ) -> Result<Self, Vec<(usize, Diagnostic)>> {
        let mut registry = Registry::default();
        let mut engine = engine::Builder::default();
        let mut compiled = Vec::new();
        let mut errors = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            match Compiled::new(environment, &mut registry, &mut engine, rule.into()) {
                Ok(rule) => compiled.push(rule),
                Err(found) => errors.extend(found.into_iter().map(|diagnostic| (index, diagnostic))),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let attributes = registry.into_attributes();
        Ok(Self { engine: engine.finish(&attributes, strategy), attributes, rules: compiled })
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

    /// How the set is searched, and what each rule contributes to that.
    pub fn summary(&self) -> Summary {
        self.engine.summary(&self.attributes)
    }

    /// Begins to evaluate rules for one request.
    #[inline(always)]
    pub fn pass<'a, S: Source>(&'a self, source: &'a S) -> Pass<'a, S> {
        let slots = Slots::new(self.engine.tables(), &self.attributes, source);
        Pass { set: self, typed: source.is_typed(), slots }
    }
}

impl Compiled {
    fn new(
        environment: &Environment,
        registry: &mut Registry,
        engine: &mut engine::Builder,
        rule: Rule<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let checked = Checked::condition(environment, rule.condition)?;
        let condition = lower(environment, &checked.types, registry, &checked.root);
        let scope = match rule.scope {
            Some((name, text)) => Some((scope(environment, registry, name)?, text)),
            None => None,
        };
        let declared = |attribute: usize| environment.type_of(registry.attributes().get(attribute)?);
        let stops = rule.on_error == OnError::Stop;
        engine.add(rule.condition, &condition, scope, stops, declared).ok_or_else(|| {
            vec![Diagnostic::new(
                Code::TooComplex,
                0..rule.condition.len(),
                "this rule is too long, or rules read too much",
            )]
        })?;
        Ok(Self { condition, scope: scope.map(|(attribute, text)| (attribute, text.into())) })
    }
}

/// The evaluation of rules for one request. It remembers what it read, so the request must not change.
pub struct Pass<'a, S> {
    set: &'a RuleSet,
    typed: bool,
    slots: Slots<'a, S>,
}

impl<S: Source> Pass<'_, S> {
    /// Whether rule `index` holds. A rule that does not exist does not hold. Of several operands that fail the
    /// first tells why, but what is wrong goes before what is only absent.
    pub fn evaluate(&mut self, index: usize) -> Result<bool, EvaluationError> {
        let Some(rule) = self.set.rules.get(index) else { return Ok(false) };
        if let Some((attribute, wanted)) = &rule.scope
            && !self.slots.is_text(*attribute, wanted)
        {
            return Ok(false);
        }
        self.slots.truth(&rule.condition)
    }

    /// The first rule that holds, or stops the search, of those that are not in `except`.
    ///
    /// Reported are, in order, the rules before it that cannot be evaluated, unless what they read is only absent
    /// ([`ErrorKind::is_absence`](crate::ErrorKind::is_absence)): a request without a header is no mistake. The rule
    /// that stops the search is reported in any case.
    pub fn first_match(
        &mut self,
        except: &[usize],
        mut on_error: impl FnMut(usize, &EvaluationError),
    ) -> Option<Match> {
        let mut failed = Vec::new();
        let found = self.set.engine.search(&mut self.slots, self.typed, except, &mut failed);
        for rule in failed {
            if let Err(error) = self.evaluate(rule as usize)
                && !error.kind.is_absence()
            {
                on_error(rule as usize, &error);
            }
        }
        let Found { rule, fails } = found?;
        let rule = rule as usize;
        let error = if fails { self.evaluate(rule).err() } else { None };
        if let Some(error) = &error {
            on_error(rule, error);
        }
        Some(Match { rule, error: error.map(Box::new) })
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
        formatter.debug_struct("Pass").field("rules", &self.set.len()).finish_non_exhaustive()
    }
}

/// The attribute that the variable of a scope is, which must be text.
fn scope(environment: &Environment, registry: &mut Registry, name: &str) -> Result<usize, Vec<Diagnostic>> {
    let variable = environment.find(name);
    match variable.and_then(|variable| Some((variable, &environment.variable(variable)?.of_type))) {
        Some((variable, Type::String | Type::Dyn)) => Ok(registry.place(Attribute::new(variable, None))),
        Some((_, declared)) => {
            let message = format!("a scope is a variable of type string; `{name}` is {declared}");
            Err(vec![Diagnostic::new(Code::InvalidScope, 0..0, message)])
        }
        None => {
            let near = nearest(name, environment.names()).map(|near| format!("did you mean `{near}`?"));
            let unknown = Diagnostic::new(
                Code::InvalidScope,
                0..0,
                format!("there is no variable `{name}` for the scope of this rule"),
            );
            Err(vec![match near {
                Some(help) => unknown.with_help(help),
                None => unknown,
            }])
        }
    }
}
