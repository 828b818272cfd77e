//! Exchanges over loopback: pooling, retries, cuts, cancellation, back-pressure, fairness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edgeroute_upstream::{Body, Client, Kind, Limits, Origin, Request, Settings};
use support::*;

#[test]
fn sends_a_request_and_reads_the_response() {
    let (tell, told) = channel();
    let server = Server::start(move |_, mut stream| {
        tell.send(read_request(&mut stream).unwrap()).unwrap();
        stream.write_all(&answer("hello")).unwrap();
        closed_by_client(&mut stream);
    });
    let mut driver = Driver::new(Settings::default());
    let outcome = driver.exchange(&server.origin(), "{\"a\":1}");
    assert_eq!((outcome.status, outcome.text()), (200, "hello"));
    let (head, body) = told.recv().unwrap();
    let expected = format!(
        "POST /v1/chat HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n\
         authorization: Bearer secret\r\ncontent-length: 7\r\n\r\n",
        server.address
    );
    assert_eq!((head, body), (expected, b"{\"a\":1}".to_vec()));
}

#[test]
fn a_client_may_move_between_threads() {
    fn check<T: Send>() {}
    check::<Client>();
}

#[test]
fn connections_are_reused() {
    let server = Server::answering(|body| answer(&format!("{} bytes", body.len())));
    let mut driver = Driver::new(Settings::default());
    for size in 0..20 {
        let outcome = driver.exchange(&server.origin(), vec![b'x'; size]);
        assert_eq!(outcome.text(), format!("{size} bytes"));
    }
    assert_eq!(server.accepted(), 1);
    let several: Vec<_> = (0..5).map(|_| driver.start(&server.origin(), "")).collect();
    for id in several {
        assert_eq!(driver.finish(id).text(), "0 bytes");
    }
    assert_eq!(server.accepted(), 5);
    // Another base path on the same host shares them.
    let elsewhere = Arc::new(Origin::parse(&format!("http://{}/other", server.address)).unwrap());
    assert_eq!(driver.exchange(&elsewhere, "").text(), "0 bytes");
    assert_eq!(server.accepted(), 5);
}

#[test]
fn names_are_looked_up_and_all_addresses_tried() {
    // `localhost` is often ::1 first, where nobody listens.
    let server = Server::answering(|_| answer("found"));
    let origin = Arc::new(Origin::parse(&format!("http://localhost:{}", server.address.port())).unwrap());
    let mut driver = Driver::new(Settings::default());
    let ids: Vec<_> = (0..3).map(|_| driver.start(&origin, "")).collect();
    for id in ids {
        assert_eq!(driver.finish(id).text(), "found");
    }
    // A lookup that fails, or that nobody waits for any more, gives its place back.
    let unknown = Arc::new(Origin::parse("http://no-such-host.invalid").unwrap());
    let mut driver = Driver::with_connections(1);
    for _ in 0..2 {
        let cancelled = driver.start(&unknown, "");
        driver.client.cancel(cancelled);
        let id = driver.start(&unknown, "");
        let error = driver.fail(id);
        assert_eq!((error.kind, error.first_byte), (Kind::Resolve, false));
        assert!(error.to_string().starts_with("http://no-such-host.invalid:80: the host name could not be"));
    }
}

#[test]
fn an_origin_at_an_address_is_not_looked_up_and_has_connections_of_its_own() {
    let server = Server::answering(|_| answer("found"));
    let port = server.address.port();
    let named = |host: &str| Origin::parse(&format!("http://{host}:{port}")).unwrap();
    let mut driver = Driver::new(Settings::default());
    for host in ["gpu.invalid", "gpu.invalid", "localhost", "127.0.0.9"] {
        let origin = Arc::new(named(host).at(server.address.ip()));
        assert_eq!(driver.exchange(&origin, "").text(), "found");
    }
    assert_eq!(server.accepted(), 3);
    let id = driver.start(&Arc::new(named("localhost").at([127, 0, 0, 9].into())), "");
    let error = driver.fail(id).to_string();
    assert!(error.starts_with(&format!("http://localhost:{port} at 127.0.0.9: ")), "{error}");
}

