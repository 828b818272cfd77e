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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The naive twin joins everything. Nothing is copied: what is written lies where it lay before.
        #[test]
        fn writes_what_is_left_from_where_it_lies(
            head in prop::collection::vec(any::<u8>(), 0..20),
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..40),
            sent in any::<prop::sample::Index>(),
        ) {
            let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::from).collect();
            let mut body = Body::default();
            pieces.iter().for_each(|piece| body.push(piece.clone()));
            let mut joined = head.clone();
            joined.extend(pieces.concat());
            prop_assert_eq!((body.len(), body.is_empty()), (joined.len() - head.len(), joined.len() == head.len()));

            let sent = sent.index(joined.len() + 1);
            let left = &joined[sent..];
            let lies_in = |part: &[u8]| {
                let within = |whole: &[u8]| whole.as_ptr_range().contains(&part.as_ptr());
                within(&head) || pieces.iter().any(|piece| within(piece))
            };
            let (given, written) = body.write_after(&head, sent, |slices| {
                assert!(slices.len() <= PIECES && slices.iter().all(|slice| !slice.is_empty() && lies_in(slice)));
                slices.iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>()
            });
            prop_assert_eq!(given, written.len());
            prop_assert_eq!(&written, &left[..given]);
            prop_assert_eq!(given == 0, left.is_empty(), "without progress only at the end");
        }
    }
}
