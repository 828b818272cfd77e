//! Cost of rules: once per configuration (`load`) and once per request (`request`, over 1,024 requests in turn).
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use edgeroute_rules::{Attribute, Environment, RuleSet, Source, Type, Value};

const EXAMPLE: &str = r#"headers["x-tier"] == "premium" && tokens_used > 75"#;

struct Request {
    headers: Vec<(String, String)>,
    model: String,
    tokens_used: f64,
}

impl Source for Request {
    fn attribute(&self, attribute: &Attribute) -> Option<Value<'_>> {
        match (attribute.variable, &attribute.key) {
            (0, Some(key)) => self
                .headers
                .iter()
                .find(|(name, _)| **name == **key)
                .map(|(_, value)| Value::from(value.as_str())),
            (1, None) => Some(Value::from(self.model.as_str())),
            (2, None) => Some(Value::Double(self.tokens_used)),
            _ => None,
        }
    }
}

fn environment() -> Environment {
    Environment::new()
        .declare_map_lowercase("headers", Type::String)
        .declare("model", Type::String)
        .declare("tokens_used", Type::Double)
}

/// Requests with twelve headers; one in four is premium, one in eight has no tier at all.
fn requests() -> Vec<Request> {
    let pick = |index: usize, choices: &[&str]| choices.get(index % choices.len()).unwrap().to_string();
    (0..1024_usize)
        .map(|index| {
            let random = index.wrapping_mul(2_654_435_761) >> 7;
            let mut headers: Vec<(String, String)> = (0..10)
                .map(|number| (format!("x-header-{number}"), format!("value {}", random % (number + 2))))
                .collect();
            headers.push(("x-region".into(), pick(random / 8, &["eu-west", "us-east", "ap-south"])));
            if random % 8 != 7 {
                headers.push(("x-tier".into(), pick(random, &["premium", "standard", "free", "trial"])));
            }
            let model = pick(random / 16, &["gpt-5-mini", "gpt-5.5", "claude-opus-4-8", "llama"]);
            Request { headers, model, tokens_used: (random % 101) as f64 }
        })
        .collect()
}

fn ten_rules() -> Vec<String> {
    let mut rules: Vec<String> = (0..9)
        .map(|number| format!("headers[\"x-tier\"] == \"tier-{number}\" && tokens_used > {}", number * 10))
        .collect();
    rules.push(EXAMPLE.into());
    rules
}

fn first_match(criterion: &mut Criterion, name: &str, rules: &[impl AsRef<str>]) {
    let rules = RuleSet::compile(&environment(), rules.iter().map(AsRef::as_ref)).unwrap();
    let requests = requests();
    let mut turn = requests.iter().cycle();
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let request = turn.next().unwrap();
            rules.pass(black_box(request)).first_match(&[], |_, error| {
                black_box(error);
            })
        });
    });
}

fn load(criterion: &mut Criterion) {
    let environment = environment();
    criterion.bench_function("load/example", |bencher| {
        bencher.iter(|| RuleSet::compile(&environment, [black_box(EXAMPLE)]).unwrap());
    });
}

fn request(criterion: &mut Criterion) {
    first_match(criterion, "request/example", &[EXAMPLE]);
    first_match(criterion, "request/ten rules on one header", &ten_rules());
    let mixed: Vec<String> = (0..10)
        .map(|number| {
            format!(
                "model.startsWith(\"model-{number}\") || headers[\"x-header-{number}\"] in [\"a\", \"b\"]"
            )
        })
        .collect();
    first_match(criterion, "request/ten rules on eleven attributes", &mixed);
    first_match(
        criterion,
        "request/membership of a missing header",
        &["\"x-absent\" in headers && tokens_used > 75"],
    );
}

criterion_group!(benches, load, request);
criterion_main!(benches);
