//! Who waits for a connection, first come first served.

use std::collections::VecDeque;

/// A queue that can be left in the middle: leaving costs nothing, and nobody who left is counted.
pub(crate) struct Queue<T> {
    /// Places in turn; the first, if there is any, is not vacated.
    places: VecDeque<Option<T>>,
    /// The number of the first place.
    first: u64,
    waiting: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { places: VecDeque::new(), first: 0, waiting: 0 }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Joins at the end; returns the number of the place.
    pub(crate) fn join(&mut self, value: T) -> u64 {
        let number = self.first + self.places.len() as u64;
        self.places.push_back(Some(value));
        self.waiting += 1;
        number
    }

    /// Leaves a place. Nothing happens if its turn has come already.
    pub(crate) fn leave(&mut self, number: u64) -> Option<T> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let value = self.places.get_mut(at)?.take()?;
        self.waiting -= 1;
        self.drop_vacated();
        Some(value)
    }

    /// Whose turn it is.
    pub(crate) fn next(&mut self) -> Option<T> {
        let value = self.places.pop_front()??;
        self.first += 1;
        self.waiting -= 1;
        self.drop_vacated();
        Some(value)
    }

    fn drop_vacated(&mut self) {
        while matches!(self.places.front(), Some(None)) {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Join,
        /// Any of those that ever joined.
        Leave(prop::sample::Index),
        Next,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Join),
            2 => any::<prop::sample::Index>().prop_map(Step::Leave),
            2 => Just(Step::Next),
        ]
    }

    proptest! {
        /// The naive twin: a list of those who wait.
        #[test]
        fn is_a_list_of_those_who_wait(steps in prop::collection::vec(step(), 0..200)) {
            let (mut queue, mut twin, mut numbers) = (Queue::new(), Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Join => {
                        let name = numbers.len();
                        numbers.push(queue.join(name));
                        twin.push(name);
                    }
                    Step::Leave(index) if !numbers.is_empty() => {
                        let name = index.index(numbers.len());
                        let at = twin.iter().position(|waiting| *waiting == name);
                        prop_assert_eq!(queue.leave(numbers[name]), at.map(|at| twin.remove(at)));
                    }
                    Step::Leave(_) => prop_assert_eq!(queue.leave(0), None),
                    Step::Next => {
                        let expected = if twin.is_empty() { None } else { Some(twin.remove(0)) };
                        prop_assert_eq!(queue.next(), expected);
                    }
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (twin.len(), twin.is_empty()));
                prop_assert!(!queue.is_empty() || queue.places.is_empty(), "nothing is kept for nobody");
            }
        }
    }
}
