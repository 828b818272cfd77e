//! Which bytes belong to words, byte by byte.

use edgeroute_simd::{BLOCK, safe, words};
use proptest::prelude::*;

fn check(block: &[u8; BLOCK]) {
    let bits = words(block);
    assert_eq!(safe::words(block), bits);
    for (at, byte) in block.iter().enumerate() {
        assert_eq!(bits >> at & 1 == 1, byte.is_ascii_alphanumeric() || *byte > 127, "{byte} at {at}");
    }
}

#[test]
fn each_byte_at_each_place() {
    for byte in 0..=u8::MAX {
        for at in 0..BLOCK {
            let mut block = [b' '; BLOCK];
            if let Some(place) = block.get_mut(at) {
                *place = byte;
            }
            check(&block);
        }
    }
}

proptest! {
    #[test]
    fn any_block(first in any::<[u8; 32]>(), second in any::<[u8; 32]>()) {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(first.into_iter().chain(second)).for_each(|(to, byte)| *to = byte);
        check(&block);
    }
}
