//! The chain of block hashes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use edgeroute_placement::{BLOCK_BYTES, MAX_BLOCKS, PromptBlocks, PromptHasher, TokensPerByte};
use proptest::prelude::*;

fn hash<'p>(salt: u64, pieces: impl IntoIterator<Item = &'p [u8]>) -> PromptBlocks {
    let mut hasher = PromptHasher::new(salt);
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finish()
}

proptest! {
    #[test]
    fn where_pieces_are_cut_makes_no_difference(
        text in prop::collection::vec(any::<u8>(), 0..3000),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
        let whole = hash(7, [&text[..]]);
        prop_assert_eq!(&hash(7, pieces), &whole);
        prop_assert_eq!(whole.chain().len(), text.len() / BLOCK_BYTES);
        prop_assert_eq!(whole.bytes(), text.len() as u64);
    }

    #[test]
    fn prompts_share_the_blocks_before_their_first_difference(
        text in prop::collection::vec(any::<u8>(), 1..3000),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(text.len());
        let mut other = text.clone();
        other[at] ^= 1;
        let (one, two) = (hash(0, [&text[..]]), hash(0, [&other[..]]));
        let shared = at / BLOCK_BYTES;
        for (block, (a, b)) in one.chain().iter().zip(two.chain()).enumerate() {
            prop_assert_eq!(a == b, block < shared, "block {}, difference in {}", block, shared);
        }
        prop_assert_ne!(one.tail(), two.tail());
    }
}

#[test]
fn the_same_block_elsewhere_is_another_block() {
    let text = [b'a'; 4 * BLOCK_BYTES];
    let mut chain = hash(0, [&text[..]]).chain().to_vec();
    chain.sort_unstable();
    chain.dedup();
    assert_eq!(chain.len(), 4);
    assert_ne!(hash(1, [&text[..]]).chain(), hash(2, [&text[..]]).chain(), "salts keep prompts apart");
}

#[test]
fn hashes_never_change() {
    // Hosts with different versions must agree: if this fails, every conversation moves.
    let text: Vec<u8> = (0..1000u32).map(|at| (at % 251) as u8).collect();
    let blocks = hash(42, [&text[..]]);
    assert_eq!((blocks.chain(), blocks.tail()), (&GOLDEN[..], GOLDEN_TAIL));
}

const GOLDEN: [u64; 3] = [10_263_942_302_694_416_736, 12_981_517_667_777_458_781, 12_722_526_365_829_827_528];
const GOLDEN_TAIL: u64 = 14_654_975_766_670_527_401;

#[test]
fn work_is_bounded_whatever_the_length() {
    let long = vec![b'x'; 10 << 20];
    for piece in [1000, BLOCK_BYTES, 10 << 20] {
        let blocks = hash(0, long.chunks(piece));
        assert_eq!((blocks.chain().len(), blocks.bytes()), (MAX_BLOCKS, 10 << 20));
        assert_eq!(blocks, hash(0, [&long[..]]));
    }
    let empty = hash(0, []);
    assert_eq!((empty.chain().len(), empty.bytes()), (0, 0));
    assert_eq!(empty.prompt(TokensPerByte::default()).tokens, 0.0);
}

#[test]
fn ids_make_a_chain_too() {
    let (one, two) = (PromptBlocks::from_ids(0, &[1, 2, 3]), PromptBlocks::from_ids(0, &[1, 2, 4]));
    assert_eq!(one.chain()[..2], two.chain()[..2]);
    assert_ne!(one.chain()[2], two.chain()[2]);
    assert_ne!(one.tail(), two.tail());
}
