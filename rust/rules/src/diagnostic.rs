//! What is wrong with a rule, where, and what to do about it.

mod code;
mod nearest;
mod render;

use std::ops::Range;

pub use code::{Code, Severity};
pub(crate) use nearest::{distance, nearest};

/// A finding about the text of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding it is.
    pub code: Code,
    /// The bytes of the source that the message is about.
    pub span: Range<usize>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What else of the source has to do with it.
    pub labels: Vec<Label>,
    /// What to do about it, where that can be said.
    pub help: Option<String>,
}

/// A remark on a part of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bytes of the source that it is about.
    pub span: Range<usize>,
    /// The remark, a few words.
    pub text: String,
}

impl Diagnostic {
    #[cold]
    pub(crate) fn new(code: Code, span: impl Into<Range<usize>>, message: impl Into<String>) -> Self {
        Self { code, span: span.into(), message: message.into(), labels: Vec::new(), help: None }
    }

    #[cold]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[cold]
    pub(crate) fn with_label(mut self, span: impl Into<Range<usize>>, text: impl Into<String>) -> Self {
        self.labels.push(Label { span: span.into(), text: text.into() });
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}
