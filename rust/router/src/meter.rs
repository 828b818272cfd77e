//! Metrics: monotonic sums in the memory file, true over all workers. A sum's name is its line in the
//! Prometheus text format without the value. Names are built once per snapshot and label set, then found by
//! the indexes of what they name.

use std::collections::HashMap;
use std::sync::Mutex;

use edgeroute_shared::{Cells, Row, Sum};
use xxhash_rust::xxh3::Xxh3Builder;

use crate::snapshot::{ModelId, Snapshot};
use crate::ticket::{Outcome, Ticket};

/// Upper bounds of the buckets of durations and of times to the first token, seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];
/// Upper bounds of the buckets of overhead, seconds.
const OVERHEAD: [f64; 10] = [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 100e-3];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Requests { model: Option<ModelId>, target: Option<u16>, status: u16, outcome: u8 },
    Attempts { target: u16, outcome: &'static str },
    Tokens { model: Option<ModelId>, output: bool },
    RuleMatches(u16),
    RuleErrors(u16),
    Duration(Option<ModelId>),
    FirstToken(Option<ModelId>),
    Overhead,
}

#[derive(Debug)]
enum Entry {
    /// The table is full: counted as dropped when it was first missed.
    Missing,
    Sum(Sum),
    Histogram {
        buckets: Vec<(f64, Sum)>,
        sum: Sum,
        count: Sum,
    },
}

/// The sums that a snapshot's requests have used so far.
#[derive(Debug, Default)]
pub(crate) struct Sums(Mutex<HashMap<Name, Entry, Xxh3Builder>>);

