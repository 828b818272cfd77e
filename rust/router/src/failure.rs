//! Why an attempt gave no response. Whether another one makes sense is decided here, once.

use crate::refusal::{Code, Refusal};

/// What went wrong between edgeroute and a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Name resolution, TCP or TLS failed.
    Connect,
    /// All connections were busy, and as many requests as may wait for one did: ours, not the provider's doing.
    QueueFull,
    /// All connections were busy, and the deadline of a connection passed: ours, not the provider's doing.
    QueueTimeout,
    /// No connection within its deadline.
    ConnectTimeout,
    /// No response within its deadline.
    FirstByteTimeout,
    /// Silence inside a response.
    GapTimeout,
    /// The whole request took too long.
    TotalTimeout,
    /// What came is not a valid response.
    Protocol,
    /// The connection was closed or reset before the response was complete.
    Cut,
    /// A stream began with an error.
    ErrorEvent,
    /// The response is larger than edgeroute holds.
    TooLarge,
    /// The request cannot be sent as it is.
    Unsendable,
    /// edgeroute is stopping, and the time for what is under way is over.
    Stopping,
}

impl FailureKind {
    /// Label and log value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::QueueFull => "queue_full",
            Self::QueueTimeout => "queue_timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::GapTimeout => "gap_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Protocol => "protocol",
            Self::Cut => "cut",
            Self::ErrorEvent => "error_event",
            Self::TooLarge => "too_large",
            Self::Unsendable => "unsendable",
            Self::Stopping => "stopping",
        }
    }

    /// Whether there was no connection to send the request on.
    pub(crate) fn is_of_connection(self) -> bool {
        matches!(self, Self::Connect | Self::QueueFull | Self::QueueTimeout | Self::ConnectTimeout)
    }

    /// Whether what served the request may have been started anew.
    pub(crate) fn may_have_lost_cache(self) -> bool {
        matches!(
            self,
            Self::Connect | Self::ConnectTimeout | Self::FirstByteTimeout | Self::GapTimeout | Self::Cut
        )
    }

    /// Whether the next candidate may be tried, as long as nothing has reached the client.
    pub fn allows_another(self) -> bool {
        !matches!(self, Self::TotalTimeout | Self::TooLarge | Self::Unsendable | Self::Stopping)
    }
}

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// For the operator's log; never shown to clients.
    pub detail: String,
}

impl Failure {
    /// What the client is told.
    pub(crate) fn refusal(&self, provider: &str) -> Refusal {
        let (code, what) = match self.kind {
            FailureKind::Connect => (Code::UpstreamUnreachable, "could not be reached"),
            FailureKind::QueueFull => (Code::Overloaded, "has too many requests waiting for it"),
            FailureKind::QueueTimeout => (Code::UpstreamTimeout, "had no free connection in time"),
            FailureKind::ConnectTimeout => (Code::UpstreamTimeout, "could not be reached in time"),
            FailureKind::FirstByteTimeout => (Code::UpstreamTimeout, "did not answer in time"),
            FailureKind::GapTimeout => (Code::UpstreamTimeout, "stopped answering"),
            FailureKind::TotalTimeout => (Code::UpstreamTimeout, "did not finish in time"),
            FailureKind::Protocol => (Code::UpstreamProtocol, "sent something that is not a valid answer"),
            FailureKind::Cut => (Code::UpstreamCut, "closed the connection before its answer was complete"),
            FailureKind::ErrorEvent => (Code::UpstreamError, "sent an error instead of a stream"),
            FailureKind::TooLarge => (Code::UpstreamProtocol, "sent an answer that is too large"),
            FailureKind::Unsendable => (Code::Internal, "cannot be sent this request"),
            FailureKind::Stopping => {
                return Refusal::new(Code::Stopping, "this router is stopping; send the request again");
            }
        };
        Refusal::new(code, format!("provider `{provider}` {what}"))
    }
}
