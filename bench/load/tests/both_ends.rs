//! The generator against the mock, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use edgeroute_load::{Arrivals, Load, Mock, Replies, Summary, Traffic, generate};

const MS: Duration = Duration::from_millis(1);
const EVENTS: usize = 7;

/// A mock whose streams take 5 ms to the first event and 1 ms to each other.
fn mock() -> SocketAddr {
    let replies = Replies { text: 100, events: EVENTS, first_event: 5 * MS, gap: MS };
    let mut mock = Mock::bind("127.0.0.1:0".parse().unwrap(), replies).unwrap();
    let address = mock.address().unwrap();
    thread::spawn(move || mock.run().unwrap());
    address
}

fn load(address: SocketAddr, path: &str, stream: bool) -> Load {
    let traffic = Traffic {
        authority: address.to_string(),
        path: path.into(),
        model: "mock".into(),
        key: None,
        stream,
    };
    Load {
        address,
        traffic,
        arrivals: Arrivals::new(500.0, None),
        duration: 200 * MS,
        connections: 200,
        patience: Duration::from_secs(60),
    }
}

fn run(load: &Load) -> Summary {
    let summary = generate(load).unwrap();
    assert_eq!(summary.due, summary.sent + summary.unsent);
    assert_eq!(summary.sent, summary.completed + summary.errors.values().sum::<u64>());
    assert_eq!(summary.latency_us.count, summary.completed);
    summary
}

#[test]
fn every_request_is_answered() {
    let address = mock();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let summary = run(&load(address, path, false));
        assert_eq!((summary.due, summary.completed), (100, 100), "{path}: {summary:?}");
        assert!(summary.cpu_seconds > 0.0);
    }
}

#[test]
fn streams_come_at_their_pace() {
    let address = mock();
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let summary = run(&load(address, path, true));
        assert_eq!((summary.completed, summary.events), (100, 100 * EVENTS as u64), "{path}: {summary:?}");
        assert!(summary.first_event_us.p50 >= 5_000.0, "{summary:?}");
        assert!(summary.latency_us.p50 >= 5_000.0 + 1_000.0 * EVENTS as f64, "{summary:?}");
        assert_eq!(summary.gap_us.count, 100 * (EVENTS as u64 - 1));
    }
}

#[test]
fn a_poisson_process_sends_about_as_many() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    load.arrivals = Arrivals::new(500.0, Some(3));
    let summary = run(&load);
    assert!((70..=130).contains(&summary.due), "{summary:?}");
    assert_eq!(summary.completed, summary.due);
}

#[test]
fn a_stall_shows_in_the_requests_that_fell_into_it() {
    const STALL: Duration = Duration::from_millis(300);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4_096];
        let mut stalled = false;
        while stream.read(&mut buffer).unwrap() > 0 {
            if !std::mem::replace(&mut stalled, true) {
                thread::sleep(STALL);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    let mut load = load(address, "/v1/chat/completions", false);
    load.connections = 1;
    load.duration = 2 * STALL;
    let summary = run(&load);
    // 150 of the 300 requests were due during the stall, and 50 of them in its first 100 ms. From the time of sending,
    // only the first one would show it.
    assert!(summary.latency_us.p90 >= 200_000.0, "{summary:?}");
    assert!(summary.latency_us.max >= 300_000.0, "{summary:?}");
    assert!(summary.send_delay_us.p90 >= 200_000.0, "{summary:?}");
    assert!(summary.behind);
}

#[test]
fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let summary = run(&load(address, "/v1/chat/completions", false));
    assert_eq!(summary.errors.get("connect"), Some(&summary.due), "{summary:?}");
}

#[test]
fn what_the_mock_does_not_serve() {
    let summary = run(&load(mock(), "/v1/other", false));
    assert_eq!(summary.errors.get("status 404"), Some(&summary.due), "{summary:?}");
}

#[test]
fn patience_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut load = load(listener.local_addr().unwrap(), "/v1/chat/completions", false);
    (load.connections, load.patience) = (10, 10 * MS);
    let began = Instant::now();
    let summary = run(&load);
    assert!(began.elapsed() >= 210 * MS);
    assert_eq!((summary.errors.get("unfinished"), summary.unsent), (Some(&10), 90), "{summary:?}");
    assert!(summary.behind);
}
