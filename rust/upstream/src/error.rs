//! What can go wrong in an exchange, as data and as a sentence.

use std::borrow::Cow;
use std::fmt;

use crate::origin::Origin;

/// Which deadline of an exchange passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// As `Connect`, but part of the time went by in the queue, since all connections were busy: the provider had
    /// none of it or only what was left, so this says nothing about the provider.
    Queue,
    /// Getting a connection: name lookup, TCP, the proxy's tunnel and TLS together.
    Connect,
    /// From the moment the request goes out to the first byte of the final response.
    FirstByte,
    /// Between two arrivals of response bytes.
    Gap,
    /// The whole exchange.
    Total,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The name of the host, or of the proxy, has no address.
    Resolve,
    /// No address accepted a connection, or the proxy opened no tunnel.
    Connect,
    /// The TLS handshake or a TLS record failed.
    Tls,
    /// A deadline passed.
    Timeout(Deadline),
    /// The bytes are not the strict HTTP/1.1 we accept.
    Protocol,
    /// The connection closed or was reset before the response ended.
    Cut,
    /// A whole response was larger than the configured limit.
    TooLarge,
    /// As many exchanges as may wait for a connection do; nothing left this machine.
    QueueFull,
    /// The request cannot be sent as it is; nothing left this machine.
    Request,
}

/// Why an exchange failed. `Display` is one sentence for operators; it names the origin and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {kind}: {context}")]
pub struct Error {
    /// What went wrong.
    pub kind: Kind,
    /// Whether any response byte had arrived (the provider may have charged for it).
    pub first_byte: bool,
    /// The particulars.
    pub context: Cow<'static, str>,
    /// Scheme, host and port, and the proxy if there is one: `https://api.example.com:443 through proxy:3128`.
    pub origin: String,
}

/// The cause of a failure, before the exchange adds what it knows.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) context: Cow<'static, str>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the host name could not be resolved",
            Self::Connect => "cannot connect",
            Self::Tls => "TLS failed",
            Self::Timeout(Deadline::Queue) => "timed out waiting for a free connection",
            Self::Timeout(Deadline::Connect) => "timed out connecting",
            Self::Timeout(Deadline::FirstByte) => "timed out waiting for the first byte",
            Self::Timeout(Deadline::Gap) => "timed out between two parts of the response",
            Self::Timeout(Deadline::Total) => "the exchange took too long",
            Self::Protocol => "the response is not valid HTTP/1.1",
            Self::Cut => "the connection was cut before the response ended",
            Self::TooLarge => "the response is too large",
            Self::QueueFull => "too many requests wait for a free connection",
            Self::Request => "the request cannot be sent",
        })
    }
}

impl Failure {
    #[cold]
    pub(crate) fn new(kind: Kind, context: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, context: context.into() }
    }

    #[cold]
    pub(crate) fn io(kind: Kind, error: &std::io::Error) -> Self {
        Self { kind, context: error.to_string().into() }
    }

    #[cold]
    pub(crate) fn into_error(self, origin: &Origin, first_byte: bool) -> Error {
        Error { kind: self.kind, first_byte, context: self.context, origin: origin.name().to_owned() }
    }
}
