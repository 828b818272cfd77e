//! The extension module `edgeroute._native`: what Python calls and sees. It converts at the border and holds the
//! pieces together; what is decided is decided in `router`, what is sent and received is `upstream`'s. No Rust
//! lock is held while Python runs.

mod border;
mod cache;
mod cells;
mod direct_future;
mod embedding;
mod exchange;
mod flight;
mod inquiry;
mod judgement;
mod placement;
mod recall;
mod rule_findings;
mod rules;
mod sharing;
mod snapshot;
mod state;
mod store;
mod ticket;
mod worker;

use pyo3::prelude::*;

/// Python's allocator aligns objects to 16 bytes; what needs more is boxed.
const _: () = assert!(
    align_of::<ticket::PyTicket>() <= 16
        && align_of::<direct_future::DirectFuture>() <= 16
        && align_of::<worker::Worker>() <= 16
        && align_of::<snapshot::PySnapshot>() <= 16
        && align_of::<cells::PyCells>() <= 16
        && align_of::<cells::WorkerStatus>() <= 16
        && align_of::<rules::RuleSet>() <= 16
        && align_of::<store::PyStore>() <= 16
        && align_of::<store::StoreStatistics>() <= 16
        && align_of::<store::ModelEvidence>() <= 16
        && align_of::<rules::Expression>() <= 16
        && align_of::<placement::Ring>() <= 16
        && align_of::<placement::AffinityIndex>() <= 16
        && align_of::<placement::Decision>() <= 16
        && align_of::<placement::Prompt>() <= 16
        && align_of::<placement::RoundRobin>() <= 16
        && align_of::<placement::Latency>() <= 16
        && align_of::<cache::Bank>() <= 16
        && align_of::<cache::SemanticCache>() <= 16
);

/// The compiled core of edgeroute; see `_native.pyi`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<cache::Bank>()?;
    module.add_class::<cache::SemanticCache>()?;
    module.add_class::<cells::PyCells>()?;
    module.add_class::<cells::WorkerStatus>()?;
    module.add_class::<direct_future::DirectFuture>()?;
    module.add_class::<placement::AffinityIndex>()?;
    module.add_class::<placement::Decision>()?;
    module.add_class::<placement::Latency>()?;
    module.add_class::<placement::Prompt>()?;
    module.add_class::<placement::Ring>()?;
    module.add_class::<placement::RoundRobin>()?;
    module.add_class::<rules::Expression>()?;
    module.add_class::<rules::RuleSet>()?;
    module.add_class::<snapshot::PySnapshot>()?;
    module.add_class::<store::ModelEvidence>()?;
    module.add_class::<store::PyStore>()?;
    module.add_class::<store::StoreStatistics>()?;
    module.add_class::<ticket::PyTicket>()?;
    module.add_class::<worker::Worker>()?;
    module.add_function(wrap_pyfunction!(cache::compare, module)?)?;
    module.add_function(wrap_pyfunction!(cache::embed, module)?)?;
    module.add_function(wrap_pyfunction!(rule_findings::check_rules, module)?)?;
    module.add_function(wrap_pyfunction!(rule_findings::lint_rules, module)?)?;
    module.add_function(wrap_pyfunction!(rule_findings::rule_codes, module)?)?;
    module.add_function(wrap_pyfunction!(rule_findings::rule_functions, module)?)?;
    module.add_function(wrap_pyfunction!(placement::least_load, module)?)?;
    module.add_function(wrap_pyfunction!(placement::power_of_two, module)?)?;
    module.add_function(wrap_pyfunction!(store::least_share, module)?)?;
    module.add_function(wrap_pyfunction!(snapshot::explain, module)?)?;
    module.add_function(wrap_pyfunction!(snapshot::explain_rules, module)?)?;
    module.add_function(wrap_pyfunction!(rule_findings::first_failures, module)?)?;
    module.add_function(wrap_pyfunction!(rules::rule_variables, module)?)?;
    Ok(())
}
