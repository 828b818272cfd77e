//! The search among vectors for those within a threshold: flat, in two levels of codes, and exact for the few that
//! remain.
//!
//! A cache does not ask for the nearest, but whether anything is near enough. That is a radius of 256-bit codes: 64 or
//! 128 bits of each (8 or 16 bytes an entry, so 100,000 entries are in the processor's cache) leave some in a thousand,
//! all bits a part of these, and what is left is compared as it is. There is no graph: inserting is appending, removing
//! is swapping, and the same calls give the same matches.

use edgeroute_simd::{Code, GROUP, Group, prefetch, scan};
use smallvec::SmallVec;

use crate::code::{Vector, radii};

/// Entries of a block: so many are moved at most when a bank grows.
const BLOCK: usize = 1024;

/// Vectors of one dimension, by position. A vector stays where it is until a removal moves it.
#[derive(Debug)]
pub struct Bank {
    dimensions: usize,
    /// All but the last are full.
    blocks: Vec<Block>,
}

/// Parallel columns: what a search reads first is side by side.
#[derive(Debug, Default)]
struct Block {
    first: Vec<Group>,
    second: Vec<Group>,
    rest: Vec<[u64; 2]>,
    keys: Vec<(u32, f32)>,
    values: Vec<i8>,
}

/// One row of a block, on its way to another place.
struct Row {
    code: Code,
    key: (u32, f32),
    values: Vec<i8>,
}

/// A vector that is near enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The number with which it was inserted.
    pub id: u32,
    /// The cosine of the angle to what was asked for.
    pub cosine: f32,
}

impl Bank {
    /// An empty one, for vectors of so many components.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self { dimensions, blocks: Vec::new() }
    }

    /// Components of each vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// How many vectors it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Where it is now; None if the vector has not the bank's dimension. Nothing compares ids: they may repeat.
    pub fn insert<'a>(&mut self, id: u32, vector: impl Into<Vector<'a>>) -> Option<usize> {
        let vector = vector.into();
        if vector.values.len() != self.dimensions {
            return None;
        }
        let position = self.len();
        if position.is_multiple_of(BLOCK) {
            // The first one grows as it must, for there are many small banks; further ones never move.
            let room = if position == 0 { 0 } else { BLOCK };
            self.blocks.push(Block::with_room(room, self.dimensions));
        }
        self.blocks.last_mut()?.push(id, vector);
        Some(position)
    }

    /// Takes out what is at the position. The last vector moves there: its id, unless it was the last itself.
    pub fn remove(&mut self, position: usize) -> Option<u32> {
        if position >= self.len() {
            return None;
        }
        let last = self.blocks.last_mut()?.pop(self.dimensions)?;
        if self.blocks.last().is_some_and(|block| block.len() == 0) {
            self.blocks.pop();
        }
        if position == self.len() {
            return None;
        }
        let id = last.key.0;
        self.blocks.get_mut(position / BLOCK)?.put(position % BLOCK, last)?;
        Some(id)
    }

    /// Those with a cosine of `threshold` or more, best first, at most `most`. One that is just at the threshold is
    /// missed five times in a thousand at most, a nearer one less often; thresholds of 0 and below miss nothing.
    pub fn within<'a>(
        &self,
        vector: impl Into<Vector<'a>>,
        threshold: f32,
        most: usize,
    ) -> SmallVec<[Match; 8]> {
        self.within_of(vector.into(), threshold, most, |_| true)
    }

    /// As `within`, of those whose ids are `wanted`.
    pub(crate) fn within_of(
        &self,
        vector: Vector<'_>,
        threshold: f32,
        most: usize,
        wanted: impl Fn(u32) -> bool,
    ) -> SmallVec<[Match; 8]> {
        let mut matches = SmallVec::new();
        if vector.values.len() != self.dimensions {
            return matches;
        }
        let code = vector.code();
        let Code([first, second, ..]) = code;
        let (radii, radius) = radii(threshold);
        // Each level asks for the memory that the next one reads, before any of it is read.
        let mut near: SmallVec<[usize; 64]> = SmallVec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            scan(&block.first, &block.second, [first, second], radii, &mut |row| {
                if let Some(rest) = block.rest.get(row..=row) {
                    prefetch(rest);
                    near.push(number * BLOCK + row);
                }
            });
        }
        near.retain(|position| {
            let Some((block, row)) = self.place(*position) else { return false };
            let apart = block.code(row).map_or(u32::MAX, |other| code.apart(other));
            if apart <= radius {
                block.prefetch(row, self.dimensions);
            }
            apart <= radius
        });
        for position in near {
            let Some((block, row)) = self.place(position) else { continue };
            let Some((id, other)) = block.vector(row, self.dimensions) else { continue };
            let cosine = vector.cosine(other);
            if cosine >= threshold && wanted(id) {
                keep(&mut matches, Match { id, cosine }, most);
            }
        }
        matches
    }

    /// The vector at the position.
    pub(crate) fn vector(&self, position: usize) -> Option<Vector<'_>> {
        let (block, row) = self.place(position)?;
        block.vector(row, self.dimensions).map(|(_, vector)| vector)
    }

    fn place(&self, position: usize) -> Option<(&Block, usize)> {
        Some((self.blocks.get(position / BLOCK)?, position % BLOCK))
    }
}

