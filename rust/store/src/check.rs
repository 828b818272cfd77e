//! Reads the structure of an LMDB file without LMDB: whatever is in it, LMDB can use what passes.
//!
//! Every page that LMDB could follow a number to is looked at: that it lies in the file, is what it should be, holds its
//! nodes and nothing else, and is reached once. What values say is not looked at: each has a checksum of its own.
//! After `mdb.c` of LMDB 0.9 and 1.0 (data version 1): `MDB_meta`, `MDB_db`, `MDB_page`, `MDB_node`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: u32 = 0xBEEF_C0DE;
const VERSION: u32 = 1;
const NO_PAGE: u64 = u64::MAX;
/// Offset of the meta data and of the pointers to nodes in a page.
const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;
const OVERFLOW: u16 = 4;
const META: u16 = 8;
/// Of a node whose value lies on pages of its own.
const BIG: u16 = 1;
/// The free list has integer keys, and the mark of an environment without a directory.
const FREE_FLAGS: u16 = 0x4008;
/// LMDB's cursors go no deeper.
const DEPTH: u16 = 30;
/// Nodes that LMDB reads as a whole: keys no longer than this.
const LONGEST_KEY: usize = 511;

type Result<T> = std::result::Result<T, Failure>;

/// Why the reading ended.
enum Failure {
    Io(io::Error),
    Damage(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Damage("the end of the file")
        } else {
            Self::Io(error)
        }
    }
}

/// What [`damage`] says of a file that was made for a larger size, or has one.
pub(crate) const LARGER: &str = "the size";

/// What is not as LMDB writes it, if anything. An empty file is fine: LMDB writes its first pages then.
/// `most` is how large the file may be.
pub(crate) fn damage(file: &File, most: u64) -> io::Result<Option<&'static str>> {
    match check(file, most) {
        Ok(()) => Ok(None),
        Err(Failure::Damage(what)) => Ok(Some(what)),
        Err(Failure::Io(error)) => Err(error),
    }
}

fn check(file: &File, most: u64) -> Result<()> {
    match file.metadata()?.len() {
        0 => return Ok(()),
        length if length > most => return Err(Failure::Damage(LARGER)),
        _ => {}
    }
    let mut head = [0; 4096];
    file.read_exact_at(&mut head, 0)?;
    let page_size = meta(&head)?.free.pad as usize;
    if !page_size.is_power_of_two() || !(4096..=65536).contains(&page_size) {
        return Err(Failure::Damage("the page size"));
    }
    file.read_exact_at(&mut head, page_size as u64)?;
    let second = meta(&head)?;
    file.read_exact_at(&mut head, 0)?;
    let first = meta(&head)?;
    // LMDB takes the later, and the first where they are of the same age.
    let chosen = if second.transaction > first.transaction { &second } else { &first };
    for each in [&first, &second] {
        let sane = each.free.pad as usize == page_size && each.address == 0 && each.transaction < 1 << 60;
        if !sane || each.free.flags != FREE_FLAGS || each.main.flags != 0 {
            return Err(Failure::Damage("a meta page"));
        }
    }
    if chosen.map_size > most {
        return Err(Failure::Damage(LARGER));
    }
    let pages = chosen.last_page.checked_add(1).filter(|pages| (2..=most / page_size as u64).contains(pages));
    let pages = pages.ok_or(Failure::Damage("the number of pages"))?;
    let seen = vec![false; usize::try_from(pages).map_err(|_| Failure::Damage("the number of pages"))?];
    let mut check = Check { file, page_size, seen, free: Vec::new() };
    check.reach(0, 2)?;
    check.tree(&chosen.free, &Keys::Numbers { last: chosen.transaction })?;
    check.tree(&chosen.main, &Keys::Bytes)?;
    for page in std::mem::take(&mut check.free) {
        check.reach(page, 1)?;
    }
    Ok(())
}

/// `MDB_meta`.
struct Meta {
    address: u64,
    map_size: u64,
    free: Tree,
    main: Tree,
    last_page: u64,
    transaction: u64,
}

/// `MDB_db`.
struct Tree {
    pad: u32,
    flags: u16,
    depth: u16,
    branches: u64,
    leaves: u64,
    overflows: u64,
    entries: u64,
    root: u64,
}

fn meta(page: &[u8]) -> Result<Meta> {
    let field = |offset| u64_at(page, PAGE_HEADER + offset);
    let tree = |offset| -> Result<Tree> {
        Ok(Tree {
            pad: u32_at(page, PAGE_HEADER + offset)?,
            flags: u16_at(page, PAGE_HEADER + offset + 4)?,
            depth: u16_at(page, PAGE_HEADER + offset + 6)?,
            branches: field(offset + 8)?,
            leaves: field(offset + 16)?,
            overflows: field(offset + 24)?,
            entries: field(offset + 32)?,
            root: field(offset + 40)?,
        })
    };
    let known = u16_at(page, 10)? == META && u32_at(page, PAGE_HEADER)? == MAGIC;
    if !known || u32_at(page, PAGE_HEADER + 4)? != VERSION {
        return Err(Failure::Damage("a meta page"));
    }
    let [free, main] = [tree(24)?, tree(72)?];
    Ok(Meta {
        address: field(8)?,
        map_size: field(16)?,
        free,
        main,
        last_page: field(120)?,
        transaction: field(128)?,
    })
}

