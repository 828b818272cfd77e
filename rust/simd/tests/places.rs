//! Where a byte is among others.

use edgeroute_simd::{PLACES, places, safe};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes(mut bytes in any::<[u8; PLACES]>(), byte: u8, set: u32) {
        bytes.iter_mut().enumerate().filter(|(at, _)| set >> at & 1 == 1).for_each(|(_, at)| *at = byte);
        let found = places(&bytes, byte);
        prop_assert_eq!(safe::places(&bytes, byte), found);
        for (at, other) in bytes.iter().enumerate() {
            prop_assert_eq!(found >> at & 1 == 1, *other == byte, "at {}", at);
        }
    }
}