#[test]
fn closing_after_every_reply_fails_no_request() {
    let server = Server::start(|_, mut stream| {
        if read_request(&mut stream).is_some() {
            stream.write_all(&answer("once")).unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    for _ in 0..300 {
        assert_eq!(driver.exchange(&server.origin(), "body").text(), "once");
    }
}

#[test]
fn only_a_stale_connection_is_retried_and_only_once() {
    // What the server does with its nth request, over all connections; then whether the exchange succeeds.
    #[derive(Clone, Copy)]
    enum Does {
        Answers,
        Closes,
        Resets,
        AnswersHalf,
    }
    use Does::*;
    let check = |script: &'static [Does], expected: &[Option<(Kind, bool)>]| {
        let steps = Arc::new(Mutex::new(script.iter()));
        let left = Arc::clone(&steps);
        let server = Server::start(move |_, mut stream| {
            while let Some((_, body)) = read_request(&mut stream) {
                assert_eq!(body, b"the body");
                let step = *left.lock().unwrap().next().unwrap();
                match step {
                    Answers => stream.write_all(&answer("fine")).unwrap(),
                    Closes => return,
                    Resets => return reset(stream),
                    AnswersHalf => return stream.write_all(b"HTTP/1.1 2").unwrap(),
                }
            }
        });
        let mut driver = Driver::new(Settings::default());
        for expected in expected {
            let outcome = driver.exchange(&server.origin(), "the body");
            let found = outcome.error.map(|error| (error.kind, error.first_byte));
            assert_eq!(found, *expected);
        }
        assert_eq!(steps.lock().unwrap().len(), 0, "every step was needed");
    };
    let cut = Some((Kind::Cut, false));
    check(&[Closes, Answers], &[cut, None]);
    check(&[Resets], &[cut]);
    check(&[Answers, Closes, Answers], &[None, None]);
    check(&[Answers, Resets, Answers, Answers], &[None, None, None]);
    check(&[Answers, Closes, Closes], &[None, cut]);
    check(&[Answers, AnswersHalf], &[None, Some((Kind::Cut, true))]);
}

#[test]
fn connections_that_the_configuration_no_longer_needs_close_when_their_exchange_ends() {
    let (told, may_answer) = std::sync::mpsc::channel::<()>();
    let may_answer = std::sync::Mutex::new(may_answer);
    let server = Server::start(move |_, mut stream| {
        while let Some((_, body)) = read_request(&mut stream) {
            if body == b"later" {
                may_answer.lock().unwrap().recv().unwrap();
            }
            stream.write_all(&answer("done")).unwrap();
        }
    });
    let origin = server.origin();
    let mut driver = Driver::new(Settings::default());
    let busy = driver.start(&origin, "later");
    assert_eq!(driver.exchange(&origin, "").text(), "done");
    driver.client.retain([&*origin]);
    assert_eq!(driver.exchange(&origin, "").text(), "done");
    assert_eq!(server.accepted(), 2, "what is still needed stays");
    driver.client.retain([]);
    assert_eq!(driver.exchange(&origin, "").text(), "done");
    assert_eq!(server.accepted(), 3, "the idle one was closed; who asks nonetheless gets another");
    told.send(()).unwrap();
    assert_eq!(driver.finish(busy).text(), "done");
}

#[test]
fn refused_connections_fail_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = Arc::new(Origin::parse(&format!("http://{address}/v1")).unwrap());
    let mut driver = Driver::with_connections(1);
    let ids: Vec<_> = (0..100).map(|_| driver.start(&origin, "{}")).collect();
    for id in ids {
        let error = driver.fail(id);
        assert_eq!((error.kind, error.first_byte), (Kind::Connect, false));
        let sentence =
            format!("http://{address}: cannot connect: Connection refused (os error 111), at {address}");
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
fn cuts_and_protocol_errors_say_what_was_handed_out() {
    let check = |reply: &'static [u8], with_reset: bool, expected: (Kind, &str)| {
        let (tell, told) = channel();
        let server = Server::start(move |_, mut stream| {
            read_request(&mut stream).unwrap();
            stream.write_all(reply).unwrap();
            if with_reset {
                // The reset would overtake unread bytes.
                let _ = told.lock().unwrap().recv();
                reset(stream);
            }
        });
        let mut driver = Driver::new(Settings::default());
        let id = driver.start(&server.origin(), "{}");
        if with_reset {
            driver.until(|driver| driver.streamed(id) > 0);
            tell.send(()).unwrap();
        }
        let outcome = driver.finish(id);
        let error = outcome.error.unwrap();
        assert!(error.first_byte);
        let body = String::from_utf8(outcome.body).unwrap();
        assert_eq!((error.kind, body.as_str()), expected, "{error}");
    };
    fn channel() -> (std::sync::mpsc::Sender<()>, Mutex<std::sync::mpsc::Receiver<()>>) {
        let (tell, told) = std::sync::mpsc::channel();
        (tell, Mutex::new(told))
    }
    let stream = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\ndata: ";
    check(stream, false, (Kind::Cut, "data: "));
    check(stream, true, (Kind::Cut, "data: "));
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false, (Kind::Cut, ""));
    check(b"<html>502</html>", false, (Kind::Protocol, ""));
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", false, (Kind::Protocol, ""));
    let bad_chunk =
        b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\nx";
    check(bad_chunk, false, (Kind::Protocol, "a"));
}

#[test]
fn whole_responses_are_bounded_and_streams_are_not() {
    let server = Server::answering(|body| body.to_vec());
    let mut driver = Driver::new(Settings { max_body: 1_000, ..Settings::default() });
    let mut check = |reply: String, expected: Option<Kind>| {
        let outcome = driver.exchange(&server.origin(), reply);
        assert_eq!(outcome.error.map(|error| error.kind), expected);
    };
    let counted =
        |size: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size));
    let chunked = |size: usize| {
        let body = "x".repeat(size);
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{size:x}\r\n{body}\r\n0\r\n\r\n")
    };
    check(counted(1_000), None);
    check(chunked(1_000), None);
    check(counted(1_001), Some(Kind::TooLarge));
    check(chunked(1_001), Some(Kind::TooLarge));
    check("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n".to_owned(), Some(Kind::TooLarge));
    let stream = chunked(100_000).replacen("\r\n", "\r\ncontent-type: text/event-stream\r\n", 1);
    check(stream, None);
}