struct Check<'f> {
    file: &'f File,
    page_size: usize,
    seen: Vec<bool>,
    /// Pages that the free list has.
    free: Vec<u64>,
}

#[derive(Default)]
struct Counts {
    branches: u64,
    leaves: u64,
    overflows: u64,
    entries: u64,
}

/// How a tree sorts.
enum Keys {
    /// The free list: by transactions, none of which is to come.
    Numbers {
        last: u64,
    },
    Bytes,
}

impl Keys {
    fn less(&self, one: &[u8], other: &[u8]) -> Result<bool> {
        match self {
            Self::Numbers { .. } => Ok(u64_at(one, 0)? < u64_at(other, 0)?),
            Self::Bytes => Ok(one < other),
        }
    }

    fn allows(&self, key: &[u8]) -> Result<bool> {
        match *self {
            Self::Numbers { last } => Ok(key.len() == 8 && u64_at(key, 0)? <= last),
            Self::Bytes => Ok(true),
        }
    }
}

/// A page that a branch leads to: keys are not less than `from` and less than `to`.
#[derive(Clone, Copy)]
struct Place<'k> {
    number: u64,
    depth: u16,
    from: Option<&'k [u8]>,
    to: Option<&'k [u8]>,
}

impl Check<'_> {
    fn tree(&mut self, tree: &Tree, keys: &Keys) -> Result<()> {
        let mut counts = Counts::default();
        if (tree.root == NO_PAGE) != (tree.depth == 0) || tree.depth > DEPTH {
            return Err(Failure::Damage("the depth of a tree"));
        }
        if tree.root != NO_PAGE {
            self.page(
                Place { number: tree.root, depth: tree.depth, from: None, to: None },
                keys,
                &mut counts,
            )?;
        }
        let counted = [counts.branches, counts.leaves, counts.overflows, counts.entries];
        if counted != [tree.branches, tree.leaves, tree.overflows, tree.entries] {
            return Err(Failure::Damage("the size of a tree"));
        }
        Ok(())
    }

    fn page(&mut self, place: Place<'_>, keys: &Keys, counts: &mut Counts) -> Result<()> {
        self.reach(place.number, 1)?;
        let page = self.read(place.number, self.page_size)?;
        let kind = u16_at(&page, 10)?;
        let expected = if place.depth == 1 { LEAF } else { BRANCH };
        if u64_at(&page, 0)? != place.number || kind != expected {
            return Err(Failure::Damage("the header of a page"));
        }
        let nodes = nodes(&page, kind)?;
        ordered(&nodes, kind, place, keys)?;
        if kind == LEAF {
            counts.leaves += 1;
            counts.entries += nodes.len() as u64;
            return nodes.iter().try_for_each(|node| self.value(node, keys, counts));
        }
        counts.branches += 1;
        for (index, node) in nodes.iter().enumerate() {
            let from = if index == 0 { place.from } else { Some(node.key) };
            let to = nodes.get(index + 1).map_or(place.to, |next| Some(next.key));
            self.page(Place { number: node.child, depth: place.depth - 1, from, to }, keys, counts)?;
        }
        Ok(())
    }

    fn value(&mut self, node: &Node<'_>, keys: &Keys, counts: &mut Counts) -> Result<()> {
        let free_list = matches!(keys, Keys::Numbers { .. });
        let large = if node.big { Some(self.overflow(node, free_list, counts)?) } else { None };
        if free_list { self.note_free(large.as_deref().unwrap_or(node.value)) } else { Ok(()) }
    }

    /// A value on pages of its own, as far as the free list needs it.
    fn overflow(&mut self, node: &Node<'_>, whole: bool, counts: &mut Counts) -> Result<Vec<u8>> {
        let number = u64_at(node.value, 0)?;
        let taken = (PAGE_HEADER - 1 + node.value_size) / self.page_size + 1;
        self.reach(number, taken as u64)?;
        let read = if whole { PAGE_HEADER + node.value_size } else { PAGE_HEADER };
        let mut page = self.read(number, read)?;
        let header = u64_at(&page, 0)? == number && u16_at(&page, 10)? == OVERFLOW;
        if !header || u32_at(&page, 12)? as usize != taken {
            return Err(Failure::Damage("the header of a large value"));
        }
        // That its last byte is in the file.
        self.read(number + taken as u64 - 1, self.page_size)?;
        counts.overflows += taken as u64;
        Ok(page.split_off(PAGE_HEADER))
    }

    /// A row of the free list: how many pages, and their numbers, descending.
    fn note_free(&mut self, value: &[u8]) -> Result<()> {
        let count = u64_at(value, 0)?;
        let numbers = value.get(8..).unwrap_or_default();
        // LMDB may have reserved more.
        let numbers = usize::try_from(count).ok().and_then(|count| numbers.get(..count.checked_mul(8)?));
        let mut before = u64::MAX;
        for chunk in numbers.ok_or(Failure::Damage("the free list"))?.chunks_exact(8) {
            let page = u64_at(chunk, 0)?;
            if page >= before {
                return Err(Failure::Damage("the free list"));
            }
            before = page;
            self.free.push(page);
        }
        Ok(())
    }

    /// Each page once.
    fn reach(&mut self, first: u64, count: u64) -> Result<()> {
        let last = first.checked_add(count).ok_or(Failure::Damage("a page number"))?;
        let range = usize::try_from(first).ok().zip(usize::try_from(last).ok());
        let places = range.and_then(|(first, last)| self.seen.get_mut(first..last));
        for seen in places.ok_or(Failure::Damage("a page number"))? {
            if std::mem::replace(seen, true) {
                return Err(Failure::Damage("a page number"));
            }
        }
        Ok(())
    }

    fn read(&self, number: u64, length: usize) -> Result<Vec<u8>> {
        let mut page = vec![0; length];
        self.file.read_exact_at(&mut page, number * self.page_size as u64)?;
        Ok(page)
    }
}

