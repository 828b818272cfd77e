//! How many tokens a prompt has, estimated in one pass without a tokenizer.

use crate::cursor::Cursor;
use crate::dialect::{Dialect, Operation};
use crate::document::{Document, Field, Kind};
use crate::error::ScanError;

/// Tokens that an image counts for.
pub const IMAGE_TOKENS: u64 = 1_000;
/// Tokens that a file counts for.
pub const FILE_TOKENS: u64 = 3_000;
/// Tokens that a recording counts for.
pub const AUDIO_TOKENS: u64 = 1_500;

const BYTES_PER_TOKEN: u64 = 4;
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_PROMPT: u64 = 3;

/// The size of a prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Estimated tokens.
    pub tokens: u64,
    /// Messages of a chat, or items of a response's input; system prompts and instructions beside them not counted.
    pub messages: u64,
}

/// Estimates the prompt of a request.
///
/// Text counts its bytes in the body divided by four, rounded up per string. A chat counts 3 tokens and 4 per message
/// besides; definitions of tools, and arguments of calls given as JSON, count as text. Images, files and recordings
/// count [`IMAGE_TOKENS`], [`FILE_TOKENS`] and [`AUDIO_TOKENS`], never the bytes of their encoding. The prompt of
/// completions and the input of embeddings may be token numbers, which are counted. What a provider has stored (an
/// earlier response, a file) cannot be. Nested values that are not JSON count as text: the provider will refuse them.
pub fn measure(document: &Document<'_>, operation: Operation) -> Prompt {
    let mut prompt = Prompt::default();
    let body = document.bytes();
    let mut add = |name: &str, count: fn(&mut Cursor<'_>, &mut Prompt) -> Option<()>| {
        if let Some(field) = document.get(name).filter(|field| field.kind != Kind::Null) {
            prompt.add_field(body, field, count);
        }
    };
    match operation {
        Operation::Embeddings => {
            add("input", input);
            return prompt;
        }
        Operation::Completions => {
            add("prompt", input);
            add("suffix", input);
            return prompt;
        }
        Operation::ChatCompletions => {
            add("messages", messages);
            add("functions", as_text);
        }
        Operation::Responses => {
            add("instructions", content);
            add("input", messages);
        }
        Operation::Messages | Operation::CountTokens => {
            add("system", content);
            add("messages", messages);
        }
    }
    add("tools", as_text);
    prompt.tokens += TOKENS_PER_PROMPT;
    prompt
}

/// The most tokens the client wants in the reply, under any name of its dialect, the largest where it gives several;
/// 0 if it gives none.
///
/// # Errors
/// The name of the field that is no such number, and what is wrong with it.
pub fn max_tokens(document: &Document<'_>, dialect: Dialect) -> Result<u64, (&'static str, ScanError)> {
    let names: &[&'static str] = match dialect {
        Dialect::OpenAiChat => &["max_completion_tokens", "max_tokens"],
        Dialect::OpenAiResponses => &["max_output_tokens"],
        Dialect::AnthropicMessages => &["max_tokens"],
    };
    names.iter().try_fold(0, |most, name| match document.unsigned(name) {
        Ok(tokens) => Ok(tokens.unwrap_or(0).max(most)),
        Err(error) => Err((*name, error)),
    })
}

