//! A client of Redis and Valkey: one blocking connection, commands out and replies in (RESP 2), TLS where asked.
//!
//! The specification is <https://redis.io/docs/latest/develop/reference/protocol-spec/>. Only what the store uses: no
//! cluster, no subscription, no scripts.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// To establish a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// For a reply, beyond what a command itself waits for.
const REPLY: Duration = Duration::from_secs(4);
/// Elements of an array, and arrays within arrays: far beyond what any command here is answered with.
const ELEMENTS: i64 = 1 << 16;
const DEPTH: usize = 8;
/// A line of a reply.
const LINE: u64 = 4096;

/// Where Redis is, and who we are there. Its Display has no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    tls: bool,
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
}

impl Address {
    /// Reads `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS.
    pub(crate) fn read(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return None,
        };
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, place) =
            place.rsplit_once('@').map_or((None, place), |(who, place)| (Some(who), place));
        let (user, password) = credentials.map_or(("", ""), |who| who.split_once(':').unwrap_or(("", who)));
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, "6379"),
            Some((host, port)) => (host, port.strip_prefix(':')?),
            None => place.split_once(':').unwrap_or((place, "6379")),
        };
        let given = |text: &str| if text.is_empty() { Some(None) } else { Some(Some(decoded(text)?)) };
        Some(Self {
            tls,
            host: Some(host).filter(|host| !host.is_empty())?.to_owned(),
            port: port.parse().ok()?,
            user: given(user)?,
            password: given(password)?,
            database: if database.is_empty() { 0 } else { database.parse().ok()? },
        })
    }

    /// What Redis said, without our credentials: to a command that it does not know, it repeats the arguments.
    pub(crate) fn without_credentials(&self, said: &str) -> String {
        let credentials = self.password.iter().chain(&self.user);
        credentials.fold(said.to_owned(), |said, credential| said.replace(credential, "********"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Percent-encoding undone.
fn decoded(text: &str) -> Option<String> {
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(out).ok()
}

/// What a command is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Nothing,
    Integer(i64),
    Bytes(Vec<u8>),
    List(Vec<Reply>),
}

impl Reply {
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    pub(crate) fn number(self) -> Option<u64> {
        if let Self::Integer(number) = self { number.try_into().ok() } else { None }
    }

    pub(crate) fn list(self) -> Vec<Self> {
        if let Self::List(list) = self { list } else { Vec::new() }
    }
}

/// One connection; useless after an error.
pub(crate) struct Connection {
    stream: BufReader<Stream>,
    out: Vec<u8>,
    /// Longer values are read and thrown away.
    longest: usize,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects and says who we are. `longest` is the longest value that is worth having.
    pub(crate) fn open(address: &Address, longest: usize) -> io::Result<Self> {
        let mut tried = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for each in (address.host.as_str(), address.port).to_socket_addrs()? {
            tried = TcpStream::connect_timeout(&each, CONNECT);
            if tried.is_ok() {
                break;
            }
        }
        let socket = tried?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(REPLY))?;
        socket.set_write_timeout(Some(REPLY))?;
        let stream = if address.tls {
            Stream::Tls(Box::new(StreamOwned::new(session(&address.host)?, socket)))
        } else {
            Stream::Plain(socket)
        };
        let mut connection = Self { stream: BufReader::new(stream), out: Vec::new(), longest };
        if let Some(password) = &address.password {
            match &address.user {
                Some(user) => connection.ask(&[b"AUTH", user.as_bytes(), password.as_bytes()])?,
                None => connection.ask(&[b"AUTH", password.as_bytes()])?,
            };
        }
        if address.database != 0 {
            connection.ask(&[b"SELECT", address.database.to_string().as_bytes()])?;
        }
        Ok(connection)
    }

    /// One command and its reply.
    pub(crate) fn ask(&mut self, command: &[&[u8]]) -> io::Result<Reply> {
        self.send(command);
        self.reply()
    }

    /// A command that is on its way with the next reply, which is that of the first one sent.
    pub(crate) fn send(&mut self, command: &[&[u8]]) {
        self.out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
        for part in command {
            self.out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            self.out.extend_from_slice(part);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// The next reply; an error that Redis replies with is one.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        if !self.out.is_empty() {
            self.stream.get_mut().write_all(&self.out)?;
            self.out.clear();
        }
        read(&mut self.stream, self.longest, DEPTH)
    }
}

fn read(from: &mut impl BufRead, longest: usize, depth: usize) -> io::Result<Reply> {
    let line = line(from)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| broken("an empty line"))?;
    let number = || rest.parse::<i64>().map_err(|_| broken("a length"));
    match kind {
        "+" => Ok(Reply::Bytes(rest.as_bytes().to_vec())),
        "-" => Err(io::Error::other(rest.to_owned())),
        ":" => Ok(Reply::Integer(number()?)),
        "$" => match usize::try_from(number()?) {
            Err(_) => Ok(Reply::Nothing),
            Ok(length) => value(from, length, longest),
        },
        "*" => {
            let count = number()?;
            if depth == 0 || count > ELEMENTS {
                return Err(broken("a list"));
            }
            if count < 0 {
                return Ok(Reply::Nothing);
            }
            (0..count).map(|_| read(from, longest, depth - 1)).collect::<io::Result<_>>().map(Reply::List)
        }
        _ => Err(broken("a kind of reply")),
    }
}

