//! The decision on a request with its reasons, nothing reserved and nothing sent.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use edgeroute_limits::Quotas;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::facts::GivenFacts;
use crate::plan::{Plan, Planned, plan};
use crate::recall::Fill;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::snapshot::{Key, Snapshot};
use crate::trace::{Phase, Reason, Trace};

/// A request written down, for `edgeroute explain`. Values and content are not printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRequest {
    /// HTTP method.
    #[serde(default = "post")]
    pub method: String,
    /// Path, with or without a query string.
    pub path: String,
    /// Header fields; names in any letter case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Address of the TCP peer, with or without its port.
    #[serde(default)]
    pub peer: String,
    /// The body, as JSON.
    #[serde(default)]
    pub body: Option<Box<RawValue>>,
    /// What the shared cells would say.
    #[serde(default, deserialize_with = "object")]
    pub facts: GivenFacts,
    /// Seed of weighted draws.
    #[serde(default)]
    pub seed: u64,
}

/// A decision and its reasons.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// Reasons in the order of the phases.
    pub reasons: Vec<Reason>,
    /// What was decided.
    pub decision: Decision,
}

/// What was decided.
#[derive(Debug, Default, Serialize)]
pub struct Decision {
    /// Name of the virtual key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Model asked for.
    pub requested: String,
    /// Rule that matched; of several, the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Rules that matched before it and let rules match again, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub continued: Vec<String>,
    /// Tags that rules gave it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What rules set towards the provider, and null for what they remove: fields of the body.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub body: BTreeMap<String, Option<Box<RawValue>>>,
    /// The same for header fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// Model that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Candidates in the order in which they are tried, as `provider/model at URL`, with `, credential 2` where there
    /// are several.
    pub candidates: Vec<String>,
    /// What came of asking the cache, as the header `x-edgeroute-cache` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Tokens that would be reserved.
    pub reserve_tokens: u64,
    /// The error that the client would get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refused>,
}

/// An error that the client would get.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// Stable reason.
    pub code: &'static str,
    /// Sentence for the client.
    pub message: String,
}

impl WrittenRequest {
    /// Reads one JSON object.
    pub fn read(json: &[u8]) -> serde_json::Result<Self> {
        let mut reader = serde_json::Deserializer::from_slice(json);
        let written = object(&mut reader)?;
        reader.end()?;
        Ok(written)
    }

    fn plan(&self, snapshot: &Snapshot, trace: &mut Trace) -> (Plan, Result<Planned, Refusal>) {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let names: Vec<String> = self.headers.keys().map(|name| name.to_ascii_lowercase()).collect();
        let headers: Vec<(&[u8], &[u8])> = names
            .iter()
            .zip(self.headers.values())
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        let request = Request {
            method: &self.method,
            path,
            query,
            headers: headers.as_slice().into(),
            peer: &self.peer,
            body: self.body.as_deref().map_or(&b""[..], |body| body.get().as_bytes()),
        };
        plan(snapshot, &self.facts, &request, self.seed, trace)
    }
}

/// What serde would also read from an array, field by field.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(fields))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

impl fmt::Debug for WrittenRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        formatter
            .debug_struct("WrittenRequest")
            .field("method", &self.method)
            .field("path", &path)
            .field("query_bytes", &query.len())
            .field("headers", &self.headers.keys())
            .field("peer", &self.peer)
            .field("body_bytes", &self.body.as_deref().map_or(0, |body| body.get().len()))
            .field("facts", &self.facts)
            .field("seed", &self.seed)
            .finish()
    }
}

fn post() -> String {
    "POST".into()
}

/// What storing an answer to the request takes, under the key under which it would be looked for; else why it is not
/// stored, in words.
pub fn fill(snapshot: &Snapshot, written: &WrittenRequest) -> Result<Fill, String> {
    let (plan, planned) = written.plan(snapshot, &mut Trace::default());
    if let Err(refusal) = planned {
        return Err(format!("the router would refuse the request: {}", refusal.message));
    }
    let Some(recall) = &plan.recall else { return Err("its model has no cache".into()) };
    if recall.has_texts() {
        return Err("each text of `input` is looked for by itself: write one line per text".into());
    }
    recall.fill(&plan).ok_or_else(|| format!("it is not kept: {}", recall.header()))
}

