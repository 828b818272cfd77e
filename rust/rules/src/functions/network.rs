//! Addresses and networks of the Internet protocol.

use super::Table;

pub(super) const FUNCTIONS: Table = &[];
