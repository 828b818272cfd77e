//! What it costs to read a question and to compare two, over 2,048 rotating questions of about 60 characters.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use edgeroute_cache::guard::{Question, bypass, confidence, veto};

const OPENINGS: [&str; 8] = [
    "How do I clean",
    "What is the best way to repair",
    "Can you tell me how much it costs to replace",
    "Please explain why people paint",
    "When should I not wash",
    "What's the difference between a new and",
    "Where did they find",
    "In 1998, who sold",
];
const THINGS: [&str; 16] = [
    "a leather sofa",
    "the windows of a car",
    "an old wooden table",
    "3 pairs of shoes",
    "a bicycle chain",
    "the roof of a house",
    "two silver spoons",
    "a cast-iron pan",
    "the lens of a camera",
    "a woollen carpet",
    "the kitchen floor",
    "an aquarium pump",
    "a garden fence",
    "some brass handles",
    "a computer screen",
    "the gutter",
];
const ENDINGS: [&str; 16] = [
    "in winter?",
    "with vinegar?",
    "without water?",
    "for less than $20?",
    "after a party",
    "in Oslo?",
    "at home?",
    "before selling it?",
    "quickly?",
    "from the 1950s?",
    "by hand",
    "on a budget?",
    "every week?",
    "under the sink?",
    "safely?",
    "in Python?",
];

fn questions() -> Vec<String> {
    let mut made = Vec::new();
    for opening in OPENINGS {
        for thing in THINGS {
            made.extend(ENDINGS.map(|ending| format!("{opening} {thing} {ending}")));
        }
    }
    made
}

fn guards(criterion: &mut Criterion) {
    let texts = questions();
    let read: Vec<Question> = texts.iter().map(|text| Question::new(text)).collect();
    let mut group = criterion.benchmark_group("guard");
    let mut at = 0;
    let mut next = || {
        at = (at + 769) % texts.len();
        at
    };
    group.bench_function("read", |bencher| bencher.iter(|| Question::new(black_box(&texts[next()]))));
    group.bench_function("bypass", |bencher| bencher.iter(|| bypass(black_box(&texts[next()]))));
    // The next one differs in its last words.
    group.bench_function("veto", |bencher| {
        bencher.iter(|| {
            let at = next();
            veto(black_box(&read[at]), &read[(at + 1) % read.len()])
        });
    });
    group.bench_function("veto and confidence of the same", |bencher| {
        bencher.iter(|| {
            let question = black_box(&read[next()]);
            (veto(question, question), confidence(question, question, 0.97))
        });
    });
    group.finish();
}

criterion_group!(benches, guards);
criterion_main!(benches);
