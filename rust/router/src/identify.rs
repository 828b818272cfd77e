//! Phase 2: who asks.

use sha2::{Digest, Sha256};

use crate::refusal::{Code, Refusal, excerpt};
use crate::request::{MOST_FIELDS, Request};
use crate::snapshot::Snapshot;
use crate::trace::{Phase, Trace};

/// The key that a request presents: as bearer token, which OpenAI's clients send, or in Anthropic's header.
pub(crate) fn identify(
    snapshot: &Snapshot,
    request: &Request<'_>,
    trace: &mut Trace,
) -> Result<u32, Refusal> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case("bearer ").then(|| token.trim())
    });
    let in_bearer = bearer.filter(|key| !key.is_empty()).map(|key| (key, "authorization"));
    let in_header =
        || request.header("x-api-key").filter(|key| !key.is_empty()).map(|key| (key, "x-api-key"));
    let Some((presented, header)) = in_bearer.or_else(in_header) else {
        trace
            .note(Phase::Identify, || "neither `authorization: Bearer …` nor `x-api-key` holds a key".into());
        return Err(missing_key());
    };
    let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
    let found = snapshot.key_hashes.get(&hash).copied();
    found.ok_or_else(|| {
        trace.note(Phase::Identify, || format!("the key in `{header}` is none of the virtual keys"));
        invalid_key()
    })
}

#[cold]
fn missing_key() -> Refusal {
    let message = "no API key; send a virtual key as `authorization: Bearer …` or `x-api-key: …`";
    Refusal::new(Code::MissingKey, message)
}

#[cold]
pub(crate) fn invalid_key() -> Refusal {
    Refusal::new(Code::InvalidKey, "this API key is not known here; use a virtual key that edgeroute issued")
}

/// What must hold of the rest before rules read it.
pub(crate) fn check_head(request: &Request<'_>) -> Result<(), Refusal> {
    let separators = || memchr::memchr_iter(b'&', request.query.as_bytes()).count();
    let too_many = if request.headers.fields().len() > MOST_FIELDS {
        "header fields"
    } else if request.query.len() > MOST_FIELDS && separators() >= MOST_FIELDS {
        "query parameters"
    } else {
        return Ok(());
    };
    Err(Refusal::new(Code::TooManyFields, format!("a request may have {MOST_FIELDS} {too_many}, not more")))
}

/// What must hold of a body before it is read: what the head declares, and what has arrived.
pub(crate) fn check_declared(snapshot: &Snapshot, request: &Request<'_>) -> Result<(), Refusal> {
    let declared = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if request.body.len().max(declared.unwrap_or(0)) > snapshot.max_body {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("the body is larger than {} bytes, the most this router takes", snapshot.max_body),
        ));
    }
    if let Some(media) = request.header("content-type").filter(|declared| !is_json(declared)) {
        return Err(Refusal::new(
            Code::UnsupportedMediaType,
            format!("the body must be JSON; send `content-type: application/json`, not `{}`", excerpt(media)),
        ));
    }
    Ok(())
}

/// What must hold of a body before it is scanned.
pub(crate) fn check_body(snapshot: &Snapshot, request: &Request<'_>) -> Result<(), Refusal> {
    // A body that is declared too large has not been read.
    check_declared(snapshot, request)?;
    if request.body.is_empty() {
        return Err(Refusal::new(Code::InvalidBody, "the body is empty; it must be a JSON object"));
    }
    Ok(())
}

fn is_json(content_type: &str) -> bool {
    if content_type == "application/json" {
        return true;
    }
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let suffix = media.len().checked_sub("+json".len()).and_then(|start| media.get(start..));
    media.eq_ignore_ascii_case("application/json")
        || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}
