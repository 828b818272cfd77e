//! The key of a request's body: equal for bodies that mean the same however they are written, different for all others.
//!
//! A body is read into a tree once, fields that do not change the answer are left out (`fields`), and what remains is
//! written in one canonical form (`form`). The last thing that the user said is written after everything else, so that
//! one pass gives two keys: that of the whole, and that of all but the question, which is what two questions must have
//! in common before anybody compares their meaning.
//!
//! **Strength.** Clients choose bodies, and entries outlive processes and are shared between hosts, so the hash is
//! neither keyed nor a fast one: it is SHA-256 of the form, whose first half is the key and whose second half is the
//! check that is kept with the entry. Who wants an entry to be taken for another's must find two forms with the same
//! 256 bits; nobody can for 2^128 work, and nobody can even for the key alone for less than 2^64. The form can be read
//! back, and each part of the partition has its length in front of it, so that different requests are never the same
//! bytes to the hash.
//!
//! NOTE: a chat of 1 kB takes 2.4 µs in all, of which SHA-256 takes 0.6 by the CPU's instructions.

mod conversation;
mod fields;
mod form;
mod tree;

use std::borrow::Cow;

use edgeroute_wire::{Change, Document, Operation};
use sha2::{Digest, Sha256};

use conversation::Conversation;
use tree::{Member, Node, Text, Tree};

/// The largest body that has a key.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// Starts every form; another number for another form.
const VERSION: u8 = 1;

/// Follows the form where a partition is meant, where else a question or nothing does.
const PARTITION: u8 = b'p';

/// The name of an entry: 128 bits of everything that changes the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

/// What a cache must know of a request.
#[derive(Debug, Clone, Default)]
pub struct Reading<'b> {
    /// The key of the request.
    pub key: Key,
    /// Another 128 bits of it, to be kept with the entry and compared before it is served.
    pub check: u128,
    /// The text that the user said last, its parts joined by line breaks. None if the last message is not the user's or
    /// is not text alone, and none of a request that is no chat.
    pub question: Option<Cow<'b, str>>,
    /// Messages of the user.
    pub turns: u32,
    /// How many answers are wanted, at least 1.
    pub answers: u32,
    /// Whether tools are offered.
    pub tools: bool,
    /// Whether there are images, recordings or files, or shall be.
    pub media: bool,
    /// Whether the answer depends on what the provider keeps, or is to be fetched from it later.
    pub stateful: bool,
    /// Of everything but the question, not finished.
    frame: Sha256,
}

impl<'b> Reading<'b> {
    /// Reads a request. `changes` are what rules make of its top-level fields; `parts` is everything besides the body
    /// that changes the answer.
    ///
    /// None if it has no key: the body is larger than [`MAX_BODY_BYTES`], its nested values are not JSON or nest too
    /// deep, an object has two fields of one name, a string has half a surrogate pair, or a number's exponent has ten
    /// digits.
    pub fn of(
        document: &Document<'b>,
        operation: Operation,
        changes: &[Change<'b>],
        parts: &[&[u8]],
    ) -> Option<Self> {
        let size = document.bytes().len();
        if size > MAX_BODY_BYTES {
            return None;
        }
        let mut tree = Tree::new(size);
        let top = top(document, operation, changes, &mut tree)?;
        let mut reading = Self { answers: 1, ..Self::default() };
        let mut chat = Conversation::default();
        for member in &top {
            chat = reading.note(member, operation, &tree).unwrap_or(chat);
        }
        let (left_out, question) = chat.question.unzip();

        let mut out = Vec::with_capacity(size + 256);
        out.push(VERSION);
        write_parts(&[operation.path().as_bytes()], &mut out);
        write_parts(parts, &mut out);
        form::write_members(&tree, &top, left_out, &mut out)?;
        reading.frame.update(&out);
        out.clear();
        if let Some(question) = left_out {
            form::write(&tree, question, None, &mut out)?;
        }
        let (key, check) = halves(reading.frame.clone().chain_update(&out));
        Some(Self {
            key: Key(key),
            check,
            question,
            turns: chat.turns,
            media: reading.media || chat.media,
            ..reading
        })
    }

    /// Notes what a top-level field says; the chat if it is the field that has it.
    fn note(
        &mut self,
        member: &Member<'b>,
        operation: Operation,
        tree: &Tree<'b>,
    ) -> Option<Conversation<'b>> {
        let number = || match tree.node(member.value) {
            Some(Node::Number(text)) => text.parse::<f64>().ok(),
            _ => None,
        };
        match (&*member.name.decoded()?, operation) {
            ("messages", Operation::ChatCompletions | Operation::Messages)
            | ("input", Operation::Responses) => {
                return Some(conversation::read(tree, operation, member.value));
            }
            // More than there can be is many.
            ("n" | "best_of", _) => self.answers = self.answers.max(number().unwrap_or(0.0) as u32),
            ("tools" | "functions" | "mcp_servers" | "web_search_options", _) => {
                let is_object = matches!(tree.node(member.value), Some(Node::Object { .. }));
                self.tools |= is_object || tree.elements(member.value).next().is_some();
            }
            ("audio", _) => self.media = true,
            ("previous_response_id" | "conversation" | "background" | "container", _) => self.stateful = true,
            _ => {}
        }
        None
    }

    /// The key of everything but the question, and of what its meaning was measured with: only entries of the same
    /// partition may answer by meaning.
    pub fn partition(&self, embedding: &[u8]) -> u128 {
        let mut out = vec![PARTITION];
        write_parts(&[embedding], &mut out);
        halves(self.frame.clone().chain_update(&out)).0
    }
}

/// The top-level fields that change the answer, sorted.
fn top<'b>(
    document: &Document<'b>,
    operation: Operation,
    changes: &[Change<'b>],
    tree: &mut Tree<'b>,
) -> Option<Vec<Member<'b>>> {
    let mut top = Vec::with_capacity(document.fields().len() + changes.len());
    let mut add = |name: Text<'b>, value: &'b str| {
        let plain = name.decoded()?;
        if !fields::is_excluded(operation, &plain) {
            let node = tree.read(value)?;
            if !fields::is_default(operation, &plain, tree, node) {
                top.push(Member::new(name, node)?);
            }
        }
        Some(())
    };
    for field in document.fields() {
        let content = document.text(field.key);
        let name = Text { content, escaped: content.contains('\\') };
        if !changes.iter().any(|(changed, _)| name.is(changed)) {
            add(name, document.text(field.value))?;
        }
    }
    for (name, value) in changes {
        if let Some(value) = value {
            add(Text { content: name, escaped: false }, value)?;
        }
    }
    tree::sort(&mut top)?;
    Some(top)
}

/// Each with its length in front of it, and how many there are.
fn write_parts(parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_le_bytes());
        out.extend_from_slice(part);
    }
}

fn halves(hash: Sha256) -> (u128, u128) {
    let digest: [u8; 32] = hash.finalize().into();
    let half = |bytes: Option<&[u8; 16]>| bytes.copied().map(u128::from_be_bytes).unwrap_or_default();
    (half(digest.first_chunk()), half(digest.last_chunk()))
}