/// `MDB_node`.
struct Node<'p> {
    key: &'p [u8],
    /// Of a leaf: the value, or the page number of one that is big.
    value: &'p [u8],
    value_size: usize,
    big: bool,
    /// Of a branch.
    child: u64,
}

/// The nodes of a page, which fill its upper part without a gap.
fn nodes(page: &[u8], kind: u16) -> Result<Vec<Node<'_>>> {
    let damage = || Failure::Damage("a node");
    let (lower, upper) = (usize::from(u16_at(page, 12)?), usize::from(u16_at(page, 14)?));
    if lower < PAGE_HEADER || lower % 2 != 0 || upper < lower || upper > page.len() {
        return Err(Failure::Damage("the header of a page"));
    }
    let mut found: Vec<Node<'_>> = Vec::new();
    let mut places = Vec::new();
    for pointer in page.get(PAGE_HEADER..lower).unwrap_or_default().chunks_exact(2) {
        let start = usize::from(u16_at(pointer, 0)?);
        if start < upper || start % 2 != 0 {
            return Err(damage());
        }
        let [low, high, flags, key_size] = [
            u16_at(page, start)?,
            u16_at(page, start + 2)?,
            u16_at(page, start + 4)?,
            u16_at(page, start + 6)?,
        ];
        let size = u64::from(low) | u64::from(high) << 16;
        let key_end = start + NODE_HEADER + usize::from(key_size);
        let key = page
            .get(start + NODE_HEADER..key_end)
            .filter(|key| key.len() <= LONGEST_KEY)
            .ok_or_else(damage)?;
        let big = kind == LEAF && flags == BIG;
        if kind == LEAF && flags != 0 && !big {
            return Err(damage());
        }
        let value_size = if kind == LEAF { size as usize } else { 0 };
        let length = if big { 8 } else { value_size };
        let value = page.get(key_end..key_end + length).ok_or_else(damage)?;
        places.push((start, (key_end + length).next_multiple_of(2)));
        let child = size | u64::from(flags) << 32;
        found.push(Node { key, value, value_size, big, child });
    }
    places.sort_unstable();
    let mut end = upper;
    for (start, next) in places {
        if start != end {
            return Err(damage());
        }
        end = next;
    }
    if end == page.len() { Ok(found) } else { Err(damage()) }
}

/// Whether there are as many nodes as LMDB relies on, in the order of their keys and where they belong. A branch's first
/// key stands for all that are smaller.
fn ordered(nodes: &[Node<'_>], kind: u16, place: Place<'_>, keys: &Keys) -> Result<()> {
    let free_list = matches!(keys, Keys::Numbers { .. });
    if nodes.is_empty() || (kind == BRANCH && nodes.len() < 2 && !free_list) {
        return Err(Failure::Damage("the number of nodes in a page"));
    }
    let mut before = place.from;
    let mut strictly = false;
    for node in nodes.iter().skip(usize::from(kind == BRANCH)) {
        let behind = match before {
            Some(before) if strictly => keys.less(before, node.key)?,
            Some(before) => !keys.less(node.key, before)?,
            None => true,
        };
        if !keys.allows(node.key)? || !behind {
            return Err(Failure::Damage("the order of keys"));
        }
        (before, strictly) = (Some(node.key), true);
    }
    match (before, place.to) {
        (Some(last), Some(to)) if strictly && !keys.less(last, to)? => {
            Err(Failure::Damage("the order of keys"))
        }
        _ => Ok(()),
    }
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N]> {
    let found = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    found.copied().ok_or(Failure::Damage("a page that is too short"))
}

fn u16_at(bytes: &[u8], offset: usize) -> Result<u16> {
    array_at(bytes, offset).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32> {
    array_at(bytes, offset).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Result<u64> {
    array_at(bytes, offset).map(u64::from_ne_bytes)
}
