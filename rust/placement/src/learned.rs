//! What a router has to know about a model and finds out by itself. Each is eight bytes or less, so that processes
//! can share it.

/// How many tokens a byte of prompt is, learned from what providers count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokensPerByte(f32);

/// How many prompt tokens a target reads per second when nothing else waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrefillRate(f32);

/// How much a new sample counts: twenty samples make 64 %.
const GAIN: f32 = 0.05;

impl Default for TokensPerByte {
    /// A quarter, as for English with current tokenizers.
    fn default() -> Self {
        Self(0.25)
    }
}

impl Default for PrefillRate {
    /// On the low side of what a data centre's accelerator does with a model of 30 billion parameters: in simulations,
    /// a third of the true rate changed the mean time to the first token by up to 8 %, three times by up to 150 %.
    fn default() -> Self {
        Self(10_000.0)
    }
}

impl TokensPerByte {
    /// Shorter prompts are mostly what the model's template adds.
    pub const LEAST_BYTES: u64 = 1024;

    /// With a prompt of that many bytes that the provider counted as so many tokens.
    #[must_use]
    pub fn with(self, bytes: u64, tokens: u64) -> Self {
        if bytes < Self::LEAST_BYTES || tokens == 0 {
            return self;
        }
        // Images have any ratio; beyond these, it says nothing about text.
        self.towards((tokens as f32 / bytes as f32).clamp(0.02, 2.0))
    }
}

impl PrefillRate {
    /// Prompts with fewer uncached tokens take as long as the network and the engine's step, not as reading takes.
    pub const LEAST_TOKENS: u64 = 512;

    /// With a prompt whose first token came after so many seconds, sent while the target read nothing else.
    #[must_use]
    pub fn with(self, uncached_tokens: u64, seconds: f32) -> Self {
        if uncached_tokens < Self::LEAST_TOKENS || !(seconds.is_finite() && seconds > 0.0) {
            return self;
        }
        self.towards((uncached_tokens as f32 / seconds).clamp(10.0, 1e7))
    }
}

macro_rules! learned {
    ($type:ident, $unit:literal) => {
        impl $type {
            #[doc = $unit]
            pub fn get(self) -> f32 {
                self.0
            }

            /// As a word.
            pub fn to_bits(self) -> u32 {
                self.0.to_bits()
            }

            /// From the word that `to_bits` gave; zero, and what no value has, is the default.
            pub fn from_bits(bits: u32) -> Self {
                let value = f32::from_bits(bits);
                if value.is_finite() && value > 0.0 { Self(value) } else { Self::default() }
            }

            fn towards(self, sample: f32) -> Self {
                Self(self.0 + GAIN * (sample - self.0))
            }
        }
    };
}

learned!(TokensPerByte, "Tokens per byte.");
learned!(PrefillRate, "Tokens per second.");
