//! Observe mode beside static thresholds on simulated streams, one line of JSON each; `bench/cache_evidence.py` makes a
//! table of them. `cargo run --release -p edgeroute-cache --example evidence -- FIRST_SEED SEEDS WOULD_BE_HITS WORKERS LAG`

#![allow(clippy::indexing_slicing)]

#[path = "../tests/stream/mod.rs"]
mod stream;

use stream::{Outcome, Workers};

fn main() {
    let arguments: Option<Vec<u64>> = std::env::args().skip(1).map(|each| each.parse().ok()).collect();
    let Some([first, seeds, would_be_hits, workers, lag]) = arguments.as_deref() else {
        eprintln!("five numbers: the first seed, how many seeds, would-be hits of each stream, workers, lag");
        std::process::exit(2);
    };
    for seed in *first..first + seeds {
        let workers = Workers { count: *workers as usize, lag: *lag as u32 };
        let run = stream::run(seed, *would_be_hits as u32, workers);
        let outcome =
            |Outcome { served, wrong }: Outcome| format!(r#"{{"served":{served},"wrong":{wrong}}}"#);
        println!(
            r#"{{"seed":{seed},"drift":"{:?}","observed":{},"fixed":{},"fixed_promise":{},"usual":{}}}"#,
            run.drift,
            outcome(run.observed),
            outcome(run.fixed),
            outcome(run.fixed_promise),
            outcome(run.usual),
        );
    }
}
