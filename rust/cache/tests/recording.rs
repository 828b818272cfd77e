//! Readers of a recording that is still being made: each sees everything once and in order, whatever the others do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use edgeroute_cache::{Piece, Progress, Reader, Recording};
use proptest::prelude::*;

const ALL: usize = usize::MAX;
const NOW: u32 = u32::MAX;

fn piece(events: &[u8]) -> Piece {
    Piece::new(0, events)
}

fn read(recording: &mut Recording, reader: &Reader) -> (Progress, Vec<u8>) {
    let mut out = Vec::new();
    (recording.read(reader, NOW, ALL, &mut out), out)
}

#[test]
fn each_reads_at_its_own_pace() {
    let mut recording = Recording::new(100);
    let first = recording.join().unwrap();
    assert_eq!(read(&mut recording, &first), (Progress::Nothing, vec![]));
    recording.push(piece(b"one "));
    assert_eq!(read(&mut recording, &first), (Progress::Read, b"one ".to_vec()));
    recording.push(piece(b"two "));
    let late = recording.join().unwrap();
    assert_eq!(read(&mut recording, &late), (Progress::Read, b"one two ".to_vec()));
    assert_eq!(read(&mut recording, &late), (Progress::Nothing, vec![]));
    recording.push(piece(b"three"));
    recording.end();
    recording.push(piece(b"too late"));
    for (reader, left) in [(first, "two three"), (late, "three")] {
        assert_eq!(read(&mut recording, &reader), (Progress::Read, left.into()));
        assert_eq!(read(&mut recording, &reader), (Progress::End, vec![]));
        recording.leave(reader);
    }
    assert_eq!(recording.readers(), 0);
}

#[test]
fn a_reader_takes_no_more_than_it_wants() {
    let mut recording = Recording::finished([piece(b"12"), piece(b"34"), piece(b"56")]);
    let reader = recording.join().unwrap();
    let mut out = Vec::new();
    assert_eq!(recording.read(&reader, NOW, 3, &mut out), Progress::Read);
    assert_eq!(out, b"1234", "pieces are whole");
    assert_eq!(recording.read(&reader, NOW, 3, &mut out), Progress::Read);
    assert_eq!(out, b"123456");
    assert_eq!(recording.read(&reader, NOW, 3, &mut out), Progress::End);
}

#[test]
fn what_is_for_later_is_told_with_its_time() {
    let pieces = [(0, "a"), (5, "b"), (5, "c"), (900, "d")];
    let mut recording = Recording::finished(pieces.map(|(at, text)| Piece::new(at, text.as_bytes())));
    let reader = recording.join().unwrap();
    let mut out = Vec::new();
    for (until, expected, so_far) in [
        (0, Progress::Read, "a"),
        (4, Progress::Later(5), "a"),
        (5, Progress::Read, "abc"),
        (899, Progress::Later(900), "abc"),
        (2_000, Progress::Read, "abcd"),
        (2_000, Progress::End, "abcd"),
    ] {
        assert_eq!(recording.read(&reader, until, ALL, &mut out), expected, "at {until}");
        assert_eq!(out, so_far.as_bytes());
    }
}

#[test]
fn nobody_joins_what_has_lost_its_beginning() {
    let mut recording = Recording::new(4);
    let reader = recording.join().unwrap();
    recording.push(piece(b"1234"));
    let second = recording.join().unwrap();
    recording.push(piece(b"5"));
    assert!(recording.join().is_none(), "it goes with the next read");
    assert!(recording.is_full(), "nobody has read what may be kept at most");
    assert!(recording.is_whole());
    assert_eq!(read(&mut recording, &reader).1, b"12345");
    assert!(recording.is_full(), "the second one holds it back");
    recording.leave(second);
    assert!(!recording.is_full());
    assert!(!recording.is_whole() && recording.pieces().is_none());
    assert!(recording.join().is_none());
    recording.push(piece(b"67"));
    assert_eq!(read(&mut recording, &reader).1, b"67");
    assert_eq!(recording.size(), 7);
}