/// Adds to the sums of one host.
pub(crate) struct Meter<'a> {
    snapshot: &'a Snapshot,
    cells: &'a Cells,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, row: &'a Row) -> Self {
        Self { snapshot, cells: row.cells() }
    }

    /// Something that must not happen did.
    #[cold]
    pub(crate) fn dropped(&self, what: &str) {
        // A full table has no room to say so either.
        if let Ok(sum) = self.cells.sum(&format!("edgeroute_dropped_total{{what={what:?}}}")) {
            self.cells.add(sum, 1);
        }
    }

    #[cold]
    pub(crate) fn limit_refused(&self, scope: &str, name: &str, limit: &str) {
        let scope = scope.replace(' ', "_");
        let name =
            format!("edgeroute_limit_refusals_total{{scope={scope:?},name={},limit={limit:?}}}", label(name));
        match self.cells.sum(&name) {
            Ok(sum) => self.cells.add(sum, 1),
            Err(_) => self.dropped("metric"),
        }
    }

    pub(crate) fn attempt(&self, target: u16, outcome: &'static str) {
        self.add(Name::Attempts { target, outcome }, 1);
    }

    /// One finished request.
    pub(crate) fn request(&self, ticket: &Ticket, duration_us: u64) {
        let model = ticket.plan.model;
        let target = (ticket.attempts > 0).then(|| ticket.target_index()).flatten();
        let outcome = ticket.outcome as u8;
        self.add(Name::Requests { model, target, status: ticket.status, outcome }, 1);
        if let Some(usage) = ticket.usage {
            self.add(Name::Tokens { model, output: false }, usage.input);
            self.add(Name::Tokens { model, output: true }, usage.output);
        }
        if let Some(rule) = ticket.plan.rule {
            self.add(Name::RuleMatches(rule), 1);
        }
        for &rule in &ticket.plan.rule_errors {
            self.add(Name::RuleErrors(rule), 1);
        }
        self.observe(Name::Duration(model), &SECONDS, duration_us);
        if let Some(first) = ticket.times.first_event {
            self.observe(Name::FirstToken(model), &SECONDS, first);
        }
        if let Some(overhead) = ticket.times.overhead {
            self.observe(Name::Overhead, &OVERHEAD, overhead);
        }
    }

    fn add(&self, name: Name, amount: u64) {
        self.with(
            name,
            |name| Ok(Entry::Sum(self.cells.sum(&self.text(name))?)),
            |entry| {
                if let Entry::Sum(sum) = entry {
                    self.cells.add(*sum, amount);
                }
            },
        );
    }

    fn observe(&self, name: Name, bounds: &[f64], us: u64) {
        let make = |name| {
            let text = self.text(name);
            let (family, labels) = text.split_once('{').unwrap_or((&text, "}"));
            let labels = labels.trim_end_matches('}');
            let comma = if labels.is_empty() { "" } else { "," };
            let bucket =
                |bound: &str| self.cells.sum(&format!("{family}_bucket{{{labels}{comma}le=\"{bound}\"}}"));
            let mut buckets = Vec::with_capacity(bounds.len() + 1);
            for bound in bounds {
                buckets.push((*bound, bucket(&bound.to_string())?));
            }
            buckets.push((f64::INFINITY, bucket("+Inf")?));
            let suffix = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            Ok(Entry::Histogram {
                buckets,
                sum: self.cells.sum(&format!("{family}_sum{suffix}"))?,
                count: self.cells.sum(&format!("{family}_count{suffix}"))?,
            })
        };
        self.with(name, make, |entry| {
            if let Entry::Histogram { buckets, sum, count } = entry {
                let seconds = us as f64 / 1e6;
                for (bound, bucket) in buckets {
                    if seconds <= *bound {
                        self.cells.add(*bucket, 1);
                    }
                }
                self.cells.add(*sum, us);
                self.cells.add(*count, 1);
            }
        });
    }

    fn with(
        &self,
        name: Name,
        make: impl FnOnce(Name) -> Result<Entry, edgeroute_shared::Error>,
        act: impl FnOnce(&Entry),
    ) {
        // A panic cannot happen while the lock is held; if one did, the sums are still sound.
        let mut sums = self.snapshot.sums.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let entry = sums.entry(name).or_insert_with(|| make(name).unwrap_or(Entry::Missing));
        if matches!(entry, Entry::Missing) {
            self.dropped("metric");
        }
        act(entry);
    }

    fn text(&self, name: Name) -> String {
        let model = |id: Option<ModelId>| {
            label(id.and_then(|id| self.snapshot.models.get(usize::from(id))).map_or("", |model| &model.name))
        };
        let target =
            |id: u16| label(self.snapshot.targets.get(usize::from(id)).map_or("", |target| &target.name));
        let rule = |id: u16| label(self.snapshot.rules.get(usize::from(id)).map_or("", |rule| &rule.name));
        match name {
            Name::Requests { model: id, target: to, status, outcome } => format!(
                "edgeroute_requests_total{{model={},target={},status=\"{status}\",outcome=\"{}\"}}",
                model(id),
                to.map_or_else(|| label(""), target),
                OUTCOMES.get(usize::from(outcome)).map_or("", |outcome| outcome.name()),
            ),
            Name::Attempts { target: to, outcome } => {
                format!("edgeroute_attempts_total{{target={},outcome={outcome:?}}}", target(to))
            }
            Name::Tokens { model: id, output } => format!(
                "edgeroute_tokens_total{{model={},direction=\"{}\"}}",
                model(id),
                if output { "output" } else { "input" }
            ),
            Name::RuleMatches(id) => format!("edgeroute_rule_matches_total{{rule={}}}", rule(id)),
            Name::RuleErrors(id) => format!("edgeroute_rule_errors_total{{rule={}}}", rule(id)),
            Name::Duration(id) => format!("edgeroute_request_duration_seconds{{model={}}}", model(id)),
            Name::FirstToken(id) => format!("edgeroute_time_to_first_token_seconds{{model={}}}", model(id)),
            Name::Overhead => "edgeroute_overhead_seconds".into(),
        }
    }
}

const OUTCOMES: [Outcome; 6] = [
    Outcome::Ok,
    Outcome::Refused,
    Outcome::ClientError,
    Outcome::UpstreamError,
    Outcome::Cut,
    Outcome::Disconnected,
];

/// A quoted label value; names that are too long for a cell are cut.
pub(crate) fn label(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars().take(48) {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
