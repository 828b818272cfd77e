//! Exact confidence bounds of a share (Clopper and Pearson, "The use of confidence or fiducial limits", 1934), as
//! quantiles of a beta distribution; counts may be fractions.
//!
//! Wilson's interval is cheaper, but where nearly everything is right its lower bound is too high (Brown, Cai and
//! DasGupta, "Interval Estimation for a Binomial Proportion", 2001), and there we live.

/// How often something was right, and how often not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Times it was right.
    pub right: f64,
    /// Times it was not.
    pub wrong: f64,
}

impl Tally {
    /// The share that is right is more than `share`, but for a chance of `doubt` to be wrong about it.
    pub fn is_above(self, share: f64, doubt: f64) -> bool {
        self.right > 0.0 && beta(share, self.right, self.wrong + 1.0) < doubt
    }

    /// The share that is right is less than `share`, but for a chance of `doubt` to be wrong about it.
    pub fn is_below(self, share: f64, doubt: f64) -> bool {
        self.wrong > 0.0 && beta(share, self.right + 1.0, self.wrong) > 1.0 - doubt
    }

    /// The largest share that `is_above` holds for; 0 if nothing was right yet.
    pub fn lower_bound(self, doubt: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if self.is_above(middle, doubt) { low = middle } else { high = middle }
        }
        low
    }
}

/// The chance that a beta distribution gives no more than `x`: the regularized incomplete beta function (NIST DLMF
/// §8.17; its continued fraction 8.17.22, evaluated as Lentz does).
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // It converges fast on this side of the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_fraction(1.0 - x, b, a);
    }
    beta_fraction(x, a, b)
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..500 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + coefficient * d);
            c = away_from_zero(1.0 + coefficient / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-12 {
            break;
        }
    }
    let front = a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
    front.exp() / a * fraction
}

/// Lanczos' approximation with g = 5 and six terms, right to ten digits (Press et al., "Numerical Recipes", §6.1).
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.120_865_097_386_617_9e-2,
        -0.539_523_938_495_3e-5,
    ];
    let shifted = x + 5.5;
    let sum =
        TERMS.iter().zip(1..).fold(1.000_000_000_190_015, |sum, (term, n)| sum + term / (x + f64::from(n)));
    (x + 0.5) * shifted.ln() - shifted + (2.506_628_274_631_000_5 * sum / x).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chance of at least `k` successes, one by one.
    fn at_least(k: u32, n: u32, p: f64) -> f64 {
        let mut chance = (1.0 - p).powi(n as i32);
        let mut sum = if k == 0 { chance } else { 0.0 };
        for i in 0..n {
            chance *= f64::from(n - i) / f64::from(i + 1) * p / (1.0 - p);
            if i + 1 >= k {
                sum += chance;
            }
        }
        sum
    }

    #[test]
    fn bounds_are_those_of_the_binomial_distribution() {
        for n in 1..60 {
            for wrong in 0..=n {
                for p in [0.05, 0.3, 0.5, 0.9, 0.99] {
                    let tally = Tally { right: f64::from(n - wrong), wrong: f64::from(wrong) };
                    let as_many = at_least(n - wrong, n, p);
                    if wrong < n {
                        let found = beta(p, tally.right, tally.wrong + 1.0);
                        assert!((found - as_many).abs() < 1e-9, "{n} {wrong} {p}: {found} {as_many}");
                        assert_eq!(tally.is_above(p, 0.043), as_many < 0.043, "{n} {wrong} {p}");
                    }
                    if wrong > 0 {
                        let as_few = 1.0 - at_least(n - wrong + 1, n, p);
                        assert_eq!(tally.is_below(p, 0.043), as_few < 0.043, "{n} {wrong} {p}");
                    }
                }
            }
        }
        // Published: 298 of 298 are not enough for 99 % at 5 %, 299 are.
        assert!(!Tally { right: 298.0, wrong: 0.0 }.is_above(0.99, 0.05));
        assert!(Tally { right: 299.0, wrong: 0.0 }.is_above(0.99, 0.05));
        assert!((Tally { right: 8.0, wrong: 2.0 }.lower_bound(0.025) - 0.4439).abs() < 1e-4);
        assert_eq!(Tally::default().lower_bound(0.05), 0.0);
        assert!(!Tally::default().is_above(0.01, 0.5) && !Tally::default().is_below(0.99, 0.5));
    }
}
