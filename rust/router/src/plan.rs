//! Phases 2–7 of a request: who asks, what for, which rule, which targets in which order. Pure: the same
//! snapshot, request, facts and seed give the same plan. Nothing is reserved here.

use edgeroute_wire::{Dialect, Document, Edit, Operation, Span, include_usage, prompt};
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::facts::Facts;
use crate::refusal::{Code, Refusal};
use crate::request::{Endpoint, Request, dialect_of};
use crate::snapshot::{Action, Key, Model, ModelId, Snapshot};
use crate::trace::{Phase, Trace};
use crate::variables::{LazyPrompt, Variables};

/// A target and one of its replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Index of the target in the snapshot.
    pub(crate) target: u16,
    /// Index of the replica in the target's provider.
    pub(crate) replica: u16,
}

/// Bytes of the client's body that differ upstream.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    /// Where the model's name stands, quotes included.
    pub(crate) model: Option<Span>,
    /// What makes an OpenAI stream report its usage, when the client did not ask.
    pub(crate) usage: Option<Edit<'static>>,
}

/// What to do first.
#[derive(Debug)]
pub(crate) enum Planned {
    Attempt,
    List(Vec<String>),
    Describe(String),
    Refuse(Refusal),
}

/// Everything found out about a request before anything is reserved. Filled from left to right: after a
/// refusal the later fields are empty.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dialect: Dialect,
    pub(crate) operation: Operation,
    pub(crate) key: Option<u16>,
    pub(crate) stream: bool,
    pub(crate) requested: Box<str>,
    pub(crate) rule: Option<u16>,
    pub(crate) rule_errors: SmallVec<[u16; 4]>,
    pub(crate) model: Option<ModelId>,
    /// What the `*` of the model's name matched.
    pub(crate) rest: Option<Box<str>>,
    pub(crate) splice: Splice,
    /// Prompt estimate plus the most that may be generated.
    pub(crate) tokens: u64,
    pub(crate) prompt_tokens: u64,
    pub(crate) candidates: SmallVec<[Candidate; 8]>,
    pub(crate) planned: Planned,
}

/// Runs the phases.
pub(crate) fn plan(
    snapshot: &Snapshot,
    facts: &dyn Facts,
    request: &Request<'_>,
    seed: u64,
    trace: &mut Trace,
) -> Plan {
    let mut plan = Plan {
        dialect: dialect_of(request),
        operation: Operation::Chat,
        key: None,
        stream: false,
        requested: Box::default(),
        rule: None,
        rule_errors: SmallVec::new(),
        model: None,
        rest: None,
        splice: Splice::default(),
        tokens: 0,
        prompt_tokens: 0,
        candidates: SmallVec::new(),
        planned: Planned::Attempt,
    };
    match fill(&mut plan, snapshot, facts, request, seed, trace) {
        Ok(planned) => plan.planned = planned,
        Err(refusal) => plan.planned = Planned::Refuse(refusal),
    }
    plan
}