#[test]
fn what_cannot_be_sent_is_reported_and_never_sent() {
    let server = Server::answering(|_| answer(""));
    let mut driver = Driver::new(Settings::default());
    for (name, value) in
        [("x", &b"a\r\nhost: evil"[..]), ("x", b"\0"), ("content-length", b"5"), ("a b", b"c")]
    {
        let request = Request {
            origin: server.origin(),
            path: "/",
            headers: &[(name, value)],
            body: Body::default(),
            deadlines: DEADLINES,
        };
        let id = driver.client.start(request, driver.now);
        let error = driver.fail(id);
        assert_eq!(error.kind, Kind::Request);
        assert!(!error.to_string().contains("evil"));
    }
    assert_eq!(server.accepted(), 0);
}

#[test]
fn streams_hand_out_head_chunks_and_end() {
    let (tell, told) = channel::<&[u8]>();
    let told = Mutex::new(told);
    let server = Server::start(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        for bytes in told.lock().unwrap().iter() {
            stream.write_all(bytes).unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    tell.send(STREAM_HEAD).unwrap();
    driver.until(|driver| driver.events(id) == 1);
    tell.send(b"data: 1\n\n").unwrap();
    driver.until(|driver| driver.streamed(id) == 9);
    tell.send(b"data: 2\n\ndata: 3\n\n").unwrap();
    driver.until(|driver| driver.streamed(id) == 27);
    assert!(!driver.is_finished(id));
    drop(tell);
    let outcome = driver.finish(id);
    assert_eq!(outcome.text(), "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    assert_eq!(outcome.chunks.iter().sum::<usize>(), 27);
}

#[test]
fn many_streams_at_once() {
    let server = Server::start(|_, mut stream| {
        let (_, body) = read_request(&mut stream).unwrap();
        stream
            .write_all(
                b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .unwrap();
        for _ in 0..50 {
            stream.write_all(format!("{:x}\r\n", body.len()).as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        closed_by_client(&mut stream);
    });
    let mut driver = Driver::new(Settings::default());
    let ids: Vec<_> = (0..200).map(|n| driver.start(&server.origin(), format!("event {n};"))).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).text(), format!("event {n};").repeat(50));
    }
}

#[test]
fn cancelling_closes_the_connection_and_is_silent() {
    let (tell, told) = channel();
    let server = Server::start(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        stream.write_all(b"data: 1\n\n").unwrap();
        tell.send(closed_by_client(&mut stream)).unwrap();
    });
    let mut driver = Driver::with_connections(1);
    let id = driver.start(&server.origin(), "{}");
    let waiting = driver.start(&server.origin(), "{}");
    let next = driver.start(&server.origin(), "{}");
    driver.until(|driver| driver.streamed(id) == 9);
    let events = driver.events(id);
    driver.client.cancel(waiting);
    driver.client.cancel(id);
    driver.client.cancel(id);
    assert!(driver.until_told(&told), "the server saw the end");
    driver.until(|driver| driver.streamed(next) == 9);
    assert_eq!((driver.events(id), driver.events(waiting)), (events, 0));
    assert_eq!(server.accepted(), 2, "the waiting exchange that was cancelled never had a connection");
    // Failures that were not handed out yet are taken back too.
    let refused = Request {
        origin: server.origin(),
        path: "",
        headers: &[],
        body: Body::default(),
        deadlines: DEADLINES,
    };
    let id = driver.client.start(refused, driver.now);
    driver.client.cancel(id);
    driver.poll();
    assert_eq!(driver.events(id), 0);
}

#[test]
fn a_slow_client_holds_back_its_provider() {
    const TOTAL: usize = 64 << 20;
    let (tell, told) = channel();
    let server = Server::start(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let (block, mut sent, mut stalled) = ([b'x'; 65_536], 0, false);
        while sent < TOTAL {
            match stream.write(&block[..block.len().min(TOTAL - sent)]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock && !stalled => {
                    stalled = true;
                    tell.send(sent).unwrap();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    driver.until(|driver| driver.streamed(id) > 0);
    driver.client.set_reading(id, false);
    let seen = driver.streamed(id);
    let sent = driver.until_told(&told);
    assert_eq!(driver.streamed(id), seen, "nothing is read while reading is off");
    assert!(sent < TOTAL, "the kernel's buffers are full, ours are empty");
    assert!(!driver.poll());
    driver.client.set_reading(id, true);
    let outcome = driver.finish(id);
    assert!(outcome.complete);
    assert_eq!(outcome.body.len(), TOTAL);
}

#[test]
fn an_end_that_came_while_reading_was_off_is_seen_afterwards() {
    let (tell, told) = channel();
    let (sent, was_sent) = channel();
    let told = Mutex::new(told);
    let server = Server::start(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(STREAM_HEAD).unwrap();
        told.lock().unwrap().recv().unwrap();
        stream.write_all(b"data: last\n\n").unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        sent.send(()).unwrap();
    });
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    driver.until(|driver| driver.events(id) == 1);
    driver.client.set_reading(id, false);
    tell.send(()).unwrap();
    driver.until_told(&was_sent);
    driver.poll();
    assert_eq!(driver.events(id), 1);
    driver.client.set_reading(id, true);
    assert_eq!(driver.finish(id).text(), "data: last\n\n");
}

#[test]
fn a_response_may_come_before_the_request_is_sent() {
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let server = Server::start(move |number, mut stream| {
        if number == 0 {
            let mut some = [0; 100];
            stream.read_exact(&mut some).unwrap();
            stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").unwrap();
            // Reads no more, but keeps the connection open.
            finished.lock().unwrap().recv().unwrap_err();
        } else {
            read_request(&mut stream).unwrap();
            stream.write_all(&answer("new")).unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    let outcome = driver.exchange(&server.origin(), vec![b'x'; 32 << 20]);
    assert_eq!((outcome.status, outcome.text()), (413, "big"));
    assert_eq!(driver.exchange(&server.origin(), "{}").text(), "new");
    assert_eq!(server.accepted(), 2);
    drop(finish);
}

#[test]
fn large_bodies_pass_both_ways() {
    let server = Server::answering(|body| answer(std::str::from_utf8(body).unwrap()));
    let mut driver = Driver::new(Settings::default());
    let body: String = (0..300_000).map(|n| format!("{n:10}")).collect();
    for _ in 0..2 {
        assert!(driver.exchange(&server.origin(), body.clone()).text() == body);
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn connections_are_capped_and_the_queue_is_in_turn() {
    let (arrived, arrivals) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let server = Server::start(move |_, mut stream| {
        while let Some((_, body)) = read_request(&mut stream) {
            arrived.send(String::from_utf8(body.clone()).unwrap()).unwrap();
            released.lock().unwrap().recv().unwrap();
            stream.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        }
    });
    let mut driver = Driver::with_connections(2);
    let ids: Vec<_> = (0..6).map(|n| driver.start(&server.origin(), n.to_string())).collect();
    let mut first = [driver.until_told(&arrivals), driver.until_told(&arrivals)];
    first.sort();
    assert_eq!(first, ["0", "1"]);
    for n in 2..6 {
        release.send(()).unwrap();
        assert_eq!(driver.until_told(&arrivals), n.to_string());
    }
    release.send(()).unwrap();
    release.send(()).unwrap();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).text(), n.to_string());
    }
    assert_eq!(server.accepted(), 2);
}

#[test]
fn the_queue_is_bounded_and_who_left_is_not_counted() {
    let (arrived, arrivals) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let server = Server::start(move |_, mut stream| {
        while let Some((_, body)) = read_request(&mut stream) {
            arrived.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            stream.write_all(&answer(std::str::from_utf8(&body).unwrap())).unwrap();
        }
    });
    let mut driver = Driver::limited(Limits { connections: 1, waiting: 2 });
    let first = driver.start(&server.origin(), "first");
    driver.until_told(&arrivals);
    let waiting = ["second", "third"].map(|body| driver.start(&server.origin(), body));
    let refused = driver.start(&server.origin(), "fourth");
    driver.poll();
    assert!(driver.is_finished(refused), "at once");
    let error = driver.fail(refused);
    assert_eq!((error.kind, error.first_byte), (Kind::QueueFull, false));
    let sentence = "too many requests wait for a free connection: 2 wait already";
    assert_eq!(error.to_string(), format!("http://{}: {sentence}", server.address));
    driver.client.cancel(waiting[0]);
    let last = driver.start(&server.origin(), "last");
    (0..3).for_each(|_| release.send(()).unwrap());
    for (id, body) in [(first, "first"), (waiting[1], "third"), (last, "last")] {
        assert_eq!(driver.finish(id).text(), body);
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_body_in_pieces_arrives_whole() {
    let server = Server::answering(|body| answer(std::str::from_utf8(body).unwrap()));
    let mut driver = Driver::new(Settings::default());
    // More pieces than one system call writes, more bytes than a socket takes.
    for (count, size) in [(0, 0), (3, 1), (40, 1), (40, 100_000)] {
        let mut body = Body::default();
        let whole: Bytes = (0..count * size).map(|n| b'a' + (n % 26) as u8).collect();
        for n in 0..count {
            body.push(whole.slice(n * size..(n + 1) * size));
            body.push(Bytes::new());
        }
        assert_eq!((body.len(), body.is_empty()), (whole.len(), whole.is_empty()));
        assert!(driver.exchange(&server.origin(), body).text().as_bytes() == whole, "{count} of {size}");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn large_responses_are_bounded_by_what_they_announce() {
    const SIZE: usize = 700_000;
    let check = |announced: usize, then_closes: bool, expected: Option<Kind>| {
        let server = Server::start(move |_, mut stream| {
            read_request(&mut stream).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n");
            // The client may close early.
            _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&[b'x'; SIZE]));
            if !then_closes {
                closed_by_client(&mut stream);
            }
        });
        let outcome = Driver::new(Settings::default()).exchange(&server.origin(), "");
        assert_eq!(outcome.error.map(|error| error.kind), expected, "{announced}");
        assert_eq!(outcome.body.len(), if expected.is_none() { SIZE } else { 0 });
    };
    for then_closes in [false, true] {
        check(SIZE, then_closes, None);
        check(SIZE - 1, then_closes, Some(Kind::Protocol));
        check(300_000, then_closes, Some(Kind::Protocol));
    }
    check(SIZE + 1, true, Some(Kind::Cut));
}

#[test]
fn the_queue_goes_on_when_connections_close() {
    let server = Server::start(|_, mut stream| {
        if let Some((_, body)) = read_request(&mut stream) {
            if body == b"3" {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let mut driver = Driver::with_connections(1);
    let ids: Vec<_> = (0..6).map(|n| driver.start(&server.origin(), n.to_string())).collect();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(driver.finish(id).complete, n != 3);
    }
}

#[test]
fn idle_connections_that_speak_or_close_are_dropped() {
    let (tell, told) = channel::<&'static [u8]>();
    let (done, is_done) = channel();
    let told = Mutex::new(told);
    let server = Server::start(move |number, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(&answer(&number.to_string())).unwrap();
        if number < 3 {
            stream.write_all(told.lock().unwrap().recv().unwrap()).unwrap();
            done.send(()).unwrap();
        }
        if number != 1 {
            closed_by_client(&mut stream);
        }
    });
    let mut driver = Driver::new(Settings::default());
    // Unasked bytes, seen by poll; a close; unasked bytes that no poll has seen: they must not answer the next.
    for (number, unasked, polls) in [
        (0, &b"HTTP/1.1 408 -\r\n\r\n"[..], true),
        (1, b"", true),
        (2, b"HTTP/1.1 200 -\r\ncontent-length: 4\r\n\r\nevil", false),
    ] {
        assert_eq!(driver.exchange(&server.origin(), "{}").text(), number.to_string());
        tell.send(unasked).unwrap();
        is_done.recv().unwrap();
        if polls {
            driver.poll();
        }
    }
    assert_eq!(driver.exchange(&server.origin(), "{}").text(), "3");
}

#[test]
fn as_many_connections_as_were_needed_at_once_are_used_again() {
    const AT_ONCE: usize = 300;
    let opened = Arc::new(AtomicUsize::new(0));
    let (count, together) = (Arc::clone(&opened), Barrier::new(AT_ONCE));
    let server = Server::start(move |_, mut stream| {
        count.fetch_add(1, Ordering::Relaxed);
        while read_request(&mut stream).is_some() {
            together.wait();
            stream.write_all(&answer("")).unwrap();
        }
    });
    let mut driver = Driver::new(Settings::default());
    for _ in 0..3 {
        let ids: Vec<_> = (0..AT_ONCE).map(|_| driver.start(&server.origin(), "")).collect();
        for id in ids {
            assert_eq!(driver.finish(id).status, 200);
        }
    }
    assert_eq!(opened.load(Ordering::Relaxed), AT_ONCE);
}

#[test]
fn one_poll_reads_little_from_each_and_remembers_the_rest() {
    const FIRST: usize = 150_000;
    let check = |wake_budget: Duration, served_at_once: usize| {
        let (tell, told) = channel();
        let server = Server::start(move |_, mut stream| {
            read_request(&mut stream).unwrap();
            stream.write_all(STREAM_HEAD).unwrap();
            stream.write_all(&[b'x'; FIRST]).unwrap();
            tell.send(()).unwrap();
            stream.write_all(&[b'x'; FIRST]).unwrap();
        });
        let mut driver = Driver::new(Settings { wake_budget, ..Settings::default() });
        let ids = [0; 3].map(|_| driver.start(&server.origin(), ""));
        ids.iter().for_each(|id| driver.client.set_reading(*id, false));
        for _ in ids {
            driver.until_told(&told);
        }
        ids.iter().for_each(|id| driver.client.set_reading(*id, true));
        let more = driver.poll();
        assert!(more);
        let read = ids.map(|id| driver.streamed(id));
        assert!(read.iter().all(|read| *read <= 65_536), "{read:?}");
        assert_eq!(read.iter().filter(|read| **read > 0).count(), served_at_once);
        for id in ids {
            let outcome = driver.finish(id);
            assert_eq!((outcome.complete, outcome.body.len()), (true, 2 * FIRST));
            assert!(outcome.chunks.iter().all(|size| *size <= 65_536));
        }
    };
    check(Duration::from_secs(3600), 3);
    // Without any budget, a poll still serves one connection.
    check(Duration::ZERO, 1);
}
