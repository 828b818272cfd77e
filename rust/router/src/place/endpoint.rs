//! What the workers of a host know of an endpoint together: how busy it is and how fast it has been.

use std::sync::atomic::{AtomicU64, Ordering};

use edgeroute_limits::Outstanding;
use edgeroute_placement::{Latency, PeakEwma};
use edgeroute_shared::{Cells, Exact};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compile::CompileError;
use crate::engine::{EngineSignal, SIGNAL_SECONDS};
use crate::snapshot::{Credential, Provider, Replica};

/// One replica of a provider, reached with one of its credentials and asked for one model. Pools with the same endpoint
/// share what is known of it.
#[derive(Debug)]
pub struct Endpoint {
    /// That of its replica.
    pub(crate) name: Box<str>,
    pub(crate) requests: Outstanding,
    pub(crate) tokens: Outstanding,
    pub(crate) uncached: Outstanding,
    /// To the first token and per further token, by size of prompt, where a pool goes by latency.
    latency: Option<Box<[[Exact; Latency::SIZES]; 2]>>,
    /// What the replica's engine says, if it is asked, and the most requests that we had in flight about then.
    engine: Option<(Exact, Exact)>,
}

/// Index of an endpoint in its snapshot.
pub(crate) type EndpointId = u32;

/// What an endpoint is busy with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Load {
    /// Requests in flight.
    pub requests: u64,
    /// Their prompts and what they may generate, in tokens.
    pub context_tokens: u64,
    /// Prompt tokens that no cache held, of requests whose reply has not begun.
    pub uncached_tokens: u64,
}

/// The endpoints of a target's replicas and credentials, in their order, where anything is kept of them; none where
/// nothing is kept of any.
pub(crate) type EndpointIds = Box<[Option<EndpointId>]>;

/// What tells endpoints apart, the same in every process and on every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity([u8; 16]);

impl Identity {
    /// Of a replica of a provider, with a credential if there are several, and the model's name there.
    pub(crate) fn new(provider: &Provider, replica: &Replica, credential: usize, model: &str) -> Self {
        let several = provider.credentials.get(credential).filter(|_| provider.credentials.len() > 1);
        let key = several.map_or("", Credential::key);
        let mut digest = Sha256::new();
        for part in [&*provider.name, &replica.name, key, model] {
            digest.update(part);
            digest.update([0]);
        }
        let digest: [u8; 32] = digest.finalize().into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// As text.
    pub(crate) fn name(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As one word, never zero.
    pub(crate) fn word(self) -> u64 {
        self.0.first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes) | 1)
    }
}

impl Endpoint {
    /// Finds or makes its cells.
    pub(crate) fn new(
        cells: &Cells,
        number: u64,
        provider: &Provider,
        replica: &Replica,
    ) -> Result<Self, CompileError> {
        let outstanding = |what| outstanding(cells, what, number);
        let engine = provider.engine.map(|_| {
            let signal = cells.exact(&format!("engine/{}/{}", provider.name, replica.name))?;
            Ok::<_, CompileError>((signal, cells.exact(&format!("load/peak/{number}"))?))
        });
        Ok(Self {
            name: replica.name.clone(),
            requests: outstanding("requests")?,
            tokens: outstanding("tokens")?,
            uncached: outstanding("uncached")?,
            latency: None,
            engine: engine.transpose()?,
        })
    }

    /// Finds or makes the cells of its latency.
    pub(crate) fn keep_latency(&mut self, cells: &Cells, number: u64) -> Result<(), CompileError> {
        let mut found = Vec::with_capacity(2 * Latency::SIZES);
        for what in ["first", "each"] {
            for size in 0..Latency::SIZES {
                found.push(cells.exact(&format!("latency/{what}/{size}/{number}"))?);
            }
        }
        let (first, each) = found.split_at(Latency::SIZES);
        if let (Ok(first), Ok(each)) = (first.try_into(), each.try_into()) {
            self.latency = Some(Box::new([first, each]));
        }
        Ok(())
    }

    /// Whether nothing is in flight to the endpoint of this number.
    pub(crate) fn is_idle(cells: &Cells, number: u64) -> Result<bool, CompileError> {
        Ok(outstanding(cells, "requests", number)?.total(cells) == 0)
    }

    /// What was measured was another endpoint.
    pub(crate) fn forget_latency(&self, cells: &Cells) {
        for word in self.latency.iter().flat_map(|words| words.iter().flatten()) {
            cells.at(*word).store(0, Ordering::Relaxed);
        }
    }

    /// What all workers have sent to it.
    pub(crate) fn load(&self, cells: &Cells) -> Load {
        Load {
            requests: self.requests.total(cells),
            context_tokens: self.tokens.total(cells),
            uncached_tokens: self.uncached.total(cells),
        }
    }

    /// How fast it has been, where that is kept.
    pub(crate) fn latency(&self, cells: &Cells) -> Latency {
        let Some(words) = &self.latency else { return Latency::default() };
        let [first_token, per_token] = words
            .each_ref()
            .map(|sizes| sizes.map(|word| PeakEwma::from_bits(cells.at(word).load(Ordering::Relaxed))));
        Latency { first_token, per_token }
    }