fn fill(
    plan: &mut Plan,
    snapshot: &Snapshot,
    facts: &dyn Facts,
    request: &Request<'_>,
    seed: u64,
    trace: &mut Trace,
) -> Result<Planned, Refusal> {
    let endpoint = Endpoint::find(request)?;
    plan.dialect = endpoint.dialect();
    trace.note(Phase::Read, || format!("{} {} is {endpoint:?}", request.method, request.path));

    let key_id = identify(snapshot, request)?;
    plan.key = Some(key_id);
    let Some(key) = snapshot.keys.get(usize::from(key_id)) else { return Err(invalid_key()) };
    trace.note(Phase::Identify, || match snapshot.team_of(key) {
        Some(team) => format!("virtual key `{}` of team `{}`", key.name, team.name),
        None => format!("virtual key `{}`, no team", key.name),
    });

    let (dialect, operation) = match endpoint {
        Endpoint::Generate(dialect, operation) => (dialect, operation),
        Endpoint::Models(_) => {
            return Ok(Planned::List(snapshot.names_for(key).into_iter().map(str::to_owned).collect()));
        }
        Endpoint::Model(_, name) => {
            find_allowed(snapshot, key, name)?;
            return Ok(Planned::Describe(name.to_owned()));
        }
    };
    plan.operation = operation;

    check_body(snapshot, request)?;
    let document = Document::scan(request.body).map_err(|error| invalid_body(&error))?;
    let requested = document.string("model").map_err(|error| invalid_field(&error, "model"))?;
    let (Some(requested), Some(field)) = (requested, document.get("model")) else {
        return Err(Refusal::new(
            Code::InvalidField,
            "the body has no `model`; GET /v1/models lists the models this key may ask for",
        )
        .field("model"));
    };
    plan.requested = requested.as_ref().into();
    plan.splice.model = Some(field.value);
    plan.stream =
        document.boolean("stream").map_err(|error| invalid_field(&error, "stream"))?.unwrap_or(false);
    let most = prompt::max_tokens(&document, dialect).map_err(|error| invalid_field(&error, "max_tokens"))?;
    trace.note(Phase::Scan, || {
        format!(
            "model `{requested}`, stream {}, max_tokens {most}, {} bytes",
            plan.stream,
            request.body.len()
        )
    });

    let lazy = LazyPrompt::new(&document, dialect, operation);
    let variables = Variables {
        snapshot,
        facts,
        request,
        key,
        model: &requested,
        operation,
        prompt: &lazy,
        max_tokens: most,
        stream: plan.stream,
    };
    let chosen = match_rules(plan, snapshot, &variables, trace)?;
    let found = match chosen {
        Some(name) => snapshot.find(name).ok_or_else(|| {
            Refusal::new(Code::Internal, format!("a rule chose the model `{name}`, which does not exist"))
        })?,
        None => find_allowed(snapshot, key, &requested)?,
    };
    plan.model = Some(found.model);
    plan.rest = found.rest.map(Into::into);

    let Some(model) = snapshot.models.get(usize::from(found.model)) else {
        return Err(Refusal::new(Code::Internal, "the model's entry is missing"));
    };
    place(plan, snapshot, facts, model, seed, trace)?;
    if plan.stream && dialect == Dialect::OpenAiChat && operation == Operation::Chat {
        let usage = include_usage(&document).map_err(|error| invalid_field(&error, "stream_options"))?;
        plan.splice.usage = usage;
    }

    if key.counts_tokens || lazy.measured().is_some() {
        plan.prompt_tokens = lazy.get().tokens;
    }
    let output = match (operation, most) {
        (Operation::Embeddings, _) => 0,
        (Operation::Chat, 0) => snapshot.defaults.reserve_output,
        (Operation::Chat, most) => most,
    };
    plan.tokens = plan.prompt_tokens.saturating_add(output);
    Ok(Planned::Attempt)
}

fn identify(snapshot: &Snapshot, request: &Request<'_>) -> Result<u16, Refusal> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let presented = bearer.or_else(|| request.header("x-api-key")).filter(|key| !key.is_empty());
    let Some(presented) = presented else {
        return Err(Refusal::new(
            Code::MissingKey,
            "no API key; send a virtual key as `authorization: Bearer …` or `x-api-key: …`",
        ));
    };
    let hash: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
    snapshot.key(&hash).ok_or_else(invalid_key)
}

#[cold]
fn invalid_key() -> Refusal {
    Refusal::new(Code::InvalidKey, "this API key is not known here; use a virtual key that edgeroute issued")
}

fn check_body(snapshot: &Snapshot, request: &Request<'_>) -> Result<(), Refusal> {
    // A body that is declared too large has not been read.
    let declared = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    if request.body.len().max(declared.unwrap_or(0)) > snapshot.max_body {
        return Err(Refusal::new(
            Code::BodyTooLarge,
            format!("the body is larger than {} bytes, the most this router takes", snapshot.max_body),
        ));
    }
    if let Some(declared) = request.header("content-type") {
        let media = declared.split(';').next().unwrap_or_default().trim();
        let json = media.eq_ignore_ascii_case("application/json")
            || media.len() > 5
                && media.get(media.len() - 5..).is_some_and(|end| end.eq_ignore_ascii_case("+json"));
        if !json {
            return Err(Refusal::new(
                Code::UnsupportedMediaType,
                format!("the body must be JSON; send `content-type: application/json`, not `{media}`"),
            ));
        }
    }
    if request.body.is_empty() {
        return Err(Refusal::new(Code::InvalidBody, "the body is empty; it must be a JSON object"));
    }
    Ok(())
}

/// The model that a client may reach under this name.
fn find_allowed<'a>(
    snapshot: &'a Snapshot,
    key: &'a Key,
    name: &'a str,
) -> Result<crate::snapshot::Found<'a>, Refusal> {
    let team = snapshot.team_of(key);
    let resolved = team.and_then(|team| team.alias(name)).unwrap_or(name);
    let Some(found) = snapshot.find(resolved) else { return Err(unknown_model(snapshot, key, name)) };
    match team {
        Some(team) if !team.allows(name) => Err(Refusal::new(
            Code::ModelNotAllowed,
            format!("team `{}` may not use the model `{}`", team.name, excerpt(name)),
        )
        .field("model")),
        _ => Ok(found),
    }
}

