//! Rows added up, value by value.
#![allow(clippy::indexing_slicing)]

use edgeroute_simd::{MOST_ROWS, ROW, add_rows, safe};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_total_is_what_was_there_and_each_row_so_many_times(
        table in vec(any::<u8>(), 0..2000),
        starts in vec(0u32..2000, 0..MOST_ROWS),
        times in -300..300,
        before in any::<i16>(),
    ) {
        let mut expected = [i32::from(before); ROW];
        for &start in starts.iter().filter(|&&start| start as usize + ROW <= table.len()) {
            for (at, total) in expected.iter_mut().enumerate() {
                *total += times * i32::from(table[start as usize + at].cast_signed());
            }
        }
        for add in [add_rows, safe::add_rows] {
            let mut total = [i32::from(before); ROW];
            add(&table, &starts, times, &mut total);
            prop_assert_eq!(total, expected);
        }
    }

    #[test]
    fn the_most_rows_of_the_least_value_do_not_overflow(value in any::<u8>()) {
        let mut total = [0; ROW];
        add_rows(&[value; ROW], &[0; MOST_ROWS], 1, &mut total);
        prop_assert_eq!(total, [i32::from(value.cast_signed()) * MOST_ROWS as i32; ROW]);
    }
}

#[test]
fn a_row_that_is_not_whole_counts_as_zero() {
    let mut total = [7; ROW];
    add_rows(&[1; 300], &[45, 300, u32::MAX], 1, &mut total);
    assert_eq!(total, [7; ROW]);
}
