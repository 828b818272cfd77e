use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::map::{Map, Words};
use crate::table::{Name, Slot, find_or_insert};
use crate::{Error, Layout};

/// One cell per host, to be changed by compare-and-swap. Valid in every process on the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exact(pub(crate) u32);

/// One cell per worker; see [`Row::gauge`](crate::Row::gauge) and [`Cells::gauge_total`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gauge(pub(crate) u32);

/// A counter that only grows; see [`Cells::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum(pub(crate) u32);

/// The memory file, or private memory of the same form. Clones share the mapping.
///
/// Handles belong to the file they were got from; using them with a smaller one panics.
#[derive(Clone)]
pub struct Cells {
    pub(crate) map: Arc<Map>,
}

const REFUNDS_NOTHING: u64 = 1;
const FIRST_REFUND: u64 = 2;

impl Cells {
    /// Makes the file: it must not exist; mode 0600, every byte allocated.
    pub fn create(path: impl AsRef<Path>, layout: Layout) -> Result<Self, Error> {
        Ok(Map::create(path.as_ref(), layout)?.into())
    }

    /// Maps a file that [`Cells::create`] made; refuses anything else.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Map::open(path.as_ref())?.into())
    }

    /// Private memory of this process, for tests, `explain` and the REPL.
    pub fn anonymous(layout: Layout) -> Result<Self, Error> {
        Ok(Map::anonymous(layout)?.into())
    }

    /// How many cells there are.
    pub fn layout(&self) -> Layout {
        self.map.layout()
    }

    /// The configuration generation that workers should serve.
    pub fn generation(&self) -> &AtomicU64 {
        &self.map.header().generation
    }

    /// Finds or makes the exact cell of that name.
    pub fn exact(&self, name: &str) -> Result<Exact, Error> {
        find("exact", self.map.exact(), name).map(Exact)
    }

    /// Finds or makes the gauge of that name. `refunds` says which exact cell holds what the gauge counts, so that
    /// [`Cells::reap`] can say where to give it back; it must be the same every time.
    pub fn gauge(&self, name: &str, refunds: Option<Exact>) -> Result<Gauge, Error> {
        let gauge = find("gauge", self.map.gauges(), name).map(Gauge)?;
        let wanted = refunds.map_or(REFUNDS_NOTHING, |exact| FIRST_REFUND + u64::from(exact.0));
        match self.gauge_slot(gauge).refunds.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire)
        {
            Err(other) if other != wanted => Err(Error::Refunds { name: name.to_owned() }),
            _ => Ok(gauge),
        }
    }

    /// Finds or makes the sum of that name.
    pub fn sum(&self, name: &str) -> Result<Sum, Error> {
        find("sum", self.map.sums(), name).map(Sum)
    }

    /// So many words in a file of that name beside the memory file, found or made, mode 0600 and fully allocated; one
    /// name must always have one count. Private cells have private words, each time others.
    pub fn words(&self, file_name: &str, count: usize) -> Result<Words, Error> {
        match &self.map.path {
            Some(path) => Words::shared(&path.with_file_name(file_name), count),
            None => Words::private(count),
        }
    }

    /// The cell behind a handle.
    #[expect(clippy::indexing_slicing, reason = "handles come from this table, whose size never changes")]
    pub fn at(&self, exact: Exact) -> &AtomicU64 {
        &self.map.exact()[exact.0 as usize].value
    }

    /// Adds to a sum; wraps at 2^64.
    #[expect(clippy::indexing_slicing, reason = "handles come from this table, whose size never changes")]
    pub fn add(&self, sum: Sum, amount: u64) {
        self.map.sums()[sum.0 as usize].value.fetch_add(amount, Ordering::Relaxed);
    }

    /// The gauge summed over all rows, also those of dead workers not yet reaped. Sequentially consistent with changes
    /// that are: whoever adds to its own row and then sums sees everybody who summed before.
    pub fn gauge_total(&self, gauge: Gauge) -> u64 {
        self.gauge_values(gauge).fold(0, u64::wrapping_add)
    }

    /// The gauge of each row, in the same way.
    pub fn gauge_values(&self, gauge: Gauge) -> impl Iterator<Item = u64> {
        self.map.values(gauge.0).iter().map(|value| value.load(Ordering::SeqCst))
    }

    /// Name and value of every exact cell.
    pub fn exacts(&self) -> impl Iterator<Item = (String, u64)> {
        self.map.exact().iter().filter_map(named_value)
    }

    /// Name and total of every gauge that refunds nothing; the others may hold more than a count.
    pub fn gauges(&self) -> impl Iterator<Item = (String, u64)> {
        (0..).zip(self.map.gauges()).filter_map(|(index, slot)| {
            let plain = slot.refunds.load(Ordering::Acquire) == REFUNDS_NOTHING;
            Some((slot.name().filter(|_| plain)?, self.gauge_total(Gauge(index))))
        })
    }

    /// Name and value of every sum.
    pub fn sums(&self) -> impl Iterator<Item = (String, u64)> {
        self.map.sums().iter().filter_map(named_value)
    }

    /// All gauges that somebody has got, with what they refund.
    pub(crate) fn gauge_refunds(&self) -> impl Iterator<Item = (Gauge, Option<Exact>)> {
        (0..).zip(self.map.gauges()).filter_map(|(index, slot)| match slot.refunds.load(Ordering::Acquire) {
            0 => None,
            refunds => {
                let exact = refunds.checked_sub(FIRST_REFUND).and_then(|exact| u32::try_from(exact).ok());
                Some((Gauge(index), exact.map(Exact)))
            }
        })
    }

    #[expect(clippy::indexing_slicing, reason = "handles come from this table, whose size never changes")]
    fn gauge_slot(&self, gauge: Gauge) -> &Slot {
        &self.map.gauges()[gauge.0 as usize]
    }
}

impl From<Map> for Cells {
    fn from(map: Map) -> Self {
        Self { map: Arc::new(map) }
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cells").field("layout", &self.layout()).finish_non_exhaustive()
    }
}

fn find(kind: &'static str, slots: &[Slot], name: &str) -> Result<u32, Error> {
    let words = Name::new(name).ok_or_else(|| Error::Name { name: name.to_owned() })?;
    let capacity = u32::try_from(slots.len()).unwrap_or(u32::MAX);
    find_or_insert(slots, &words).ok_or_else(|| Error::Full { kind, name: name.to_owned(), capacity })
}

fn named_value(slot: &Slot) -> Option<(String, u64)> {
    Some((slot.name()?, slot.value.load(Ordering::Relaxed)))
}
