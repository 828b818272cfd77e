//! Encodings of bytes as text.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