#[cold]
fn unknown_model(snapshot: &Snapshot, key: &Key, name: &str) -> Refusal {
    let names = snapshot.names_for(key);
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    let help = match near.as_slice() {
        [] => "GET /v1/models lists the models this key may ask for".to_owned(),
        names => format!("did you mean {}?", names.join(" or ")),
    };
    Refusal::new(Code::ModelNotFound, format!("there is no model `{}`; {help}", excerpt(name))).field("model")
}

/// Levenshtein distance, of names short enough for it to matter.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let next = (diagonal + usize::from(from != to)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// At most 80 characters of something a client sent, for messages and logs.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Evaluates the rules; returns the model that one chose.
fn match_rules<'a>(
    plan: &mut Plan,
    snapshot: &'a Snapshot,
    variables: &Variables<'_>,
    trace: &mut Trace,
) -> Result<Option<&'a str>, Refusal> {
    let name = |index: usize| snapshot.rules.get(index).map_or("", |rule| &*rule.name);
    let errors = &mut plan.rule_errors;
    let matched = snapshot.conditions.pass(variables).first_match(|index, error| {
        errors.push(index as u16);
        trace.note(Phase::Match, || format!("rule `{}` does not match: {error}", name(index)));
    });
    let Some(index) = matched else {
        trace.note(Phase::Match, || match snapshot.rules.len() {
            0 => "there are no rules".into(),
            count => format!("none of {count} rules matches"),
        });
        return Ok(None);
    };
    plan.rule = Some(index as u16);
    match snapshot.rules.get(index).map(|rule| &rule.action) {
        Some(Action::Model(model)) => {
            trace.note(Phase::Match, || format!("rule `{}` matches: model `{model}`", name(index)));
            Ok(Some(model))
        }
        Some(Action::Reject(reject)) => {
            trace.note(Phase::Match, || format!("rule `{}` matches: refused", name(index)));
            let mut refusal = Refusal::new(Code::RejectedByRule, reject.message.clone());
            refusal.status = reject.status;
            Err(refusal)
        }
        None => Ok(None),
    }
}

/// Puts the candidates in order: the model's own targets by its strategy, then those of its fallbacks; each
/// target's replicas in turn. Only targets that speak the caller's dialect remain.
fn place(
    plan: &mut Plan,
    snapshot: &Snapshot,
    facts: &dyn Facts,
    model: &Model,
    seed: u64,
    trace: &mut Trace,
) -> Result<(), Refusal> {
    let fallbacks = model.fallbacks.iter().filter_map(|&id| snapshot.models.get(usize::from(id)));
    for pool in std::iter::once(model).chain(fallbacks) {
        for position in pool.order(seed) {
            let Some(&id) = pool.targets.get(usize::from(position)) else { continue };
            let Some(target) = snapshot.targets.get(usize::from(id)) else { continue };
            let Some(provider) = snapshot.providers.get(usize::from(target.provider)) else { continue };
            if provider.dialect != plan.dialect {
                trace.note(Phase::Place, || {
                    format!("passed over {}: it speaks {}", target.name, provider.dialect.name())
                });
                continue;
            }
            let count = provider.replicas.len() as u16;
            let turn = if count > 1 { facts.turn(provider.turns) } else { 0 };
            for replica in edgeroute_placement::rotated(count, turn) {
                trace.note(Phase::Place, || {
                    let url = provider.replicas.get(usize::from(replica)).map_or("", |replica| &*replica.url);
                    format!("candidate {} at {url} (model `{}`)", target.name, pool.name)
                });
                plan.candidates.push(Candidate { target: id, replica });
            }
        }
    }
    if plan.candidates.is_empty() {
        return Err(no_target(plan.dialect, snapshot, model));
    }
    Ok(())
}

#[cold]
fn no_target(dialect: Dialect, snapshot: &Snapshot, model: &Model) -> Refusal {
    let targets: Vec<String> = model
        .targets
        .iter()
        .filter_map(|&id| {
            let target = snapshot.targets.get(usize::from(id))?;
            let provider = snapshot.providers.get(usize::from(target.provider))?;
            Some(format!("{} speaks {}", target.name, provider.dialect.name()))
        })
        .collect();
    Refusal::new(
        Code::NoTarget,
        format!(
            "the model `{}` cannot be served in {}: {}; this version does not translate between dialects",
            model.name,
            dialect.name(),
            targets.join(", ")
        ),
    )
    .field("model")
}

#[cold]
fn invalid_body(error: &edgeroute_wire::ScanError) -> Refusal {
    Refusal::new(Code::InvalidBody, format!("the body is not a valid JSON object: {error}"))
}

#[cold]
fn invalid_field(error: &edgeroute_wire::ScanError, field: &'static str) -> Refusal {
    Refusal::new(Code::InvalidField, error.to_string()).field(field)
}
