//! What requests of one conversation have in common, for strategies that keep them together.

use std::borrow::Cow;

use edgeroute_placement::key;

use super::Asked;
use crate::compile::CompileError;
use crate::place::prompt::first_block;

/// Where a key is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// What a client calls its session.
    Session,
    /// Whom the client acts for.
    User,
    /// Who asks.
    VirtualKey,
    /// How the prompt begins.
    Prompt,
    /// A header field, its name in lower case.
    Header(Box<str>),
}

/// Header fields that name a session, the surest first, with who sends them. `x-client-request-id` is not among them:
/// most clients send another one with each request.
const SESSION_HEADERS: [&str; 9] = [
    "x-claude-code-session-id", // Claude Code
    "x-opencode-session",       // OpenCode
    "x-kilocode-taskid",        // Kilo Code
    "x-client-session-id",      // Copilot CLI
    "session-id",               // Codex
    "session_id",               // older Codex, pi
    "conversation_id",          // the oldest Codex
    "x-session-affinity",       // OpenCode and pi, at providers with caches
    "x-session-id",             // OpenRouter's clients, and whoever has no other name for it
];
/// The field of the body that OpenAI has for it.
const SESSION_FIELD: &str = "prompt_cache_key";

impl KeySource {
    /// As the configuration names it.
    pub(crate) fn parse(name: &str, place: &str) -> Result<Self, CompileError> {
        Ok(match name {
            "session" => Self::Session,
            "user" => Self::User,
            "virtual_key" => Self::VirtualKey,
            "prompt" => Self::Prompt,
            _ => match name.strip_prefix("header:") {
                Some(header) if !header.is_empty() => Self::Header(header.to_ascii_lowercase().into()),
                _ => {
                    let text = format!("{place}: a key cannot be read from `{name}`");
                    return Err(CompileError::Invalid(text));
                }
            },
        })
    }
}

/// The first key that the request has: its hash, and where it was found.
pub(crate) fn find<'s>(sources: &'s [KeySource], asked: &Asked<'_, '_>) -> Option<(u64, Cow<'s, str>)> {
    sources.iter().find_map(|source| read(source, asked))
}

fn read<'s>(source: &'s KeySource, asked: &Asked<'_, '_>) -> Option<(u64, Cow<'s, str>)> {
    let variables = asked.variables;
    let header = |name: &str| variables.request.header(name).filter(|value| !value.is_empty());
    let of = |value: &str, from: Cow<'s, str>| Some((key(0, value.as_bytes()), from));
    match source {
        KeySource::Session => {
            let sent = SESSION_HEADERS.iter().find_map(|name| Some((*name, header(name)?)));
            if let Some((name, value)) = sent {
                return of(value, format!("the header `{name}`").into());
            }
            let value = variables.document.string(SESSION_FIELD).ok().flatten();
            of(&value.filter(|value| !value.is_empty())?, "the field `prompt_cache_key`".into())
        }
        KeySource::User => of(&variables.user()?, "the client's user".into()),
        KeySource::VirtualKey => of(&variables.key.name, "the virtual key".into()),
        KeySource::Prompt => Some((first_block(asked), "the beginning of the prompt".into())),
        KeySource::Header(name) => of(header(name)?, format!("the header `{name}`").into()),
    }
}
