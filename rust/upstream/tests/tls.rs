//! TLS: trust, names, large bodies, truncation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use edgeroute_upstream::{CertificateDer, Kind, Origin, Settings};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::*;

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// An authority made for the test and a server with a certificate for `localhost` from it.
fn serve(script: impl Fn(usize, TlsStream) + Send + Sync + 'static) -> (Server, Settings) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let server = Server::start(move |number, stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        script(number, StreamOwned::new(connection, stream));
    });
    let roots: Vec<CertificateDer<'static>> = vec![root.der().clone()];
    (server, Settings { extra_roots: roots, ..Settings::default() })
}

fn origin(server: &Server, host: &str) -> Arc<Origin> {
    Arc::new(Origin::parse(&format!("https://{host}:{}", server.address.port())).unwrap())
}

#[test]
fn exchanges_over_one_connection() {
    let (server, settings) = serve(|_, mut stream| {
        while let Some((head, body)) = read_request(&mut stream) {
            assert!(head.contains("\r\nhost: localhost:"));
            assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(stream.conn.server_name(), Some("localhost"));
            stream.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        }
    });
    let mut driver = Driver::new(settings);
    let origin = origin(&server, "localhost");
    for size in [0, 1, 70_000, 3_000_000, 1] {
        let body = "x".repeat(size);
        assert!(driver.exchange(&origin, body.clone()).text() == body, "{size}");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn streams_and_several_at_once() {
    let (server, settings) = serve(|_, mut stream| {
        let (_, body) = read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        for _ in 0..100 {
            stream.write_all(&body).unwrap();
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let mut driver = Driver::new(settings);
    let origin = origin(&server, "localhost");
    let ids: Vec<_> = (0..20).map(|n| driver.start(&origin, format!("event {n};"))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).text(), format!("event {n};").repeat(100));
    }
}

#[test]
fn an_end_without_close_notify_is_a_cut() {
    let (server, settings) = serve(|_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        stream.write_all(b"data: 1\n\n").unwrap();
    });
    let mut driver = Driver::new(settings);
    let id = driver.start(&origin(&server, "localhost"), "{}");
    let outcome = driver.finish(id);
    assert_eq!(outcome.body, b"data: 1\n\n");
    let error = outcome.error.unwrap();
    assert_eq!(error.kind, Kind::Cut);
}

#[test]
fn stale_connections_are_retried() {
    let (server, settings) = serve(|_, mut stream| {
        if read_request(&mut stream).is_some() {
            stream.write_all(&answer("once")).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    let mut driver = Driver::new(settings);
    let origin = origin(&server, "localhost");
    for _ in 0..30 {
        assert_eq!(driver.exchange(&origin, "{}").text(), "once");
    }
}

#[test]
fn strangers_are_refused() {
    let (server, settings) = serve(|_, mut stream| {
        assert!(read_request(&mut stream).is_none(), "a request was sent to a stranger");
    });
    let check = |settings: Settings, host: &str, expected: &str| {
        let mut driver = Driver::new(settings);
        let id = driver.start(&origin(&server, host), "{}");
        let error = driver.fail(id);
        assert_eq!((error.kind, error.first_byte), (Kind::Tls, false));
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(settings, "127.0.0.1", "certificate not valid for name");
    check(Settings::default(), "localhost", "invalid peer certificate: UnknownIssuer");
}

#[test]
fn a_server_without_tls_is_told_apart() {
    let check = |reply: &'static [u8], expected: &str| {
        let server = Server::start(move |_, mut stream| {
            let mut hello = [0; 10];
            std::io::Read::read_exact(&mut stream, &mut hello).unwrap();
            stream.write_all(reply).unwrap();
        });
        let (_, settings) = serve(|_, _| {});
        let mut driver = Driver::new(settings);
        let id = driver.start(&origin(&server, "localhost"), "{}");
        let error = driver.fail(id);
        assert_eq!(error.kind, Kind::Tls);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS failed: ");
    check(b"", "TLS failed: ");
}
