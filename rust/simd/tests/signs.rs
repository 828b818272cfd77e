//! Signs as a code, bit by bit.

use edgeroute_simd::{safe, signs};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_bit_is_set_where_a_value_is_below_zero(values in vec(any::<i8>(), 0..300)) {
        let code = signs(&values);
        prop_assert_eq!(safe::signs(&values), code);
        for (word, bits) in code.0.into_iter().enumerate() {
            for bit in 0..64 {
                let negative = values.get(word * 64 + bit).is_some_and(|value| *value < 0);
                prop_assert_eq!(bits >> bit & 1 == 1, negative);
            }
        }
    }
}
