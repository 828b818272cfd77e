use edgeroute_shared::{Cells, Row};
use smallvec::SmallVec;

use crate::{Concurrency, Crowded, Error, Exceeded, Permit, Reservation, Window};

/// What somebody (a virtual key, a team) may use; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Requests at one time.
    pub concurrency: Option<u64>,
}

/// The limits of one virtual key or team.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    requests: Option<Window>,
    tokens: Option<Window>,
    concurrency: Option<Concurrency>,
}

/// What one request has taken from all the limits that apply to it. It has no `Drop`: call [`Held::settle`] or
/// [`Held::refund`], with the row it was taken on.
#[derive(Debug, Default)]
#[must_use = "what is held must be settled or refunded"]
pub struct Held {
    /// At most three limits for each of key and team, so nothing is allocated.
    parts: SmallVec<[Part; 6]>,
}

/// Which limit refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Requests per minute.
    #[error("requests per minute: {exceeded}")]
    Requests {
        /// The place in the list of limits that was given.
        scope: usize,
        /// By how much, and when to try again.
        exceeded: Exceeded,
    },
    /// Tokens per minute.
    #[error("tokens per minute: {exceeded}")]
    Tokens {
        /// The place in the list of limits that was given.
        scope: usize,
        /// By how much, and when to try again.
        exceeded: Exceeded,
    },
    /// Requests at one time.
    #[error("concurrency: {crowded}")]
    Concurrency {
        /// The place in the list of limits that was given.
        scope: usize,
        /// How many are held.
        crowded: Crowded,
    },
}

/// How full the fullest limit is, in percent; 0 where none applies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Of requests per minute.
    pub requests_percent: f64,
    /// Of tokens per minute.
    pub tokens_percent: f64,
}

/// How much of one limit is used, to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Name of the limit in the configuration.
    pub limit: &'static str,
    /// What may be used.
    pub most: u64,
    /// What is settled or reserved.
    pub used: u64,
    /// What of that is reserved.
    pub reserved: u64,
}

#[derive(Debug)]
enum Part {
    Requests(Reservation),
    Tokens(Reservation),
    Concurrency(Permit),
}

const MINUTE_MS: u64 = 60_000;

impl Limits {
    /// Finds or makes the cells of this scope, for example `key/search-prod`.
    pub fn new(cells: &Cells, scope: &str, quotas: Quotas) -> Result<Self, Error> {
        let window = |what: &str, limit: Option<u64>| {
            let name = format!("limits/{scope}/{what}");
            limit.map(|limit| Window::new(cells, &name, limit, MINUTE_MS)).transpose()
        };
        let concurrency = quotas
            .concurrency
            .map(|limit| Concurrency::new(cells, &format!("limits/{scope}/concurrency"), limit));
        Ok(Self {
            requests: window("requests_per_minute", quotas.requests_per_minute)?,
            tokens: window("tokens_per_minute", quotas.tokens_per_minute)?,
            concurrency: concurrency.transpose()?,
        })
    }

    /// Takes one request, its tokens and a place from every limit of `scopes`, or nothing. A request with `None` has no
    /// tokens: limits of tokens neither count nor refuse it.
    pub fn reserve(scopes: &[Self], row: &Row, tokens: Option<u64>, now_ms: u64) -> Result<Held, Refused> {
        let mut held = Held::default();
        for (scope, limits) in scopes.iter().enumerate() {
            if let Err(refused) = limits.reserve_into(&mut held, scope, row, tokens, now_ms) {
                held.refund(row);
                return Err(refused);
            }
        }
        Ok(held)
    }

    /// How full the fullest limits of `scopes` are.
    pub fn used(scopes: &[Self], cells: &Cells, now_ms: u64) -> Used {
        let percent =
            |window: Option<Window>| window.map_or(0.0, |window| window.used_percent(cells, now_ms));
        scopes.iter().fold(Used::default(), |used, limits| Used {
            requests_percent: used.requests_percent.max(percent(limits.requests)),
            tokens_percent: used.tokens_percent.max(percent(limits.tokens)),
        })
    }

    /// How much of each limit is used. Nothing is reserved.
    pub fn usage(&self, cells: &Cells, now_ms: u64) -> impl Iterator<Item = Usage> {
        let window = |limit, window: Option<Window>| {
            window.map(|window| Usage {
                limit,
                most: window.limit(),
                used: window.used(cells, now_ms),
                reserved: window.reserved(cells, now_ms),
            })
        };
        let concurrency = self.concurrency.map(|concurrency| Usage {
            limit: "concurrency",
            most: concurrency.limit(),
            used: concurrency.held(cells),
            reserved: 0,
        });
        let windows =
            [window("requests_per_minute", self.requests), window("tokens_per_minute", self.tokens)];
        windows.into_iter().chain([concurrency]).flatten()
    }

    fn reserve_into(
        &self,
        held: &mut Held,
        scope: usize,
        row: &Row,
        tokens: Option<u64>,
        now_ms: u64,
    ) -> Result<(), Refused> {
        if let Some(concurrency) = &self.concurrency {
            let permit =
                concurrency.try_acquire(row).map_err(|crowded| Refused::Concurrency { scope, crowded })?;
            held.parts.push(Part::Concurrency(permit));
        }
        if let Some(window) = &self.requests {
            let reservation = window
                .try_reserve(row, 1, now_ms)
                .map_err(|exceeded| Refused::Requests { scope, exceeded })?;
            held.parts.push(Part::Requests(reservation));
        }
        if let (Some(window), Some(tokens)) = (&self.tokens, tokens) {
            let reservation = window
                .try_reserve(row, tokens, now_ms)
                .map_err(|exceeded| Refused::Tokens { scope, exceeded })?;
            held.parts.push(Part::Tokens(reservation));
        }
        Ok(())
    }
}

impl Held {
    /// The request has run: it counts as one request of so many tokens, and its places are free.
    pub fn settle(self, row: &Row, tokens: u64) {
        self.finish(row, 1, tokens);
    }

    /// The request was never sent: everything is given back.
    pub fn refund(self, row: &Row) {
        self.finish(row, 0, 0);
    }

    fn finish(self, row: &Row, requests: u64, tokens: u64) {
        for part in self.parts {
            match part {
                Part::Requests(reservation) => reservation.settle(row, requests),
                Part::Tokens(reservation) => reservation.settle(row, tokens),
                Part::Concurrency(permit) => permit.release(row),
            }
        }
    }
}

impl Refused {
    /// When to try again: `Some` time from now, or `None` if it cannot be told or would not help.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Requests { exceeded, .. } | Self::Tokens { exceeded, .. } => {
                (!exceeded.is_never_possible()).then_some(exceeded.retry_after_ms)
            }
            Self::Concurrency { .. } => None,
        }
    }
}
