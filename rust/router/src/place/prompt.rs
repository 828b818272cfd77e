//! The prompt as engines see it: the raw fields of the body in the order in which they make the prompt. Nothing is
//! parsed; a conversation that goes on begins with the bytes that it had before.

use edgeroute_placement::{BLOCK_BYTES, PromptBlocks, PromptHasher};
use edgeroute_wire::Operation;

use super::Asked;

/// Between two fields; it stands in no JSON.
const SEPARATOR: &[u8] = &[0x1e];

/// The chain of the prompt's blocks. Prompts with different salts share none.
pub(crate) fn blocks(asked: &Asked<'_, '_>, salt: u64) -> PromptBlocks {
    let mut hasher = PromptHasher::new(salt);
    each_field(asked, |field| {
        hasher.update(field);
        hasher.update(SEPARATOR);
        true
    });
    hasher.finish()
}

/// The hash of the first block, or of all if there is less.
pub(crate) fn first_block(asked: &Asked<'_, '_>) -> u64 {
    let mut hasher = PromptHasher::new(0);
    let mut left = BLOCK_BYTES;
    each_field(asked, |field| {
        let begin = field.get(..left).unwrap_or(field);
        hasher.update(begin);
        hasher.update(SEPARATOR);
        left -= begin.len();
        left > 0
    });
    let blocks = hasher.finish();
    blocks.chain().first().copied().unwrap_or_else(|| blocks.tail())
}

/// Hands over the fields, as rules have changed them, until `each` says that it has enough.
fn each_field(asked: &Asked<'_, '_>, mut each: impl FnMut(&[u8]) -> bool) {
    let document = asked.variables.document;
    for name in fields(asked.variables.operation) {
        let changed = asked.changes.iter().find(|(changed, _)| changed == name);
        let value = match changed {
            Some((_, value)) => value.map(str::as_bytes),
            None => document.get(name).map(|field| field.value.of(document.bytes())),
        };
        if !each(value.unwrap_or_default()) {
            return;
        }
    }
}

/// What a prompt is made of, in order: tools, system prompt, messages.
fn fields(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::ChatCompletions => &["tools", "functions", "messages"],
        Operation::Completions => &["prompt"],
        Operation::Embeddings => &["input"],
        Operation::Responses => &["tools", "instructions", "input"],
        Operation::Messages | Operation::CountTokens => &["tools", "system", "messages"],
    }
}
