//! Where a request goes: scheme, host and port of a base URL, its base path, and how connections get there.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use crate::proxy::Proxy;
use crate::roots::Roots;

/// A base URL such as `https://api.example.com/v1`, checked once when the configuration loads, with the proxy it is
/// reached through, the authorities it trusts and the address it is known to have, if there are any.
///
/// Connections are shared between origins with the same scheme, host, port, address, proxy, authorities and limits; the
/// base path does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    route: Route,
    base_path: String,
    authority: String,
    name: String,
}

/// All that a connection depends on: what makes two origins share connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Where to connect in place of the host, which is still whom the other end must be.
    pub(crate) address: Option<IpAddr>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) roots: Option<Roots>,
    pub(crate) limits: Limits,
}

/// What the exchanges with an origin may take, in one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Open connections; further exchanges wait in turn. At least 1.
    pub connections: usize,
    /// Exchanges that wait; further ones fail at once ([`Kind::QueueFull`](crate::Kind::QueueFull)).
    pub waiting: usize,
}

impl Default for Limits {
    /// As many connections as a worker has to clients (`max_connections`): where a provider takes them all, no client
    /// waits for another.
    fn default() -> Self {
        Self { connections: 4_096, waiting: 4_096 }
    }
}

/// Why a base URL is refused. The URL itself is not repeated: it might hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// Neither `http://` nor `https://`.
    #[error("a base URL must start with http:// or https://")]
    Scheme,
    /// `user:password@` before the host.
    #[error("a base URL must not contain credentials; set the provider's key instead")]
    Credentials,
    /// No host, or characters that no host name has.
    #[error(
        "the host must be a name in ASCII (punycode for others), an IPv4 address, or an IPv6 address in []"
    )]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Query, fragment, spaces or control characters.
    #[error("the path of a base URL must not contain `?`, `#`, spaces or characters outside ASCII")]
    Path,
}

impl Origin {
    /// Parses an absolute http or https URL without credentials, query and fragment.
    pub fn parse(url: &str) -> Result<Self, InvalidOrigin> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidOrigin::Scheme)?;
        let tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(InvalidOrigin::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(InvalidOrigin::Credentials);
        }
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#') {
            return Err(InvalidOrigin::Path);
        }
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(default_port);
        let route = Route {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            address: None,
            proxy: None,
            roots: None,
            limits: Limits::default(),
        };
        let authority =
            if port == default_port { bracketed(&route.host) } else { host_and_port(&route.host, port) };
        Ok(Self {
            base_path: path.trim_end_matches('/').to_owned(),
            authority,
            name: route.to_string(),
            route,
        })
    }

    /// Connected to at this address: the host is not looked up, and remains what the `host` header, SNI and the
    /// certificate say.
    pub fn at(mut self, address: IpAddr) -> Self {
        self.route.address = Some(address);
        self.name = self.route.to_string();
        self
    }

    /// Reached through a tunnel that the proxy opens, whatever the scheme.
    pub fn through(mut self, proxy: Proxy) -> Self {
        self.route.proxy = Some(proxy);
        self.name = self.route.to_string();
        self
    }

    /// Trusts these authorities besides those of the system. Without meaning where the scheme is http.
    pub fn trusting(mut self, roots: Roots) -> Self {
        self.route.roots = Some(roots);
        self
    }

    /// Bounds what its exchanges take. Origins with different limits do not share connections.
    pub fn limited_to(mut self, limits: Limits) -> Self {
        self.route.limits = limits;
        self
    }

    /// Whether the scheme is https.
    pub fn is_tls(&self) -> bool {
        self.route.tls
    }

    /// Lower-case host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.route.host
    }

    /// The port, explicit or the scheme's default.
    pub fn port(&self) -> u16 {
        self.route.port
    }

    /// The URL's path without trailing slashes; empty for a bare origin.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The value of the `host` header: the port is left out where it is the scheme's default.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port, and the address and the proxy if there is one: `http://gpu:8000 at 10.0.0.7`,
    /// `https://api.example.com:443 through proxy:3128`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}

/// NOTE: a route is hashed for each request. Host and port tell nearly all apart; to hash the rest takes longer than they
/// do.
impl Hash for Route {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.host.hash(hasher);
        self.port.hash(hasher);
    }
}

impl Route {
    /// Host and port of who is connected to, if that has to be looked up: the proxy, if there is one.
    pub(crate) fn peer(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// Who is connected to, if that needs no look-up.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        let (host, port) = self.peer();
        let known = self.address.filter(|_| self.proxy.is_none());
        Some(SocketAddr::new(known.or_else(|| host.parse().ok())?, port))
    }

