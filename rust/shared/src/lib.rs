//! The memory file: small numbers that all workers of a host agree on, in one file that every process maps.
//!
//! [`Cells`] holds three kinds of 64-bit cells, found by name: *exact* (one per host, changed by compare-and-swap),
//! *gauge* (one per worker and name; readers sum, the gauges of a dead worker are reaped) and *sum* (monotonic, for
//! metrics). [`Words`] are plain memory for a structure of somebody else's. There is no lock anywhere: a process may
//! be killed between any two instructions and the others go on. The crate knows neither limits nor requests nor time:
//! what a cell means is its user's business. Names are found by open addressing over XXH3-64; a slot goes to a name by
//! a word-by-word consensus (see `table.rs`), in the manner of the helping in Herlihy's "Wait-free synchronization"
//! (1991).

mod cells;
mod error;
mod map;
mod rows;
mod table;

pub use cells::{Cells, Exact, Gauge, Sum};
pub use error::Error;
pub use map::{Layout, Words};
pub use rows::{Owner, Row, RowStatus};
pub use table::NAME_BYTES;
