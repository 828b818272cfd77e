//! Single expressions.

use crate::check::{Types, check};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::error::EvaluationError;
use crate::evaluate::{Evaluation, Source};
use crate::lower::lower;
use crate::parse::Parsed;
use crate::program::{Attribute, Node};
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
        let parsed = environment.parse(source).map_err(|error| vec![error])?;
        let types = check(environment, &parsed)?;
        Ok(Self::new(environment, &parsed, &types))
    }

    /// Compiles an expression without checking types or names: what is wrong with it fails when it is
    /// evaluated, and only then.
    pub fn compile_unchecked(environment: &Environment, source: &str) -> Result<Self, Diagnostic> {
        let parsed = environment.parse(source)?;
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