/// Adds a match where it belongs, after equal ones, so that the older come first.
pub(crate) fn keep(matches: &mut SmallVec<[Match; 8]>, found: Match, most: usize) {
    let place = matches.partition_point(|other| other.cosine >= found.cosine);
    if place < most {
        matches.truncate(most - 1);
        matches.insert(place, found);
    }
}

impl Block {
    fn with_room(entries: usize, dimensions: usize) -> Self {
        Self {
            first: Vec::with_capacity(entries / GROUP),
            second: Vec::with_capacity(entries / GROUP),
            rest: Vec::with_capacity(entries),
            keys: Vec::with_capacity(entries),
            values: Vec::with_capacity(entries * dimensions),
        }
    }

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn push(&mut self, id: u32, vector: Vector<'_>) {
        if self.len().is_multiple_of(GROUP) {
            self.first.push(Group([0; GROUP]));
            self.second.push(Group([0; GROUP]));
        }
        let code = vector.code();
        self.rest.push([0; 2]);
        self.set_code(self.len(), code);
        self.keys.push((id, vector.scale));
        self.values.extend_from_slice(vector.values);
    }

    fn code(&self, row: usize) -> Option<Code> {
        let word = |groups: &[Group]| groups.get(row / GROUP)?.0.get(row % GROUP).copied();
        let [third, fourth] = *self.rest.get(row)?;
        Some(Code([word(&self.first)?, word(&self.second)?, third, fourth]))
    }

    fn set_code(&mut self, row: usize, code: Code) {
        let Code([first, second, rest @ ..]) = code;
        for (groups, word) in [(&mut self.first, first), (&mut self.second, second)] {
            if let Some(place) = groups.get_mut(row / GROUP).and_then(|group| group.0.get_mut(row % GROUP)) {
                *place = word;
            }
        }
        if let Some(place) = self.rest.get_mut(row) {
            *place = rest;
        }
    }

    fn prefetch(&self, row: usize, dimensions: usize) {
        prefetch(self.keys.get(row..=row).unwrap_or_default());
        prefetch(self.values(row, dimensions).unwrap_or_default());
    }

    fn vector(&self, row: usize, dimensions: usize) -> Option<(u32, Vector<'_>)> {
        let (id, scale) = *self.keys.get(row)?;
        Some((id, Vector { values: self.values(row, dimensions)?, scale }))
    }

    fn values(&self, row: usize, dimensions: usize) -> Option<&[i8]> {
        self.values.get(row * dimensions..(row + 1) * dimensions)
    }

    fn pop(&mut self, dimensions: usize) -> Option<Row> {
        let values = self.values.split_off(self.values.len().checked_sub(dimensions)?);
        let row = Row { code: self.code(self.len().checked_sub(1)?)?, key: self.keys.pop()?, values };
        self.rest.pop();
        if self.len().is_multiple_of(GROUP) {
            self.first.pop();
            self.second.pop();
        }
        Some(row)
    }

    fn put(&mut self, row: usize, new: Row) -> Option<()> {
        self.set_code(row, new.code);
        *self.keys.get_mut(row)? = new.key;
        let start = row * new.values.len();
        self.values.get_mut(start..start + new.values.len())?.copy_from_slice(&new.values);
        Some(())
    }
}