    /// Host and port, as a proxy is asked for them.
    pub(crate) fn target(&self) -> String {
        match self.address {
            Some(address) => SocketAddr::new(address, self.port).to_string(),
            None => host_and_port(&self.host, self.port),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", scheme(self.tls), host_and_port(&self.host, self.port))?;
        self.address.map_or(Ok(()), |address| write!(f, " at {address}"))?;
        self.proxy.as_ref().map_or(Ok(()), |proxy| write!(f, " through {proxy}"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", scheme(self.route.tls), self.authority, self.base_path)
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidOrigin> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or(InvalidOrigin::Host)?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidOrigin::Host)?;
        match after.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if after.is_empty() => (address, None),
            None => return Err(InvalidOrigin::Host),
        }
    } else {
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(InvalidOrigin::Host);
        }
        (host, port)
    };
    let Some(port) = port else { return Ok((host, None)) };
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok((host, Some(number)))
        }
        _ => Err(InvalidOrigin::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_base_urls() {
        let check = |url: &str, expected: (&str, &str, &str)| {
            let origin = Origin::parse(url).unwrap();
            assert_eq!((origin.name(), origin.authority(), origin.base_path()), expected, "{url}");
        };
        check("https://api.example.com/v1", ("https://api.example.com:443", "api.example.com", "/v1"));
        check("HTTP://Example.COM", ("http://example.com:80", "example.com", ""));
        check("http://gpu-0:8000/v1/", ("http://gpu-0:8000", "gpu-0:8000", "/v1"));
        check("https://host:443//", ("https://host:443", "host", ""));
        check("http://[::1]:9/a/b", ("http://[::1]:9", "[::1]:9", "/a/b"));
        check("http://10.0.0.1:80", ("http://10.0.0.1:80", "10.0.0.1", ""));
    }

    #[test]
    fn names_the_proxy_without_its_credentials() {
        let proxy = Proxy::parse("http://user:secret@[::1]:3128").unwrap();
        let origin = Origin::parse("https://host/v1").unwrap().through(proxy);
        assert_eq!(
            (origin.name(), origin.route().peer()),
            ("https://host:443 through [::1]:3128", ("::1", 3128))
        );
        assert_eq!((origin.to_string().as_str(), origin.authority()), ("https://host/v1", "host"));
        let shown = format!("{origin:?}");
        assert!(shown.contains("3128") && !shown.contains("secret") && !shown.contains("Basic"), "{shown}");
    }

    #[test]
    fn an_address_changes_where_it_connects_and_nothing_else() {
        let check = |url: &str, address: &str, peer: &str, name: &str| {
            let named = Origin::parse(url).unwrap();
            let origin = named.clone().at(address.parse().unwrap());
            assert_eq!(origin.route().peer_address(), Some(peer.parse().unwrap()), "{url}");
            assert_eq!(origin.name(), name);
            assert_eq!((origin.authority(), origin.host()), (named.authority(), named.host()));
            assert_ne!(origin.route(), named.route(), "connections are its own");
            assert_eq!(named.route().peer_address(), None);
            let through = origin.through(Proxy::parse("http://[::1]:3128").unwrap());
            assert_eq!(through.route().peer_address(), Some("[::1]:3128".parse().unwrap()));
            assert_eq!(through.route().target(), peer, "the proxy connects to the address");
        };
        check("http://gpu:8000/v1", "10.0.0.7", "10.0.0.7:8000", "http://gpu:8000 at 10.0.0.7");
        check("https://gpu", "fd00::7", "[fd00::7]:443", "https://gpu:443 at fd00::7");
        let literal = Origin::parse("http://[::1]:9").unwrap();
        assert_eq!(literal.route().peer_address(), Some("[::1]:9".parse().unwrap()));
    }

    #[test]
    fn refuses_what_it_cannot_reach() {
        let check = |url: &str, expected: InvalidOrigin| {
            assert_eq!(Origin::parse(url), Err(expected), "{url}");
        };
        check("api.example.com", InvalidOrigin::Scheme);
        check("ftp://host", InvalidOrigin::Scheme);
        check("https://user:secret@host", InvalidOrigin::Credentials);
        check("https://", InvalidOrigin::Host);
        check("https:///v1", InvalidOrigin::Host);
        check("https://hôst", InvalidOrigin::Host);
        check("https://ho st/", InvalidOrigin::Host);
        check("https://[::1/", InvalidOrigin::Host);
        check("https://[nonsense]/", InvalidOrigin::Host);
        check("https://[::1]9/", InvalidOrigin::Host);
        check("https://host:", InvalidOrigin::Port);
        check("https://host:0", InvalidOrigin::Port);
        check("https://host:+1", InvalidOrigin::Port);
        check("https://host:65536", InvalidOrigin::Port);
        check("https://host:1:2", InvalidOrigin::Port);
        check("https://host/v1?key=1", InvalidOrigin::Path);
        check("https://host?key=1", InvalidOrigin::Path);
        check("https://host/a b", InvalidOrigin::Path);
        check("https://host/\r\nx", InvalidOrigin::Path);
    }
}
