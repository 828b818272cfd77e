use crate::hash::key;
use crate::rendezvous::check_names;
use crate::{Error, Order};

/// Consistent hashing with bounded loads: a key goes to the first target clockwise that has room.
///
/// Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads" (2016): with `m` requests in flight,
/// the new one included, a target that holds the share `s` of the weight takes at most `⌈c · m · s⌉` of them. Among
/// targets without bound, this is the ring of Karger et al. (1997).
///
/// A target's points depend on its own name and weight alone. Hence a target that comes or goes moves only its own
/// keys, and what overflows because of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring {
    points: Vec<Point>,
    /// For each value of a point's leading bits, the first point that has it or a higher one.
    starts: Vec<u32>,
    shift: u32,
    weights: Vec<u32>,
    bound_percent: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Point {
    at: u64,
    /// Decides between equal points whatever the order of the targets.
    id: u64,
    target: u16,
}

impl Ring {
    /// As many points as Envoy keeps at most.
    pub const MAX_POINTS: u64 = 8 << 20;

    /// Targets by name and weight; each has `virtual_nodes` points per unit of weight, and those of weight zero are
    /// never chosen. 256 points per target keep shares within about 6 % of each other. `bound_percent` is `c` in
    /// percent: 125 is usual.
    pub fn new<'n>(
        targets: impl IntoIterator<Item = (&'n str, u32)>,
        virtual_nodes: u32,
        bound_percent: u32,
    ) -> Result<Self, Error> {
        let (names, weights): (Vec<&str>, Vec<u32>) = targets.into_iter().unzip();
        check_names(&mut names.clone())?;
        if virtual_nodes == 0 {
            return Err(Error::NoVirtualNodes);
        }
        if bound_percent < 100 {
            return Err(Error::Bound { percent: bound_percent });
        }
        let sum: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let count = u64::from(virtual_nodes).saturating_mul(sum);
        if count == 0 {
            return Err(Error::NoTargets);
        }
        if count > Self::MAX_POINTS {
            return Err(Error::TooManyPoints { points: count, most: Self::MAX_POINTS });
        }
        let mut points = Vec::with_capacity(count as usize);
        for ((target, name), &weight) in (0..).zip(&names).zip(&weights) {
            let id = key(0, name.as_bytes());
            let own = u64::from(weight) * u64::from(virtual_nodes);
            points.extend((1..=own).map(|number| Point { at: key(number, name.as_bytes()), id, target }));
        }
        points.sort_unstable();
        let bits = count.next_power_of_two().trailing_zeros().max(1);
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut passed = 0;
        for leading in 0..1u64 << bits {
            passed += points.iter().skip(passed).take_while(|point| point.at >> shift < leading).count();
            starts.push(passed as u32);
        }
        Ok(Self { points, starts, shift, weights, bound_percent })
    }

    /// Where the key goes: the first target clockwise whose load is below its bound. `loads` has the load of each
    /// target, in the order in which they were given, and none for those that take nothing now; bounds are those of
    /// the others.
    pub fn choose(&self, key: u64, loads: &[Option<u32>]) -> Option<u16> {
        let mut requests = 1;
        let mut total_weight = 0;
        for (load, &weight) in loads.iter().zip(&self.weights) {
            if let Some(load) = load {
                requests += u64::from(*load);
                total_weight += u64::from(weight);
            }
        }
        // load < c · m · w / W, in whole numbers.
        let bound = u128::from(requests) * u128::from(self.bound_percent);
        let scale = u128::from(total_weight) * 100;
        self.clockwise(key).find(|&target| {
            let load = loads.get(usize::from(target)).copied().flatten();
            let weight = self.weights.get(usize::from(target)).copied().unwrap_or(0);
            load.is_some_and(|load| u128::from(load) * scale < bound * u128::from(weight))
        })
    }

    /// The targets in the order in which the key meets them, whatever their load.
    pub fn order(&self, key: u64) -> Order {
        let mut order = Order::new();
        let mut met = vec![false; self.weights.len()];
        let mut left = self.weights.iter().filter(|&&weight| weight > 0).count();
        for target in self.clockwise(key) {
            if left == 0 {
                break;
            }
            if let Some(met) = met.get_mut(usize::from(target)).filter(|met| !**met) {
                *met = true;
                left -= 1;
                order.push(target);
            }
        }
        order
    }

    /// The targets of all points, once round from the key.
    fn clockwise(&self, key: u64) -> impl Iterator<Item = u16> {
        let start = self.starts.get((key >> self.shift) as usize).map_or(0, |&start| start as usize);
        let first = start + self.points.iter().skip(start).take_while(|point| point.at < key).count();
        let (before, after) = self.points.split_at(first.min(self.points.len()));
        after.iter().chain(before).map(|point| point.target)
    }
}
