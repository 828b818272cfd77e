//! Phases 2–7 of a request: who asks, what for, which rule, which targets in which order. Pure: the same
//! snapshot, request, facts and seed give the same plan. Nothing is reserved here.

use std::cell::OnceCell;
use std::net::IpAddr;

use edgeroute_wire::{
    Change, Dialect, Document, Edit, Operation, ScanError, Span, change_fields, include_usage, prompt,
};
use smallvec::SmallVec;

use crate::choose::allowed_model;
use crate::client_address::client_address;
use crate::facts::Facts;
use crate::identify::{check_body, check_declared, check_head, identify, invalid_key};
use crate::matching::match_rules;
use crate::place::{Asked, Placed, check_dialect, place};
use crate::recall::{Recall, Recalled, recall};
use crate::refusal::{Code, Refusal, excerpt};
use crate::request::{Endpoint, Request, dialect_of};
use crate::rule::{self, HeaderChange};
use crate::snapshot::{Key, ModelId, Resolved, Snapshot};
use crate::trace::{Phase, Trace};
use crate::variables::{LazyPrompt, Variables};

/// Everything found out about a request before anything is reserved. Filled from top to bottom: after a
/// refusal the later fields are empty.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dialect: Dialect,
    /// What a model is asked to do.
    pub(crate) operation: Option<Operation>,
    pub(crate) key: Option<u32>,
    /// Address of the client, as far as it is known.
    pub(crate) client: Option<IpAddr>,
    /// The path, cut to what a log line may hold.
    pub(crate) path: Box<str>,
    /// The model that the client asked for.
    pub(crate) requested: Box<str>,
    pub(crate) stream: bool,
    pub(crate) splice: Splice,
    /// Rules that matched, in order.
    pub(crate) rules: SmallVec<[u16; 4]>,
    /// Rules that could not be evaluated.
    pub(crate) rule_errors: SmallVec<[u16; 4]>,
    pub(crate) model: Option<ModelId>,
    /// What the `*` of the model's name stands for.
    pub(crate) rest: Option<Box<str>>,
    /// The target that a rule pins.
    pub(crate) pin: Option<u16>,
    /// What rules put in place of the model's fallbacks.
    pub(crate) new_fallbacks: Option<Vec<Resolved>>,
    /// What rules change of the header fields towards the provider, each once.
    pub(crate) headers: Vec<HeaderChange>,
    /// What was found out about the cache, if the model has one.
    pub(crate) recall: Option<Box<Recall>>,
    pub(crate) candidates: SmallVec<[Candidate; 8]>,
    /// What strategies that go by the prompt have found out.
    pub(crate) placed: Option<Box<Placed>>,
    /// Tokens of the prompt and of what may be generated, as load; none for requests that use none, or where no load is
    /// kept.
    pub(crate) load_tokens: Option<(u64, u64)>,
    /// Estimate; 0 if neither a limit nor a rule asks for it.
    pub(crate) prompt_tokens: u64,
    /// The same and the most that may be generated; none for requests that use no tokens.
    pub(crate) tokens: Option<u64>,
}

/// Bytes of the client's body that differ upstream.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    /// Where the model's name stands, quotes included.
    pub(crate) model: Option<Span>,
    /// What makes an OpenAI stream report its usage, when the client did not ask.
    pub(crate) usage: Option<Edit<'static>>,
    /// What rules set and remove: other fields than those of the above.
    pub(crate) changes: Vec<(Span, Box<[u8]>)>,
}

/// A target, one of its replicas, and one of its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Which fallback of the model it comes from, from 1; 0 for the model itself.
    pub(crate) fallback: u16,
    /// Index of the target in the snapshot.
    pub(crate) target: u16,
    /// Index of the replica in the target's provider.
    pub(crate) replica: u16,
    /// Index of the credential in the target's provider; 0 if it has none.
    pub(crate) credential: u16,
}

impl Candidate {
    /// Whether both ask the same replica for the same.
    pub(crate) fn asks_the_same(self, other: Self) -> bool {
        (self.fallback, self.target, self.replica) == (other.fallback, other.target, other.replica)
    }
}

/// What to do first.
#[derive(Debug)]
pub(crate) enum Planned {
    Attempt,
    Recalled(Recalled),
    List(Vec<String>),
    Describe(String),
}

