//! The cells of endpoints. Replicas come and go, and cells are for ever: so an endpoint has a number, which goes to
//! another one when the configuration does not have it any more and nothing is in flight there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use edgeroute_shared::{Cells, Exact};

use super::endpoint::{Endpoint, EndpointId, Identity};
use crate::compile::CompileError;
use crate::snapshot::{Provider, Replica};

/// The endpoints that the pools of a configuration look at.
#[derive(Default)]
pub(crate) struct Endpoints<'a> {
    list: Vec<Wanted<'a>>,
    known: HashMap<Identity, EndpointId>,
}

struct Wanted<'a> {
    identity: Identity,
    provider: &'a Provider,
    replica: &'a Replica,
    keeps_latency: bool,
}

/// How many numbers there are.
const COUNT: &str = "endpoints";

impl<'a> Endpoints<'a> {
    /// Notes that something is kept of this one.
    pub(crate) fn want(
        &mut self,
        identity: Identity,
        provider: &'a Provider,
        replica: &'a Replica,
        keeps_latency: bool,
    ) -> EndpointId {
        let next = self.list.len() as EndpointId;
        let id = *self.known.entry(identity).or_insert(next);
        match self.list.get_mut(id as usize) {
            Some(wanted) => wanted.keeps_latency |= keeps_latency,
            None => self.list.push(Wanted { identity, provider, replica, keeps_latency }),
        }
        id
    }

    pub(crate) fn find(&self, identity: Identity) -> Option<EndpointId> {
        self.known.get(&identity).copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Finds or claims the number of each, and its cells.
    pub(crate) fn claim(self, cells: &Cells) -> Result<Vec<Endpoint>, CompileError> {
        if self.list.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: HashSet<u64> = self.list.iter().map(|wanted| wanted.identity.word()).collect();
        let count = cells.exact(COUNT)?;
        let mut owners = HashMap::new();
        let mut left = Vec::new();
        for number in 0..cells.at(count).load(Ordering::Acquire) {
            let owner = cells.at(owner_of(cells, number)?).load(Ordering::Acquire);
            if !wanted.contains(&owner) {
                left.push((number, owner));
            } else {
                // The lowest, should two workers have taken one each at the same time.
                owners.entry(owner).or_insert(number);
            }
        }
        let mut left = left.into_iter();
        let claimed = self.list.iter().map(|wanted| {
            let own = wanted.identity.word();
            let number = match owners.get(&own) {
                Some(number) => *number,
                None => claim_one(cells, own, &mut left, count)?,
            };
            let mut endpoint = Endpoint::new(cells, number, wanted.provider, wanted.replica)?;
            if wanted.keeps_latency {
                endpoint.keep_latency(cells, number)?;
            }
            if !owners.contains_key(&own) {
                endpoint.forget_latency(cells);
            }
            Ok(endpoint)
        });
        claimed.collect()
    }
}

/// Takes over a number that is left and idle, or takes a new one.
fn claim_one(
    cells: &Cells,
    own: u64,
    left: &mut impl Iterator<Item = (u64, u64)>,
    count: Exact,
) -> Result<u64, CompileError> {
    for (number, before) in left {
        let owner = cells.at(owner_of(cells, number)?);
        if Endpoint::is_idle(cells, number)?
            && owner.compare_exchange(before, own, Ordering::AcqRel, Ordering::Acquire).is_ok()
        {
            return Ok(number);
        }
    }
    let number = cells.at(count).fetch_add(1, Ordering::AcqRel);
    cells.at(owner_of(cells, number)?).store(own, Ordering::Release);
    Ok(number)
}

/// The cell that says which endpoint has this number.
fn owner_of(cells: &Cells, number: u64) -> Result<Exact, CompileError> {
    Ok(cells.exact(&format!("endpoint/{number}"))?)
}
