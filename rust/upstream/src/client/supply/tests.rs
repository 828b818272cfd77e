//! Addresses: attempts side by side, what a name resolves to later, and pools that are needed no more.

use super::*;
use crate::error::Deadline;
use crate::{Body, Deadlines, Event, ExchangeId, Origin, Request, Settings};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// A name whose addresses are given; the client, the exchange, and the time it started.
fn start(addresses: &[SocketAddr]) -> (Client, ExchangeId, Instant) {
    let mut client = Client::new(Settings::default()).unwrap();
    let origin = Arc::new(Origin::parse("http://several.invalid").unwrap());
    let now = Instant::now();
    let index = client.pools.find(&origin);
    client.pools.get_mut(index).unwrap().addresses.answer(addresses, now);
    let long = Duration::from_secs(100);
    let deadlines = Deadlines { connect: Duration::from_secs(4), first_byte: long, gap: long, total: long };
    let request = Request { origin, path: "/", headers: &[], body: Body::default(), deadlines };
    let id = client.start(request, now);
    (client, id, now)
}

fn pools(client: &Client) -> Vec<Key> {
    client.pools.besides(&HashSet::new())
}

fn finish(client: &mut Client, now: Instant) -> Event {
    let hang_guard = Instant::now() + Duration::from_secs(20);
    let mut events = Vec::new();
    while Instant::now() < hang_guard {
        client.poll(now, &mut events);
        if let Some((_, event)) = events.pop() {
            return event;
        }
        std::thread::yield_now();
    }
    panic!("nothing happened");
}

/// Answers one request.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1_000]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 204 -\r\n\r\n").unwrap();
    });
    address
}

fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn addresses_are_tried_one_after_the_other() {
    let unreachable = "0.0.0.1:80".parse().unwrap();
    let (mut client, _, now) = start(&[refusing(), unreachable, refusing(), server()]);
    let event = finish(&mut client, now);
    assert!(matches!(event, Event::Response { .. }), "{event:?}");
    let (mut client, _, now) = start(&[refusing(), refusing()]);
    let Event::Failed(error) = finish(&mut client, now) else { panic!("it did not fail") };
    assert_eq!(error.kind, Kind::Connect);
    let pool = pools(&client)[0];
    assert_eq!(client.pools.get_mut(pool).unwrap().open, 0);
    assert!(client.pools.get_mut(pool).unwrap().addresses.fresh(now).is_none(), "looked up again next time");
}

#[test]
fn what_the_configuration_no_longer_names_is_forgotten_when_nothing_is_under_way() {
    let (mut client, _, now) = start(&[server()]);
    client.retain([]);
    assert_eq!(pools(&client).len(), 1, "an exchange is under way");
    let event = finish(&mut client, now);
    assert!(matches!(event, Event::Response { .. }), "{event:?}");
    client.retain([&Origin::parse("http://several.invalid/another/path").unwrap()]);
    assert_eq!(pools(&client).len(), 1, "still named");
    client.retain([]);
    assert_eq!(pools(&client), []);
    assert_eq!(client.connections.key_at(0), None, "the idle connection is closed");

    // A lookup that is answered when nobody waits any more does no harm.
    client.pools.find(&Arc::new(Origin::parse("http://late.invalid").unwrap()));
    let gone = pools(&client)[0];
    client.retain([]);
    client.resolved(Answer { pool: gone, found: Err(Failure::new(Kind::Resolve, "late")) }, now);
    assert_eq!(pools(&client), []);
}

const DELAY: Duration = Duration::from_millis(250);

/// Neither accepts nor refuses, for as long as the second value lives.
fn silent() -> (SocketAddr, Vec<socket2::Socket>) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut keep = vec![listener];
    for _ in 0..4 {
        let filler = socket();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&address);
        keep.push(filler);
    }
    (address.as_socket().unwrap(), keep)
}

fn order(client: &mut Client, now: Instant) -> Vec<SocketAddr> {
    let pool = pools(client)[0];
    client.pools.get_mut(pool).unwrap().addresses.fresh(now).unwrap().to_vec()
}

#[test]
fn a_silent_address_holds_up_the_next_for_a_moment_and_once() {
    let (silent, _keep) = silent();
    let good = server();
    let (mut client, _, now) = start(&[silent, good]);
    assert_eq!(client.next_deadline(), Some(now + DELAY));
    let mut events = Vec::new();
    client.poll(now + DELAY - Duration::from_millis(1), &mut events);
    assert_eq!(client.next_deadline(), Some(now + DELAY), "too early for the second");
    let event = finish(&mut client, now + DELAY);
    assert!(matches!(event, Event::Response { .. }), "{event:?}");
    assert_eq!(order(&mut client, now), [good, silent], "tried first from now on");
}

#[test]
fn an_attempt_may_still_win_when_the_next_has_begun() {
    let (silent, _keep) = silent();
    let (first, second) = (server(), silent);
    let (mut client, _, now) = start(&[first, second]);
    // Nobody has looked whether the first is established.
    client.expire(now + DELAY);
    let event = finish(&mut client, now + DELAY);
    assert!(matches!(event, Event::Response { .. }), "{event:?}");
    assert_eq!(order(&mut client, now), [first, second]);
}

