//! Rules in the Common Expression Language: text is lexed, parsed, checked against declared variables, lowered
//! to programs that read typed attribute slots, and evaluated in order until one holds. The crate knows values,
//! variables and maps; it knows nothing of HTTP, of language models or of what follows from a rule that holds.
//! It follows the language definition of the CEL specification (`cel-expr/cel-spec`), from which it departs in
//! one point: numbers of different types compare without `dyn()`. Messages of Protocol Buffers are not part of it.

mod arithmetic;
mod ast;
mod budget;
mod cells;
mod check;
mod checked;
mod comparison;
mod comprehension;
mod cost;
mod diagnostic;
mod ends;
mod engine;
mod environment;
mod error;
mod evaluate;
mod expression;
mod failure;
mod functions;
mod inference;
mod lex;
mod lint;
mod lower;
mod network;
mod parse;
mod program;
mod registry;
mod ruleset;
mod signature;
mod time;
mod types;
mod value;

pub use budget::Work;
pub use checked::first_failure;
pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use engine::{RuleSummary, Strategy, Summary};
pub use environment::{Environment, Known};
pub use error::{ErrorKind, EvaluationError};
pub use evaluate::{Scalar, Source};
pub use expression::Expression;
pub use functions::names as function_names;
pub use lint::{NamedRule, lint};
pub use network::Cidr;
pub use program::{Attribute, mark};
pub use ruleset::{Match, OnError, Pass, Rule, RuleSet};
pub use time::{Duration, Timestamp};
pub use types::{Type, UnknownType};
pub use value::{Kind, Ref, Value};
