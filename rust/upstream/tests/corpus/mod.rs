//! Responses of every kind that a provider, or something before it, might send, and what hyper 1 makes of them.
#![allow(dead_code, unreachable_pub)]

/// Larger inputs are not cut everywhere.
pub const LARGE: usize = 2_048;

pub struct Entry {
    pub input: Vec<u8>,
    pub hyper: Hyper,
}

/// What hyper does, beside our reader.
#[derive(Debug, Clone, Copy)]
pub enum Hyper {
    /// The same: it accepts and reads the same, or refuses, or finds the response cut.
    Agrees,
    /// It accepts what we refuse, for this reason.
    Accepts(&'static str),
    /// It waits for more of what we refuse already, for this reason.
    WantsMore(&'static str),
}

use Hyper::{Accepts, Agrees, WantsMore};

const LINE_ENDS: &str = "a bare LF or CR is where readers of HTTP differ, so where responses are smuggled";
const TWO_FRAMINGS: &str = "whoever else reads this message may take the other framing";
const UNASKED: &str = "bytes after the end would answer somebody else's request";
const NOT_OURS: &str = "nobody asked for this, so the peer is not what we think it is";
const BOUNDED: &str = "what is thrown away, or kept for one head, has a bound";

pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |hyper: Hyper, input: &str| entries.push(Entry { input: input.as_bytes().to_vec(), hyper });
    let ok = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
    let chunked = |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");

    // Content-Length
    for headers in [
        "content-length: 2\r\n",
        "Content-LENGTH:2\r\nx: y\r\n",
        "content-length: \t 2 \t\r\nconnection: close\r\n",
        "content-length: 002\r\n",
        "content-length: 2\r\nConnection: X-Hop, close\r\nx-hop: 1\r\n",
        "content-length: 2\r\nset-cookie: a\r\nSet-Cookie: b\r\nx-empty:\r\n",
        "content-length: 2\r\nx-latin: caf\u{e9}\r\nx-tab: a\tb\r\n",
        "content-length: 2\r\ncontent-type: text/event-stream\r\n",
    ] {
        add(Agrees, &(ok(headers) + "hi"));
    }
    add(Agrees, &ok("content-length: 0\r\n"));
    add(Agrees, &(ok("content-length: 3\r\n") + "hi"));
    add(Agrees, &(ok("content-length: 9223372036854775807\r\n") + "hi"));
    for length in ["+5", "-5", "5 5", "0x5", "5.0", "five", "18446744073709551616"] {
        add(Agrees, &(ok(&format!("content-length: {length}\r\n")) + "12345"));
    }
    add(Accepts(TWO_FRAMINGS), &(ok("content-length: 2\r\ncontent-length: 2\r\n") + "hi"));
    add(Accepts(TWO_FRAMINGS), &(ok("content-length: 2, 2\r\n") + "hi"));
    add(Agrees, &(ok("content-length: 2\r\ncontent-length: 3\r\n") + "hi!"));
    add(Agrees, &(ok("content-length: 2, 3\r\n") + "hi!"));

    // Chunked
    for body in [
        "2\r\nhi\r\n0\r\n\r\n",
        "a\r\n0123456789\r\n1\r\n!\r\n00\r\n\r\n",
        "A;name=value;x=\"y\"\r\n0123456789\r\n0;end\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "0\r\nx-trailer: 1\r\ny: 2\r\n\r\n",
        "000000000000002\r\nhi\r\n0\r\n\r\n",
        "2\r\nhi\r\n",
        "2\r\nhi\r\n0\r\n",
        "2\r\nhi\r\n0\r\nx: y\r\n",
        "0\r\nHTTP/1.1 200 OK\r\n\r\n",
        "0\r\nx y: z\r\n\r\n",
        "5\r\nhi",
        "2;a",
        "2\r",
        "",
        "2\r\nhi0\r\n\r\n",
        "2\r\nhi\n0\r\n\r\n",
        "2\r\nhi\r0",
        "+2\r\nhi\r\n0\r\n\r\n",
        "-2\r\nhi\r\n0\r\n\r\n",
        "0x2\r\nhi\r\n0\r\n\r\n",
        "g\r\nhi\r\n0\r\n\r\n",
        "\r\nhi\r\n0\r\n\r\n",
        ";a\r\nhi\r\n0\r\n\r\n",
        "ffffffffffffffff1\r\nhi",
        "2;a\nhi\r\n0\r\n\r\n",
        "2\rhi\r\n0\r\n\r\n",
    ] {
        add(Agrees, &chunked(body));
    }
    add(Agrees, "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\nTrailer: x\r\n\r\n0\r\nx: y\r\n\r\n");
    add(
        Accepts(TWO_FRAMINGS),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    );
    add(
        Accepts(TWO_FRAMINGS),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );

    // Until the connection closes
    add(Agrees, &(ok("") + "all of it\r\n\r\n"));
    add(Agrees, &ok("connection: keep-alive\r\n"));
    add(Agrees, "HTTP/1.0 200 OK\r\n\r\nold");
    add(Agrees, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi");

    // Statuses
    for head in
        ["204 No Content", "304 Not Modified", "304 -\r\ncontent-length: 9", "529 Over", "200", "200 "]
    {
        add(Agrees, &format!("HTTP/1.1 {head}\r\n\r\n"));
    }
    add(Agrees, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 -\r\n\r\n");
    add(
        Agrees,
        "HTTP/1.1 100 -\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 -\r\n\r\nhi",
    );
    add(Agrees, "HTTP/1.1 100 Continue\r\n\r\n");
    for status in ["20 OK", "2x0 OK", "2000 OK", " 200 OK", "099 OK"] {
        add(Agrees, &format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    }

    // Lines and names
    for headers in [
        " a: b\r\n",
        "a : b\r\n",
        "a b: c\r\n",
        ": b\r\n",
        "no colon\r\n",
        "a: b\0c\r\n",
        "a: \u{1}\r\n",
        "a: b\r\n folded\r\n",
        "a: b\r\n\tfolded\r\n",
        "a: b\rc\r\n",
        "caf\u{e9}: b\r\n",
    ] {
        add(Agrees, &ok(headers));
    }
    for beginning in
        ["<html>502 Bad Gateway</html>\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n\r\n"]
    {
        add(Agrees, beginning);
    }
    for version in ["HTTP/1.2", "HTTP/2", "HTTP/1.", "HTTP/11", "HTTP/3.0"] {
        add(Agrees, &format!("{version} 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }
    for incomplete in [
        "",
        "H",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n",
        "HTTP/1.1 200 OK\r\n\r",
    ] {
        add(Agrees, incomplete);
    }
    add(Accepts(LINE_ENDS), "HTTP/1.1 200 OK\ncontent-length: 0\n\n");
    add(Accepts(LINE_ENDS), "HTTP/1.1 200 OK\r\ncontent-length: 0\n\r\n");
    add(Accepts(LINE_ENDS), "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");

    // What nobody asked for
    add(Accepts(UNASKED), &(ok("content-length: 2\r\n") + "hi!"));
    add(Accepts(UNASKED), &(ok("content-length: 0\r\n") + "\r\n"));
    add(Accepts(UNASKED), &(chunked("0\r\n\r\n") + &ok("")));
    add(Accepts(UNASKED), "HTTP/1.1 204 -\r\ncontent-length: 2\r\n\r\nhi");
    add(Accepts(NOT_OURS), "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n");
    add(Accepts(NOT_OURS), "HTTP/1.1 600 Strange\r\ncontent-length: 0\r\n\r\n");

    // Large heads and bodies
    let padded =
        |size: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: {}\r\n\r\nhi", "y".repeat(size));
    add(Agrees, &padded(60_000));
    add(Accepts(BOUNDED), &padded(70_000));
    let many = |count: usize| ok(&("a: b\r\n".repeat(count) + "content-length: 0\r\n"));
    add(Agrees, &many(127));
    add(Agrees, &many(128));
    add(Agrees, &(ok("content-length: 200000\r\n") + &"x".repeat(200_000)));
    add(Agrees, &chunked(&format!("30d40\r\n{}\r\n0\r\n\r\n", "x".repeat(200_000))));
    add(Agrees, &chunked(&format!("0\r\na: {}\r\n\r\n", "b".repeat(10_000))));
    add(Accepts(BOUNDED), &("HTTP/1.1 103 -\r\n\r\n".repeat(9) + &ok("content-length: 0\r\n")));
    add(WantsMore(BOUNDED), &chunked("0000000000000002\r\n"));
    entries
}
