//! A nonblocking connection, plain or as a TLS server: sends what the kernel takes and keeps the rest.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ServerConfig, ServerConnection};

/// What one read gives.
pub(crate) enum Received<'b> {
    Bytes(&'b [u8]),
    Nothing,
    Closed,
}

pub(crate) struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
    tls: Option<Box<ServerConnection>>,
}

impl Socket {
    /// Takes a connection that may still be connecting, and watches it.
    pub(crate) fn new(mut stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, unsent: Vec::new(), tls: None })
    }

    /// Expects the other side to begin with a handshake.
    pub(crate) fn speak_tls(&mut self, config: &Arc<ServerConfig>) -> Result<(), rustls::Error> {
        let mut session = ServerConnection::new(Arc::clone(config))?;
        session.set_buffer_limit(None);
        self.tls = Some(Box::new(session));
        Ok(())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(session) = &mut self.tls {
            session.writer().write_all(bytes)?;
            return send_records(session, &mut self.stream);
        }
        let sent = if self.unsent.is_empty() { write(&mut self.stream, bytes)? } else { 0 };
        self.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
        Ok(())
    }

    /// Sends what is left, after the socket became writable. Fails if it could not connect.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.tls {
            return send_records(session, &mut self.stream);
        }
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
        let read = match &mut self.tls {
            Some(session) => read_records(session, &mut self.stream, buffer),
            None => self.stream.read(buffer),
        };
        match read {
            Ok(0) => Ok(Received::Closed),
            Ok(count) => Ok(Received::Bytes(buffer.get(..count).unwrap_or_default())),
            Err(error) if is_not_yet(&error) => Ok(Received::Nothing),
            Err(error) => Err(error),
        }
    }
}

/// Bytes that records held; reads records until there are some.
fn read_records(
    session: &mut ServerConnection,
    stream: &mut TcpStream,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        match session.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if session.read_tls(stream)? == 0 {
            return Ok(0);
        }
        session.process_new_packets().map_err(io::Error::other)?;
        send_records(session, stream)?;
    }
}

fn send_records(session: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(stream) {
            Err(error) if is_not_yet(&error) => break,
            sent => sent?,
        };
    }
    Ok(())
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