/// Runs the phases. What was found out before a refusal stays in the plan.
pub(crate) fn plan(
    snapshot: &Snapshot,
    facts: &dyn Facts,
    request: &Request<'_>,
    seed: u64,
    trace: &mut Trace,
) -> (Plan, Result<Planned, Refusal>) {
    let mut plan = Plan::new(snapshot, request);
    let planned = plan.fill(snapshot, facts, request, seed, trace);
    (plan, planned)
}

/// Runs what needs no body: whether the head alone is acceptable.
pub(crate) fn plan_head(snapshot: &Snapshot, request: &Request<'_>) -> (Plan, Result<(), Refusal>) {
    let mut plan = Plan::new(snapshot, request);
    let checked =
        plan.head(snapshot, request, &mut Trace::default()).and_then(|(endpoint, _)| match endpoint {
            Endpoint::Ask(_) => check_head(request).and_then(|()| check_declared(snapshot, request)),
            Endpoint::Models(_) | Endpoint::Model(..) => Ok(()),
        });
    (plan, checked)
}

impl Plan {
    pub(crate) fn new(snapshot: &Snapshot, request: &Request<'_>) -> Self {
        Self {
            dialect: Dialect::OpenAiChat,
            operation: None,
            key: None,
            client: client_address(request, &snapshot.trusted_proxies),
            path: excerpt(request.path).into(),
            requested: Box::default(),
            stream: false,
            splice: Splice::default(),
            rules: SmallVec::new(),
            rule_errors: SmallVec::new(),
            model: None,
            rest: None,
            pin: None,
            new_fallbacks: None,
            headers: Vec::new(),
            recall: None,
            candidates: SmallVec::new(),
            placed: None,
            load_tokens: None,
            prompt_tokens: 0,
            tokens: None,
        }
    }

    fn fill(
        &mut self,
        snapshot: &Snapshot,
        facts: &dyn Facts,
        request: &Request<'_>,
        seed: u64,
        trace: &mut Trace,
    ) -> Result<Planned, Refusal> {
        let (endpoint, key) = self.head(snapshot, request, trace)?;
        let dialect = self.dialect;
        let operation = match endpoint {
            Endpoint::Ask(operation) => operation,
            Endpoint::Models(_) => {
                let served = |name: &&str| {
                    allowed_model(snapshot, key, name)
                        .is_ok_and(|found| check_dialect(snapshot, found.model, dialect).is_ok())
                };
                let names = snapshot.names_for(key).into_iter().filter(served);
                return Ok(Planned::List(names.map(str::to_owned).collect()));
            }
            Endpoint::Model(_, name) => {
                check_dialect(snapshot, allowed_model(snapshot, key, name)?.model, dialect)?;
                return Ok(Planned::Describe(name.to_owned()));
            }
        };
        self.operation = Some(operation);

        check_head(request)?;
        check_body(snapshot, request)?;
        let document = Document::scan(request.body).map_err(|error| invalid_body(&error))?;
        let invalid = |error: ScanError, field| invalid_field(&error, field);
        let requested = document.string("model").map_err(|error| invalid(error, "model"))?;
        let (Some(requested), Some(field)) = (requested, document.get("model")) else {
            return Err(no_model());
        };
        self.requested = requested.as_ref().into();
        self.splice.model = Some(field.value);
        let stream = document.boolean("stream").map_err(|error| invalid(error, "stream"))?.unwrap_or(false);
        self.stream = stream && operation.generates();
        let most = prompt::max_tokens(&document, dialect).map_err(|(field, error)| invalid(error, field))?;
        let choices =
            prompt::choices(&document, operation).map_err(|(field, error)| invalid(error, field))?;
        let prompts = prompt::prompts(&document, operation);
        if operation == Operation::Responses {
            refuse_background(&document)?;
        }
        trace.note(Phase::Scan, || {
            let bytes = request.body.len();
            let replies = match prompts.saturating_mul(choices.max(1)) {
                1 => String::new(),
                replies => format!(" for each of {replies} replies"),
            };
            format!("model `{requested}`, stream {}, max_tokens {most}{replies}, {bytes} bytes", self.stream)
        });

        let mut variables = Variables {
            snapshot,
            facts,
            request,
            document: &document,
            key,
            client: self.client,
            model: &requested,
            operation,
            prompt: LazyPrompt::new(&document, operation),
            max_tokens: most,
            stream: self.stream,
            tags: SmallVec::new(),
            used: OnceCell::new(),
        };
        let changes = match_rules(self, snapshot, &mut variables, seed, trace)?;
        let found = match changes.model {
            Some(found) => found,
            None => allowed_model(snapshot, key, &requested)?,
        };
        self.model = Some(found.model);
        self.rest = found.rest.map(Into::into);
        self.new_fallbacks = changes.fallbacks(snapshot, self, found);
        self.splice.changes = change_fields(&document, &changes.body);
        let changed = |names| changed_number(&document, names, &changes.body);
        let most = changed(prompt::max_tokens_names(dialect)).unwrap_or(most);
        let choices = changed(prompt::choices_names(operation)).unwrap_or(choices);
        let output = match most {
            _ if !operation.generates() => 0,
            0 => snapshot.defaults.reserve_output,
            most => most,
        };
        let output = output.saturating_mul(prompts).saturating_mul(choices.max(1));
        let output_tokens = output.min(snapshot.defaults.reserve_output);
        if self.stream && dialect == Dialect::OpenAiChat {
            self.splice.usage = include_usage(&document).map_err(|error| invalid(error, "stream_options"))?;
        }
        let recalled = recall(self, &variables, &changes, seed, trace)?;
        if let Some(recalled) =
            recalled.as_ref().filter(|recalled| recalled.is_certain() && !self.counts_recalled())
        {
            return Ok(Planned::Recalled(recalled.clone()));
        }
        let asked = Asked { variables: &variables, changes: &changes.body, output_tokens };
        if let Err(refusal) = place(self, &asked, seed, trace) {
            // An answer that is known can be given all the same.
            match self.recall.as_deref_mut().filter(|_| recalled.is_some()) {
                Some(recall) => recall.refusal = Some(refusal),
                None => return Err(refusal),
            }
        }
        let planned = recalled.map_or(Planned::Attempt, Planned::Recalled);

        if operation == Operation::CountTokens {
            return Ok(planned);
        }
        if key.counts_tokens || variables.prompt.is_measured() {
            self.prompt_tokens = variables.prompt.get().tokens;
        }
        if !snapshot.endpoints.is_empty() {
            let is_measured = variables.prompt.is_measured();
            let prompt =
                if is_measured { variables.prompt.get().tokens } else { request.body.len() as u64 / 4 };
            self.load_tokens = Some((prompt, output_tokens));
        }
        self.tokens = Some(self.prompt_tokens.saturating_add(output));
        Ok(planned)
    }

