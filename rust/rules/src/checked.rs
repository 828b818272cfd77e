//! An expression that was read and found to be sound.

use std::ops::Range;

use crate::ast::Expression;
use crate::check::{Types, check, not_a_rule};
use crate::cost::{self, Cost};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::failure;
use crate::lint::constants;
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

    /// As [`Self::read`], for a condition: it must be a bool, and texts written out in it must be what functions make of
    /// them.
    pub(crate) fn condition(environment: &Environment, source: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed = environment.parse(source).map_err(|error| vec![error])?;
        let mut errors = constants::invalid(environment, source, &parsed.root);
        let types = match check(environment, &parsed) {
            Ok(types) => types,
            Err(found) => {
                errors.extend(found);
                errors.sort_by_key(|error| error.span.start);
                return Err(errors);
            }
        };
        let found = types.of(&parsed.root);
        if !matches!(found, Type::Bool | Type::Dyn) {
            errors.push(not_a_rule(environment, &parsed, found));
        }
        match cost::bound(environment, &parsed) {
            Ok(cost) if errors.is_empty() => return Ok(Self { root: parsed.root, types, cost }),
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
        Err(errors)
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
