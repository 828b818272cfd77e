//! The address of a client behind proxies. Each proxy appends to `x-forwarded-for` whom it got the request from, so
//! the field is read from its end, and believed as far as those who wrote it are trusted.

use std::net::{IpAddr, SocketAddr};

use crate::request::Request;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    /// Bits at the end that may differ.
    free_bits: u32,
}

/// Who sent the request: the peer, or, as long as it is a trusted proxy, whom it names. Where a trusted proxy names
/// nobody, or something that is not an address, it is that proxy. None if not even the peer is known.
pub(crate) fn client_address(request: &Request<'_>, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    let mut nearest = parse_address(request.peer)?;
    let fields = request.headers.fields().iter().rev().filter(|(name, _)| *name == b"x-forwarded-for");
    let mut named = fields.flat_map(|(_, value)| value.rsplit(|byte| *byte == b','));
    while is_trusted(nearest) {
        let text = named.next().and_then(|entry| std::str::from_utf8(entry).ok());
        let Some(address) = text.and_then(parse_address) else { break };
        nearest = address;
    }
    Some(nearest)
}

impl Network {
    /// Parses `address/prefix`, or an address alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(decimal(prefix)?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let bits: u32 = if written.is_ipv4() { 32 } else { 128 };
        let free_bits = bits.checked_sub(prefix.map_or(bits, u32::from))?;
        // Wider than all of IPv4, a network of mapped addresses is one of IPv6.
        let address = if free_bits <= 32 { written.to_canonical() } else { written };
        Some(Self { address, free_bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => u128::from(own.to_bits() ^ other.to_bits()),
            (IpAddr::V6(own), IpAddr::V6(other)) => own.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differing.checked_shr(self.free_bits).unwrap_or(0) == 0
    }
}

/// An address as servers and proxies write it: `10.0.0.1`, `10.0.0.1:4711`, `::1`, `[::1]`, `[::1]:80`. IPv4 addresses
/// mapped to IPv6 become what they are.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let with_port = || text.parse().map(|address: SocketAddr| address.ip()).ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().map(IpAddr::V6).ok();
    // Peers have a port.
    let address: IpAddr = with_port().or_else(|| text.parse().ok()).or_else(bracketed)?;
    Some(address.to_canonical())
}