/// Plans the request as `decide` would, with the facts and the seed that it carries.
pub fn explain(snapshot: &Snapshot, written: &WrittenRequest) -> Explanation {
    let mut trace = Trace::on();
    if let Some(now) = written.facts.now {
        trace.note(Phase::Read, || format!("at {now}"));
    }
    let (plan, planned) = written.plan(snapshot, &mut trace);
    let key = plan.key.and_then(|key| snapshot.key(key));
    if let (Some(key), Ok(Planned::Attempt | Planned::Recalled(_))) = (key, &planned) {
        note_limits(snapshot, key, plan.reserved(&planned).unwrap_or(0), &mut trace);
    }
    let mut reasons = trace.into_reasons();
    if plan.recall.as_ref().is_some_and(|recall| recall.has_texts()) {
        let at = reasons.iter().rposition(|reason| reason.phase == Phase::Recall).map_or(0, |last| last + 1);
        let note =
            "each text of `input` has an entry of its own, whose key is told of a request for it alone";
        reasons.insert(at, Reason { phase: Phase::Recall, note: note.into() });
    }
    let rule = plan.rules.last().and_then(|rule| snapshot.rule(*rule));
    let model = plan.model.and_then(|model| snapshot.model(model));
    let candidates = plan.candidates.iter().map(|candidate| plan.describe(snapshot, *candidate));
    let decision = Decision {
        key: key.map(|key| key.name.to_string()),
        requested: plan.requested.to_string(),
        rule: rule.map(|rule| rule.name.to_string()),
        continued: plan.continued(snapshot).map(Into::into).collect(),
        tags: plan.tags(snapshot).map(Into::into).collect(),
        body: plan.changes(snapshot).flat_map(|change| &change.body).map(json).collect(),
        headers: plan
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.as_deref().map(Into::into)))
            .collect(),
        model: model.map(|model| model.name.to_string()),
        candidates: candidates.collect(),
        cache: plan.recall.as_ref().map(|recall| recall.header()),
        reserve_tokens: plan.reserved(&planned).unwrap_or(0),
        refusal: planned.err().map(|refusal| Refused {
            status: refusal.status,
            code: refusal.code.name(),
            message: refusal.message,
        }),
    };
    Explanation { reasons, decision }
}

fn json((name, value): &(Box<str>, Option<Box<str>>)) -> (String, Option<Box<RawValue>>) {
    let value = value.as_ref().and_then(|value| RawValue::from_string(value.to_string()).ok());
    (name.to_string(), value)
}

/// Says what admission would reserve, and of which limits.
fn note_limits(snapshot: &Snapshot, key: &Key, tokens: u64, trace: &mut Trace) {
    let scopes = std::iter::once(("virtual key", &key.name, key.quotas))
        .chain(snapshot.team_of(key).map(|team| ("team", &team.name, team.quotas)));
    let mut limited = false;
    for (kind, name, quotas) in scopes {
        let limits = describe(quotas);
        if !limits.is_empty() {
            limited = true;
            trace.note(Phase::Admit, || {
                format!("would reserve 1 request and {tokens} tokens of {kind} `{name}`: {limits}")
            });
        }
    }
    if !limited {
        trace.note(Phase::Admit, || "neither the virtual key nor its team has limits".into());
    }
}

fn describe(quotas: Quotas) -> String {
    let limits = [
        ("requests_per_minute", quotas.requests_per_minute),
        ("tokens_per_minute", quotas.tokens_per_minute),
        ("concurrency", quotas.concurrency),
    ];
    let limits = limits.iter().filter_map(|(limit, amount)| Some(format!("{limit} {}", (*amount)?)));
    limits.collect::<Vec<_>>().join(", ")
}
