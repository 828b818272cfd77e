//! The hashes that all processes and hosts must agree on. Changing one moves every key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The key of what should stay together: a session, a user, a prompt. Keys with different salts have nothing to do
/// with each other, so a salt per tenant keeps tenants from learning about each other by where they are sent.
///
/// XXH3 (Yann Collet), 64 bits, seeded with the salt.
pub fn key(salt: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, salt)
}

/// Two well-spread words made one, in this order: the product of 128 bits folded, as in wyhash (Wang Yi).
pub(crate) fn mix(first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ 0x9E37_79B9_7F4A_7C15) * u128::from(second ^ 0xD1B5_4A32_D192_ED03);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        // XXH3 as published; hosts with different versions of edgeroute must agree.
        assert_eq!(key(0, b""), 0x2D06_8005_38D3_94C2);
        assert_ne!(key(1, b"session"), key(2, b"session"));
        assert_ne!(mix(1, 2), mix(2, 1), "the order counts");
    }
}
