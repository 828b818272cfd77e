//! Points in time and lengths of time.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
