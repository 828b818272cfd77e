//! How many tokens a prompt has, estimated in one pass without a tokenizer.

use smallvec::SmallVec;

use crate::content::Content;
use crate::cursor::Cursor;
use crate::dialect::{Dialect, Operation};
use crate::document::{Document, Field, Kind};
use crate::error::ScanError;
use crate::scalar::quote;

/// Tokens that an image counts for.
pub const IMAGE_TOKENS: u64 = 1_000;
/// Tokens that a file counts for.
pub const FILE_TOKENS: u64 = 3_000;
/// Tokens that a recording counts for.
pub const AUDIO_TOKENS: u64 = 1_500;

const BYTES_PER_TOKEN: u64 = 4;
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_PROMPT: u64 = 3;

/// The size of a prompt, and where its most important texts are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt<'b> {
    /// Estimated tokens.
    pub tokens: u64,
    /// Messages of a chat, or items of a response's input; system prompts and instructions beside them not counted.
    pub messages: u64,
    /// Images.
    pub images: u64,
    /// What the user said last, or the whole prompt of a completion or embedding.
    pub last_user: Content<'b>,
    /// System prompts, instructions, and what developers' messages say.
    pub system: SmallVec<[Content<'b>; 2]>,
}

/// Estimates the prompt of a request.
///
/// Text counts its bytes in the body divided by four, rounded up per string. A chat counts 3 tokens and 4 per message
/// besides; definitions of tools, and arguments of calls given as JSON, count as text. Images, files and recordings
/// count [`IMAGE_TOKENS`], [`FILE_TOKENS`] and [`AUDIO_TOKENS`], never the bytes of their encoding. The prompt of
/// completions and the input of embeddings may be token numbers, which are counted. What a provider has stored (an
/// earlier response, a file) cannot be. Nested values that are not JSON count as text: the provider will refuse them.
pub fn measure<'b>(document: &Document<'b>, operation: Operation) -> Prompt<'b> {
    let mut prompt = Prompt::default();
    let body = document.bytes();
    let mut add = |name: &str, count: Count<'b>| {
        if let Some(field) = document.get(name).filter(|field| field.kind != Kind::Null) {
            prompt.add_field(body, field, count);
        }
    };
    match operation {
        Operation::Embeddings => {
            add("input", only_input);
            return prompt;
        }
        Operation::Completions => {
            add("prompt", only_input);
            add("suffix", input);
            return prompt;
        }
        Operation::ChatCompletions => {
            add("messages", messages);
            add("functions", as_text);
        }
        Operation::Responses => {
            add("instructions", system);
            add("input", messages);
        }
        Operation::Messages | Operation::CountTokens => {
            add("system", system);
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
    largest(document, max_tokens_names(dialect))
}

/// How many replies the client wants to each prompt, where it says so; 0 if it does not. Each may have
/// [`max_tokens`], those too that `best_of` generates and nobody sees.
///
/// # Errors
/// The name of the field that is no such number, and what is wrong with it.
pub fn choices(document: &Document<'_>, operation: Operation) -> Result<u64, (&'static str, ScanError)> {
    largest(document, choices_names(operation))
}

/// How many prompts are answered, each by itself: those of a completion may be several.
pub fn prompts(document: &Document<'_>, operation: Operation) -> u64 {
    if operation != Operation::Completions {
        return 1;
    }
    let several = document.get("prompt").filter(|field| field.kind == Kind::Array);
    let Some(field) = several else { return 1 };
    let mut count = 0;
    let mut cursor = Cursor::new(field.value.of(document.bytes()));
    // Of what is not JSON, which a provider will refuse, the prompts before the mistake count.
    let _ = cursor.array(|cursor| {
        let is_token = cursor.peek()?.is_ascii_digit();
        cursor.skip()?;
        // Numbers are the tokens of one prompt.
        count += u64::from(!is_token);
        Some(())
    });
    count.max(1)
}

/// The names that a dialect has for the most tokens of a reply.
pub fn max_tokens_names(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenAiChat => &["max_completion_tokens", "max_tokens"],
        Dialect::OpenAiResponses => &["max_output_tokens"],
        Dialect::AnthropicMessages => &["max_tokens"],
    }
}

/// The names of the fields that ask for several replies.
pub fn choices_names(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::ChatCompletions | Operation::Completions => &["n", "best_of"],
        _ => &[],
    }
}

fn largest(document: &Document<'_>, names: &[&'static str]) -> Result<u64, (&'static str, ScanError)> {
    names.iter().try_fold(0, |most, name| match document.unsigned(name) {
        Ok(number) => Ok(number.unwrap_or(0).max(most)),
        Err(error) => Err((*name, error)),
    })
}

