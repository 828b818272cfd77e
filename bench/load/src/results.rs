//! What a run showed.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::exchange::Failure;
use crate::requests::Kind;

/// Requests this much late at the 99th percentile mean that the generator, or the machine, is too slow.
const LATE: Duration = Duration::from_millis(5);

/// What histograms reach to, in nanoseconds: two hours, the longest run with the longest patience.
const LONGEST: u64 = 7_200_000_000_000;

/// What is counted while a run goes on. Latencies are from the intended time of a request.
#[derive(Debug, Default)]
pub(crate) struct Results {
    completed: u64,
    events: u64,
    errors: BTreeMap<String, u64>,
    meant: BTreeMap<Kind, u64>,
    latency: Times,
    overhead: Times,
    refused: Times,
    first_event: Times,
    gap: Times,
    event_delay: Times,
    send_delay: Times,
}

/// A distribution of durations, kept to three digits.
#[derive(Debug)]
struct Times(Histogram<u64>);

/// Quantiles of a distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Requests that were due.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were due and not sent, since every connection was busy to the end.
    pub unsent: u64,
    /// Good requests answered as they should be.
    pub completed: u64,
    /// The others, by kind: those that were answered as they should be, and those that were abandoned.
    pub meant: BTreeMap<Kind, u64>,
    /// What was sent besides, by what went wrong.
    pub errors: BTreeMap<String, u64>,
    /// Events with content in all streams.
    pub events: u64,
    /// From the intended time to the end of the response.
    pub latency_us: Quantiles,
    /// What `x-edgeroute-overhead-us` said of these.
    pub overhead_us: Quantiles,
    /// From the intended time to the end of a refusal with 503.
    pub refused_us: Quantiles,
    /// From the intended time to a stream's first event.
    pub first_event_us: Quantiles,
    /// Between two events of a stream.
    pub gap_us: Quantiles,
    /// How much later an event arrived than it would have, had the request been with the mock at its intended time.
    pub event_delay_us: Quantiles,
    /// From the intended time to the sending.
    pub send_delay_us: Quantiles,
    /// The most connections that were open at once; if that is all it may open, requests may have waited for one.
    pub connections: usize,
    /// The generator did not keep to the schedule: the latencies include waiting that the system did not cause, or it
    /// could not take the load.
    pub behind: bool,
    /// How long requests were sent.
    pub sending_seconds: f64,
    /// Good requests answered as they should be in that time; the others came after it.
    pub completed_meanwhile: u64,
    /// How long the run took.
    pub seconds: f64,
    /// CPU time of the generator itself.
    pub cpu_seconds: f64,
}

/// What only the generator knows of a run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Course {
    pub(crate) sent: u64,
    pub(crate) unsent: u64,
    pub(crate) connections: usize,
    /// How long requests were sent, and how many were answered as they should be meanwhile.
    pub(crate) sending: Duration,
    pub(crate) completed_meanwhile: u64,
    pub(crate) took: Duration,
    pub(crate) cpu: Duration,
}

impl Results {
    /// A request was sent, this long after its intended time.
    pub(crate) fn send(&mut self, delay: Duration) {
        self.send_delay.add(delay);
    }

    /// A request was answered as it should be.
    pub(crate) fn complete(&mut self, latency: Duration) {
        self.completed += 1;
        self.latency.add(latency);
    }

    /// A request that was not good was answered as it should be, or abandoned.
    pub(crate) fn meant(&mut self, kind: Kind) {
        *self.meant.entry(kind).or_default() += 1;
    }

    /// The system under test said how long it took.
    pub(crate) fn overhead(&mut self, overhead: Duration) {
        self.overhead.add(overhead);
    }

    /// A good request was refused with 503; it counts as failed besides.
    pub(crate) fn refused(&mut self, latency: Duration) {
        self.refused.add(latency);
    }

    /// An event was this much late.
    pub(crate) fn event_delay(&mut self, delay: Duration) {
        self.event_delay.add(delay);
    }

    /// The first event of a stream arrived.
    pub(crate) fn first_event(&mut self, latency: Duration) {
        self.events += 1;
        self.first_event.add(latency);
    }

    /// A later event of a stream arrived, this long after the one before.
    pub(crate) fn next_event(&mut self, gap: Duration) {
        self.events += 1;
        self.gap.add(gap);
    }

    /// A request failed; of those that are not good, the kind is named.
    pub(crate) fn fail(&mut self, kind: Kind, failure: Failure) {
        let name = if kind == Kind::Good { failure.to_string() } else { format!("{kind}: {failure}") };
        *self.errors.entry(name).or_default() += 1;
    }

    pub(crate) fn completed(&self) -> u64 {
        self.completed
    }

    pub(crate) fn summary(&self, course: Course) -> Summary {
        let send_delay_us = self.send_delay.quantiles();
        Summary {
            due: course.sent + course.unsent,
            sent: course.sent,
            unsent: course.unsent,
            completed: self.completed,
            meant: self.meant.clone(),
            errors: self.errors.clone(),
            events: self.events,
            latency_us: self.latency.quantiles(),
            overhead_us: self.overhead.quantiles(),
            refused_us: self.refused.quantiles(),
            first_event_us: self.first_event.quantiles(),
            gap_us: self.gap.quantiles(),
            event_delay_us: self.event_delay.quantiles(),
            send_delay_us,
            connections: course.connections,
            behind: course.unsent > 0 || send_delay_us.p99 > LATE.as_secs_f64() * 1e6,
            sending_seconds: course.sending.as_secs_f64(),
            completed_meanwhile: course.completed_meanwhile,
            seconds: course.took.as_secs_f64(),
            cpu_seconds: course.cpu.as_secs_f64(),
        }
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn quantiles(&self) -> Quantiles {
        let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        let at = |quantile| us(self.0.value_at_quantile(quantile));
        Quantiles {
            count: self.0.len(),
            mean: self.0.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: us(self.0.max()),
        }
    }
}

impl Default for Times {
    #[expect(clippy::expect_used, reason = "these bounds are valid")]
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds"))
    }
}
