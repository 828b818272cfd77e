//! Any bytes are a response or not, and always the same one: whole, byte by byte, in random pieces, and with the body
//! read past `feed`. So are answers to a CONNECT.
#![no_main]

use edgeroute_upstream::{Head, Malformed, Reader};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq)]
struct Seen {
    head: Option<Head>,
    body: Vec<u8>,
    complete: bool,
    reusable: bool,
}

fuzz_target!(|input: &[u8]| {
    let random: Vec<&[u8]> = pieces(input);
    for connect in [false, true] {
        let read = |pieces: &[&[u8]], direct| read(connect, pieces, direct);
        let whole = read(&[input], false);
        assert_eq!(whole, read(&input.chunks(1).collect::<Vec<_>>(), false));
        assert_eq!(whole, read(&random, false));
        assert_eq!(whole, read(&[input], true));
        assert_eq!(whole, read(&random, true));
        if let Ok(Seen { head: Some(head), body, .. }) = whole {
            assert!((200..600).contains(&head.status()) && body.len() < input.len());
            assert!(head.iter().all(|(name, _)| !name.is_empty() && name.to_ascii_lowercase() == name));
        }
    }
});

/// Cut by a generator that the input seeds (FNV-1a, then xorshift).
fn pieces(mut input: &[u8]) -> Vec<&[u8]> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in input {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    let mut pieces = Vec::new();
    while !input.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (piece, rest) = input.split_at(input.len().min(1 + (state % 64) as usize));
        pieces.push(piece);
        input = rest;
    }
    pieces
}

/// `direct`: as a client reads bodies whose length is known.
fn read(connect: bool, pieces: &[&[u8]], direct: bool) -> Result<Seen, Malformed> {
    let mut reader = if connect { Reader::of_connect() } else { Reader::default() };
    for mut piece in pieces.iter().copied() {
        while direct && !piece.is_empty() {
            let append = |body: &mut Vec<u8>| {
                let (now, later) = piece.split_at(piece.len().min(body.capacity() - body.len()));
                body.extend_from_slice(now);
                later
            };
            let Some(later) = reader.read_counted(append) else { break };
            piece = later?;
        }
        reader.feed(piece)?;
    }
    let reusable = reader.is_reusable();
    let complete = reader.end_of_input();
    Ok(Seen { head: reader.take_head(), body: reader.take_body(), complete, reusable })
}