type Count<'b> = fn(&mut Cursor<'b>, &mut Prompt<'b>) -> Option<()>;

impl<'b> Prompt<'b> {
    fn add_field(&mut self, body: &'b [u8], field: &Field, count: Count<'b>) {
        let Self { tokens, messages, images, last_user, system } = self;
        let (tokens, messages, images, last_user, systems) =
            (*tokens, *messages, *images, *last_user, system.len());
        let value = field.value.of(body);
        if count(&mut Cursor::new(value), self).is_none() {
            (self.tokens, self.messages, self.images, self.last_user) = (tokens, messages, images, last_user);
            self.system.truncate(systems);
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

    /// Remembers what somebody said; `role` is JSON.
    fn add_said(&mut self, role: &[u8], said: Content<'b>) {
        match role {
            br#""user""# => self.last_user = said,
            br#""system""# | br#""developer""# => self.system.push(said),
            escaped if escaped.contains(&b'\\') => {
                let mut plain = Vec::new();
                quote(&Content(escaped).text(), &mut plain);
                if !plain.contains(&b'\\') {
                    self.add_said(&plain, said);
                }
            }
            _ => {}
        }
    }

    fn add_image(&mut self) {
        self.images += 1;
        self.tokens += IMAGE_TOKENS;
    }
}

/// The messages of a chat or the items of a response's input, where a string is one message.
fn messages<'b>(cursor: &mut Cursor<'b>, prompt: &mut Prompt<'b>) -> Option<()> {
    if cursor.peek()? == b'"' {
        prompt.add_message();
        prompt.last_user = counted_content(cursor, prompt)?;
        return Some(());
    }
    cursor.array(|cursor| {
        prompt.add_message();
        let (mut role, mut said): (&[u8], _) = (b"", None);
        cursor.object(|cursor, key| {
            match key {
                b"content" => said = Some(counted_content(cursor, prompt)?),
                b"role" => role = cursor.skip()?,
                b"output" | b"summary" => content(cursor, prompt)?,
                b"tool_call_id" | b"type" | b"id" | b"call_id" | b"status" | b"encrypted_content" => {
                    cursor.skip()?;
                }
                // An image that a tool has made.
                b"result" if cursor.peek()? == b'"' => {
                    cursor.skip()?;
                    prompt.add_image();
                }
                _ => text_inside(cursor, prompt)?,
            }
            Some(())
        })?;
        if let Some(said) = said {
            prompt.add_said(role, said);
        }
        Some(())
    })
}

/// A system prompt beside the messages.
fn system<'b>(cursor: &mut Cursor<'b>, prompt: &mut Prompt<'b>) -> Option<()> {
    let said = counted_content(cursor, prompt)?;
    prompt.system.push(said);
    Some(())
}

/// Counts a content and returns it.
fn counted_content<'b>(cursor: &mut Cursor<'b>, prompt: &mut Prompt<'b>) -> Option<Content<'b>> {
    cursor.peek()?;
    let start = cursor.position();
    content(cursor, prompt)?;
    Some(Content(cursor.since(start)))
}

/// A string, a part, or an array of parts.
fn content(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<()> {
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
fn part(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<()> {
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
    match (opaque, image) {
        (true, true) => prompt.add_image(),
        (true, false) => prompt.tokens += FILE_TOKENS,
        (false, _) => {}
    }
    Some(())
}

/// Where a medium comes from (Anthropic): counts text, and tells whether it is something else.
fn source(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<bool> {
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
fn text_inside(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<()> {
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
fn as_text(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<()> {
    prompt.add_text(cursor.skip()?);
    Some(())
}

/// The input of embeddings or completions, which is what the user says.
fn only_input<'b>(cursor: &mut Cursor<'b>, prompt: &mut Prompt<'b>) -> Option<()> {
    cursor.peek()?;
    let start = cursor.position();
    input(cursor, prompt)?;
    prompt.last_user = Content(cursor.since(start));
    Some(())
}

/// The input of embeddings or completions: a string or token numbers, or an array of either.
fn input(cursor: &mut Cursor<'_>, prompt: &mut Prompt<'_>) -> Option<()> {
    match cursor.peek()? {
        b'[' => cursor.array(|cursor| input(cursor, prompt)),
        b'0'..=b'9' => {
            prompt.tokens += cursor.skip().map(|_| 1)?;
            Some(())
        }
        _ => text_inside(cursor, prompt),
    }
}
