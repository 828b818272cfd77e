//! By price. Prices come from configuration; what a request will use is an estimate of the caller.

use crate::Order;

/// What a target charges per million tokens, in one currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Prompt tokens that no cache holds.
    pub input: f64,
    /// Prompt tokens read from the provider's cache.
    pub cached_input: f64,
    /// Generated tokens.
    pub output: f64,
}

/// What a request is expected to use at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Prompt tokens that no cache of the target holds.
    pub input: u64,
    /// Prompt tokens that it holds.
    pub cached_input: u64,
    /// Generated tokens.
    pub output: u64,
}

impl Price {
    /// What these tokens cost, in the currency of the prices.
    pub fn of(&self, tokens: Tokens) -> f64 {
        let parts = [
            self.input * tokens.input as f64,
            self.cached_input * tokens.cached_input as f64,
            self.output * tokens.output as f64,
        ];
        parts.iter().sum::<f64>() / 1e6
    }
}

/// The targets, cheapest first; equal ones as listed. What is cached may differ from target to target.
pub fn cheapest(targets: &[(Price, Tokens)]) -> Order {
    let mut costs: Vec<(f64, u16)> =
        (0..).zip(targets).map(|(index, (price, tokens))| (price.of(*tokens), index)).collect();
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    costs.into_iter().map(|(_, index)| index).collect()
}
