//! A nonblocking connection: sends what the kernel takes and keeps the rest.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What one read gives.
pub(crate) enum Received<'b> {
    Bytes(&'b [u8]),
    Nothing,
    Closed,
}

pub(crate) struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Socket {
    /// Takes a connection that may still be connecting, and watches it.
    pub(crate) fn new(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, unsent: Vec::new() })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = if self.unsent.is_empty() { write(&mut self.stream, bytes)? } else { 0 };
        self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        Ok(())
    }

    /// Sends what is left, after the socket became writable. Fails if it could not connect.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        let sent = write(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..sent);
        Ok(())
    }

    /// Reads once. Readiness is reported once: read on until there is [`Received::Nothing`].
    pub(crate) fn receive<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<Received<'b>> {
        match self.stream.read(buffer) {
            Ok(0) => Ok(Received::Closed),
            Ok(count) => Ok(Received::Bytes(buffer.get(..count).unwrap_or_default())),
            Err(error) if is_not_yet(&error) => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// How many bytes the kernel took.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if is_not_yet(&error) => Ok(0),
        result => result,
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
