//! When answers are served after they were observed, and when no longer.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod stream;

use edgeroute_cache::evidence::{DELTA, EXPLORE, RECORDS};
use edgeroute_cache::{EntryEvidence, Evidence, Observation, Record, Verdict};
use proptest::prelude::*;
use stream::{Outcome, Workers};

const NEAR: f32 = 0.96;
const CERTAINLY: f64 = 0.999;
const ALONE: Workers = Workers { count: 1, lag: 0 };

/// Observes entries of this record, one observation each.
fn observe(evidence: &mut Evidence, entry: EntryEvidence, similarity: f32, verdict: Verdict, times: u32) {
    for second in 0..times {
        evidence.observe(entry.record(similarity), similarity, verdict, 1_000 + second);
    }
}

/// An entry that was right so many times at this similarity.
fn right(times: usize, similarity: f32) -> EntryEvidence {
    let mut entry = EntryEvidence::default();
    for _ in 0..times {
        entry.observe(similarity, Verdict::Correct);
    }
    entry
}

#[test]
fn nothing_is_served_before_the_bound_is_above_the_promise() {
    let mut evidence = Evidence::default();
    let entry = right(2, NEAR);
    observe(&mut evidence, entry, NEAR, Verdict::Correct, 298);
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY));
    // Forgetting costs some.
    observe(&mut evidence, entry, NEAR, Verdict::Correct, 80);
    assert!(evidence.may_serve(&entry, NEAR, CERTAINLY));
    assert!(!evidence.may_serve(&entry, NEAR, EXPLORE / 2.0), "some questions go to the model all the same");
    let line = &evidence.report()[0];
    assert!(
        (line.similarity, line.record, line.serving) == (0.95, "2-3", true) && line.lower_bound > 1.0 - DELTA
    );

    assert!(evidence.may_serve(&entry, 0.999, CERTAINLY), "nearer questions are no worse");
    assert!(evidence.may_serve(&right(30, NEAR), NEAR, CERTAINLY), "and neither are longer records");
    assert!(!evidence.may_serve(&entry, 0.94, CERTAINLY), "remoter ones may be");
    assert!(!evidence.may_serve(&right(1, NEAR), NEAR, CERTAINLY), "and shorter ones");
    assert!(!evidence.may_serve(&right(9, 0.999), NEAR, CERTAINLY), "what was right nearer by says nothing");
    let mut wrong = entry;
    wrong.observe(NEAR, Verdict::Wrong);
    assert!(!evidence.may_serve(&wrong, NEAR, CERTAINLY), "an entry that was wrong starts again");
}

#[test]
fn a_wrong_answer_clears_the_record_of_an_entry() {
    let mut entry = right(20, NEAR);
    entry.observe(NEAR, Verdict::Wrong);
    let mut evidence = Evidence::default();
    observe(&mut evidence, entry, NEAR, Verdict::Correct, 1);
    observe(&mut evidence, entry, 0.999, Verdict::Correct, 1);
    let records: Vec<_> = evidence.report().iter().map(|line| (line.similarity, line.record)).collect();
    assert_eq!(records, [(0.99, "0"), (0.95, "wrong, 0-3")]);
}

#[test]
fn what_nobody_can_compare_is_never_served() {
    let mut evidence = Evidence::default();
    let mut entry = EntryEvidence::default();
    for second in 0..10_000 {
        evidence.observe(entry.record(NEAR), NEAR, Verdict::Unknown, second);
        entry.observe(NEAR, Verdict::Unknown);
    }
    assert_eq!(entry, EntryEvidence::default());
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY));
    // Nor does it ride on those that can be: one in fifty is enough to keep the first look out.
    for second in 0..10_000 {
        let verdict = if second % 50 == 0 { Verdict::Unknown } else { Verdict::Correct };
        evidence.observe(entry.record(NEAR), NEAR, verdict, second);
    }
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY));
}

