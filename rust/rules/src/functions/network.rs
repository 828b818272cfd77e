//! Addresses and networks of the Internet protocol.

use std::net::IpAddr;

use super::{Table, mismatch};
use crate::error::ErrorKind;
use crate::network::{Cidr, parse_address};
use crate::value::Value;

pub(super) const FUNCTIONS: Table = &[
    ("ip(string) -> net.IP", |_, arguments| text(arguments).and_then(address_of).map(Value::Ip)),
    ("isIP(string) -> bool", |_, arguments| {
        text(arguments).map(|text| Value::Bool(parse_address(text).is_some()))
    }),
    ("ip.isCanonical(string) -> bool", |_, arguments| {
        let text = text(arguments)?;
        address_of(text).map(|address| Value::Bool(address.to_string() == text))
    }),
    ("string(net.IP) -> string", |_, arguments| {
        address(arguments).map(|address| Value::text(address.to_string()))
    }),
    ("net.IP.family() -> int", |_, arguments| {
        address(arguments).map(|address| Value::Int(if address.is_ipv4() { 4 } else { 6 }))
    }),
    ("net.IP.isUnspecified() -> bool", |_, arguments| {
        address(arguments).map(|address| Value::Bool(address.is_unspecified()))
    }),
    ("net.IP.isLoopback() -> bool", |_, arguments| {
        address(arguments).map(|address| Value::Bool(address.is_loopback()))
    }),
    ("net.IP.isGlobalUnicast() -> bool", |_, arguments| {
        address(arguments).map(|address| Value::Bool(is_global_unicast(address)))
    }),
    ("net.IP.isLinkLocalMulticast() -> bool", |_, arguments| {
        address(arguments).map(|address| Value::Bool(is_link_local_multicast(address)))
    }),
    ("net.IP.isLinkLocalUnicast() -> bool", |_, arguments| {
        address(arguments).map(|address| Value::Bool(is_link_local_unicast(address)))
    }),
    ("cidr(string) -> net.CIDR", |_, arguments| text(arguments).and_then(network_of).map(Value::Cidr)),
    ("isCIDR(string) -> bool", |_, arguments| {
        text(arguments).map(|text| Value::Bool(Cidr::parse(text).is_some()))
    }),
    ("string(net.CIDR) -> string", |_, arguments| {
        network(arguments).map(|network| Value::text(network.to_string()))
    }),
    ("net.CIDR.containsIP(net.IP) -> bool", |_, arguments| match arguments {
        [Value::Cidr(network), Value::Ip(address)] => Ok(Value::Bool(network.contains(*address))),
        _ => Err(mismatch(arguments)),
    }),
    ("net.CIDR.containsIP(string) -> bool", |_, arguments| match arguments {
        [Value::Cidr(network), Value::String(text)] => {
            address_of(text).map(|address| Value::Bool(network.contains(address)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("net.CIDR.containsCIDR(net.CIDR) -> bool", |_, arguments| match arguments {
        [Value::Cidr(network), Value::Cidr(other)] => Ok(Value::Bool(network.contains_network(*other))),
        _ => Err(mismatch(arguments)),
    }),
    ("net.CIDR.containsCIDR(string) -> bool", |_, arguments| match arguments {
        [Value::Cidr(network), Value::String(text)] => {
            network_of(text).map(|other| Value::Bool(network.contains_network(other)))
        }
        _ => Err(mismatch(arguments)),
    }),
    ("net.CIDR.ip() -> net.IP", |_, arguments| {
        network(arguments).map(|network| Value::Ip(network.address()))
    }),
    ("net.CIDR.masked() -> net.CIDR", |_, arguments| {
        network(arguments).map(|network| Value::Cidr(network.masked()))
    }),
    ("net.CIDR.prefixLength() -> int", |_, arguments| {
        network(arguments).map(|network| Value::Int(i64::from(network.prefix())))
    }),
];

fn text<'v>(arguments: &'v [Value<'_>]) -> Result<&'v str, ErrorKind> {
    match arguments {
        [Value::String(text)] => Ok(text),
        _ => Err(mismatch(arguments)),
    }
}

fn address(arguments: &[Value<'_>]) -> Result<IpAddr, ErrorKind> {
    match arguments {
        [Value::Ip(address)] => Ok(*address),
        _ => Err(mismatch(arguments)),
    }
}

fn network(arguments: &[Value<'_>]) -> Result<Cidr, ErrorKind> {
    match arguments {
        [Value::Cidr(network)] => Ok(*network),
        _ => Err(mismatch(arguments)),
    }
}

fn address_of(text: &str) -> Result<IpAddr, ErrorKind> {
    let error = ErrorKind::Invalid("this text is not an address, as 192.0.2.1 and 2001:db8::1 are");
    parse_address(text).ok_or(error)
}

fn network_of(text: &str) -> Result<Cidr, ErrorKind> {
    let error = ErrorKind::Invalid("this text is not a network, as 192.0.2.0/24 and 2001:db8::/32 are");
    Cidr::parse(text).ok_or(error)
}

/// Of one host, not of this link alone. Private networks count as global here.
fn is_global_unicast(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_loopback() || address.is_multicast();
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !special && !broadcast && !is_link_local_unicast(address)
}

/// In 224.0.0.0/24, or ff02::/16 with any flags.
fn is_link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets(), [224, 0, 0, _]),
        IpAddr::V6(address) => matches!(address.octets(), [0xff, scope, ..] if scope & 0x0f == 2),
    }
}

/// In 169.254.0.0/16 or fe80::/10.
fn is_link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
