//! What is kept of a finished request: its metrics and one log line. Never content.

use crate::log_line::{LogFormat, LogLine};
use crate::meter::Meter;
use crate::recall::CacheResult;
use crate::refusal::excerpt;
use crate::request::Now;
use crate::step::Hit;
use crate::ticket::Ticket;

impl Ticket {
    /// Closes the books: counts the request in the metrics and appends its log line to `log`. `id` is the request's, as
    /// in the header `x-request-id`. Fields that do not apply are absent.
    pub fn record(&self, id: &str, now: Now, format: LogFormat, log: &mut Vec<u8>) {
        let duration_us = now.monotonic_us.saturating_sub(self.times.started);
        Meter::lock(&self.snapshot, self.row()).request(self, duration_us);
        let (plan, snapshot) = (&self.plan, &*self.snapshot);
        let rule_name = |&index: &u16| snapshot.rule(index).map(|rule| &*rule.name);

        let mut line = LogLine::new(log, format, now.unix_ms, id, self.status, self.outcome.name());
        line.text("path", &plan.path);
        if let Some(client) = plan.client {
            line.address("client", client);
        }
        if let Some(key) = self.key() {
            line.text("key", &key.name);
        }
        if !plan.requested.is_empty() {
            line.text("requested", &excerpt(&plan.requested));
        }
        if let Some(model) = self.model() {
            line.text("model", model);
        }
        // Those that answered or were tried last.
        if let Some(target) = self.target() {
            line.text("target", &target);
        }
        if let Some(credential) = self.credential() {
            line.number("credential", credential.into());
        }
        if let Some(rule) = self.rule() {
            line.text("rule", rule);
        }
        line.texts("continued", ",", plan.continued(snapshot));
        line.texts("tags", ",", plan.tags(snapshot));
        line.texts("rule_errors", ",", plan.rule_errors.iter().filter_map(rule_name));
        if let Some(error) = self.error() {
            line.text("error", error);
        }
        if let Some(failure) = &self.failure {
            line.text("detail", &failure.detail);
        }
        line.texts("failed", "; ", self.failed.iter().map(String::as_str));
        line.number("attempts", self.attempts.into());
        if let Some(recall) = self.recall() {
            line.text("cache", recall.result.name());
            if let CacheResult::Hit { hit, age_ms } = recall.result {
                line.number("cache_age_ms", age_ms);
                if let Hit::Semantic { similarity_permille } = hit {
                    line.thousandths("similarity", similarity_permille.into());
                }
            }
            if let Some(why) = recall.why {
                line.text("cache_refused", why.name());
            }
        }
        line.flag("stream", plan.stream);
        if let Some(usage) = self.usage {
            line.number("input_tokens", usage.input);
            line.number("output_tokens", usage.output);
        }
        if let Some(first_event) = self.times.first_event {
            line.milliseconds("ttft_ms", first_event);
        }
        line.milliseconds("duration_ms", duration_us);
        if let Some(overhead) = self.times.overhead {
            line.number("overhead_us", overhead);
        }
        line.end();
    }
}
