//! The head of a response: one copy of its bytes and an index of its end-to-end headers.

/// Status and headers of a response. Headers that concern only this connection, and `content-length`, are left out:
/// whoever sends the body on decides its framing anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    status: u16,
    raw: Vec<u8>,
    index: Vec<Entry>,
}

/// Where one header's name and value lie in `Head::raw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: (u16, u16),
    pub(crate) value: (u16, u16),
}

impl Head {
    /// `raw` holds the head with its names already in lower case.
    pub(crate) fn new(status: u16, raw: Vec<u8>, index: Vec<Entry>) -> Self {
        Self { status, raw, index }
    }

    /// The status code, 200 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Names in lower case with their values, in the order they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.index.iter().map(|entry| {
            let name = std::str::from_utf8(self.slice(entry.name)).unwrap_or_default();
            (name, self.slice(entry.value))
        })
    }

    /// The value of the first header of this name (to be given in lower case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let entry = self.index.iter().find(|entry| self.slice(entry.name) == name.as_bytes())?;
        Some(self.slice(entry.value))
    }

    /// Whether the body is a stream of server-sent events.
    pub fn is_event_stream(&self) -> bool {
        const EVENT_STREAM: &[u8] = b"text/event-stream";
        let Some(value) = self.header("content-type") else { return false };
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        essence.eq_ignore_ascii_case(EVENT_STREAM)
    }

    fn slice(&self, (start, end): (u16, u16)) -> &[u8] {
        self.raw.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }
}
