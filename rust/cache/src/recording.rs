//! A stream of events while it is recorded, for several readers that each go at their own pace.

use std::collections::VecDeque;

/// Bytes that the fastest reader may be behind before whoever records has to wait.
const HIGH_WATER: usize = 256 * 1024;

/// What a stream has said so far. It begins with the first event for as long as no more than `most` bytes are kept;
/// after that nobody can join, and what all have read is dropped.
#[derive(Debug)]
pub struct Recording {
    pieces: VecDeque<Piece>,
    /// The number of the first piece that is kept.
    first: u64,
    /// Bytes before that piece.
    dropped: u64,
    /// Bytes that are kept.
    kept: usize,
    most: usize,
    /// By reader: the piece that it reads next, and the bytes before it. None for readers that have left.
    places: Vec<Option<Place>>,
    ended: bool,
}

/// Events that arrived together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// When, in milliseconds since the stream began.
    pub at_ms: u32,
    /// Whole events.
    pub events: Box<[u8]>,
}

/// Somebody who reads a recording. It belongs to one recording and must leave it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reader(usize);

/// What reading has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There was something.
    Read,
    /// There is nothing yet.
    Nothing,
    /// What comes next is for later: its time.
    Later(u32),
    /// Everything has been read, and nothing more will come.
    End,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    piece: u64,
    bytes: u64,
}

impl Recording {
    /// Begins a recording of which `most` bytes are kept.
    pub fn new(most: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            first: 0,
            dropped: 0,
            kept: 0,
            most,
            places: Vec::new(),
            ended: false,
        }
    }

    /// A stream that was recorded before.
    pub fn finished(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let mut recording = Self::new(usize::MAX);
        for piece in pieces {
            recording.push(piece);
        }
        recording.end();
        recording
    }

    /// Goes on with these events, which come after all others.
    pub fn push(&mut self, piece: Piece) {
        if piece.events.is_empty() || self.ended {
            return;
        }
        self.kept += piece.events.len();
        self.pieces.push_back(piece);
        self.trim();
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether [`Self::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Everything from the first event on, unless that was too much to be kept.
    pub fn pieces(&self) -> Option<impl ExactSizeIterator<Item = &Piece>> {
        self.is_whole().then(|| self.pieces.iter())
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.dropped + self.kept as u64
    }

    /// Whether nothing of it has been dropped.
    pub fn is_whole(&self) -> bool {
        self.first == 0
    }

    /// Whether somebody can [join](Self::join).
    pub fn can_join(&self) -> bool {
        self.is_whole() && self.kept <= self.most
    }

    /// A reader that begins with the first event; none if that is gone, or will be with the next one.
    pub fn join(&mut self) -> Option<Reader> {
        if !self.can_join() {
            return None;
        }
        let place = Some(Place { piece: 0, bytes: 0 });
        let free = self.places.iter().position(Option::is_none);
        match free.and_then(|index| self.places.get_mut(index)) {
            Some(left) => *left = place,
            None => self.places.push(place),
        }
        Some(Reader(free.unwrap_or(self.places.len() - 1)))
    }

    /// The reader reads no more.
    #[expect(clippy::needless_pass_by_value, reason = "it is not to be used again")]
    pub fn leave(&mut self, reader: Reader) {
        if let Some(place) = self.places.get_mut(reader.0) {
            *place = None;
        }
        self.trim();
    }

    /// How many read it.
    pub fn readers(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Appends what comes next for this reader to `out`: pieces up to `until_ms`, as many as begin within `most` bytes.
    pub fn read(&mut self, reader: &Reader, until_ms: u32, most: usize, out: &mut Vec<u8>) -> Progress {
        let Some(Some(place)) = self.places.get_mut(reader.0) else { return Progress::End };
        let skipped = usize::try_from(place.piece.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let before = out.len();
        let mut later = None;
        for piece in self.pieces.iter().skip(skipped) {
            if piece.at_ms > until_ms {
                later = Some(piece.at_ms);
                break;
            }
            if out.len() - before >= most {
                break;
            }
            out.extend_from_slice(&piece.events);
            place.piece += 1;
            place.bytes += piece.events.len() as u64;
        }
        if out.len() > before {
            self.trim();
            return Progress::Read;
        }
        match later {
            Some(at_ms) => Progress::Later(at_ms),
            None if self.ended => Progress::End,
            None => Progress::Nothing,
        }
    }

    /// Whether whoever records has to wait: the fastest reader is far behind, or the slowest one by all that may be kept.
    pub fn is_full(&self) -> bool {
        let behind = |place: &Place| self.size() - place.bytes;
        let places = || self.places.iter().flatten().map(behind);
        places().min().is_some_and(|fastest| fastest > HIGH_WATER as u64)
            || places().max().is_some_and(|slowest| slowest > self.most as u64)
    }

    /// Drops what all have read, where not everything can be kept.
    fn trim(&mut self) {
        if self.can_join() {
            return;
        }
        let needed = self.places.iter().flatten().map(|place| place.piece).min().unwrap_or(u64::MAX);
        while self.first < needed
            && let Some(piece) = self.pieces.pop_front()
        {
            self.first += 1;
            self.kept -= piece.events.len();
            self.dropped += piece.events.len() as u64;
        }
    }
}

impl Piece {
    /// Events that arrived at this time.
    pub fn new(at_ms: u32, events: impl Into<Box<[u8]>>) -> Self {
        Self { at_ms, events: events.into() }
    }
}
