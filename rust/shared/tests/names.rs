//! The name table against a `HashMap`, alone and under races.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::Barrier;

use edgeroute_shared::{Cells, Error, Exact, Layout};
use proptest::prelude::*;
use support::{SMALL, TemporaryFile};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn it_is_a_map_that_fills_up(capacity in 0_u32..20, names in prop::collection::vec("[ab/]{1,3}|[a-b]{16,20}", 0..60)) {
        let cells = Cells::anonymous(Layout { exact: capacity, gauges: 1, sums: 1, rows: 1 }).unwrap();
        let mut model: HashMap<String, Exact> = HashMap::new();
        for name in names {
            match (cells.exact(&name), model.get(&name)) {
                (Ok(found), Some(&known)) => prop_assert_eq!(found, known),
                (Ok(found), None) => {
                    prop_assert!(model.values().all(|&other| other != found));
                    model.insert(name, found);
                }
                (Err(Error::Full { capacity: full, .. }), None) => {
                    prop_assert_eq!((full, model.len()), (capacity, capacity as usize));
                }
                (unexpected, _) => prop_assert!(false, "{unexpected:?}"),
            }
        }
        let listed: HashSet<String> = cells.exacts().map(|(name, _)| name).collect();
        prop_assert_eq!(listed, model.into_keys().collect::<HashSet<_>>());
    }
}

#[test]
fn kinds_do_not_share_names() {
    let cells = Cells::anonymous(Layout { exact: 1, gauges: 1, sums: 1, rows: 1 }).unwrap();
    cells.exact("same").unwrap();
    cells.gauge("same", None).unwrap();
    cells.sum("same").unwrap();
    let check = |error: Error, expected: &str| assert!(error.to_string().contains(expected), "{error}");
    check(cells.exact("more").unwrap_err(), r#"no exact cell is left for "more": all 1 are taken"#);
    check(cells.gauge("more", None).unwrap_err(), "no gauge cell");
    check(cells.sum("more").unwrap_err(), "no sum cell");
    check(cells.sum("").unwrap_err(), "1 to 191 bytes");
}

#[test]
fn a_gauge_keeps_what_it_refunds() {
    let cells = Cells::anonymous(SMALL).unwrap();
    let (one, two) = (cells.exact("one").unwrap(), cells.exact("two").unwrap());
    let gauge = cells.gauge("reserved", Some(one)).unwrap();
    assert_eq!(cells.gauge("reserved", Some(one)).unwrap(), gauge);
    assert!(matches!(cells.gauge("reserved", Some(two)), Err(Error::Refunds { .. })));
    assert!(matches!(cells.gauge("reserved", None), Err(Error::Refunds { .. })));
}

#[test]
fn racing_threads_agree_on_every_name() {
    const THREADS: usize = 4;
    let names: Vec<String> = (0..SMALL.exact).map(|number| format!("limits/key/{number}/requests")).collect();
    let file = TemporaryFile::new();
    Cells::create(file.path(), SMALL).unwrap();
    let barrier = Barrier::new(THREADS);
    let found: Vec<HashMap<&str, Exact>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (names, barrier, file) = (&names, &barrier, &file);
                scope.spawn(move || {
                    let cells = Cells::open(file.path()).unwrap();
                    barrier.wait();
                    let turned = names.iter().cycle().skip(thread * 5).take(names.len());
                    turned.map(|name| (name.as_str(), cells.exact(name).unwrap())).collect()
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert!(found.iter().all(|map| map == &found[0]));
    assert_eq!(found[0].values().collect::<HashSet<_>>().len(), names.len());
}
