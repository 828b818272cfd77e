//! What a request asks, as far as it decides whether an answer may be kept.

use std::borrow::Cow;

use edgeroute_wire::Operation;

use super::tree::{Member, Node, Tree};

/// A chat: how long it is, and what was said last.
#[derive(Debug, Default)]
pub(super) struct Conversation<'b> {
    /// Messages of the user.
    pub(super) turns: u32,
    /// Whether there are images, recordings or files.
    pub(super) media: bool,
    /// The content that the user said last, and its text.
    pub(super) question: Option<(u32, Cow<'b, str>)>,
}

/// The chat in `messages`, the value of the field that has it.
pub(super) fn read<'b>(tree: &Tree<'b>, operation: Operation, messages: u32) -> Conversation<'b> {
    let mut chat = Conversation::default();
    if operation == Operation::Responses
        && let Some(text) = tree.text(messages)
    {
        return Conversation { turns: 1, media: false, question: Some((messages, text)) };
    }
    // Whether the last message is the user's, and its content.
    let mut last = None;
    for message in tree.elements(messages) {
        let content = tree.get(message, "content");
        chat.media |= content.is_some_and(|content| has_media(tree, content)) || is_media(tree, message);
        let of_user = is(tree, message, "role", &["user"]);
        chat.turns += u32::from(of_user);
        last = content.filter(|_| of_user);
    }
    chat.question = last.and_then(|content| Some((content, question(tree, content)?)));
    chat
}

/// The text of a content that is nothing but text.
fn question<'b>(tree: &Tree<'b>, content: u32) -> Option<Cow<'b, str>> {
    if let Some(Node::String(_)) = tree.node(content) {
        return tree.text(content);
    }
    let mut texts = tree.elements(content).map(|part| {
        let known =
            |member: &Member<'_>| ["type", "text", "cache_control"].iter().any(|name| member.name.is(name));
        let is_text = tree.members(part).iter().all(known) && is(tree, part, "type", &["text", "input_text"]);
        tree.get(part, "text").filter(|_| is_text).and_then(|text| tree.text(text))
    });
    let first = texts.next()??;
    texts.try_fold(first, |joined, text| Some(Cow::Owned(format!("{joined}\n{}", text?))))
}

/// Whether a content has parts that are no text, those that a tool gave back included.
fn has_media(tree: &Tree<'_>, content: u32) -> bool {
    tree.elements(content).any(|part| {
        is_media(tree, part)
            || tree
                .get(part, "content")
                .is_some_and(|inner| tree.elements(inner).any(|part| is_media(tree, part)))
    })
}

fn is_media(tree: &Tree<'_>, part: u32) -> bool {
    const MEDIA: &[&str] = &[
        "image_url",
        "input_image",
        "image",
        "input_audio",
        "audio",
        "video_url",
        "video",
        "file",
        "input_file",
        "document",
    ];
    is(tree, part, "type", MEDIA)
}

fn is(tree: &Tree<'_>, object: u32, field: &str, one_of: &[&str]) -> bool {
    let text = tree.get(object, field).and_then(|value| tree.text(value));
    text.is_some_and(|text| one_of.contains(&&*text))
}
