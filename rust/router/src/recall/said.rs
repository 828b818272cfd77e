//! What a reply says, to be compared with another one.

use edgeroute_cache::Body;
use serde_json::Value;

/// The text of a reply or of a stream's events, of the first choice; none where it says more than text, or nothing that
/// can be read.
pub fn said(body: &Body<'_>) -> Option<String> {
    let text = match body {
        Body::Whole(reply) => whole(&serde_json::from_slice(reply).ok()?)?,
        Body::Stream { events, .. } => {
            let events = std::str::from_utf8(events).ok()?;
            let data = events.lines().filter_map(|line| line.strip_prefix("data:"));
            let read = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
            read.map(|event| piece(&event).map(str::to_owned)).collect::<Option<String>>()?
        }
    };
    Some(text).filter(|text| !text.is_empty())
}

/// OpenAI's chats and completions, Anthropic's messages, OpenAI's responses.
fn whole(reply: &Value) -> Option<String> {
    if let Some(choice) = reply.pointer("/choices/0") {
        if has_calls(choice.get("message")) {
            return None;
        }
        let content = choice.pointer("/message/content").or_else(|| choice.get("text"))?;
        return content.as_str().map(str::to_owned);
    }
    if let Some(blocks) = reply.get("content").and_then(Value::as_array) {
        return blocks.iter().map(|block| block.get("text")?.as_str()).collect();
    }
    let items = reply.get("output")?.as_array()?.iter();
    let parts = items.map(|item| match item.get("type")?.as_str()? {
        "message" => item.get("content")?.as_array().map(Vec::as_slice),
        "reasoning" => Some(Default::default()),
        _ => None,
    });
    let parts = parts.collect::<Option<Vec<_>>>()?;
    parts.into_iter().flatten().map(|part| part.get("text")?.as_str()).collect()
}

/// What one event adds; none if it adds something else than text.
fn piece(event: &Value) -> Option<&str> {
    if let Some(choice) = event.pointer("/choices/0") {
        if has_calls(choice.get("delta")) {
            return None;
        }
        let text = choice.pointer("/delta/content").or_else(|| choice.get("text"));
        return Some(text.and_then(Value::as_str).unwrap_or_default());
    }
    match event.get("type").and_then(Value::as_str) {
        Some("content_block_delta") => event.pointer("/delta/text")?.as_str(),
        Some("content_block_start") => event.pointer("/content_block/text")?.as_str(),
        Some("response.output_text.delta") => event.get("delta")?.as_str(),
        Some("response.function_call_arguments.delta") => None,
        _ => Some(""),
    }
}

fn has_calls(message: Option<&Value>) -> bool {
    message.is_some_and(|message| {
        ["tool_calls", "function_call"]
            .iter()
            .any(|name| message.get(name).is_some_and(|calls| !calls.is_null()))
    })
}
