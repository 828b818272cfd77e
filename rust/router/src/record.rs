//! What is kept of a finished request: one log line, as text or JSON. Never content.

use std::fmt::Write;
use std::net::IpAddr;

use serde::Serialize;

use crate::meter::Meter;
use crate::refusal::excerpt;
use crate::request::Now;
use crate::ticket::Ticket;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Text,
    /// One JSON object a line.
    Json,
}

/// The facts of a finished request. Fields that do not apply are absent.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// Unix time, milliseconds.
    pub time_ms: u64,
    /// Request id, as in the header `x-request-id`.
    pub id: &'a str,
    /// HTTP status sent to the client.
    pub status: u16,
    /// How it ended.
    pub outcome: &'static str,
    /// Path asked for, at most 80 characters of it.
    pub path: &'a str,
    /// Address of the client, as trusted proxies tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Name of the virtual key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// Model the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// Model that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// Target that answered or was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which of its provider's credentials was used last, from 1, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<u16>,
    /// Rule that matched; of several, the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// Rules that matched before it and let rules match again, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub continued: Vec<&'a str>,
    /// Tags that rules gave it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<&'a str>,
    /// Rules that could not be evaluated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule_errors: Vec<&'a str>,
    /// Code of edgeroute's own error, or kind of the provider's failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// The provider's failure in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// Attempts that failed before the last one, as `provider/model: reason`, or `provider/model credential 2: reason`.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub failed: &'a [String],
    /// Attempts made.
    pub attempts: u32,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Prompt tokens, as the provider reported them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Completion tokens, as the provider reported them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Time to the first content of a stream, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Whole duration, milliseconds.
    pub duration_ms: f64,
    /// Time spent in edgeroute, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead_us: Option<u64>,
}

impl Ticket {
    /// Closes the books: counts the request in the metrics and appends its log line to `log`.
    pub fn record(&self, id: &str, now: Now, format: LogFormat, log: &mut Vec<u8>) {
        let duration_us = now.monotonic_us.saturating_sub(self.times.started);
        Meter::lock(&self.snapshot, self.row()).request(self, duration_us);
        let plan = &self.plan;
        let rule_name = |&index: &u16| self.snapshot.rule(index).map(|rule| &*rule.name);
        let record = Record {
            time_ms: now.unix_ms,
            id,
            status: self.status,
            outcome: self.outcome.name(),
            path: &self.plan.path,
            client: self.plan.client,
            key: self.key().map(|key| &*key.name),
            requested: (!self.plan.requested.is_empty()).then(|| excerpt(&self.plan.requested)),
            model: self.model(),
            target: self.target(),
            credential: self.credential(),
            rule: self.rule(),
            continued: plan.continued(&self.snapshot).collect(),
            tags: plan.tags(&self.snapshot).collect(),
            rule_errors: plan.rule_errors.iter().filter_map(rule_name).collect(),
            error: self.error(),
            detail: self.failure.as_ref().map(|failure| failure.detail.as_str()),
            failed: &self.failed,
            attempts: self.attempts,
            stream: self.plan.stream,
            input_tokens: self.usage.map(|usage| usage.input),
            output_tokens: self.usage.map(|usage| usage.output),
            ttft_ms: self.times.first_event.map(|us| us as f64 / 1_000.0),
            duration_ms: duration_us as f64 / 1_000.0,
            overhead_us: self.times.overhead,
        };
        match format {
            LogFormat::Json => _ = serde_json::to_writer(&mut *log, &record),
            LogFormat::Text => log.extend_from_slice(record.text().as_bytes()),
        }
        log.push(b'\n');
    }
}

impl Record<'_> {
    fn text(&self) -> String {
        let mut line = String::with_capacity(256);
        // Writing to a String cannot fail.
        _ = write!(line, "{} {} {} id={}", timestamp(self.time_ms), self.status, self.outcome, self.id);
        let mut text = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                line.push(' ');
                line.push_str(name);
                line.push('=');
                push_quoted(&mut line, value);
            }
        };
        text("path", Some(self.path));
        text("client", self.client.map(|client| client.to_string()).as_deref());
        text("key", self.key);
        text("requested", self.requested.as_deref());
        text("model", self.model);
        text("target", self.target.as_deref());
        text("credential", self.credential.map(|position| position.to_string()).as_deref());
        text("rule", self.rule);
        text("continued", (!self.continued.is_empty()).then(|| self.continued.join(",")).as_deref());
        text("tags", (!self.tags.is_empty()).then(|| self.tags.join(",")).as_deref());
        text("rule_errors", (!self.rule_errors.is_empty()).then(|| self.rule_errors.join(",")).as_deref());
        text("error", self.error);
        text("detail", self.detail);
        text("failed", (!self.failed.is_empty()).then(|| self.failed.join("; ")).as_deref());
        _ = write!(line, " attempts={} stream={}", self.attempts, self.stream);
        if let (Some(input), Some(output)) = (self.input_tokens, self.output_tokens) {
            _ = write!(line, " input_tokens={input} output_tokens={output}");
        }
        if let Some(ttft) = self.ttft_ms {
            _ = write!(line, " ttft_ms={ttft:.3}");
        }
        _ = write!(line, " duration_ms={:.3}", self.duration_ms);
        if let Some(overhead) = self.overhead_us {
            _ = write!(line, " overhead_us={overhead}");
        }
        line
    }
}

/// Values with spaces, quotes or control characters are quoted, so that one request stays one line.
fn push_quoted(line: &mut String, value: &str) {
    let plain = !value.is_empty()
        && value.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != '"' && c != '=');
    if plain {
        line.push_str(value);
    } else {
        _ = write!(line, "{value:?}");
    }
}

/// RFC 3339 in UTC with milliseconds. Days to date follows Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms".
fn timestamp(unix_ms: u64) -> String {
    let (days, ms) = ((unix_ms / 86_400_000) as i64, unix_ms % 86_400_000);
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_305_600_001, "2026-11-22T00:00:00.001Z"),
        ] {
            assert_eq!(timestamp(ms), expected);
        }
    }

    #[test]
    fn a_value_cannot_forge_another_field_or_line() {
        let mut line = String::new();
        push_quoted(&mut line, "x status=200\nnext");
        assert_eq!(line, r#""x status=200\nnext""#);
    }
}
