//! Placement from Python: the algorithms of `edgeroute_placement` by the names of targets, for a REPL, for programs of
//! one's own, and for the simulator of `bench/`.

mod affinity;
mod pick;
mod prompt;
mod ring;
mod targets;

pub(crate) use affinity::{AffinityIndex, Decision};
pub(crate) use pick::{Latency, RoundRobin, least_load, power_of_two};
pub(crate) use prompt::Prompt;
pub(crate) use ring::Ring;

use pyo3::prelude::*;

use crate::border::value_error;

/// `ValueError` with the sentence of the library.
#[cold]
fn refused(error: edgeroute_placement::Error) -> PyErr {
    value_error(error.to_string())
}
