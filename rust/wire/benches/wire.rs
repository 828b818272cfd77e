//! Request-time cost of the scan, the estimate, the splice and event streams. Small bodies come from a rotation of
//! 1,024 different ones, so that no branch predictor learns a body.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use edgeroute_wire::{
    Dialect, Document, Edit, EventStream, Operation, Piece, include_usage, prompt, splice, usage,
};

const ROTATION: usize = 1_024;
/// Bytes of all bodies that take turns: they fit into a second-level cache, where a body that just arrived is too.
const ROTATING_BYTES: usize = 1 << 20;

/// An escape every 40 bytes or so.
const PROSE: &[&str] = &[
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
/// An escape every 12 bytes or so, brackets, and many of them in a row.
const CODE: &[&str] = &[
    "if (n > 0) {",
    "\\n\\t\\t",
    "x[i] = y;",
    "}\\n",
    "print(\\\"%d\\\\n\\\",",
    "\\\"a\\\": [",
    "],",
    "return",
    "\\\\\\\\",
];
const FRENCH: &[&str] =
    &["dès", "lors", "qu’il", "écrit", "\\n", "le", "modèle", "répond", "à", "la", "question", "où"];
const CHINESE: &[&str] = &["路由器", "延迟", "测量", "\\n", "模型", "返回", "因为", "请求", "的", "是"];
/// Base64, which has no spaces, looks like this to a scan.
const IMAGE: &[&str] =
    &["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk-M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"];
/// Definitions of tools: short strings and brackets.
const TOOLS: &[&str] = &[
    "\",\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}},\"required\":[\"n\",\"m\"],\"x\":\"",
];

/// A small generator, so that bodies are the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// Words as they stand inside of JSON.
    fn text(&mut self, words: &[&str], bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes {
            text.push_str(words[self.below(words.len())]);
            text.push(' ');
        }
        text
    }

    fn chat(&mut self, words: &[&str], bytes: usize) -> Vec<u8> {
        let mut messages = String::new();
        while messages.len() + 200 < bytes {
            let size = (bytes - 200 - messages.len()).min(100 + self.below(1 + bytes / 4));
            let role = ["user", "assistant"][self.below(2)];
            messages += &format!(r#"{{"role":"{role}","content":"{}"}},"#, self.text(words, size));
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
            let word = self.text(PROSE, 4);
            stream += &format!(
                "data: {{\"id\":\"chatcmpl-9aXkQ2v7\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-5-mini\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
            );
        }
        stream.into_bytes()
    }

    fn response_events(&mut self, count: usize) -> Vec<u8> {
        let mut stream = String::new();
        for number in 0..count {
            let word = self.text(PROSE, 4);
            stream += &format!(
                "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"sequence_number\":{number},\"item_id\":\"msg_68\",\"output_index\":0,\"content_index\":0,\"delta\":\"{word}\",\"logprobs\":[],\"obfuscation\":\"Vs7aWQ\"}}\n\n"
            );
        }
        stream.into_bytes()
    }

    fn anthropic_events(&mut self, count: usize) -> Vec<u8> {
        let mut stream = String::new();
        for _ in 0..count {
            let word = self.text(PROSE, 4);
            stream += &format!(
                "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{word}\"}}}}\n\n"
            );
        }
        stream.into_bytes()
    }
}

fn bodies(words: &[&str], bytes: usize) -> Vec<Vec<u8>> {
    let mut random = Random(bytes as u64);
    (0..ROTATION.min(ROTATING_BYTES / bytes)).map(|_| random.chat(words, bytes)).collect()
}

fn mean_size(bodies: &[Vec<u8>]) -> Throughput {
    Throughput::Bytes((bodies.iter().map(Vec::len).sum::<usize>() / bodies.len()) as u64)
}

fn requests(criterion: &mut Criterion) {
    for (name, bytes) in [("1 kB", 1_000), ("20 kB", 20_000), ("200 kB", 200_000)] {
        let bodies = bodies(PROSE, bytes);
        let mut group = criterion.benchmark_group(name);
        group.throughput(mean_size(&bodies));

        let mut next = bodies.iter().cycle();
        group.bench_function("scan", |bench| {
            bench.iter(|| Document::scan(next.next().unwrap()).unwrap().fields().len());
        });
        let mut next = bodies.iter().cycle();
        group.bench_function("memchr of what is absent, for scale", |bench| {
            bench.iter(|| memchr::memchr(0, next.next().unwrap()));
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

fn texts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan of 20 kB");
    let sorts =
        [("code", CODE), ("French", FRENCH), ("Chinese", CHINESE), ("an image", IMAGE), ("tools", TOOLS)];
    for (name, words) in sorts {
        let bodies = bodies(words, 20_000);
        group.throughput(mean_size(&bodies));
        let mut next = bodies.iter().cycle();
        group.bench_function(name, |bench| {
            bench.iter(|| Document::scan(next.next().unwrap()).unwrap().fields().len());
        });
    }
    let mut random = Random(11);
    let bodies: Vec<Vec<u8>> = (0..50)
        .map(|_| format!(r#"{{"model":"m","input":"{}"}}"#, random.text(PROSE, 20_000)).into_bytes())
        .collect();
    group.throughput(mean_size(&bodies));
    let mut next = bodies.iter().cycle();
    group.bench_function("one string", |bench| {
        bench.iter(|| Document::scan(next.next().unwrap()).unwrap().fields().len());
    });
    group.finish();
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
        ("responses 200 at once", Dialect::OpenAiResponses, random.response_events(200)),
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

criterion_group!(benches, requests, texts, replies, events);
criterion_main!(benches);