#[test]
fn serving_ends_by_itself() {
    let entry = right(5, NEAR);
    let mut proven = Evidence::default();
    observe(&mut proven, entry, NEAR, Verdict::Correct, 2_000);
    assert!(proven.may_serve(&entry, NEAR, CERTAINLY) && proven.is_serving());

    let mut evidence = proven.clone();
    observe(&mut evidence, entry, NEAR, Verdict::Wrong, 1);
    assert!(evidence.may_serve(&entry, NEAR, CERTAINLY), "one wrong answer in 2,000 is within the promise");
    assert!(!evidence.may_serve(&entry, NEAR, 0.2), "but more is explored");
    observe(&mut evidence, entry, NEAR, Verdict::Wrong, 4);
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY) && !evidence.is_serving(), "five in a row are not");
    observe(&mut evidence, entry, NEAR, Verdict::Correct, 200);
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY), "what was before them is forgotten");

    // Evidence ages where nothing new comes: of 2,000 observations a year ago nothing is left.
    let mut evidence = proven;
    evidence.observe(entry.record(NEAR), NEAR, Verdict::Correct, 365 * 86_400);
    assert!(!evidence.may_serve(&entry, NEAR, CERTAINLY));
}

fn observation() -> impl Strategy<Value = Observation> {
    let entry = (0..4_u128, 0..2_u64, 0..2_u64);
    (entry, 0..RECORDS.len() as u8, any::<f32>(), 0..3_usize, any::<u32>()).prop_map(
        |((key, stored_ms, model), record, similarity, verdict, seen_s)| Observation {
            key,
            stored_ms,
            model,
            record: Record::from_index(record).unwrap(),
            similarity,
            verdict: Verdict::ALL[verdict],
            seen_s,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_observation_is_read_as_it_was_written(observation in observation(), at in 0_usize..43, value: u8) {
        let mut bytes = observation.encode();
        // By its bytes, for a similarity may be no number.
        prop_assert_eq!(Observation::decode(&bytes).unwrap().encode(), bytes.clone());
        prop_assert_eq!(Observation::decode(&bytes[..bytes.len() - 1]), None);
        prop_assert_eq!(Observation::decode(&[&bytes[..], &[0]].concat()), None);
        bytes[at] = value;
        let read = Observation::decode(&bytes);
        prop_assert!(read.is_none_or(|read| read.encode() == bytes));
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Observation::decode(&bytes).is_none_or(|read| read.encode() == bytes));
    }

    #[test]
    fn any_observations_are_taken(observations in prop::collection::vec(observation(), 0..300)) {
        let mut evidence = Evidence::default();
        let mut entry = EntryEvidence::default();
        for Observation { record, similarity, verdict, seen_s, .. } in observations {
            evidence.observe(record, similarity, verdict, seen_s);
            entry.observe(similarity, verdict);
            prop_assert!(!evidence.may_serve(&entry, similarity, 0.0));
        }
        let report = evidence.report();
        prop_assert!(report.iter().all(|line| (0.0..=1.0).contains(&line.lower_bound)));
        prop_assert_eq!(evidence.is_serving(), report.iter().any(|line| line.serving));
    }
}

/// A slim version of what `bench/cache_evidence.py` runs.
#[test]
fn the_promise_is_kept_while_streams_drift() {
    let runs: Vec<_> = (100..110).map(|seed| stream::run(seed, 25_000, ALONE)).collect();
    let kept = runs.iter().filter(|run| run.observed.error() <= DELTA).count();
    let ahead = runs.iter().filter(|run| run.observed.served > run.fixed.served).count();
    assert!(kept >= 9 && ahead >= 5, "{kept} kept, {ahead} ahead: {runs:#?}");
    assert!(runs.iter().map(|run| run.observed.served).sum::<u32>() > 5_000, "{runs:#?}");
    assert!(runs.iter().any(|run| run.usual.error() > 0.05), "the streams are not too easy");
    assert_ne!(runs[0].observed, Outcome::default());
}

#[test]
fn workers_that_share_their_observations_do_as_one() {
    for seed in 200..203 {
        let shared = stream::run(seed, 8_000, Workers { count: 4, lag: 0 });
        assert_eq!(shared, stream::run(seed, 8_000, ALONE));
    }
    // What is told late is told all the same: between a decision and what it knows lie as many as 20 others.
    let runs: Vec<_> =
        (105..110).map(|seed| stream::run(seed, 25_000, Workers { count: 4, lag: 20 })).collect();
    let kept = runs.iter().filter(|run| run.observed.error() <= DELTA).count();
    assert!(kept >= 4, "{kept} kept: {runs:#?}");
    assert!(runs.iter().map(|run| run.observed.served).sum::<u32>() > 2_500, "{runs:#?}");
}
