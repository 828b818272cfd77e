//! A body's values as a flat list in the order of the body, with the members of objects sorted.

use std::borrow::Cow;
use std::cmp::Ordering;

use edgeroute_wire::{JsonReader, MAX_DEPTH, unescape};

/// A string as it is written, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'b> {
    pub(super) content: &'b str,
    pub(super) escaped: bool,
}

/// A value. Those inside of an array or an object follow it, but an object's are found by its members.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'b> {
    Null,
    Boolean(bool),
    Number(&'b str),
    String(Text<'b>),
    /// `end` is the node after the last one inside.
    Array {
        end: u32,
    },
    Object {
        first: u32,
        members: u32,
        end: u32,
    },
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'b> {
    /// The first bytes of the name as a number, by which most names differ.
    prefix: u64,
    pub(super) name: Text<'b>,
    pub(super) value: u32,
}

/// Values of a body.
#[derive(Debug)]
pub(super) struct Tree<'b> {
    nodes: Vec<Node<'b>>,
    /// Those of each closed object beside each other, sorted.
    members: Vec<Member<'b>>,
    /// Those of the objects that are open.
    open: Vec<Member<'b>>,
}

impl<'b> Text<'b> {
    /// Its characters; `None` where an escape stands for none.
    pub(super) fn decoded(self) -> Option<Cow<'b, str>> {
        match self.escaped {
            false => Some(Cow::Borrowed(self.content)),
            true => unescaped(self.content).map(Cow::Owned),
        }
    }

    pub(super) fn is(self, text: &str) -> bool {
        match self.escaped {
            false => self.content == text,
            true => self.decoded().as_deref() == Some(text),
        }
    }
}

#[cold]
fn unescaped(content: &str) -> Option<String> {
    let mut text = Vec::with_capacity(content.len());
    unescape(content, &mut text)?;
    String::from_utf8(text).ok()
}

impl<'b> Member<'b> {
    /// `None` if the name cannot be decoded.
    #[inline(always)]
    pub(super) fn new(name: Text<'b>, value: u32) -> Option<Self> {
        let prefix = match name.escaped {
            false => prefix(name.content.as_bytes()),
            true => prefix(unescaped(name.content)?.as_bytes()),
        };
        Some(Self { prefix, name, value })
    }

    fn compare(&self, other: &Self) -> Ordering {
        self.prefix.cmp(&other.prefix).then_with(|| match self.name.escaped || other.name.escaped {
            false => self.name.content.cmp(other.name.content),
            true => self.name.decoded().cmp(&other.name.decoded()),
        })
    }
}

/// Sorts by name; `None` if two are the same.
pub(super) fn sort(members: &mut [Member<'_>]) -> Option<()> {
    members.sort_unstable_by(Member::compare);
    members.is_sorted_by(|one, next| one.compare(next).is_lt()).then_some(())
}

/// As if zeros followed a short one.
fn prefix(name: &[u8]) -> u64 {
    if let Some(first) = name.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let unused = 64 - 8 * name.len() as u32;
    match (name.first_chunk(), name.last_chunk()) {
        // They overlap.
        (Some(first), Some(last)) => {
            u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last)) << unused
        }
        _ => name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)).checked_shl(unused).unwrap_or(0),
    }
}

