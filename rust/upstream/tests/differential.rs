//! Our reader beside hyper's client: the same bytes in the same pieces, and the same verdict, status, headers and body.
//! Where ours is stricter on purpose, the table says why; nowhere does it accept what hyper refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod corpus;

use std::collections::VecDeque;
use std::error::Error as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use corpus::{Entry, Hyper, LARGE, entries};
use edgeroute_upstream::Reader;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::rt::{ReadBufCursor, Write};
use hyper::{Request, Response};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Whole {
        status: u16,
        /// End-to-end headers, sorted by name; values of one name in their order.
        headers: Vec<(String, Vec<u8>)>,
        body: Vec<u8>,
    },
    /// The connection closed too early.
    Cut,
    Refused,
}

fn ours(pieces: &[&[u8]]) -> Verdict {
    let mut reader = Reader::default();
    if pieces.iter().any(|piece| reader.feed(piece).is_err()) {
        return Verdict::Refused;
    }
    if !reader.end_of_input() {
        return Verdict::Cut;
    }
    let head = reader.take_head().unwrap();
    let headers = head.iter().map(|(name, value)| (name.to_owned(), value.to_vec()));
    Verdict::Whole { status: head.status(), headers: sorted(headers), body: reader.take_body() }
}

fn sorted(headers: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut headers: Vec<_> = headers.collect();
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    headers
}

/// A socket that gives the pieces once the request is written, and closes then.
struct Socket {
    pieces: VecDeque<Vec<u8>>,
    written: bool,
}

impl hyper::rt::Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.written {
            return Poll::Pending;
        }
        if let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn hypers(pieces: &[&[u8]]) -> Verdict {
    // An empty piece would be the end.
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    let exchange = async {
        let mut builder = http1::Builder::new();
        builder.max_headers(128);
        let (mut sender, connection) =
            builder.handshake(Socket { pieces, written: false }).await.expect("needs no bytes");
        let request = Request::post("/").body(String::new()).unwrap();
        let mut response = pin!(async {
            let response = sender.send_request(request).await?;
            collect(response).await
        });
        let mut connection = pin!(connection);
        std::future::poll_fn(|context| {
            // What goes wrong with the connection is told to the response too.
            _ = connection.as_mut().poll(context);
            response.as_mut().poll(context)
        })
        .await
    };
    match run(exchange) {
        Ok(verdict) => verdict,
        Err(error) if is_cut(&error) => Verdict::Cut,
        Err(_) => Verdict::Refused,
    }
}

async fn collect(response: Response<Incoming>) -> Result<Verdict, hyper::Error> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await.transpose()?
    {
        body.extend(frame.into_data().unwrap_or_default());
    }
    let nominated: Vec<String> = head
        .headers
        .get_all("connection")
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    let end_to_end = |name: &str| {
        const NOT: [&str; 9] = [
            "connection",
            "content-length",
            "keep-alive",
            "proxy-authenticate",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        !NOT.contains(&name) && !nominated.iter().any(|nominated| nominated == name)
    };
    let headers = head.headers.iter().filter(|(name, _)| end_to_end(name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()));
    Ok(Verdict::Whole { status: head.status.as_u16(), headers: sorted(headers), body })
}

fn is_cut(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || source.is_some_and(|source| source.kind() == io::ErrorKind::UnexpectedEof)
}

/// All bytes are there: it needs to be asked a few times at most.
fn run<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut context) = (pin!(future), Context::from_waker(Waker::noop()));
    for _ in 0..100_000 {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
    panic!("hyper waits for something")
}

/// What is not as the table says of an input, for the given pieces of it.
fn disagreement(name: &str, hyper: Hyper, pieces: &[&[u8]]) -> Option<String> {
    let (ours, hypers) = (ours(pieces), hypers(pieces));
    let sizes: Vec<usize> = pieces.iter().map(|piece| piece.len()).collect();
    let expected = match hyper {
        Hyper::Agrees => ours == hypers,
        Hyper::Accepts(_) => ours == Verdict::Refused && matches!(hypers, Verdict::Whole { .. }),
        Hyper::WantsMore(_) => ours == Verdict::Refused && hypers == Verdict::Cut,
    };
    (!expected)
        .then(|| format!("{name:?} in pieces of {sizes:?}: {hyper:?}, but ours {ours:?}, hyper's {hypers:?}"))
}

#[test]
fn the_same_verdict_for_every_cut_into_two_parts() {
    let (mut cuts, mut disagreements) = (0, Vec::new());
    for Entry { input, hyper } in entries() {
        let name = String::from_utf8_lossy(&input[..input.len().min(300)]).into_owned();
        let step = if input.len() > LARGE { 4_099 } else { 1 };
        let found = (0..input.len().max(1)).step_by(step).find_map(|cut| {
            cuts += 1;
            disagreement(&name, hyper, &[&input[..cut], &input[cut..]])
        });
        disagreements.extend(found);
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n\n"));
    assert!(cuts > 5_000, "{cuts}");
}

#[test]
fn what_is_incomplete_is_so_for_both() {
    for Entry { input, hyper } in entries() {
        if matches!(hyper, Hyper::Agrees) && input.len() <= LARGE {
            for end in 0..input.len() {
                let (ours, hypers) = (ours(&[&input[..end]]), hypers(&[&input[..end]]));
                // Which of the two wrongs is seen first differs.
                let neither = |verdict: &Verdict| !matches!(verdict, Verdict::Whole { .. });
                assert!(
                    ours == hypers || (neither(&ours) && neither(&hypers)),
                    "{:?}: ours {ours:?}, hyper's {hypers:?}",
                    String::from_utf8_lossy(&input[..end])
                );
            }
        }
    }
}

static SMALL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    entries().into_iter().map(|entry| entry.input).filter(|input| input.len() <= LARGE).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Never looser: what ours accepts, hyper accepts and understands the same.
    #[test]
    fn what_ours_accepts_hyper_reads_the_same(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut input = SMALL[which.index(SMALL.len())].clone();
        for (at, byte, how) in damage {
            let at = at.index(input.len() + 1);
            match how {
                0 if at < input.len() => input[at] = byte,
                1 if at < input.len() => _ = input.remove(at),
                _ => input.insert(at, byte),
            }
        }
        let pieces = input.split_at(cut.index(input.len() + 1));
        let (ours, hypers) = (ours(&[pieces.0, pieces.1]), hypers(&[pieces.0, pieces.1]));
        match ours {
            Verdict::Refused => {}
            // It may be that hyper has told already what is wrong.
            Verdict::Cut => prop_assert!(!matches!(hypers, Verdict::Whole { .. }), "{hypers:?}"),
            Verdict::Whole { .. } => prop_assert_eq!(ours, hypers, "{:?}", String::from_utf8_lossy(&input)),
        }
    }
}
