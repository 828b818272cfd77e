//! Streams of would-be hits as they could come, with answers whose truth is known and drifts, and how observe mode and
//! a static threshold fare on them.
//!
//! Each entry has a similarity of its own from which on its answer serves other questions too: near ones of plain
//! entries mean the same, those of confusing ones (another number, another name) do not. No cache is told which is
//! which.

use std::collections::VecDeque;
use std::ops::Range;

use edgeroute_cache::{EntryEvidence, Evidence, Observation, Verdict};

/// What changes while a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drift {
    /// Nothing.
    None,
    /// Entries become outdated one by one.
    Outdated,
    /// Half-way, one entry in three becomes confusing.
    Sudden,
    /// From first to last, one entry in three becomes confusing.
    Gradual,
    /// Half-way, one entry in twenty becomes outdated at once.
    Event,
}

/// Kinds of streams, which take turns.
pub(crate) const DRIFTS: [Drift; 5] =
    [Drift::None, Drift::Outdated, Drift::Sudden, Drift::Gradual, Drift::Event];

/// How one way to decide fared on one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) served: u32,
    pub(crate) wrong: u32,
}

/// One stream and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) drift: Drift,
    pub(crate) observed: Outcome,
    /// Of static thresholds, the one that serves most of those that are wrong no more often than observe mode.
    pub(crate) fixed: Outcome,
    /// The same of those that keep the promise.
    pub(crate) fixed_promise: Outcome,
    /// What a threshold of 0.95 does.
    pub(crate) usual: Outcome,
}

/// Who decides by turns, and tells the others what they have observed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub(crate) count: usize,
    /// So many would-be hits later an observation counts, for all of them.
    pub(crate) lag: u32,
}

/// What one worker knows.
#[derive(Clone)]
struct Known {
    evidence: Evidence,
    /// By places of entries, when what is known of them began.
    entries: Vec<(u32, EntryEvidence)>,
}

/// A small generator (splitmix64), so that streams are the same on every machine.
pub(crate) struct Random(u64);

struct Entry {
    /// From this similarity on it is right more often than not.
    boundary: f64,
    steepness: f64,
    outdated: bool,
    /// How often a comparison of its answers tells something.
    comparable: f64,
    stored: u32,
    /// When it is replaced.
    expires: u32,
}

/// What a stream is made of.
struct Mix {
    confusing: f64,
    plain_boundary: Range<f64>,
    confusing_boundary: Range<f64>,
    /// Of all comparisons, those that find a difference where none is.
    noise: f64,
    incomparable: f64,
    lifetime: f64,
    popularity: f64,
    outdated_each: f64,
}

impl Outcome {
    pub(crate) fn error(self) -> f64 {
        if self.served == 0 { 0.0 } else { f64::from(self.wrong) / f64::from(self.served) }
    }
}

impl Known {
    fn new(entries: usize) -> Self {
        Self { evidence: Evidence::default(), entries: vec![(0, EntryEvidence::default()); entries] }
    }

    fn may_serve(&self, place: usize, similarity: f32, draw: f64) -> bool {
        self.evidence.may_serve(&self.entries[place].1, similarity, draw)
    }

    fn apply(&mut self, observation: &Observation) {
        let Observation { key, stored_ms, record, similarity, verdict, seen_s, .. } = *observation;
        self.evidence.observe(record, similarity, verdict, seen_s);
        let (stored, entry) = &mut self.entries[key as usize];
        if u64::from(*stored) == stored_ms {
            entry.observe(similarity, verdict);
        }
    }
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn within(&mut self, range: Range<f64>) -> f64 {
        range.start + self.next() * (range.end - range.start)
    }
}

impl Mix {
    fn new(random: &mut Random, drift: Drift) -> Self {
        Self {
            // One stream in four has none.
            confusing: random.within(-0.15..0.45).max(0.0),
            plain_boundary: 0.80..random.within(0.84..0.94),
            confusing_boundary: random.within(0.92..0.97)..random.within(0.98..1.05),
            noise: random.within(0.0..0.002),
            incomparable: random.within(0.0..0.3),
            lifetime: random.within(10_000.0..60_000.0),
            popularity: random.within(1.5..3.0),
            outdated_each: if drift == Drift::Outdated { random.within(1e-7..1e-6) } else { 0.0 },
        }
    }

