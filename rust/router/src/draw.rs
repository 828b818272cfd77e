//! Draws that depend on a name and an identity, the same on every host and in every version.

use sha2::{Digest, Sha256};

/// Sixty-four bits of a draw. Draws of different names are apart from each other.
pub(crate) fn hash(name: &str, identity: &[u8]) -> u64 {
    let digest = Sha256::new().chain_update(name).chain_update([0]).chain_update(identity).finalize();
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Which of a hundred equal parts an identity is in.
pub(crate) fn bucket(name: &str, identity: &[u8]) -> i64 {
    (hash(name, identity) % 100) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_never_change() {
        // printf 'a\0user-1' | sha256sum
        assert_eq!(hash("a", b"user-1"), 0x2758_62f4_cb54_87c7);
        assert_eq!(bucket("a", b"user-1"), 0x2758_62f4_cb54_87c7_i64 % 100);
    }

    #[test]
    fn buckets_are_equal_and_apart() {
        let users: Vec<String> = (0..50_000).map(|n| format!("user-{n}")).collect();
        let mut counts = [0; 100];
        for user in &users {
            counts[bucket("rollout", user.as_bytes()) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (380..620).contains(count)), "{counts:?}");
        let same =
            users.iter().filter(|user| bucket("a", user.as_bytes()) == bucket("b", user.as_bytes())).count();
        assert!((400..600).contains(&same), "{same}");
    }
}