/// Digits only, without the sign that Rust's own parser takes.
fn decimal(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn networks(trusted: &[&str]) -> Vec<Network> {
        trusted.iter().map(|text| Network::parse(text).unwrap()).collect()
    }

    fn client(peer: &str, fields: &[&str], trusted: &[&str]) -> String {
        let mut headers: Vec<(&[u8], &[u8])> = vec![(b"host", b"router"), (b"forwarded", b"for=9.9.9.9")];
        headers.extend(fields.iter().map(|value| (&b"x-forwarded-for"[..], value.as_bytes())));
        headers.push((b"x-real-ip", b"9.9.9.9"));
        let request = Request {
            method: "POST",
            path: "/",
            query: "",
            headers: headers.as_slice().into(),
            peer,
            body: b"",
        };
        let found = client_address(&request, &networks(trusted));
        found.map_or_else(String::new, |address| address.to_string())
    }

    #[test]
    fn who_asks() {
        let check = |peer: &str, fields: &[&str], trusted: &[&str], expected: &str| {
            assert_eq!(client(peer, fields, trusted), expected, "{peer} {fields:?} {trusted:?}");
        };
        let ten = &["10.0.0.0/8", "::1/128"];
        // Nobody is trusted, or not this peer.
        check("203.0.113.9", &["198.51.100.1"], &[], "203.0.113.9");
        check("203.0.113.9:4711", &["198.51.100.1"], ten, "203.0.113.9");
        check("11.0.0.1", &["198.51.100.1"], ten, "11.0.0.1");
        // One proxy, several, and several fields.
        check("10.0.0.1:80", &["198.51.100.1"], ten, "198.51.100.1");
        check("[::1]:80", &["198.51.100.1"], ten, "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1, 10.9.9.9,10.0.0.2"], ten, "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1", "10.9.9.9, 10.0.0.2"], ten, "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1 , 10.0.0.2", "\t10.9.9.9 "], ten, "198.51.100.1");
        // What a client says of itself counts for nothing.
        check("10.0.0.1", &["10.0.0.7, 127.0.0.1, 198.51.100.1"], ten, "198.51.100.1");
        check("10.0.0.1", &["127.0.0.1", "198.51.100.1, 10.0.0.2"], ten, "198.51.100.1");
        // A proxy is who asks if nobody is behind it.
        check("10.0.0.1", &[], ten, "10.0.0.1");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], ten, "10.0.0.3");
        // What is no address ends the walk.
        for garbage in
            ["", "unknown", "198.51.100.1, ", "198.51.100.1,unknown", "_hidden", "\u{fffd}", "300.1.1.1"]
        {
            check("10.0.0.1", &[garbage], ten, "10.0.0.1");
            check("10.0.0.1", &[garbage, "10.0.0.2"], ten, "10.0.0.2");
        }
        check("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], ten, "10.0.0.2");
        // IPv4 in IPv6.
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], ten, "198.51.100.1");
        check("[::ffff:a00:1]:9", &["2001:DB8::0:1"], ten, "2001:db8::1");
        check("10.0.0.1", &["198.51.100.1"], &["::ffff:10.0.0.0/104"], "198.51.100.1");
        check("10.0.0.1", &["198.51.100.1"], &["::/0"], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.1"], &["0.0.0.0/0"], "198.51.100.1");
        // Nobody knows: a Unix socket, or nothing.
        for peer in ["", "unix", "/run/router.sock", "10.0.0.1:"] {
            check(peer, &["198.51.100.1"], ten, "");
        }
    }

    #[test]
    fn addresses() {
        let check = |text: &str, expected: &str| {
            let found = parse_address(text).map_or_else(String::new, |address| address.to_string());
            assert_eq!(found, expected, "{text}");
        };
        for (text, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            (" 10.0.0.1\t", "10.0.0.1"),
            ("10.0.0.1:65535", "10.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[::1]:80", "::1"),
            ("[fe80::1%2]:80", "fe80::1"),
            ("[::ffff:1.2.3.4]", "1.2.3.4"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            check(text, expected);
        }
        for text in [
            "",
            "[",
            "[]",
            "[::1",
            "[::1]80",
            "[::1]:",
            "[::1]:x",
            "[1.2.3.4]",
            "1.2.3.4:",
            "1.2.3.4:+8",
            "1.2.3.4:65536",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4%eth0",
            "fe80::1%eth0",
            "::1%",
            "::1::",
            "localhost",
            "\"1.2.3.4\"",
            "1.2.3.4 5",
            "1.2.3.4\n",
        ] {
            check(text, "");
        }
    }

    #[test]
    fn networks_are_checked() {
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "/8",
            "ten",
            "[::1]/128",
            "",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    /// The bits of an address, one by one.
    fn bits(address: IpAddr) -> Vec<bool> {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
    }

    /// Addresses of which many are near each other.
    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
            (0..40u32)
                .prop_map(
                    |shift| Ipv4Addr::from_bits(0x0a00_0000 ^ 1u32.checked_shl(shift).unwrap_or(0)).into()
                ),
            any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()),
            (0..140u32)
                .prop_map(
                    |shift| Ipv6Addr::from_bits(0xfd << 120 ^ 1u128.checked_shl(shift).unwrap_or(0)).into()
                ),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn a_network_is_a_common_beginning(first in address(), other in address(), prefix in 0..=128usize) {
            let prefix = prefix.min(bits(first).len());
            let network = Network::parse(&format!("{first}/{prefix}")).unwrap();
            let same_family = first.is_ipv4() == other.is_ipv4();
            let expected = same_family && bits(first)[..prefix] == bits(other)[..prefix];
            prop_assert_eq!(network.contains(other), expected);
            prop_assert!(network.contains(first));
        }

        #[test]
        fn the_last_of_the_untrusted_asks(
            chain in prop::collection::vec((address(), 0..3u8), 1..6),
            cut in any::<bool>(),
        ) {
            let trusted = ["10.0.0.0/8", "fd00::/8"];
            let text = |(address, port): &(IpAddr, u8)| match (address, port) {
                (IpAddr::V4(address), 1) => format!("{address}:80"),
                (IpAddr::V6(address), 1) => format!("[{address}]:80"),
                (address, _) => address.to_string(),
            };
            let (peer, named) = chain.split_last().unwrap();
            let named: Vec<String> = named.iter().map(text).collect();
            // The same chain as one field and as many.
            let fields: Vec<&str> = named.iter().map(String::as_str).collect();
            let joined = named.join(if cut { ", " } else { "," });
            let is_trusted = |address: &IpAddr| networks(&trusted).iter().any(|network| network.contains(*address));
            let expected = chain.iter().rposition(|(address, _)| !is_trusted(address)).unwrap_or(0);
            let expected = chain[expected].0.to_string();
            prop_assert_eq!(&client(&text(peer), &fields, &trusted), &expected);
            if !named.is_empty() {
                prop_assert_eq!(&client(&text(peer), &[&joined], &trusted), &expected);
            }
        }

        #[test]
        fn nothing_panics(text in "[0-9a-f:.%\\[\\]/, +]{0,40}") {
            parse_address(&text);
            Network::parse(&text);
            client(&text, &[&text], &["0.0.0.0/0", "::/0"]);
        }
    }
}
