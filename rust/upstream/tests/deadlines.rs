//! Every deadline, with time moved by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::time::Duration;

use edgeroute_upstream::{Deadline, Deadlines, ExchangeId, Kind, Origin, Settings};
use support::*;

const SECOND: Duration = Duration::from_secs(1);

/// Writes to one connection what it is given; a second `say` returns only when the first is written.
struct Voice(SyncSender<&'static [u8]>);

/// A server whose answers the test speaks: every request brings the voice to answer it with.
fn puppet() -> (Server, Receiver<Voice>) {
    let (arrived, arrivals) = channel();
    let server = Server::start(move |_, mut stream| {
        while read_request(&mut stream).is_some() {
            let (say, said) = sync_channel(0);
            arrived.send(Voice(say)).unwrap();
            for bytes in said {
                stream.write_all(bytes).unwrap();
            }
        }
    });
    (server, arrivals)
}

impl Voice {
    fn say(&self, bytes: &'static [u8]) {
        self.0.send(bytes).unwrap();
        self.0.send(b"").unwrap();
    }
}

impl Driver {
    fn advance(&mut self, duration: Duration) {
        self.now += duration;
        self.poll();
    }

    /// Time passes up to the deadline without effect, and a moment later the exchange fails.
    fn times_out(
        &mut self,
        id: ExchangeId,
        after: Duration,
        deadline: Deadline,
    ) -> edgeroute_upstream::Error {
        self.advance(after - Duration::from_millis(1));
        assert!(!self.is_finished(id), "too early");
        let next = self.client.next_deadline().unwrap();
        assert!(next <= self.now + Duration::from_millis(1), "the event loop would oversleep");
        self.advance(Duration::from_millis(1));
        assert!(self.is_finished(id), "too late");
        let error = self.fail(id);
        assert_eq!(error.kind, Kind::Timeout(deadline));
        error
    }
}

#[test]
fn first_byte() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    let _silent = driver.until_told(&arrivals);
    let error = driver.times_out(id, 30 * SECOND, Deadline::FirstByte);
    assert!(!error.first_byte);
    let sentence =
        format!("http://{}: timed out waiting for the first byte: the limit is 30s", server.address);
    assert_eq!(error.to_string(), sentence);
}

#[test]
fn interim_responses_are_not_the_first_byte() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    let voice = driver.until_told(&arrivals);
    driver.advance(29 * SECOND);
    voice.say(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 1");
    driver.poll();
    let error = driver.times_out(id, SECOND, Deadline::FirstByte);
    assert!(error.first_byte);
}

#[test]
fn gap() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    let voice = driver.until_told(&arrivals);
    voice.say(STREAM_HEAD);
    driver.until(|driver| driver.events(id) == 1);
    // Each arrival gives it the whole gap again.
    for n in 1..5 {
        driver.advance(9 * SECOND);
        voice.say(b"data: 1\n\n");
        driver.until(|driver| driver.streamed(id) == 9 * n);
    }
    let error = driver.times_out(id, 10 * SECOND, Deadline::Gap);
    assert!(error.first_byte);
}

#[test]
fn a_head_that_trickles() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    let voice = driver.until_told(&arrivals);
    voice.say(b"HTTP/1.1 2");
    driver.poll();
    for _ in 0..9 {
        driver.advance(SECOND);
        voice.say(b"0");
        driver.poll();
    }
    driver.times_out(id, SECOND, Deadline::Gap);
}

#[test]
fn the_gap_stands_still_while_reading_is_off() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let stream_with_reading_off = |driver: &mut Driver| {
        let id = driver.start(&server.origin(), "{}");
        let voice = driver.until_told(&arrivals);
        voice.say(STREAM_HEAD);
        driver.until(|driver| driver.events(id) == 1);
        driver.client.set_reading(id, false);
        (id, voice)
    };
    let (id, _voice) = stream_with_reading_off(&mut driver);
    driver.advance(60 * SECOND);
    driver.client.set_reading(id, true);
    driver.poll();
    driver.times_out(id, 10 * SECOND, Deadline::Gap);
    // The total goes on.
    let (id, _voice) = stream_with_reading_off(&mut driver);
    driver.times_out(id, 100 * SECOND, Deadline::Total);
}

#[test]
fn total() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&server.origin(), "{}");
    let voice = driver.until_told(&arrivals);
    voice.say(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n");
    for _ in 0..11 {
        driver.poll();
        driver.advance(9 * SECOND);
        voice.say(b"x");
    }
    driver.poll();
    let error = driver.times_out(id, SECOND, Deadline::Total);
    assert!(error.first_byte);
}

