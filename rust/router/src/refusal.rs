//! Why a client gets an error from edgeroute itself. Codes are stable: clients and dashboards match on them.

use std::borrow::Cow;

/// Stable reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No endpoint at this path.
    UnknownPath,
    /// The endpoint exists, with another method.
    MethodNotAllowed,
    /// No key was presented.
    MissingKey,
    /// The key is not known.
    InvalidKey,
    /// There are more header fields or query parameters than a request may have.
    TooManyFields,
    /// The body is larger than `max_body`.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is not a JSON object as the dialect wants it.
    InvalidBody,
    /// A field is missing or of the wrong type.
    InvalidField,
    /// No model has this name.
    ModelNotFound,
    /// The key's team may not ask for this model.
    ModelNotAllowed,
    /// None of the model's targets speaks the caller's dialect.
    NoTarget,
    /// A rule refused the request.
    RejectedByRule,
    /// A rule that cannot be evaluated for the request refuses it then.
    RuleFailed,
    /// A limit of the key or team is used up.
    LimitExceeded,
    /// The request alone is larger than a limit.
    LimitTooSmall,
    /// No connection to any provider.
    UpstreamUnreachable,
    /// A provider was too slow.
    UpstreamTimeout,
    /// A provider's answer was not a valid response.
    UpstreamProtocol,
    /// A provider's answer ended too early.
    UpstreamCut,
    /// A provider refused edgeroute's own credential.
    UpstreamAuthentication,
    /// A provider answered with an error that is not JSON.
    UpstreamError,
    /// As many requests are open as edgeroute takes, or wait for the provider as it lets wait.
    Overloaded,
    /// The body did not arrive in time.
    BodyTimeout,
    /// edgeroute is stopping.
    Stopping,
    /// edgeroute itself failed.
    Internal,
}

impl Code {
    /// The name clients see.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::MissingKey => "missing_api_key",
            Self::InvalidKey => "invalid_api_key",
            Self::TooManyFields => "too_many_fields",
            Self::BodyTooLarge => "body_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::InvalidBody => "invalid_body",
            Self::InvalidField => "invalid_field",
            Self::ModelNotFound => "model_not_found",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::NoTarget => "no_target_for_dialect",
            Self::RejectedByRule => "rejected_by_rule",
            Self::RuleFailed => "rule_failed",
            Self::LimitExceeded => "rate_limit_exceeded",
            Self::LimitTooSmall => "request_exceeds_limit",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamProtocol => "upstream_protocol_error",
            Self::UpstreamCut => "upstream_cut",
            Self::UpstreamAuthentication => "upstream_authentication",
            Self::UpstreamError => "upstream_error",
            Self::Overloaded => "overloaded",
            Self::BodyTimeout => "body_timeout",
            Self::Stopping => "stopping",
            Self::Internal => "internal_error",
        }
    }

    /// The HTTP status it is answered with, unless the refusal carries its own.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownPath | Self::ModelNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::MissingKey | Self::InvalidKey => 401,
            Self::TooManyFields => 431,
            Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidBody | Self::InvalidField | Self::NoTarget | Self::LimitTooSmall => 400,
            Self::ModelNotAllowed | Self::RejectedByRule | Self::RuleFailed => 403,
            Self::LimitExceeded => 429,
            Self::UpstreamTimeout => 504,
            Self::UpstreamUnreachable
            | Self::UpstreamProtocol
            | Self::UpstreamCut
            | Self::UpstreamAuthentication
            | Self::UpstreamError => 502,
            Self::Overloaded | Self::Stopping => 503,
            Self::Internal => 500,
        }
    }
}

/// An error that edgeroute answers with, before it is written in the caller's dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable reason.
    pub code: Code,
    /// HTTP status.
    pub status: u16,
    /// What is wrong and what to do, for the client.
    pub message: String,
    /// The request field concerned.
    pub field: Option<&'static str>,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with the status of its code; what is overloaded may be asked again after a second.
    #[cold]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let retry_after = (code == Code::Overloaded).then_some(1);
        Self { code, status: code.status(), message: message.into(), field: None, retry_after }
    }

    /// Names the request field concerned.
    pub fn field(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }
}

/// What serde says of malformed JSON, without the text that it quotes: that may be a credential or content.
#[cold]
pub fn without_text(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let quoted = message.split_once('"').zip(message.rsplit_once('"'));
    quoted.map_or_else(|| message.clone(), |((before, _), (_, after))| format!("{before}…{after}"))
}

/// At most 80 characters of something a client sent, for messages and logs.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    const MOST: usize = 80;
    if text.len() <= MOST {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(MOST) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_is_told_without_its_text() {
        for (json, expected) in [
            (r#""sk-\"secret\"""#, "invalid type: string …, expected u8 at line 1 column 15"),
            ("300", "invalid value: integer `300`, expected u8 at line 1 column 3"),
            ("\"sk-secret", "EOF while parsing a string at line 1 column 10"),
            ("\"", "EOF while parsing a string at line 1 column 1"),
        ] {
            assert_eq!(without_text(&serde_json::from_str::<u8>(json).unwrap_err()), expected);
        }
    }
}