    /// Phases 1 and 2: what is asked for, and who asks.
    fn head<'s, 'r>(
        &mut self,
        snapshot: &'s Snapshot,
        request: &Request<'r>,
        trace: &mut Trace,
    ) -> Result<(Endpoint<'r>, &'s Key), Refusal> {
        let endpoint = Endpoint::find(request);
        self.dialect = endpoint.as_ref().map_or_else(|_| dialect_of(request), Endpoint::dialect);
        let endpoint = endpoint?;
        trace.note(Phase::Read, || {
            let from = self.client.map_or_else(String::new, |client| format!(", from {client}"));
            format!("{} {}, which speaks {}{from}", request.method, request.path, self.dialect.name())
        });

        let id = identify(snapshot, request, trace)?;
        let key = snapshot.key(id).ok_or_else(invalid_key)?;
        self.key = Some(id);
        trace.note(Phase::Identify, || match snapshot.team_of(key) {
            Some(team) => format!("virtual key `{}` of team `{}`", key.name, team.name),
            None => format!("virtual key `{}`, no team", key.name),
        });
        Ok((endpoint, key))
    }

    /// Tokens that are reserved for what is done first.
    pub(crate) fn reserved(&self, planned: &Result<Planned, Refusal>) -> Option<u64> {
        let is_free = match planned {
            Ok(Planned::Recalled(Recalled::Answer(_) | Recalled::Join)) => !self.counts_recalled(),
            _ => false,
        };
        self.tokens.filter(|_| !is_free)
    }

    /// Whether tokens count that the cache saves.
    pub(crate) fn counts_recalled(&self) -> bool {
        self.recall.as_ref().is_some_and(|recall| recall.settings.count_tokens)
    }

