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
        if nodes.iter().all(|node| node.weight == 0) {
            return Err(Error::NoTargets);
        }
        Ok(Self { nodes })
    }

    /// Where the key belongs.
    pub fn choose(&self, key: u64) -> Option<u16> {
        let [lowest, next] = lowest(key, self.nodes.iter());
        let node = self.nodes.get(lowest.at()?)?;
        let at = if node.draws_at_most(next, key) { lowest.at() } else { by_draw(key, self.nodes.iter()).0 };
        at.map(|at| at as u16)
    }

    /// All targets of weight above zero, first choice first: where the key goes when the first ones cannot take it.
    pub fn order(&self, key: u64) -> Order {
        let mut drawn: Vec<(f64, u16)> = (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| node.weight > 0)
            .map(|(index, node)| (node.draw(key), index))
            .collect();
        drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        drawn.into_iter().map(|(_, index)| index).collect()
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

    /// `1 - u` for the node's uniform draw `u` from the key; neither is zero.
    fn rest(self, key: u64) -> f64 {
        const ONE: u64 = 1.0f64.to_bits();
        // The hash as the fraction of a number from 1 to 2, in the middle of its step.
        f64::from_bits(ONE | mix(key, self.id) >> 12) - (1.0 - f64::EPSILON / 2.0)
    }

    fn draw(self, key: u64) -> f64 {
        -(1.0 - self.rest(key)).ln() * self.inverse_weight
    }

    /// Whether the draw is not above a bound; nearly always, `-ln(u) <= (1 - u) / u` says so already.
    fn draws_at_most(self, bound: Bound, key: u64) -> bool {
        let rest = self.rest(key);
        rest / (1.0 - rest) * self.inverse_weight <= bound.least_draw()
            || self.draw(key) <= bound.least_draw()
    }
}

/// The nodes with the two smallest draws, as positions; the second is absent if only one may be chosen.
pub(crate) fn first_two<'n, I>(key: u64, nodes: I) -> Option<(usize, Option<usize>)>
where
    I: Iterator<Item = &'n Node> + Clone,
{
    let draws_at_most = |at, bound| nodes.clone().nth(at).is_some_and(|node| node.draws_at_most(bound, key));
    let [lowest, second, next] = lowest(key, nodes.clone());
    let first = lowest.at()?;
    if draws_at_most(first, second) && second.at().is_none_or(|second| draws_at_most(second, next)) {
        return Some((first, second.at()));
    }
    let (first, second) = by_draw(key, nodes);
    Some((first?, second))
}

/// A number that a node's draw is not below, and the node's position in its last bits. Those of nodes without weight
/// are above all others.
#[derive(Clone, Copy)]
struct Bound(u64);

const POSITION: u64 = u16::MAX as u64;

/// The lowest bounds, in order.
///
/// NOTE: `-ln(u) >= 1 - u`, and positive floats compare like their bits. So the winner is found without logarithms
/// and branches that depend on the key: 64 nodes took 142 ns beside other jobs, 319 with a logarithm for each that might
/// win.
fn lowest<'n, const N: usize>(key: u64, nodes: impl Iterator<Item = &'n Node>) -> [Bound; N] {
    let mut lowest = [Bound(u64::MAX); N];
    for (at, node) in (0..).zip(nodes) {
        let mut bound = (node.rest(key) * node.inverse_weight).to_bits() & !POSITION | at;
        for Bound(other) in &mut lowest {
            (*other, bound) = ((*other).min(bound), (*other).max(bound));
        }
    }
    lowest
}

/// The positions of the two smallest draws, the first listed of equals.
#[cold]
fn by_draw<'n>(key: u64, nodes: impl Iterator<Item = &'n Node>) -> (Option<usize>, Option<usize>) {
    let (mut first, mut second) = ((None, f64::INFINITY), (None, f64::INFINITY));
    for (at, node) in nodes.enumerate() {
        let draw = node.draw(key);
        if draw < first.1 {
            (first, second) = ((Some(at), draw), first);
        } else if draw < second.1 {
            second = (Some(at), draw);
        }
    }
    (first.0, second.0)
}

impl Bound {
    fn least_draw(self) -> f64 {
        match self.0 & !POSITION {
            bits if bits < f64::INFINITY.to_bits() => f64::from_bits(bits),
            _ => f64::INFINITY,
        }
    }

    /// The node's position, if it has a weight.
    fn at(self) -> Option<usize> {
        self.least_draw().is_finite().then_some((self.0 & POSITION) as usize)
    }
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
