//! An expression that was read and found to be sound.

use std::ops::Range;

use crate::ast::Expression;
use crate::check::{Types, check};
use crate::cost::{self, Cost};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::failure;
use crate::types::Type;

/// A parsed expression with its types. It names nothing that does not exist, and cannot cost too much.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) root: Expression,
    pub(crate) types: Types,
    pub(crate) cost: Cost,
}

impl Checked {
    /// Reads an expression, or says everything that is wrong with it.
    pub(crate) fn read(environment: &Environment, source: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed = environment.parse(source).map_err(|error| vec![error])?;
        let types = check(environment, &parsed)?;
        let cost = cost::bound(environment, &parsed).map_err(|error| vec![error])?;
        Ok(Self { root: parsed.root, types, cost })
    }

    /// As [`Self::read`], for a condition: it must be a bool.
    pub(crate) fn condition(environment: &Environment, source: &str) -> Result<Self, Vec<Diagnostic>> {
        let checked = Self::read(environment, source)?;
        let found = checked.result_type();
        if matches!(found, Type::Bool | Type::Dyn) {
            return Ok(checked);
        }
        let message = format!("a rule must be true or false; this is of type {found}");
        let error = Diagnostic::new(checked.root.span.range(), message);
        Err(vec![error.with_help("compare it with something")])
    }

    /// The type of its value.
    pub(crate) fn result_type(&self) -> &Type {
        self.types.of(&self.root)
    }
}

/// The first part of a condition that fails on some requests, such as a header that may be absent: `None` if every
/// request makes the condition either true or false.
pub fn first_failure(
    environment: &Environment,
    condition: &str,
) -> Result<Option<Range<usize>>, Vec<Diagnostic>> {
    let checked = Checked::condition(environment, condition)?;
    Ok(failure::first_failure(environment, &checked.types, &checked.root).map(|span| span.range()))
}