    /// What its engine has said lately.
    pub(crate) fn signal(&self, cells: &Cells, unix_ms: u64) -> Option<EngineSignal> {
        let (signal, peak) = self.engine?;
        let signal = EngineSignal::unpack(cells.at(signal).load(Ordering::Relaxed), unix_ms / 1_000)?;
        let peak = Peak::unpack(cells.at(peak).load(Ordering::Relaxed));
        Some(EngineSignal { ours: peak.at(unix_ms / 1_000), ..signal })
    }

    /// One more request is in flight: remembered until the engine's word of it is old.
    pub(crate) fn remember_peak(&self, cells: &Cells, unix_ms: u64) {
        if let Some((_, peak)) = self.engine {
            let requests = self.requests.total(cells);
            update(cells.at(peak), |word| Peak::unpack(word).with(requests, unix_ms / 1_000).pack());
        }
    }

    /// The first token of a reply to a prompt of so many tokens took so long.
    pub(crate) fn record_first_token(&self, cells: &Cells, tokens: u64, ms: f32, unix_ms: u64) {
        self.record(cells, 0, tokens, ms, unix_ms);
    }

    /// Each further token took so long.
    pub(crate) fn record_per_token(&self, cells: &Cells, tokens: u64, ms: f32, unix_ms: u64) {
        self.record(cells, 1, tokens, ms, unix_ms);
    }

    fn record(&self, cells: &Cells, what: usize, tokens: u64, ms: f32, unix_ms: u64) {
        let words = self.latency.as_ref().and_then(|words| words.get(what));
        if let Some(word) = words.and_then(|sizes| sizes.get(Latency::size(tokens))) {
            // The clock of a peak-EWMA may wrap.
            update(cells.at(*word), |bits| PeakEwma::from_bits(bits).with(ms, unix_ms as u32).to_bits());
        }
    }
}

impl Load {
    /// With what others send to the same replica, as its engine tells: of requests that are not ours we know the number
    /// alone, so each counts as our mean one, or as this one.
    pub(crate) fn corrected(
        self,
        signal: Option<EngineSignal>,
        prompt_tokens: u64,
        output_tokens: u64,
    ) -> Self {
        let Some(EngineSignal { running, waiting, ours }) = signal else { return self };
        // What we have sent and got since the engine spoke is not somebody else's.
        let others = (running + waiting).saturating_sub(self.requests.max(ours));
        let mean = self.context_tokens.checked_div(self.requests).unwrap_or(prompt_tokens + output_tokens);
        Self {
            requests: self.requests + others,
            context_tokens: self.context_tokens + others.saturating_mul(mean),
            uncached_tokens: self.uncached_tokens + waiting.min(others).saturating_mul(prompt_tokens),
        }
    }
}

/// The most requests lately, as one word: 40 bits of requests, 24 of the second.
#[derive(Clone, Copy)]
struct Peak {
    requests: u64,
    at_s: u64,
}

impl Peak {
    const SECONDS: u64 = 1 << 24;

    fn with(self, requests: u64, now_s: u64) -> Self {
        if requests < self.at(now_s) { self } else { Self { requests, at_s: now_s % Self::SECONDS } }
    }

    fn at(self, now_s: u64) -> u64 {
        let age = now_s.wrapping_sub(self.at_s) % Self::SECONDS;
        if age <= SIGNAL_SECONDS { self.requests } else { 0 }
    }

    fn unpack(word: u64) -> Self {
        Self { requests: word >> 24, at_s: word % Self::SECONDS }
    }

    fn pack(self) -> u64 {
        self.requests << 24 | self.at_s
    }
}

fn outstanding(cells: &Cells, what: &str, number: u64) -> Result<Outstanding, CompileError> {
    Ok(Outstanding::new(cells, &format!("load/{what}/{number}"))?)
}

/// Changes a word that other workers may change at the same time.
pub(crate) fn update(word: &AtomicU64, change: impl Fn(u64) -> u64) {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        match word.compare_exchange_weak(seen, change(seen), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => seen = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_send_counts_as_what_we_send() {
        let own = Load { requests: 2, context_tokens: 600, uncached_tokens: 100 };
        let check = |own: Load, running, waiting, expected| {
            let corrected = own.corrected(Some(EngineSignal { running, waiting, ours: 0 }), 50, 20);
            let Load { requests, context_tokens, uncached_tokens } = corrected;
            assert_eq!((requests, context_tokens, uncached_tokens), expected, "{own:?} {running} {waiting}");
        };
        check(own, 2, 0, (2, 600, 100));
        check(own, 0, 0, (2, 600, 100));
        check(own, 3, 2, (5, 1_500, 200));
        check(Load::default(), 1, 1, (2, 140, 50));
        assert_eq!(own.corrected(None, 50, 20), own);
        // Seven have come back since the engine counted nine.
        let signal = EngineSignal { running: 9, waiting: 0, ours: 9 };
        assert_eq!(own.corrected(Some(signal), 50, 20), own);
    }

    #[test]
    fn peaks_are_remembered_as_long_as_signals() {
        let peak = Peak::unpack(0).with(4, 100).with(9, 101).with(2, 102);
        let peak = Peak::unpack(peak.pack());
        assert_eq!([101, 104, 105].map(|now_s| peak.at(now_s)), [9, 9, 0]);
        assert_eq!(peak.with(3, 105).at(105), 3);
    }
}
