use std::ops::Range;

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
    /// Those of one weight together, as they are listed; none of weight zero.
    nodes: Vec<Node>,
    /// Where they are listed.
    positions: Vec<u16>,
    /// For each weight, the nodes that have it.
    weights: Vec<Range<usize>>,
}

/// A target as rendezvous hashing sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    id: u64,
    inverse_weight: f64,
    weight: u32,
}

impl Rendezvous {
    /// Targets by name and weight. Those of weight zero are never chosen. Their order does not matter, but choices
    /// are given by position in it.
    pub fn new<'n>(targets: impl IntoIterator<Item = (&'n str, u32)>) -> Result<Self, Error> {
        let (mut names, nodes): (Vec<&str>, Vec<Node>) =
            targets.into_iter().map(|(name, weight)| (name, Node::new(name, weight))).unzip();
        check_names(&mut names)?;
        let mut listed: Vec<(Node, u16)> =
            nodes.into_iter().zip(0..).filter(|(node, _)| node.weight > 0).collect();
        if listed.is_empty() {
            return Err(Error::NoTargets);
        }
        listed.sort_by_key(|(node, _)| node.weight);
        let (nodes, positions): (Vec<Node>, Vec<u16>) = listed.into_iter().unzip();
        let mut weights = Vec::new();
        let mut first = 0;
        for equal in nodes.chunk_by(|a, b| a.weight == b.weight) {
            weights.push(first..first + equal.len());
            first += equal.len();
        }
        Ok(Self { nodes, positions, weights })
    }

    /// Where the key belongs.
    ///
    /// NOTE: among equal weights the lowest hash is the lowest draw, so that a logarithm is needed per weight, not per
    /// target.
    pub fn choose(&self, key: u64) -> Option<u16> {
        let mut lowest: Option<(f64, u16)> = None;
        for equal in &self.weights {
            let [hash] = lowest_hashes(key, self.nodes.get(equal.clone())?);
            let at = equal.start + position(hash)?;
            let (node, position) = (self.nodes.get(at)?, *self.positions.get(at)?);
            let drawn = (node.draw_from(hash), position);
            if lowest.is_none_or(|lowest| drawn < lowest) {
                lowest = Some(drawn);
            }
        }
        lowest.map(|(_, position)| position)
    }

    /// All targets of weight above zero, first choice first: where the key goes when the first ones cannot take it.
    pub fn order(&self, key: u64) -> Order {
        let mut drawn: Vec<(f64, u16)> = self
            .nodes
            .iter()
            .zip(&self.positions)
            .map(|(node, &position)| (node.draw(key), position))
            .collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        drawn.into_iter().map(|(_, position)| position).collect()
    }
}

impl Node {
    /// A node that wins keys in proportion to its weight, and none if that is zero.
    pub fn new(name: &str, weight: u32) -> Self {
        Self { id: key(0, name.as_bytes()), inverse_weight: 1.0 / f64::from(weight), weight }
    }

    pub(crate) fn weight(self) -> u32 {
        self.weight
    }

    pub(crate) fn inverse_weight(self) -> f64 {
        self.inverse_weight
    }

    fn draw(self, key: u64) -> f64 {
        self.draw_from(mix(key, self.id))
    }

    /// `-ln(u) / weight`, where `1 - u` is the hash as a fraction, less the bits that hold positions.
    fn draw_from(self, hash: u64) -> f64 {
        let fraction = ((hash >> POSITION_BITS) as f64 + 0.5) / (1u64 << (u64::BITS - POSITION_BITS)) as f64;
        -(1.0 - fraction).ln() * self.inverse_weight
    }
}

/// The nodes with the two smallest draws, as positions; the second is absent if only one may be chosen.
pub(crate) fn first_two<'n, I>(key: u64, nodes: I) -> Option<(usize, Option<usize>)>
where
    I: Iterator<Item = &'n Node> + Clone,
{
    let weight = nodes.clone().next()?.weight;
    if weight > 0 && nodes.clone().all(|node| node.weight == weight) {
        let [first, second] = lowest_hashes(key, nodes);
        return Some((position(first)?, position(second)));
    }
    let (mut first, mut second) = ((None, f64::INFINITY), (None, f64::INFINITY));
    for (at, node) in nodes.enumerate().filter(|(_, node)| node.weight > 0) {
        let draw = node.draw(key);
        if draw < first.1 {
            (first, second) = ((Some(at), draw), first);
        } else if draw < second.1 {
            second = (Some(at), draw);
        }
    }
    Some((first.0?, second.0))
}

const POSITION_BITS: u32 = 16;
const POSITION: u64 = (1 << POSITION_BITS) - 1;
/// No hash, for no position is so high.
const NONE: u64 = u64::MAX;

/// The lowest of the hashes that these nodes make of the key, in order, with their positions in the last bits.
///
/// NOTE: without branches that depend on the key, and without logarithms: the first of 64 took 72 ns beside other jobs.
fn lowest_hashes<'n, const N: usize>(key: u64, nodes: impl IntoIterator<Item = &'n Node>) -> [u64; N] {
    let mut lowest = [NONE; N];
    for (at, node) in (0..).zip(nodes) {
        let mut hash = mix(key, node.id) & !POSITION | at;
        for other in &mut lowest {
            (*other, hash) = ((*other).min(hash), (*other).max(hash));
        }
    }
    lowest
}

fn position(hash: u64) -> Option<usize> {
    (hash != NONE).then_some((hash & POSITION) as usize)
}

/// Refuses names that occur twice, and more of them than positions can count.
pub(crate) fn check_names(names: &mut [&str]) -> Result<(), Error> {
    const MOST: usize = POSITION as usize;
    if names.len() > MOST {
        return Err(Error::TooManyTargets { count: names.len(), most: MOST });
    }
    names.sort_unstable();
    match names.iter().zip(names.iter().skip(1)).find(|(name, next)| name == next) {
        Some((name, _)) => Err(Error::Duplicate { name: (*name).to_owned() }),
        None => Ok(()),
    }
}
