//! Exchanges through the tunnel of a proxy: pooling, credentials, refusals, deadlines.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use edgeroute_upstream::{Deadline, Kind, Origin, Proxy, Settings};
use support::tls::{Authority, https};
use support::*;

const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that connects to the asked port, on loopback whatever the host, and all that it saw.
struct Tunnels {
    server: Server,
    heads: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<u8>>>,
}

impl Tunnels {
    /// `answer` is given the head of the request; what it answers with success is followed by a tunnel.
    fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (heads, passed) = (Arc::<Mutex<Vec<String>>>::default(), Arc::default());
        let (all_heads, all_bytes) = (Arc::clone(&heads), Arc::clone(&passed));
        let server = Server::start(move |_, mut client| {
            let Some(head) = read_head(&mut client) else { return };
            let answer = answer(&head);
            let port = head.split(' ').nth(1).unwrap().rsplit(':').next().unwrap().parse().unwrap();
            all_heads.lock().unwrap().push(head);
            client.write_all(&answer).unwrap();
            if answer == OPEN {
                let provider = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                pass(client, provider, &all_bytes);
            }
        });
        Self { server, heads, passed }
    }

    fn open() -> Self {
        Self::answering(|_| OPEN.to_vec())
    }

    fn proxy(&self) -> Proxy {
        proxy("", self.server.address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Passes bytes on in both directions until both have ended; keeps those of the client.
fn pass(client: TcpStream, provider: TcpStream, seen: &Mutex<Vec<u8>>) {
    let (mut from, mut to) = (provider.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut client, mut provider) = (client, provider);
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        seen.lock().unwrap().extend(&buffer[..count]);
        if provider.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
    let _ = provider.shutdown(Shutdown::Write);
}

/// `credentials` as in `user:password@`.
fn proxy(credentials: &str, address: SocketAddr) -> Proxy {
    Proxy::parse(&format!("http://{credentials}{address}")).unwrap()
}

fn through(server: &Server, proxy: Proxy) -> Arc<Origin> {
    Arc::new(Origin::parse(&format!("http://{}", server.address)).unwrap().through(proxy))
}

#[test]
fn tls_goes_through_one_tunnel_again_and_again() {
    let authority = Authority::new();
    let server = authority.serve(|_, mut stream| {
        while let Some((head, body)) = read_request(&mut stream) {
            assert!(head.starts_with("POST /v1/chat HTTP/1.1\r\nhost: localhost:"), "{head}");
            assert!(!head.contains("proxy"), "{head}");
            stream.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        }
    });
    let tunnels = Tunnels::open();
    let origin = https("localhost", &server).through(tunnels.proxy()).trusting(authority.roots());
    let origin = Arc::new(origin);
    let mut driver = Driver::new(Settings::default());
    for size in [1, 0, 300_000, 1] {
        let body = "x".repeat(size);
        assert!(driver.exchange(&origin, body.clone()).text() == body, "{size}");
    }
    assert_eq!((tunnels.server.accepted(), server.accepted()), (1, 1));
    let target = format!("localhost:{}", server.address.port());
    assert_eq!(tunnels.heads(), [format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n")]);
    let passed = tunnels.passed.lock().unwrap();
    assert!(!String::from_utf8_lossy(&passed).contains("secret"), "the proxy can read the request");
    // Several at once have a tunnel each.
    drop(passed);
    let ids: Vec<_> = (0..5).map(|n| driver.start(&origin, n.to_string())).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).text(), n.to_string());
    }
    assert_eq!((tunnels.server.accepted(), server.accepted()), (5, 5));
}

#[test]
fn the_proxy_looks_up_the_host() {
    let server = Server::answering(|_| answer("found"));
    let tunnels = Tunnels::open();
    let url = format!("http://provider.invalid:{}", server.address.port());
    let named = Proxy::parse(&format!("http://localhost:{}", tunnels.server.address.port())).unwrap();
    let origin = Arc::new(Origin::parse(&url).unwrap().through(named));
    let mut driver = Driver::new(Settings::default());
    assert_eq!(driver.exchange(&origin, "").text(), "found");
    assert!(tunnels.heads()[0].starts_with("CONNECT provider.invalid:"));
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = Server::answering(|_| answer("let in"));
    let tunnels = Tunnels::answering(|head| {
        let known = head.contains("\r\nproxy-authorization: Basic dXNlcjpwQHNz\r\n");
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n";
        if known { OPEN.to_vec() } else { refusal.to_vec() }
    });
    let address = tunnels.server.address;
    let mut driver = Driver::new(Settings::default());
    assert_eq!(driver.exchange(&through(&server, proxy("user:p%40ss@", address)), "").text(), "let in");
    let mut check = |credentials: &str, expected: &str| {
        let id = driver.start(&through(&server, proxy(credentials, address)), "");
        let error = driver.fail(id);
        let expected = format!(
            "http://{} through {address}: cannot connect: the proxy answered 407: {expected}",
            server.address
        );
        assert_eq!((error.kind, error.first_byte, error.to_string()), (Kind::Connect, false, expected));
    };
    check("user:wrong@", "it does not accept the configured user and password");
    check("", "it wants a user and password, as in http://user:password@host:port");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn what_opens_no_tunnel_is_a_connect_error_that_names_the_proxy() {
    let check = |said: Vec<u8>, then_resets: bool, expected: &str| {
        let server = Server::start(move |_, mut stream| {
            read_head(&mut stream).unwrap();
            // The client may hang up before it has read everything.
            let _ = stream.write_all(&said);
            if then_resets {
                reset(stream);
            }
        });
        let provider = Server::answering(|_| panic!("a request was sent past the proxy"));
        // One place for a connection: a failure must give it back.
        let mut driver = Driver::with_connections(1);
        let origin = through(&provider, proxy("user:hush@", server.address));
        for _ in 0..2 {
            let id = driver.start(&origin, "");
            let error = driver.fail(id);
            let sentence = error.to_string();
            assert_eq!((error.kind, error.first_byte), (Kind::Connect, false), "{sentence}");
            assert!(
                sentence.contains(&format!("through {}: cannot connect: ", server.address)),
                "{sentence}"
            );
            assert!(sentence.contains(expected), "{sentence}");
            assert!(!sentence.contains("hush") && !sentence.contains("Basic"), "{sentence}");
        }
        assert_eq!(server.accepted(), 2, "{expected}");
    };
    for status in [300, 403, 404, 500, 502, 503] {
        let refusal = format!("HTTP/1.1 {status} -\r\ncontent-length: 2\r\n\r\nno").into_bytes();
        check(refusal, false, &format!("the proxy answered {status}: it opened no tunnel"));
    }
    let closed = "the proxy closed the connection before its answer was complete";
    check(b"".to_vec(), false, closed);
    check(b"HTTP/1.1 200 OK\r\n".to_vec(), false, closed);
    check(b"".to_vec(), true, "reset");
    check(b"220 mail ready\r\n".to_vec(), false, "malformed: the response does not begin with HTTP/1.");
    check([OPEN, b"hello"].concat(), false, "malformed: bytes follow the end of the response");
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 1 << 20]].concat();
    check(endless, false, "malformed: the head is larger than 64 KiB");
}