impl<'b> Tree<'b> {
    /// Empty, with room for a body of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let nodes = bytes / 16;
        Self { nodes: Vec::with_capacity(nodes), members: Vec::with_capacity(nodes / 2), open: Vec::new() }
    }

    /// Reads the one value that is `text`; `None` if it is no JSON, or has an object with two fields of one name, half
    /// a surrogate pair in a name, or more than `MAX_DEPTH` levels.
    pub(super) fn read(&mut self, text: &'b str) -> Option<u32> {
        let mut reader = JsonReader::new(text);
        let node = self.nodes.len() as u32;
        let first = reader.byte()?;
        self.value(first, &mut reader, MAX_DEPTH)?;
        reader.is_at_end().then_some(node)
    }

    pub(super) fn node(&self, at: u32) -> Option<&Node<'b>> {
        self.nodes.get(at as usize)
    }

    /// The members of an object, sorted; none of anything else.
    pub(super) fn members(&self, at: u32) -> &[Member<'b>] {
        let Some(&Node::Object { first, members, .. }) = self.node(at) else { return &[] };
        let first = first as usize;
        self.members.get(first..first + members as usize).unwrap_or_default()
    }

    /// The value of an object's field.
    pub(super) fn get(&self, at: u32, name: &str) -> Option<u32> {
        self.members(at).iter().find(|member| member.name.is(name)).map(|member| member.value)
    }

    /// The elements of an array; none of anything else.
    pub(super) fn elements(&self, at: u32) -> impl Iterator<Item = u32> {
        let end = match self.node(at) {
            Some(Node::Array { end }) => *end,
            _ => 0,
        };
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let element = next;
            next = self.after(element);
            (element < end).then_some(element)
        })
    }

    /// The text of a string; `None` of anything else, and where an escape stands for no character.
    pub(super) fn text(&self, at: u32) -> Option<Cow<'b, str>> {
        match self.node(at)? {
            Node::String(text) => text.decoded(),
            _ => None,
        }
    }

    /// The node after a value and all that is inside of it.
    fn after(&self, at: u32) -> u32 {
        match self.node(at) {
            Some(Node::Array { end } | Node::Object { end, .. }) => *end,
            _ => at + 1,
        }
    }

    /// Reads the value that starts with `first`.
    fn value(&mut self, first: u8, reader: &mut JsonReader<'b>, depth: u32) -> Option<()> {
        let node = match first {
            b'"' => Node::String(text(reader)?),
            b'{' => return self.object(reader, depth.checked_sub(1)?),
            b'[' => return self.array(reader, depth.checked_sub(1)?),
            b't' => reader.literal("true").map(|()| Node::Boolean(true))?,
            b'f' => reader.literal("false").map(|()| Node::Boolean(false))?,
            b'n' => reader.literal("null").map(|()| Node::Null)?,
            _ => Node::Number(reader.number()?),
        };
        self.nodes.push(node);
        Some(())
    }

    fn array(&mut self, reader: &mut JsonReader<'b>, depth: u32) -> Option<()> {
        let start = self.nodes.len();
        self.nodes.push(Node::Null);
        let mut first = reader.byte()?;
        while first != b']' {
            self.value(first, reader, depth)?;
            first = match reader.byte()? {
                b',' => reader.byte().filter(|next| *next != b']')?,
                b']' => b']',
                _ => return None,
            };
        }
        let end = self.nodes.len() as u32;
        *self.nodes.get_mut(start)? = Node::Array { end };
        Some(())
    }

    fn object(&mut self, reader: &mut JsonReader<'b>, depth: u32) -> Option<()> {
        let (start, outer) = (self.nodes.len(), self.open.len());
        self.nodes.push(Node::Null);
        let mut first = reader.byte()?;
        while first != b'}' {
            if first != b'"' {
                return None;
            }
            let name = text(reader)?;
            self.open.push(Member::new(name, self.nodes.len() as u32)?);
            reader.byte().filter(|colon| *colon == b':')?;
            let value = reader.byte()?;
            self.value(value, reader, depth)?;
            first = match reader.byte()? {
                b',' => reader.byte().filter(|next| *next != b'}')?,
                b'}' => b'}',
                _ => return None,
            };
        }
        let members = self.open.get_mut(outer..)?;
        sort(members)?;
        let (first, count) = (self.members.len() as u32, members.len() as u32);
        self.members.extend_from_slice(members);
        self.open.truncate(outer);
        *self.nodes.get_mut(start)? = Node::Object { first, members: count, end: self.nodes.len() as u32 };
        Some(())
    }
}

/// Inlined, as is [`Member::new`]: see [`JsonReader::string`].
#[inline(always)]
fn text<'b>(reader: &mut JsonReader<'b>) -> Option<Text<'b>> {
    reader.string().map(|(content, escaped)| Text { content, escaped })
}
