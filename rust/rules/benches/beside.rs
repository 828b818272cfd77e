//! The same conditions in crate `cel`, which evaluates rule by rule: with every value already in a context, and with a
//! context built from the request as a router has it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod common;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};
use common::{EXAMPLE, MIXED, Request, environment, requests, rule_set};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use edgeroute_rules::RuleSet;

fn context(env: &Arc<Env>, request: &Request) -> Context<'static, 'static> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let headers: HashMap<String, String> =
        request.headers.fields().iter().map(|(name, value)| (text(name), text(value))).collect();
    let mut context = Context::with_env(Arc::clone(env));
    context.add_variable_from_value("headers", headers);
    context.add_variable_from_value("model", request.model.to_owned());
    context.add_variable_from_value("team_name", request.team.to_owned());
    context.add_variable_from_value("virtual_key_name", request.key.to_owned());
    context.add_variable_from_value("tokens_used", request.tokens_used);
    context.add_variable_from_value("prompt_tokens", request.prompt_tokens);
    context
}

/// The first program that is true; what fails is not.
fn first_match(programs: &[Program], context: &Context<'_, '_>) -> Option<usize> {
    programs.iter().position(|program| matches!(program.execute(context), Ok(Value::Bool(true))))
}

fn beside(criterion: &mut Criterion) {
    let env = Arc::new(Env::stdlib());
    let requests = requests();
    let contexts: Vec<Context<'_, '_>> = requests.iter().map(|request| context(&env, request)).collect();
    let mut group = criterion.benchmark_group("beside");
    group.sample_size(20);
    for count in [1, 10, 100, 1_000] {
        let texts = if count == 1 { vec![EXAMPLE.to_owned()] } else { rule_set(&MIXED, count) };
        let rules = RuleSet::compile(&environment(), &texts).unwrap();
        let programs: Vec<Program> = texts.iter().map(|text| env.compile(text).unwrap()).collect();
        for (request, context) in requests.iter().zip(&contexts) {
            let ours = rules.pass(request).first_match(&[], |_, _| {}).map(|found| found.rule);
            assert_eq!(ours, first_match(&programs, context));
        }
        let mut turn = requests.iter().cycle();
        group.bench_function(BenchmarkId::new("edgeroute", count), |bencher| {
            bencher.iter(|| rules.pass(black_box(turn.next().unwrap())).first_match(&[], |_, _| {}));
        });
        let mut turn = contexts.iter().cycle();
        group.bench_function(BenchmarkId::new("cel, context ready", count), |bencher| {
            bencher.iter(|| first_match(&programs, black_box(turn.next().unwrap())));
        });
        let mut turn = requests.iter().cycle();
        group.bench_function(BenchmarkId::new("cel, context built", count), |bencher| {
            bencher.iter(|| first_match(&programs, &context(&env, black_box(turn.next().unwrap()))));
        });
    }
    group.bench_function("edgeroute, compile", |bencher| {
        let environment = environment();
        bencher.iter(|| RuleSet::compile(&environment, [black_box(EXAMPLE)]).unwrap());
    });
    group.bench_function("cel, compile", |bencher| bencher.iter(|| env.compile(black_box(EXAMPLE)).unwrap()));
}

criterion_group!(benches, beside);
criterion_main!(benches);