#[test]
fn a_reader_far_behind_holds_back_only_itself() {
    const HALF: usize = 200 << 10;
    let mut recording = Recording::new(1 << 20);
    let (fast, slow) = (recording.join().unwrap(), recording.join().unwrap());
    recording.push(piece(&[0; HALF]));
    assert!(!recording.is_full());
    recording.push(piece(&[0; HALF]));
    assert!(recording.is_full(), "both are behind by more than waits for a single client");
    assert_eq!(read(&mut recording, &fast).1.len(), 2 * HALF);
    assert!(!recording.is_full());
    for _ in 0..4 {
        recording.push(piece(&[0; HALF]));
        read(&mut recording, &fast);
    }
    assert!(recording.is_full(), "the slow one would make it larger than it may be");
    assert_eq!(read(&mut recording, &slow).1.len(), 6 * HALF);
    assert!(!recording.is_full());
}

/// What a reader of the naive twin knows: where it is in all that was ever said.
struct Twin {
    reader: Reader,
    at: usize,
}

#[derive(Debug, Clone)]
enum Act {
    Push(usize),
    Join,
    Read(prop::sample::Index, usize),
    Leave(prop::sample::Index),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..9_usize).prop_map(Act::Push),
        2 => Just(Act::Join),
        5 => (any::<prop::sample::Index>(), 1..30_usize).prop_map(|(who, most)| Act::Read(who, most)),
        1 => any::<prop::sample::Index>().prop_map(Act::Leave),
    ]
}

proptest! {
    /// The twin keeps everything. What is kept here is bounded by what the slowest reader has not read.
    #[test]
    fn as_the_naive_twin(acts in prop::collection::vec(act(), 0..60), most in 0..40_usize) {
        let mut recording = Recording::new(most);
        let (mut said, mut twins) = (Vec::<u8>::new(), Vec::<Twin>::new());
        for act in acts {
            match act {
                Act::Push(length) => {
                    let events: Vec<u8> = (said.len()..said.len() + length).map(|at| at as u8).collect();
                    recording.push(piece(&events));
                    said.extend(events);
                }
                Act::Join => match recording.join() {
                    Some(reader) => twins.push(Twin { reader, at: 0 }),
                    None => prop_assert!(said.len() > most),
                },
                Act::Read(who, most) if !twins.is_empty() => {
                    let twin = who.get(&twins);
                    let mut out = Vec::new();
                    let progress = recording.read(&twin.reader, NOW, most, &mut out);
                    prop_assert_eq!(progress == Progress::Nothing, twin.at == said.len());
                    prop_assert_eq!(&out[..], &said[twin.at..twin.at + out.len()]);
                    let at = twin.at + out.len();
                    let index = who.index(twins.len());
                    twins[index].at = at;
                }
                Act::Leave(who) if !twins.is_empty() => {
                    recording.leave(twins.swap_remove(who.index(twins.len())).reader);
                }
                Act::Read(..) | Act::Leave(_) => {}
            }
            prop_assert_eq!(recording.readers(), twins.len());
            prop_assert_eq!(recording.size(), said.len() as u64);
            let unread = twins.iter().map(|twin| said.len() - twin.at).max();
            prop_assert_eq!(recording.is_full(), unread.is_some_and(|unread| unread > most));
            if let Some(pieces) = recording.pieces() {
                prop_assert_eq!(pieces.flat_map(|piece| piece.events.to_vec()).collect::<Vec<_>>(), said.clone());
            }
        }
        recording.end();
        for Twin { reader, at } in &twins {
            let (progress, out) = read(&mut recording, reader);
            prop_assert_eq!(progress == Progress::End, out.is_empty());
            prop_assert_eq!(&out[..], &said[*at..]);
        }
    }
}
