//! A slab whose keys are never valid twice, so that a late event or timer cannot reach the wrong tenant.

use slab::Slab;

/// Names one value of a [`Slots`] for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    serial: u64,
    index: usize,
}

pub(crate) struct Slots<T> {
    slab: Slab<(u64, T)>,
    serial: u64,
}

impl Key {
    pub(crate) fn index(self) -> usize {
        self.index
    }
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { slab: Slab::new(), serial: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.serial += 1;
        let serial = self.serial;
        Key { serial, index: self.slab.insert((serial, value)) }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.index).filter(|(serial, _)| *serial == key.serial).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.get_mut(key.index).filter(|(serial, _)| *serial == key.serial).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        Some(self.slab.remove(key.index).1)
    }

    /// The key of what lives at an index now.
    pub(crate) fn key_at(&self, index: usize) -> Option<Key> {
        self.slab.get(index).map(|(serial, _)| Key { serial: *serial, index })
    }
}
