//! Where a request goes: scheme, host and port of a base URL, and its base path.

use std::fmt;

/// A base URL such as `https://api.example.com/v1`, checked once when the configuration loads.
///
/// Connections are shared between origins with the same scheme, host and port; the base path does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
    base_path: String,
    authority: String,
    key: String,
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
        let host = host.to_ascii_lowercase();
        let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        Ok(Self {
            tls,
            port,
            base_path: path.trim_end_matches('/').to_owned(),
            authority: if port == default_port { bracketed.clone() } else { format!("{bracketed}:{port}") },
            key: format!("{}://{bracketed}:{port}", if tls { "https" } else { "http" }),
            host,
        })
    }

    /// Whether the scheme is https.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Lower-case host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, explicit or the scheme's default.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL's path without trailing slashes; empty for a bare origin.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// The value of the `host` header: the port is left out where it is the scheme's default.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port: what makes two origins share connections.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.base_path)
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), InvalidOrigin> {
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
            assert_eq!((origin.key(), origin.authority(), origin.base_path()), expected, "{url}");
        };
        check("https://api.example.com/v1", ("https://api.example.com:443", "api.example.com", "/v1"));
        check("HTTP://Example.COM", ("http://example.com:80", "example.com", ""));
        check("http://gpu-0:8000/v1/", ("http://gpu-0:8000", "gpu-0:8000", "/v1"));
        check("https://host:443//", ("https://host:443", "host", ""));
        check("http://[::1]:9/a/b", ("http://[::1]:9", "[::1]:9", "/a/b"));
        check("http://10.0.0.1:80", ("http://10.0.0.1:80", "10.0.0.1", ""));
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
