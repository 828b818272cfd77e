//! Addresses and networks of the Internet protocol.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and how many of its first bits name the network. The bits of the host are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Reads an address. One of version 4 that is written as version 6 in hexadecimal digits is of version 4; with dots
/// (`::ffff:192.0.2.1`) it is refused, as are zones.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address.to_canonical() {
        canonical if canonical == address => Some(address),
        canonical => (!text.contains('.')).then_some(canonical),
    }
}

impl Cidr {
    /// `None` if the address has fewer bits than `prefix`.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    /// Reads `192.0.2.0/24`. Networks of version 4 are not written as version 6.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let plain =
            prefix.bytes().all(|byte| byte.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        if !plain || address.to_canonical() != address {
            return None;
        }
        Self::new(address, prefix.parse().ok()?)
    }

    /// The address that was written.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits name the network.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The network without the bits of the host.
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether an address of the same family belongs to the network.
    pub fn contains(self, address: IpAddr) -> bool {
        Self::new(address, self.prefix)
            .is_some_and(|other| other.masked() == self.masked() && bits(address) == bits(self.address))
    }

    /// Whether all addresses of another network belong to this one.
    pub(crate) fn contains_network(self, other: Self) -> bool {
        other.prefix >= self.prefix && self.contains(other.address)
    }
}

impl fmt::Display for Cidr {
    /// As `192.0.2.0/24`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
