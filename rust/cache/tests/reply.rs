//! Replies come back as they were kept, and whatever else is read is no reply or one that makes sense.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use edgeroute_cache::{Body, Head, Quantised, Reply, SemanticKey};
use edgeroute_wire::{Dialect, Usage};
use proptest::prelude::*;

type Written = (usize, Vec<u8>, Option<(u64, u64, u64)>, Option<Vec<(u32, Vec<u8>)>>, Vec<u8>);

fn written() -> impl Strategy<Value = Written> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let usage = (0..u64::MAX, any::<u64>(), any::<u64>());
    let pieces = prop::collection::vec((any::<u32>(), bytes(20)), 0..10);
    (0..Dialect::ALL.len(), bytes(256), prop::option::of(usage), prop::option::of(pieces), bytes(100))
}

fn vector() -> impl Strategy<Value = Option<Arc<Quantised>>> {
    let components = prop::collection::vec(-127_i8..=127, 1..50);
    prop::option::of(components.prop_filter_map("it has no direction", Quantised::of).prop_map(Arc::new))
}

fn with<T>(written: &Written, then: impl FnOnce(Reply<'_>) -> T) -> T {
    let (dialect, content_type, usage, pieces, body) = written;
    let usage = usage.map(|(input, output, cached_input)| Usage { input, output, cached_input });
    let body = match pieces {
        Some(pieces) => Body::Stream {
            events: &pieces.iter().flat_map(|(_, events)| events.clone()).collect::<Vec<_>>(),
            pieces: pieces.iter().map(|(at, events)| (*at, events.len() as u32)).collect(),
        },
        None => Body::Whole(body),
    };
    then(Reply { dialect: Dialect::ALL[*dialect], content_type, usage, body })
}

proptest! {
    #[test]
    fn what_was_kept_comes_back(written in written()) {
        with(&written, |reply| {
            let bytes = reply.encode();
            let again = Reply::decode(&bytes).unwrap();
            assert_eq!(again, reply);
            let kept: Vec<_> = again.body.pieces().map(|piece| (piece.at_ms, piece.events.to_vec())).collect();
            assert_eq!(kept, written.3.clone().unwrap_or_default());
        });
    }

    /// Of a stream, each length is checked against what is there.
    #[test]
    fn half_an_reply_is_none_where_that_shows(written in written(), end in any::<prop::sample::Index>()) {
        with(&written, |reply| {
            let bytes = reply.encode();
            let half = &bytes[..end.index(bytes.len())];
            let fixed = 2 + 3 * 8 + 1 + 1 + reply.content_type.len();
            let is_stream = matches!(reply.body, Body::Stream { .. });
            assert!(Reply::decode(half).is_none() || !is_stream && half.len() >= fixed);
        });
    }

    #[test]
    fn damaged_bytes_never_crash(written in written(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = with(&written, |reply| reply.encode());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(reply) = Reply::decode(&bytes) {
            assert!(reply.body.bytes().len() <= bytes.len());
            _ = reply.body.pieces().count();
        }
    }

    #[test]
    fn heads_come_back(check in any::<u128>(), meaning in prop::option::of((any::<u128>(), ".*", vector()))) {
        let meaning = meaning.map(|(partition, text, vector)| SemanticKey { partition, text: text.into(), vector });
        let dimensions = meaning.as_ref().and_then(|meaning| meaning.vector.as_ref()).map(|vector| vector.components().len());
        let (head, before) = (Head { check, meaning }, 33 + dimensions.map_or(0, |dimensions| 2 + dimensions));
        let bytes = head.encode();
        prop_assert_eq!(Head::decode(&bytes), Some(head));
        for end in 0..bytes.len().min(before) {
            let cut = Head::decode(&bytes[..end]);
            let is_exact = end == 17 && dimensions.is_none();
            prop_assert!(cut.is_none() || is_exact && cut.is_some_and(|head| head.meaning.is_none()));
        }
        prop_assert_eq!(Head::decode(&[&[3], &bytes[1..]].concat()), None, "another version");
    }

    #[test]
    fn random_bytes_never_crash(mut bytes in prop::collection::vec(any::<u8>(), 0..200), begins_well in any::<bool>()) {
        if begins_well && bytes.len() > 3 {
            let version = 1 + bytes[0] % 2;
            bytes[..3].copy_from_slice(&[version, 1, 1]);
        }
        _ = Reply::decode(&bytes);
        _ = Head::decode(&bytes);
    }
}

#[test]
fn a_number_of_pieces_that_nobody_has_takes_no_memory() {
    let mut bytes = vec![1, 1, 1];
    bytes.extend([0; 25]);
    bytes.extend(u32::MAX.to_le_bytes());
    assert_eq!(Reply::decode(&bytes), None);
}

#[test]
fn other_versions_and_dialects_are_no_replies() {
    let reply =
        Reply { dialect: Dialect::OpenAiChat, content_type: b"a", usage: None, body: Body::Whole(b"{}") };
    let bytes = reply.encode();
    for (at, byte) in [(0, 0), (0, 2), (1, 0), (1, 4), (2, 2)] {
        let mut other = bytes.clone();
        other[at] = byte;
        assert_eq!(Reply::decode(&other), None, "byte {at} is {byte}");
    }
}