#[test]
fn a_proxy_that_cannot_be_reached_is_named() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let check = |proxy: &str, kind: Kind, expected: &str| {
        let origin = Origin::parse("https://127.0.0.1").unwrap().through(Proxy::parse(proxy).unwrap());
        let mut driver = Driver::new(Settings::default());
        let id = driver.start(&Arc::new(origin), "");
        let error = driver.fail(id);
        assert_eq!((error.kind, error.first_byte), (kind, false));
        assert!(
            error.to_string().starts_with(&format!("https://127.0.0.1:443 through {expected}")),
            "{error}"
        );
    };
    check(&format!("http://a:b@{nobody}"), Kind::Connect, &format!("{nobody}: cannot connect: "));
    let unresolved = "no-such-proxy.invalid:1: the host name could not be resolved: ";
    check("http://a:b@no-such-proxy.invalid:1", Kind::Resolve, unresolved);
}

#[test]
fn asking_for_the_tunnel_counts_as_connecting() {
    let check = |said: &'static [u8], context: &str| {
        let (tell, told) = channel();
        let server = Server::start(move |_, mut stream| {
            read_head(&mut stream).unwrap();
            stream.write_all(said).unwrap();
            tell.send(()).unwrap();
            assert!(closed_by_client(&mut stream));
            tell.send(()).unwrap();
        });
        let mut driver = Driver::new(Settings::default());
        let origin = Origin::parse("https://127.0.0.1").unwrap().through(proxy("", server.address));
        let id = driver.start(&Arc::new(origin), "");
        driver.until_told(&told);
        driver.now += DEADLINES.connect - Duration::from_millis(1);
        driver.poll();
        assert!(!driver.is_finished(id), "too early");
        assert!(driver.client.next_deadline().unwrap() <= driver.now + Duration::from_millis(1));
        driver.now += Duration::from_millis(1);
        let error = driver.fail(id);
        assert_eq!(error.kind, Kind::Timeout(Deadline::Connect));
        assert!(error.to_string().ends_with(&format!("timed out connecting: {context}; the limit is 2s")));
        driver.until_told(&told);
    };
    check(b"", "the proxy has not opened a tunnel");
    check(b"HTTP/1.1 200 OK\r\n", "the proxy has not opened a tunnel");
}

