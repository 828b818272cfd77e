//! What the gateway is told to do, and what it tells the ticket.

use std::borrow::Cow;

use edgeroute_cache::Known;
use edgeroute_wire::Usage;

use crate::failure::Failure;
use crate::refusal::Refusal;
use crate::rule::HeaderChange;
use crate::snapshot::{Credential, Provider, Replica};

/// What the gateway has to do next.
#[derive(Debug)]
pub enum Step {
    /// Start the exchange that [`Ticket::attempt`](crate::Ticket::attempt) describes, then report what happened.
    Attempt,
    /// Hand the response of the current attempt, or of the exchange that was joined, to the client, then report how it
    /// ended.
    Relay,
    /// Answer with an entry of the cache, then report that all of it was handed over, or call
    /// [`Ticket::missing`](crate::Ticket::missing) if its body is gone.
    Answer(Answer),
    /// Wait for the exchange of an identical request, of the same [`Ticket::recall_key`](crate::Ticket::recall_key),
    /// then report what came of it, or call [`Ticket::missing`](crate::Ticket::missing) if there is none.
    Join,
    /// Wait until the embedder has made the vector of [`Ticket::question`](crate::Ticket::question), or for as long as
    /// may be waited, then call [`Ticket::embedded`](crate::Ticket::embedded).
    Embed,
    /// Answer with these model names.
    List(Vec<String>),
    /// Answer with the description of this model.
    Describe(String),
    /// Answer with an error.
    Refuse(Refusal),
}

/// What happened to the current attempt.
#[derive(Debug)]
pub enum Event {
    /// It ended before a response could be relayed.
    Failed(Failure),
    /// A response arrived: its head, and its usage if it is whole.
    Responded {
        /// HTTP status.
        status: u16,
        /// What it is.
        content: Content,
        /// Usage found in a whole response.
        usage: Option<Usage>,
    },
    /// The relayed response ended.
    Ended {
        /// How.
        end: End,
        /// Usage found in passing.
        usage: Option<Usage>,
        /// Content events relayed.
        events: u64,
    },
    /// All of the cache's answer was handed to the server.
    Answered {
        /// Usage of the reply when it was made.
        usage: Option<Usage>,
    },
    /// The exchange of the identical request has come this far.
    Joined(Joined),
}

/// An entry of the cache that answers a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its key.
    pub key: u128,
    /// Why it answers.
    pub hit: Hit,
    /// What this worker knows of it. Where it has no body, the store is asked.
    pub known: Known,
}

/// Why an entry answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// It was made for the same request.
    Exact,
    /// It was made for one that means the same.
    Semantic {
        /// Cosine of the two, in thousandths.
        similarity_permille: u16,
    },
}

/// What came of the exchange that a request has joined.
#[derive(Debug)]
pub enum Joined {
    /// A response, to be relayed.
    Response {
        /// HTTP status.
        status: u16,
        /// How the other request ends, as far as it has.
        outcome: Outcome,
        /// Usage found in a whole response.
        usage: Option<Usage>,
        /// Whether all of it is there; else [`Event::Ended`] follows.
        whole: bool,
    },
    /// None: the other request ends with this refusal and outcome.
    Refused(Refusal, Outcome),
}

/// What a response is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Declared as `application/json` or `…+json`.
    Json,
    /// Declared as `text/event-stream`.
    Events,
    /// Nothing that the client may see: what is wrong with it, for the operator's log.
    Other(Cow<'static, str>),
}

/// How a relayed response ended.
#[derive(Clone, Debug)]
pub enum End {
    /// As it should.
    Complete,
    /// The provider sent an error event.
    ProviderError,
    /// The provider's stream broke.
    Failed(Failure),
    /// The client left, before or while the response was relayed.
    ClientGone,
}

/// How a request ended, for the record and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Refused by edgeroute: key, body, rule, limit.
    Refused,
    /// Refused unread, because as many requests as may be are open.
    Overloaded,
    /// A provider's 4xx, relayed.
    ClientError,
    /// Providers failed.
    UpstreamError,
    /// A stream broke after it had begun.
    Cut,
    /// The client left early.
    Disconnected,
}

impl Outcome {
    /// Label value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Overloaded => "overloaded",
            Self::ClientError => "client_error",
            Self::UpstreamError => "upstream_error",
            Self::Cut => "cut",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Where an attempt goes.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// Index of the provider in the snapshot.
    pub provider_index: usize,
    /// Its replica.
    pub replica: &'a Replica,
    /// Index of the replica in the provider.
    pub replica_index: usize,
    /// Which of the provider's credentials is used; none if it has none.
    pub credential: Option<&'a Credential>,
    /// What rules change of its header fields.
    pub(crate) headers: &'a [HeaderChange],
    /// Path below the replica's URL.
    pub path: &'static str,
    /// Deadline for a connection, in milliseconds.
    pub connect_ms: u64,
    /// Deadline for the first byte of the response, in milliseconds.
    pub first_byte_ms: u64,
    /// Longest silence inside the response, in milliseconds.
    pub gap_ms: u64,
    /// Milliseconds left of the request's total deadline.
    pub total_ms: u64,
}
