//! TLS for connections that ask for it: which authorities are trusted, and a session over bytes.

use std::io::{BufRead, IoSlice, Write};
use std::sync::{Arc, OnceLock};

use mio::net::TcpStream;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::error::{Failure, Kind};
use crate::roots::Roots;

/// The client's half of a TLS connection.
pub(crate) struct Session {
    connection: Box<ClientConnection>,
}

/// Trusts the system's authorities and these. Reads files: not for the event loop.
pub(crate) fn load_config(besides: Option<&Roots>) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system_roots().iter().cloned());
    // All of them are parsable: that was checked when they were loaded.
    roots.add_parsable_certificates(besides.map(Roots::certificates).unwrap_or_default().iter().cloned());
    if roots.is_empty() {
        return Err(failure("the system trusts no certificate authority; install ca-certificates"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failure(&error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Read once per process.
fn system_roots() -> &'static [CertificateDer<'static>] {
    static ROOTS: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    ROOTS.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

impl Session {
    pub(crate) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Self, Failure> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failure(&error.to_string()))?;
        let connection = ClientConnection::new(config, name).map_err(|error| failure(&error.to_string()))?;
        Ok(Self { connection: Box::new(connection) })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Appends what `data` decrypts to. True if the peer said it will send no more.
    pub(crate) fn decrypt(&mut self, mut data: &[u8], plain: &mut Vec<u8>) -> Result<bool, Failure> {
        while !data.is_empty() {
            let taken =
                self.connection.read_tls(&mut data).map_err(|error| Failure::io(Kind::Tls, &error))?;
            let state = self.connection.process_new_packets().map_err(|error| failure(&error.to_string()))?;
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.connection.reader();
            while left > 0 {
                let chunk = reader.fill_buf().map_err(|error| Failure::io(Kind::Tls, &error))?;
                let count = chunk.len();
                plain.extend_from_slice(chunk);
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
            if state.peer_has_closed() {
                return Ok(true);
            }
            if taken == 0 {
                return Err(failure("a TLS record is too large"));
            }
        }
        Ok(false)
    }

    /// Encrypts as much of the pieces as the send buffer takes; returns how much.
    pub(crate) fn encrypt(&mut self, pieces: &[IoSlice<'_>]) -> std::io::Result<usize> {
        self.connection.writer().write_vectored(pieces)
    }

    /// Sends what is encrypted. True if all of it went out.
    pub(crate) fn flush(&mut self, stream: &mut TcpStream) -> std::io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(stream) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cold]
fn failure(context: &str) -> Failure {
    Failure::new(Kind::Tls, context.to_owned())
}