    /// A candidate in words.
    pub(crate) fn describe(&self, snapshot: &Snapshot, candidate: Candidate) -> String {
        candidate.describe(snapshot, self.rest_in(snapshot, candidate.fallback))
    }

    /// The models tried when the chosen one failed.
    pub(crate) fn fallbacks<'a>(&'a self, snapshot: &'a Snapshot) -> &'a [Resolved] {
        let own = || self.model.and_then(|id| snapshot.model(id)).map_or(&[][..], |model| &model.fallbacks);
        self.new_fallbacks.as_deref().unwrap_or_else(own)
    }

    /// The rules that matched and let rules match again, in order.
    pub(crate) fn continued<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        let before = self.rules.split_last().map_or(&[][..], |(_, before)| before);
        before.iter().filter_map(|rule| Some(&*snapshot.rule(*rule)?.name))
    }

    /// What rules change, in order; the last word on a thing holds.
    pub(crate) fn changes<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a rule::Change> {
        self.rules.iter().filter_map(|rule| snapshot.rule(*rule)?.change())
    }

    /// The tags that rules gave it, in order.
    pub(crate) fn tags<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        self.changes(snapshot).filter_map(|change| change.tag.as_deref())
    }

    /// What the `*` of a target stands for, for the model itself (0) or one of its fallbacks. Where no `*` was matched,
    /// it is the name that the client asked for.
    pub(crate) fn rest_in<'a>(&'a self, snapshot: &'a Snapshot, fallback: u16) -> &'a str {
        let fallback = usize::from(fallback).checked_sub(1);
        let fallback = fallback.and_then(|index| self.fallbacks(snapshot).get(index));
        let rest = fallback.and_then(|fallback| fallback.rest.as_deref());
        rest.or(self.rest.as_deref()).unwrap_or(&self.requested)
    }
}

impl Candidate {
    /// In words: `provider/model at URL`, and which credential if there are several. `rest` is what the `*` of the
    /// target's name stands for.
    pub(crate) fn describe(self, snapshot: &Snapshot, rest: &str) -> String {
        let Some(target) = snapshot.target(self.target) else { return String::new() };
        let provider = snapshot.provider_of(target);
        let replica = provider.and_then(|provider| provider.replicas.get(usize::from(self.replica)));
        let url = replica.map_or("", |replica| &*replica.name);
        let mut text = format!("{} at {url}", target.name_with(rest));
        if let Some(position) = self.credential_position(snapshot) {
            text.push_str(&format!(", credential {position}"));
        }
        text
    }

    /// Which of its provider's credentials it uses, from 1; none if there is no choice.
    pub(crate) fn credential_position(self, snapshot: &Snapshot) -> Option<u16> {
        let provider = snapshot.provider_of(snapshot.target(self.target)?)?;
        (provider.credentials.len() > 1).then_some(self.credential + 1)
    }
}

/// The largest number that the client or a rule gives under any of these names, if a rule changes one of them.
fn changed_number(document: &Document<'_>, names: &[&'static str], changes: &[Change<'_>]) -> Option<u64> {
    let change = |name: &str| changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
    names.iter().find(|name| change(name).is_some())?;
    let value = |name: &&'static str| match change(name) {
        Some(value) => value.and_then(|value| value.parse().ok()),
        // What is no number has been refused.
        None => document.unsigned(name).ok().flatten(),
    };
    Some(names.iter().filter_map(value).max().unwrap_or(0))
}

/// A background response is fetched later by its id, and nothing here remembers which provider made it.
fn refuse_background(document: &Document<'_>) -> Result<(), Refusal> {
    match document.boolean("background") {
        Ok(Some(true)) => {
            let message = "`background` responses are fetched later by their id, which edgeroute does not serve; ask for a stream instead";
            Err(Refusal::new(Code::InvalidField, message).field("background"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(invalid_field(&error, "background")),
    }
}

#[cold]
fn no_model() -> Refusal {
    let message = "the body has no `model`; GET /v1/models lists the models this key may ask for";
    Refusal::new(Code::InvalidField, message).field("model")
}

#[cold]
fn invalid_body(error: &ScanError) -> Refusal {
    Refusal::new(Code::InvalidBody, format!("the body is not a valid JSON object: {error}"))
}

#[cold]
fn invalid_field(error: &ScanError, field: &'static str) -> Refusal {
    Refusal::new(Code::InvalidField, error.to_string()).field(field)
}
