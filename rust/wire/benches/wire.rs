//! Request-time cost of the scan, the estimate, the splice and event streams. Small bodies come from a rotation of
//! 1,024 different ones, so that no branch predictor learns a body.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgeroute_wire::{
    Dialect, Document, Edit, EventStream, Operation, Piece, include_usage, prompt, splice, usage,
};

const ROTATION: usize = 1_024;

/// A small generator, so that bodies are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Prose and code as it looks inside of JSON: an escape every 40 bytes or so.
    fn text(&mut self, bytes: usize) -> String {
        const WORDS: [&str; 21] = [
            "the",
            "router",
            "latency",
            "fn",
            "value",
            "\\n",
            "\\\"name\\\"",
            "of",
            "a",
            "because",
            "return",
            "prompt",
            "and",
            "with",
            "measured",
            "is",
            "not",
            "model",
            "\\n   ",
            "however",
            "decide",
        ];
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(WORDS[self.below(WORDS.len())]);
            text.push(' ');
        }
        text
    }

    fn chat(&mut self, bytes: usize) -> Vec<u8> {
        let mut messages = String::new();
        while messages.len() + 200 < bytes {
            let size = (bytes - 200 - messages.len()).min(100 + self.below(1 + bytes / 4));
            let role = ["user", "assistant"][self.below(2)];
            messages += &format!(r#"{{"role":"{role}","content":"{}"}},"#, self.text(size));
        }
        let model = self.below(1_000);
        format!(
            r#"{{"model":"model-{model}","messages":[{{"role":"system","content":"Be brief."}},{}],"temperature":0.{model},"max_tokens":{model},"stream":true,"user":"user-{model}"}}"#,
            messages.trim_end_matches(',')
        )
        .into_bytes()
    }

    fn openai_events(&mut self, count: usize) -> Vec<u8> {
        let mut stream = String::new();
        for _ in 0..count {
            let word = self.text(4);
            stream += &format!(
                "data: {{\"id\":\"chatcmpl-9aXkQ2v7\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-5-mini\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
            );
        }
        stream.into_bytes()
    }

    fn anthropic_events(&mut self, count: usize) -> Vec<u8> {
        let mut stream = String::new();
        for _ in 0..count {
            let word = self.text(4);
            stream += &format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            );
        }
        stream.into_bytes()
    }
}

fn bodies(bytes: usize, count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(bytes as u64);
    (0..count).map(|_| random.chat(bytes)).collect()
}

fn requests(criterion: &mut Criterion) {
    for (name, bytes, count) in [("1 kB", 1_000, ROTATION), ("8 kB", 8_000, ROTATION), ("200 kB", 200_000, 8)]
    {
        let bodies = bodies(bytes, count);
        let mut group = criterion.benchmark_group(name);
        let mean = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
        group.throughput(Throughput::Bytes(mean as u64));

        let mut next = bodies.iter().cycle();
        group.bench_function("scan", |bench| {
            bench.iter(|| black_box(Document::scan(next.next().unwrap()).unwrap()).fields().len());
        });
        let documents: Vec<Document<'_>> = bodies.iter().map(|body| Document::scan(body).unwrap()).collect();
        let mut next = documents.iter().cycle();
        group.bench_function("measure", |bench| {
            bench.iter(|| prompt::measure(next.next().unwrap(), Operation::ChatCompletions));
        });
        let mut next = documents.iter().cycle();
        let mut out = Vec::new();
        group.bench_function("splice model and usage", |bench| {
            bench.iter(|| {
                let document = next.next().unwrap();
                let usage = include_usage(document).unwrap().unwrap();
                let model = Edit::value(document.get("model").unwrap(), b"\"gpt-5-mini\"");
                out.clear();
                splice(document.bytes().len(), &[usage, model], |piece| {
                    out.extend_from_slice(match piece {
                        Piece::Kept(range) => &document.bytes()[range],
                        Piece::New(bytes) => bytes,
                    });
                })
                .unwrap();
                out.len()
            });
        });
        group.finish();
    }
}

fn replies(criterion: &mut Criterion) {
    let floats: Vec<String> = (0..1_536).map(|index| format!("{:.9}", (f64::from(index)).sin())).collect();
    let embedding = format!(
        r#"{{"data":[{{"embedding":[{}]}}],"usage":{{"prompt_tokens":8,"total_tokens":8}}}}"#,
        floats.join(",")
    );
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Bytes(embedding.len() as u64));
    group.bench_function("usage of an embedding", |bench| {
        bench.iter(|| usage::read(Dialect::OpenAiChat, black_box(embedding.as_bytes())));
    });
    group.finish();
}

fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("events");
    let mut random = Random(7);
    for (name, dialect, stream) in [
        ("openai 200 at once", Dialect::OpenAiChat, random.openai_events(200)),
        ("anthropic 200 at once", Dialect::AnthropicMessages, random.anthropic_events(200)),
        ("openai 1 at a time", Dialect::OpenAiChat, random.openai_events(1)),
        ("anthropic 1 at a time", Dialect::AnthropicMessages, random.anthropic_events(1)),
    ] {
        group.throughput(Throughput::Bytes(stream.len() as u64));
        let mut events = EventStream::new(dialect, true);
        let mut out = Vec::with_capacity(stream.len());
        group.bench_function(name, |bench| {
            bench.iter(|| {
                out.clear();
                events.feed(black_box(&stream), &mut out).unwrap();
                out.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests, replies, events);
criterion_main!(benches);