fn value(from: &mut impl BufRead, length: usize, longest: usize) -> io::Result<Reply> {
    let reply = if length > longest {
        skip(from, length)?;
        Reply::Nothing
    } else {
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes)?;
        Reply::Bytes(bytes)
    };
    if line(from)?.is_empty() { Ok(reply) } else { Err(broken("a value")) }
}

fn skip(from: &mut impl BufRead, length: usize) -> io::Result<()> {
    let skipped = io::copy(&mut from.by_ref().take(length as u64), &mut io::sink())?;
    if skipped == length as u64 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.by_ref().take(LINE).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(line.to_owned()),
        None if line.is_empty() => {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed"))
        }
        None => Err(broken("a line")),
    }
}

#[cold]
fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the reply has {what} that is not of Redis' protocol"))
}

/// With the system's authorities, or those that SSL_CERT_FILE names.
fn session(host: &str) -> io::Result<ClientConnection> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn addresses() {
        let plain = Address {
            tls: false,
            host: "cache".to_owned(),
            port: 6379,
            user: None,
            password: None,
            database: 0,
        };
        let secret = Some("p@ss/w:d".to_owned());
        for (url, expected) in [
            ("redis://cache", Some(plain.clone())),
            ("redis://cache:7000/3", Some(Address { port: 7000, database: 3, ..plain.clone() })),
            (
                "rediss://:p%40ss%2fw%3Ad@cache/",
                Some(Address { tls: true, password: secret.clone(), ..plain.clone() }),
            ),
            (
                "redis://me:p%40ss%2Fw:d@cache",
                Some(Address { user: Some("me".to_owned()), password: secret, ..plain.clone() }),
            ),
            ("redis://[::1]:1", Some(Address { host: "::1".to_owned(), port: 1, ..plain.clone() })),
            ("redis://[::1]", Some(Address { host: "::1".to_owned(), ..plain })),
            ("http://cache", None),
            ("redis://", None),
            ("redis://cache:port", None),
            ("redis://cache/name", None),
            ("redis://:%zz@cache", None),
            ("cache:6379", None),
        ] {
            assert!(Address::read(url) == expected, "{url}");
        }
        let address = Address::read("redis://me:secret@cache:1").unwrap();
        assert_eq!(address.to_string(), "cache:1");
        assert_eq!(
            address
                .without_credentials("ERR unknown command 'AUTH', with args beginning with: 'me' 'secret'"),
            "ERR unknown command 'AUTH', with args beginning with: '********' '********'"
        );
    }

    #[test]
    fn replies() {
        let bytes = |text: &str| Reply::Bytes(text.as_bytes().to_vec());
        for (text, expected) in [
            ("+OK\r\n", Ok(bytes("OK"))),
            (":-7\r\n", Ok(Reply::Integer(-7))),
            ("$3\r\na\r\n\r\n", Ok(bytes("a\r\n"))),
            ("$0\r\n\r\n", Ok(bytes(""))),
            ("$-1\r\n", Ok(Reply::Nothing)),
            ("$6\r\n123456\r\n", Ok(Reply::Nothing)),
            ("*-1\r\n", Ok(Reply::Nothing)),
            (
                "*2\r\n:1\r\n*1\r\n$1\r\nx\r\n",
                Ok(Reply::List(vec![Reply::Integer(1), Reply::List(vec![bytes("x")])])),
            ),
            ("-NOAUTH who are you\r\n", Err("NOAUTH who are you")),
            ("", Err("the connection was closed")),
            ("+OK", Err("a line")),
            ("?\r\n", Err("a kind of reply")),
            ("\r\n", Err("an empty line")),
            ("$x\r\n", Err("a length")),
            ("$1\r\nxy\r\n", Err("a value")),
            ("$5\r\n12", Err("failed to fill whole buffer")),
            ("$9\r\n12", Err("unexpected end of file")),
            ("*99999\r\n", Err("a list")),
            (&"*1\r\n".repeat(9), Err("a list")),
        ] {
            let found = read(&mut text.as_bytes(), 5, DEPTH).map_err(|error| error.to_string());
            match (found, expected) {
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{text:?}: {found}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{text:?}"),
            }
        }
    }
}
