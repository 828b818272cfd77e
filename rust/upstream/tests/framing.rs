//! The response reader: a table of everything a provider can send, read whole and in pieces, and properties.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use edgeroute_upstream::{Head, Malformed, Reader};
use proptest::prelude::*;

#[derive(Debug, PartialEq)]
struct Seen {
    head: Option<Head>,
    body: Vec<u8>,
    complete: bool,
    reusable: bool,
}

/// Feeds the pieces and closes cleanly after them.
fn read(pieces: &[&[u8]]) -> Result<Seen, Malformed> {
    let mut reader = Reader::default();
    for piece in pieces {
        reader.feed(piece)?;
    }
    let reusable = reader.is_reusable();
    let complete = reader.end_of_input();
    Ok(Seen { head: reader.take_head(), body: reader.take_body(), complete, reusable })
}

/// As a client reads bodies whose length is known.
fn read_directly(pieces: &[&[u8]]) -> Result<Seen, Malformed> {
    let mut reader = Reader::default();
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
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

/// Whole, byte by byte, and in every cut into two parts: always the same.
fn read_every_way(input: &[u8]) -> Result<Seen, Malformed> {
    let whole = read(&[input]);
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(read(&bytes), whole, "byte by byte: {:?}", String::from_utf8_lossy(input));
    for cut in 0..=input.len() {
        let (first, second) = input.split_at(cut);
        assert_eq!(read(&[first, second]), whole, "cut at {cut}: {:?}", String::from_utf8_lossy(input));
    }
    whole
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum End {
    /// Ended by its framing; the connection can be used again.
    Reusable,
    /// Ended, by its framing or by closing; the connection must be closed.
    Close,
    /// Closing now would cut it.
    Cut,
}

#[test]
fn accepts() {
    let check = |input: &str, status: u16, body: &str, end: End| {
        let seen = read_every_way(input.as_bytes()).unwrap_or_else(|error| panic!("{input:?}: {error}"));
        let found = match (seen.complete, seen.reusable) {
            (true, true) => End::Reusable,
            (true, false) => End::Close,
            (false, _) => End::Cut,
        };
        let head = seen.head.map(|head| head.status()).unwrap_or(0);
        assert_eq!(
            (head, String::from_utf8_lossy(&seen.body).as_ref(), found),
            (status, body, end),
            "{input:?}"
        );
    };
    // Content-Length
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, "hi", End::Reusable);
    check("HTTP/1.1 200 OK\r\nContent-LENGTH:2\r\n\r\nhi", 200, "hi", End::Reusable);
    check("HTTP/1.1 200 OK\r\ncontent-length: \t 2 \t\r\n\r\nhi", 200, "hi", End::Reusable);
    check("HTTP/1.1 200 OK\r\ncontent-length: 002\r\n\r\nhi", 200, "hi", End::Reusable);
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, "", End::Reusable);
    check("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi", 200, "hi", End::Cut);
    check("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, "", End::Reusable);
    check("HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", 200, "", End::Reusable);
    check("HTTP/1.1 529 Overloaded \u{e9}\r\ncontent-length: 0\r\n\r\n", 529, "", End::Reusable);
    check("HTTP/1.1 200 OK\r\nx-empty:\r\ncontent-length: 0\r\n\r\n", 200, "", End::Reusable);
    // Connection and version
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi", 200, "hi", End::Close);
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nConnection: x, CLOSE\r\n\r\nhi", 200, "hi", End::Close);
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi",
        200,
        "hi",
        End::Reusable,
    );
    check("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", 200, "hi", End::Close);
    check("HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi", 200, "hi", End::Close);
    // Until close
    check("HTTP/1.1 200 OK\r\n\r\nall of it\r\n\r\n", 200, "all of it\r\n\r\n", End::Close);
    check("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n", 200, "", End::Close);
    // Chunked
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    check(&chunked("2\r\nhi\r\n0\r\n\r\n"), 200, "hi", End::Reusable);
    check(&chunked("a\r\n0123456789\r\n1\r\n!\r\n00\r\n\r\n"), 200, "0123456789!", End::Reusable);
    check(&chunked("A;name=value;x=\"y\"\r\n0123456789\r\n0;end\r\n\r\n"), 200, "0123456789", End::Reusable);
    check(&chunked("2\r\n\r\n\r\n0\r\n\r\n"), 200, "\r\n", End::Reusable);
    check(&chunked("0\r\nx-trailer: 1\r\ny: 2\r\n\r\n"), 200, "", End::Reusable);
    check(&chunked("000000000000002\r\nhi\r\n0\r\n\r\n"), 200, "hi", End::Reusable);
    check(&chunked("2\r\nhi\r\n"), 200, "hi", End::Cut);
    check(&chunked("2\r\nhi\r\n0\r\n"), 200, "hi", End::Cut);
    check(&chunked("5\r\nhi"), 200, "hi", End::Cut);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", 200, "", End::Reusable);
    // No body by status
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, "", End::Reusable);
    check("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, "", End::Reusable);
    // Interim responses
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 -\r\n\r\n", 204, "", End::Reusable);
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(8);
    check(&format!("{early}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"), 200, "hi", End::Reusable);
    // Incomplete heads
    for input in ["", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\na: b\r\n", "HTTP/1.1 100 -\r\n\r\n"] {
        check(input, 0, "", End::Cut);
    }
}

