//! Single expressions.

use crate::ast;
use crate::budget::Work;
use crate::check::Types;
use crate::checked::Checked;
use crate::cost;
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Source};
use crate::lower::lower;
use crate::program::{Attribute, Node};
use crate::registry::Registry;
use crate::types::Type;
use crate::value::Value;

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
        let Checked { root, types, .. } = Checked::read(environment, source)?;
        Ok(Self::new(environment, &root, &types))
    }

    /// Compiles an expression without checking types or names: what is wrong with it fails when it is
    /// evaluated, and only then.
    pub fn compile_unchecked(environment: &Environment, source: &str) -> Result<Self, Diagnostic> {
        let parsed = environment.parse(source)?;
        cost::expand(environment, &parsed)?;
        let types = Types::unknown(&parsed);
        Ok(Self::new(environment, &parsed.root, &types))
    }

    fn new(environment: &Environment, root: &ast::Expression, types: &Types) -> Self {
        let mut registry = Registry::default();
        let program = lower(environment, types, &mut registry, root);
        Self { attributes: registry.into_attributes(), program, result_type: types.of(root).clone() }
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
        self.measure(source).0
    }

    /// As [`Self::evaluate`], and what it took.
    pub fn measure<S: Source>(&self, source: &S) -> (Result<Value<'static>, EvaluationError>, Work) {
        let mut evaluation = Evaluation::new(&self.attributes, source);
        let result = evaluation.owned(&self.program);
        (result, evaluation.budget.spent())
    }
}
