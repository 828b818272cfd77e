//! Rules compiled together, and single expressions.

use std::fmt;

use crate::check::{Types, check};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Source};
use crate::lower::lower;
use crate::parse::{Parsed, parse};
use crate::program::{Attribute, Node};
use crate::types::Type;
use crate::value::Value;

/// Conditions that are tried in order. What several of them read is one attribute, read once per pass.
#[derive(Debug)]
pub struct RuleSet {
    attributes: Vec<Attribute>,
    rules: Vec<Node>,
}

impl RuleSet {
    /// Compiles conditions of type bool. An error is every finding of every rule, with the rule's index.
    pub fn compile<R: AsRef<str>>(
        environment: &Environment,
        rules: impl IntoIterator<Item = R>,
    ) -> Result<Self, Vec<(usize, Diagnostic)>> {
        let mut attributes = Vec::new();
        let mut compiled = Vec::new();
        let mut errors = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            match condition(environment, rule.as_ref()) {
                Ok((parsed, types)) => {
                    compiled.push(lower(environment, &types, &mut attributes, &parsed.root));
                }
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
    rules: &'a [Node],
    evaluation: Evaluation<'a, S>,
}

impl<S: Source> Pass<'_, S> {
    /// Whether rule `index` holds. A rule that does not exist does not hold.
    pub fn evaluate(&mut self, index: usize) -> Result<bool, EvaluationError> {
        self.rules.get(index).map_or(Ok(false), |rule| self.evaluation.truth(rule))
    }

    /// The first rule that holds. A rule that cannot be evaluated does not hold and is reported.
    pub fn first_match(&mut self, mut on_error: impl FnMut(usize, &EvaluationError)) -> Option<usize> {
        self.rules.iter().enumerate().position(|(index, rule)| match self.evaluation.truth(rule) {
            Ok(truth) => truth,
            Err(error) => {
                on_error(index, &error);
                false
            }
        })
    }
}

impl<S> fmt::Debug for Pass<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pass").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// One expression of any type.
#[derive(Debug)]
pub struct Expression {
    attributes: Vec<Attribute>,
    program: Node,
    result_type: Type,
}

impl Expression {
    /// Compiles an expression whose types are checked.
    pub fn compile(environment: &Environment, source: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed = parse(source).map_err(|error| vec![error])?;
        let types = check(environment, &parsed)?;
        Ok(Self::new(environment, &parsed, &types))
    }

    /// Compiles an expression without checking types or names: what is wrong with it fails when it is
    /// evaluated, and only then.
    pub fn compile_unchecked(environment: &Environment, source: &str) -> Result<Self, Diagnostic> {
        let parsed = parse(source)?;
        let types = Types::unknown(&parsed);
        Ok(Self::new(environment, &parsed, &types))
    }

    fn new(environment: &Environment, parsed: &Parsed, types: &Types) -> Self {
        let mut attributes = Vec::new();
        let program = lower(environment, types, &mut attributes, &parsed.root);
        Self { attributes, program, result_type: types.of(&parsed.root).clone() }
    }

    /// The type of its value, as far as it is known.
    pub fn result_type(&self) -> &Type {
        &self.result_type
    }

    /// What a [`Source`] may be asked for, each once.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Evaluates it for one request.
    pub fn evaluate<S: Source>(&self, source: &S) -> Result<Value<'static>, EvaluationError> {
        Evaluation::new(&self.attributes, source).value(&self.program).map(Value::into_owned)
    }
}

/// Parses and checks a rule, which must be a bool.
fn condition(environment: &Environment, source: &str) -> Result<(Parsed, Types), Vec<Diagnostic>> {
    let parsed = parse(source).map_err(|error| vec![error])?;
    let types = check(environment, &parsed)?;
    let found = types.of(&parsed.root);
    if found.may_be(&Type::Bool) {
        return Ok((parsed, types));
    }
    let message = format!("a rule must be true or false; this is of type {found}");
    Err(vec![Diagnostic::new(parsed.root.span.range(), message).with_help("compare it with something")])
}
