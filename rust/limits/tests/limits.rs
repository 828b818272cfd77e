//! All limits of one request together.
#![allow(clippy::unwrap_used)]

#[path = "../../shared/tests/support/mod.rs"]
mod support;

use edgeroute_limits::{Cells, Limits, Owner, Quotas, Refused, Row, Usage, Used};
use support::SMALL;

const NOW_MS: u64 = 1_795_000_000_000;
const KEY: Quotas =
    Quotas { requests_per_minute: Some(10), tokens_per_minute: Some(1_000), concurrency: Some(2) };
const TEAM: Quotas =
    Quotas { requests_per_minute: Some(100), tokens_per_minute: Some(1_200), concurrency: Some(3) };

fn memory() -> (Cells, Row, [Limits; 2]) {
    let cells = Cells::anonymous(SMALL).unwrap();
    let row = cells.claim_row(Owner { pid: 1, started: 1 }).unwrap();
    let limits =
        [("key/a", KEY), ("team/t", TEAM)].map(|(name, quotas)| Limits::new(&cells, name, quotas).unwrap());
    (cells, row, limits)
}

/// Requests and tokens, each in percent of the fullest limit, and all places taken.
fn state(cells: &Cells, scopes: &[Limits]) -> (f64, f64, u64) {
    let Used { requests_percent, tokens_percent } = Limits::used(scopes, cells, NOW_MS);
    (requests_percent, tokens_percent, cells.gauges().map(|(_, total)| total).sum())
}

#[test]
fn a_request_takes_from_all_and_settles_with_all() {
    let (cells, row, scopes) = memory();
    let held = Limits::reserve(&scopes, &row, Some(400), NOW_MS).unwrap();
    assert_eq!(state(&cells, &scopes), (10.0, 40.0, 2));
    held.settle(&row, 100);
    assert_eq!(state(&cells, &scopes), (10.0, 10.0, 0));
    Limits::reserve(&scopes, &row, Some(400), NOW_MS).unwrap().refund(&row);
    assert_eq!(state(&cells, &scopes), (10.0, 10.0, 0));
    Limits::reserve(&scopes, &row, Some(0), NOW_MS).unwrap().settle(&row, 2_000);
    assert_eq!(state(&cells, &scopes), (20.0, 210.0, 0));
    // Without tokens, a limit of tokens that is used up is none of its business.
    let held = Limits::reserve(&scopes, &row, None, NOW_MS).unwrap();
    assert_eq!(state(&cells, &scopes), (30.0, 210.0, 2));
    held.settle(&row, 500);
    assert_eq!(state(&cells, &scopes), (30.0, 210.0, 0));
}

#[test]
fn a_refusal_names_the_limit_and_takes_nothing() {
    let check = |fill: Quotas, tokens: u64, expected: &str, retry: Option<u64>| {
        let (cells, row, [_, team]) = memory();
        let key = Limits::new(&cells, "key/b", fill).unwrap();
        let scopes = [key, team];
        let other = Limits::reserve(&[team], &row, Some(300), NOW_MS).unwrap();
        let before = state(&cells, &scopes);
        let refused = Limits::reserve(&scopes, &row, Some(tokens), NOW_MS).unwrap_err();
        assert_eq!(refused.to_string(), expected);
        assert_eq!(refused.retry_after_ms(), retry, "{expected}");
        assert_eq!(state(&cells, &scopes), before, "{expected}");
        other.settle(&row, 300);
    };
    let until_next = Some(60_000 - NOW_MS % 60_000);
    check(
        Quotas { requests_per_minute: Some(0), ..KEY },
        1,
        "requests per minute: 1 asked for, 0 of 0 used",
        None,
    );
    check(
        Quotas { tokens_per_minute: Some(99), ..KEY },
        100,
        "tokens per minute: 100 asked for, 0 of 99 used",
        None,
    );
    check(KEY, 950, "tokens per minute: 950 asked for, 300 of 1200 used", until_next);
    check(Quotas { concurrency: Some(0), ..KEY }, 1, "concurrency: all 0 places are taken", None);
}

#[test]
fn the_scope_that_refused_is_known() {
    let (_cells, row, [key, team]) = memory();
    let held = [0; 2].map(|_| Limits::reserve(&[key, team], &row, Some(1), NOW_MS).unwrap());
    let refused = Limits::reserve(&[team, key], &row, Some(1), NOW_MS).unwrap_err();
    assert!(matches!(refused, Refused::Concurrency { scope: 1, .. }), "{refused:?}");
    let another = Limits::reserve(&[team], &row, Some(1), NOW_MS).unwrap();
    let refused = Limits::reserve(&[team, key], &row, Some(1), NOW_MS).unwrap_err();
    assert!(matches!(refused, Refused::Concurrency { scope: 0, .. }), "{refused:?}");
    held.into_iter().chain([another]).for_each(|held| held.settle(&row, 1));
}

#[test]
fn without_limits_nothing_is_taken() {
    let (cells, row, _) = memory();
    let free = Limits::new(&cells, "key/free", Quotas::default()).unwrap();
    let held = Limits::reserve(&[free, free], &row, Some(u64::MAX), NOW_MS).unwrap();
    assert_eq!(state(&cells, &[free]), (0.0, 0.0, 0));
    held.settle(&row, u64::MAX);
    Limits::reserve(&[], &row, Some(1), NOW_MS).unwrap().settle(&row, 1);
    assert_eq!(state(&cells, &[]), (0.0, 0.0, 0));
}

#[test]
fn a_reload_keeps_what_is_used() {
    let (cells, row, scopes) = memory();
    Limits::reserve(&scopes, &row, Some(500), NOW_MS).unwrap().settle(&row, 500);
    let doubled = Quotas { tokens_per_minute: Some(2_000), ..KEY };
    let reloaded = Limits::new(&cells, "key/a", doubled).unwrap();
    assert_eq!(Limits::used(&[reloaded], &cells, NOW_MS).tokens_percent, 25.0);
}

#[test]
fn usage_is_of_all_workers_and_of_the_running_window() {
    let (cells, row, [key, team]) = memory();
    let other = cells.claim_row(Owner { pid: 2, started: 1 }).unwrap();
    Limits::reserve(&[key, team], &row, Some(100), NOW_MS).unwrap().settle(&row, 70);
    let held =
        [&row, &other].map(|row| (row, Limits::reserve(&[key, team], row, Some(200), NOW_MS).unwrap()));
    let check = |now_ms: u64, expected: [(u64, u64); 3]| {
        let found: Vec<Usage> = team.usage(&cells, now_ms).collect();
        let names = ["requests_per_minute", "tokens_per_minute", "concurrency"];
        let most = [100, 1_200, 3];
        let expected: Vec<Usage> = (names.into_iter().zip(most).zip(expected))
            .map(|((limit, most), (used, reserved))| Usage { limit, most, used, reserved })
            .collect();
        assert_eq!(found, expected);
    };
    check(NOW_MS, [(3, 2), (470, 400), (2, 0)]);
    check(NOW_MS + 120_000, [(0, 0), (0, 0), (2, 0)]);
    held.into_iter().for_each(|(row, held)| held.settle(row, 10));
    check(NOW_MS, [(3, 0), (90, 0), (0, 0)]);
    let free = Limits::new(&cells, "key/free", Quotas::default()).unwrap();
    assert_eq!(free.usage(&cells, NOW_MS).count(), 0);
}
