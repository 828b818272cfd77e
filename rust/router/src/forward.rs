//! Which headers pass. Towards providers it is an allow-list: client credentials, cookies and edgeroute's own
//! headers never leave. Towards clients it is a list of what stays behind.

use edgeroute_wire::Dialect;
use memchr::memmem;
use smallvec::SmallVec;

use crate::request::Request;
use crate::snapshot::Credential;
use crate::step::Attempt;

/// The version sent where the client names none; Anthropic requires one.
const ANTHROPIC_VERSION: &[u8] = b"2023-06-01";

/// The largest error of a provider that is searched for credentials.
const MAX_ERROR_BYTES: usize = 1 << 20;

/// What is shorter is a placeholder, such as `none` or `ollama`, which an error may well contain, and no secret to keep.
const SHORTEST_SECRET: usize = 8;

/// Values of other headers are words such as an organisation's, which an error may well contain, unless they are long.
const LONG_BYTES: usize = 16;

/// Client headers that a dialect's providers get, lower case.
pub fn allowed(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => &["openai-beta"],
        Dialect::AnthropicMessages => &["anthropic-beta", "anthropic-version"],
    }
}

/// Header fields towards a provider; as many as there usually are stay off the heap.
///
/// NOTE: with this, credentials and names of models written at load, and a body of exactly its length, what goes to the
/// provider takes 1,030 instructions and one allocation instead of 2,715 and five.
pub type Fields<'a> = SmallVec<[(&'a str, &'a [u8]); 8]>;

/// What the client sent of the allowed headers, and what its dialect wants in any case.
pub fn client_headers(dialect: Dialect, request: &Request<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let sent = |name: &'static str| Some((name, request.header(name)?.as_bytes().to_vec()));
    let mut headers: Vec<_> = allowed(dialect).iter().filter_map(|name| sent(name)).collect();
    if dialect == Dialect::AnthropicMessages && request.header("anthropic-version").is_none() {
        headers.push(("anthropic-version", ANTHROPIC_VERSION.to_vec()));
    }
    headers
}

/// The same of a request that no client sent.
pub fn own_headers(dialect: Dialect) -> Vec<(&'static str, Vec<u8>)> {
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => Vec::new(),
        Dialect::AnthropicMessages => vec![("anthropic-version", ANTHROPIC_VERSION.to_vec())],
    }
}

/// The header fields of an attempt: the credential as its dialect sends it, and `client`, what [`client_headers`] gave.
/// The provider's own fields replace those of the same name, and what rules say replaces both.
pub fn attempt_headers<'a>(attempt: &Attempt<'a>, client: &'a [(&'static str, Vec<u8>)]) -> Fields<'a> {
    let provider = attempt.provider;
    let credential = attempt.credential.map(Credential::field);
    let client = client.iter().map(|(name, value)| (*name, value.as_slice()));
    let own = provider.headers.iter().map(|(name, value)| (&**name, value.reveal().as_bytes()));
    let is_own = |name: &str| provider.headers.iter().any(|(own, _)| **own == *name);
    let is_changed = |name: &str| attempt.headers.iter().any(|(changed, _)| **changed == *name);
    let set =
        attempt.headers.iter().filter_map(|(name, value)| Some((&**name, value.as_deref()?.as_bytes())));
    let others = credential.into_iter().chain(client).filter(|(name, _)| !is_own(name)).chain(own);
    others.filter(|(name, _)| !is_changed(name)).chain(set).collect()
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

/// Why an error of the provider does not reach the client, if so: it repeats a credential that the provider was sent,
/// or is too large to be searched for one.
pub fn why_withheld(attempt: &Attempt<'_>, error: &[u8]) -> Option<&'static str> {
    if error.len() > MAX_ERROR_BYTES {
        return Some("it is larger than 1 MiB");
    }
    let key = attempt.credential.map(Credential::key);
    let headers = attempt.provider.headers.iter().flat_map(|(name, value)| secrets(name, value.reveal()));
    let mut secrets = key.into_iter().chain(headers).filter(|secret| secret.len() >= SHORTEST_SECRET);
    let repeats = secrets.any(|secret| memmem::find(error, secret.as_bytes()).is_some());
    repeats.then_some("it repeats a credential")
}

/// What is secret in a header field: the token without its scheme (`Bearer …`), each of the cookies.
fn secrets<'v>(name: &str, value: &'v str) -> impl Iterator<Item = &'v str> {
    let is_credential =
        ["authorization", "cookie", "key", "secret", "token"].iter().any(|part| name.contains(part));
    let tokens = value.split(';').filter_map(|part| part.split_ascii_whitespace().next_back());
    let whole = (!is_credential && value.len() >= LONG_BYTES).then_some(value);
    tokens.filter(move |_| is_credential).chain(whole)
}
