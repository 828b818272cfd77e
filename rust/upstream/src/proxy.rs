//! A proxy that opens tunnels (HTTP CONNECT), as configured.

use std::fmt;

use crate::origin::{InvalidOrigin, host_and_port, split_port};

/// A proxy such as `http://user:password@proxy.example.com:3128`, checked once when the configuration loads.
///
/// `Debug` and `Display` show host and port only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Value of the `proxy-authorization` header.
    pub(crate) authorization: Option<String>,
}

/// Why the URL of a proxy is refused. The URL itself is not repeated: it might hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Not `http://`.
    #[error(
        "a proxy must be written as http://host:port; TLS to the proxy itself and SOCKS are not supported"
    )]
    Scheme,
    /// More than a slash after the port, or user and password hold what is reserved in a URL.
    #[error("a proxy must end after its port; `/`, `?`, `#` in user or password are percent-encoded (`%2F`)")]
    Path,
    /// The user or password cannot be decoded, or not be sent.
    #[error(
        "user and password of a proxy must be percent-encoded, without control characters and `:` in the user"
    )]
    Credentials,
    /// No host, or characters that no host name has.
    #[error("the host of a proxy must be a name in ASCII, an IPv4 address, or an IPv6 address in []")]
    Host,
    /// None, or not a number from 1 to 65535. There is no default: other programs disagree about it.
    #[error("a proxy needs a port from 1 to 65535, as in http://proxy.example.com:3128")]
    Port,
}

impl Proxy {
    /// Parses `http://[user:password@]host:port`, with user and password percent-encoded.
    pub fn parse(url: &str) -> Result<Self, InvalidProxy> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidProxy::Scheme)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(InvalidProxy::Scheme);
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(InvalidProxy::Path);
        }
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address).map_err(|error| match error {
            InvalidOrigin::Port => InvalidProxy::Port,
            _ => InvalidProxy::Host,
        })?;
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port: port.ok_or(InvalidProxy::Port)?,
            authorization: credentials.map(basic_authorization).transpose()?,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host_and_port(&self.host, self.port))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// `Basic` of RFC 7617 from the part of a URL before its `@`.
fn basic_authorization(credentials: &str) -> Result<String, InvalidProxy> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let user = percent_decode(user)?;
    if user.contains(&b':') {
        return Err(InvalidProxy::Credentials);
    }
    let decoded = [user, percent_decode(password)?].join(&b':');
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(InvalidProxy::Credentials);
    }
    Ok(format!("Basic {}", base64(&decoded)))
}

fn percent_decode(text: &str) -> Result<Vec<u8>, InvalidProxy> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2).ok_or(InvalidProxy::Credentials)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(InvalidProxy::Credentials);
        }
        decoded.push(u8::from_str_radix(digits, 16).map_err(|_| InvalidProxy::Credentials)?);
        decoded.extend_from_slice(plain.as_bytes());
    }
    Ok(decoded)
}

/// RFC 4648 §4, padded.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = ALPHABET.get(bits >> (18 - 6 * at) & 63).filter(|_| at <= group.len());
            text.push(char::from(*digit.unwrap_or(&b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_proxies() {
        let check = |url: &str, shown: &str, authorization: Option<&str>| {
            let proxy = Proxy::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!((proxy.to_string().as_str(), proxy.authorization.as_deref()), (shown, authorization));
            assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
        };
        check("http://proxy:3128", "proxy:3128", None);
        check("HTTP://Proxy.Example.COM:80/", "proxy.example.com:80", None);
        check("http://[::1]:8080", "[::1]:8080", None);
        // The example of RFC 7617 §2.
        check("http://Aladdin:open%20sesame@proxy:1", "proxy:1", Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        check("http://user:a%40b%3Ac%25@proxy:1", "proxy:1", Some("Basic dXNlcjphQGI6YyU="));
        check("http://user:a:b@c@proxy:1", "proxy:1", Some("Basic dXNlcjphOmJAYw=="));
        check("http://t\u{e9}st:%C2%A3@proxy:1", "proxy:1", Some("Basic dMOpc3Q6wqM="));
        check("http://user@proxy:1", "proxy:1", Some("Basic dXNlcjo="));
        check("http://:token@proxy:1", "proxy:1", Some("Basic OnRva2Vu"));
    }

    #[test]
    fn refuses_what_is_no_proxy() {
        let check = |url: &str, expected: InvalidProxy| {
            assert_eq!(Proxy::parse(url), Err(expected), "{url}");
            assert!(!expected.to_string().contains("secret"));
        };
        for url in ["", "proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http:/proxy:1"] {
            check(url, InvalidProxy::Scheme);
        }
        for url in
            ["http://proxy:1/path", "http://proxy:1?a", "http://user:a/b#secret@proxy:1", "http://p:1//"]
        {
            check(url, InvalidProxy::Path);
        }
        for url in ["http://u:%@p:1", "http://u:%4@p:1", "http://u:%zz@p:1", "http://u:%+1@p:1"] {
            check(url, InvalidProxy::Credentials);
        }
        for url in ["http://u:%\u{e9}@p:1", "http://a%3Ab:c@p:1", "http://u:a%0D%0Ab@p:1", "http://u:\n@p:1"]
        {
            check(url, InvalidProxy::Credentials);
        }
        for url in ["http://:1", "http://pr\u{f6}xy:1", "http://a b:1", "http://[::1:1", "http://u:p@:1"] {
            check(url, InvalidProxy::Host);
        }
        for url in ["http://proxy", "http://proxy:", "http://proxy:0", "http://proxy:65536", "http://::1:80"]
        {
            check(url, if url.contains("::1") { InvalidProxy::Host } else { InvalidProxy::Port });
        }
    }

    #[test]
    fn base64_has_the_vectors_of_rfc_4648() {
        let vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (length, expected) in vectors.iter().enumerate() {
            assert_eq!(base64(&b"foobar"[..length]), *expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }
}
