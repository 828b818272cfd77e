//! Lists as sets.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