    fn entry(&self, random: &mut Random, now: u32, confusing: f64) -> Entry {
        let confusing = random.next() < confusing;
        let boundary = if confusing { self.confusing_boundary.clone() } else { self.plain_boundary.clone() };
        let incomparable = random.next() < self.incomparable;
        Entry {
            boundary: random.within(boundary),
            steepness: random.within(150.0..600.0),
            outdated: false,
            comparable: if incomparable { 0.0 } else { random.within(0.8..1.0) },
            stored: now,
            expires: now + (self.lifetime * random.within(0.2..1.0)) as u32,
        }
    }
}

/// Runs a stream of `would_be_hits`, one a second, which workers take by turns.
pub(crate) fn run(seed: u64, would_be_hits: u32, workers: Workers) -> Run {
    let drift = DRIFTS[seed as usize % DRIFTS.len()];
    let mut random = Random::new(seed ^ 0x0065_7669_6465_6e63);
    let mix = Mix::new(&mut random, drift);
    let mut entries: Vec<_> = (0..2_000).map(|_| mix.entry(&mut random, 0, mix.confusing)).collect();
    let mut known = vec![Known::new(entries.len()); workers.count];
    let mut on_their_way = VecDeque::new();
    let mut observed = Outcome::default();
    // By similarity in steps of 0.0005, from 0.8.
    let mut fixed = [Outcome::default(); 401];
    for now in 1..=would_be_hits {
        let half_way = now == would_be_hits / 2;
        let progress = f64::from(now) / f64::from(would_be_hits);
        let confusing = match drift {
            Drift::Sudden if progress >= 0.5 => mix.confusing.max(0.33),
            Drift::Gradual => mix.confusing + (0.33 - mix.confusing).max(0.0) * progress,
            _ => mix.confusing,
        };
        if half_way {
            for entry in &mut entries {
                match drift {
                    Drift::Sudden if random.next() < 0.33 => {
                        entry.boundary = random.within(mix.confusing_boundary.clone());
                    }
                    Drift::Event => entry.outdated = random.next() < 0.05,
                    _ => {}
                }
            }
        }
        let index = (random.next().powf(mix.popularity) * entries.len() as f64) as usize;
        let entry = &mut entries[index];
        if entry.expires < now {
            *entry = mix.entry(&mut random, now, confusing);
            known.iter_mut().for_each(|known| known.entries[index] = (now, EntryEvidence::default()));
        }
        // How long it was since anybody looked does not matter much: popular entries count.
        entry.outdated |= random.next() < mix.outdated_each * 2_000.0;
        let similarity = 1.0 - 0.2 * random.next().powf(1.5);
        let near = (entry.boundary - similarity) * entry.steepness;
        let right = !entry.outdated && random.next() < 1.0 / (1.0 + near.exp());

        for (step, outcome) in fixed.iter_mut().enumerate() {
            if similarity < 0.8 + 0.0005 * step as f64 {
                break;
            }
            outcome.served += 1;
            outcome.wrong += u32::from(!right);
        }
        while on_their_way.front().is_some_and(|seen: &Observation| seen.seen_s + workers.lag < now)
            && let Some(observation) = on_their_way.pop_front()
        {
            known.iter_mut().for_each(|known| known.apply(&observation));
        }
        let (similarity, worker) = (similarity as f32, &known[now as usize % workers.count]);
        if worker.may_serve(index, similarity, random.next()) {
            observed.served += 1;
            observed.wrong += u32::from(!right);
            continue;
        }
        let told = random.next() < entry.comparable;
        let seems_right = right && random.next() >= mix.noise;
        let verdict = match (told, seems_right) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Correct,
            (true, false) => Verdict::Wrong,
        };
        let record = worker.entries[index].1.record(similarity);
        let (key, stored_ms, model) = (index as u128, entry.stored.into(), 0);
        on_their_way.push_back(Observation {
            key,
            stored_ms,
            model,
            record,
            similarity,
            verdict,
            seen_s: now,
        });
    }
    let best = |error: f64| {
        let good = fixed.iter().filter(|outcome| outcome.error() <= error);
        good.max_by_key(|outcome| outcome.served).copied().unwrap_or_default()
    };
    Run {
        drift,

        observed,
        fixed: best(observed.error()),
        fixed_promise: best(edgeroute_cache::evidence::DELTA),
        usual: fixed[300],
    }
}
