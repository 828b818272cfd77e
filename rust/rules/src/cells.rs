//! Working memory of one pass.

/// So many cells need no allocation.
const INLINE: usize = 16;

/// What a cell may hold.
pub(crate) trait Empty: Sized {
    /// A cell that nothing was put into.
    const EMPTY: Self;
}

/// Cells by number. The first lie where the pass lies; the others are allocated when one of them is asked for.
///
/// NOTE: an array of constants, since a `SmallVec` is filled in a loop and then moved: of a pass that reads nothing,
/// 22 ns instead of 41. Sixteen, since eight are too few for ten usual rules: three allocations and 950 instructions.
#[derive(Debug)]
pub(crate) struct Cells<T> {
    first: [T; INLINE],
    others: Box<[T]>,
}

impl<T: Empty> Cells<T> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { first: [const { T::EMPTY }; INLINE], others: Box::default() }
    }

    /// One of `count` cells, which is the same at every call.
    #[inline]
    pub(crate) fn get_mut(&mut self, number: usize, count: usize) -> Option<&mut T> {
        match number.checked_sub(INLINE) {
            None => self.first.get_mut(number),
            Some(other) => self.other(other, count),
        }
    }

    #[cold]
    fn other(&mut self, other: usize, count: usize) -> Option<&mut T> {
        if self.others.is_empty() {
            self.others = (INLINE..count).map(|_| T::EMPTY).collect();
        }
        self.others.get_mut(other)
    }
}
