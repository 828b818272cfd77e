//! The addresses of a host: in which order to try them, how long to believe them, and which of them are gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer is believed; then the name is looked up again, beside the traffic if there is any. The system's
/// resolver tells no TTL; 10 s follow a change as quickly as health checks would.
const BELIEVED: Duration = Duration::from_secs(10);
/// An address that no answer named for so long is gone, and connections to it are not used again. Name servers that
/// answer with some addresses at a time name each more often than that.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// What is known about the addresses of one host.
pub(crate) struct Addresses {
    /// The host is an address itself: nothing ever changes.
    literal: bool,
    /// In the order in which to try them; empty if unknown.
    list: Arc<[SocketAddr]>,
    answered: Option<Instant>,
    /// When each was named last, as far as it is not gone.
    named: Vec<(SocketAddr, Instant)>,
    /// Connected to when those before it did not answer.
    preferred: Option<SocketAddr>,
}

impl Addresses {
    pub(crate) fn unknown() -> Self {
        Self { literal: false, list: Arc::from([]), answered: None, named: Vec::new(), preferred: None }
    }

    pub(crate) fn literal(address: SocketAddr) -> Self {
        Self { literal: true, list: Arc::from([address]), ..Self::unknown() }
    }

    /// The addresses if they are known and believed.
    pub(crate) fn fresh(&self, now: Instant) -> Option<Arc<[SocketAddr]>> {
        (self.literal || self.is_believed(now)).then(|| Arc::clone(&self.list))
    }

    /// The addresses if they were ever known: better than none when the name cannot be looked up.
    pub(crate) fn last_known(&self) -> Option<Arc<[SocketAddr]>> {
        (!self.list.is_empty()).then(|| Arc::clone(&self.list))
    }

    /// Whether they were known, and it is time to look again.
    pub(crate) fn are_due(&self, now: Instant) -> bool {
        !self.literal && self.answered.is_some() && !self.is_believed(now)
    }

    /// Takes an answer in the resolver's order of preference.
    pub(crate) fn answer(&mut self, answer: &[SocketAddr], now: Instant) {
        if self.literal {
            return;
        }
        self.named.retain(|(address, at)| {
            !answer.contains(address) && now.saturating_duration_since(*at) < GONE_AFTER
        });
        self.named.extend(answer.iter().map(|address| (*address, now)));
        self.preferred = self.preferred.filter(|preferred| answer.contains(preferred));
        self.list = in_order(answer, self.preferred).into();
        self.answered = Some(now);
    }

    /// The lookup failed: what is known stays, and the next lookup is as far away as after an answer.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.answered = self.answered.map(|_| now);
    }

    /// Tries this one first from now on: those before it did not answer.
    pub(crate) fn prefer(&mut self, address: SocketAddr) {
        if self.list.first() != Some(&address) && self.list.contains(&address) {
            self.preferred = Some(address);
            self.list = in_order(&self.list, self.preferred).into();
        }
    }

    /// None of them could be connected to: look again next time.
    pub(crate) fn forget(&mut self) {
        if !self.literal {
            *self = Self { named: std::mem::take(&mut self.named), ..Self::unknown() };
        }
    }

    /// Whether no answer has named the address for a while.
    pub(crate) fn is_gone(&self, address: SocketAddr) -> bool {
        !self.literal && !self.named.is_empty() && self.named.iter().all(|(named, _)| *named != address)
    }

    fn is_believed(&self, now: Instant) -> bool {
        self.answered.is_some_and(|at| now.saturating_duration_since(at) < BELIEVED)
    }
}

