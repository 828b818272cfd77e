//! The decision on a request, and the state machine that carries it out: a [`Snapshot`] of the configuration,
//! the [`Facts`] it reads of the shared cells, the [`Ticket`] of one request with its steps, and [`explain`].
//! It wires rules, limits, placement and wire together and performs no I/O: it opens no socket, reads no clock
//! and draws no random number, so that the same snapshot, request, facts, now and seed give the same decision.

pub mod config;
mod explain;
mod facts;
mod failure;
pub mod forward;
mod meter;
mod plan;
mod record;
mod refusal;
mod request;
mod snapshot;
mod ticket;
mod trace;
mod variables;

pub use explain::{Decision, Explanation, Refused, WrittenRequest, explain};
pub use facts::{Facts, GivenFacts, LiveFacts};
pub use failure::{Failure, FailureKind};
pub use record::{LogFormat, Record};
pub use refusal::{Code, Refusal};
pub use request::{Now, Request};
pub use snapshot::{
    Action, CompileError, Found, Key, Model, ModelId, Provider, Replica, Rule, Secret, Snapshot, Target, Team,
};
pub use ticket::{Attempt, Content, End, Event, Outcome, Step, Ticket, decide};
pub use trace::{Phase, Reason};
pub use variables::{VARIABLES, environment};
