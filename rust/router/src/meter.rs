//! Metrics: monotonic sums in the memory file, true over all workers. A sum's name is its line in the
//! Prometheus text format without the value. Names are built once per snapshot and label set, then found by
//! the indexes of what they name.

use std::sync::{Mutex, MutexGuard};

use edgeroute_shared::{Cells, Row, Sum};
use sha2::{Digest, Sha256};

use crate::hash::FastMap;
use crate::refusal::Code;
use crate::snapshot::{ModelId, Snapshot};
use crate::step::Outcome;
use crate::ticket::Ticket;

/// Upper bounds of the buckets of durations and of times to the first token, seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];
/// Upper bounds of the buckets of overhead, seconds.
const OVERHEAD: [f64; 10] = [10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 10e-3, 100e-3];

/// The longest label value, its first quote included: two of them fit into a cell's name.
const LABEL_BYTES: usize = 49;
/// What stands for the rest of a label value that is cut: `~` and 8 hex digits.
const CUT_BYTES: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Name {
    Requests { model: Option<ModelId>, target: Option<u16>, status: u16, outcome: Outcome },
    Attempts { target: u16, outcome: &'static str },
    Tokens { model: Option<ModelId>, output: bool },
    Cache { model: Option<ModelId>, result: &'static str },
    CacheRefused(&'static str),
    RuleMatches(u16),
    RuleErrors(u16),
    LimitRefusals { key: u32, of_team: bool, limit: &'static str },
    Duration(Option<ModelId>),
    FirstToken(Option<ModelId>),
    Overhead,
}

#[derive(Debug)]
enum Entry {
    /// The table was full. It never empties, so nothing is looked up again: what would be added counts as dropped.
    Missing,
    Sum(Sum),
    Histogram {
        buckets: Vec<(f64, Sum)>,
        sum: Sum,
        count: Sum,
    },
}

/// The sums that a snapshot's requests have used so far.
#[derive(Debug)]
pub(crate) struct Sums {
    /// Found when the snapshot is compiled: a full table has no room to say that it is full.
    dropped: Sum,
    entries: Mutex<FastMap<Name, Entry>>,
}

/// Adds to the sums of one host.
pub(crate) struct Meter<'a> {
    snapshot: &'a Snapshot,
    cells: &'a Cells,
    entries: MutexGuard<'a, FastMap<Name, Entry>>,
}

impl Sums {
    /// Makes sure that there is room to tell of what is dropped.
    pub(crate) fn new(cells: &Cells) -> Result<Self, edgeroute_shared::Error> {
        dropped_sum(cells, "ticket")?;
        Ok(Self { dropped: dropped_sum(cells, "metric")?, entries: Mutex::default() })
    }
}

/// Something that must not happen did.
#[cold]
pub(crate) fn dropped(cells: &Cells, what: &str) {
    // Found always, since compiling the snapshot made it.
    if let Ok(sum) = dropped_sum(cells, what) {
        cells.add(sum, 1);
    }
}

fn dropped_sum(cells: &Cells, what: &str) -> Result<Sum, edgeroute_shared::Error> {
    cells.sum(&format!("edgeroute_dropped_total{{what={what:?}}}"))
}

impl<'a> Meter<'a> {
    pub(crate) fn lock(snapshot: &'a Snapshot, row: &'a Row) -> Self {
        // A panic cannot happen while the lock is held; if one did, the sums are still sound.
        let entries = snapshot.sums.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Self { snapshot, cells: row.cells(), entries }
    }

    pub(crate) fn attempt(&mut self, target: u16, outcome: &'static str) {
        self.add(Name::Attempts { target, outcome }, 1);
    }

    /// A limit of a key or its team refused a request.
    pub(crate) fn limit_refused(&mut self, key: u32, of_team: bool, limit: &'static str) {
        self.add(Name::LimitRefusals { key, of_team, limit }, 1);
    }

    /// A request was refused, unread, because as many as may be are open.
    pub(crate) fn turned_away(&mut self) {
        let status = Code::Overloaded.status();
        self.add(Name::Requests { model: None, target: None, status, outcome: Outcome::Overloaded }, 1);
    }

    /// One finished request.
    pub(crate) fn request(&mut self, ticket: &Ticket, duration_us: u64) {
        let model = ticket.plan.model;
        let target = (ticket.attempts > 0).then(|| ticket.target_index()).flatten();
        let outcome = ticket.outcome;
        self.add(Name::Requests { model, target, status: ticket.status, outcome }, 1);
        if let Some(usage) = ticket.usage {
            self.add(Name::Tokens { model, output: false }, usage.input);
            self.add(Name::Tokens { model, output: true }, usage.output);
        }
        if let Some(recall) = ticket.recall() {
            self.add(Name::Cache { model, result: recall.result.name() }, 1);
            if let Some(why) = recall.why {
                self.add(Name::CacheRefused(why.name()), 1);
            }
        }
        for &rule in &ticket.plan.rules {
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

    fn add(&mut self, name: Name, amount: u64) {
        let cells = self.cells;
        let make = |text: &str| Ok(Entry::Sum(cells.sum(text)?));
        if let Entry::Sum(sum) = self.entry(name, make) {
            cells.add(*sum, amount);
        }
    }

    fn observe(&mut self, name: Name, bounds: &[f64], us: u64) {
        let cells = self.cells;
        if let Entry::Histogram { buckets, sum, count } =
            self.entry(name, |text| histogram(cells, text, bounds))
        {
            let seconds = us as f64 / 1e6;
            for (bound, bucket) in buckets {
                if seconds <= *bound {
                    cells.add(*bucket, 1);
                }
            }
            cells.add(*sum, us);
            cells.add(*count, 1);
        }
    }

    fn entry(
        &mut self,
        name: Name,
        make: impl FnOnce(&str) -> Result<Entry, edgeroute_shared::Error>,
    ) -> &Entry {
        let (snapshot, cells) = (self.snapshot, self.cells);
        let entry = self.entries.entry(name);
        let entry = entry.or_insert_with(|| make(&text(snapshot, name)).unwrap_or(Entry::Missing));
        if matches!(entry, Entry::Missing) {
            cells.add(snapshot.sums.dropped, 1);
        }
        entry
    }
}

fn histogram(cells: &Cells, text: &str, bounds: &[f64]) -> Result<Entry, edgeroute_shared::Error> {
    let (family, labels) = text.split_once('{').unwrap_or((text, "}"));
    let labels = labels.strip_suffix('}').unwrap_or(labels);
    let comma = if labels.is_empty() { "" } else { "," };
    let bucket = |bound: &str| cells.sum(&format!("{family}_bucket{{{labels}{comma}le=\"{bound}\"}}"));
    let finite = bounds.iter().map(|bound| Ok((*bound, bucket(&bound.to_string())?)));
    let infinite = std::iter::once_with(|| Ok((f64::INFINITY, bucket("+Inf")?)));
    let suffix = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
    Ok(Entry::Histogram {
        buckets: finite.chain(infinite).collect::<Result<_, edgeroute_shared::Error>>()?,
        sum: cells.sum(&format!("{family}_sum{suffix}"))?,
        count: cells.sum(&format!("{family}_count{suffix}"))?,
    })
}

/// The line of a sum in the text format, without its value; of a histogram, without the suffix of its family.
fn text(snapshot: &Snapshot, name: Name) -> String {
    let model =
        |id: Option<ModelId>| label(id.and_then(|id| snapshot.model(id)).map_or("", |model| &model.name));
    let target = |index: Option<u16>| {
        label(index.and_then(|index| snapshot.target(index)).map_or("", |target| &target.name))
    };
    let rule = |index: u16| label(snapshot.rule(index).map_or("", |rule| &rule.name));
    match name {
        Name::Requests { model: id, target: to, status, outcome } => format!(
            "edgeroute_requests_total{{model={},target={},status=\"{status}\",outcome=\"{}\"}}",
            model(id),
            target(to),
            outcome.name(),
        ),
        Name::Attempts { target: to, outcome } => {
            format!("edgeroute_attempts_total{{target={},outcome={outcome:?}}}", target(Some(to)))
        }
        Name::Tokens { model: id, output } => format!(
            "edgeroute_tokens_total{{model={},direction=\"{}\"}}",
            model(id),
            if output { "output" } else { "input" }
        ),
        Name::Cache { model: id, result } => {
            format!("edgeroute_cache_requests_total{{model={},result={result:?}}}", model(id))
        }
        Name::CacheRefused(reason) => format!("edgeroute_cache_refused_total{{reason={reason:?}}}"),
        Name::RuleMatches(index) => format!("edgeroute_rule_matches_total{{rule={}}}", rule(index)),
        Name::RuleErrors(index) => format!("edgeroute_rule_errors_total{{rule={}}}", rule(index)),
        Name::LimitRefusals { key, of_team, limit } => {
            let (kind, name) = snapshot.limit_owner(key, of_team);
            let scope = kind.replace(' ', "_");
            format!("edgeroute_limit_refusals_total{{scope={scope:?},name={},limit={limit:?}}}", label(name))
        }
        Name::Duration(id) => format!("edgeroute_request_duration_seconds{{model={}}}", model(id)),
        Name::FirstToken(id) => format!("edgeroute_time_to_first_token_seconds{{model={}}}", model(id)),
        Name::Overhead => "edgeroute_overhead_seconds".into(),
    }
}

/// A quoted label value. Names that are too long for a cell are cut, and a hash of the whole name keeps those apart
/// that begin alike.
pub(crate) fn label(value: &str) -> String {
    let mut quoted = String::from("\"");
    let mut kept = quoted.len();
    for character in value.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
        if quoted.len() > LABEL_BYTES {
            quoted.truncate(kept);
            quoted.push('~');
            let hash = Sha256::digest(value.as_bytes());
            quoted.extend(hash.iter().take(4).map(|byte| format!("{byte:02x}")));
            break;
        }
        if quoted.len() <= LABEL_BYTES - CUT_BYTES {
            kept = quoted.len();
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use edgeroute_shared::{Layout, Owner};

    use super::*;

    const EMPTY: &[u8] = br#"{"providers": [], "models": [], "definitions": [], "rules": [], "teams": [], "virtual_keys": [],
        "defaults": {"attempts": 1, "reserve_output": 1, "connect_ms": 1, "first_byte_ms": 1, "gap_ms": 1, "total_ms": 1, "body_ms": 1},
        "trusted_proxies": [], "max_body": 1, "max_reply": 1, "max_stream": 1, "max_in_flight": 1}"#;

    #[test]
    fn what_found_no_room_is_counted_and_not_looked_up_again() {
        let cells = Cells::anonymous(Layout { exact: 8, gauges: 8, sums: 8, rows: 1 }).unwrap();
        let row = cells.claim_row(Owner::current().unwrap()).unwrap();
        let snapshot = Snapshot::compile(EMPTY, &cells, 1, 0).unwrap();
        let mut lookups = 0;
        let mut meter = Meter::lock(&snapshot, &row);
        for _ in 0..5 {
            for rule in 0..1_000 {
                meter.entry(Name::RuleMatches(rule), |_| {
                    lookups += 1;
                    Ok(Entry::Sum(cells.sum(&format!("rule {rule}"))?))
                });
            }
        }
        let room = 8 - 2;
        assert_eq!(lookups, 1_000);
        let dropped = cells.sums().find(|(name, _)| name == r#"edgeroute_dropped_total{what="metric"}"#);
        assert_eq!(dropped.unwrap().1, 5 * (1_000 - room));
    }

    #[test]
    fn labels() {
        let check = |value: &str, expected: &str| assert_eq!(label(value), format!("\"{expected}\""));
        check("", "");
        check("a\"b\\c\nd", "a\\\"b\\\\c\\nd");
        check(&"x".repeat(48), &"x".repeat(48));
        // The first four bytes that `printf … | sha256sum` prints.
        check(&"x".repeat(49), &format!("{}~55bb9823", "x".repeat(39)));
        check(&"é".repeat(25), &format!("{}~306a4476", "é".repeat(19)));
        check(&"\"".repeat(25), &format!("{}~1bbfdf12", "\\\"".repeat(19)));
    }

    #[test]
    fn long_names_that_begin_alike_stay_apart() {
        let names = (0..1_000).map(|index| label(&format!("{}{index}", "organisation/".repeat(10))));
        let names: std::collections::HashSet<String> = names.collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|name| name.len() <= LABEL_BYTES + 1));
    }
}
