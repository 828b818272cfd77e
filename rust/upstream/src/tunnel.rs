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
