//! Bounded-affinity hashing against a twin that keeps prompts in a map, and what it promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use edgeroute_placement::affinity::{PassedOver, Reason};
use edgeroute_placement::{
    Affinity, AffinityIndex, Candidate, Decision, Node, PrefillRate, PromptBlocks, PromptHasher, Rendezvous,
    Slot, TokensPerByte, splitmix,
};
use proptest::prelude::*;

struct Router {
    words: Vec<AtomicU64>,
    candidates: Vec<Candidate>,
}

impl Router {
    fn new(weights: &[u32]) -> Self {
        let words = (0..AffinityIndex::LEAST_WORDS + 4096 * 8).map(|_| AtomicU64::new(0)).collect();
        let candidates = (0..)
            .zip(weights)
            .map(|(number, &weight)| Candidate {
                slot: Slot::new(number).unwrap(),
                node: Node::new(&name(number), weight),
                uncached_tokens: 0,
                context_tokens: 0,
            })
            .collect();
        Self { words, candidates }
    }

    fn index(&self) -> AffinityIndex<'_> {
        AffinityIndex::new(&self.words).unwrap()
    }

    fn choose(&self, blocks: &PromptBlocks) -> Decision {
        let prompt = blocks.prompt(TokensPerByte::default());
        let rate = PrefillRate::default();
        Affinity::default().choose(&prompt, &self.index(), &self.candidates, rate, 1).unwrap()
    }

    /// Chooses, and remembers the choice.
    fn place(&mut self, blocks: &PromptBlocks) -> Decision {
        let decision = self.choose(blocks);
        self.index().insert(blocks.chain(), Slot::new(decision.chosen.into()).unwrap(), 1);
        self.candidates[usize::from(decision.chosen)].uncached_tokens += decision.uncached_tokens() as u64;
        decision
    }
}

fn name(number: usize) -> String {
    format!("gpu-{number}")
}

/// A prompt of whole blocks, each of one number.
fn prompt(blocks: &[u8]) -> PromptBlocks {
    let mut hasher = PromptHasher::new(0);
    for &block in blocks {
        hasher.update(&[block; 256]);
    }
    hasher.finish()
}

