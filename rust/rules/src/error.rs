//! Why a rule could not be evaluated.

use std::ops::Range;

use crate::ast::Span;
use crate::diagnostic::Diagnostic;
use crate::value::Kind;

/// Why an expression has no value for this request. Small and without text, since a rule that asks for an
/// absent header fails on most requests; the sentence is made when it is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct EvaluationError {
    pub(crate) span: Span,
    /// What went wrong.
    pub kind: ErrorKind,
}

/// What went wrong in an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The map, of the request or of the rule, has no such entry.
    #[error("there is no such key")]
    NoSuchKey,
    /// The request gives the variable no value.
    #[error("this variable has no value here")]
    NoValue,
    /// The list is shorter.
    #[error("the list has no such position")]
    IndexOutOfRange,
    /// An integer was divided by zero.
    #[error("an integer cannot be divided by zero")]
    DivisionByZero,
    /// The result does not fit 64 bits.
    #[error("the result does not fit an integer of 64 bits")]
    Overflow,
    /// The operation is not defined between such values.
    #[error("this is not defined for {0} and {1}")]
    NoOverload(Kind, Kind),
    /// The operation is not defined for such a value.
    #[error("this is not defined for {0}")]
    NoOverloadFor(Kind),
    /// The function is not defined for such a value with such further arguments.
    #[error("this is not defined for {0} with these arguments")]
    NoOverloadOf(Kind),
    /// An argument of a function is of the right type and cannot be used.
    #[error("{0}")]
    Invalid(&'static str),
    /// An optional without a value was asked for it.
    #[error("this optional has no value")]
    NoneValue,
    /// Comprehensions took more steps, or functions read more text, than an evaluation may.
    #[error("this takes more work than an evaluation may")]
    TooMuchWork,
    /// A text or list grew beyond what an evaluation may make.
    #[error("this text or list grows too large")]
    TooLarge,
    /// A key occurs twice in the braces of a map.
    #[error("a key occurs twice in this map")]
    DuplicateKey,
    /// Only bool, int, uint and string may be keys.
    #[error("{0} cannot be the key of a map")]
    InvalidKey(Kind),
    /// An unchecked expression names a variable that was never declared.
    #[error("there is no such variable")]
    UnknownVariable,
    /// An unchecked expression calls a function that does not exist or not with such arguments.
    #[error("there is no such function")]
    UnknownFunction,
}

impl ErrorKind {
    /// Whether something that was read is not there, which is an everyday matter: a request without the header
    /// that a rule asks for.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoSuchKey | Self::NoValue)
    }
}

impl EvaluationError {
    /// The bytes of the rule's source that could not be evaluated.
    pub fn span(&self) -> Range<usize> {
        self.span.range()
    }
}

impl From<EvaluationError> for Diagnostic {
    fn from(error: EvaluationError) -> Self {
        Diagnostic::new(error.span(), error.to_string())
    }
}
