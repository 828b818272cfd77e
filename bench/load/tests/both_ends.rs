//! The generator against the mock, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use edgeroute_load::{Arrivals, Engine, Kind, Load, Mix, Mock, Prompts, Summary, Traffic, generate};

const MS: Duration = Duration::from_millis(1);
const EVENTS: u64 = 7;

fn mock() -> SocketAddr {
    start(None)
}

fn start(engine: Option<Engine>) -> SocketAddr {
    let mut mock = Mock::bind("127.0.0.1:0".parse().unwrap(), None, engine).unwrap();
    let address = mock.address().unwrap();
    thread::spawn(move || mock.run().unwrap());
    address
}

/// Streams take 5 ms to the first event and 1 ms to each other.
fn load(address: SocketAddr, path: &str, stream: bool) -> Load {
    let traffic = Traffic {
        authority: address.to_string(),
        path: path.into(),
        model: "mock".into(),
        key: None,
        streams: if stream { 1.0 } else { 0.0 },
        body: 0,
        mock: Some(format!(r#"{{"events":{EVENTS},"first_ms":5,"gap_ms":1}}"#)),
        mix: Mix::default(),
        prompts: Prompts::default(),
    };
    Load {
        address,
        traffic,
        arrivals: Some(Arrivals::new(500.0, None)),
        duration: 200 * MS,
        count: u64::MAX,
        connections: 200,
        connected: false,
        patience: Duration::from_secs(60),
    }
}

fn run(load: &Load) -> Summary {
    let summary = generate(load).unwrap();
    assert_eq!(summary.due, summary.sent + summary.unsent);
    let others = summary.errors.values().chain(summary.meant.values()).sum::<u64>();
    assert_eq!(summary.sent, summary.completed + others);
    assert_eq!(summary.latency_us.count, summary.completed);
    assert!(summary.completed_meanwhile <= summary.completed && summary.sending_seconds <= summary.seconds);
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
        assert_eq!((summary.completed, summary.events), (100, 100 * EVENTS), "{path}: {summary:?}");
        assert!(summary.first_event_us.p50 >= 5_000.0, "{summary:?}");
        assert!(summary.latency_us.p50 >= 5_000.0 + 1_000.0 * EVENTS as f64, "{summary:?}");
        assert_eq!(summary.gap_us.count, 100 * (EVENTS - 1));
        assert_eq!(summary.event_delay_us.count, 100 * EVENTS);
    }
}

#[test]
fn a_poisson_process_sends_about_as_many() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    load.arrivals = Some(Arrivals::new(500.0, Some(3)));
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
fn connections_are_open_beforehand() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    (load.connected, load.connections, load.count) = (true, 30, 10);
    let summary = run(&load);
    assert_eq!((summary.connections, summary.sent, summary.completed), (30, 10, 10), "{summary:?}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (load.address, load.patience) = (listener.local_addr().unwrap(), 10 * MS);
    assert_eq!(generate(&load).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
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

#[test]
fn a_burst_is_one_write() {
    let mut load = load(mock(), "/v1/chat/completions", true);
    load.traffic.mock = Some(r#"{"events":100,"first_ms":0,"gap_ms":0}"#.into());
    let summary = run(&load);
    assert_eq!((summary.completed, summary.events), (100, 10_000), "{summary:?}");
    assert!(summary.gap_us.p90 < 1.0, "{summary:?}");
}

#[test]
fn without_a_rate_each_connection_sends_when_it_has_the_answer() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    (load.arrivals, load.count, load.connections) = (None, 1_000, 4);
    load.duration = Duration::from_secs(60);
    let summary = run(&load);
    assert_eq!((summary.sent, summary.completed, summary.connections), (1_000, 1_000, 4), "{summary:?}");
    assert!(summary.seconds < 30.0, "it ends with the last request");
    assert!(summary.completed_meanwhile >= 900, "{summary:?}");
    assert!(!summary.behind, "{summary:?}");
}

#[test]
fn a_body_of_200_kb() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    load.traffic.body = 200_000;
    assert_eq!(run(&load).completed, 100);
}

#[test]
fn what_is_not_good_is_counted_apart() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    load.traffic.mix = Mix { malformed: 0.0, abandoned: 0.1, failing: 0.1 };
    let summary = run(&load);
    let meant: Vec<_> = summary.meant.keys().copied().collect();
    assert_eq!(meant, [Kind::Abandoned, Kind::Failing], "{summary:?}");
    assert!((78..=82).contains(&summary.completed) && summary.errors.is_empty(), "{summary:?}");
    // The mock does not look at keys and models, so some of what makes no sense is answered.
    load.traffic.mix = Mix { malformed: 1.0, ..Mix::default() };
    let summary = run(&load);
    assert!(summary.meant.contains_key(&Kind::Malformed), "{summary:?}");
    assert!(summary.errors.contains_key("malformed: status 200"), "{summary:?}");
    assert_eq!(summary.completed, 0);
}

#[test]
fn a_reply_that_the_mock_does_not_know_is_refused() {
    let mut load = load(mock(), "/v1/chat/completions", false);
    load.traffic.mock = Some(r#"{"colour":"blue"}"#.into());
    assert!(generate(&load).is_err());
}

/// The body of a reply that has a length.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut reply = String::new();
    let mut buffer = [0; 4_096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{reply}");
        reply += std::str::from_utf8(&buffer[..count]).unwrap();
        let Some((head, body)) = reply.split_once("\r\n\r\n") else { continue };
        let (_, length) = head.split_once("content-length: ").unwrap();
        if body.len() == length.lines().next().unwrap().parse::<usize>().unwrap() {
            return body.into();
        }
    }
}

#[test]
fn an_engine_says_what_was_cached_and_takes_its_time() {
    let address = start(Some(Engine { prefill: 10_000, cache: 10_000 }));
    let question = "q".repeat(4_000);
    let body = format!(
        r#"{{"mock":{{"events":5,"gap_ms":2}},"system":"s","messages":[{{"role":"user","content":"{question}"}}]}}"#
    );
    let began = Instant::now();
    let first = ask(address, "POST", "/v1/chat/completions", &body);
    assert!(began.elapsed() >= 100 * MS + 5 * 2 * MS, "{:?}", began.elapsed());
    assert!(first.contains(r#""prompt_tokens_details":{"cached_tokens":0}"#), "{first}");
    let second = ask(address, "POST", "/v1/messages", &body);
    assert!(second.contains(r#""usage":{"input_tokens":48,"cache_read_input_tokens":960,"#), "{second}");
    let metrics = ask(address, "GET", "/metrics", "");
    let expected =
        ["running{model_name=\"mock\"} 0\n", "queries_total{model_name=\"mock\"} 2016\n", "} 960\n"];
    assert!(expected.iter().all(|each| metrics.contains(each)), "{metrics}");
}

#[test]
fn prompts_of_an_engine_are_read_one_after_the_other() {
    // 130 tokens or more each, none of which is cached: 13 ms, and 5 ms from one to the next.
    let address = start(Some(Engine { prefill: 10_000, cache: 0 }));
    let mut load = load(address, "/v1/chat/completions", true);
    load.arrivals = Some(Arrivals::new(200.0, None));
    let summary = run(&load);
    assert_eq!((summary.completed, summary.events), (40, 40 * EVENTS), "{summary:?}");
    assert!(summary.first_event_us.p50 > 20.0 * 8_000.0, "{summary:?}");
    assert!(summary.first_event_us.max > 40.0 * 8_000.0, "{summary:?}");
}