/// The preferred one first, then one of each family by turns, each family in its order (RFC 8305 §4).
fn in_order(answer: &[SocketAddr], preferred: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut rest = answer.iter().filter(|address| Some(**address) != preferred);
    let first = preferred.or_else(|| rest.next().copied());
    let Some(first) = first else { return Vec::new() };
    let (same, other): (Vec<SocketAddr>, Vec<SocketAddr>) =
        rest.partition(|address| address.is_ipv6() == first.is_ipv6());
    let mut order = vec![first];
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        let before = order.len();
        order.extend(other.next());
        order.extend(same.next());
        if order.len() == before {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn four(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 80))
    }

    fn six(n: u8) -> SocketAddr {
        SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)], 80))
    }

    #[test]
    fn families_take_turns() {
        let check = |answer: &[SocketAddr], preferred: Option<SocketAddr>, expected: &[SocketAddr]| {
            assert_eq!(in_order(answer, preferred), expected);
        };
        let mixed = [six(1), six(2), six(3), four(1), four(2)];
        check(&[], None, &[]);
        check(&mixed, None, &[six(1), four(1), six(2), four(2), six(3)]);
        check(&mixed, Some(four(2)), &[four(2), six(1), four(1), six(2), six(3)]);
        check(&[four(1), six(1), six(2)], None, &[four(1), six(1), six(2)]);
        check(&[four(2), four(1)], None, &[four(2), four(1)]);
    }

    #[test]
    fn what_answered_before_is_tried_first_until_it_is_gone() {
        let now = Instant::now();
        let mut addresses = Addresses::unknown();
        addresses.prefer(four(1));
        assert_eq!(addresses.last_known(), None);
        addresses.answer(&[six(1), four(1)], now);
        addresses.prefer(four(1));
        addresses.prefer(four(9));
        assert_eq!(*addresses.fresh(now).unwrap(), [four(1), six(1)]);
        addresses.answer(&[six(1), six(2), four(1)], now);
        assert_eq!(*addresses.fresh(now).unwrap(), [four(1), six(1), six(2)]);
        addresses.answer(&[six(1), four(2)], now);
        assert_eq!(*addresses.fresh(now).unwrap(), [six(1), four(2)]);
    }

    #[test]
    fn believed_for_a_while_and_kept_when_nothing_better_comes() {
        let start = Instant::now();
        let mut addresses = Addresses::unknown();
        assert_eq!((addresses.fresh(start), addresses.are_due(start)), (None, false));
        addresses.answer(&[four(1)], start);
        let later = start + BELIEVED;
        let before = later - Duration::from_nanos(1);
        assert_eq!((addresses.fresh(before).is_some(), addresses.are_due(before)), (true, false));
        assert_eq!((addresses.fresh(later), addresses.are_due(later)), (None, true));
        addresses.failed(later);
        assert_eq!(addresses.last_known().as_deref(), Some(&[four(1)][..]));
        assert!(!addresses.are_due(later));
        addresses.forget();
        assert_eq!((addresses.last_known(), addresses.are_due(later)), (None, false));

        let mut literal = Addresses::literal(four(1));
        literal.answer(&[four(2)], start);
        literal.forget();
        assert!(literal.fresh(later).is_some() && !literal.are_due(later));
        assert!(!literal.is_gone(four(1)));
    }

    proptest! {
        /// The naive twin keeps every answer there ever was.
        #[test]
        fn an_address_is_gone_when_no_recent_answer_names_it(
            answers in prop::collection::vec((0..50_u64, prop::collection::btree_set(0..5_u8, 1..4)), 1..20),
        ) {
            let mut now = Instant::now();
            let (mut addresses, mut history) = (Addresses::unknown(), Vec::new());
            prop_assert!(!addresses.is_gone(four(0)), "nothing is known");
            for (seconds, answer) in answers {
                now += Duration::from_secs(seconds);
                let answer: Vec<SocketAddr> = answer.into_iter().map(four).collect();
                addresses.answer(&answer, now);
                history.push((now, answer));
                for address in (0..5).map(four) {
                    let recent = |(at, answer): &(Instant, Vec<SocketAddr>)| {
                        now - *at < GONE_AFTER && answer.contains(&address)
                    };
                    prop_assert_eq!(addresses.is_gone(address), !history.iter().any(recent));
                }
            }
        }
    }
}
