//! Which headers pass. Towards providers it is an allow-list: client credentials, cookies and edgeroute's own
//! headers never leave. Towards clients it is a list of what stays behind.

use edgeroute_wire::Dialect;

use crate::request::Request;
use crate::snapshot::Provider;

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

/// The provider's credential as its dialect sends it.
pub fn credential(provider: &Provider) -> Option<(&'static str, Vec<u8>)> {
    let key = provider.api_key.as_ref()?.reveal();
    Some(match provider.dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            ("authorization", format!("Bearer {key}").into_bytes())
        }
        Dialect::AnthropicMessages => ("x-api-key", key.as_bytes().to_vec()),
    })
}

/// Whether a provider's response header reaches the client. Hop-by-hop headers are gone already; the server
/// writes its own `date` and `server`; cookies and transport policy are the provider's with edgeroute, not with
/// the client; `x-request-id` is edgeroute's own.
pub fn passes_back(name: &str) -> bool {
    !matches!(
        name,
        "alt-svc" | "date" | "server" | "set-cookie" | "strict-transport-security" | "via" | "x-request-id"
    ) && !name.starts_with("x-edgeroute-")
}
