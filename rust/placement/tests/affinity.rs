//! Bounded-affinity hashing against a twin that keeps prompts in a map, and what it promises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

use edgeroute_placement::affinity::{PassedOver, Reason};
use edgeroute_placement::{
    Affinity, AffinityIndex, Candidate, Decision, Node, PrefillRate, Price, Prompt, PromptBlocks,
    PromptHasher, Rendezvous, Slot, Tokens, TokensPerByte, splitmix,
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
            .map(|(number, &weight)| {
                Candidate::new(Slot::new(number).unwrap(), Node::new(&name(number), weight))
            })
            .collect();
        Self { words, candidates }
    }

    fn index(&self) -> AffinityIndex<'_> {
        AffinityIndex::new(&self.words).unwrap()
    }

    fn choose(&self, blocks: &PromptBlocks) -> Decision {
        let prompt = Prompt { output_tokens: OUTPUT as f64, ..blocks.prompt(TokensPerByte::default()) };
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

/// What every request is expected to generate, in tokens.
const OUTPUT: u64 = 300;

fn price(input: f64, cached_input: f64, output: f64) -> Option<Price> {
    Some(Price { input, cached_input, output })
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
    let cached = |at: usize| match depth(at) as u32 * 64 {
        tokens if tokens < router.candidates[at].least_tokens => 0,
        tokens => tokens,
    };
    let load = |at: usize| {
        let context = router.candidates[at].context_tokens as f64;
        unread(at) + (tokens - f64::from(cached(at)) + 0.05 * context) / share(at)
    };
    let lightest =
        |among: &[usize]| among.iter().copied().min_by(|&a, &b| load(a).total_cmp(&load(b))).unwrap();
    let mean = eligible.iter().map(|&at| unread(at)).sum::<f64>() / eligible.len() as f64;
    let least = lightest(&eligible);
    let highest_load = load(least) + f64::max(0.5 * 10_000.0, 0.25 * mean);
    let deepest = eligible.iter().map(|&at| cached(at)).max().unwrap();
    let shallowest = eligible.iter().map(|&at| cached(at)).min().unwrap();
    let is_warm = deepest - shallowest >= 256;
    let wanted: Vec<usize> = if is_warm {
        eligible.iter().copied().filter(|&at| deepest - cached(at) <= 256).collect()
    } else {
        let blocks = prompt(text);
        let hub = eligible.iter().map(|&at| depth(at)).min().unwrap();
        let key = blocks.chain().get(hub).copied().unwrap_or(blocks.tail());
        let names: Vec<String> = (0..weights.len()).map(name).collect();
        let targets = names.iter().map(String::as_str).zip(weights.iter().copied());
        let order = Rendezvous::new(targets).unwrap().order(key);
        let mut two: Vec<usize> = order.iter().take(2).map(|&at| usize::from(at)).collect();
        two.sort_unstable();
        two
    };
    let choice = lightest(&wanted);
    let is_over_bound = load(choice) > highest_load;
    if !is_warm {
        return if is_over_bound { (least, Reason::ColdOverBound) } else { (choice, Reason::Cold) };
    }
    let is_priced = router.candidates.iter().all(|candidate| candidate.price.is_some());
    if !is_priced {
        return if is_over_bound { (least, Reason::WarmOverBound) } else { (choice, Reason::Warm) };
    }
    let money = |at: usize| money(&router.candidates[at], tokens as u64, cached(at).into());
    let margin = 256.0 * router.candidates[choice].price.unwrap().input / 1e6;
    let is_worth_a_look = |at: usize| {
        at == choice || load(at) <= highest_load && (is_over_bound || money(at) + margin < money(choice))
    };
    let total = |at: usize| money(at) + load(at) * (0.01 / 10_000.0);
    let compare = |&a: &usize, &b: &usize| total(a).total_cmp(&total(b)).then(load(a).total_cmp(&load(b)));
    let best = eligible.iter().copied().filter(|&at| is_worth_a_look(at)).min_by(compare).unwrap();
    let reason = match (is_over_bound, best == choice) {
        (false, true) => Reason::Warm,
        (false, false) => Reason::Cheaper,
        (true, true) => Reason::LeavingTooDear,
        (true, false) => Reason::WarmOverBound,
    };
    (best, reason)
}

/// What a candidate charges for a prompt of which it holds so much.
fn money(candidate: &Candidate, tokens: u64, cached: u64) -> f64 {
    let tokens = Tokens { input: tokens - cached, cached_input: cached, output: OUTPUT };
    candidate.price.unwrap().of(tokens)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn chooses_as_the_specification_says(
        weights in prop::collection::vec(0u32..4, 1..10),
        prompts in prop::collection::vec(prop::collection::vec(0u8..2, 0..14), 1..40),
        seed in any::<u64>(),
        busy in 1u64..40_000,
        dear in prop::option::of(1u64..50),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let mut router = Router::new(&weights);
        let mut seen = vec![HashSet::new(); weights.len()];
        let mut state = seed;
        for candidate in &mut router.candidates {
            let mut below = |most: u64| (splitmix(&mut state) % most) as f64;
            candidate.least_tokens = below(3) as u32 * 300;
            candidate.price = dear.and_then(|dear| price(below(dear), below(dear) / 8.0, below(dear)));
        }
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
    fn leaving_a_cache_pays_and_so_does_staying(
        prices in prop::collection::vec((0u32..50, 0u32..5), 2..10),
        prompts in prop::collection::vec(prop::collection::vec(0u8..2, 0..40), 1..40),
        seed in any::<u64>(),
        busy in 1u64..40_000,
    ) {
        let mut router = Router::new(&vec![1; prices.len()]);
        let mut state = seed;
        for (candidate, &(input, output)) in router.candidates.iter_mut().zip(&prices) {
            candidate.price = price(input.into(), f64::from(input) / 10.0, output.into());
        }
        for text in &prompts {
            for candidate in &mut router.candidates {
                candidate.uncached_tokens = splitmix(&mut state) % busy;
            }
            let decision = router.place(&prompt(text));
            let considered = &decision.considered;
            let least_uncached = considered.iter().map(|one| one.uncached_tokens).fold(f64::MAX, f64::min);
            let lightest = (0..considered.len())
                .filter(|&at| considered[at].uncached_tokens <= least_uncached + 256.0)
                .min_by(|&a, &b| considered[a].load.total_cmp(&considered[b].load))
                .unwrap();
            // What going elsewhere costs more, beside what the waiting that it saves may cost.
            let pays = |at: usize, slack: f64| {
                let seconds = (considered[lightest].load - considered[at].load) / 10_000.0;
                decision.money[at] - decision.money[lightest] <= 0.01 * seconds + slack
            };
            let within = |at: usize| considered[at].load <= decision.least_load + decision.bound;
            match decision.reason {
                Reason::WarmOverBound => prop_assert!(!within(lightest) && pays(decision.chosen.into(), 1e-12)),
                Reason::Cheaper => {
                    let chosen = usize::from(decision.chosen);
                    prop_assert!(within(lightest) && within(chosen) && pays(chosen, 1e-12));
                    prop_assert!(decision.money[chosen] < decision.money[lightest]);
                }
                Reason::LeavingTooDear => {
                    prop_assert_eq!(usize::from(decision.chosen), lightest);
                    prop_assert!((0..considered.len()).all(|at| at == lightest || !within(at) || !pays(at, -1e-12)));
                }
                Reason::Warm => prop_assert_eq!(usize::from(decision.chosen), lightest),
                Reason::Cold | Reason::ColdOverBound => {}
            }
            let chosen = usize::from(decision.chosen);
            let total = |at: usize| decision.money[at] + considered[at].load * 0.01 / 10_000.0;
            for at in 0..considered.len() {
                let is_true = match decision.passed_over(at) {
                    Some(PassedOver::OverBound) => !within(at),
                    Some(PassedOver::TooDear) => {
                        decision.money[at] > decision.money[chosen] || total(at) >= total(chosen) - 1e-12
                    }
                    Some(PassedOver::NotLighter) => considered[at].load >= considered[chosen].load,
                    _ => true,
                };
                prop_assert!(is_true, "{:?} at {} of {:?}", decision.passed_over(at), at, &decision);
            }
        }
    }

    #[test]
    fn equal_prices_change_nothing_within_the_bound_and_missing_ones_nowhere(
        count in 1usize..10,
        prompts in prop::collection::vec(prop::collection::vec(0u8..2, 0..40), 1..40),
        seed in any::<u64>(),
        busy in 1u64..40_000,
        (input, discount) in (0u32..100, 1u32..20),
    ) {
        let mut router = Router::new(&vec![1; count]);
        let mut state = seed;
        for text in &prompts {
            for candidate in &mut router.candidates {
                candidate.uncached_tokens = splitmix(&mut state) % busy;
                candidate.price = None;
            }
            let unpriced = router.choose(&prompt(text));
            let same = price(input.into(), f64::from(input) / f64::from(discount), 1.0);
            for candidate in router.candidates.iter_mut().skip(1) {
                candidate.price = same;
            }
            prop_assert_eq!(&router.choose(&prompt(text)), &unpriced, "one has no price");
            router.candidates[0].price = same;
            let priced = router.place(&prompt(text));
            if unpriced.reason != Reason::WarmOverBound {
                prop_assert_eq!((priced.chosen, priced.reason), (unpriced.chosen, unpriced.reason));
            }
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

/// A conversation that the first of four candidates has seen, so busy, with these prices of input and output (cached
/// input is a tenth): who gets it, why, and why the others do not.
#[test]
fn leaving_a_cache_must_pay() {
    // 1,024 tokens, all of them cached at the first; ten seconds of waiting may cost 0.10.
    let check = |busy: [u64; 4],
                 prices: [(f64, f64); 4],
                 expected: usize,
                 reason: Reason,
                 others: [PassedOver; 3]| {
        let mut router = Router::new(&[1; 4]);
        let blocks = prompt(&[7; 16]);
        router.index().insert(blocks.chain(), Slot::new(0).unwrap(), 1);
        for ((candidate, busy), (input, output)) in router.candidates.iter_mut().zip(busy).zip(prices) {
            candidate.uncached_tokens = busy;
            candidate.price = price(input, input / 10.0, output);
        }
        let decision = router.choose(&blocks);
        assert_eq!(
            (usize::from(decision.chosen), decision.reason),
            (expected, reason),
            "{busy:?} {prices:?}"
        );
        let passed_over: Vec<PassedOver> = (0..4).filter_map(|at| decision.passed_over(at)).collect();
        assert_eq!(passed_over, others, "{busy:?} {prices:?}");
    };
    use PassedOver::{HoldsLess, NotLighter, OverBound, TooDear};
    let equal = [(10.0, 0.0); 4];
    check([0, 0, 0, 0], equal, 0, Reason::Warm, [HoldsLess; 3]);
    check([100_000, 0, 10, 20], equal, 1, Reason::WarmOverBound, [OverBound, NotLighter, NotLighter]);
    let dear = [(100.0, 0.0); 4];
    check([9_000, 0, 10, 20], dear, 0, Reason::LeavingTooDear, [TooDear; 3]);
    check([9_000, 0, 10, 7_000], dear, 0, Reason::LeavingTooDear, [TooDear, TooDear, OverBound]);
    check([100_000, 0, 10, 20], dear, 1, Reason::WarmOverBound, [OverBound, NotLighter, NotLighter]);
    let one_dear = [(10.0, 0.0), (100.0, 0.0), (10.0, 0.0), (10.0, 0.0)];
    check([100_000, 0, 10, 20], one_dear, 2, Reason::WarmOverBound, [OverBound, TooDear, NotLighter]);
    let one_cheap = [(10.0, 0.0), (0.1, 0.0), (10.0, 0.0), (9.0, 0.0)];
    check([0, 0, 0, 0], one_cheap, 0, Reason::Warm, [HoldsLess; 3]);
    let cheap_output = [(10.0, 30.0), (10.0, 1.0), (10.0, 30.0), (10.0, 30.0)];
    check([0, 0, 0, 0], cheap_output, 0, Reason::Warm, [HoldsLess; 3]);
    let very_cheap = [(10.0, 30.0), (1.0, 1.0), (2.0, 1.0), (10.0, 30.0)];
    check([0, 0, 0, 0], very_cheap, 1, Reason::Cheaper, [TooDear; 3]);
    check([0, 6_000, 0, 0], very_cheap, 2, Reason::Cheaper, [TooDear, OverBound, TooDear]);
    check([0, 0, 0, 0], [(0.0, 0.0); 4], 0, Reason::Warm, [HoldsLess; 3]);
    check(
        [100_000, 9, 0, 20],
        [(0.0, 0.0); 4],
        2,
        Reason::WarmOverBound,
        [OverBound, NotLighter, NotLighter],
    );
}

#[test]
fn where_waiting_may_cost_nothing_only_what_costs_no_more_is_a_way_out() {
    let check = |prices: [f64; 3], expected: (u16, Reason)| {
        let mut router = Router::new(&[1; 3]);
        let blocks = prompt(&[7; 16]);
        router.index().insert(blocks.chain(), Slot::new(0).unwrap(), 1);
        for ((candidate, busy), input) in router.candidates.iter_mut().zip([100_000, 9, 0]).zip(prices) {
            candidate.uncached_tokens = busy;
            candidate.price = price(input, input, 0.0);
        }
        let affinity = Affinity { second_price: 0.0, ..Affinity::default() };
        let tokens = blocks.prompt(TokensPerByte::default());
        let decision =
            affinity.choose(&tokens, &router.index(), &router.candidates, PrefillRate::default(), 1).unwrap();
        assert_eq!((decision.chosen, decision.reason), expected, "{prices:?}");
    };
    check([1.0, 1.0, 1.0], (2, Reason::WarmOverBound));
    check([1.0, 0.9, 1.0], (1, Reason::WarmOverBound));
    check([1.0, 1.1, 1.1], (0, Reason::LeavingTooDear));
}

#[test]
fn the_money_of_a_decision_is_what_each_candidate_would_charge() {
    let mut router = Router::new(&[1; 3]);
    let blocks = prompt(&[7; 16]);
    router.index().insert(&blocks.chain()[..8], Slot::new(1).unwrap(), 1);
    assert!(router.choose(&blocks).money.is_empty(), "nobody has a price");
    for candidate in &mut router.candidates {
        candidate.price = price(2.0, 0.5, 10.0);
    }
    let expected =
        [1024.0 * 2.0, 512.0 * 2.0 + 512.0 * 0.5, 1024.0 * 2.0].map(|prompt| (prompt + 3000.0) / 1e6);
    assert_eq!(router.choose(&blocks).money[..], expected);
}

#[test]
fn a_prefix_too_short_for_the_cache_counts_for_nothing() {
    let mut router = Router::new(&[1; 8]);
    let is_warm = |router: &Router, text: &[u8]| {
        router.index().insert(prompt(text).chain(), Slot::new(3).unwrap(), 1);
        let decision = router.choose(&prompt(&[text, &[250; 4]].concat()));
        (decision.considered[3].uncached_tokens, decision.reason == Reason::Warm)
    };
    assert_eq!(is_warm(&router, &[1; 15]), (256.0, true));
    router.candidates.iter_mut().for_each(|candidate| candidate.least_tokens = 1024);
    assert_eq!(is_warm(&router, &[2; 15]), (19.0 * 64.0, false), "960 tokens");
    assert_eq!(is_warm(&router, &[3; 16]), (256.0, true), "1,024 tokens");

    // It has been seen all the same: what follows it spreads.
    for number in 0..8 {
        router.index().insert(prompt(&[1; 8]).chain(), Slot::new(number).unwrap(), 1);
    }
    let chosen: HashSet<u16> =
        (10..60).map(|session| router.place(&conversation(1, session, 1)).chosen).collect();
    assert_eq!(chosen.len(), 8, "all take part");
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
