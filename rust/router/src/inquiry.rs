//! What edgeroute asks providers on its own behalf: vectors of questions, and whether two answers say the same. Such a
//! request has no client, no virtual key, no limits and no record. In all else it is as any other, with the same
//! credentials, deadlines, breakers and further attempts.

use std::sync::Arc;

use edgeroute_limits::Row;
use edgeroute_shared::Cells;
use edgeroute_wire::{Dialect, Document, Operation, embeddings, quote};

use crate::compile::{CompileError, named_target};
use crate::config::{self, Config};
use crate::facts::{Facts, LiveFacts};
use crate::judge::Judge;
use crate::place::in_turn;
use crate::plan::{Candidate, Plan};
use crate::request::{Now, Request};
use crate::snapshot::{Model, Snapshot, Target};
use crate::ticket::Ticket;

/// Larger replies have no vector of a text.
const MOST_REPLY: usize = 1 << 20;

/// Who makes the vectors of a model's questions.
#[derive(Debug, PartialEq, Eq)]
pub struct Embedder {
    /// Index of its target in the snapshot.
    pub target: u16,
    /// As `provider/model`. Vectors of different names have nothing to do with each other.
    pub name: Box<str>,
    /// How long a request may wait for its vector, in milliseconds.
    pub wait_ms: u64,
}

impl Ticket {
    /// A request of edgeroute's own to a target. Its body is a JSON object with a `model`, whatever that says. None if no
    /// replica takes requests.
    pub fn inquire(
        snapshot: &Arc<Snapshot>,
        row: &Arc<Row>,
        target: u16,
        operation: Operation,
        body: &[u8],
        now: Now,
    ) -> Option<Self> {
        let headers = [].as_slice().into();
        let request = Request { method: "POST", path: operation.path(), query: "", headers, peer: "", body };
        let mut plan = Plan::new(snapshot, &request);
        plan.dialect = operation.dialect();
        plan.operation = Some(operation);
        plan.splice.model = Some(Document::scan(body).ok()?.get("model")?.value);
        let facts = LiveFacts::new(row.cells(), now.unix_ms);
        let provider = snapshot.provider_of(snapshot.target(target)?)?;
        let candidates = in_turn(provider, facts.turn(provider.turns));
        let candidate = |(replica, credential)| Candidate { fallback: 0, target, replica, credential };
        plan.candidates = candidates.map(candidate).collect();
        let mut ticket = Self::new(snapshot, row, plan, now);
        ticket.open_next(&facts, now).then_some(ticket)
    }
}

/// The body that asks for the vector of a text.
pub fn ask_for_vector(text: &str) -> Vec<u8> {
    let mut body = br#"{"model":"","input":"#.to_vec();
    quote(text, &mut body);
    body.push(b'}');
    body
}

/// The vector in the reply to it.
///
/// NOTE: 1,536 numbers in 19 kB take 43 µs; that the index learns them, 24 µs more.
pub fn vector_of(reply: &[u8]) -> Option<Vec<f32>> {
    if reply.len() > MOST_REPLY {
        return None;
    }
    serde_json::from_slice(embeddings::read(reply, 1)?.vectors.first()?).ok()
}

/// Finds the targets that models name besides their own.
pub(crate) fn compile_inquiries(
    config: &Config,
    models: &mut [Model],
    targets: &mut Vec<Target>,
    cells: &Cells,
) -> Result<(), CompileError> {
    for (written, model) in config.models.iter().zip(models) {
        let place = format!("the cache of model `{}`", written.name);
        let mut find = |named: &config::Named| {
            let target = named_target(named, config, targets, cells, &place)?;
            let provider = config.providers.iter().find(|provider| provider.name == named.provider);
            let dialect = provider.and_then(|provider| Dialect::of_provider(&provider.dialect));
            Ok::<_, CompileError>((target, format!("{}/{}", named.provider, named.model), dialect))
        };
        if let Some(config::Embedder { target, wait_ms }) = &written.embedder {
            let (target, name, dialect) = find(target)?;
            if dialect != Some(Dialect::OpenAiChat) {
                let message =
                    format!("{place} names the embedder `{name}`, which does not speak openai-chat");
                return Err(CompileError::Invalid(message));
            }
            model.embedder = Some(Arc::new(Embedder { target, name: name.into(), wait_ms: *wait_ms }));
        }
        if let Some(judge) = &written.judge {
            let (target, name, dialect) = find(judge)?;
            let operation = Judge::operation(dialect.unwrap_or(Dialect::OpenAiChat));
            model.judge = Some(Arc::new(Judge { target, name: name.into(), operation }));
        }
    }
    Ok(())
}
