//! What of a request's top-level fields does not change the answer.

use edgeroute_wire::Operation;

use super::form;
use super::tree::{Node, Tree};

/// A value that means the same as no field.
#[derive(Debug, Clone, Copy)]
enum Neutral {
    Boolean(bool),
    Number(&'static str),
    Text(&'static str),
    /// An object with nothing but this `type`.
    OfType(&'static str),
    /// `null` alone.
    Absent,
}

use Neutral::{Absent, Boolean, Number, OfType, Text};

/// Fields that say who asks, how the request is billed or queued, and what is kept of it at the provider.
///
/// | operation | fields |
/// |---|---|
/// | all but responses | `user`, `metadata`, `service_tier`, `safety_identifier`, `prompt_cache_key`, `prompt_cache_retention` |
/// | chat completions | `store` too: there it keeps a copy to look at |
/// | responses | none: a response repeats them, and one that is stored can be continued |
pub(super) fn is_excluded(operation: Operation, name: &str) -> bool {
    match name {
        _ if operation == Operation::Responses => false,
        "user" | "metadata" | "service_tier" | "safety_identifier" => true,
        "prompt_cache_key" | "prompt_cache_retention" => true,
        "store" => operation == Operation::ChatCompletions,
        _ => false,
    }
}

/// Whether the value means the same as no field: `null` and what the protocol documents, where [`neutral`] lists the
/// field. Of fields that are not listed `null` is kept.
pub(super) fn is_default(operation: Operation, name: &str, tree: &Tree<'_>, node: u32) -> bool {
    let Some(neutral) = neutral(operation, name) else { return false };
    match (tree.node(node), neutral) {
        (Some(Node::Null), _) => true,
        (Some(Node::Boolean(value)), Boolean(default)) => *value == default,
        (Some(Node::Number(value)), Number(default)) => form::is_same_number(value, default),
        (Some(Node::String(value)), Text(default)) => value.is(default),
        (Some(Node::Object { .. }), OfType(default)) => {
            tree.members(node).len() == 1
                && tree.get(node, "type").and_then(|of| tree.text(of)).as_deref() == Some(default)
        }
        _ => false,
    }
}

/// What the protocols document as the default of a field, or that `null` alone stands for none.
fn neutral(operation: Operation, name: &str) -> Option<Neutral> {
    let of_sampling = match name {
        "n" => Some(Number("1")),
        "frequency_penalty" | "presence_penalty" => Some(Number("0")),
        "stream" | "logprobs" => Some(Boolean(false)),
        // Engines have defaults of their own, of the model.
        "temperature" | "top_p" => Some(Absent),
        "seed" | "stop" | "logit_bias" | "max_tokens" | "stream_options" => Some(Absent),
        _ => None,
    };
    match operation {
        Operation::ChatCompletions => of_sampling.or(match name {
            "response_format" => Some(OfType("text")),
            "parallel_tool_calls" => Some(Boolean(true)),
            "max_completion_tokens" | "tools" | "tool_choice" | "functions" | "function_call" => Some(Absent),
            "top_logprobs" | "reasoning_effort" | "verbosity" | "modalities" | "audio" => Some(Absent),
            "prediction" | "web_search_options" => Some(Absent),
            _ => None,
        }),
        Operation::Completions => of_sampling.or(match name {
            "best_of" => Some(Number("1")),
            "echo" => Some(Boolean(false)),
            "suffix" => Some(Absent),
            _ => None,
        }),
        Operation::Embeddings => match name {
            "encoding_format" => Some(Text("float")),
            "dimensions" => Some(Absent),
            _ => None,
        },
        Operation::Responses => match name {
            "temperature" | "top_p" => Some(Absent),
            "top_logprobs" => Some(Number("0")),
            "stream" | "background" => Some(Boolean(false)),
            "store" | "parallel_tool_calls" => Some(Boolean(true)),
            "truncation" => Some(Text("disabled")),
            "instructions" | "max_output_tokens" | "max_tool_calls" | "include" => Some(Absent),
            "previous_response_id" | "conversation" | "prompt" | "reasoning" | "text" => Some(Absent),
            "tools" | "tool_choice" | "stream_options" => Some(Absent),
            _ => None,
        },
        Operation::Messages | Operation::CountTokens => match name {
            "stream" => Some(Boolean(false)),
            "system" | "tools" | "tool_choice" | "stop_sequences" => Some(Absent),
            "temperature" | "top_k" | "top_p" | "thinking" => Some(Absent),
            _ => None,
        },
    }
}
