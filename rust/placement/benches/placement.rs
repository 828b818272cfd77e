//! What a choice costs, by number of targets, and how fast prompts are hashed. Keys and prompts rotate; `cold` index
//! look-ups go round a table that no cache holds.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgeroute_placement::{
    Affinity, AffinityIndex, Candidate, Load, Node, PrefillRate, PromptBlocks, PromptHasher, Rendezvous,
    Ring, RoundRobin, SLOTS, Slot, TokensPerByte, key, least_load, power_of_two, splitmix,
};

const COUNTS: [usize; 4] = [4, 16, 64, 100];

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("http://gpu-{number}:8000/v1")).collect()
}

const MAGLEV: usize = 65_537;

/// The table of Eisenbud et al., "Maglev: a fast and reliable software network load balancer" (2016), of the size
/// that Envoy takes: equal weights, no bound.
fn maglev(names: &[String]) -> Vec<u16> {
    let mut preferences: Vec<(usize, usize)> = names
        .iter()
        .map(|name| {
            let [offset, skip] = [0, 1].map(|salt| key(salt, name.as_bytes()) as usize);
            (offset % MAGLEV, skip % (MAGLEV - 1) + 1)
        })
        .collect();
    let mut table = vec![u16::MAX; MAGLEV];
    let mut filled = 0;
    while filled < MAGLEV {
        for (target, (next, skip)) in preferences.iter_mut().enumerate() {
            while table[*next] != u16::MAX {
                *next = (*next + *skip) % MAGLEV;
            }
            table[*next] = target as u16;
            filled += 1;
            if filled == MAGLEV {
                break;
            }
        }
    }
    table
}

fn choices(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose");
    for count in COUNTS {
        let names = names(count);
        let mut state = 7;
        let equal = names.iter().map(|name| (name.as_str(), 1));
        let weighted = names.iter().map(|name| (name.as_str(), 1 + name.len() as u32 % 3));
        let keys: Vec<u64> = (0u64..1024).map(|number| key(0, &number.to_le_bytes())).collect();
        let loads: Vec<Option<u32>> = (0..count).map(|_| Some((splitmix(&mut state) % 20) as u32)).collect();
        let tokens: Vec<Load> =
            (0..count).map(|_| Load { tokens: splitmix(&mut state) % 100_000, weight: 1 }).collect();
        let mut at = 0;
        let mut next = move || {
            at = (at + 1) % 1024;
            keys[at]
        };

        for (name, rendezvous) in [
            ("rendezvous", Rendezvous::new(equal.clone()).unwrap()),
            ("rendezvous, weights 1 to 3", Rendezvous::new(weighted).unwrap()),
        ] {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| rendezvous.choose(black_box(next())));
            });
        }
        let ring = Ring::new(equal, 256, 125).unwrap();
        group.bench_function(BenchmarkId::new("ring, bounded", count), |bencher| {
            bencher.iter(|| ring.choose(black_box(next()), &loads));
        });
        let maglev = maglev(&names);
        group.bench_function(BenchmarkId::new("maglev, unbounded, for comparison", count), |bencher| {
            bencher.iter(|| maglev[(black_box(next()) % MAGLEV as u64) as usize]);
        });
        group.bench_function(BenchmarkId::new("least load", count), |bencher| {
            bencher.iter(|| least_load(&tokens, 1000, black_box(next())));
        });
        group.bench_function(BenchmarkId::new("power of two", count), |bencher| {
            bencher.iter(|| power_of_two(&tokens, 1000, black_box(next())));
        });
        let round = RoundRobin::new(&vec![3; count]).unwrap();
        group.bench_function(BenchmarkId::new("round robin", count), |bencher| {
            bencher.iter(|| round.at(black_box(next())));
        });
    }
    group.finish();
}

fn prompt(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    (0..bytes.div_ceil(8)).flat_map(|_| splitmix(&mut state).to_le_bytes()).take(bytes).collect()
}

fn hash(text: &[u8]) -> PromptBlocks {
    let mut hasher = PromptHasher::new(1);
    hasher.update(text);
    hasher.finish()
}

fn hashing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hash");
    for bytes in [1_000, 8_000, 48_000] {
        let texts: Vec<Vec<u8>> = (0..1_024).map(|seed| prompt(seed, bytes)).collect();
        let mut texts = texts.iter().cycle();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(BenchmarkId::new("prompt", bytes), |bencher| {
            bencher.iter(|| hash(black_box(texts.next().unwrap())));
        });
    }
    group.finish();
}

/// Choosing and inserting for prompts whose first half several candidates have seen. Warm ones are a few. Cold ones
/// go round 6 MB of an index of the size that pools have if nothing is set, or 25 MB of a large one.
fn affinity(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("affinity");
    let words: Vec<AtomicU64> =
        (0..AffinityIndex::LEAST_WORDS + (64 << 17)).map(|_| AtomicU64::new(0)).collect();
    let aligned = &words[words.as_ptr().align_offset(64)..];
    for (memory, blocks_held, mebibytes) in
        [("warm", 100, 8), ("cold", 100_000, 8), ("cold of 64 MiB", 400_000, 64)]
    {
        for bytes in [1_000, 8_000, 48_000] {
            aligned.iter().for_each(|word| word.store(0, Ordering::Relaxed));
            let index = AffinityIndex::new(&aligned[..mebibytes << 17]).unwrap();
            let prompts_held = (blocks_held / (bytes as u64 / 256)).max(4);
            let texts: Vec<PromptBlocks> = (0..prompts_held).map(|seed| hash(&prompt(seed, bytes))).collect();
            for (number, blocks) in texts.iter().enumerate() {
                let chain = blocks.chain();
                index.insert(chain, Slot::new(number % 4).unwrap(), 1);
                for holder in 0..8 {
                    index.insert(&chain[..chain.len() / 2], Slot::new(holder).unwrap(), 1);
                }
            }
            for count in COUNTS.into_iter().filter(|&count| count <= SLOTS) {
                let candidates: Vec<Candidate> = names(count)
                    .iter()
                    .enumerate()
                    .map(|(number, name)| Candidate {
                        uncached_tokens: number as u64 * 100,
                        context_tokens: number as u64 * 1000,
                        ..Candidate::new(Slot::new(number).unwrap(), Node::new(name, 1))
                    })
                    .collect();
                let affinity = Affinity::default();
                let mut at = 0;
                let name = format!("choose, {bytes} bytes, {memory}");
                group.bench_function(BenchmarkId::new(name, count), |bencher| {
                    bencher.iter(|| {
                        at = (at + 1) % texts.len();
                        let prompt = texts[at].prompt(TokensPerByte::default());
                        affinity.choose(black_box(&prompt), &index, &candidates, PrefillRate::default(), 2)
                    });
                });
            }
            let mut at = 0;
            group.bench_function(format!("insert, {bytes} bytes, {memory}"), |bencher| {
                bencher.iter(|| {
                    at += 1;
                    let slot = Slot::new(at / texts.len() % 4).unwrap();
                    index.insert(black_box(texts[at % texts.len()].chain()), slot, 1);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, choices, hashing, affinity);
criterion_main!(benches);
