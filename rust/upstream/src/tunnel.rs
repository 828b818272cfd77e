//! Asking a proxy for a tunnel (CONNECT, RFC 9110 §9.3.6), without doing I/O itself.

use crate::error::{Failure, Kind};
use crate::origin::Route;
use crate::response::{Malformed, Reader};

/// A tunnel that is not open yet: the question as far as it is unsent, and the answer as far as it has come.
pub(crate) struct Tunnel {
    request: Vec<u8>,
    sent: usize,
    answer: Reader,
    has_credentials: bool,
}

impl Tunnel {
    /// `None` if the route has no proxy.
    pub(crate) fn for_route(route: &Route) -> Option<Self> {
        let proxy = route.proxy.as_ref()?;
        let target = route.target();
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
        if let Some(authorization) = &proxy.authorization {
            request.push_str("proxy-authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        Some(Self {
            request: request.into_bytes(),
            sent: 0,
            answer: Reader::of_connect(),
            has_credentials: proxy.authorization.is_some(),
        })
    }

    /// What is still to be sent to the proxy.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.request.get(self.sent..).unwrap_or_default()
    }

    pub(crate) fn mark_sent(&mut self, count: usize) {
        self.sent += count;
    }

    /// Takes in what the proxy says. True once the tunnel is open.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let fed = self.answer.feed(bytes);
        match self.answer.head().map(|head| head.status()) {
            Some(status) if !(200..300).contains(&status) => Err(self.refused(status)),
            head => match fed {
                Ok(()) => Ok(head.is_some()),
                Err(Malformed(reason)) => {
                    Err(Failure::new(Kind::Connect, format!("the proxy's answer is malformed: {reason}")))
                }
            },
        }
    }

    #[cold]
    fn refused(&self, status: u16) -> Failure {
        let why = match (status, self.has_credentials) {
            (407, true) => "it does not accept the configured user and password",
            (407, false) => "it wants a user and password, as in http://user:password@host:port",
            _ => "it opened no tunnel",
        };
        Failure::new(Kind::Connect, format!("the proxy answered {status}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Origin, Proxy};

    fn tunnel(origin: &str, proxy: &str) -> Tunnel {
        let origin = Origin::parse(origin).unwrap().through(Proxy::parse(proxy).unwrap());
        Tunnel::for_route(origin.route()).unwrap()
    }

    /// What the last piece led to, or the first failure.
    fn receive(pieces: &[&[u8]]) -> Result<bool, String> {
        let mut tunnel = tunnel("https://host", "http://proxy:1");
        let mut open = false;
        for piece in pieces {
            open = tunnel.receive(piece).map_err(|failure| failure.context.into_owned())?;
        }
        Ok(open)
    }

    /// Whole, byte by byte, and in every cut into two parts: always the same.
    fn receive_every_way(answer: &[u8]) -> Result<bool, String> {
        let whole = receive(&[answer]);
        assert_eq!(receive(&answer.chunks(1).collect::<Vec<_>>()), whole);
        for cut in 0..=answer.len() {
            assert_eq!(receive(&[&answer[..cut], &answer[cut..]]), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn asks_for_the_host_and_port() {
        let check = |origin: &str, proxy: &str, expected: &str| {
            let mut tunnel = tunnel(origin, proxy);
            assert_eq!(std::str::from_utf8(tunnel.unsent()), Ok(expected));
            tunnel.mark_sent(8);
            assert_eq!(tunnel.unsent(), &expected.as_bytes()[8..]);
            tunnel.mark_sent(expected.len() - 8);
            assert!(tunnel.unsent().is_empty());
        };
        let plain = "CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\n\r\n";
        check("https://host/v1", "http://proxy:1", plain);
        let with_credentials = "CONNECT [::1]:80 HTTP/1.1\r\nhost: [::1]:80\r\n\
            proxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n";
        check("http://[::1]", "http://user:pass@proxy:1", with_credentials);
    }

    #[test]
    fn any_success_opens_it() {
        for answer in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\nproxy-agent: x\r\n\r\n",
            "HTTP/1.1 204\r\n\r\n",
            "HTTP/1.1 299 -\r\n\r\n",
            "HTTP/1.1 103 -\r\na: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            // What a head says of a body is to be ignored.
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: x\r\n\r\n",
        ] {
            assert_eq!(receive_every_way(answer.as_bytes()), Ok(true), "{answer}");
            let incomplete = &answer.as_bytes()[..answer.len() - 1];
            assert_eq!(receive_every_way(incomplete), Ok(false), "{answer}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        let check = |answer: &str, expected: &str| {
            assert_eq!(receive_every_way(answer.as_bytes()), Err(expected.to_owned()), "{answer}");
        };
        let no_tunnel = |status: u16| format!("the proxy answered {status}: it opened no tunnel");
        check("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", &no_tunnel(403));
        check("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\nmore", &no_tunnel(302));
        check("HTTP/1.1 502 -\r\ntransfer-encoding: chunked\r\n\r\nnonsense", &no_tunnel(502));
        let malformed = |reason: &str| format!("the proxy's answer is malformed: {reason}");
        let early = malformed("bytes follow the end of the response");
        check("HTTP/1.1 200 OK\r\n\r\nx", &early);
        check("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", &early);
        check("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", &early);
        check("SSH-2.0-OpenSSH\r\n", &malformed("the response does not begin with HTTP/1."));
        check("HTTP/1.1 200 OK\n\n", &malformed("a line ends without CR"));
        check("HTTP/1.1 2x0 OK\r\n\r\n", &malformed("the status is malformed"));
        check("HTTP/1.1 101 Switching\r\n\r\n", &malformed("the protocol was switched unasked"));
        let endless = ["HTTP/1.1 200 OK\r\nx: ", &"y".repeat(65_536)].concat();
        assert_eq!(receive(&[endless.as_bytes()]), Err(malformed("the head is larger than 64 KiB")));
    }

    proptest! {
        /// The naive twin: split at the first empty line and look at the status.
        #[test]
        fn answers_are_judged_the_same_however_cut(
            status in 200..600_u16,
            headers in prop::collection::vec("[a-z]{1,8}: [ -~]{0,12}\r\n", 0..4),
            after in prop::collection::vec(any::<u8>(), 0..4),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut answer = format!("HTTP/1.1 {status} -\r\n{}\r\n", headers.concat()).into_bytes();
            answer.extend(&after);
            let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
            borders.extend([0, answer.len()]);
            borders.sort_unstable();
            let pieces: Vec<&[u8]> = borders.windows(2).map(|pair| &answer[pair[0]..pair[1]]).collect();
            let judged = receive(&pieces);
            match (status, after.is_empty()) {
                (..300, true) => prop_assert_eq!(judged, Ok(true)),
                (..300, false) => prop_assert!(judged.unwrap_err().contains("bytes follow")),
                _ => {
                    let expected = format!("the proxy answered {status}: ");
                    prop_assert!(judged.unwrap_err().starts_with(&expected));
                }
            }
        }

        #[test]
        fn damage_never_panics_and_is_judged_the_same_however_cut(
            damage in prop::collection::vec((0..60_usize, any::<u8>()), 1..4),
        ) {
            let mut answer = b"HTTP/1.1 200 OK\r\nproxy-agent: some\r\nx-y: z\r\n\r\n".to_vec();
            for (at, byte) in damage {
                if let Some(place) = answer.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = receive_every_way(&answer);
        }
    }
}
