//! What was found out about the cache, in words: reasons, and the notes of `explain`. Never content.

use edgeroute_cache::guard::{Bypass, Veto};

use super::parts::Tenant;
use super::texts::Texts;
use super::{CacheResult, Recall};
use crate::config::{CacheMode, CacheScope, CacheServe, RuleCache, RuleCacheMode};
use crate::step::Hit;
use crate::trace::{Phase, Trace};

/// Why the cache was not asked, or an entry does not answer by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    // Neither looked for nor kept.
    NoStore,
    Header,
    Rule,
    Temperature,
    TooLong,
    NoKey,
    Stateful,
    // Kept, not looked for.
    NoCache,
    // An entry is older than the client wants.
    TooOld,
    // Not looked for by meaning.
    SeveralAnswers,
    Tools,
    Media,
    Turns,
    NoQuestion,
    /// Such texts are not answered by meaning.
    Text(Bypass),
    /// Its embedder has not made the vector.
    NoVector,
    // Found by meaning.
    NotProven,
    /// The guards tell the questions apart.
    Veto(Veto),
}

impl Why {
    /// Label value, and reason in the header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Header => "header",
            Self::Rule => "rule",
            Self::Temperature => "temperature",
            Self::TooLong => "too-long",
            Self::NoKey => "no-key",
            Self::Stateful => "stateful",
            Self::NoCache => "no-cache",
            Self::TooOld => "max-age",
            Self::SeveralAnswers => "several-answers",
            Self::Tools => "tools",
            Self::Media => "images",
            Self::Turns => "turns",
            Self::NoQuestion => "no-question",
            Self::NoVector => "no-vector",
            Self::NotProven => "not-proven",
            Self::Text(bypass) => bypass.name(),
            Self::Veto(veto) => veto.name(),
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::NoStore => "the client wants it neither answered from the cache nor kept",
            Self::Header => "the client bypasses the cache (`x-edgeroute-cache: bypass`)",
            Self::Rule => "a rule has switched the cache off",
            Self::Temperature => "its temperature is above the cache's max_temperature",
            Self::TooLong => "its body is larger than 64 KiB",
            Self::NoKey => {
                "its body has no key: nested values that are not JSON, or a name that stands there twice"
            }
            Self::Stateful => "its answer depends on what the provider keeps",
            Self::NoCache => "the client wants a new answer (`cache-control: no-cache`), which is kept",
            Self::TooOld => "the entry is older than the client's max-age",
            Self::SeveralAnswers => "not looked for by meaning: it asks for several answers",
            Self::Tools => "not looked for by meaning: it has tools",
            Self::Media => "not looked for by meaning: it has images, recordings or files",
            Self::Turns => {
                "not looked for by meaning: it has more of the user's turns than the cache's `turns`"
            }
            Self::NoQuestion => "not looked for by meaning: the last message is not text of the user",
            Self::Text(_) => "not looked for by meaning: texts of this kind are not",
            Self::NoVector => {
                "the vector of its question is not known in this worker: the embedder is asked, and what means the \
                 same is found the next time"
            }
            Self::NotProven => {
                "an entry means the same, but there is not yet enough evidence that it answers this too: the model \
                 answers, and the answers are compared"
            }
            Self::Veto(_) => "an entry is similar, but the guards tell the questions apart",
        }
    }
}

/// What a rule changes of the cache.
pub(crate) fn describe_change(change: RuleCache) -> String {
    let mode = change.mode.map(|mode| match mode {
        RuleCacheMode::Off => "off",
        RuleCacheMode::Exact => "exact",
        RuleCacheMode::Semantic => "semantic",
    });
    let ttl = change.ttl_ms.map(|ms| format!("ttl {}", seconds(ms)));
    let said: Vec<String> = mode.map(str::to_owned).into_iter().chain(ttl).collect();
    format!("cache {}", said.join(", "))
}

/// Says what was looked for, and what came of it.
pub(crate) fn note(recall: &Recall, tenant: Tenant<'_>, trace: &mut Trace) {
    if !trace.is_on() {
        return;
    }
    let settings = &recall.settings;
    trace.note(Phase::Recall, || {
        let mode = match settings.mode {
            CacheMode::Exact => "exact".to_owned(),
            CacheMode::Semantic => {
                let serve = match settings.serve {
                    CacheServe::Observe => "observe",
                    CacheServe::Always => "always",
                };
                format!("semantic from {}, serve {serve}", thousandths(settings.threshold_permille.into()))
            }
        };
        let shared = match (settings.scope, tenant) {
            (CacheScope::Everybody, _) => "everybody".to_owned(),
            (_, Tenant { kind, name }) => format!("{} `{name}`", kind.replace('_', " ")),
        };
        format!("cache {mode}, answers of {shared}, for {}", seconds(settings.ttl_ms))
    });
    if let Some(keys) = recall.keys {
        trace.note(Phase::Recall, || format!("key {:032x}", keys.key));
    }
    if let Some(question) = &recall.question {
        let asked = question.asked();
        trace.note(Phase::Recall, || {
            let characters = asked.text.chars().count();
            format!("partition {:032x}, a question of {characters} characters", asked.partition)
        });
        if let Some(embedder) = question.embedder() {
            trace.note(Phase::Recall, || match embedder.wait_ms {
                0 => format!("its vector is made by `{}`, for which it does not wait", embedder.name),
                ms => {
                    format!("its vector is made by `{}`, for which it waits {ms} ms at most", embedder.name)
                }
            });
        }
    }
    if let Some((known, all)) = recall.texts.as_ref().map(Texts::count) {
        trace.note(Phase::Recall, || format!("{known} of {all} texts of `input` are known"));
    }
    trace.note(Phase::Recall, || match (recall.result, recall.why) {
        (CacheResult::Hit { hit: Hit::Exact, age_ms }, _) => {
            format!("an entry of the same request answers, {} old", seconds(age_ms))
        }
        (CacheResult::Hit { hit: Hit::Semantic { similarity_permille }, age_ms }, _) => format!(
            "an entry that means the same answers, {} old, similarity {}",
            seconds(age_ms),
            thousandths(similarity_permille.into())
        ),
        (CacheResult::Joined, _) => "an identical request is under way and shares its answer".into(),
        (CacheResult::Bypass, Some(why)) => format!("bypassed, {}: {}", why.name(), why.sentence()),
        (CacheResult::Miss, Some(why)) => format!("no entry answers, {}: {}", why.name(), why.sentence()),
        (CacheResult::Miss | CacheResult::Bypass, None) => {
            "no entry is known that answers: no running router is asked".into()
        }
    });
}

/// Says how similar the nearest question is.
pub(crate) fn note_similar(similarity: f32, trace: &mut Trace) {
    trace.note(Phase::Recall, || format!("the nearest question has a cosine of {similarity:.3}"));
}

/// As decimals: 970 is `0.97`.
pub(crate) fn thousandths(number: u64) -> String {
    (number as f64 / 1_000.0).to_string()
}

fn seconds(ms: u64) -> String {
    format!("{} s", ms as f64 / 1_000.0)
}