/// The rules as the specification states them, one after the other, over sets of prefixes.
fn twin(seen: &[HashSet<Vec<u8>>], router: &Router, weights: &[u32], text: &[u8]) -> (usize, Reason) {
    let tokens = text.len() as f64 * 64.0;
    let eligible: Vec<usize> = (0..weights.len()).filter(|&at| weights[at] > 0).collect();
    let depth = |at: usize| (0..text.len()).take_while(|&end| seen[at].contains(&text[..=end])).count();
    let mean_weight = eligible.iter().map(|&at| f64::from(weights[at])).sum::<f64>() / eligible.len() as f64;
    let share = |at: usize| f64::from(weights[at]) / mean_weight;
    let unread = |at: usize| router.candidates[at].uncached_tokens as f64 / share(at);
    let load = |at: usize| {
        let context = router.candidates[at].context_tokens as f64;
        unread(at) + (tokens - depth(at) as f64 * 64.0 + 0.05 * context) / share(at)
    };
    let lightest =
        |among: &[usize]| among.iter().copied().min_by(|&a, &b| load(a).total_cmp(&load(b))).unwrap();
    let mean = eligible.iter().map(|&at| unread(at)).sum::<f64>() / eligible.len() as f64;
    let bound = f64::max(0.5 * 10_000.0, 0.25 * mean);
    let least = lightest(&eligible);
    let deepest = eligible.iter().map(|&at| depth(at)).max().unwrap();
    let hub = eligible.iter().map(|&at| depth(at)).min().unwrap();
    let is_warm = (deepest - hub) * 64 >= 256;
    let wanted: Vec<usize> = if is_warm {
        eligible.iter().copied().filter(|&at| (deepest - depth(at)) * 64 <= 256).collect()
    } else {
        let blocks = prompt(text);
        let key = blocks.chain().get(hub).copied().unwrap_or(blocks.tail());
        let names: Vec<String> = (0..weights.len()).map(name).collect();
        let targets = names.iter().map(String::as_str).zip(weights.iter().copied());
        let order = Rendezvous::new(targets).unwrap().order(key);
        let mut two: Vec<usize> = order.iter().take(2).map(|&at| usize::from(at)).collect();
        two.sort_unstable();
        two
    };
    let choice = lightest(&wanted);
    match (is_warm, load(choice) <= load(least) + bound) {
        (true, true) => (choice, Reason::Warm),
        (false, true) => (choice, Reason::Cold),
        (true, false) => (least, Reason::WarmOverBound),
        (false, false) => (least, Reason::ColdOverBound),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn chooses_as_the_specification_says(
        weights in prop::collection::vec(0u32..4, 1..10),
        prompts in prop::collection::vec(prop::collection::vec(0u8..2, 0..14), 1..40),
        seed in any::<u64>(),
        busy in 1u64..40_000,
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let mut router = Router::new(&weights);
        let mut seen = vec![HashSet::new(); weights.len()];
        let mut state = seed;
        for text in &prompts {
            for candidate in &mut router.candidates {
                candidate.uncached_tokens = splitmix(&mut state) % busy;
                candidate.context_tokens = splitmix(&mut state) % (busy * 4);
            }
            let (expected, reason) = twin(&seen, &router, &weights, text);
            let decision = router.place(&prompt(text));
            prop_assert_eq!((usize::from(decision.chosen), decision.reason), (expected, reason));
            seen[expected].extend((1..=text.len()).map(|end| text[..end].to_vec()));
        }
    }

    #[test]
    fn nobody_is_ever_above_the_bound(
        weights in prop::collection::vec(1u32..4, 1..10),
        prompts in prop::collection::vec(prop::collection::vec(0u8..2, 0..100), 1..60),
    ) {
        let mut router = Router::new(&weights);
        for text in &prompts {
            let decision = router.place(&prompt(text));
            let chosen = decision.considered[usize::from(decision.chosen)];
            prop_assert!(chosen.load <= decision.least_load + decision.bound);
            let reasons = (0..weights.len()).filter(|&at| decision.passed_over(at).is_some()).count();
            prop_assert_eq!(decision.passed_over(decision.chosen.into()), None);
            prop_assert_eq!(reasons, weights.len() - 1, "everybody else was passed over for a reason");
            let order = decision.order();
            prop_assert_eq!((order[0], order.len()), (decision.chosen, weights.len()));
        }
    }

    #[test]
    fn routers_that_know_nothing_of_each_other_agree_on_cold_prompts(
        weights in prop::collection::vec(1u32..4, 1..64),
        text in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        let blocks = prompt(&text);
        prop_assert_eq!(Router::new(&weights).choose(&blocks), Router::new(&weights).choose(&blocks));
    }

    #[test]
    fn a_target_that_goes_moves_only_the_cold_prompts_that_preferred_it(
        count in 2usize..30,
        gone in any::<prop::sample::Index>(),
        text in prop::collection::vec(any::<u8>(), 1..30),
    ) {
        let mut router = Router::new(&vec![1; count]);
        let gone = gone.index(count);
        let before = router.choose(&prompt(&text));
        let is_preferred = before.passed_over(gone) != Some(PassedOver::NotPreferred);
        router.candidates.remove(gone);
        let after = usize::from(router.choose(&prompt(&text)).chosen);
        let after = if after >= gone { after + 1 } else { after };
        prop_assert!(is_preferred || usize::from(before.chosen) == after);
    }
}

/// Blocks of a system prompt of their own, then of a conversation.
fn conversation(system: u8, session: u8, turns: usize) -> PromptBlocks {
    let mut text = vec![system; 8];
    text.extend(std::iter::repeat_n(session, 8 * turns));
    prompt(&text)
}

#[test]
fn a_conversation_stays_where_it_began() {
    let mut router = Router::new(&[1; 8]);
    let first = router.place(&conversation(1, 2, 1));
    assert_eq!(first.reason, Reason::Cold);
    for turns in 2..10 {
        let next = router.place(&conversation(1, 2, turns));
        assert_eq!((next.chosen, next.reason), (first.chosen, Reason::Warm));
        assert_eq!(next.uncached_tokens(), 512.0, "only the new turn is read");
    }
}

#[test]
fn a_prompt_that_all_know_spreads_by_what_follows_it() {
    let mut router = Router::new(&[1; 8]);
    let system = prompt(&[1; 8]);
    for number in 0..8 {
        router.index().insert(system.chain(), Slot::new(number).unwrap(), 1);
    }
    let mut chosen = HashSet::new();
    for session in 10..60 {
        let decision = router.place(&conversation(1, session, 1));
        assert_eq!((decision.hub_blocks, decision.reason), (8, Reason::Cold));
        chosen.insert(decision.chosen);
    }
    assert_eq!(chosen.len(), 8, "all take part");
}

#[test]
fn a_busy_target_is_left_for_the_least_busy() {
    let mut router = Router::new(&[1; 4]);
    let blocks = conversation(1, 2, 1);
    let first = router.place(&blocks);
    let warm = usize::from(first.chosen);
    router.candidates[warm].uncached_tokens = 4_000;
    let stays = router.choose(&blocks);
    assert_eq!(
        (stays.chosen, stays.reason),
        (first.chosen, Reason::Warm),
        "half a second is no reason to leave"
    );
    assert!((0..4).all(|at| at == warm || stays.passed_over(at) == Some(PassedOver::HoldsLess)));
    router.candidates[warm].uncached_tokens = 40_000;
    let leaves = router.choose(&blocks);
    assert_eq!(leaves.reason, Reason::WarmOverBound);
    assert_eq!(leaves.passed_over(warm), Some(PassedOver::OverBound));
    let elsewhere = router.place(&blocks);
    assert_eq!(router.choose(&blocks).chosen, elsewhere.chosen, "which is warm from now on");
}

#[test]
fn a_target_without_weight_or_memory_is_not_chosen_for_it() {
    let mut router = Router::new(&[1, 0, 1]);
    let blocks = conversation(1, 2, 1);
    router.index().insert(blocks.chain(), Slot::new(1).unwrap(), 1);
    let decision = router.place(&blocks);
    assert_ne!(decision.chosen, 1);
    assert_eq!(decision.passed_over(1), Some(PassedOver::NoWeight));
    assert!(!decision.order().contains(&1));

    let slot = Slot::new(decision.chosen.into()).unwrap();
    assert_eq!(router.choose(&blocks).reason, Reason::Warm);
    router.index().reset(slot, 1);
    assert_eq!(router.choose(&blocks).reason, Reason::Cold, "a replica that came back remembers nothing");
}

#[test]
fn nothing_to_choose_from_is_no_choice() {
    let router = Router::new(&[0, 0]);
    let blocks = prompt(&[]);
    let prompt = blocks.prompt(TokensPerByte::default());
    let choose = |candidates: &[Candidate]| {
        Affinity::default().choose(&prompt, &router.index(), candidates, PrefillRate::default(), 1)
    };
    assert_eq!(choose(&router.candidates), None);
    assert_eq!(choose(&[]), None);
}
