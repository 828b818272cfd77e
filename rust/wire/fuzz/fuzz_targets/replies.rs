//! Replies say the same however their events are cut, and vectors that are read are written alike.
#![no_main]

use edgeroute_wire::Operation;
use edgeroute_wire::embeddings::{input, read, texts};
use edgeroute_wire::finish::{Finish, Finishing, of_reply};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|given: (u8, u8, &[u8])| {
    let (choice, count, bytes) = given;
    let operation = Operation::ALL[usize::from(choice) % Operation::ALL.len()];
    _ = of_reply(operation, bytes);
    let mut whole = Finishing::new(operation);
    whole.feed(bytes);
    if whole.finish() == Finish::Whole {
        let mut twice = Finishing::new(operation);
        twice.feed(bytes);
        twice.feed(bytes);
        assert_eq!(twice.finish(), Finish::Whole);
    }
    if let Some(embeddings) = read(bytes, usize::from(count)) {
        let written = embeddings.write();
        assert_eq!(read(&written, usize::from(count)).as_ref(), Some(&embeddings));
    }
    if let Some(found) = texts(bytes) {
        let again = input(found.iter().copied());
        assert_eq!(texts(&again), Some(found));
    }
});
