//! Lists.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
