//! What a search among known questions costs, by their number: `scan` is the search with a vector at hand, `find` is
//! all of it, from the text to the guards' word. Queries rotate, none is known; `cold` ones go round so many banks that
//! what the search reads first is in none of the processor's own caches.
//!
//! `TEXTS` names a file with a question a line; without one they are put together here.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

use edgeroute_cache::{Bank, Embedding, SemanticCache, embed};

const THRESHOLD: f32 = 0.95;
/// Cosines of a vector from elsewhere, and how far a search goes for the threshold above with the built-in embedding.
const COSINES: [f32; 2] = [0.95, 0.8];
const QUERIES: usize = 1024;
const COUNTS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Bytes of first levels that a cold search goes round.
const COLD: usize = 16 << 20;

fn texts() -> Vec<String> {
    if let Some(path) = std::env::var_os("TEXTS") {
        return std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
    }
    let verbs =
        ["change", "cancel", "find", "pay for", "return", "share", "repair", "compare", "translate", "book"];
    let things =
        ["a flight", "my password", "the invoice", "a recipe", "this phone", "the contract", "a hotel room"];
    let ends =
        ["in Paris", "from last year", "without a card", "for two people", "with a discount", "in Spanish"];
    let starts = [
        "how do i",
        "what is the best way to",
        "can you help me",
        "where can i",
        "why should i",
        "when may i",
    ];
    let mut texts = Vec::new();
    for number in 0..10 {
        for (start, verb) in starts.iter().flat_map(|start| verbs.iter().map(move |verb| (start, verb))) {
            for (thing, end) in things.iter().flat_map(|thing| ends.iter().map(move |end| (thing, end))) {
                texts.push(format!("{start} {verb} {thing} {end}, case {}", number * 37));
            }
        }
    }
    texts
}

fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
    (*state >> 33) as usize
}

/// Embeddings of the texts, then as many between two of them as are wanted.
fn embeddings(texts: &[String], count: usize, state: &mut u64) -> Vec<Embedding> {
    let mut embeddings: Vec<Embedding> = texts.iter().filter_map(|text| embed(text)).take(count).collect();
    let known = embeddings.len();
    while embeddings.len() < count {
        let mut between = embeddings[random(state) % known].clone();
        let other = &embeddings[random(state) % known];
        between
            .values
            .iter_mut()
            .zip(other.values)
            .for_each(|(value, other)| *value = *value / 2 + other / 2);
        let square: i32 = between.values.iter().map(|value| i32::from(*value).pow(2)).sum();
        between.scale = (square as f32).sqrt().recip();
        embeddings.push(between);
    }
    embeddings
}

fn bank(embeddings: &[Embedding]) -> Bank {
    let mut bank = Bank::new(256);
    (0..).zip(embeddings).for_each(|(id, embedding)| _ = bank.insert(id, embedding));
    bank
}

fn scan(criterion: &mut Criterion) {
    let texts = texts();
    let (queries, known) = texts.split_at(QUERIES);
    let mut state = 1;
    let queries = embeddings(queries, QUERIES, &mut state);
    let mut group = criterion.benchmark_group("scan");
    for count in COUNTS {
        let embeddings = embeddings(known, count, &mut state);
        let banks: Vec<Bank> = (0..(COLD / 8 / count).max(1)).map(|_| bank(&embeddings)).collect();
        for (name, banks) in [("warm", &banks[..1]), ("cold", &banks[..])] {
            for cosine in COSINES {
                let mut at = 0;
                group.bench_function(
                    BenchmarkId::new(format!("{name}, cosine {cosine}"), count),
                    |bencher| {
                        bencher.iter(|| {
                            at += 1;
                            let bank = &banks[at % banks.len()];
                            bank.within(black_box(&queries[at % QUERIES]), cosine, 8)
                        });
                    },
                );
            }
        }
        let mut bank = bank(&embeddings);
        let mut at = 0;
        group.bench_function(BenchmarkId::new("insert and remove", count), |bencher| {
            bencher.iter(|| {
                at += 1;
                bank.insert(1, black_box(&queries[at % QUERIES]));
                bank.remove(at * 7919 % count)
            });
        });
    }
    group.finish();
}

fn find(criterion: &mut Criterion) {
    let texts = texts();
    let (queries, known) = texts.split_at(QUERIES);
    let mut group = criterion.benchmark_group("find");
    for count in [1_000, 10_000, known.len()] {
        let known = &known[..count.min(known.len())];
        let mut cache = SemanticCache::new(count);
        (0..).zip(known).for_each(|(entry, text)| _ = cache.insert(1, entry, text, u32::MAX));
        let mut at = 0;
        for (name, asked) in [("unknown", queries), ("known", known)] {
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    at += 1;
                    cache.find(1, black_box(&asked[at * 31 % asked.len()]), THRESHOLD, 0)
                });
            });
        }
        group.bench_function(BenchmarkId::new("insert, the oldest goes", count), |bencher| {
            bencher.iter(|| {
                at += 1;
                cache.insert(1, at as u64 + (1 << 40), black_box(&queries[at % QUERIES]), u32::MAX)
            });
        });
    }
    let mut at = 0;
    group.bench_function("only the embedding", |bencher| {
        bencher.iter_batched(
            || {
                at += 1;
                &queries[at % QUERIES]
            },
            |text| embed(black_box(text)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, scan, find);
criterion_main!(benches);
