//! When requests are due.

use std::time::Duration;

use oorandom::Rand64;

/// The intended times of requests, from the start of the run, without end: evenly spaced, or a Poisson process (many
/// independent users) that a seed repeats exactly.
#[derive(Debug, Clone)]
pub struct Arrivals {
    /// Seconds between two requests, on average.
    interval: f64,
    /// How many have been given out.
    given: u64,
    poisson: Option<Poisson>,
}

#[derive(Debug, Clone)]
struct Poisson {
    random: Rand64,
    /// Seconds from the start.
    at: f64,
}

impl Arrivals {
    /// `rate` requests per second, which must be positive; with a seed as a Poisson process.
    pub fn new(rate: f64, seed: Option<u64>) -> Self {
        let poisson = seed.map(|seed| Poisson { random: Rand64::new(seed.into()), at: 0.0 });
        Self { interval: 1.0 / rate, given: 0, poisson }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let seconds = match &mut self.poisson {
            // A product, not a sum: rounding must not add up.
            None => self.given as f64 * self.interval,
            Some(poisson) => {
                poisson.at -= (1.0 - poisson.random.rand_float()).ln() * self.interval;
                poisson.at
            }
        };
        self.given += 1;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_arrivals_do_not_drift() {
        let arrivals: Vec<Duration> = Arrivals::new(3_000.0, None).take(3_000_001).collect();
        assert_eq!(arrivals[0], Duration::ZERO);
        assert_eq!(arrivals[3_000], Duration::from_secs(1));
        assert_eq!(arrivals[3_000_000], Duration::from_secs(1_000));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread() {
        let times: Vec<f64> =
            Arrivals::new(1_000.0, Some(7)).take(100_000).map(|at| at.as_secs_f64()).collect();
        let gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let longer = gaps.iter().filter(|gap| **gap > 0.001).count() as f64 / gaps.len() as f64;
        assert!((0.000_98..0.001_02).contains(&mean), "{mean}");
        // Of exponential gaps, 1/e are longer than the mean.
        assert!((0.36..0.376).contains(&longer), "{longer}");
    }

    #[test]
    fn a_seed_repeats_its_arrivals() {
        let first = |seed| Arrivals::new(100.0, Some(seed)).take(50).collect::<Vec<_>>();
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }
}
