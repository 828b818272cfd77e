//! Text made from a template: `string.format(list)`.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
