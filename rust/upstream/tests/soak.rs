//! Many exchanges with a provider that misbehaves at random, cancelled and paused at random: every exchange ends
//! once, every body that is complete is right, and no connection slot leaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::io::Write;

use edgeroute_upstream::Kind;
use support::*;

/// splitmix64
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[test]
fn every_exchange_ends_once_and_nothing_leaks() {
    const CONNECTIONS: usize = 8;
    let server = Server::start(|number, mut stream| {
        let mut random = Random(number as u64);
        while let Some((_, body)) = read_request(&mut stream) {
            let (length, stream_type) = (body.len(), "content-type: text/event-stream\r\n");
            let kind = if random.below(2) == 0 { stream_type } else { "" };
            let polite = body.starts_with(b"be nice");
            let written = match if polite { 0 } else { random.below(10) } {
                0..4 => {
                    let head = format!("HTTP/1.1 200 -\r\n{kind}content-length: {length}\r\n\r\n");
                    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body))
                }
                4..6 => {
                    let head =
                        format!("HTTP/1.1 200 -\r\n{kind}transfer-encoding: chunked\r\n\r\n{length:x}\r\n");
                    let head = stream.write_all(head.as_bytes());
                    head.and_then(|()| stream.write_all(&body))
                        .and_then(|()| stream.write_all(b"\r\n0\r\n\r\n"))
                }
                6 => return,
                7 => return reset(stream),
                8 => {
                    let _ = stream.write_all(
                        format!("HTTP/1.1 200 -\r\n{kind}content-length: 9999\r\n\r\nx").as_bytes(),
                    );
                    return;
                }
                _ => stream.write_all(b"garbage"),
            };
            if written.is_err() {
                return;
            }
        }
    });
    let mut driver = Driver::with_connections(CONNECTIONS);
    let mut random = Random(7);
    let (mut complete, mut failed) = (0, 0);
    for round in 0..40 {
        let mut running = Vec::new();
        for n in 0..12 {
            let body = format!("{round}.{n};").repeat(1 + random.below(30_000) as usize);
            running.push((driver.start(&server.origin(), body.clone()), body));
            if random.below(2) == 0 {
                driver.poll();
            }
        }
        for (id, _) in &running {
            if random.below(4) == 0 {
                driver.client.set_reading(*id, false);
                driver.poll();
                driver.client.set_reading(*id, true);
            }
        }
        for (id, body) in running {
            if random.below(6) == 0 {
                driver.client.cancel(id);
                continue;
            }
            let outcome = driver.finish(id);
            if outcome.complete {
                complete += 1;
                assert!(outcome.text() == body);
            } else {
                failed += 1;
                let error = outcome.error.unwrap();
                assert!(matches!(error.kind, Kind::Cut | Kind::Protocol), "{error}");
            }
        }
    }
    assert!(complete > 50 && failed > 50, "{complete} complete, {failed} failed");
    // All slots are free: as many exchanges as there are connections run side by side.
    let ids = [0; CONNECTIONS].map(|_| driver.start(&server.origin(), "be nice"));
    for id in ids {
        assert_eq!(driver.finish(id).text(), "be nice");
    }
}
