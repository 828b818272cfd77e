//! The wire protocols this crate can read, and what a request asks for.

use std::fmt;

/// A wire protocol, as clients speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI chat completions, completions and embeddings.
    OpenAiChat,
    /// OpenAI responses.
    OpenAiResponses,
    /// Anthropic messages.
    AnthropicMessages,
}

/// What a request asks for. Each belongs to one dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// OpenAI chat completions.
    ChatCompletions,
    /// OpenAI completions: the older protocol, text in and text out.
    Completions,
    /// OpenAI embeddings.
    Embeddings,
    /// OpenAI responses.
    Responses,
    /// Anthropic messages.
    Messages,
    /// Anthropic's count of a message's tokens, which generates nothing.
    CountTokens,
}

impl Dialect {
    /// Every dialect, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::OpenAiChat, Self::OpenAiResponses, Self::AnthropicMessages];

    /// The name in configuration, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
            Self::OpenAiResponses => "openai-responses",
            Self::AnthropicMessages => "anthropic-messages",
        }
    }

    /// The dialect of the providers that speak this one: who serves OpenAI's chat completions may serve its responses
    /// too, and is configured once.
    pub fn spoken_by(self) -> Self {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses => Self::OpenAiChat,
            Self::AnthropicMessages => Self::AnthropicMessages,
        }
    }

    /// The dialect that a provider is configured with under this name.
    pub fn of_provider(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name && dialect.spoken_by() == *dialect)
    }
}

impl Operation {
    /// Every operation, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
    ];

    /// The protocol of its requests and replies.
    pub fn dialect(self) -> Dialect {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => Dialect::OpenAiChat,
            Self::Responses => Dialect::OpenAiResponses,
            Self::Messages | Self::CountTokens => Dialect::AnthropicMessages,
        }
    }

    /// The path below `/v1`, or below a provider's base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// The operation at this path.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.path() == path)
    }

    /// Whether a model writes the reply. It costs output tokens, and can be a stream.
    pub fn generates(self) -> bool {
        !matches!(self, Self::Embeddings | Self::CountTokens)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialect, Operation};

    #[test]
    fn providers_are_configured_with_the_dialects_that_they_speak_first() {
        for (name, expected) in [
            ("openai-chat", Some(Dialect::OpenAiChat)),
            ("anthropic-messages", Some(Dialect::AnthropicMessages)),
            ("openai-responses", None),
            ("OpenAI-Chat", None),
        ] {
            assert_eq!(Dialect::of_provider(name), expected, "{name}");
        }
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::of_provider(dialect.spoken_by().name()), Some(dialect.spoken_by()));
        }
    }

    #[test]
    fn operations_are_found_by_their_paths() {
        for operation in Operation::ALL {
            assert_eq!(Operation::at(operation.path()), Some(operation));
        }
        for path in ["", "/", "/chat", "/completions/", "/messages/count_tokens/x", "responses"] {
            assert_eq!(Operation::at(path), None, "{path}");
        }
    }
}
