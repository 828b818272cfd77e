//! TLS: trust, names, large bodies, truncation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::Write;
use std::sync::Arc;

use edgeroute_upstream::{Kind, Origin, Roots, Settings};
use support::tls::{Authority, TlsStream, https};
use support::*;

/// A server for `localhost` and an origin that trusts its authority.
fn serve(script: impl Fn(usize, TlsStream) + Send + Sync + 'static) -> (Server, Arc<Origin>) {
    let authority = Authority::new();
    let server = authority.serve(script);
    let origin = https("localhost", &server).trusting(authority.roots());
    (server, Arc::new(origin))
}

#[test]
fn exchanges_over_one_connection() {
    let (server, origin) = serve(|_, mut stream| {
        while let Some((head, body)) = read_request(&mut stream) {
            assert!(head.contains("\r\nhost: localhost:"));
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(stream.conn.server_name(), Some("localhost"));
            stream.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    for size in [0, 1, 70_000, 3_000_000, 1] {
        let body = "x".repeat(size);
        assert!(driver.exchange(&origin, body.clone()).text() == body, "{size}");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn streams_and_several_at_once() {
    let (_, origin) = serve(|_, mut stream| {
        let (_, body) = read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        for _ in 0..100 {
            stream.write_all(&body).unwrap();
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let mut driver = Driver::new(Settings::default());
    let ids: Vec<_> = (0..20).map(|n| driver.start(&origin, format!("event {n};"))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).text(), format!("event {n};").repeat(100));
    }
}

#[test]
fn an_end_without_close_notify_is_a_cut() {
    let (_, origin) = serve(|_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        stream.write_all(b"data: 1\n\n").unwrap();
    });
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&origin, "{}");
    let outcome = driver.finish(id);
    assert_eq!(outcome.body, b"data: 1\n\n");
    let error = outcome.error.unwrap();
    assert_eq!(error.kind, Kind::Cut);
}

#[test]
fn stale_connections_are_retried() {
    let (_, origin) = serve(|_, mut stream| {
        if read_request(&mut stream).is_some() {
            stream.write_all(&answer("once")).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    for _ in 0..30 {
        assert_eq!(driver.exchange(&origin, "{}").text(), "once");
    }
}

#[test]
fn strangers_are_refused() {
    let authority = Authority::new();
    let server = authority.serve(|_, mut stream| {
        assert!(read_request(&mut stream).is_none(), "a request was sent to a stranger");
    });
    let check = |origin: Origin, expected: &str| {
        let mut driver = Driver::new(Settings::default());
        let id = driver.start(&Arc::new(origin), "{}");
        let error = driver.fail(id);
        assert_eq!((error.kind, error.first_byte), (Kind::Tls, false));
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(https("127.0.0.1", &server).trusting(authority.roots()), "certificate not valid for name");
    check(https("localhost", &server), "invalid peer certificate: UnknownIssuer");
    check(https("localhost", &server).trusting(Authority::new().roots()), "invalid peer certificate: ");
}

#[test]
fn an_authority_is_trusted_only_by_the_origins_that_say_so() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let both = Roots::from_pem(&[ours.pem.as_str(), &theirs.pem].concat()).unwrap();
    let server = ours.serve(|number, mut stream| {
        while read_request(&mut stream).is_some() {
            stream.write_all(&answer(&number.to_string())).unwrap();
        }
    });
    let origin = |roots| Arc::new(https("localhost", &server).trusting(roots));
    let mut driver = Driver::new(Settings::default());
    assert_eq!(driver.exchange(&origin(ours.roots()), "").text(), "0");
    // An open connection, and a session that could be resumed, are no way around.
    for stranger in [Arc::new(https("localhost", &server)), origin(theirs.roots())] {
        let id = driver.start(&stranger, "");
        assert_eq!(driver.fail(id).kind, Kind::Tls);
    }
    // Another set of authorities has connections of its own, the same one read again does not.
    assert_eq!(driver.exchange(&origin(both), "").text(), "3");
    assert_eq!(driver.exchange(&origin(ours.roots()), "").text(), "0");
}

#[test]
fn at_a_given_address_the_name_is_still_who_it_must_be() {
    let authority = Authority::new();
    let server = authority.serve_as("gpu.invalid", |_, mut stream| {
        while let Some((head, _)) = read_request(&mut stream) {
            assert!(head.contains("\r\nhost: gpu.invalid:"));
            assert_eq!(stream.conn.server_name(), Some("gpu.invalid"));
            stream.write_all(&answer("found")).unwrap();
        }
    });
    let at_server = |host| https(host, &server).trusting(authority.roots()).at(server.address.ip());
    let mut driver = Driver::new(Settings::default());
    assert_eq!(driver.exchange(&Arc::new(at_server("gpu.invalid")), "").text(), "found");
    let id = driver.start(&Arc::new(at_server("other.invalid")), "");
    assert_eq!(driver.fail(id).kind, Kind::Tls);
}

#[test]
fn a_server_without_tls_is_told_apart() {
    let check = |reply: &'static [u8], expected: &str| {
        let server = Server::start(move |_, mut stream| {
            let mut hello = [0; 10];
            std::io::Read::read_exact(&mut stream, &mut hello).unwrap();
            stream.write_all(reply).unwrap();
        });
        let mut driver = Driver::new(Settings::default());
        let id = driver.start(&Arc::new(https("localhost", &server)), "{}");
        let error = driver.fail(id);
        assert_eq!(error.kind, Kind::Tls);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS failed: ");
    check(b"", "TLS failed: ");
}
