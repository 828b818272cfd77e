//! The body of a request, in pieces that lie wherever they were before: nothing of it is copied on the way to a socket.

use std::io::IoSlice;

use bytes::Bytes;

/// A request's body, written piece by piece: a body of which a few bytes are replaced need not be copied for that.
#[derive(Clone, Default)]
pub struct Body {
    pieces: Vec<Bytes>,
    size: usize,
}

/// Pieces that one system call writes at most; the head is one of them.
const PIECES: usize = 16;

impl Body {
    /// Goes on with these bytes.
    pub fn push(&mut self, piece: Bytes) {
        self.size += piece.len();
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Calls `write` with what is left of the head and the body after `sent` bytes, as far as it fits into one call
    /// and never without any. The number of bytes given is returned besides what `write` returns.
    pub(crate) fn write_after<T>(
        &self,
        head: &[u8],
        sent: usize,
        write: impl FnOnce(&[IoSlice<'_>]) -> T,
    ) -> (usize, T) {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let (mut used, mut given, mut skip) = (0, 0, sent);
        for piece in std::iter::once(head).chain(self.pieces.iter().map(Bytes::as_ref)) {
            let left = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            if left.is_empty() {
                continue;
            }
            let Some(slice) = slices.get_mut(used) else { break };
            *slice = IoSlice::new(left);
            (used, given) = (used + 1, given + left.len());
        }
        (given, write(slices.get(..used).unwrap_or_default()))
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        let mut body = Self::default();
        body.push(whole.into());
        body
    }
}