#[test]
fn attempts_go_on_when_later_ones_are_refused() {
    let (silent, _keep) = silent();
    let (mut client, id, now) = start(&[silent, refusing(), refusing()]);
    let mut events = Vec::new();
    let hang_guard = Instant::now() + Duration::from_secs(20);
    client.expire(now + DELAY);
    let only_silent_is_left = |client: &Client| {
        let key = client.connections.key_at(0).unwrap();
        match &client.connections.get(key).unwrap().stage {
            Stage::Connecting(race) => race.latest == silent && race.earlier.is_empty(),
            _ => false,
        }
    };
    while !only_silent_is_left(&client) {
        client.poll(now + DELAY, &mut events);
        assert!(Instant::now() < hang_guard && events.is_empty(), "{events:?}");
    }
    client.poll(now + Duration::from_secs(4), &mut events);
    let Some((of, Event::Failed(error))) = events.pop() else { panic!("it did not fail") };
    assert_eq!((of, error.kind), (id, Kind::Timeout(Deadline::Connect)));
}

#[test]
fn all_addresses_get_their_turn_before_the_deadline() {
    let (silent, _keep) = silent();
    let check = |addresses: usize, delay: u64| {
        let (client, _, now) = start(&vec![silent; addresses]);
        assert_eq!(client.next_deadline(), Some(now + Duration::from_millis(delay)), "{addresses}");
    };
    check(2, 250);
    check(16, 250);
    check(20, 200);
    check(1_000, 100);
}

/// Another exchange with the same origin.
fn exchange(client: &mut Client, now: Instant) -> Event {
    let pool = pools(client)[0];
    let origin = Arc::clone(&client.pools.get_mut(pool).unwrap().origin);
    let long = Duration::from_secs(100);
    let deadlines = Deadlines { connect: long, first_byte: long, gap: long, total: long };
    client.start(Request { origin, path: "/", headers: &[], body: Body::default(), deadlines }, now);
    finish(client, now)
}

fn answer(client: &mut Client, addresses: &[SocketAddr], now: Instant) {
    let found = Found { addresses: addresses.into(), config: None };
    client.resolved(Answer { pool: pools(client)[0], found: Ok(found) }, now);
}

/// Answers every request with the number of its connection.
fn counting_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                while stream.read(&mut [0; 1_000]).unwrap_or(0) > 0 {
                    write!(stream, "HTTP/1.1 200 -\r\ncontent-length: 1\r\n\r\n{number}").unwrap();
                }
            });
        }
    });
    address
}

#[test]
fn exchanges_on_a_connection_that_is_used_again_arm_no_timer() {
    let (mut client, _, now) = start(&[counting_server()]);
    assert!(matches!(finish(&mut client, now), Event::Response { .. }));
    let before = client.timers.len();
    for n in 0..100 {
        let event = exchange(&mut client, now + Duration::from_millis(n));
        assert!(matches!(event, Event::Response { .. }), "{event:?}");
    }
    assert_eq!(client.timers.len(), before);
}

#[test]
fn connections_to_addresses_that_are_gone_are_not_used_again() {
    let (old, new) = (counting_server(), counting_server());
    let (mut client, _, start) = start(&[old]);
    client.settings.idle_timeout = Duration::from_secs(1_000);
    let text = |event: Event| match event {
        Event::Response { body, .. } => String::from_utf8(body).unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(finish(&mut client, start)), "0");
    let connected_to = |client: &Client| {
        let key = client.connections.key_at(0)?;
        Some(client.connections.get(key)?.address)
    };
    let after = |seconds| start + Duration::from_secs(seconds);
    answer(&mut client, &[new], after(10));
    assert_eq!(text(exchange(&mut client, after(11))), "0");
    assert_eq!(connected_to(&client), Some(old), "name servers may answer with some at a time");
    answer(&mut client, &[new, old], after(50));
    answer(&mut client, &[new], after(109));
    assert_eq!(connected_to(&client), Some(old), "named a minute ago");
    answer(&mut client, &[new], after(110));
    assert_eq!(connected_to(&client), None, "closed while idle");
    assert_eq!(text(exchange(&mut client, after(111))), "0");
    assert_eq!(connected_to(&client), Some(new));

    // The answer comes while the connection is busy.
    let pool = pools(&client)[0];
    let origin = Arc::clone(&client.pools.get_mut(pool).unwrap().origin);
    let long = Duration::from_secs(1_000);
    let deadlines = Deadlines { connect: long, first_byte: long, gap: long, total: long };
    client.start(Request { origin, path: "/", headers: &[], body: Body::default(), deadlines }, after(112));
    answer(&mut client, &[old], after(180));
    assert_eq!(connected_to(&client), Some(new));
    assert_eq!(text(finish(&mut client, after(181))), "0", "and it still answers");
    assert_eq!(connected_to(&client), None, "closed after that");
}

#[test]
fn names_are_looked_up_again_beside_the_traffic() {
    let old = counting_server();
    let (mut client, _, start) = start(&[old]);
    client.settings.idle_timeout = Duration::from_secs(1_000);
    assert!(matches!(finish(&mut client, start), Event::Response { .. }));
    let pool = pools(&client)[0];
    let looking_up = |client: &mut Client| client.pools.get_mut(pool).unwrap().looking_up;
    let after = |seconds| start + Duration::from_secs(seconds);
    assert!(matches!(exchange(&mut client, after(9)), Event::Response { .. }));
    assert!(!looking_up(&mut client));
    // The lookup fails, and what was known before stays, also for who has to wait for it.
    assert!(matches!(exchange(&mut client, after(10)), Event::Response { .. }));
    let hang_guard = Instant::now() + Duration::from_secs(20);
    while looking_up(&mut client) {
        client.poll(after(10), &mut Vec::new());
        assert!(Instant::now() < hang_guard);
    }
    let idle = client.connections.key_at(0).unwrap();
    client.close(idle);
    assert!(matches!(exchange(&mut client, after(25)), Event::Response { .. }));
}