#[test]
fn no_limit_is_no_limit() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings::default());
    let none = Duration::MAX;
    let limits = Deadlines { connect: none, first_byte: none, gap: none, total: none };
    let id = driver.start_with(&server.origin(), "{}", limits);
    let voice = driver.until_told(&arrivals);
    assert_eq!(driver.client.next_deadline(), None);
    driver.advance(Duration::from_secs(1 << 30));
    voice.say(b"HTTP/1.1 204 -\r\n\r\n");
    assert_eq!(driver.finish(id).status, 204);
}

/// A listener whose queue is full: connections to it are neither accepted nor refused.
fn unresponsive() -> (SocketAddr, Vec<socket2::Socket>) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut keep = vec![listener];
    for _ in 0..4 {
        let filler = socket();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address.into());
        keep.push(filler);
    }
    (address, keep)
}

#[test]
fn connect() {
    let (address, _keep) = unresponsive();
    let origin = Arc::new(Origin::parse(&format!("http://{address}")).unwrap());
    let mut driver = Driver::new(Settings::default());
    let id = driver.start(&origin, "{}");
    driver.poll();
    let error = driver.times_out(id, 2 * SECOND, Deadline::Connect);
    assert!(!error.first_byte);
    assert!(error.to_string().ends_with("TCP connection not established; the limit is 2s"), "{error}");
}

#[test]
fn waiting_for_a_free_connection_is_not_the_provider_s_time() {
    let (server, arrivals) = puppet();
    let mut driver = Driver::with_connections(1);
    let first = driver.start(&server.origin(), "{}");
    let voice = driver.until_told(&arrivals);
    let waiting = driver.start(&server.origin(), "{}");
    driver.advance(SECOND);
    let later = driver.start(&server.origin(), "{}");
    let error = driver.times_out(waiting, SECOND, Deadline::Queue);
    assert_eq!(
        error.to_string(),
        format!(
            "http://{}: timed out waiting for a free connection: all connections are busy; the limit is 2s",
            server.address
        )
    );
    voice.say(b"HTTP/1.1 204 -\r\n\r\n");
    drop(voice);
    assert_eq!(driver.finish(first).status, 204);
    driver.until_told(&arrivals).say(b"HTTP/1.1 204 -\r\n\r\n");
    assert_eq!(driver.finish(later).status, 204);
    assert_eq!(server.accepted(), 1);
}

#[test]
fn connecting_in_what_the_queue_left_of_the_time_is_not_the_provider_s_time() {
    let (address, _keep) = unresponsive();
    let origin = Arc::new(Origin::parse(&format!("http://{address}")).unwrap());
    let mut driver = Driver::with_connections(1);
    let first = driver.start(&origin, "{}");
    driver.advance(SECOND);
    let second = driver.start(&origin, "{}");
    driver.times_out(first, SECOND, Deadline::Connect);
    let error = driver.times_out(second, SECOND, Deadline::Queue);
    let context = "there was a free place too late to connect; the limit is 2s";
    assert!(error.to_string().ends_with(context), "{error}");
}

#[test]
fn idle_connections_close_in_time() {
    let (tell, told) = channel();
    let server = Server::start(move |_, mut stream| {
        read_request(&mut stream).unwrap();
        stream.write_all(&answer("")).unwrap();
        tell.send(closed_by_client(&mut stream)).unwrap();
    });
    let mut driver = Driver::new(Settings::default());
    driver.exchange(&server.origin(), "");
    driver.advance(Duration::from_millis(3_999));
    assert!(told.try_recv().is_err());
    assert_eq!(driver.client.next_deadline(), Some(driver.now + Duration::from_millis(1)));
    driver.advance(Duration::from_millis(1));
    assert!(told.recv().unwrap());
    assert_eq!(driver.client.next_deadline(), None);
}

#[test]
fn what_arrived_in_time_is_not_too_late() {
    // The loop was busy: the answers are in the sockets, and only one is served per poll.
    let (server, arrivals) = puppet();
    let mut driver = Driver::new(Settings { wake_budget: Duration::ZERO, ..Settings::default() });
    let ids = [0; 3].map(|_| driver.start(&server.origin(), "{}"));
    for voice in ids.map(|_| driver.until_told(&arrivals)) {
        voice.say(b"HTTP/1.1 204 -\r\n\r\n");
    }
    driver.advance(31 * SECOND);
    for id in ids {
        assert_eq!(driver.finish(id).status, 204);
    }
}
