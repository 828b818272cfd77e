//! Working memory of one pass.

/// So many cells need no allocation.
const INLINE: usize = 8;

/// Cells by number. The first lie where the pass lies; the others are allocated when one of them is asked for.
///
/// NOTE: an array, since a `SmallVec` is filled in a loop and moved whole: 41 ns for a pass without attributes, 8 so.
#[derive(Debug)]
pub(crate) struct Cells<T> {
    first: [T; INLINE],
    others: Vec<T>,
    count: usize,
}

impl<T: Clone> Cells<T> {
    #[inline(always)]
    pub(crate) fn new(count: usize, empty: T) -> Self {
        Self { first: std::array::from_fn(|_| empty.clone()), others: Vec::new(), count }
    }

    /// A cell, if there are so many. Cells not yet allocated are `empty`.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: usize, empty: T) -> Option<&mut T> {
        let Some(other) = number.checked_sub(INLINE) else { return self.first.get_mut(number) };
        if self.others.is_empty() {
            self.others = vec![empty; self.count.saturating_sub(INLINE)];
        }
        self.others.get_mut(other)
    }
}
