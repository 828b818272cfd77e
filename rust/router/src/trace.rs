//! The reasons behind a decision, written down only when somebody asks for them.

use serde::Serialize;

/// Phases of a request, by the names used everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Method, path, headers, body.
    Read,
    /// Virtual key to identity.
    Identify,
    /// Top-level fields of the body.
    Scan,
    /// Rules.
    Match,
    /// The cache, and identical requests under way.
    Recall,
    /// Targets and their order.
    Place,
    /// Limits.
    Admit,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Where in the request's life.
    pub phase: Phase,
    /// What was found and why it mattered.
    pub note: String,
}

/// Collects reasons, or nothing at all.
#[derive(Debug, Default)]
pub(crate) struct Trace(Option<Vec<Reason>>);

impl Trace {
    pub(crate) fn on() -> Self {
        Self(Some(Vec::new()))
    }

    /// Whether somebody asks.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn note(&mut self, phase: Phase, note: impl FnOnce() -> String) {
        if let Some(reasons) = &mut self.0 {
            reasons.push(Reason { phase, note: note() });
        }
    }

    /// The same, unless that has been noted already.
    pub(crate) fn note_once(&mut self, phase: Phase, note: String) {
        if let Some(reasons) = &mut self.0
            && reasons.iter().all(|reason| reason.note != note)
        {
            reasons.push(Reason { phase, note });
        }
    }

    pub(crate) fn into_reasons(self) -> Vec<Reason> {
        self.0.unwrap_or_default()
    }
}
