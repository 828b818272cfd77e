//! What a vector of a text costs. Texts are sentences and passages of our own documentation, cut to a length, and
//! rotate; `cold` reads 64 MiB before each text, so that the table is in no nearby cache.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgeroute_cache::embed;

/// Texts of about so many bytes that begin and end with a word.
fn texts(length: usize) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let all: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let words: Vec<&str> = all.split_whitespace().collect();
    let text = |start: usize| {
        let mut text = String::new();
        for word in words.iter().cycle().skip(start) {
            if text.len() + word.len() >= length {
                return text;
            }
            text.push_str(word);
            text.push(' ');
        }
        text
    };
    (0..2000).map(|number| text(number * 7919 % words.len())).collect()
}

fn embedding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embed");
    let elsewhere = vec![1u8; 64 << 20];
    for length in [60, 2500] {
        let texts = texts(length);
        let mut next = texts.iter().cycle();
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length}/warm"), |bencher| {
            bencher.iter(|| embed(black_box(next.next().unwrap())));
        });
        group.bench_function(format!("{length}/cold"), |bencher| {
            bencher.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for text in next.by_ref().take(times as usize) {
                    black_box(elsewhere.iter().step_by(64).map(|&byte| u64::from(byte)).sum::<u64>());
                    let begun = Instant::now();
                    black_box(embed(black_box(text)));
                    taken += begun.elapsed();
                }
                taken
            });
        });
    }
}

criterion_group!(benches, embedding);
criterion_main!(benches);
