//! The decision on a request, and the state machine that carries it out: a [`Snapshot`] of the configuration,
//! the [`Facts`] it reads of the shared cells, the [`Ticket`] of one request with its steps, and [`explain`].
//! It wires rules, limits, placement and wire together and performs no I/O: it opens no socket, reads no clock
//! and draws no random number, so that the same snapshot, request, facts, now and seed give the same decision.

mod choose;
mod client_address;
mod compile;
mod config;
mod draw;
mod engine;
mod explain;
mod facts;
mod failure;
pub mod forward;
mod hash;
mod headers;
mod identify;
mod inquiry;
mod judge;
mod log_line;
mod matching;
mod meter;
mod place;
mod plan;
mod recall;
mod record;
mod refusal;
mod request;
mod rule;
mod rule_search;
mod snapshot;
mod status;
mod step;
mod ticket;
mod trace;
mod variables;

pub use compile::CompileError;
pub use config::{Cache, Defaults};
pub use engine::{EngineSignal, engine_cell, engine_word};
pub use explain::{Decision, Explanation, Refused, WrittenRequest, explain, fill};
pub use facts::{Facts, Flights, GivenFacts, GivenLatency, GivenSimilar, LiveFacts};
pub use failure::{Failure, FailureKind};
pub use headers::{Field, Headers};
pub use inquiry::{Embedder, ask_for_vector, vector_of};
pub use judge::Judge;
pub use log_line::LogFormat;
pub use place::{AffinityPool, Endpoint, Learned, Load};
pub use recall::{Fill, Observed, Question, said};
pub use refusal::{Code, Refusal, without_text};
pub use request::{Now, Request};
pub use rule_search::{RuleGuard, RuleSearch, SearchedRule};
pub use snapshot::{Credential, Provider, Replica, Secret, Snapshot};
pub use status::{LimitStatus, OwnerStatus, ReplicaStatus, Status, TargetStatus};
pub use step::{Answer, Attempt, Content, End, Event, Hit, Joined, Outcome, Step};
pub use ticket::{Ticket, decide, refuse_unread, turn_away};
pub use trace::{Phase, Reason};
pub use variables::{VARIABLES, Variable, environment};