#[test]
fn a_cancelled_exchange_closes_its_half_open_tunnel() {
    let (tell, told) = channel();
    let server = Server::start(move |_, mut stream| {
        read_head(&mut stream).unwrap();
        tell.send(()).unwrap();
        assert!(closed_by_client(&mut stream));
        tell.send(()).unwrap();
    });
    let mut driver = Driver::new(Settings::default());
    let origin = Origin::parse("https://127.0.0.1").unwrap().through(proxy("", server.address));
    let id = driver.start(&Arc::new(origin), "");
    driver.until_told(&told);
    driver.client.cancel(id);
    driver.until_told(&told);
}

#[test]
fn connections_are_shared_only_by_the_same_way() {
    let server = Server::start(|number, mut stream| {
        while read_request(&mut stream).is_some() {
            stream.write_all(&answer(&number.to_string())).unwrap();
        }
    });
    let (one, two) = (Tunnels::open(), Tunnels::open());
    let (one, two) = (one.server.address, two.server.address);
    let mut driver = Driver::new(Settings::default());
    let mut check = |origin: Arc<Origin>, connection: &str| {
        assert_eq!(driver.exchange(&origin, "").text(), connection, "{}", origin.name());
    };
    for _ in 0..2 {
        check(server.origin(), "0");
        check(through(&server, proxy("", one)), "1");
        check(through(&server, proxy("", two)), "2");
        check(through(&server, proxy("a:b@", one)), "3");
        check(through(&server, proxy("a:c@", one)), "4");
    }
}

#[test]
fn a_stale_tunnel_is_replaced() {
    let server = Server::start(|_, mut stream| {
        if read_request(&mut stream).is_some() {
            stream.write_all(&answer("once")).unwrap();
        }
    });
    let tunnels = Tunnels::open();
    let origin = through(&server, tunnels.proxy());
    let mut driver = Driver::new(Settings::default());
    for _ in 0..30 {
        assert_eq!(driver.exchange(&origin, "").text(), "once");
    }
}

#[test]
fn a_stranger_behind_the_proxy_is_refused() {
    let authority = Authority::new();
    let server = authority.serve(|_, mut stream| {
        assert!(read_request(&mut stream).is_none(), "a request was sent to a stranger");
    });
    let tunnels = Tunnels::open();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&Arc::new(https("localhost", &server).through(tunnels.proxy())), "");
    let error = driver.fail(id);
    assert_eq!(error.kind, Kind::Tls);
    assert!(error.to_string().ends_with("invalid peer certificate: UnknownIssuer"), "{error}");
}
