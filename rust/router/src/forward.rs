//! Which headers pass. Towards providers it is an allow-list: client credentials, cookies and edgeroute's own
//! headers never leave. Towards clients it is a list of what stays behind.

use std::borrow::Cow;

use edgeroute_wire::Dialect;

use crate::request::Request;
use crate::step::Attempt;

/// The version sent where the client names none; Anthropic requires one.
const ANTHROPIC_VERSION: &[u8] = b"2023-06-01";

/// Client headers that a dialect's providers get, lower case.
pub fn allowed(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => &["openai-beta"],
        Dialect::AnthropicMessages => &["anthropic-beta", "anthropic-version"],
    }
}

/// What the client sent of the allowed headers, and what its dialect wants in any case.
pub fn client_headers(dialect: Dialect, request: &Request<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let sent = |name: &'static str| Some((name, request.header(name)?.as_bytes().to_vec()));
    let mut headers: Vec<_> = allowed(dialect).iter().filter_map(|name| sent(name)).collect();
    if dialect == Dialect::AnthropicMessages && request.header("anthropic-version").is_none() {
        headers.push(("anthropic-version", ANTHROPIC_VERSION.to_vec()));
    }
    headers
}

/// The header fields of an attempt: the credential as its dialect sends it, and `client`, what [`client_headers`] gave.
/// The provider's own fields replace those of the same name.
pub fn attempt_headers<'a>(
    attempt: &Attempt<'a>,
    client: &'a [(&'static str, Vec<u8>)],
) -> Vec<(&'a str, Cow<'a, [u8]>)> {
    let provider = attempt.provider;
    let credential = attempt.credential.map(|key| match provider.dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            ("authorization", format!("Bearer {}", key.reveal()).into_bytes().into())
        }
        Dialect::AnthropicMessages => ("x-api-key", key.reveal().as_bytes().into()),
    });
    let client = client.iter().map(|(name, value)| (*name, value.as_slice().into()));
    let own = provider.headers.iter().map(|(name, value)| (&**name, value.reveal().as_bytes().into()));
    let replaced = |name: &str| provider.headers.iter().any(|(own, _)| **own == *name);
    credential.into_iter().chain(client).filter(|(name, _)| !replaced(name)).chain(own).collect()
}

/// Whether a provider's response header reaches the client. Hop-by-hop headers are gone already; the server
/// writes its own `date` and `server`; cookies, account names and transport policy are between the provider and
/// edgeroute; `x-request-id` is edgeroute's own.
pub fn passes_back(name: &str) -> bool {
    !matches!(
        name,
        "alt-svc"
            | "anthropic-organization-id"
            | "date"
            | "openai-organization"
            | "openai-project"
            | "server"
            | "set-cookie"
            | "strict-transport-security"
            | "via"
            | "x-request-id"
    ) && !name.starts_with("x-edgeroute-")
}