#[test]
fn refuses() {
    let check = |input: &str, reason: &str| {
        assert_eq!(read_every_way(input.as_bytes()), Err(Malformed(leak(reason))), "{input:?}");
    };
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
    // Two framings, or a malformed one
    check(
        &head("content-length: 2\r\ntransfer-encoding: chunked"),
        "both content-length and transfer-encoding",
    );
    check(
        &head("transfer-encoding: chunked\r\ncontent-length: 2"),
        "both content-length and transfer-encoding",
    );
    check(&head("content-length: 2\r\ncontent-length: 3"), "content-length appears twice");
    check(&head("content-length: 2\r\nContent-Length: 2"), "content-length appears twice");
    for value in ["+5", "-5", "5, 5", "5 5", "0x5", "5.0", "", "five", "18446744073709551616"] {
        check(&head(&format!("content-length: {value}")), "content-length is not a number");
    }
    for value in ["gzip", "gzip, chunked", "chunked, chunked", "identity", "", "\"chunked\"", "xchunked"] {
        check(&head(&format!("transfer-encoding: {value}")), "transfer-encoding is not `chunked`");
    }
    let twice = "transfer-encoding: chunked\r\ntransfer-encoding: chunked";
    check(&head(twice), "transfer-encoding appears twice");
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    check(old, "transfer-encoding in an HTTP/1.0 response");
    // Chunks
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    for size in ["\r\n", "+2\r\n", "-2\r\n", " 2\r\n", "2 \r\n", "0x2\r\n", ";a\r\n", "g\r\n", "2\n"] {
        check(&chunked(size), "a chunk size is not a hexadecimal number");
    }
    check(&chunked("0000000000000002\r\n"), "a chunk size has more than 15 digits");
    check(&chunked("ffffffffffffffff1\r\n"), "a chunk size has more than 15 digits");
    check(&chunked("2\rhi"), "a chunk does not end with CRLF");
    check(&chunked("2\r\nhi0\r\n\r\n"), "a chunk does not end with CRLF");
    check(&chunked("2\r\nhi\n0\r\n\r\n"), "a chunk does not end with CRLF");
    check(&chunked("2\r\nhi\r0"), "a chunk does not end with CRLF");
    check(&chunked("2;a\nhi"), "a line ends without CR");
    check(&chunked("2;a\rb\r\n"), "a chunk does not end with CRLF");
    check(&chunked("0\r\na: b\n\r\n"), "a line ends without CR");
    check(&chunked("0\r\na: b\rc\r\n\r\n"), "a CR without LF");
    check(&chunked("0\r\nHTTP/1.1 200 OK\r\n\r\n"), "a header name is malformed");
    check(&chunked("0\r\na: b\0\r\n\r\n"), "a header value is malformed");
    check(&chunked(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(129))), "more than 128 headers");
    // Unasked bytes
    let unasked = "bytes follow the end of the response";
    check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", unasked);
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n\r\n", unasked);
    check("HTTP/1.1 204 -\r\ncontent-length: 2\r\n\r\nhi", unasked);
    check(&chunked("0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), unasked);
    check(&chunked("0\r\na: b\r\n\r\n\r\n"), unasked);
    // Lines
    check("HTTP/1.1 200 OK\ncontent-length: 0\n\n", "a line ends without CR");
    check("HTTP/1.1 200 OK\r\na: b\n\r\n", "a line ends without CR");
    check("HTTP/1.1 200 OK\r\na: b\r\r\n\r\n", "a CR without LF");
    check("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", "a CR without LF");
    check(&head("a: b\r\n folded"), "a header name is malformed");
    check(&head("a: b\r\n\tfolded"), "a header name is malformed");
    check(&head(" a: b"), "a header name is malformed");
    check(&head("a : b"), "a header name is malformed");
    check(&head("a b: c"), "a header name is malformed");
    check(&head(": b"), "a header name is malformed");
    check(&head("no colon"), "a header name is malformed");
    check(&head("a: b\0c"), "a header value is malformed");
    check(&head("a: \u{1}"), "a header value is malformed");
    // Status line
    let beginning = "the response does not begin with HTTP/1.";
    for input in
        ["\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "<html>", "HTTP/2 200\r\n\r\n", "http/1.1 200 OK\r\n\r\n"]
    {
        check(input, beginning);
    }
    check("HTTP/1.2 200 OK\r\n\r\n", "the version is not HTTP/1.0 or HTTP/1.1");
    check("HTTP/1.1 20 OK\r\n\r\n", "the status is malformed");
    check("HTTP/1.1 2x0 OK\r\n\r\n", "the status is malformed");
    check("HTTP/1.1 600 OK\r\n\r\n", "the status is not between 100 and 599");
    check("HTTP/1.1 099 OK\r\n\r\n", "the status is not between 100 and 599");
    // Interim responses
    check("HTTP/1.1 101 Switching\r\n\r\n", "the protocol was switched unasked");
    check("HTTP/1.1 100 -\r\ncontent-length: 2\r\n\r\nhi", "a 1xx response announces a body");
    check(&"HTTP/1.1 100 -\r\n\r\n".repeat(9), "too many 1xx responses");
}

#[test]
fn bounds_what_it_keeps_and_skips() {
    let check = |input: Vec<u8>, expected: Result<(), &str>| {
        let pieces: Vec<&[u8]> = input.chunks(7_919).collect();
        for pieces in [&pieces[..], &[&input[..]]] {
            let found = read(pieces).map(|_| ());
            assert_eq!(found, expected.map_err(|reason| Malformed(leak(reason))), "{}", input.len());
        }
    };
    let padded = |total: usize| {
        let mut head = b"HTTP/1.1 204 -\r\nx: ".to_vec();
        head.resize(total - 4, b'y');
        head.extend_from_slice(b"\r\n\r\n");
        head
    };
    check(padded(64 * 1024), Ok(()));
    check(padded(64 * 1024 + 1), Err("the head is larger than 64 KiB"));
    let headers = |count: usize| format!("HTTP/1.1 204 -\r\n{}\r\n", "a: b\r\n".repeat(count)).into_bytes();
    check(headers(128), Ok(()));
    check(headers(129), Err("more than 128 headers"));
    let chunked =
        |body: String| format!("HTTP/1.1 200 -\r\ntransfer-encoding: chunked\r\n\r\n{body}").into_bytes();
    let too_much = Err("more than 16 KiB of chunk extensions and trailers");
    check(chunked(format!("0\r\na: {}\r\n\r\n", "b".repeat(16_000))), Ok(()));
    check(chunked(format!("0\r\na: {}\r\n\r\n", "b".repeat(17_000))), too_much);
    check(chunked(format!("1;{}\r\n!\r\n", "b".repeat(17_000))), too_much);
    check(chunked(format!("1;{}\r\n!\r\n", "b".repeat(100)).repeat(200)), too_much);
}

#[test]
fn a_huge_announced_length_reserves_little() {
    let mut reader = Reader::default();
    reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999999999\r\n\r\n").unwrap();
    assert_eq!(reader.expected_size(), 999_999_999_999_999_999);
    assert!(reader.take_body().capacity() <= 1 << 20);
    let mut reader = Reader::default();
    reader.feed(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 999999999999999999\r\n\r\n").unwrap();
    assert_eq!(reader.expected_size(), 0);
}

#[test]
fn hands_out_end_to_end_headers_in_lower_case() {
    let input = b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nX-Request-ID: a\xffB\r\n\
        Connection: close, X-Hop\r\nx-hop: 1\r\nKeep-Alive: timeout=5\r\nTrailer: t\r\nTE: t\r\nUpgrade: h2c\r\n\
        Proxy-Connection: x\r\nTransfer-Encoding: chunked\r\nx-empty: \r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n";
    let mut reader = Reader::default();
    reader.feed(input).unwrap();
    let head = reader.take_head().unwrap();
    let headers: Vec<(&str, &[u8])> = head.iter().collect();
    let expected: Vec<(&str, &[u8])> = vec![
        ("content-type", b"Text/Event-Stream; charset=utf-8"),
        ("x-request-id", b"a\xffB"),
        ("x-empty", b""),
        ("set-cookie", b"a"),
        ("set-cookie", b"b"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(head.header("x-request-id"), Some(&b"a\xffB"[..]));
    assert_eq!(head.header("set-cookie"), Some(&b"a"[..]));
    assert_eq!(head.header("x-hop"), None);
    assert!(head.is_event_stream());
}

#[test]
fn knows_event_streams_by_their_type() {
    let check = |content_type: &str, expected: bool| {
        let mut reader = Reader::default();
        reader.feed(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(reader.take_head().unwrap().is_event_stream(), expected, "{content_type}");
    };
    check("text/event-stream", true);
    check("TEXT/event-stream ;charset=UTF-8", true);
    check("text/event-streams", false);
    check("application/json; x=text/event-stream", false);
    check("", false);
}

fn leak(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// A valid response with its body, written the naive way.
fn response() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6);
    (chunks, 0..3_u8, 0..3_usize).prop_map(|(chunks, framing, interim)| {
        let body: Vec<u8> = chunks.concat();
        let mut wire = "HTTP/1.1 100 Continue\r\na: b\r\n\r\n".repeat(interim).into_bytes();
        wire.extend_from_slice(b"HTTP/1.1 200 OK\r\nX-Some: thing\r\n");
        match framing {
            0 => wire.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes().chain(body.clone())),
            1 => wire.extend(b"\r\n".iter().copied().chain(body.clone())),
            _ => {
                wire.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    wire.extend(format!("{:x};e\r\n", chunk.len()).bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                wire.extend_from_slice(b"0\r\nt: u\r\n\r\n");
            }
        }
        (wire, body)
    })
}

fn pieces<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    borders.extend([0, input.len()]);
    borders.sort_unstable();
    borders.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn valid_responses_are_read_the_same_however_cut(
        (wire, body) in response(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let seen = read(&pieces(&wire, &cuts)).unwrap();
        prop_assert!(seen.complete);
        prop_assert_eq!(&seen.body, &body);
        prop_assert_eq!(Ok(seen), read(&[&wire]));
    }

    /// The naive twin is `feed`.
    #[test]
    fn bodies_read_past_the_reader_are_the_same(
        (mut wire, _) in response(),
        more in prop::collection::vec(any::<u8>(), 0..2),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        wire.extend(more);
        let pieces = pieces(&wire, &cuts);
        prop_assert_eq!(read_directly(&pieces), read(&pieces));
    }

    #[test]
    fn damaged_responses_never_panic_and_are_judged_the_same_however_cut(
        (mut wire, _) in response(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        prop_assert_eq!(read(&pieces(&wire, &cuts)), read(&[&wire]));
    }

    #[test]
    fn garbage_never_panics(input in prop::collection::vec(any::<u8>(), 0..200), valid_beginning: bool) {
        let mut wire = if valid_beginning { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
        wire.extend(input);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        prop_assert_eq!(read(&bytes), read(&[&wire]));
    }
}
