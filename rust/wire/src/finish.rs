//! Whether a reply is whole: its provider says that the model had said everything, and not that it was cut, filtered or
//! refused. Only such a reply may be given to somebody else.

use crate::cursor::Cursor;
use crate::dialect::Operation;
use crate::document::{Document, Field, Kind};
use crate::embeddings;
use crate::event::{Event, Lines};

/// How a reply ended, as its provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finish {
    /// The model had said everything.
    Whole,
    /// It was cut: at its most tokens, or for another reason before its end.
    Truncated,
    /// It was refused or filtered.
    Refused,
    /// The provider does not say, says what is not known here, or reports an error.
    Unknown,
}

/// The events of a stream, for how it ended.
#[derive(Debug)]
pub struct Finishing {
    operation: Operation,
    /// The worst of what was said; none if nothing was.
    said: Option<Finish>,
    /// Choices of a chat, by their index, that have begun and those that have ended.
    begun: u64,
    done: u64,
    ended: bool,
}

/// How a reply that is no stream ended.
pub fn of_reply(operation: Operation, body: &[u8]) -> Finish {
    let Ok(reply) = Document::scan(body) else { return Finish::Unknown };
    of_document(operation, &reply).unwrap_or(Finish::Unknown)
}

impl Finishing {
    /// A stream that begins.
    pub fn new(operation: Operation) -> Self {
        Self { operation, said: None, begun: 0, done: 0, ended: false }
    }

    /// Takes whole events, as an [`EventStream`](crate::EventStream) passes them on.
    pub fn feed(&mut self, events: &[u8]) {
        let mut lines = Lines::new(events, 0);
        let mut event = Event::default();
        while let Some(line) = lines.next() {
            if !line.is_empty() {
                event.add(line);
                continue;
            }
            let whole = std::mem::take(&mut event);
            if !whole.data().is_empty() || !whole.name.is_empty() {
                self.note(&whole);
            }
        }
    }

    /// How the stream ended, all of its events being taken.
    pub fn finish(&self) -> Finish {
        let whole = self.ended && self.begun == self.done;
        self.said.filter(|said| whole || *said != Finish::Whole).unwrap_or(Finish::Unknown)
    }

    fn say(&mut self, finish: Finish) {
        self.said = Some(self.said.map_or(finish, |said| said.max(finish)));
    }

    fn note(&mut self, event: &Event<'_>) {
        if event.name == b"error" {
            return self.say(Finish::Unknown);
        }
        if event.data() == b"[DONE]" {
            self.ended = true;
            return;
        }
        let Ok(data) = Document::scan(event.data()) else { return self.say(Finish::Unknown) };
        if is_given(&data, "error") {
            return self.say(Finish::Unknown);
        }
        match self.operation {
            Operation::ChatCompletions | Operation::Completions => {
                if let Some(choices) = data.get("choices")
                    && self.note_choices(choices.value.of(data.bytes())).is_none()
                {
                    self.say(Finish::Unknown);
                }
            }
            Operation::Responses => self.note_response(event.name, &data),
            Operation::Messages => match data.string("type").ok().flatten().as_deref() {
                Some("message_delta") => {
                    let delta = data.get("delta").and_then(|delta| data.nested(delta).ok());
                    let reason = delta.as_ref().and_then(|delta| delta.get("stop_reason"));
                    if let (Some(delta), Some(reason)) =
                        (&delta, reason.filter(|reason| reason.kind != Kind::Null))
                    {
                        self.say(of_reason(reason.value.of(delta.bytes())));
                    }
                }
                Some("message_stop") => self.ended = true,
                Some("error") => self.say(Finish::Unknown),
                _ => {}
            },
            Operation::Embeddings | Operation::CountTokens => self.say(Finish::Unknown),
        }
    }

    /// Choices of a chunk, which may end one by one.
    fn note_choices(&mut self, choices: &[u8]) -> Option<()> {
        Cursor::new(choices).array(|cursor| {
            let choice = Choice::read(cursor)?;
            let bit = 1_u64.checked_shl(choice.index)?;
            self.begun |= bit;
            if let Some(finish) = choice.finish {
                self.done |= bit;
                self.say(finish);
            }
            if choice.is_refusal {
                self.say(Finish::Refused);
            }
            Some(())
        })
    }

    fn note_response(&mut self, name: &[u8], data: &Document<'_>) {
        let written = data.string("type").ok().flatten().unwrap_or_default();
        let kind = if name.is_empty() { written.as_bytes() } else { name };
        match kind {
            b"response.completed" | b"response.incomplete" | b"response.failed" => {
                self.ended = true;
                let response = data.get("response").and_then(|response| data.nested(response).ok());
                self.say(response.map_or(Finish::Unknown, |response| {
                    of_document(Operation::Responses, &response).unwrap_or(Finish::Unknown)
                }));
            }
            kind if kind.starts_with(b"response.refusal") => self.say(Finish::Refused),
            _ => {}
        }
    }
}