impl Prompt {
    fn add_field(&mut self, body: &[u8], field: &Field, count: fn(&mut Cursor<'_>, &mut Self) -> Option<()>) {
        let before = *self;
        let value = field.value.of(body);
        if count(&mut Cursor::new(value), self).is_none() {
            *self = before;
            self.add_text(value);
        }
    }

    fn add_message(&mut self) {
        self.messages += 1;
        self.tokens += TOKENS_PER_MESSAGE;
    }

    fn add_text(&mut self, text: &[u8]) {
        self.tokens += (text.len() as u64).div_ceil(BYTES_PER_TOKEN);
    }
}

/// The messages of a chat or the items of a response's input, where a string is one message.
fn messages(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    if cursor.peek()? == b'"' {
        prompt.add_message();
        return content(cursor, prompt);
    }
    cursor.array(|cursor| {
        prompt.add_message();
        cursor.object(|cursor, key| match key {
            b"content" | b"output" | b"summary" => content(cursor, prompt),
            b"role" | b"tool_call_id" | b"type" | b"id" | b"call_id" | b"status" | b"encrypted_content" => {
                cursor.skip().map(drop)
            }
            // An image that a tool has made.
            b"result" if cursor.peek()? == b'"' => {
                prompt.tokens += cursor.skip().map(|_| IMAGE_TOKENS)?;
                Some(())
            }
            _ => text_inside(cursor, prompt),
        })
    })
}

/// A string, a part, or an array of parts.
fn content(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    match cursor.peek()? {
        b'"' => {
            prompt.add_text(cursor.string()?);
            Some(())
        }
        b'[' => cursor.array(|cursor| match cursor.peek()? {
            b'{' => part(cursor, prompt),
            _ => text_inside(cursor, prompt),
        }),
        b'{' => part(cursor, prompt),
        _ => cursor.skip().map(drop),
    }
}

/// One part of a message: text, a tool's call or result, or a medium.
fn part(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    let mut image = false;
    let mut opaque = false;
    cursor.object(|cursor, key| {
        match key {
            b"type" => image |= matches!(cursor.skip()?, br#""image""# | br#""input_image""#),
            b"text" | b"content" => content(cursor, prompt)?,
            b"image_url" | b"file_id" | b"file_url" | b"file_data" if cursor.peek()? != b'n' => {
                image |= key == b"image_url";
                opaque = true;
                cursor.skip()?;
            }
            b"input_audio" => prompt.tokens += cursor.skip().map(|_| AUDIO_TOKENS)?,
            b"file" => prompt.tokens += cursor.skip().map(|_| FILE_TOKENS)?,
            b"source" if cursor.peek()? == b'{' => opaque |= source(cursor, prompt)?,
            b"input" => as_text(cursor, prompt)?,
            b"id" | b"tool_use_id" | b"signature" | b"data" | b"cache_control" => drop(cursor.skip()?),
            _ => text_inside(cursor, prompt)?,
        }
        Some(())
    })?;
    if opaque {
        prompt.tokens += if image { IMAGE_TOKENS } else { FILE_TOKENS };
    }
    Some(())
}

/// Where a medium comes from (Anthropic): counts text, and tells whether it is something else.
fn source(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<bool> {
    let mut text = false;
    let mut data: &[u8] = b"";
    let mut parts = false;
    cursor.object(|cursor, key| {
        match key {
            b"type" => text = cursor.skip()? == br#""text""#,
            b"data" => data = cursor.skip()?,
            b"content" => {
                parts = true;
                content(cursor, prompt)?;
            }
            _ => drop(cursor.skip()?),
        }
        Some(())
    })?;
    if text {
        prompt.add_text(data);
    }
    Some(!text && !parts)
}

/// Every string value inside of whatever comes next; the encoded bytes of a medium count as a file.
fn text_inside(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    match cursor.peek()? {
        b'"' => {
            let text = cursor.string()?;
            if text.starts_with(b"data:") {
                prompt.tokens += FILE_TOKENS;
            } else {
                prompt.add_text(text);
            }
            Some(())
        }
        b'{' => cursor.object(|cursor, key| match key {
            b"id" | b"type" => cursor.skip().map(drop),
            _ => text_inside(cursor, prompt),
        }),
        b'[' => cursor.array(|cursor| text_inside(cursor, prompt)),
        _ => cursor.skip().map(drop),
    }
}

/// Whatever comes next, as the text that it is in the body.
fn as_text(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    prompt.add_text(cursor.skip()?);
    Some(())
}

/// The input of embeddings or completions: a string or token numbers, or an array of either.
fn input(cursor: &mut Cursor<'_>, prompt: &mut Prompt) -> Option<()> {
    match cursor.peek()? {
        b'[' => cursor.array(|cursor| input(cursor, prompt)),
        b'0'..=b'9' => {
            prompt.tokens += cursor.skip().map(|_| 1)?;
            Some(())
        }
        _ => text_inside(cursor, prompt),
    }
}
