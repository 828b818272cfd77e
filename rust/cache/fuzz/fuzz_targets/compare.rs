//! A comparison has no side, and nothing contradicts itself.
#![no_main]

use edgeroute_cache::{Verdict, compare};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|answers: (&str, &str)| {
    let (one, other) = answers;
    assert_eq!(compare(one, other), compare(other, one));
    assert_ne!(compare(one, one), Verdict::Wrong);
});