/// One choice of a chat or completion, whole or a piece of it.
#[derive(Default)]
struct Choice {
    index: u32,
    finish: Option<Finish>,
    is_refusal: bool,
}

impl Choice {
    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut choice = Self::default();
        cursor.object(|cursor, key| {
            match key {
                b"index" => choice.index = str::from_utf8(cursor.skip()?).ok()?.parse().ok()?,
                b"finish_reason" => match cursor.skip()? {
                    b"null" => {}
                    reason => choice.finish = Some(of_reason(reason)),
                },
                b"message" | b"delta" if cursor.peek()? == b'{' => cursor.object(|cursor, key| {
                    let value = cursor.skip()?;
                    choice.is_refusal |= key == b"refusal" && !matches!(value, b"null" | b"\"\"");
                    Some(())
                })?,
                _ => drop(cursor.skip()?),
            }
            Some(())
        })?;
        Some(choice)
    }
}

/// None if it is not what the operation's replies look like.
fn of_document(operation: Operation, reply: &Document<'_>) -> Option<Finish> {
    if is_given(reply, "error") {
        return None;
    }
    let array = |name: &str| reply.get(name).filter(|field| field.kind == Kind::Array);
    let bytes = |field: &Field| Cursor::new(field.value.of(reply.bytes()));
    match operation {
        Operation::ChatCompletions | Operation::Completions => {
            let mut worst = None;
            bytes(array("choices")?).array(|cursor| {
                let choice = Choice::read(cursor)?;
                let finish = if choice.is_refusal { Finish::Refused } else { choice.finish? };
                worst = worst.max(Some(finish));
                Some(())
            })?;
            worst
        }
        Operation::Responses => {
            let status = reply.string("status").ok()??;
            if let Some(details) =
                reply.get("incomplete_details").and_then(|details| reply.nested(details).ok())
            {
                let reason = details.string("reason").ok().flatten();
                let is_filtered = reason.as_deref() == Some("content_filter");
                return Some(if is_filtered { Finish::Refused } else { Finish::Truncated });
            }
            match &*status {
                "completed" => {
                    let refused = has_refusal(&mut bytes(array("output")?))?;
                    Some(if refused { Finish::Refused } else { Finish::Whole })
                }
                "incomplete" => Some(Finish::Truncated),
                _ => None,
            }
        }
        Operation::Messages => {
            let reason = reply.get("stop_reason").filter(|reason| reason.kind == Kind::String)?;
            Some(of_reason(reason.value.of(reply.bytes())))
        }
        Operation::Embeddings => {
            let mut count = 0_usize;
            bytes(array("data")?).array(|cursor| {
                count += 1;
                cursor.skip().map(drop)
            })?;
            (count > 0 && embeddings::read(reply.bytes(), count).is_some()).then_some(Finish::Whole)
        }
        Operation::CountTokens => reply.unsigned("input_tokens").ok()?.map(|_| Finish::Whole),
    }
}

/// Whether an item of a response has a part in which the model refuses.
fn has_refusal(output: &mut Cursor<'_>) -> Option<bool> {
    let mut found = false;
    output.array(|cursor| {
        cursor.object(|cursor, key| {
            if key != b"content" || cursor.peek()? != b'[' {
                return cursor.skip().map(drop);
            }
            cursor.array(|cursor| {
                if cursor.peek()? != b'{' {
                    return cursor.skip().map(drop);
                }
                cursor.object(|cursor, key| {
                    let value = cursor.skip()?;
                    found |= key == b"type" && value == b"\"refusal\"";
                    Some(())
                })
            })
        })
    })?;
    Some(found)
}

/// What a reason means, as JSON: OpenAI's `finish_reason`, Anthropic's `stop_reason`.
fn of_reason(reason: &[u8]) -> Finish {
    match reason {
        br#""stop""#
        | br#""tool_calls""#
        | br#""function_call""#
        | br#""end_turn""#
        | br#""stop_sequence""#
        | br#""tool_use""# => Finish::Whole,
        br#""length""# | br#""max_tokens""# | br#""model_context_window_exceeded""# | br#""pause_turn""# => {
            Finish::Truncated
        }
        br#""content_filter""# | br#""refusal""# => Finish::Refused,
        _ => Finish::Unknown,
    }
}

fn is_given(document: &Document<'_>, name: &str) -> bool {
    document.get(name).is_some_and(|field| field.kind != Kind::Null)
}
