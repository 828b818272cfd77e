use crate::hash::{key, mix};
use crate::{Error, Order};

/// Rendezvous hashing with weights: each target draws a number from the key, the smallest wins.
///
/// When a target comes, goes or changes its weight, only keys that it wins or loses move. Thaler and Ravishankar,
/// "Using name-based mappings to increase hit rates" (1998); weights by the logarithm method of Schindelhauer and
/// Schomaker, "Weighted distributed hash tables" (2005): `-ln(u) / weight` is an exponential draw whose rate is the
/// weight, so a target wins in proportion to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendezvous {
    nodes: Vec<Node>,
}

/// A target as rendezvous hashing sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    id: u64,
    weight: f64,
    inverse_weight: f64,
}

impl Rendezvous {
    /// Targets by name and weight. Those of weight zero are never chosen. Their order does not matter, but choices
    /// are given by position in it.
    pub fn new<'n>(targets: impl IntoIterator<Item = (&'n str, u32)>) -> Result<Self, Error> {
        let mut names = Vec::new();
        let mut nodes = Vec::new();
        for (name, weight) in targets {
            names.push(name);
            nodes.push(Node::new(name, weight));
        }
        check_names(&mut names)?;
        if nodes.iter().all(|node: &Node| node.is_excluded()) {
            return Err(Error::NoTargets);
        }
        Ok(Self { nodes })
    }

    /// Where the key belongs.
    pub fn choose(&self, key: u64) -> Option<u16> {
        first(key, self.nodes.iter().copied())
    }

    /// All targets of weight above zero, first choice first: where the key goes when the first ones cannot take it.
    pub fn order(&self, key: u64) -> Order {
        let mut drawn: Vec<(f64, u16)> = (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| !node.is_excluded())
            .map(|(index, node)| (node.draw(key), index))
            .collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        drawn.into_iter().map(|(_, index)| index).collect()
    }
}

impl Node {
    /// A node that wins keys in proportion to its weight, and none if that is zero.
    pub fn new(name: &str, weight: u32) -> Self {
        let weight = f64::from(weight);
        Self { id: key(0, name.as_bytes()), weight, inverse_weight: 1.0 / weight }
    }

    pub(crate) fn is_excluded(self) -> bool {
        self.inverse_weight.is_infinite()
    }

    pub(crate) fn weight(self) -> f64 {
        self.weight
    }

    pub(crate) fn inverse_weight(self) -> f64 {
        self.inverse_weight
    }

    /// `1 - u` for the node's uniform draw `u` from the key, both above zero.
    fn rest(self, key: u64) -> f64 {
        ((mix(key, self.id) >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn draw(self, key: u64) -> f64 {
        -(1.0 - self.rest(key)).ln() * self.inverse_weight
    }
}

/// The node with the smallest draw.
fn first(key: u64, nodes: impl Iterator<Item = Node>) -> Option<u16> {
    let mut best = (f64::INFINITY, None);
    for (index, node) in (0..).zip(nodes) {
        // NOTE: -ln(u) >= 1 - u, so most nodes lose without a logarithm: NANOS at 64 nodes instead of MORE.
        if node.rest(key) * node.inverse_weight >= best.0 {
            continue;
        }
        let draw = node.draw(key);
        if draw < best.0 {
            best = (draw, Some(index));
        }
    }
    best.1
}

/// The nodes with the two smallest draws, as positions; the second is absent if only one may be chosen.
pub(crate) fn first_two(key: u64, nodes: impl Iterator<Item = Node>) -> Option<(usize, Option<usize>)> {
    let mut best = (f64::INFINITY, None);
    let mut second = (f64::INFINITY, None);
    for (index, node) in nodes.enumerate() {
        if node.rest(key) * node.inverse_weight >= second.0 {
            continue;
        }
        let draw = node.draw(key);
        if draw < best.0 {
            second = best;
            best = (draw, Some(index));
        } else if draw < second.0 {
            second = (draw, Some(index));
        }
    }
    Some((best.1?, second.1))
}

/// Refuses names that occur twice, and more of them than positions can count.
pub(crate) fn check_names(names: &mut [&str]) -> Result<(), Error> {
    const MOST: usize = u16::MAX as usize;
    if names.len() > MOST {
        return Err(Error::TooManyTargets { count: names.len(), most: MOST });
    }
    names.sort_unstable();
    match names.iter().zip(names.iter().skip(1)).find(|(name, next)| name == next) {
        Some((name, _)) => Err(Error::Duplicate { name: (*name).to_owned() }),
        None => Ok(()),
    }
}
