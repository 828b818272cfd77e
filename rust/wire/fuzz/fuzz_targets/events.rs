//! A stream means the same however it is cut, and what passes is what came.
#![no_main]

use edgeroute_wire::{Dialect, EventStream, Remainder, Usage};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
struct Outcome {
    passed: Vec<u8>,
    usage: Option<Usage>,
    facts: (bool, bool, u64, u64),
    remainder: Remainder,
}

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (choice, sizes, bytes) = input;
    let dialect = Dialect::ALL[usize::from(choice >> 1) % Dialect::ALL.len()];
    let hide_usage = choice & 1 == 1;
    let whole = outcome(dialect, hide_usage, [bytes]);
    assert_eq!(outcome(dialect, hide_usage, bytes.chunks(1)), whole);
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, after) = rest.split_at(usize::from(size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    assert_eq!(outcome(dialect, hide_usage, pieces), whole);
    if !hide_usage {
        let held = match whole.remainder {
            Remainder::Nothing => 0,
            Remainder::Partial(held) => held,
        };
        assert_eq!(whole.passed, bytes[..bytes.len() - held]);
    }
});

fn outcome<'b>(dialect: Dialect, hide_usage: bool, pieces: impl IntoIterator<Item = &'b [u8]>) -> Outcome {
    let mut stream = EventStream::new(dialect, hide_usage);
    let mut passed = Vec::new();
    for piece in pieces {
        stream.feed(piece, &mut passed).expect("no event is that large");
    }
    let remainder = stream.finish();
    let facts = (stream.ended(), stream.failed(), stream.events(), stream.sequence_number());
    Outcome { passed, usage: stream.usage(), facts, remainder }
}
