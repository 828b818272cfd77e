//! Amounts outstanding over several workers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "../../shared/tests/support/mod.rs"]
mod support;

use edgeroute_limits::{Cells, Outstanding, Owner, reap};
use proptest::prelude::*;
use support::SMALL;

const WORKER: Owner = Owner { pid: 1, started: 1 };
const DEAD: Owner = Owner { pid: 2, started: 1 };
const REAPER: Owner = Owner { pid: 3, started: 1 };

proptest! {
    /// What each of two workers adds and takes away, against plain numbers; in the end one of them dies.
    #[test]
    fn it_is_what_was_added_and_not_removed(changes in prop::collection::vec((any::<bool>(), 0..1_000_000u64, any::<bool>()), 0..60)) {
        let cells = Cells::anonymous(SMALL).unwrap();
        let rows = [cells.claim_row(WORKER).unwrap(), cells.claim_row(DEAD).unwrap()];
        let load = Outstanding::new(&cells, "load").unwrap();
        let mut open: [Vec<u64>; 2] = [vec![], vec![]];
        for (dies, amount, adds) in changes {
            let worker = usize::from(dies);
            match (adds, open[worker].pop()) {
                (false, Some(amount)) => load.remove(&rows[worker], amount),
                (_, popped) => {
                    open[worker].extend(popped);
                    open[worker].push(amount);
                    load.add(&rows[worker], amount);
                }
            }
            prop_assert_eq!(load.total(&cells), open.iter().flatten().sum::<u64>());
        }
        reap(&cells, REAPER, |owner| owner != DEAD).unwrap();
        prop_assert_eq!(load.total(&cells), open[0].iter().sum::<u64>());
    }
}

#[test]
fn amounts_saturate_and_never_fall_below_zero() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let row = cells.claim_row(WORKER).unwrap();
    let load = Outstanding::new(&cells, "load").unwrap();
    load.add(&row, u64::MAX);
    load.add(&row, 1);
    assert_eq!(load.total(&cells), (1 << 40) - 1);
    load.remove(&row, u64::MAX);
    load.remove(&row, 1);
    assert_eq!(load.total(&cells), 0);
    drop(row);
    assert_eq!(cells.rows().count(), 0, "a row that holds nothing is free");
}
