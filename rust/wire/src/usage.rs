//! The tokens that a provider says it has counted.

use crate::dialect::Dialect;
use crate::document::Document;

/// Tokens of one reply, as its provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those read from or written to the provider's cache included.
    pub input: u64,
    /// Tokens of the reply, reasoning included.
    pub output: u64,
    /// Tokens of the prompt that were read from the provider's cache.
    pub cached_input: u64,
}

/// What has been reported so far. A later report of a stream replaces the counts that it names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reported {
    uncached: u64,
    written: u64,
    read: u64,
    output: u64,
    any: bool,
}

/// What OpenAI's counts are called.
struct OpenAiNames {
    input: &'static str,
    output: &'static str,
    details: &'static str,
}

const CHAT: OpenAiNames =
    OpenAiNames { input: "prompt_tokens", output: "completion_tokens", details: "prompt_tokens_details" };
const RESPONSES: OpenAiNames =
    OpenAiNames { input: "input_tokens", output: "output_tokens", details: "input_tokens_details" };

impl Usage {
    /// Tokens in and out.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// The usage of a whole reply; `None` if it reports none.
pub fn read(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    let mut reported = Reported::default();
    reported.add(dialect, &Document::scan(body).ok()?);
    reported.usage()
}

impl Reported {
    /// Takes the counts of the `usage` object of `holder`, if it has one.
    pub(crate) fn add(&mut self, dialect: Dialect, holder: &Document<'_>) {
        let Some(usage) = holder.get("usage").and_then(|usage| holder.nested(usage).ok()) else { return };
        match dialect {
            Dialect::OpenAiChat => self.add_openai(&usage, &CHAT),
            Dialect::OpenAiResponses => self.add_openai(&usage, &RESPONSES),
            Dialect::AnthropicMessages => self.add_anthropic(&usage),
        }
    }

    pub(crate) fn usage(self) -> Option<Usage> {
        self.any.then(|| Usage {
            input: self.uncached.saturating_add(self.written).saturating_add(self.read),
            output: self.output,
            cached_input: self.read,
        })
    }

    /// The tokens of the prompt include the cached ones.
    fn add_openai(&mut self, usage: &Document<'_>, names: &OpenAiNames) {
        let (input, output) = (count(usage, names.input), count(usage, names.output));
        if input.is_none() && output.is_none() {
            return;
        }
        let details = usage.get(names.details).and_then(|details| usage.nested(details).ok());
        let cached = details.and_then(|details| count(&details, "cached_tokens"));
        let input = input.unwrap_or(0);
        self.read = cached.unwrap_or(0).min(input);
        self.uncached = input - self.read;
        self.output = output.unwrap_or(0);
        self.any = true;
    }

    /// `input_tokens` excludes those read from and written to the cache.
    fn add_anthropic(&mut self, usage: &Document<'_>) {
        for (name, target) in [
            ("input_tokens", &mut self.uncached),
            ("cache_creation_input_tokens", &mut self.written),
            ("cache_read_input_tokens", &mut self.read),
            ("output_tokens", &mut self.output),
        ] {
            if let Some(tokens) = count(usage, name) {
                *target = tokens;
                self.any = true;
            }
        }
    }
}

/// A count that the provider reports; what is no count is not used.
fn count(document: &Document<'_>, name: &str) -> Option<u64> {
    document.unsigned(name).ok().flatten()
}
