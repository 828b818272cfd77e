//! Request-time cost of the two keys of a body. Bodies take turns out of 1,024 (fewer of the large ones), so that no
//! branch predictor learns one.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgeroute_cache::{RawKeys, Reading};
use edgeroute_wire::{Document, Operation};

const ROTATION: usize = 1_024;
/// Bytes of all bodies that take turns: they fit into a second-level cache, where a body that just arrived is too.
const ROTATING_BYTES: usize = 1 << 20;
/// An escape every 50 bytes or so.
const PROSE: &[&str] = &[
    "the",
    "router",
    "latency",
    "value",
    "\\n",
    "of",
    "a",
    "because",
    "return",
    "prompt",
    "\\\"name\\\"",
    "and",
    "with",
    "measured",
    "is",
    "not",
    "model",
    "however",
    "décide",
    "question",
    "which",
    "often",
];

/// A small generator, so that bodies are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(PROSE[self.below(PROSE.len())]);
            text.push(' ');
        }
        text
    }

    /// A chat of so many bytes, in messages of 100 bytes or more.
    fn chat(&mut self, bytes: usize) -> Vec<u8> {
        let mut messages = String::new();
        while messages.len() + 200 < bytes {
            let size = (bytes - 200 - messages.len()).min(100 + self.below(1 + bytes / 4));
            messages += &format!(
                r#"{{"role":"{}","content":"{}"}},"#,
                ["user", "assistant"][self.below(2)],
                self.text(size)
            );
        }
        let number = self.below(1_000);
        format!(
            r#"{{"model":"model-{number}","messages":[{{"role":"system","content":"Be brief."}},{messages}{{"role":"user","content":"{}"}}],"temperature":0.{number},"max_tokens":{number},"stream":true,"user":"user-{number}"}}"#,
            self.text(60)
        )
        .into_bytes()
    }

    /// A question with definitions of tools: hardly any text, but many fields that are not sorted.
    fn tools(&mut self, bytes: usize) -> Vec<u8> {
        let mut tools = String::new();
        while tools.len() + 200 < bytes {
            let name = self.below(1 << 20);
            tools += &format!(
                r#"{{"type":"function","function":{{"name":"tool_{name}","description":"Looks up {name}.","parameters":{{"type":"object","properties":{{"when":{{"type":"string"}},"count":{{"type":"integer","minimum":{name}}},"among":{{"enum":["a","b"]}}}},"required":["when","count"]}}}}}},"#,
            );
        }
        format!(
            r#"{{"model":"m","tools":[{}],"messages":[{{"role":"user","content":"Hello"}}]}}"#,
            tools.trim_end_matches(',')
        )
        .into_bytes()
    }

    /// Nothing but short fields in no order: the worst that somebody can send.
    fn fields(&mut self, bytes: usize) -> Vec<u8> {
        let fields: std::collections::BTreeSet<_> =
            (0..bytes / 10).map(|_| self.below(36_usize.pow(4))).collect();
        let mut fields: Vec<_> = fields.into_iter().map(|number| format!(r#""{number:05x}":1"#)).collect();
        for index in (1..fields.len()).rev() {
            fields.swap(index, self.below(index + 1));
        }
        format!(r#"{{"x":{{{}}}}}"#, fields.join(",")).into_bytes()
    }
}

/// Runs over bodies that take turns.
fn rotate(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    bodies: &[Vec<u8>],
    mut each: impl FnMut(&[u8]),
) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Bytes(
        bodies.iter().map(|body| body.len() as u64).sum::<u64>() / bodies.len() as u64,
    ));
    let mut turn = 0;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % bodies.len();
            each(black_box(&bodies[turn]));
        });
    });
}

fn keys(criterion: &mut Criterion) {
    let mut random = Random(8);
    let keys = RawKeys::new([7; 16]);
    type Kind = (&'static str, usize, fn(&mut Random, usize) -> Vec<u8>);
    let kinds: &[Kind] = &[
        ("chat 300 B", 300, Random::chat),
        ("chat 1 kB", 1_000, Random::chat),
        ("chat 4 kB", 4_000, Random::chat),
        ("chat 60 kB", 60_000, Random::chat),
        ("tools 4 kB", 4_000, Random::tools),
        ("fields 60 kB", 60_000, Random::fields),
    ];
    for (name, bytes, body) in kinds {
        let count = ROTATION.min(ROTATING_BYTES / bytes).max(1);
        let bodies: Vec<_> = (0..count).map(|_| body(&mut random, *bytes)).collect();
        let parts: &[&[u8]] = &[b"virtual key 7", b"model", b"pool"];
        rotate(criterion, "raw", name, &bodies, |body| _ = black_box(keys.key(parts, body)));
        rotate(criterion, "scan", name, &bodies, |body| drop(black_box(Document::scan(body))));
        let documents: Vec<_> = bodies.iter().map(|body| Document::scan(body).unwrap()).collect();
        let mut turn = 0;
        rotate(criterion, "canonical", name, &bodies, |_| {
            turn = (turn + 1) % documents.len();
            drop(black_box(Reading::of(&documents[turn], Operation::ChatCompletions, &[], parts).unwrap()));
        });
    }
}

criterion_group!(benches, keys);
criterion_main!(benches);
