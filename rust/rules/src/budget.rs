//! What an evaluation may cost. Expressions without loops are bounded by their size; what loops and functions on long
//! texts do is counted.

use crate::error::ErrorKind;
use crate::value::Value;

/// Steps of comprehensions that one evaluation may take, all of its loops together.
pub(crate) const MAXIMUM_STEPS: u32 = 10_000;
/// Bytes that functions may read and write in one evaluation, beyond what the request itself has.
pub(crate) const MAXIMUM_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of the longest text, and elements of the longest list, that can be made.
pub(crate) const MAXIMUM_SIZE: usize = 1024 * 1024;

/// Bytes that a value takes in a list.
pub(crate) const ELEMENT: usize = size_of::<Value<'static>>();

/// What an evaluation took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Elements that comprehensions went through.
    pub steps: u32,
    /// Bytes that were read and made, apart from what costs no more than the length of the expression.
    pub bytes: u64,
}

/// What is left of it.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    steps: u32,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { steps: MAXIMUM_STEPS, bytes: MAXIMUM_BYTES }
    }

    /// What was spent so far.
    pub(crate) fn spent(&self) -> Work {
        Work { steps: MAXIMUM_STEPS - self.steps, bytes: MAXIMUM_BYTES - self.bytes }
    }

    /// One more element of a comprehension.
    #[inline]
    pub(crate) fn step(&mut self) -> Result<(), ErrorKind> {
        self.steps = self.steps.checked_sub(1).ok_or(ErrorKind::TooMuchWork)?;
        Ok(())
    }

    /// So many bytes of text, or elements of lists, that a function reads or writes.
    #[inline]
    pub(crate) fn spend(&mut self, size: usize) -> Result<(), ErrorKind> {
        self.bytes = self.bytes.checked_sub(size as u64).ok_or(ErrorKind::TooMuchWork)?;
        Ok(())
    }

    /// As [`Self::spend`], for a text of so many bytes that is about to be made.
    #[inline]
    pub(crate) fn make(&mut self, size: usize) -> Result<(), ErrorKind> {
        if size > MAXIMUM_SIZE {
            return Err(ErrorKind::TooLarge);
        }
        self.spend(size)
    }

    /// As [`Self::make`], for a list of so many elements.
    #[inline]
    pub(crate) fn make_list(&mut self, elements: usize) -> Result<(), ErrorKind> {
        if elements > MAXIMUM_SIZE {
            return Err(ErrorKind::TooLarge);
        }
        self.spend(elements * ELEMENT)
    }
}
