//! Names to slots: a fixed hash table that only grows and has no locks.
//!
//! A name is at most 191 bytes without zeros. With its length in front it fills up to 24 words, none of them zero,
//! and a slot's words start as zero. Whoever wants a slot for a name swaps each word from zero to the name's word; who
//! finds a different word there has met another name and probes on. So the words of a slot are written once, a slot
//! belongs to exactly one name, everybody looking for a name passes the same slots, and an inserter that was killed
//! half-way is simply completed by the next one. Equal hashes are no special case.

use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

/// The longest name of a cell, in bytes.
pub const NAME_BYTES: usize = 191;
const WORDS: usize = (1 + NAME_BYTES) / 8;

/// A named cell. The value has a cache line of its own: it is hot, and its neighbours belong to others.
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) value: AtomicU64,
    /// Of gauges: zero until decided, then what `cells.rs` encodes.
    pub(crate) refunds: AtomicU64,
    spare: [AtomicU64; 6],
    name: [AtomicU64; WORDS],
}

/// A name as the words that a slot holds.
pub(crate) struct Name {
    hash: u64,
    words: [u64; WORDS],
}

impl Name {
    pub(crate) fn new(name: &str) -> Option<Self> {
        let length =
            u8::try_from(name.len()).ok().filter(|&length| (1..=NAME_BYTES).contains(&length.into()))?;
        if name.contains('\0') {
            return None;
        }
        let mut bytes = std::iter::once(length).chain(name.bytes());
        let words = std::array::from_fn(|_| {
            u64::from_le_bytes(std::array::from_fn(|_| bytes.next().unwrap_or_default()))
        });
        Some(Self { hash: xxh3_64(name.as_bytes()), words })
    }
}

impl Slot {
    /// The name of this slot; `None` while nobody has completed it.
    pub(crate) fn name(&self) -> Option<String> {
        let bytes: Vec<u8> =
            self.name.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()).collect();
        let (&length, text) = bytes.split_first()?;
        let text = text.get(..length.into()).filter(|text| !text.is_empty() && !text.contains(&0))?;
        String::from_utf8(text.to_vec()).ok()
    }

    fn take(&self, name: &Name) -> bool {
        self.name.iter().zip(name.words).take_while(|&(_, mine)| mine != 0).all(|(word, mine)| {
            match word.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => true,
                Err(theirs) => theirs == mine,
            }
        })
    }
}

/// The index of the name's slot, taking a free one if it has none; `None` when the table is full.
pub(crate) fn find_or_insert(slots: &[Slot], name: &Name) -> Option<u32> {
    let start = usize::try_from(name.hash.checked_rem(slots.len() as u64)?).ok()?;
    let (before, after) = slots.split_at_checked(start)?;
    let probes = (start..).zip(after).chain((0..).zip(before));
    let (index, _) = probes.into_iter().find(|(_, slot)| slot.take(name))?;
    u32::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots<const COUNT: usize>() -> [Slot; COUNT] {
        std::array::from_fn(|_| Slot {
            value: AtomicU64::new(0),
            refunds: AtomicU64::new(0),
            spare: [const { AtomicU64::new(0) }; 6],
            name: [const { AtomicU64::new(0) }; WORDS],
        })
    }

    /// A name that begins its search at slot zero, whatever it hashes to.
    fn colliding(name: &str) -> Name {
        Name { hash: 0, ..Name::new(name).unwrap() }
    }

    #[test]
    fn equal_hashes_get_slots_of_their_own() {
        let slots = slots::<4>();
        let names = ["team/a", "team/b", "team/a longer than one word", "key"].map(colliding);
        let found = names.each_ref().map(|name| find_or_insert(&slots, name));
        assert_eq!(found, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(names.each_ref().map(|name| find_or_insert(&slots, name)), found);
        assert_eq!(find_or_insert(&slots, &colliding("other")), None);
    }

    #[test]
    fn names_that_race_for_a_slot_do_not_mix() {
        let tables: Vec<[Slot; 2]> = (0..2_000).map(|_| slots()).collect();
        let names = ["limits/key/one/requests", "limits/key/two/requests"];
        let arrived = AtomicU64::new(0);
        let find_all = &|name: &str| -> Vec<Option<u32>> {
            let name = colliding(name);
            let find = |(round, slots): (u64, &[Slot; 2])| {
                arrived.fetch_add(1, Ordering::SeqCst);
                // Spins, since from a sleep one thread wakes too late to race; yields, since there may be one core.
                let mut spins = 0;
                while arrived.load(Ordering::SeqCst) < 2 * (round + 1) {
                    spins += 1;
                    if spins % 1_000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
                }
                find_or_insert(slots, &name)
            };
            (0..).zip(&tables).map(find).collect()
        };
        let [one, two] = std::thread::scope(|scope| {
            names.map(|name| scope.spawn(move || find_all(name))).map(|thread| thread.join().unwrap())
        });
        for (slots, found) in tables.iter().zip(one.into_iter().zip(two)) {
            let name = |index: Option<u32>| slots[index.unwrap() as usize].name().unwrap();
            assert_eq!([name(found.0), name(found.1)], names);
        }
    }

    #[test]
    fn a_half_written_name_is_completed_or_passed_on() {
        let name = "limits/key/search-production/requests_per_minute";
        let complete = colliding(name);
        for written in 1..WORDS.min(1 + name.len() / 8) {
            let slots = slots::<2>();
            for (word, &value) in slots[0].name.iter().zip(&complete.words).take(written) {
                word.store(value, Ordering::Relaxed);
            }
            assert_eq!(slots[0].name(), None, "{written} words are no name");

            let another = colliding(&name.replace("requests", "no_words"));
            let place = find_or_insert(&slots, &another).unwrap();
            let own = find_or_insert(&slots, &complete).unwrap();
            assert_ne!(place, own, "{written} words");
            assert_eq!(slots[own as usize].name().as_deref(), Some(name));
        }
    }

    #[test]
    fn names_that_cannot_be_stored() {
        let check = |name: &str, storable: bool| assert_eq!(Name::new(name).is_some(), storable, "{name:?}");
        check("", false);
        check("a", true);
        check("limits/grün", true);
        check("zero\0inside", false);
        check(&"x".repeat(NAME_BYTES), true);
        check(&"x".repeat(NAME_BYTES + 1), false);
        check(&"x".repeat(256 + 7), false);
    }

    #[test]
    fn text_survives() {
        for length in 1..=NAME_BYTES {
            let slots = slots::<1>();
            let name = "ä123456789".chars().cycle().take(length).collect::<String>();
            let Some(words) = Name::new(&name) else { continue };
            assert_eq!(find_or_insert(&slots, &words), Some(0));
            assert_eq!(slots[0].name(), Some(name));
        }
    }
}
