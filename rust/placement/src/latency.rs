//! By how fast targets have been. A target whose latency jumps is avoided at once and forgiven slowly.

/// A latency that rises to every peak at once and falls by and by: the peak-EWMA of Finagle (Twitter), where a
/// sample below the mean counts by how long ago the last one was.
///
/// Eight bytes, see [`PeakEwma::to_bits`], so that processes can share one by compare-and-swap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeakEwma {
    /// In milliseconds; zero while there is no sample.
    value: f32,
    /// When it was last changed, in milliseconds of a clock that may wrap.
    at_ms: u32,
}

/// What a target's requests have taken: to the first token by size of prompt, and per further token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    /// To the first token, by [size](Latency::size).
    pub first_token: [PeakEwma; Latency::SIZES],
    /// Per further token, by size.
    pub per_token: [PeakEwma; Latency::SIZES],
}

/// A sample that comes this long after the last one counts 63 %, as in Finagle.
const DECAY_MS: f32 = 10_000.0;

impl PeakEwma {
    /// With one more sample, in milliseconds.
    #[must_use]
    pub fn with(self, sample_ms: f32, now_ms: u32) -> Self {
        if !(sample_ms.is_finite() && sample_ms >= 0.0) {
            return self;
        }
        let value = match self.value_ms() {
            Some(value) if sample_ms < value => {
                let kept = (-(self.age_ms(now_ms) as f32) / DECAY_MS).exp();
                value * kept + sample_ms * (1.0 - kept)
            }
            _ => sample_ms,
        };
        // Zero means none yet.
        Self { value: value.max(f32::MIN_POSITIVE), at_ms: now_ms }
    }

    /// The latency in milliseconds, if there was a sample.
    pub fn value_ms(self) -> Option<f32> {
        (self.value > 0.0).then_some(self.value)
    }

    /// As one word.
    pub fn to_bits(self) -> u64 {
        u64::from(self.value.to_bits()) << 32 | u64::from(self.at_ms)
    }

    /// From the word that [`PeakEwma::to_bits`] gave; zero is one without samples.
    pub fn from_bits(bits: u64) -> Self {
        let value = f32::from_bits((bits >> 32) as u32);
        Self { value: if value.is_finite() { value } else { 0.0 }, at_ms: bits as u32 }
    }

    /// Samples of other processes may come from a moment ahead.
    fn age_ms(self, now_ms: u32) -> u32 {
        let age = now_ms.wrapping_sub(self.at_ms);
        if age > u32::MAX / 2 { 0 } else { age }
    }
}

impl Latency {
    /// Prompts are told apart by these many sizes: up to 256 tokens, then four times as many each.
    pub const SIZES: usize = 6;

    /// The size of a prompt, as a position.
    pub fn size(prompt_tokens: u64) -> usize {
        let steps = (prompt_tokens.max(1) - 1).checked_ilog2().map_or(0, |bits| (bits / 2) as usize);
        steps.saturating_sub(3).min(Self::SIZES - 1)
    }

    /// A request's first token came after so many milliseconds.
    pub fn record_first_token(&mut self, prompt_tokens: u64, sample_ms: f32, now_ms: u32) {
        if let Some(mean) = self.first_token.get_mut(Self::size(prompt_tokens)) {
            *mean = mean.with(sample_ms, now_ms);
        }
    }

    /// Further tokens took so many milliseconds each.
    pub fn record_per_token(&mut self, prompt_tokens: u64, sample_ms: f32, now_ms: u32) {
        if let Some(mean) = self.per_token.get_mut(Self::size(prompt_tokens)) {
            *mean = mean.with(sample_ms, now_ms);
        }
    }

    /// What such a request would take in milliseconds, times the requests that wait with it. A size without samples
    /// takes those of the nearest size; a target without any costs nothing, so that it is tried.
    pub fn cost(&self, prompt_tokens: u64, output_tokens: u64, in_flight: u32) -> f64 {
        let size = Self::size(prompt_tokens);
        let first = f64::from(nearest(&self.first_token, size));
        let each = f64::from(nearest(&self.per_token, size));
        (first + each * output_tokens as f64) * (f64::from(in_flight) + 1.0)
    }
}

fn nearest(means: &[PeakEwma], size: usize) -> f32 {
    let sampled = means.iter().enumerate().filter_map(|(at, mean)| Some((at, mean.value_ms()?)));
    sampled.min_by_key(|(at, _)| at.abs_diff(size)).map_or(0.0, |(_, value)| value)
}
